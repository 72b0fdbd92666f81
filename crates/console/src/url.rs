//! Addresses of our own pages, with whatever stands behind the question mark.

/// Longest address that somebody is sent on to because a form or an address asked for it, in bytes.
const MAX_ASKED: usize = 2_000;

/// An address that somebody asked to be sent on to, if it is a place of ours and can stand in a header: never another site.
pub(crate) fn own(asked: &str) -> Option<&str> {
    let ours = asked.starts_with('/') && !asked.starts_with("//") && !asked.contains('\\');
    (ours && asked.len() <= MAX_ASKED && asked.bytes().all(|byte| byte.is_ascii_graphic())).then_some(asked)
}

/// Text as part of a query.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match plain(byte) {
            true => encoded.push(char::from(byte)),
            false => encoded += &format!("%{byte:02X}"),
        }
        encoded
    })
}

/// A path with what is said of `pairs`; what is empty is left out.
pub(crate) fn with(path: &str, pairs: &[(&str, &str)]) -> String {
    let said = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = said.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", query.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site_or_to_what_is_no_address() {
        for (asked, ours) in [
            ("/alerts/1?x=2", true),
            ("/?device=%C3%BC", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("", false),
            ("/a\nb", false),
            ("/a\u{7f}", false),
            ("/a\u{85}", false),
            ("/a b", false),
        ] {
            assert_eq!(own(asked).is_some(), ours, "{asked:?}");
        }
        assert_eq!(own(&format!("/{}", "x".repeat(MAX_ASKED))), None);
    }

    #[test]
    fn what_is_said_is_encoded_and_what_is_empty_is_left_out() {
        assert_eq!(with("/", &[("a", ""), ("b", "")]), "/");
        assert_eq!(
            with("/x", &[("a", "1&2"), ("b", ""), ("c", "ü /")]),
            "/x?a=1%262&c=%C3%BC%20/"
        );
    }
}

//! Addresses of our own pages, with whatever stands behind the question mark.

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
    fn what_is_said_is_encoded_and_what_is_empty_is_left_out() {
        assert_eq!(with("/", &[("a", ""), ("b", "")]), "/");
        assert_eq!(
            with("/x", &[("a", "1&2"), ("b", ""), ("c", "ü /")]),
            "/x?a=1%262&c=%C3%BC%20/"
        );
    }
}

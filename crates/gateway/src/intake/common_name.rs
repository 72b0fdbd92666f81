//! The common name of a certificate's subject. The TLS layer has verified the certificate; this only finds a text in it.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// 2.5.4.3, RFC 5280 appendix A.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// The common name, if there is exactly one and it is ASCII or UTF-8 text.
pub(crate) fn common_name(certificate: &[u8]) -> Option<&str> {
    let (mut certificate, _) = element(certificate, SEQUENCE)?;
    let mut to_be_signed = take(&mut certificate, SEQUENCE)?;
    if to_be_signed.first() == Some(&VERSION) {
        take(&mut to_be_signed, VERSION)?;
    }
    // Serial number, signature algorithm, issuer, validity; then the subject.
    for _ in 0..4 {
        skip(&mut to_be_signed)?;
    }
    let mut subject = take(&mut to_be_signed, SEQUENCE)?;
    let mut found = None;
    while !subject.is_empty() {
        let mut names = take(&mut subject, SET)?;
        while !names.is_empty() {
            let mut name = take(&mut names, SEQUENCE)?;
            if take(&mut name, OID)? != COMMON_NAME {
                continue;
            }
            let tag = *name.first()?;
            if !matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) || found.is_some() {
                return None;
            }
            found = Some(std::str::from_utf8(take(&mut name, tag)?).ok()?);
        }
    }
    found
}

/// Content of the element at the front, if its tag is `tag`; and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // A length of more than four bytes is none of a certificate.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found != tag {
        return None;
    }
    rest.split_at_checked(length)
}

fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (content, rest) = element(bytes, tag)?;
    *bytes = rest;
    Some(content)
}

fn skip(bytes: &mut &[u8]) -> Option<()> {
    let tag = *bytes.first()?;
    take(bytes, tag).map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn the_common_name_is_found_among_other_names() {
        let organisation = DnType::OrganizationName;
        let der = certificate(&[(organisation.clone(), "Acme"), (DnType::CommonName, "acme/pen-0042")]);
        assert_eq!(common_name(&der), Some("acme/pen-0042"));
        assert_eq!(common_name(&certificate(&[(organisation, "acme/pen-0042")])), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = common_name(&bytes);
        }

        #[test]
        fn a_damaged_certificate_does_not_make_it_panic(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
            use std::sync::OnceLock;
            static DER: OnceLock<Vec<u8>> = OnceLock::new();
            let mut der = DER.get_or_init(|| certificate(&[(DnType::CommonName, "acme/pen-0042")])).clone();
            let at = at % der.len();
            der[at] = byte;
            let _ = common_name(&der);
            der.truncate(cut);
            let _ = common_name(&der);
        }
    }
}

//! Passwords of people: Argon2id, slow on purpose. Those of devices are drawn and fast-hashed elsewhere.
use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};

/// Fewest characters of a password.
pub(crate) const MIN_CHARS: usize = 10;
/// Longest password in bytes.
pub(crate) const MAX_BYTES: usize = 1_024;

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Its length.
    #[error("a password has {MIN_CHARS} characters at least and {MAX_BYTES} bytes at most")]
    Length,
    /// The hash could not be made.
    #[error("the password cannot be hashed")]
    Hash,
}

/// The hash of a password for the configuration, in PHC form, with the parameters that OWASP names first for Argon2id (19 MiB, two
/// passes).
///
/// # Errors
/// [`PasswordError`].
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
        return Err(PasswordError::Length);
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|_| PasswordError::Hash)?.to_string())
}

/// Whether this is a hash that passwords can be compared with.
pub(crate) fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2") && hash.hash.is_some())
}

/// Whether the password is the one of the hash. Takes tens of milliseconds of CPU.
pub(crate) fn fits(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        password.len() <= MAX_BYTES && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_hash_and_no_other_does() {
        let made = hash("correct horse").unwrap();
        assert!(is_hash(&made) && made.starts_with("$argon2id$"), "{made}");
        assert!(fits("correct horse", &made));
        assert!(!fits("correct horsE", &made));
        assert_ne!(made, hash("correct horse").unwrap(), "salted");
    }

    #[test]
    fn what_is_no_hash_fits_nothing_and_a_short_password_is_not_hashed() {
        for no_hash in ["", "plain", "$2b$12$abc", "$argon2id$"] {
            assert!(!is_hash(no_hash), "{no_hash}");
            assert!(!fits(no_hash, no_hash));
        }
        assert_eq!(hash("too short"), Err(PasswordError::Length));
    }
}

//! A device can be itself only.
use registry::{AuthReason, sha256};

use crate::common::{key, with};

fn fleet() -> registry::Registry {
    let hex = |bytes: [u8; 32]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let rows = format!(
        r#"device = [
  {{ id = "pen-1", clinic = "north", model = "pen", serial = "P-1", secret_sha256 = "{}" }},
  {{ id = "pen-2", clinic = "north", model = "pen", serial = "P-2", secret_sha256 = ["{}", "{}"] }},
  {{ id = "pen-3", clinic = "north", model = "pen", serial = "P-3", secret_sha256 = "{}", state = "retired" }},
  {{ id = "pen-4", clinic = "north", model = "pen", serial = "P-4", certificate_sha256 = "{}" }},
  {{ id = "pen-5", clinic = "north", model = "pen", serial = "P-5", certificate = "by-name" }},
]"#,
        hex(sha256(b"one")),
        hex(sha256(b"two, old")),
        hex(sha256(b"two, new")),
        hex(sha256(b"three")),
        hex(sha256(b"certificate four")),
    );
    with(&[("tenants/acme/devices.toml", &rows)]).unwrap()
}

#[test]
fn a_secret_opens_the_door_of_its_own_device_and_of_no_other() {
    let fleet = fleet();
    let try_secret = |name: &str, secret: &str| {
        fleet
            .authenticate_secret(name, secret.as_bytes())
            .map(|d| d.key.clone())
    };
    assert_eq!(try_secret("acme/pen-1", "one"), Ok(key("acme/pen-1")));
    assert_eq!(try_secret("acme/pen-2", "one"), Err(AuthReason::WrongSecret));
    assert_eq!(try_secret("acme/pen-1", ""), Err(AuthReason::WrongSecret));
    assert_eq!(try_secret("acme/pen-9", "one"), Err(AuthReason::UnknownDevice));
    assert_eq!(try_secret("other/pen-1", "one"), Err(AuthReason::UnknownDevice));
    assert_eq!(try_secret("pen-1", "one"), Err(AuthReason::BadName));
    assert_eq!(try_secret("acme/pen-1/x", "one"), Err(AuthReason::BadName));
    assert_eq!(try_secret("acme/pen-5", "one"), Err(AuthReason::NoCredential));
}

#[test]
fn while_a_secret_is_rotated_the_old_and_the_new_one_open() {
    let fleet = fleet();
    for secret in ["two, old", "two, new"] {
        assert!(fleet.authenticate_secret("acme/pen-2", secret.as_bytes()).is_ok());
    }
}

#[test]
fn a_retired_device_is_told_from_a_wrong_secret_only_to_us() {
    let fleet = fleet();
    let refused = |secret: &str| fleet.authenticate_secret("acme/pen-3", secret.as_bytes()).err();
    assert_eq!(refused("three"), Some(AuthReason::Retired));
    assert_eq!(
        refused("guess"),
        Some(AuthReason::WrongSecret),
        "retired must not be learned by guessing"
    );
}

#[test]
fn a_certificate_opens_by_fingerprint_or_by_name_as_the_device_declares() {
    let fleet = fleet();
    let four = sha256(b"certificate four");
    let other = sha256(b"another certificate of the same CA");
    let by = |name: Option<&str>, print| fleet.authenticate_certificate(name, print).map(|d| d.key.clone());
    assert_eq!(by(None, &four), Ok(key("acme/pen-4")));
    assert_eq!(by(Some("vendor's own name"), &four), Ok(key("acme/pen-4")));
    assert_eq!(by(Some("acme/pen-4"), &other), Err(AuthReason::WrongCertificate));
    assert_eq!(by(Some("acme/pen-5"), &other), Ok(key("acme/pen-5")));
    assert_eq!(by(Some("acme/pen-1"), &other), Err(AuthReason::NoCredential));
    assert_eq!(by(None, &other), Err(AuthReason::BadName));
}

#[test]
fn no_digest_of_a_credential_shows_in_debug_output() {
    let shown = format!("{:?}", fleet().device(&key("acme/pen-1")).unwrap());
    let digest = sha256(b"one");
    assert!(!shown.contains(&format!("{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2])));
    assert!(!shown.contains(&format!("{}, {}, {}", digest[0], digest[1], digest[2])));
}

//! `dermatel secret`: a device's secret, and what the registry keeps of it.
use std::fmt::Write as _;

use registry::Digest;

/// Prints a new secret of 256 random bits and its digest for the registry. The secret itself is kept nowhere.
pub(crate) fn make() {
    let (secret, digest) = draw();
    println!("secret for the device (not kept anywhere):  {secret}");
    println!("secret_sha256 for the registry:             {digest}");
}

/// A new secret, and its digest.
pub(crate) fn draw() -> (String, Digest) {
    let secret = hex(&rand::random::<[u8; 32]>());
    let digest = Digest(registry::sha256(secret.as_bytes()));
    (secret, digest)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

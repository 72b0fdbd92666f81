//! Where the built binary is.
use std::path::PathBuf;

/// The `dermatel` that was built beside this test program.
pub fn dermatel() -> PathBuf {
    let here = std::env::current_exe().expect("a test program has a path");
    let built = here
        .parent()
        .and_then(|deps| deps.parent())
        .expect("a test program stands in target/<profile>/deps");
    let binary = built.join("dermatel");
    assert!(
        binary.exists(),
        "{} is missing: `cargo xtask test` or `cargo build -p dermatel` builds it",
        binary.display()
    );
    binary
}

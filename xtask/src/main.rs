//! dermatel
fn main() {}

//! Compiles the schema (with protox: no protoc needed) and writes the table of known fields that `unknown` reads.
use std::fmt::Write as _;
use std::path::PathBuf;

use protox::prost_reflect::{DescriptorPool, Kind};

const FILES: [&str; 6] = [
    "dermatel/v1/command.proto",
    "dermatel/v1/frame.proto",
    "dermatel/v1/status.proto",
    "dermatel/v1/pipeline.proto",
    "dermatel/v1/alerting.proto",
    "dermatel/v1/uplink.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.join("dermatel").display());
    let set = protox::compile(FILES, [&root])?;
    let pool = DescriptorPool::from_file_descriptor_set(set.clone())?;
    prost_build::Config::new()
        .bytes([".dermatel.v1.Admitted.payload", ".dermatel.v1.UplinkBatch.admitted"])
        .compile_fds(set)?;

    let messages: Vec<_> = pool.all_messages().collect();
    let index = |name: &str| messages.iter().position(|m| m.full_name() == name);
    let mut table = String::new();
    for (at, message) in messages.iter().enumerate() {
        writeln!(
            table,
            "pub(crate) const {}: usize = {at};",
            message.name().to_uppercase()
        )?;
    }
    writeln!(
        table,
        "/// Per message its known fields: (number, index of the message inside)."
    )?;
    writeln!(table, "pub(crate) static FIELDS: &[&[(u32, Option<usize>)]] = &[")?;
    for message in &messages {
        let fields: Vec<(u32, Option<usize>)> = message
            .fields()
            .map(|f| match f.kind() {
                Kind::Message(inner) => (f.number(), index(inner.full_name())),
                _ => (f.number(), None),
            })
            .collect();
        writeln!(table, "    &{fields:?},")?;
    }
    writeln!(table, "];")?;
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("fields.rs"), table)?;
    Ok(())
}

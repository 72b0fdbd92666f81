//! The page for firmware engineers says what the code does.
use std::path::PathBuf;

use telemetry::{MAX_BATCH_DURATION_US, MAX_PAYLOAD_BYTES, MAX_STROKES, RejectReason};

fn page() -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/firmware.md")).unwrap()
}

#[test]
fn every_reason_of_a_rejection_is_explained() {
    let page = page();
    for reason in RejectReason::ALL {
        let row = format!("| `{}` |", reason.as_str());
        assert!(page.contains(&row), "docs/firmware.md has no row for {reason}");
    }
}

#[test]
fn the_sizes_on_the_page_are_those_of_the_code() {
    let page = page();
    for size in [MAX_STROKES, MAX_PAYLOAD_BYTES, MAX_BATCH_DURATION_US as usize] {
        let digits = size.to_string();
        let grouped = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|group| std::str::from_utf8(group).unwrap())
            .collect::<Vec<_>>()
            .join(",");
        assert!(page.contains(&grouped), "docs/firmware.md does not say {grouped}");
    }
}

#[test]
fn every_body_of_the_schema_is_on_the_page() {
    let page = page();
    let frame = crate::schema::pool().get_message_by_name("dermatel.v1.Frame").unwrap();
    for field in frame.oneofs().flat_map(|o| o.fields().collect::<Vec<_>>()) {
        let protox::prost_reflect::Kind::Message(body) = field.kind() else {
            panic!("a body is a message");
        };
        assert!(
            page.contains(&format!("`{}`", body.name())),
            "docs/firmware.md has no {}",
            body.name()
        );
    }
}

//! The golden vectors, made by Google's protobuf and by hand (`proto/vectors/generate.py`), mean here what they say.
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use telemetry::{Channel, RejectReason, Rejected, Topic, decode, decode_status};

use crate::meaning;

pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Value,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto/vectors")
}

/// Hexadecimal pairs; `#` starts a comment; `XX*N` repeats.
fn parse_hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .flat_map(str::split_whitespace)
    {
        let (pair, times) = word.split_once('*').unwrap_or((word, "1"));
        let byte = u8::from_str_radix(pair, 16).unwrap();
        bytes.extend(std::iter::repeat_n(byte, times.parse().unwrap()));
    }
    bytes
}

pub(crate) fn all() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "hex") {
            let meaning = std::fs::read_to_string(path.with_extension("json")).unwrap();
            vectors.push(Vector {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                bytes: parse_hex(&std::fs::read_to_string(&path).unwrap()),
                expected: serde_json::from_str(&meaning).unwrap(),
            });
        }
    }
    assert!(vectors.len() > 100, "the vectors are not there");
    vectors
}

fn refused(rejected: &Rejected) -> Value {
    json!({ "rejected": { "reason": rejected.reason.as_str(), "field": rejected.field } })
}

/// What the door says, as the gateway uses it: a topic that does not parse is a rejection of its own.
fn found(topic: &str, bytes: &[u8]) -> Value {
    let Ok(topic) = topic.parse::<Topic>() else {
        return refused(&Rejected::new(RejectReason::Topic, "topic", ""));
    };
    if topic.channel == Channel::Status {
        return match decode_status(&topic, bytes) {
            Ok((status, unknown)) => json!({
                "status": meaning::status(&status),
                "unknown": { "fields": unknown.fields, "enum_values": unknown.enum_values },
            }),
            Err(rejected) => refused(&rejected),
        };
    }
    match decode(&topic, bytes) {
        Ok(telemetry) => json!({ "accepted": meaning::telemetry(&telemetry) }),
        Err(rejected) => refused(&rejected),
    }
}

#[test]
fn every_golden_vector_means_what_it_says() {
    for vector in all() {
        let topic = vector.expected["topic"].as_str().unwrap();
        let mut expected = vector.expected.clone();
        for key in ["topic", "about"] {
            expected.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(found(topic, &vector.bytes), expected, "{}", vector.name);
    }
}

#[test]
fn every_reason_that_decoding_can_give_has_a_vector_and_the_others_are_the_gateways() {
    let gateways = [
        RejectReason::UnknownDevice,
        RejectReason::WrongClinic,
        RejectReason::NotOwnTopic,
        RejectReason::Retired,
    ];
    let told: BTreeSet<String> = all()
        .iter()
        .filter_map(|v| v.expected["rejected"]["reason"].as_str().map(str::to_owned))
        .collect();
    let decodes = RejectReason::ALL.iter().filter(|r| !gateways.contains(r));
    let expected: BTreeSet<String> = decodes.map(|r| r.as_str().to_owned()).collect();
    assert_eq!(told, expected);
}

#[test]
fn every_body_and_every_presence_has_a_vector() {
    let vectors = all();
    let bodies: BTreeSet<&str> = vectors
        .iter()
        .filter_map(|v| v.expected["accepted"]["body"].as_object())
        .flat_map(|body| body.keys().map(String::as_str))
        .collect();
    let schema = crate::schema::pool();
    let frame = schema.get_message_by_name("dermatel.v1.Frame").unwrap();
    let in_schema: Vec<String> = frame
        .oneofs()
        .flat_map(|o| o.fields().map(|f| f.name().to_owned()).collect::<Vec<_>>())
        .collect();
    assert_eq!(bodies, in_schema.iter().map(String::as_str).collect());
    let presences = vectors.iter().filter_map(|v| v.expected["status"]["presence"].as_str());
    assert_eq!(presences.collect::<BTreeSet<_>>().len(), telemetry::Presence::ALL.len());
}

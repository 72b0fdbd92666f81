//! Rules that the schema itself keeps: no identifier of a client, units in names, explicit presence, numbers for ever.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use protox::prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, FileDescriptor, Kind};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto")
}

/// Every schema file there is, not only those that somebody remembered to list.
pub(crate) fn pool() -> DescriptorPool {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join("dermatel/v1")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "proto") {
            files.push(format!("dermatel/v1/{}", path.file_name().unwrap().to_str().unwrap()));
        }
    }
    files.sort();
    assert!(files.len() >= 3);
    DescriptorPool::from_file_descriptor_set(protox::compile(files, [root()]).unwrap()).unwrap()
}

/// What devices say, as opposed to what Dermatel writes for itself.
fn spoken_by_devices(file: &FileDescriptor) -> bool {
    file.name().ends_with("/frame.proto") || file.name().ends_with("/status.proto")
}

/// `Message.field` without the package.
fn short(field: &FieldDescriptor) -> String {
    format!("{}.{}", field.parent_message().name(), field.name())
}

fn device_fields() -> Vec<FieldDescriptor> {
    pool()
        .all_messages()
        .filter(|m| spoken_by_devices(&m.parent_file()))
        .flat_map(|m| m.fields().collect::<Vec<_>>())
        .collect()
}

/// Asserts that what breaks a rule is exactly what is excused, so that no excuse outlives its reason.
fn assert_only(broken: Vec<String>, excused: &[(&str, &str)], rule: &str) {
    let broken: BTreeSet<String> = broken.into_iter().collect();
    let excused: BTreeSet<String> = excused.iter().map(|(name, _)| (*name).to_owned()).collect();
    let new: Vec<_> = broken.difference(&excused).collect();
    let stale: Vec<_> = excused.difference(&broken).collect();
    assert!(new.is_empty(), "{rule}: {new:?}");
    assert!(stale.is_empty(), "excused from '{rule}' without need: {stale:?}");
}

const IDENTIFYING: &[&str] = &[
    "name",
    "forename",
    "surname",
    "email",
    "mail",
    "phone",
    "mobile",
    "birth",
    "birthday",
    "dob",
    "born",
    "address",
    "street",
    "city",
    "zip",
    "postcode",
    "patient",
    "client",
    "customer",
    "person",
    "people",
    "operator",
    "staff",
    "user",
    "actor",
    "note",
    "notes",
    "text",
    "comment",
    "remark",
    "message",
    "description",
    "age",
    "sex",
    "gender",
    "ethnicity",
    "photo",
    "image",
    "picture",
    "face",
    "insurance",
    "passport",
    "ssn",
    "iban",
    "card",
    "ip",
    "location",
    "latitude",
    "longitude",
];

const NOT_A_CLIENTS: &[(&str, &str)] = &[
    (
        "Birth",
        "a device's birth certificate: what it says of itself after boot",
    ),
    ("Frame.birth", "the same"),
    ("SESSION_END_REASON_OPERATOR", "a role that ended a session, no person"),
    (
        "Command.actor",
        "staff who acknowledge an alert, in alerting's own log; never a client",
    ),
    (
        "Command.comment",
        "staff's words in alerting's own log; outside of the hash chain, so that it can be erased",
    ),
    (
        "AcknowledgeAlert.comment",
        "staff's words in alerting's own log; outside of the hash chain, so that it can be erased",
    ),
];

#[test]
fn promise_7_no_field_can_identify_a_client() {
    let smells = |name: &str| {
        let words = name.split(['_', '.']);
        let words = words.flat_map(camel).map(|w| w.to_lowercase());
        words.into_iter().any(|w| IDENTIFYING.contains(&w.as_str()))
    };
    let pool = pool();
    let mut broken = Vec::new();
    for message in pool.all_messages() {
        broken.extend(smells(message.name()).then(|| message.name().to_owned()));
        let fields = message.fields().filter(|f| smells(f.name()));
        broken.extend(fields.map(|f| short(&f)));
    }
    for kind in pool.all_enums() {
        broken.extend(smells(kind.name()).then(|| kind.name().to_owned()));
        let values = kind.values().filter(|v| smells(v.name()));
        broken.extend(values.map(|v| v.name().to_owned()));
    }
    assert_only(
        broken,
        NOT_A_CLIENTS,
        "this name smells of a client's identity: take it out, or excuse it with a reason",
    );
}

/// `SessionEnd` to `Session`, `End`.
fn camel(word: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in word.chars() {
        match words.last_mut() {
            Some(last) if !c.is_uppercase() || last.chars().all(char::is_uppercase) => last.push(c),
            _ => words.push(c.to_string()),
        }
    }
    words
}

const UNITS: &[&str] = &[
    "um", "us", "s", "mj", "cm2", "mm2", "nm", "mdegc", "percent", "day", "count", "total",
];

const WITHOUT_UNIT: &[(&str, &str)] = &[
    ("Header.schema_version", "a version"),
    ("Header.boot_id", "an id"),
    ("Status.boot_id", "an id"),
    ("Header.sequence", "counts frames"),
    ("Header.oldest_unacknowledged_sequence", "a sequence number"),
    ("StrokeBatch.first_ordinal", "an ordinal"),
    ("Pulse.ordinal", "an ordinal"),
    ("StrokeBatch.unread_index", "an index"),
    ("SessionStart.days_since_last_treatment", "the unit stands in front"),
    ("Heartbeat.queued_frames", "counts frames"),
    ("Heartbeat.dropped_frames", "counts frames"),
    ("Fault.vendor_code", "a code"),
];

#[test]
fn every_number_of_a_device_carries_its_unit_in_its_name() {
    let number = |f: &FieldDescriptor| {
        let not = [Kind::Bool, Kind::String, Kind::Bytes];
        !not.contains(&f.kind()) && !matches!(f.kind(), Kind::Message(_) | Kind::Enum(_))
    };
    let broken = device_fields().into_iter().filter(|f| {
        let last = f.name().rsplit('_').next().unwrap_or_default();
        number(f) && !UNITS.contains(&last)
    });
    assert_only(broken.map(|f| short(&f)).collect(), WITHOUT_UNIT, "no unit in the name");
}

#[test]
fn every_scalar_of_a_device_says_whether_it_is_there() {
    for field in device_fields() {
        let explicit = field.cardinality() == Cardinality::Repeated || field.supports_presence();
        assert!(
            explicit,
            "{} cannot tell 0 from absence: make it optional",
            short(&field)
        );
    }
}

#[test]
fn zero_of_every_enum_is_unspecified_and_names_carry_their_enums() {
    for kind in pool().all_enums() {
        let zero = kind.values().find(|v| v.number() == 0).unwrap();
        assert!(zero.name().ends_with("_UNSPECIFIED"), "{}", zero.name());
        let prefix = zero.name().trim_end_matches("UNSPECIFIED");
        assert!(kind.values().all(|v| v.name().starts_with(prefix)), "{}", kind.name());
    }
}

/// One line for every number that was ever given out.
fn numbers() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for message in pool().all_messages() {
        for f in message.fields() {
            let label = match f.cardinality() {
                Cardinality::Repeated => "repeated ",
                _ if f.supports_presence() && f.containing_oneof().is_none_or(|o| o.name().starts_with('_')) => {
                    "optional "
                }
                _ => "",
            };
            lines.insert(format!(
                "{} {} {label}{}",
                message.full_name(),
                f.number(),
                kind_and_name(&f)
            ));
        }
    }
    for kind in pool().all_enums() {
        for v in kind.values() {
            lines.insert(format!("{} {} {}", kind.full_name(), v.number(), v.name()));
        }
    }
    lines
}

fn kind_and_name(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(m) => m.name().to_owned(),
        Kind::Enum(e) => e.name().to_owned(),
        scalar => format!("{scalar:?}"),
    };
    format!("{kind} {}", field.name())
}

const HEAD: &str = "\
# Every number that the schema ever gave out: message or enum, number, kind, name. Add only: a line never changes and never goes,
# so firmware in the field keeps its meaning. `DERMATEL_ADD_FIELDS=1 cargo test -p telemetry schema` adds lines for new fields.
";

#[test]
fn a_number_once_given_out_is_never_reused_renamed_or_taken_away() {
    let path = root().join("vectors/fields.lock");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let locked: BTreeSet<String> = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let numbers = numbers();
    let gone: Vec<_> = locked.difference(&numbers).collect();
    assert!(
        gone.is_empty(),
        "the schema no longer has what firmware in the field speaks: {gone:#?}"
    );
    let new: Vec<_> = numbers.difference(&locked).collect();
    if std::env::var_os("DERMATEL_ADD_FIELDS").is_some() {
        let mut text = HEAD.to_owned();
        numbers.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        std::fs::write(&path, text).unwrap();
    } else {
        assert!(
            new.is_empty(),
            "add these lines to proto/vectors/fields.lock (see its head): {new:#?}"
        );
    }
}

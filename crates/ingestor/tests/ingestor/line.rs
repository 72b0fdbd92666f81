//! Line protocol, read back by InfluxData's own parser and compared byte by byte.

use std::sync::Arc;

use influxdb_line_protocol::{FieldValue, parse_lines};
use ingestor::frame::FrameReader;
use ingestor::record::Record;
use ingestor::value::Value;
use proptest::prelude::*;
use prost::Message as _;
use telemetry::{Admitted, Content, proto};

use crate::support::{Device, OneModel};

fn records(frames: &[Admitted]) -> Vec<Record> {
    let mut reader = FrameReader::new(Arc::new(OneModel));
    frames
        .iter()
        .flat_map(|frame| reader.decode(&frame.encode()).unwrap().records)
        .collect()
}

fn transition(device: &Device, rule: &str, unit: &str, value: f64) -> Admitted {
    let wire = proto::AlertTransition {
        transition_id: vec![1; 16],
        alert_id: vec![2; 16],
        rule: rule.to_owned(),
        priority: 4,
        from_state: "pending".to_owned(),
        to_state: "firing".to_owned(),
        event_time_us: 1_795_348_860_000_000,
        decided_at_us: 1_795_348_861_000_000,
        zone: "cheek".to_owned(),
        value,
        limit: 600.0,
        unit: unit.to_owned(),
        raised_at_us: Some(1_795_348_860_500_000),
    };
    device.admitted(61_000_000, Content::Alert, wire.encode_to_vec())
}

/// The parser must read exactly what the schema says of the record.
fn check(record: &Record) {
    let mut text = String::new();
    ingestor::line::write(&mut text, record);
    let lines: Vec<_> = parse_lines(&text)
        .collect::<Result<_, _>>()
        .unwrap_or_else(|e| panic!("{e}: {text}"));
    let [line] = lines.as_slice() else {
        panic!("not one line: {text}")
    };
    assert_eq!(line.series.measurement.as_str(), record.measurement().name);
    assert_eq!(line.timestamp, Some(record.time_ns()));
    let tags: Vec<String> = line
        .series
        .tag_set
        .iter()
        .flatten()
        .map(|(key, _)| key.to_string())
        .collect();
    assert!(tags.is_sorted(), "{tags:?}");
    let mut expected = Vec::new();
    record.each(|field, value| expected.extend(value.map(|value| (field.name, value))));
    assert_eq!(line.field_set.len(), expected.len());
    for ((name, read), (field, wrote)) in line.field_set.iter().zip(&expected) {
        assert_eq!(name.as_str(), *field);
        match (read, wrote) {
            (FieldValue::I64(read), Value::Integer(wrote)) => assert_eq!(read, wrote),
            (FieldValue::F64(read), Value::Float(wrote)) => assert_eq!(*read, wrote.get()),
            (FieldValue::Boolean(read), Value::Boolean(wrote)) => assert_eq!(read, wrote),
            (FieldValue::String(read), Value::Text(wrote)) => assert_eq!(read.as_str(), wrote.as_str()),
            other => panic!("{name} came back as another type: {other:?}"),
        }
    }
}

#[test]
fn a_window_and_a_pulse_are_these_bytes() {
    let mut pen = Device::new("acme", "pen-1", 1);
    let mut unit = Device::new("acme", "ipl-1", 2);
    let records = records(&[pen.strokes(1_234, &[480, 520, 610, 0], &[3]), unit.pulses(7, 1)]);
    let lines: Vec<String> = records.iter().map(ingestor::line::of).collect();
    assert_eq!(
        lines[0],
        "stroke_window,clinic=north,device=pen-1,kind=pen,model=model-1,tenant=acme,zone=cheek count=4i,unread=1i,\
         depth_min_um=480i,depth_mean_um=536.6666666666666,depth_max_um=610i,depth_sum_um=1610i,\
         depth_sum_squares_um2=872900i,band1_00=0i,band1_01=0i,band1_02=0i,band1_03=0i,band1_04=1i,band1_05=2i,band1_06=0i,\
         band1_07=0i,band1_08=0i,band1_09=0i,band1_10=0i,band1_11=0i,band1_12=0i,band1_13=0i,band1_14=0i,band1_15=0i,\
         setpoint_um=500i,limit_um=600i,over_limit=1i,rate_mhz=500000i,duration_us=8000i,first_ordinal=1234i,\
         flush_reason=\"period\",cartridge=\"C-1\",session=\"01010101010101010101010101010101\",\
         visit=\"09090909090909090909090909090909\",boot=\"0000000000000007\",sequence=0i,clock=\"device\",\
         origin=\"endpoint\",received_at_us=1795348873360000i 1795348872340000234"
    );
    assert_eq!(
        lines[1],
        "pulse,clinic=north,device=ipl-1,kind=ipl,model=model-1,tenant=acme,zone=thigh ordinal=7i,energy_set_mj=10000i,\
         energy_measured_mj=0i,fluence_set_mj_per_cm2=12000i,skin_type=\"III\",skin_temperature_mdegc=-500i,fired=true,\
         session=\"02020202020202020202020202020202\",visit=\"09090909090909090909090909090909\",\
         boot=\"0000000000000007\",sequence=0i,clock=\"device\",origin=\"endpoint\",received_at_us=1795348928020000i \
         1795348927000000007"
    );
}

#[test]
fn every_kind_of_record_reads_back() {
    let mut pen = Device::new("acme", "pen-1", 1);
    let birth = proto::Birth {
        kind: Some(1),
        model: Some("Pen 3 (EU)".to_owned()),
        firmware: Some("1.2.3 rc'1".to_owned()),
        ..Default::default()
    };
    let cycle = proto::SterilizationCycle {
        cycle_id: Some("C:17".to_owned()),
        items: vec!["tip-1".to_owned(), "tip-2".to_owned()],
        outcome: Some(2),
        hold_temperature_mdegc: Some(134_000),
        ..Default::default()
    };
    let status = proto::Status {
        presence: Some(3),
        boot_id: Some(7),
    };
    let frames = [
        pen.frame(1_000_000, proto::frame::Body::Birth(birth)),
        pen.frame(2_000_000, proto::frame::Body::SterilizationCycle(cycle)),
        pen.frame(
            3_000_000,
            proto::frame::Body::Disinfection(proto::Disinfection::default()),
        ),
        pen.frame(
            4_000_000,
            proto::frame::Body::IndicatorResult(proto::IndicatorResult::default()),
        ),
        pen.frame(
            5_000_000,
            proto::frame::Body::Fault(proto::Fault {
                code: Some(1),
                vendor_code: None,
            }),
        ),
        pen.frame(
            6_000_000,
            proto::frame::Body::SessionStart(proto::SessionStart::default()),
        ),
        pen.heartbeat(7_000_000),
        pen.end(Some(4_212), None),
        pen.admitted(8_000_000, Content::Status, status.encode_to_vec()),
        transition(&pen, "depth-above-limit", "µm", 731.5),
    ];
    let records = records(&frames);
    assert_eq!(records.len(), frames.len());
    records.iter().for_each(check);
}

proptest! {
    #[test]
    fn no_text_or_number_of_a_foreign_hand_breaks_a_line(
        unit in "\\PC{0,80}|[\\x00-\\x7f]{0,80}",
        value in prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(f64::MIN_POSITIVE)],
        depths in prop::collection::vec(0u32..=10_000, 1..50),
    ) {
        let mut pen = Device::new("acme", "pen-1", 1);
        let frames = [transition(&pen, "rule.1", &unit, value), pen.strokes(0, &depths, &[])];
        records(&frames).iter().for_each(check);
    }

    #[test]
    fn foreign_bytes_in_the_spool_are_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut reader = FrameReader::new(Arc::new(OneModel));
        let _ = reader.decode(&bytes);
        let mut mutated = Device::new("acme", "pen-1", 1).range(0, 20).encode();
        let at = flip.index(mutated.len());
        mutated[at] ^= 1 << bit;
        let _ = reader.decode(&mutated);
    }
}

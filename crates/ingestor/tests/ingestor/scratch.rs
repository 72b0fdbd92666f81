//! Roll-ups from scratch, by other means than the program's: what tests compare with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ingestor::frame::FrameReader;
use ingestor::record::Record;
use ingestor::value::Value;
use telemetry::Admitted;

use crate::support::OneModel;

/// A roll-up by name of field; what is absent is left out.
pub(crate) type Row = BTreeMap<String, String>;

/// Start of a period, tenant, device, zone.
type Key = (i64, String, String, String);

/// All roll-ups of some frames, from scratch and by other means: each point once, numbers in the words of the definition.
pub(crate) fn from_scratch(frames: &[Admitted], table: &str) -> Vec<Row> {
    let (subject, length_ns) = (
        table.split('_').next().unwrap(),
        if table.ends_with("1m") { 60 } else { 3_600 },
    );
    let length_ns = length_ns * 1_000_000_000_i64;
    let mut reader = FrameReader::new(Arc::new(OneModel));
    let mut points: BTreeMap<Key, Vec<HashMap<&str, f64>>> = BTreeMap::new();
    let mut seen = std::collections::HashSet::new();
    for frame in frames {
        for record in reader.decode(&frame.encode()).unwrap().records {
            let zone = record.zone().map_or("", |zone| zone.as_str()).to_owned();
            let mine = matches!(
                (&record, subject),
                (Record::StrokeWindow(_), "stroke") | (Record::Pulse(_), "pulse")
            );
            let tags = Arc::clone(record.tags());
            let (tenant, device) = (tags.tenant.as_str().to_owned(), tags.device.as_str().to_owned());
            if !mine || !seen.insert((tenant.clone(), device.clone(), record.time_ns(), zone.clone())) {
                continue;
            }
            let mut fields = HashMap::new();
            record.each(|field, value| {
                match value {
                    Some(Value::Integer(n)) => fields.insert(field.name, n as f64),
                    Some(Value::Float(n)) => fields.insert(field.name, n.get()),
                    Some(Value::Boolean(yes)) => fields.insert(field.name, f64::from(u8::from(yes))),
                    _ => None,
                };
            });
            let start = record.time_ns().div_euclid(length_ns) * length_ns;
            points.entry((start, tenant, device, zone)).or_default().push(fields);
        }
    }
    points
        .into_iter()
        .map(|(key, points)| expected(key, subject, &points))
        .collect()
}

fn expected(key: Key, subject: &str, points: &[HashMap<&str, f64>]) -> Row {
    let (start, tenant, device, zone) = key;
    let kind = if device.starts_with("ipl") { "ipl" } else { "pen" };
    let mut row = Row::from([
        ("time_ns".to_owned(), start.to_string()),
        ("tenant".to_owned(), tenant),
        ("device".to_owned(), device),
        ("clinic".to_owned(), "north".to_owned()),
        ("model".to_owned(), "model-1".to_owned()),
        ("kind".to_owned(), kind.to_owned()),
    ]);
    if !zone.is_empty() {
        row.insert("zone".to_owned(), zone);
    }
    let all = |name: &str| -> Vec<f64> { points.iter().filter_map(|p| p.get(name).copied()).collect() };
    let mut put = |name: &str, value: Option<f64>| {
        if let Some(value) = value {
            row.insert(name.to_owned(), value.to_string());
        }
    };
    let sum = |name: &str| Some(all(name)).filter(|v| !v.is_empty()).map(|v| v.iter().sum::<f64>());
    let least = |name: &str| all(name).into_iter().reduce(f64::min);
    let most = |name: &str| all(name).into_iter().reduce(f64::max);
    if subject == "stroke" {
        put("windows", Some(points.len() as f64));
        for name in [
            "count",
            "unread",
            "depth_sum_um",
            "depth_sum_squares_um2",
            "over_limit",
            "duration_us",
        ] {
            put(name, sum(name));
        }
        for band in 0..16 {
            let name = format!("band1_{band:02}");
            put(&name, sum(&name));
        }
        let read = sum("count").unwrap() - sum("unread").unwrap();
        put(
            "depth_mean_um",
            sum("depth_sum_um").filter(|_| read > 0.0).map(|s| s / read),
        );
        put("depth_min_um", least("depth_min_um"));
        put("depth_max_um", most("depth_max_um"));
        for (name, of) in [("setpoint", "setpoint_um"), ("limit", "limit_um")] {
            put(&format!("{name}_min_um"), least(of));
            put(&format!("{name}_max_um"), most(of));
        }
        return row;
    }
    put("count", Some(points.len() as f64));
    put("fired", Some(all("fired").iter().sum()));
    put("fired_told", Some(all("fired").len() as f64));
    for (name, unit) in [
        ("energy_set", "mj"),
        ("energy_measured", "mj"),
        ("fluence_set", "mj_per_cm2"),
        ("fluence_measured", "mj_per_cm2"),
    ] {
        let of = format!("{name}_{unit}");
        let told = all(&of).len() as f64;
        put(&format!("{name}_count"), Some(told));
        put(&format!("{name}_min_{unit}"), least(&of));
        put(&format!("{name}_max_{unit}"), most(&of));
        put(&format!("{name}_sum_{unit}"), sum(&of));
        put(&format!("{name}_mean_{unit}"), sum(&of).map(|s| s / told));
    }
    for name in ["skin_temperature", "tip_temperature"] {
        put(&format!("{name}_min_mdegc"), least(&format!("{name}_mdegc")));
        put(&format!("{name}_max_mdegc"), most(&format!("{name}_mdegc")));
    }
    put("lamp_shots_min", least("lamp_shots"));
    put("lamp_shots_max", most("lamp_shots"));
    row
}

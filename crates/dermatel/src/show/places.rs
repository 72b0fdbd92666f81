//! Places: the fleet, a clinic, a device.
use console::{Texts, fill};
use serde_json::Value;

use super::line::{Table, at, day, each, facts, head, time, word, words, wrapped};
use super::{alerts, treatment};
use crate::text::grouped;

/// Open alerts by priority, as `2 high, 1 low`.
fn open(of: &Value) -> String {
    let counted = ["high", "medium", "low", "info"].iter().filter_map(|priority| {
        let alerts = at(of, "open")[*priority].as_u64().filter(|n| *n > 0)?;
        Some(format!("{alerts} {priority}"))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() {
        "-".to_owned()
    } else {
        counted.join(", ")
    }
}

/// What is counted of a place, without what is none.
fn counted(of: &Value) -> String {
    let some = |name: &str, words: &str| {
        let n = at(of, name).as_u64().filter(|n| *n > 0)?;
        Some(format!("{} {words}", grouped(n)))
    };
    let there = [
        some("in_session", "in a treatment"),
        some("silent", "SILENT in a treatment"),
        some("on_line", "on line"),
        some("off_line", "off line"),
        some("never_seen", "never seen"),
    ];
    let owed = [
        some("overdue", "OVERDUE"),
        some("due", "due"),
        some("failed", "after a failed cycle"),
    ];
    let joined = |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let alerts = match open(of).as_str() {
        "-" => "no open alert".to_owned(),
        open => format!("open alerts: {open}"),
    };
    let devices = format!("{} devices", word(of, "devices"));
    let parts = [devices, joined(there.to_vec()), joined(owed.to_vec()), alerts];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// That other clinics are looked after by another instance, if they are: what is not here may be there.
pub(super) fn elsewhere(view: &Value) -> String {
    let clinics = at(view, "elsewhere").as_u64().filter(|n| *n > 0);
    let texts = Texts::english().unwrap_or_default();
    clinics.map_or_else(String::new, |n| {
        let text = texts.find("apart.clinics").unwrap_or("{n} clinics elsewhere");
        wrapped(&fill(text, &[("n", &n.to_string())]), 0)
    })
}

/// The fleet.
pub(super) fn fleet(view: &Value) -> String {
    let clinics = each(view, "clinics").map(|clinic| {
        let name = format!("{}/{}\n", word(clinic, "tenant"), word(clinic, "clinic"));
        name + &wrapped(&counted(clinic), 4)
    });
    clinics.collect::<String>() + "all\n" + &wrapped(&counted(at(view, "total")), 4) + &elsewhere(view)
}

/// A clinic.
pub(super) fn clinic(view: &Value) -> String {
    let mut devices = Table::new(["device", "there?", "sterilized", "disinfected", "open alerts"]);
    for device in each(view, "devices") {
        let there = if at(device, "retired") == true {
            "retired".to_owned()
        } else {
            words(device, "presence")
        };
        let failed = if at(device, "failed") == true {
            ", after a FAILED cycle"
        } else {
            ""
        };
        devices.row([
            word(device, "device"),
            there,
            words(device, "sterilization"),
            words(device, "disinfection"),
            open(device) + failed,
        ]);
    }
    format!(
        "{} ({}/{}), {}\n{}{}{}{}",
        word(view, "name"),
        word(view, "tenant"),
        word(view, "clinic"),
        word(view, "time_zone"),
        head("Devices"),
        devices.text("No device stands here."),
        head("Treatments of the last 24 hours"),
        treatment::list(at(view, "sessions"), 100),
    )
}

/// A device.
pub(super) fn device(view: &Value) -> String {
    let device = at(view, "device");
    let said = at(view, "facts.value");
    let left = match at(view, "life.lamp_left_percent").as_u64() {
        Some(percent) => format!("{} pulses, {percent} % left", word(view, "life.lamp_shots")),
        None => word(view, "life.lamp_shots"),
    };
    let expired = if at(view, "life.pack_expired") == true {
        ", expired"
    } else {
        ""
    };
    let pack = match day(view, "life.pack_expiry_day") {
        none if none == "-" => none,
        day => day + expired,
    };
    let known = [
        (
            "clinic",
            format!("{}/{}", word(device, "tenant"), word(device, "clinic")),
        ),
        (
            "model",
            format!("{}, {}", word(view, "model_name"), word(view, "maker")),
        ),
        ("serial", word(device, "serial")),
        ("there?", words(device, "presence")),
        ("connected", word(view, "connected")),
        ("last heard", time(device, "heard_at_us")),
        ("treatment", word(device, "session")),
        ("firmware", word(said, "birth.firmware")),
        ("calibrated", day(said, "birth.calibrated_day")),
        ("battery in %", word(said, "heartbeat.battery_percent")),
        ("frames waiting", word(said, "heartbeat.queued_frames")),
        ("frames dropped", word(said, "heartbeat.dropped_frames")),
        ("cartridge", word(said, "cartridge.cartridge")),
        ("lot", word(said, "cartridge.lot")),
        ("pack good until", pack),
        ("lamp", left),
        ("sterilization", words(view, "hygiene.sterilization")),
        ("sterilized", time(view, "hygiene.sterilized_at_us")),
        ("good until", time(view, "hygiene.sterilization_due_us")),
        ("disinfection", words(view, "hygiene.disinfection")),
        ("disinfected", time(view, "hygiene.wiped.at_us")),
        ("not known", word(view, "facts.trouble")),
    ];
    format!(
        "{}\n\n{}{}{}{}{}",
        word(device, "device"),
        facts(&known),
        head("Open alerts"),
        alerts::of(view, "alerts"),
        head("Last treatments (30 days)"),
        treatment::list(at(view, "sessions"), 20),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_one_instance_says_that_another_one_has_clinics_too() {
        assert!(elsewhere(&json!({"elsewhere": 1})).starts_with("1 clinic is looked after by another"));
        assert!(elsewhere(&json!({"elsewhere": 2})).starts_with("2 clinics are"));
        assert_eq!(elsewhere(&json!({"elsewhere": 0})) + &elsewhere(&json!({})), "");
    }
}

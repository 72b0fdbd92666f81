//! What is judged by, as lines that people can read, so that the journal says what a change of rules or registry changed.
use std::collections::BTreeMap;

use registry::{Limits, Policy, Registry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use telemetry::{SkinType, Zone};

use crate::paging::Plan;
use crate::rules::Ruleset;

/// Most differences that stand in one row of the journal; how many more there are is said.
const MAX_CHANGES: usize = 100;
/// Most lines that are kept to compare with; a registry with more says only its version.
const MAX_LINES: usize = 20_000;

/// Versions and lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Judged {
    rules: String,
    registry: String,
    #[serde(default)]
    plan: String,
    lines: BTreeMap<String, String>,
}

impl Judged {
    pub(super) fn new(rules: &Ruleset, registry: &Registry, plan: &Plan) -> Self {
        let mut lines = rules.lines();
        registry_lines(registry, &mut lines);
        lines.retain({
            let mut left = MAX_LINES;
            move |_, _| {
                left = left.saturating_sub(1);
                left > 0
            }
        });
        Self {
            rules: rules.version.clone(),
            registry: registry.version().to_string(),
            plan: plan.version.clone(),
            lines,
        }
    }

    /// The journal's row: versions, and each line that says something else than before. Without a before, no lines.
    pub(super) fn row(&self, before: Option<&Self>) -> Value {
        let Some(before) = before else {
            return json!({"rules": self.rules, "registry": self.registry, "plan": self.plan});
        };
        let mut changes = Vec::new();
        let names = before
            .lines
            .keys()
            .chain(self.lines.keys().filter(|name| !before.lines.contains_key(*name)));
        for name in names {
            let (from, to) = (before.lines.get(name), self.lines.get(name));
            if from != to {
                changes.push(json!({"what": name, "from": from, "to": to}));
            }
        }
        let more = changes.len().saturating_sub(MAX_CHANGES);
        changes.truncate(MAX_CHANGES);
        json!({"rules": self.rules, "registry": self.registry, "plan": self.plan, "rules_before": before.rules,
            "registry_before": before.registry, "plan_before": before.plan, "changes": changes, "more_changes": more})
    }
}

/// Limits and policy of every model, and of every device that has others than its model.
fn registry_lines(registry: &Registry, into: &mut BTreeMap<String, String>) {
    for model in registry.models() {
        limits_lines(&format!("model {}", model.id), &model.limits, into);
        policy_lines(&format!("model {}", model.id), &model.policy, into);
    }
    for device in registry.devices() {
        if into.len() >= MAX_LINES {
            return;
        }
        let Some(model) = registry.model(&device.model) else {
            continue;
        };
        let name = || format!("device {}/{}", device.key.tenant, device.key.device);
        if let Some(limits) = registry.limits(&device.key).filter(|limits| **limits != *model.limits) {
            limits_lines(&name(), &limits, into);
        }
        if let Some(policy) = registry.policy(&device.key).filter(|policy| **policy != *model.policy) {
            policy_lines(&name(), &policy, into);
        }
    }
}

fn limits_lines(prefix: &str, limits: &Limits, into: &mut BTreeMap<String, String>) {
    let mut put = |name: &str, value: String| into.insert(format!("{prefix} {name}"), value);
    if let Some(needle) = &limits.needle {
        put("depth_max_um", needle.depth_max_absolute.get().to_string());
        put("depth_tolerance_um", needle.depth_tolerance.get().to_string());
        put("depth_sigma_um", needle.depth_sigma.get().to_string());
        put("stroke_rate_min_hz", needle.stroke_rate_min_hz.to_string());
        put("stroke_rate_max_hz", needle.stroke_rate_max_hz.to_string());
        for zone in Zone::ALL {
            let max = needle.depth_max(Some(*zone)).get();
            put(&format!("zone_depth_max_um {}", zone.as_str()), max.to_string());
        }
    }
    if let Some(light) = &limits.light {
        put("fluence_max_mj_per_cm2", light.fluence_max_absolute.get().to_string());
        put(
            "fluence_tolerance_permille",
            light.fluence_tolerance_permille.to_string(),
        );
        let noise = (light.energy_sigma_permille, light.energy_meter_tolerance_permille);
        put("energy noise, meter", format!("{noise:?}"));
        for skin in SkinType::ALL {
            let max = light.fluence_max(Some(*skin)).get();
            put(
                &format!("skin_fluence_max_mj_per_cm2 {}", skin.as_str()),
                max.to_string(),
            );
        }
        let others = (
            light.energy_max,
            light.spot_area_min,
            light.pulse_interval_min,
            light.lamp_life_shots,
        );
        put("energy, spot, interval, lamp", format!("{others:?}"));
        let hot = (
            light.skin_temperature_max,
            light.tip_temperature_max,
            light.tip_temperature_min,
        );
        put("temperatures", format!("{hot:?}"));
    }
}

fn policy_lines(prefix: &str, policy: &Policy, into: &mut BTreeMap<String, String>) {
    // One field a line, as it prints itself: what is added to a policy is compared without a word here.
    for line in format!("{policy:#?}")
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
    {
        if let Some((name, value)) = line.split_once(": ") {
            into.insert(format!("{prefix} {name}"), value.to_owned());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const RULE: &str = "[[rule]]\nid = \"depth-above-limit\"\nkind = \"depth_above_limit\"\npriority = \"high\"\nwhat_to_do = \"stop\"\n\
        [rule.parameters]\nk_strokes = 3\nn_strokes = 5\nclear_after_strokes = 20\n";

    fn judged(rule: &str, tolerance: u32) -> Judged {
        let rules = crate::rules::parse(&[("rules.toml".to_owned(), rule.to_owned())]).unwrap();
        let mut sources = registry::render::example();
        for (_, text) in sources.iter_mut().filter(|(name, _)| name == "models/np-15.toml") {
            *text = text.replace("depth_tolerance_um = 150", &format!("depth_tolerance_um = {tolerance}"));
        }
        Judged::new(&rules, &Registry::from_sources(&sources).unwrap(), &Plan::default())
    }

    #[test]
    fn a_change_says_which_parameter_and_which_limit_was_what_before() {
        let before = judged(RULE, 150);
        let after = judged(&RULE.replace("k_strokes = 3", "k_strokes = 4"), 120);
        let row = after.row(Some(&before));
        assert_eq!(
            row["changes"],
            json!([
                {"what": "depth-above-limit k_strokes", "from": "3", "to": "4"},
                {"what": "model np-15 depth_tolerance_um", "from": "150", "to": "120"},
            ])
        );
        assert_ne!(row["rules"], row["rules_before"]);
        assert_ne!(row["registry"], row["registry_before"]);
    }

    #[test]
    fn a_restart_with_the_same_rules_says_that_nothing_changed() {
        let row = judged(RULE, 150).row(Some(&judged(RULE, 150)));
        assert_eq!(row["changes"], json!([]));
    }

    #[test]
    fn a_large_change_is_cut_and_says_how_much_it_left_out() {
        let before = Judged::default();
        let lines = (0..MAX_CHANGES + 7)
            .map(|n| (format!("{n:05}"), String::new()))
            .collect();
        let row = Judged {
            lines,
            ..Judged::default()
        }
        .row(Some(&before));
        assert_eq!(
            (row["changes"].as_array().unwrap().len(), &row["more_changes"]),
            (MAX_CHANGES, &json!(7))
        );
    }
}

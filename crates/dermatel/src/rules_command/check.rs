//! `dermatel rules check`: what is wrong with rules, and how often they would page for nothing by the noise that the registry
//! declares, against their budget.
use std::path::PathBuf;

use alerting::RegistryFleet;
use alerting::rules::expect::{Assumptions, Expected, Noise, expect};
use alerting::rules::{Budget, RulesError, files_of, parse, places};
use anyhow::Result;
use clap::Args;
use registry::{DeviceState, Registry};
use telemetry::DeviceKey;

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Folder of rules
    rules: PathBuf,
    /// Folder of the registry that declares noise, tolerances and limits
    #[arg(long)]
    registry: PathBuf,
}

/// Prints everything that is wrong, or the table; exit code 1 when the rules are to be refused.
pub(super) fn run(options: &Check) -> Result<i32> {
    let files = files_of(&options.rules)?;
    let (rules, registry) = match (parse(&files), Registry::load(&options.registry)) {
        (Ok(rules), Ok(registry)) => (rules, registry),
        (rules, registry) => {
            told(rules.err(), registry.err());
            return Ok(1);
        }
    };
    let devices: Vec<DeviceKey> = registry
        .devices()
        .filter(|device| device.state == DeviceState::Active)
        .map(|device| device.key.clone())
        .collect();
    let budget = rules.budget;
    let fleet = RegistryFleet(std::sync::Arc::new(registry));
    let assumed = Assumptions::default();
    let expected = expect(&rules, &fleet, &devices, &assumed);
    print!("{}", table(&expected, &assumed));
    let refused = refusals(&expected, budget, &places(&files));
    for line in &refused {
        println!("{line}");
    }
    if refused.is_empty() {
        let (rules, per) = (expected.len(), budget.per_1000_device_days());
        println!("{rules} rules: fine, within the budget of {per} false pages in 1,000 device-days");
    }
    Ok(i32::from(!refused.is_empty()))
}

fn told(rules: Option<RulesError>, registry: Option<registry::LoadErrors>) {
    match rules {
        Some(RulesError::Faults(faults)) => faults.iter().for_each(|fault| println!("{fault}")),
        Some(other) => println!("{:#}", anyhow::Error::from(other)),
        None => {}
    }
    if let Some(errors) = registry {
        println!("{errors}");
    }
}

/// One line per rule that is beyond the budget, or for the largest when only their sum is.
fn refusals(expected: &[Expected], budget: Budget, places: &[(String, String, usize)]) -> Vec<String> {
    let most = budget.per_1000_device_days();
    let rate = |e: &Expected| e.per_1000_device_days.unwrap_or(0.0);
    let line = |e: &Expected, what: String| {
        let place = places.iter().find(|(id, _, _)| id.as_str() == &*e.head.id);
        let at = place.map_or_else(String::new, |(_, file, line)| format!("{file}:{line}: "));
        format!("{at}{}: {what}, the budget is {most}", e.head.id)
    };
    let mut refused: Vec<String> = expected
        .iter()
        .filter(|e| rate(e) > most)
        .map(|e| {
            line(
                e,
                format!(
                    "{} false pages in 1,000 device-days are expected of noise alone",
                    show(rate(e))
                ),
            )
        })
        .collect();
    let sum: f64 = expected.iter().map(rate).sum();
    let largest = expected.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)));
    if let (true, true, Some(largest)) = (refused.is_empty(), sum > most, largest) {
        refused.push(line(
            largest,
            format!(
                "all rules together are expected to make {} false pages in 1,000 device-days, this one the most",
                show(sum)
            ),
        ));
    }
    refused
}

fn table(expected: &[Expected], assumed: &Assumptions) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("expected false pages in 1,000 device-days, at most\n");
    let mut sum = 0.0;
    let (mut undeclared, mut without): (Vec<&str>, Vec<&str>) = Default::default();
    for e in expected {
        let Some(rate) = e.per_1000_device_days else {
            match e.noise {
                Noise::None => without.push(&e.head.id),
                Noise::Declared | Noise::Undeclared => undeclared.push(&e.head.id),
            }
            continue;
        };
        sum += rate;
        let worst = e
            .worst
            .as_ref()
            .map_or_else(String::new, |(key, rate)| format!("worst {key} {}", show(*rate)));
        let _ = writeln!(
            out,
            "  {:<28} {:>10}  {} devices, {worst}; {}",
            e.head.id,
            show(rate),
            e.devices,
            e.how
        );
    }
    let _ = writeln!(out, "  {:<28} {:>10}", "all", show(sum));
    let _ = writeln!(
        out,
        "assumed: {} strokes, {} seconds of strokes, {} sessions, {} pulses a day; neighbouring strokes correlated by {}, seconds, \
         sessions and pulses independent; staff set {} sigma below the limit; births tell the factory offset",
        assumed.strokes_per_day,
        assumed.seconds_per_day,
        assumed.sessions_per_day,
        assumed.pulses_per_day,
        assumed.lag_1,
        assumed.headroom_sigma
    );
    let _ = writeln!(
        out,
        "not judged, nobody declares their noise (see bench detection): {}",
        undeclared.join(", ")
    );
    let _ = writeln!(
        out,
        "without noise, they look at what is set, counted, dated or told: {}",
        without.join(", ")
    );
    out
}

fn show(rate: f64) -> String {
    match rate {
        small if small < 1e-6 => "below 1e-6".to_owned(),
        rate if rate < 0.01 => format!("{rate:.1e}"),
        rate => format!("{rate:.2}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    const HEAD: &str =
        "[[rule]]\nid = \"too-deep\"\nkind = \"depth_above_limit\"\npriority = \"high\"\nwhat_to_do = \"Stop.\"\n";

    fn deploy(below: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(below)
    }

    fn expected(text: &str) -> (Vec<Expected>, Vec<String>) {
        expected_of(text, "")
    }

    /// Of the devices that are called so; empty: of all.
    fn expected_of(text: &str, name: &str) -> (Vec<Expected>, Vec<String>) {
        let files = [("r.toml".to_owned(), text.to_owned())];
        let rules = parse(&files).unwrap();
        let registry = Registry::load(&deploy("registry")).unwrap();
        let called = registry
            .devices()
            .filter(|d| name.is_empty() || d.key.to_string() == name);
        let pens: Vec<_> = called.map(|d| d.key.clone()).collect();
        let fleet = RegistryFleet(Arc::new(registry));
        let expected = expect(&rules, &fleet, &pens, &Assumptions::default());
        let refused = refusals(&expected, rules.budget, &places(&files));
        (expected, refused)
    }

    fn windows(k: u32, rest: &str) -> String {
        format!("{HEAD}parameters = {{ k_strokes = {k}, n_strokes = 10, clear_after_strokes = 200{rest} }}\n")
    }

    /// The guard band is 6 sigma beyond the tolerance: 540,000 strokes with 9.866e-10 each are 0.533 in 1,000 days. 3 of 10
    /// with 6 sigma of headroom add 36 x Q(6 x sqrt(9 / 6.12)) = 36 x 1.75e-13 each, which is 0.003.
    #[test]
    fn the_guard_band_of_six_sigma_costs_half_a_false_page_in_a_thousand_days() {
        let (expected, refused) = expected(&windows(3, ""));
        let rate = expected[0].per_1000_device_days.unwrap();
        assert!((rate - 0.536).abs() < 0.005, "{rate}");
        assert_eq!(refused, Vec::<String>::new());
    }

    #[test]
    fn one_stroke_of_ten_or_a_narrow_guard_band_are_refused_with_file_and_line() {
        // 1 of 10: each stroke beyond 6 sigma, again 0.533, so both are above 1.
        for text in [windows(1, ""), windows(3, ", guard_band_um = 200")] {
            let (_, refused) = expected(&format!("# One rule.\n\n{text}"));
            assert_eq!(refused.len(), 1, "{refused:?}");
            assert!(refused[0].starts_with("r.toml:3: too-deep: "), "{refused:?}");
        }
    }

    fn pulse_rule(tolerance_permille: u32) -> String {
        format!(
            "[[rule]]\nid = \"too-much\"\nkind = \"pulse_above_set\"\npriority = \"high\"\nwhat_to_do = \"Stop.\"\n\
             parameters = {{ tolerance_permille = {tolerance_permille} }}\n"
        )
    }

    /// The shipped unit declares 20 permille of noise and a meter that may be off by 50. A tolerance of 150 is (150 - 50) / 20 = 5
    /// sigma: 2,000 pulses with 2.867e-7 each are 0.573 in 1,000 days. One of 140 is 4.5 sigma: 3.398e-6 each are 6.80.
    #[test]
    fn a_rule_on_energy_is_judged_by_the_noise_that_its_unit_declares() {
        let (fine, refused) = expected(&pulse_rule(150));
        let rate = fine[0].per_1000_device_days.unwrap();
        assert!((rate - 0.573).abs() < 0.002, "{rate}");
        assert_eq!(refused, Vec::<String>::new());
        let (narrow, refused) = expected(&pulse_rule(140));
        let rate = narrow[0].per_1000_device_days.unwrap();
        assert!((rate - 6.80).abs() < 0.02, "{rate}");
        assert!(
            refused.len() == 1 && refused[0].starts_with("r.toml:1: too-much: "),
            "{refused:?}"
        );
    }

    /// A meter that is off by 50 takes that much of a limit on the mean: with weight 0.1 the mean varies by 20 x 0.2294 = 4.59
    /// permille, so 55 is about one sigma away and 150 more than 20.
    #[test]
    fn a_meter_that_may_be_off_takes_its_share_of_a_limit_on_the_lamp() {
        let lamp = |limit: u32| {
            format!(
                "[[rule]]\nid = \"lamp\"\nkind = \"lamp_drift\"\npriority = \"low\"\nwhat_to_do = \"Look.\"\n\
                 parameters = {{ limit_permille = {limit}, weight_permille = 100 }}\n"
            )
        };
        assert_eq!(expected(&lamp(150)).1, Vec::<String>::new());
        assert_eq!(expected(&lamp(55)).1.len(), 1);
    }

    fn of_seconds(id: &str, parameters: &str) -> String {
        format!(
            "[[rule]]\nid = \"{id}\"\nkind = \"{}\"\npriority = \"low\"\nwhat_to_do = \"Look.\"\nparameters = {{ {parameters} }}\n",
            id.replace('-', "_")
        )
    }

    /// The shipped pens declare 20 um, at most 160 Hz, and a tolerance of 150 um. Three strokes alike have a chance of 6.215e-4.
    /// Seconds wider than 9 sigma, 2 x 160 x Q(4.5) = 1.087e-3 each, three in a row: its cube. Strokes below 0.9 x 150 are 15 um
    /// away, 0.75 sigma: twice Q(0.75), 0.4533, one second is enough.
    #[test]
    fn rules_on_the_sensor_are_judged_by_the_noise_that_its_pen_declares() {
        for (id, parameters, wrong, by_hand, right) in [
            (
                "depth-sensor-stuck",
                "n_strokes = 3, clear_after_strokes = 600",
                540_000.0,
                6.215e-4,
                "n_strokes = 300, clear_after_strokes = 600",
            ),
            (
                "depth-sensor-jitter",
                "range_sigma = 9, k_s = 3, n_s = 3, clear_after_s = 10",
                3_600.0,
                1.284e-9,
                "range_sigma = 12, k_s = 5, n_s = 8, clear_after_s = 10",
            ),
            (
                "depth-too-shallow",
                "share_permille = 900, k_s = 1, n_s = 1, clear_after_s = 10",
                3_600.0,
                0.4533,
                "share_permille = 250, k_s = 5, n_s = 8, clear_after_s = 10",
            ),
        ] {
            let (found, refused) = expected_of(&of_seconds(id, parameters), "aurora/pen-0001");
            let rate = found[0].per_1000_device_days.unwrap();
            assert!((rate / (wrong * 1_000.0 * by_hand) - 1.0).abs() < 0.01, "{id}: {rate}");
            assert_eq!(refused.len(), usize::from(rate > 1.0), "{refused:?}");
            assert!(
                expected(&of_seconds(id, right)).0[0].per_1000_device_days.unwrap() < 1e-6,
                "{id}"
            );
        }
    }

    #[test]
    fn a_rule_that_is_not_judged_says_whether_that_is_because_nobody_declares_noise_or_because_there_is_none() {
        let rules = parse(&files_of(&deploy("rules")).unwrap()).unwrap();
        let registry = Registry::load(&deploy("registry")).unwrap();
        let devices: Vec<_> = registry.devices().map(|d| d.key.clone()).collect();
        let assumed = Assumptions::default();
        let table = table(
            &expect(&rules, &RegistryFleet(Arc::new(registry)), &devices, &assumed),
            &assumed,
        );
        let line = |begins: &str| table.lines().find(|line| line.starts_with(begins)).unwrap().to_owned();
        let (undeclared, without) = (line("not judged"), line("without noise"));
        assert!(
            undeclared.contains("skin-too-hot") && !undeclared.contains("cartridge-reused"),
            "{undeclared}"
        );
        assert!(
            without.contains("cartridge-reused") && !without.contains("depth-sensor-stuck"),
            "{without}"
        );
    }

    #[test]
    fn the_budget_of_the_rules_decides() {
        let strict = format!("[budget]\nfalse_pages_per_1000_device_days = 0.1\n{}", windows(3, ""));
        assert_eq!(expected(&strict).1.len(), 1);
        let lax = format!("[budget]\nfalse_pages_per_1000_device_days = 2\n{}", windows(1, ""));
        assert_eq!(expected(&lax).1, Vec::<String>::new());
    }

    #[test]
    fn the_rules_that_are_shipped_keep_their_budget_and_broken_ones_end_with_1() {
        let check = |rules: PathBuf| {
            let registry = deploy("registry");
            run(&Check { rules, registry }).unwrap()
        };
        assert_eq!(check(deploy("rules")), 0);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("r.toml"),
            "[budget]\nfalse_pages_per_1000_device_days = -1\n",
        )
        .unwrap();
        assert_eq!(check(dir.path().to_owned()), 1);
    }
}

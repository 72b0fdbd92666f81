//! The one stylesheet and the one script, within the program.
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Where the stylesheet is.
pub(crate) const STYLE_PATH: &str = "/console/console.css";
/// Where the script is.
pub(crate) const SCRIPT_PATH: &str = "/console/console.js";

const STYLE: &str = concat!(
    include_str!("../assets/console.css"),
    "\n",
    include_str!("../assets/pages.css")
);
const SCRIPT: &str = include_str!("../assets/console.js");

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// What differs between versions of the program, for the address of what is cached.
pub(crate) fn version() -> String {
    let digest = registry::sha256([STYLE, SCRIPT].concat().as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        // The pages name it with its version.
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The colours of a `:root` block.
    fn colours(block: &str) -> BTreeMap<&str, [f64; 3]> {
        let said = block.split_once('{').unwrap().1.split_once('}').unwrap().0;
        let pairs = said.split(';').filter_map(|pair| pair.trim().split_once(':'));
        let colour = |hex: &str| {
            let digit = |at: usize| f64::from(u8::from_str_radix(&hex[at..=at], 16).unwrap());
            match hex.len() {
                3 => [0, 1, 2].map(|at| digit(at) * 17.0 / 255.0),
                _ => [0, 2, 4].map(|at| (digit(at) * 16.0 + digit(at + 1)) / 255.0),
            }
        };
        pairs
            .map(|(name, value)| (name.trim(), colour(value.trim().strip_prefix('#').unwrap())))
            .collect()
    }

    /// Relative luminance as WCAG 2 has it.
    fn luminance(colour: [f64; 3]) -> f64 {
        let [r, g, b] = colour.map(|c| match c <= 0.04045 {
            true => c / 12.92,
            false => ((c + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn whatever_is_to_be_read_stands_out_by_4_5_to_1_in_the_light_in_the_dark_and_on_paper() {
        let mut blocks = STYLE.split(":root").skip(1).map(colours);
        let light = blocks.next().unwrap();
        let with = |over: &BTreeMap<&'static str, [f64; 3]>| {
            let mut all = light.clone();
            all.extend(over);
            all
        };
        let (dark, paper) = (with(&blocks.next().unwrap()), with(&blocks.next().unwrap()));
        // Text on what it stands on, the texts of charts too.
        let mut read = vec![("--act-ink", "--act"), ("--soft", "--note"), ("--ink", "--note")];
        for priority in ["high", "medium", "low", "info"] {
            read.push(match priority {
                "high" => ("--high-ink", "--high"),
                "medium" => ("--medium-ink", "--medium"),
                "low" => ("--low-ink", "--low"),
                _ => ("--info-ink", "--info"),
            });
        }
        for ground in ["--ground", "--paper"] {
            read.extend(["--ink", "--soft", "--link", "--act", "--set", "--limit"].map(|ink| (ink, ground)));
        }
        // Lines that say something, and where the keyboard is: WCAG 2 asks for 3 to 1.
        let seen = [("--trace", "--paper"), ("--focus", "--ground"), ("--focus", "--paper")];
        for (name, colours) in [("light", light.clone()), ("dark", dark), ("paper", paper)] {
            for (pairs, least) in [(&read[..], 4.5), (&seen[..], 3.0)] {
                for (ink, ground) in pairs {
                    let ratio = contrast(colours[ink], colours[ground]);
                    assert!(
                        ratio >= least,
                        "{name}: {ink} on {ground} is {ratio:.2} to 1, {least} is wanted"
                    );
                }
            }
        }
    }
}

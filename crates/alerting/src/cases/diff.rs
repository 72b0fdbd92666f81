//! What a case expected beside what it got, as people compare texts: `-` did not come, `+` was not expected.
use std::fmt::Write as _;

use super::{Expect, Line};

/// The difference; `None`: there is none.
pub fn diff(expect: &[Expect], got: &[Line]) -> Option<String> {
    let common = common(expect, got);
    let (mut e, mut g, mut out, mut same) = (0, 0, String::new(), true);
    for (at_e, at_g) in common.into_iter().chain([(expect.len(), got.len())]) {
        for missing in expect.get(e..at_e).unwrap_or_default() {
            same = false;
            let _ = writeln!(out, "  - {}", told(missing));
        }
        for extra in got.get(g..at_g).unwrap_or_default() {
            same = false;
            let _ = writeln!(out, "  + {extra}");
        }
        if let Some(line) = got.get(at_g) {
            let _ = writeln!(out, "    {line}");
        }
        (e, g) = (at_e + 1, at_g + 1);
    }
    (!same).then_some(out)
}

/// Pairs of a longest common subsequence, ascending.
fn common(expect: &[Expect], got: &[Line]) -> Vec<(usize, usize)> {
    let width = got.len() + 1;
    let mut longest = vec![0usize; (expect.len() + 1) * width];
    let cell = |e: usize, g: usize| e * width + g;
    let at = |table: &[usize], e: usize, g: usize| table.get(cell(e, g)).copied().unwrap_or(0);
    for (e, want) in expect.iter().enumerate().rev() {
        for (g, have) in got.iter().enumerate().rev() {
            let best = if have.is(want) {
                at(&longest, e + 1, g + 1) + 1
            } else {
                at(&longest, e + 1, g).max(at(&longest, e, g + 1))
            };
            if let Some(slot) = longest.get_mut(cell(e, g)) {
                *slot = best;
            }
        }
    }
    let (mut e, mut g, mut pairs) = (0, 0, Vec::new());
    while let (Some(want), Some(have)) = (expect.get(e), got.get(g)) {
        if have.is(want) {
            pairs.push((e, g));
            (e, g) = (e + 1, g + 1);
        } else if at(&longest, e + 1, g) >= at(&longest, e, g + 1) {
            e += 1;
        } else {
            g += 1;
        }
    }
    pairs
}

fn told(e: &Expect) -> String {
    let page = if e.page { " page" } else { "" };
    let number = |v: Option<f64>| v.map_or_else(|| "any".to_owned(), |v| format!("{v:.2}"));
    let (value, limit) = (number(e.value), number(e.limit));
    format!(
        "{}: {} -> {} ({}){page} {value} of {limit}",
        e.input, e.rule, e.to, e.why
    )
}

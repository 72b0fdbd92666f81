//! Lines, points and stacked bars over time, with limits, alerts and sessions.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::super::grafana::text;
use super::frame::Field;
use super::svg::{Svg, width};
use super::{Area, Shown, look};

/// Where values stand.
struct Scale {
    plot: Area,
    time: (i64, i64),
    value: (f64, f64),
}

impl Scale {
    fn x(&self, ms: i64) -> f64 {
        let (from, to) = (self.time.0 as f64, self.time.1 as f64);
        self.plot.x + ((ms as f64 - from) / (to - from)).clamp(0.0, 1.0) * self.plot.w
    }

    fn y(&self, value: f64) -> f64 {
        let (least, most) = self.value;
        self.plot.y + self.plot.h * (1.0 - ((value - least) / (most - least)).clamp(0.0, 1.0))
    }
}

pub(super) fn draw(svg: &mut Svg, panel: &Value, fields: &[Field], area: Area, shown: &Shown<'_>) {
    let style = text(&panel["fieldConfig"]["defaults"]["custom"], "drawStyle");
    let plot = Area {
        x: area.x + 62.0,
        w: area.w - 66.0,
        h: area.h - 44.0,
        ..area
    };
    let scale = Scale {
        plot,
        time: (shown.from_ms, shown.to_ms),
        value: range(panel, fields, style == "bars"),
    };
    axis(svg, panel, &scale);
    limits(svg, panel, &scale);
    if style != "bars" {
        marks(svg, &scale, shown);
    }
    let mut legend = Vec::new();
    if style == "bars" {
        stacked(svg, panel, fields, &scale);
    }
    for (n, field) in fields.iter().enumerate() {
        let colour = look::fixed(panel, &field.name).unwrap_or(look::palette(n));
        match style {
            "bars" => {}
            "points" => field
                .numbers()
                .for_each(|(at, value)| svg.dot(scale.x(at), scale.y(value), 2.5, colour)),
            _ => line(svg, panel, field, fields, colour, &scale),
        }
        legend.push((field.name.clone(), colour.to_owned()));
    }
    times(svg, plot, scale.time);
    self::legend(svg, (area.x, area.y + area.h - 2.0), &legend);
}

/// From the least to the greatest that must be seen.
fn range(panel: &Value, fields: &[Field], stacked: bool) -> (f64, f64) {
    let values = || fields.iter().flat_map(|field| field.numbers().map(|(_, value)| value));
    let mut most = values().fold(f64::NEG_INFINITY, f64::max);
    let mut least = values().fold(f64::INFINITY, f64::min);
    if stacked {
        let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
        fields
            .iter()
            .flat_map(Field::numbers)
            .for_each(|(at, value)| *sums.entry(at).or_default() += value);
        (least, most) = (0.0, sums.into_values().fold(1.0, f64::max));
    }
    let limits = look::steps(panel, "");
    if limits.len() > 1 {
        let near = limits
            .iter()
            .map(|(from, _)| *from)
            .filter(|from| from.is_finite() && *from < most * 1.6);
        most = near.fold(most, f64::max);
    }
    if !most.is_finite() || !least.is_finite() {
        return (0.0, 1.0);
    }
    let room = ((most - least) * 0.06).max(most.abs() * 0.01).max(1e-9);
    let least = look::number(panel, "", "min").unwrap_or(if stacked { 0.0 } else { least - room });
    (least, look::number(panel, "", "max").unwrap_or(most + room))
}

fn axis(svg: &mut Svg, panel: &Value, scale: &Scale) {
    let (least, most) = scale.value;
    let rough = (most - least) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|n| n * power)
        .find(|step| *step >= rough)
        .unwrap_or(power);
    let mut value = (least / step).ceil() * step;
    while value <= most {
        let y = scale.y(value);
        svg.line((scale.plot.x, y), (scale.plot.x + scale.plot.w, y), look::GRID, 1.0, "");
        svg.text(
            scale.plot.x - 6.0,
            y + 4.0,
            11.0,
            look::DIM,
            "end",
            &look::format(panel, "", value),
        );
        value += step;
    }
}

/// Times of the day below a plot.
pub(super) fn times(svg: &mut Svg, plot: Area, (from, to): (i64, i64)) {
    const MINUTES: [i64; 7] = [1, 2, 5, 15, 30, 60, 120];
    let most = (plot.w / 70.0) as i64;
    let step = MINUTES
        .iter()
        .map(|m| m * 60_000)
        .find(|step| (to - from) / step <= most)
        .unwrap_or(4 * 3_600_000);
    let mut at = (from / step + 1) * step;
    while at < to {
        let x = plot.x + (at - from) as f64 / (to - from) as f64 * plot.w;
        svg.text(
            x,
            plot.y + plot.h + 15.0,
            11.0,
            look::DIM,
            "middle",
            &look::minute(at)[11..],
        );
        at += step;
    }
}

/// Names with their colours in one line.
pub(super) fn legend(svg: &mut Svg, (mut x, y): (f64, f64), entries: &[(String, String)]) {
    for (name, colour) in entries {
        svg.rect(
            Area {
                x,
                y: y - 8.0,
                w: 12.0,
                h: 4.0,
            },
            colour,
            1.0,
        );
        svg.text(x + 17.0, y - 2.0, 11.5, look::TEXT, "start", name);
        x += 34.0 + width(name, 11.5);
    }
}

fn limits(svg: &mut Svg, panel: &Value, scale: &Scale) {
    if text(&panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"], "mode") != "dashed+area" {
        return;
    }
    let steps = look::steps(panel, "");
    for (n, (from, colour)) in steps.iter().enumerate() {
        let until = steps.get(n + 1).map_or(f64::INFINITY, |(next, _)| *next);
        let (top, bottom) = (scale.y(until), scale.y(*from));
        if bottom - top < 0.5 {
            continue;
        }
        svg.veil(
            Area {
                y: top,
                h: bottom - top,
                ..scale.plot
            },
            colour,
            0.07,
        );
        if from.is_finite() && *from > scale.value.0 {
            svg.line(
                (scale.plot.x, bottom),
                (scale.plot.x + scale.plot.w, bottom),
                colour,
                1.5,
                "8 5",
            );
        }
    }
}

/// Bands of sessions and lines of alerts.
fn marks(svg: &mut Svg, scale: &Scale, shown: &Shown<'_>) {
    for (annotation, series) in shown.dashboard.annotations().zip(&shown.annotations) {
        let colour = look::colour(text(annotation, "iconColor"));
        let until = text(&annotation["target"], "timeEndColumn");
        for one in series {
            let end = one.columns.iter().position(|column| column == until);
            for row in &one.rows {
                let at = row[0].as_i64().unwrap_or(0);
                let Some(end) = end else {
                    let x = scale.x(at);
                    let (top, foot) = (scale.plot.y, scale.plot.y + scale.plot.h);
                    svg.line((x, top), (x, foot), colour, 1.2, "3 3");
                    svg.path(&format!("M{:.1} {foot:.1}l4 6h-8z", x), &format!("fill=\"{colour}\""));
                    continue;
                };
                let (x, to) = (scale.x(at), scale.x(row[end].as_i64().unwrap_or(at)));
                svg.veil(
                    Area {
                        x,
                        w: to - x,
                        ..scale.plot
                    },
                    colour,
                    0.10,
                );
            }
        }
    }
}

fn line(svg: &mut Svg, panel: &Value, field: &Field, all: &[Field], colour: &str, scale: &Scale) {
    let stepped = look::word(panel, &field.name, "custom.lineInterpolation") == Some("stepAfter");
    // Longest hole that a line is drawn across.
    let hole_ms = look::number(panel, &field.name, "custom.spanNulls").unwrap_or(0.0) as i64;
    let runs = runs(field, hole_ms);
    if let Some(other) = look::word(panel, &field.name, "custom.fillBelowTo")
        && let Some(other) = all.iter().find(|one| one.name == other)
    {
        for (above, below) in runs.iter().zip(self::runs(other, hole_ms)) {
            let mut band = track(above, scale, stepped);
            for (at, value) in below.iter().rev() {
                let _ = write!(band, "L{:.1} {:.1}", scale.x(*at), scale.y(*value));
            }
            svg.path(&(band + "Z"), &format!("fill=\"{colour}\" fill-opacity=\"0.3\""));
        }
    }
    let thick = look::number(panel, &field.name, "custom.lineWidth").unwrap_or(1.0);
    if thick == 0.0 {
        return;
    }
    let dash = look::setting(panel, &field.name, "custom.lineStyle").map_or("", |_| " stroke-dasharray=\"10 6\"");
    for run in &runs {
        if let [(at, value)] = run.as_slice() {
            svg.dot(scale.x(*at), scale.y(*value), 1.5, colour);
        }
        svg.path(
            &track(run, scale, stepped),
            &format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{thick}\" stroke-linejoin=\"round\"{dash}"),
        );
    }
}

/// Points without a hole between them.
fn runs(field: &Field, hole_ms: i64) -> Vec<Vec<(i64, f64)>> {
    let mut out: Vec<Vec<(i64, f64)>> = Vec::new();
    for (at, value) in field.numbers() {
        match out.last_mut() {
            Some(run) if run.last().is_some_and(|(before, _)| at - before <= hole_ms) => run.push((at, value)),
            _ => out.push(vec![(at, value)]),
        }
    }
    out
}

fn track(run: &[(i64, f64)], scale: &Scale, stepped: bool) -> String {
    let mut out = String::new();
    let mut before: Option<f64> = None;
    for (at, value) in run {
        let (x, y) = (scale.x(*at), scale.y(*value));
        match before {
            None => _ = write!(out, "M{x:.1} {y:.1}"),
            Some(was) if stepped => _ = write!(out, "L{x:.1} {was:.1}L{x:.1} {y:.1}"),
            Some(_) => _ = write!(out, "L{x:.1} {y:.1}"),
        }
        before = Some(y);
    }
    out
}

fn stacked(svg: &mut Svg, panel: &Value, fields: &[Field], scale: &Scale) {
    let times: Vec<i64> = {
        let mut all: Vec<i64> = fields.iter().flat_map(|f| f.points.iter().map(|(at, _)| *at)).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let step = times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .min()
        .unwrap_or(3_600_000);
    let mut height: BTreeMap<i64, f64> = BTreeMap::new();
    for (n, field) in fields.iter().enumerate() {
        let colour = look::fixed(panel, &field.name).unwrap_or(look::palette(n));
        for (at, value) in field.numbers().filter(|(_, value)| *value > 0.0) {
            let below = height.entry(at).or_default();
            let (top, foot) = (scale.y(*below + value), scale.y(*below));
            *below += value;
            let (x, to) = (scale.x(at), scale.x(at + step));
            svg.rect(
                Area {
                    x: x + 0.5,
                    y: top,
                    w: (to - x - 1.0).max(1.0),
                    h: foot - top,
                },
                colour,
                0.0,
            );
        }
    }
}

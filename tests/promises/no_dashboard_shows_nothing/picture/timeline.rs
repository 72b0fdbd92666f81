//! A row of coloured stretches for each series.
use serde_json::Value;

use super::frame::Field;
use super::svg::{Svg, fit};
use super::{Area, chart, look};

pub(super) fn draw(svg: &mut Svg, panel: &Value, fields: &[Field], area: Area, range: (i64, i64)) {
    let names = 110.0;
    let plot = Area {
        x: area.x + names,
        w: area.w - names,
        h: area.h - 40.0,
        ..area
    };
    let (from, to) = (range.0 as f64, range.1 as f64);
    let x_of = |ms: i64| plot.x + ((ms as f64 - from) / (to - from)).clamp(0.0, 1.0) * plot.w;
    let row = plot.h / fields.len().max(1) as f64;
    let mut legend: Vec<(String, String)> = Vec::new();
    for (n, field) in fields.iter().enumerate() {
        let y = plot.y + n as f64 * row;
        let size = (row * 0.6).min(12.0);
        svg.text(
            area.x,
            y + row * 0.65,
            size,
            look::TEXT,
            "start",
            &fit(&field.name, names, size),
        );
        let mut begun: Option<(i64, (&str, &str))> = None;
        let ends = std::iter::once((range.1, &Value::Null));
        for (at, value) in field.points.iter().map(|(at, value)| (*at, value)).chain(ends) {
            let now = look::mapped(panel, &field.name, &plain(value));
            if at < range.1 && (now.is_none() || begun.is_some_and(|(_, was)| Some(was) == now)) {
                continue;
            }
            if let Some((since, (words, colour))) = begun {
                let x = x_of(since);
                svg.rect(
                    Area {
                        x,
                        y: y + row * 0.1,
                        w: x_of(at) - x,
                        h: row * 0.8,
                    },
                    colour,
                    0.0,
                );
                let entry = (words.to_owned(), colour.to_owned());
                if !legend.contains(&entry) {
                    legend.push(entry);
                }
            }
            begun = now.map(|now| (at.max(range.0), now));
        }
    }
    chart::times(svg, plot, range);
    chart::legend(svg, (area.x, area.y + area.h - 4.0), &legend);
}

/// A value as its mapping names it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

//! Large values, and bars for values.
use serde_json::Value;

use super::frame::Field;
use super::svg::{Svg, fit};
use super::{Area, look};

/// Tiles with one value each, in the colour of the value.
pub(super) fn stat(svg: &mut Svg, panel: &Value, fields: &[Field], area: Area) {
    let w = area.w / fields.len().max(1) as f64;
    for (n, field) in fields.iter().enumerate() {
        let tile = Area {
            x: area.x + n as f64 * w,
            w: w - 4.0,
            ..area
        };
        let value = field.last();
        let shown = match value {
            Some(value) => look::format(panel, &field.name, value),
            None => look::word(panel, &field.name, "noValue")
                .unwrap_or("No data")
                .to_owned(),
        };
        let fill =
            look::fixed(panel, &field.name).unwrap_or_else(|| look::of_value(panel, &field.name, value.unwrap_or(0.0)));
        svg.rect(tile, fill, 3.0);
        let size = (tile.w / (shown.chars().count() as f64 * 0.62)).min(40.0);
        let alone = fields.len() == 1;
        let (x, middle) = (tile.x + tile.w / 2.0, tile.y + tile.h / 2.0);
        svg.text(
            x,
            middle + if alone { size * 0.35 } else { size * 0.1 },
            size.round(),
            "#ffffff",
            "middle",
            &shown,
        );
        if !alone {
            let name = fit(&field.name, tile.w - 4.0, 13.0);
            svg.text(x, tile.y + tile.h - 12.0, 13.0, "#ffffff", "middle", &name);
        }
    }
}

/// A bar for each value: standing or lying.
pub(super) fn gauge(svg: &mut Svg, panel: &Value, fields: &[Field], area: Area) {
    let most = fields.iter().filter_map(Field::last).fold(0.0, f64::max);
    let most = look::number(panel, "", "max").unwrap_or(most).max(f64::MIN_POSITIVE);
    let mut fields: Vec<&Field> = fields.iter().filter(|field| field.last().is_some()).collect();
    if panel["options"]["orientation"] == "vertical" {
        standing(svg, panel, &fields, area, most);
    } else {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        lying(svg, panel, &fields, area, most);
    }
}

fn standing(svg: &mut Svg, panel: &Value, fields: &[&Field], area: Area, most: f64) {
    let w = area.w / fields.len() as f64;
    let full = area.h - 44.0;
    for (n, field) in fields.iter().enumerate() {
        let value = field.last().unwrap_or(0.0);
        let h = (value / most).clamp(0.0, 1.0) * full;
        let x = area.x + n as f64 * w;
        let back = Area {
            x: x + 2.0,
            y: area.y + 18.0,
            w: w - 4.0,
            h: full,
        };
        svg.rect(back, look::GRID, 2.0);
        let bar = Area {
            y: back.y + full - h,
            h,
            ..back
        };
        svg.rect(bar, look::of_value(panel, &field.name, value), 2.0);
        let middle = x + w / 2.0;
        svg.text(middle, area.y + area.h - 8.0, 11.0, look::TEXT, "middle", &field.name);
        let shown = if value >= 10_000.0 {
            format!("{:.0}k", value / 1_000.0)
        } else {
            format!("{value:.0}")
        };
        svg.text(middle, area.y + 12.0, 10.0, look::DIM, "middle", &shown);
    }
}

fn lying(svg: &mut Svg, panel: &Value, fields: &[&Field], area: Area, most: f64) {
    let h = (area.h / fields.len().max(1) as f64).min(44.0);
    let names = area.w * 0.36;
    for (n, field) in fields.iter().enumerate() {
        let value = field.last().unwrap_or(0.0);
        let colour = look::of_value(panel, &field.name, value);
        let y = area.y + n as f64 * h;
        let size = (h * 0.55).min(13.0);
        let name = fit(&field.name, names - 8.0, size);
        svg.text(area.x, y + h * 0.62, size, look::TEXT, "start", &name);
        let back = Area {
            x: area.x + names,
            y: y + 2.0,
            w: area.w - names - 84.0,
            h: h - 4.0,
        };
        svg.rect(back, look::GRID, 2.0);
        svg.rect(
            Area {
                w: back.w * (value / most).clamp(0.0, 1.0),
                ..back
            },
            colour,
            2.0,
        );
        let shown = look::format(panel, &field.name, value);
        svg.text(area.x + area.w, y + h * 0.62, size, colour, "end", &shown);
    }
}

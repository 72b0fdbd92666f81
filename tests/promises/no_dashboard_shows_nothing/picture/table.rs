//! Rows and columns, as Grafana's table makes them of answers: tags first, then what was selected.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::grafana::list;
use super::super::influxql::Series;
use super::svg::{Svg, fit, width};
use super::{Area, look};

const SIZE: f64 = 12.5;
const ROW: f64 = 26.0;

type Row = BTreeMap<String, Value>;

pub(super) fn draw(svg: &mut Svg, panel: &Value, answers: &[Vec<Series>], area: Area, now_ms: i64) {
    let (columns, rows) = rows(panel, answers);
    let columns: Vec<&String> = columns
        .iter()
        .filter(|name| look::setting(panel, name, "custom.hidden") != Some(&json!(true)))
        .collect();
    let room = ((area.h / ROW) as usize).saturating_sub(1);
    let shown: Vec<&Row> = rows.iter().take(room).collect();
    let widths = widths(panel, &columns, &shown, area.w, now_ms);
    let mut x = area.x;
    for (name, w) in columns.iter().zip(widths) {
        let title = look::word(panel, name, "displayName").unwrap_or(name);
        svg.text(
            x + 6.0,
            area.y + 16.0,
            SIZE,
            "#6e9fff",
            "start",
            &fit(title, w - 8.0, SIZE),
        );
        for (n, row) in shown.iter().enumerate() {
            let cell = Area {
                x,
                y: area.y + ROW * (n + 1) as f64,
                w,
                h: ROW,
            };
            svg.line((x, cell.y), (x + w, cell.y), look::GRID, 1.0, "");
            draw_cell(svg, panel, name, row.get(*name).unwrap_or(&Value::Null), cell, now_ms);
        }
        x += w;
    }
}

fn draw_cell(svg: &mut Svg, panel: &Value, name: &str, value: &Value, cell: Area, now_ms: i64) {
    let shown = cell_text(panel, name, value, now_ms);
    let inside = Area {
        x: cell.x + 1.0,
        y: cell.y + 2.0,
        w: cell.w - 3.0,
        h: cell.h - 3.0,
    };
    let colour = match value
        .as_str()
        .map(str::to_owned)
        .or_else(|| value.as_bool().map(|b| b.to_string()))
    {
        Some(word) => look::mapped(panel, name, &word).map(|(_, colour)| colour),
        None => Some(look::of_value(panel, name, value.as_f64().unwrap_or(0.0))),
    };
    let kind = look::setting(panel, name, "custom.cellOptions").map(|options| options["type"].clone());
    let baseline = cell.y + 18.0;
    match (kind.as_ref().and_then(Value::as_str), colour) {
        (Some("color-background"), Some(colour)) if colour != "transparent" => {
            svg.rect(inside, colour, 2.0);
            svg.text(
                cell.x + 6.0,
                baseline,
                SIZE,
                "#ffffff",
                "start",
                &fit(&shown, cell.w - 8.0, SIZE),
            );
        }
        (Some("gauge"), Some(colour)) => {
            let most = look::number(panel, name, "max").unwrap_or(1.0);
            let share = (value.as_f64().unwrap_or(0.0) / most).clamp(0.0, 1.0);
            let bar = Area {
                w: (inside.w - 74.0).max(10.0),
                ..inside
            };
            svg.rect(bar, look::GRID, 2.0);
            svg.rect(
                Area {
                    w: bar.w * share,
                    ..bar
                },
                colour,
                2.0,
            );
            svg.text(cell.x + cell.w - 8.0, baseline, SIZE, look::TEXT, "end", &shown);
        }
        _ => {
            let linked = look::setting(panel, name, "links")
                .is_some_and(|links| links.as_array().is_some_and(|l| !l.is_empty()));
            let fill = if linked { "#6e9fff" } else { look::TEXT };
            svg.text(
                cell.x + 6.0,
                baseline,
                SIZE,
                fill,
                "start",
                &fit(&shown, cell.w - 8.0, SIZE),
            );
        }
    }
}

fn cell_text(panel: &Value, name: &str, value: &Value, now_ms: i64) -> String {
    let unit = look::word(panel, name, "unit").unwrap_or_default();
    match value {
        Value::Null => look::word(panel, name, "noValue").unwrap_or_default().to_owned(),
        Value::Number(number) if unit == "dateTimeFromNow" => {
            let minutes = (now_ms - number.as_i64().unwrap_or(now_ms)) / 60_000;
            if minutes < 120 {
                format!("{minutes} minutes ago")
            } else {
                format!("{} hours ago", minutes / 60)
            }
        }
        Value::Number(number) if name == "Time" => look::minute(number.as_i64().unwrap_or(0)),
        Value::Number(number) => look::format(panel, name, number.as_f64().unwrap_or(0.0)),
        Value::String(word) => look::mapped(panel, name, word)
            .map_or(word.as_str(), |(words, _)| words)
            .to_owned(),
        other => {
            let word = other.to_string();
            look::mapped(panel, name, &word).map_or(word.clone(), |(words, _)| words.to_owned())
        }
    }
}

/// Names of the columns and the rows; rows of several queries with the same tags are one if they are merged.
fn rows(panel: &Value, answers: &[Vec<Series>]) -> (Vec<String>, Vec<Row>) {
    let merged = list(panel, "/transformations").iter().any(|one| one["id"] == "merge");
    let mut columns = vec!["Time".to_owned()];
    let mut rows: Vec<(Vec<String>, Row)> = Vec::new();
    for series in answers.iter().flatten() {
        for name in series.tags.keys().chain(series.columns.iter().skip(1)) {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        for values in &series.rows {
            let tags: Vec<String> = series.tags.values().cloned().collect();
            let mut row: Row = series
                .tags
                .iter()
                .map(|(tag, value)| (tag.clone(), json!(value)))
                .collect();
            row.insert("Time".to_owned(), values[0].clone());
            row.extend(
                series
                    .columns
                    .iter()
                    .skip(1)
                    .cloned()
                    .zip(values.iter().skip(1).cloned()),
            );
            match rows.iter_mut().find(|(key, _)| merged && *key == tags) {
                Some((_, known)) => known.extend(row),
                None => rows.push((tags, row)),
            }
        }
    }
    (columns, rows.into_iter().map(|(_, row)| row).collect())
}

/// As wide as their contents, stretched or squeezed to the panel.
fn widths(panel: &Value, columns: &[&String], rows: &[&Row], most: f64, now_ms: i64) -> Vec<f64> {
    let wanted: Vec<f64> = columns
        .iter()
        .map(|name| {
            let title = look::word(panel, name, "displayName").unwrap_or(name);
            let gauge = look::setting(panel, name, "custom.cellOptions").is_some_and(|o| o["type"] == "gauge");
            let cells = rows
                .iter()
                .map(|row| cell_text(panel, name, row.get(*name).unwrap_or(&Value::Null), now_ms));
            let widest = cells.map(|cell| width(&cell, SIZE)).fold(width(title, SIZE), f64::max);
            let widest = if *name == "Time" { widest.max(130.0) } else { widest };
            (widest + 16.0 + if gauge { 110.0 } else { 0.0 }).min(420.0)
        })
        .collect();
    let scale = most / wanted.iter().sum::<f64>();
    wanted.iter().map(|w| w * scale).collect()
}

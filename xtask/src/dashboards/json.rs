//! Dashboards as the JSON that Grafana's provisioning reads (schema of Grafana 11; later ones take it too).

use serde_json::{Map, Value, json};

use super::model::{Annotation, Column, Dashboard, Kind, Look, Panel, Query, Store, Variable};

/// Version of the schema that this is written in.
const SCHEMA_VERSION: u32 = 39;
/// Where the console is found, unless a person sets it at the top of the dashboard.
const CONSOLE: &str = "https://dermatel.example";
/// Longest hole that a line is drawn across, in milliseconds: two treatments are not one line.
const HOLE_MS: u32 = 600_000;
/// The same for points that are an hour apart.
const HOURLY_HOLE_MS: u32 = 4 * 86_400_000;
/// Dashboards that every other one links to, in this order.
const MENU: [(&str, &str); 8] = [
    ("Chain", "dermatel-chain"),
    ("Clinic", "dermatel-clinic"),
    ("Pen", "dermatel-pen"),
    ("IPL", "dermatel-ipl"),
    ("Treatment", "dermatel-session"),
    ("Sterilization", "dermatel-sterilization"),
    ("Alert quality", "dermatel-alerts"),
    ("Pipeline", "dermatel-pipeline"),
];

pub(super) fn dashboard(d: &Dashboard) -> Value {
    let mut variables = vec![source(d.store)];
    variables.extend(d.variables.iter().map(|one| variable(one, d.store)));
    if d.store == Store::Influx {
        variables.push(constant("console_url", "Console", CONSOLE));
    }
    let mut annotations = vec![built_in()];
    annotations.extend(d.annotations.iter().map(annotation));
    json!({
        "uid": d.uid,
        "title": d.title,
        "description": d.what,
        "tags": ["dermatel"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": false,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": { "from": d.from, "to": "now" },
        "timepicker": {},
        "templating": { "list": variables },
        "annotations": { "list": annotations },
        "links": MENU.iter().filter(|(_, uid)| *uid != d.uid).map(menu).collect::<Vec<_>>(),
        "panels": panels(d),
    })
}

fn menu((title, uid): &(&str, &str)) -> Value {
    json!({
        "title": title, "type": "link", "url": format!("/d/{uid}"), "icon": "dashboard", "tooltip": "", "tags": [],
        "asDropdown": false, "targetBlank": false, "includeVars": true, "keepTime": true,
    })
}

/// Which data source: one per tenant is provisioned, and a tenant's people see only their own.
fn source(store: Store) -> Value {
    let (query, label, regex) = match store {
        Store::Influx => ("influxdb", "Chain", "/^Dermatel/"),
        Store::Prometheus => ("prometheus", "Metrics", ""),
    };
    json!({
        "name": "source", "type": "datasource", "label": label, "query": query, "regex": regex, "refresh": 1,
        "hide": 0, "multi": false, "includeAll": false, "skipUrlSync": false, "options": [],
    })
}

fn constant(name: &str, label: &str, value: &str) -> Value {
    let option = json!({ "text": value, "value": value, "selected": true });
    json!({
        "name": name, "type": "textbox", "label": label, "query": value, "hide": 0, "skipUrlSync": false,
        "current": option, "options": [option],
    })
}

fn variable(v: &Variable, store: Store) -> Value {
    let mut out = json!({
        "name": v.name, "type": "query", "label": v.label, "datasource": datasource(store), "query": v.query,
        "refresh": 2, "regex": "", "sort": if v.newest_first { 2 } else { 1 }, "hide": 0,
        "multi": v.several, "includeAll": v.several, "skipUrlSync": false, "options": [],
    });
    if v.newest_first {
        // In the order of time, as it is answered.
        out["sort"] = json!(0);
    }
    if v.several {
        // What came after the page was opened counts too.
        out["allValue"] = json!(".*");
        out["current"] = json!({ "text": ["All"], "value": ["$__all"], "selected": true });
    }
    out
}

fn datasource(store: Store) -> Value {
    let ty = match store {
        Store::Influx => "influxdb",
        Store::Prometheus => "prometheus",
    };
    json!({ "type": ty, "uid": "${source}" })
}

fn built_in() -> Value {
    json!({
        "name": "Annotations & Alerts", "datasource": { "type": "grafana", "uid": "-- Grafana --" }, "builtIn": 1,
        "enable": true, "hide": true, "iconColor": "rgba(0, 211, 255, 1)", "type": "dashboard",
    })
}

fn annotation(a: &Annotation) -> Value {
    json!({
        "name": a.name, "datasource": datasource(Store::Influx), "enable": true, "hide": false, "iconColor": a.colour,
        "target": {
            "refId": "Anno", "fromAnnotations": true, "rawQuery": true, "query": a.query, "textEditor": true,
            "textColumn": a.text, "tagsColumn": a.tags, "timeEndColumn": a.until.unwrap_or_default(), "titleColumn": "",
        },
    })
}

/// Panels from left to right, in as many rows as they need.
fn panels(d: &Dashboard) -> Vec<Value> {
    let (mut x, mut y, mut row) = (0, 0, 0);
    let mut out = Vec::new();
    for (n, p) in d.panels.iter().enumerate() {
        let (width, height) = p.size;
        if x + width > 24 {
            (x, y, row) = (0, y + row, 0);
        }
        let mut value = panel(p, d.store);
        value["id"] = json!(n + 1);
        value["gridPos"] = json!({ "x": x, "y": y, "w": width, "h": height });
        out.push(value);
        x += width;
        row = row.max(height);
    }
    out
}

fn panel(p: &Panel, store: Store) -> Value {
    let mut transformations = Vec::new();
    if p.merge {
        transformations.push(json!({ "id": "merge", "options": {} }));
    }
    json!({
        "type": kind(p.kind),
        "title": p.title,
        "description": p.what,
        "datasource": datasource(store),
        "targets": p.queries.iter().zip('A'..).map(|(q, id)| target(q, id, store, p.kind)).collect::<Vec<_>>(),
        "transformations": transformations,
        "options": options(p),
        "fieldConfig": {
            "defaults": defaults(p),
            "overrides": p.columns.iter().map(over).collect::<Vec<_>>(),
        },
    })
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Stat => "stat",
        Kind::Lines | Kind::Points | Kind::Bars => "timeseries",
        Kind::Columns | Kind::Ranking => "bargauge",
        Kind::Table => "table",
        Kind::Timeline => "state-timeline",
    }
}

fn target(q: &Query, id: char, store: Store, kind: Kind) -> Value {
    let format = if q.table { "table" } else { "time_series" };
    match store {
        Store::Influx => json!({
            "refId": id.to_string(), "datasource": datasource(store), "rawQuery": true, "query": q.text,
            "resultFormat": format, "alias": q.name,
        }),
        Store::Prometheus => json!({
            "refId": id.to_string(), "datasource": datasource(store), "expr": q.text, "legendFormat": q.name,
            "instant": kind == Kind::Stat, "range": kind != Kind::Stat, "editorMode": "code",
        }),
    }
}

fn options(p: &Panel) -> Value {
    let reduce = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    let legend = json!({ "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] });
    let tooltip = json!({ "mode": "multi", "sort": "none" });
    match p.kind {
        Kind::Stat => json!({
            "reduceOptions": reduce, "colorMode": "background", "graphMode": "none", "justifyMode": "center",
            "textMode": "auto", "orientation": "auto", "wideLayout": true, "showPercentChange": false,
        }),
        Kind::Lines | Kind::Points | Kind::Bars => json!({ "legend": legend, "tooltip": tooltip }),
        Kind::Columns | Kind::Ranking => json!({
            "reduceOptions": reduce, "displayMode": "basic", "valueMode": "color", "showUnfilled": true,
            "orientation": if p.kind == Kind::Columns { "vertical" } else { "horizontal" }, "namePlacement": "auto",
            "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 300,
        }),
        Kind::Table => json!({ "showHeader": true, "cellHeight": "md" }),
        Kind::Timeline => json!({
            "showValue": "never", "rowHeight": 0.8, "mergeValues": true, "alignValue": "left", "legend": legend,
            "tooltip": tooltip,
        }),
    }
}

fn steps(steps: &[(Option<f64>, &str)]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .map(|(from, colour)| json!({ "value": from, "color": colour }))
        .collect();
    json!({ "mode": "absolute", "steps": steps })
}

fn defaults(p: &Panel) -> Value {
    let by_steps = matches!(p.kind, Kind::Stat | Kind::Table | Kind::Columns | Kind::Ranking);
    let mut out = json!({
        "unit": p.unit,
        "color": { "mode": if by_steps { "thresholds" } else { "palette-classic" } },
        "thresholds": steps(&p.steps),
        "mappings": mappings(&p.words),
        "custom": custom(p),
    });
    let optional = [
        ("decimals", p.decimals.map(Value::from)),
        ("min", p.range.0.map(Value::from)),
        ("max", p.range.1.map(Value::from)),
        ("noValue", p.nothing.map(Value::from)),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            out[key] = value;
        }
    }
    out
}

fn mappings(words: &[(&str, &str, &str)]) -> Vec<Value> {
    if words.is_empty() {
        return Vec::new();
    }
    let options: Map<String, Value> = words
        .iter()
        .enumerate()
        .map(|(n, (value, text, colour))| {
            let shown = json!({ "text": text, "color": colour, "index": n });
            ((*value).to_owned(), shown)
        })
        .collect();
    vec![json!({ "type": "value", "options": options })]
}

fn custom(p: &Panel) -> Value {
    // More than the base: lines and areas across the graph.
    let limits = if p.steps.len() > 1 { "dashed+area" } else { "off" };
    match p.kind {
        Kind::Lines => json!({
            "drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "showPoints": "auto", "pointSize": 4,
            "spanNulls": if p.hourly { HOURLY_HOLE_MS } else { HOLE_MS }, "thresholdsStyle": { "mode": limits },
        }),
        Kind::Points => json!({
            "drawStyle": "points", "pointSize": 6, "showPoints": "always", "thresholdsStyle": { "mode": limits },
        }),
        Kind::Bars => json!({
            "drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80, "barAlignment": 1,
            "stacking": { "mode": "normal", "group": "A" }, "thresholdsStyle": { "mode": "off" },
        }),
        Kind::Table => {
            json!({ "align": "auto", "cellOptions": { "type": "auto" }, "filterable": true, "inspect": false })
        }
        Kind::Timeline => json!({ "fillOpacity": 80, "lineWidth": 0 }),
        Kind::Stat | Kind::Columns | Kind::Ranking => json!({}),
    }
}

fn over(column: &Column) -> Value {
    let properties: Vec<Value> = column.looks.iter().flat_map(properties).collect();
    json!({ "matcher": { "id": "byName", "options": column.name }, "properties": properties })
}

fn properties(look: &Look) -> Vec<Value> {
    if let Look::Gauge(most) = look {
        let gauge = json!({ "type": "gauge", "mode": "basic", "valueDisplayMode": "text" });
        return vec![
            json!({ "id": "custom.cellOptions", "value": gauge }),
            json!({ "id": "min", "value": 0 }),
            json!({ "id": "max", "value": most }),
        ];
    }
    let (id, value) = match look {
        Look::Colour(colour) => ("color", json!({ "mode": "fixed", "fixedColor": colour })),
        Look::Unit(unit) => ("unit", json!(unit)),
        Look::Dashed => ("custom.lineStyle", json!({ "fill": "dash", "dash": [10, 6] })),
        Look::Stepped => ("custom.lineInterpolation", json!("stepAfter")),
        Look::Width(width) => ("custom.lineWidth", json!(width)),
        Look::BandDownTo(other) => ("custom.fillBelowTo", json!(other)),
        Look::Hidden => ("custom.hidden", json!(true)),
        Look::Link(title, url) => ("links", json!([{ "title": title, "url": url, "targetBlank": false }])),
        Look::Coloured => (
            "custom.cellOptions",
            json!({ "type": "color-background", "mode": "basic" }),
        ),
        Look::Steps(of) => ("thresholds", steps(of)),
        Look::Decimals(decimals) => ("decimals", json!(decimals)),
        Look::ShownAs(name) => ("displayName", json!(name)),
        Look::Nothing(text) => ("noValue", json!(text)),
        Look::Gauge(_) => return Vec::new(),
    };
    vec![json!({ "id": id, "value": value })]
}

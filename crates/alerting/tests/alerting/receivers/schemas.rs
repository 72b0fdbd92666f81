//! What each provider documents about a request and its answer, as checks; the source stands at each.
use axum::http::HeaderMap;
use serde_json::{Map, Value};

/// A provider's side of the contract.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema {
    pub(super) check: fn(&Value, &str, &HeaderMap) -> Result<(), String>,
    /// Status and body of what it takes.
    pub(super) takes: (u16, &'static str),
}

type Checked = Result<(), String>;

fn object<'v>(value: &'v Value, known: &[&str], required: &[&str]) -> Result<&'v Map<String, Value>, String> {
    let map = value.as_object().ok_or_else(|| format!("no object: {value}"))?;
    if let Some(odd) = map.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("{odd} is not documented"));
    }
    match required.iter().find(|key| !map.contains_key(**key)) {
        Some(missing) => Err(format!("{missing} is missing")),
        None => Ok(map),
    }
}

fn text(value: &Value, what: &str, max: usize) -> Checked {
    let text = value.as_str().ok_or_else(|| format!("{what} is no string"))?;
    let length = text.chars().count();
    if (1..=max).contains(&length) {
        return Ok(());
    }
    Err(format!("{what} has {length} characters, allowed are 1 to {max}"))
}

fn one_of(value: &Value, what: &str, known: &[&str]) -> Checked {
    match value.as_str() {
        Some(text) if known.contains(&text) => Ok(()),
        _ => Err(format!("{what} is {value}, allowed are {known:?}")),
    }
}

fn equal(value: &Value, what: &str, expected: &str) -> Checked {
    one_of(value, what, &[expected])
}

fn json_request(headers: &HeaderMap) -> Checked {
    let content_type = headers.get("content-type").and_then(|v| v.to_str().ok());
    (content_type == Some("application/json"))
        .then_some(())
        .ok_or_else(|| format!("content-type is {content_type:?}"))
}

fn time(value: &Value, what: &str) -> Checked {
    let time = value.as_str().map(chrono::DateTime::parse_from_rfc3339);
    matches!(time, Some(Ok(_)))
        .then_some(())
        .ok_or_else(|| format!("{what} is no RFC 3339 time: {value}"))
}

/// PagerDuty Events API v2: github.com/PagerDuty/api-schema, reference/events-v2/openapiv3.json, `/enqueue`; the summary's
/// length: support.pagerduty.com/main/docs/pd-cef.
pub(super) const PAGERDUTY: Schema = Schema {
    check: pagerduty,
    takes: (
        202,
        r#"{"status":"success","message":"Event processed","dedup_key":"key"}"#,
    ),
};

fn pagerduty(event: &Value, path: &str, headers: &HeaderMap) -> Checked {
    json_request(headers)?;
    equal(&Value::from(path), "path", "/v2/enqueue")?;
    let known = [
        "payload",
        "routing_key",
        "event_action",
        "dedup_key",
        "client",
        "client_url",
        "links",
        "images",
    ];
    object(event, &known, &["routing_key", "event_action"])?;
    let key = event["routing_key"].as_str().unwrap_or_default();
    if key.len() != 32 {
        return Err("length of 'routing_key' is incorrect (should be 32 characters)".to_owned());
    }
    one_of(
        &event["event_action"],
        "event_action",
        &["trigger", "acknowledge", "resolve"],
    )?;
    text(&event["dedup_key"], "dedup_key", 255)?;
    if event["event_action"] != "trigger" {
        return Ok(());
    }
    let payload = &event["payload"];
    let known = [
        "summary",
        "timestamp",
        "severity",
        "source",
        "component",
        "group",
        "class",
        "custom_details",
    ];
    object(payload, &known, &["summary", "severity", "source"])?;
    text(&payload["summary"], "summary", 1_024)?;
    text(&payload["source"], "source", 1_024)?;
    one_of(
        &payload["severity"],
        "severity",
        &["critical", "error", "warning", "info"],
    )?;
    time(&payload["timestamp"], "timestamp")
}

/// Slack's incoming webhooks: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks; blocks and their limits:
/// docs.slack.dev/reference/block-kit/blocks (header-block, section-block).
pub(super) const SLACK: Schema = Schema {
    check: slack,
    takes: (200, "ok"),
};

fn slack(message: &Value, _: &str, headers: &HeaderMap) -> Checked {
    json_request(headers)?;
    object(
        message,
        &["text", "blocks", "attachments", "thread_ts", "mrkdwn"],
        &["text"],
    )?;
    text(&message["text"], "text", 40_000)?;
    let blocks = message["blocks"].as_array().ok_or("blocks is no array")?;
    if blocks.len() > 50 {
        return Err(format!("{} blocks, allowed are 50", blocks.len()));
    }
    for block in blocks {
        match block["type"].as_str() {
            Some("header") => {
                equal(&block["text"]["type"], "header's text", "plain_text")?;
                text(&block["text"]["text"], "header", 150)?;
            }
            Some("section") => {
                one_of(&block["text"]["type"], "section's text", &["plain_text", "mrkdwn"])?;
                text(&block["text"]["text"], "section", 3_000)?;
                let said = block["text"]["text"].as_str().unwrap_or_default();
                if said.contains(['<', '>']) {
                    return Err("section has < or > that is not escaped".to_owned());
                }
            }
            Some("actions") => {}
            other => return Err(format!("block {other:?} is not known")),
        }
    }
    Ok(())
}

/// Teams' workflows: learn.microsoft.com/connectors/teams ("When a Teams webhook request is received"); 28 KB:
/// learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using; the card:
/// adaptivecards.io/explorer (AdaptiveCard, TextBlock, Action.OpenUrl).
pub(super) const TEAMS: Schema = Schema {
    check: teams,
    takes: (202, ""),
};

fn teams(message: &Value, _: &str, headers: &HeaderMap) -> Checked {
    json_request(headers)?;
    object(message, &["type", "attachments"], &["type", "attachments"])?;
    equal(&message["type"], "type", "message")?;
    if message.to_string().len() > 28 * 1_024 {
        return Err("more than 28 KB".to_owned());
    }
    let attachments = message["attachments"].as_array().ok_or("attachments is no array")?;
    for attachment in attachments {
        object(
            attachment,
            &["contentType", "contentUrl", "content"],
            &["contentType", "content"],
        )?;
        equal(
            &attachment["contentType"],
            "contentType",
            "application/vnd.microsoft.card.adaptive",
        )?;
        let card = &attachment["content"];
        object(
            card,
            &["$schema", "type", "version", "body", "actions"],
            &["type", "version", "body"],
        )?;
        equal(&card["type"], "card's type", "AdaptiveCard")?;
        for block in card["body"].as_array().ok_or("body is no array")? {
            object(
                block,
                &["type", "text", "wrap", "weight", "size", "color"],
                &["type", "text"],
            )?;
            equal(&block["type"], "block's type", "TextBlock")?;
            text(&block["text"], "text", 20_000)?;
            if let Some(color) = block.get("color") {
                one_of(
                    color,
                    "color",
                    &["default", "dark", "light", "accent", "good", "warning", "attention"],
                )?;
            }
        }
    }
    Ok(())
}

/// ntfy: docs.ntfy.sh/publish ("Publish as JSON", "Message priority", "Limitations").
pub(super) const NTFY: Schema = Schema {
    check: ntfy,
    takes: (
        200,
        r#"{"id":"x","time":1,"event":"message","topic":"t","message":"m"}"#,
    ),
};

fn ntfy(message: &Value, path: &str, headers: &HeaderMap) -> Checked {
    // JSON is published to the server's root, never to the topic.
    equal(&Value::from(path), "path", "/")?;
    json_request(headers)?;
    let known = [
        "topic", "message", "title", "tags", "priority", "actions", "click", "attach", "markdown", "icon", "filename",
        "delay", "email", "call",
    ];
    object(message, &known, &["topic"])?;
    text(&message["topic"], "topic", 64)?;
    text(&message["title"], "title", 250)?;
    let length = message["message"].as_str().ok_or("message is no string")?.len();
    if length > 4_096 {
        return Err(format!(
            "message has {length} bytes, more than 4096 become an attachment"
        ));
    }
    if !(1..=5).contains(&message["priority"].as_u64().unwrap_or(0)) {
        return Err(format!("priority is {}, allowed are 1 to 5", message["priority"]));
    }
    let tags = message["tags"].as_array().ok_or("tags is no array")?;
    tags.iter().try_for_each(|tag| text(tag, "tag", 100))
}

/// Alertmanager: github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, `postableAlerts`; label names:
/// prometheus.io/docs/concepts/data_model.
pub(super) const ALERTMANAGER: Schema = Schema {
    check: alertmanager,
    takes: (200, ""),
};

fn alertmanager(alerts: &Value, path: &str, headers: &HeaderMap) -> Checked {
    json_request(headers)?;
    equal(&Value::from(path), "path", "/api/v2/alerts")?;
    for alert in alerts.as_array().ok_or("no array")? {
        object(
            alert,
            &["labels", "annotations", "startsAt", "endsAt", "generatorURL"],
            &["labels"],
        )?;
        let labels = alert["labels"].as_object().ok_or("labels is no object")?;
        let annotations = alert["annotations"].as_object().ok_or("annotations is no object")?;
        for (name, value) in labels.iter().chain(annotations) {
            let fine = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !fine || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(format!("{name} is no label name"));
            }
            text(value, name, 20_000)?;
        }
        time(&alert["startsAt"], "startsAt")?;
        time(&alert["endsAt"], "endsAt")?;
        let at = |key: &str| chrono::DateTime::parse_from_rfc3339(alert[key].as_str().unwrap_or_default()).ok();
        if at("startsAt") > at("endsAt") {
            return Err("it ends before it starts".to_owned());
        }
    }
    Ok(())
}

/// A webhook of ours: docs/alerting.md. Any JSON object with the ids also as headers.
pub(super) const WEBHOOK: Schema = Schema {
    check: webhook,
    takes: (204, ""),
};

fn webhook(page: &Value, _: &str, headers: &HeaderMap) -> Checked {
    json_request(headers)?;
    let header = |name| {
        headers
            .get(name)
            .and_then(|v: &axum::http::HeaderValue| v.to_str().ok())
    };
    for (name, field) in [
        ("idempotency-key", "transition_id"),
        ("dermatel-transition-id", "transition_id"),
        ("dermatel-alert-id", "alert_id"),
    ] {
        if header(name) != page[field].as_str() {
            return Err(format!("{name} is {:?}", header(name)));
        }
    }
    for field in [
        "title",
        "text",
        "what_happened",
        "where",
        "what_to_do",
        "priority",
        "state",
        "event_time",
    ] {
        text(&page[field], field, 20_000)?;
    }
    Ok(())
}

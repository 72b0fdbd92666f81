//! What a link shows: the alert and what can be done, in plain HTML that needs no script. No session, no visit.
use super::token::Act;
use crate::api::Shown;

/// Text as HTML.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
        html
    })
}

const STYLE: &str = "body{font:16px/1.4 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:1rem}\
dt{color:#555}dd{margin:0 0 .6rem}form{margin:.8rem 0}button{font-size:1.1rem;padding:.6rem 1rem;width:100%}\
textarea{width:100%;box-sizing:border-box}.high{color:#a00}.note{background:#eee;padding:.6rem}";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head>\
         <body>{body}</body></html>",
        escape(title)
    )
}

/// A page that only says something.
pub(super) fn message(text: &str) -> String {
    page("Dermatel", &format!("<p class=\"note\">{}</p>", escape(text)))
}

/// The alert, what was just done if anything was, and the actions with the token of each.
pub(super) fn alert(alert: &Shown, note: Option<&str>, actions: &[(Act, String)]) -> String {
    let note = note.map(|note| format!("<p class=\"note\">{}</p>", escape(note)));
    let zone = alert.zone.map(|zone| format!(", zone {}", zone.as_str()));
    let row = |name: &str, value: &str| format!("<dt>{name}</dt><dd>{}</dd>", escape(value));
    let mut rows = row("State", alert.state.as_str());
    rows += &row(
        "Where",
        &format!("{} at {}{}", alert.device, alert.clinic, zone.unwrap_or_default()),
    );
    rows += &row("What to do", &alert.what_to_do);
    rows += &row("Happened", &super::routes::time(alert.event_time));
    for (name, who) in [
        ("Acknowledged by", &alert.acknowledged_by),
        ("Taken care of by", &alert.assigned_to),
    ] {
        rows += &who.as_ref().map(|who| row(name, who)).unwrap_or_default();
    }
    rows += &row("Alert", &alert.id.to_hex());
    let forms: String = actions.iter().map(|(act, token)| form(*act, token)).collect();
    let body = format!(
        "{}<h1 class=\"{}\">{}</h1><dl>{rows}</dl>{forms}",
        note.unwrap_or_default(),
        alert.priority.as_str(),
        escape(&alert.what_happened),
    );
    page(&alert.what_happened, &body)
}

fn form(act: Act, token: &str) -> String {
    let label = match act {
        Act::Look => return String::new(),
        Act::Acknowledge => "Acknowledge: I know and take care",
        Act::Unacknowledge => "Take the acknowledgement back",
        Act::Assign => "Assign to me",
        Act::Annotate => "Add a comment",
        Act::Silence => "Silence this rule on this device for an hour",
    };
    let comment = match act {
        Act::Annotate | Act::Silence => {
            "<textarea name=\"comment\" rows=\"2\" maxlength=\"2000\" required \
             placeholder=\"About the device, never about a client\"></textarea>"
        }
        _ => "",
    };
    // The token is of URL characters only.
    format!("<form method=\"post\" action=\"{token}\">{comment}<button>{label}</button></form>")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_device_said_is_shown_as_text_and_never_as_html() {
        let html = super::message("<script>alert('x')</script>&\"");
        assert!(
            html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"),
            "{html}"
        );
    }
}

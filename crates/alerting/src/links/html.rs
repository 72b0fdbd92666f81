//! What a link shows: the alert and what can be done, in plain HTML that needs no script. No session, no visit.
use telemetry::{Priority, UnixMicros};

use super::token::Act;
use crate::api::Shown;
use crate::id::AlertId;
use crate::lifecycle::State;

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

/// Read at 3 a.m. on a phone: dark where the phone is, what to press as high as a thumb is wide. Contrasts are 4.5 to 1 at least.
const STYLE: &str = ":root{--ground:#fff;--ink:#16181d;--soft:#555c68;--line:#cdd2da;--act:#0b57b0;--act-ink:#fff;--note:#eef3fb;\
--high:#c4121a;--high-ink:#fff;--medium:#ffd21f;--medium-ink:#1a1600;--low:#4fd5e3;--low-ink:#00272b;--info:#e3e6eb;--info-ink:#16181d}\
@media (prefers-color-scheme:dark){:root{--ground:#101216;--ink:#eef0f4;--soft:#a8afbb;--line:#3a404b;--act:#8ab8f2;--act-ink:#0b1524;\
--note:#1c2635;--high:#d8262e}}\
*{box-sizing:border-box}body{font:18px/1.45 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:1rem;background:var(--ground);\
color:var(--ink)}h1{font-size:1.35rem;line-height:1.25;margin:.5rem 0}h1::first-letter{text-transform:uppercase}p{margin:.5rem 0}\
dl{margin:.8rem 0}dt,label,.soft{color:var(--soft);font-size:.95rem}dd{margin:0 0 .5rem;overflow-wrap:anywhere}\
.mark{display:inline-block;padding:.1em .6em;border-radius:.3rem;font-weight:700}\
.high{background:var(--high);color:var(--high-ink)}.medium{background:var(--medium);color:var(--medium-ink)}\
.low{background:var(--low);color:var(--low-ink)}.info{background:var(--info);color:var(--info-ink)}\
a{color:var(--act);display:inline-block;padding:.6rem 0}form{margin:.8rem 0}label{display:block;margin-bottom:.2rem}\
button,textarea{font:inherit;width:100%;color:inherit;background:var(--ground);border:1px solid var(--soft);border-radius:.4rem}\
button{min-height:3.25rem;padding:.6rem 1rem;color:var(--act);border-color:var(--act)}textarea{padding:.5rem;margin-bottom:.4rem}\
button.main{background:var(--act);color:var(--act-ink);font-weight:600}\
.note{background:var(--note);border-left:4px solid var(--act);padding:.6rem .8rem}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{}</title><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>",
        escape(title)
    )
}

/// The way to the alert in the console: to what was measured, whom else it was told, and what a link cannot do. Relative, because a
/// proxy may have both below a path of its own.
fn on_to_the_console(alert: AlertId) -> String {
    format!(
        "<p><a href=\"../alerts/{}\">This alert in the console</a></p>",
        alert.to_hex()
    )
}

/// A page that only says something, and leads on to an alert in the console if there is one.
pub(super) fn message(text: &str, alert: Option<AlertId>) -> String {
    let on = alert.map(on_to_the_console).unwrap_or_default();
    let body = format!("<h1>Dermatel</h1><p class=\"note\">{}</p>{on}", escape(text));
    page("Dermatel", &body)
}

/// Mark and word of IEC 60601-1-8: never a colour alone.
const fn mark(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "!!! High",
        Priority::Medium => "!! Medium",
        Priority::Low => "! Low",
        Priority::Info => "Info",
    }
}

/// Where it stands, as people say it.
const fn standing(state: State) -> &'static str {
    match state {
        State::Inactive => "Nothing is wrong.",
        State::Pending => "Evidence may still arrive.",
        State::Firing => "It goes on and needs somebody.",
        State::Acknowledged => "It goes on and somebody knows.",
        State::Latched => "It is over and nobody has said yet that they know.",
        State::Unknown => "It went on when the device was last heard. Offline is not over.",
        State::Resolved => "It is over, and known where it had to be.",
    }
}

/// How long ago, in the largest unit that says something.
fn ago(at: UnixMicros, now: UnixMicros) -> String {
    let seconds = (now.0 - at.0).max(0) / 1_000_000;
    match (seconds / 3_600, seconds / 60) {
        (0, 0) => format!("{seconds} s ago"),
        (0, minutes) => format!("{minutes} min ago"),
        (hours, minutes) => format!("{hours} h {} min ago", minutes % 60),
    }
}

/// Whose it is: a part of the installation (a gateway, a receiver, a rota) is at no clinic.
fn place(device: &str, clinic: &str, zone: Option<&str>) -> String {
    let clinic = if clinic.is_empty() {
        String::new()
    } else {
        format!(" at {}", escape(clinic))
    };
    let zone = zone.map(|zone| format!(", zone {zone}")).unwrap_or_default();
    format!("<b>{}</b>{clinic}{zone}", escape(device))
}

/// The alert, what was just done if anything was, and the actions with the token of each. How bad, what, whose and what to do come
/// first, then the button: nobody scrolls for it. `console`: it leads on to the console.
pub(super) fn alert(
    alert: &Shown,
    now: UnixMicros,
    note: Option<&str>,
    (actions, console): (&[(Act, String)], bool),
) -> String {
    let note = note.map(|note| format!("<p class=\"note\" role=\"status\">{}</p>", escape(note)));
    let row = |name: &str, value: &str| format!("<dt>{name}</dt><dd>{}</dd>", escape(value));
    let mut rows = row("Happened", &super::routes::time(alert.event_time));
    for (name, who) in [
        ("Acknowledged by", &alert.acknowledged_by),
        ("Taken care of by", &alert.assigned_to),
    ] {
        rows += &who.as_ref().map(|who| row(name, who)).unwrap_or_default();
    }
    rows += &row("Alert", &alert.id.to_hex());
    let (first, others): (Vec<_>, Vec<_>) = actions.iter().partition(|(act, _)| *act == Act::Acknowledge);
    let forms = |of: Vec<&(Act, String)>| -> String { of.into_iter().map(|(act, token)| form(*act, token)).collect() };
    let body = format!(
        "{}<p><span class=\"mark {}\">{}</span> {}</p><h1>{}</h1><p>{}</p>\
         <p><span class=\"soft\">What to do</span><br><strong>{}</strong></p><p>{}</p>{}<dl>{rows}</dl>{}{}",
        note.unwrap_or_default(),
        alert.priority.as_str(),
        mark(alert.priority),
        ago(alert.event_time, now),
        escape(&alert.what_happened),
        place(&alert.device, &alert.clinic, alert.zone.map(|zone| zone.as_str())),
        escape(&alert.what_to_do),
        standing(alert.state),
        forms(first),
        if console {
            on_to_the_console(alert.id)
        } else {
            String::new()
        },
        forms(others),
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
            "<label>Comment: about the device, never about a client\
             <textarea name=\"comment\" rows=\"2\" maxlength=\"2000\" required></textarea></label>"
        }
        _ => "",
    };
    let main = if act == Act::Acknowledge { " class=\"main\"" } else { "" };
    // The token is of URL characters only.
    format!("<form method=\"post\" action=\"{token}\">{comment}<button{main}>{label}</button></form>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_as_somebody_who_was_woken_reads_it() {
        let said = [-5, 7, 61, 3_700].map(|s| ago(UnixMicros(0), UnixMicros(s * 1_000_000)));
        assert_eq!(said, ["0 s ago", "7 s ago", "1 min ago", "1 h 1 min ago"]);
    }

    #[test]
    fn what_is_at_no_clinic_is_not_said_to_be_at_one() {
        assert_eq!(
            place("pen-1", "north", Some("cheek")),
            "<b>pen-1</b> at north, zone cheek"
        );
        assert_eq!(place("on-call", "", None), "<b>on-call</b>");
    }

    #[test]
    fn what_a_device_said_is_shown_as_text_and_never_as_html() {
        let html = super::message("<script>alert('x')</script>&\"", None);
        assert!(
            html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"),
            "{html}"
        );
    }
}

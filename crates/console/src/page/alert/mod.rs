//! One alert: what, where, since when, why, what to do; its picture; who was told; what became of it before; and what can be done.
mod around;
mod place;

use alerting::api::Shown;
use alerting::engine::Alert;
use alerting::id::AlertId;
use alerting::lifecycle::State;
use alerting::paging::next::Next;
use alerting::proof::{Explanation, Story, Trace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use telemetry::SkinType;

use self::around::{Around, around};
pub(crate) use self::place::treatment;
use self::place::{Place, place};
use super::Page;
use super::inbox::done;
use super::row::Row;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::chart::moment;
use crate::console::Console;
use crate::render::Svg;
use crate::text::Texts;

pub(crate) struct OneAlert;

/// What was just done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    done: String,
}

/// What makes sense now, for this person.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Actions {
    /// To acknowledge it.
    acknowledge: bool,
    /// To take an acknowledgement back.
    unacknowledge: bool,
    /// To give it to somebody.
    assign: bool,
    /// To say something about it.
    comment: bool,
    /// To silence what is like it.
    silence: bool,
}

/// A name and what is said of it.
type Said = (String, String);

/// What was in force when it was raised.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InForce {
    /// Version of the rules.
    rules: String,
    /// Version of the registry.
    registry: String,
    /// Model of the device; empty: none.
    model: String,
    /// Skin type that a pulse was judged for.
    #[schemars(with = "Option<SkinType>")]
    skin_type: Option<&'static str>,
    /// Whose parameters held: the rule's own, or an override for what.
    parameters_of: String,
    /// The rule's parameters: name and value.
    parameters: Vec<Said>,
    /// Limits and policy of the registry: name and value.
    limits: Vec<Said>,
}

/// What somebody did, or what else happened.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Happened {
    /// When, in microseconds since 1970-01-01 UTC.
    at_us: i64,
    /// Kind of its row in the journal.
    what: String,
    /// Who, if a person or an instance.
    who: Option<String>,
    /// What the person wrote, if it was not erased.
    text: Option<String>,
    /// What the row holds: name and value.
    says: Vec<Said>,
}

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AlertView")]
pub(crate) struct View {
    /// The alert.
    alert: Row,
    /// Whose device it is about and where that is.
    place: Place,
    /// What may be done to it now, by whoever asks.
    actions: Actions,
    /// Names of people to whom it may be given.
    assignable: Vec<String>,
    /// Always `null` here: a message above the page.
    done: Option<&'static str>,
    /// What was in force when it was raised, in words; `null`: an older version raised it.
    in_force: Option<InForce>,
    /// What people did and what else happened, newest first.
    happened: Vec<Happened>,
    /// All that is known of it.
    explanation: Explanation,
    /// The readings around it; `null`: there are none.
    trace: Option<Trace>,
    /// The minutes around it, from the store; `null`: nothing is stored there.
    around: Option<Around>,
    /// What comes next in telling people of it, the soonest first; empty: nothing.
    next: Vec<Next>,
    /// Other alerts of its rule on its device, newest first, at most ten.
    history: Vec<Shown>,
}

/// What can be done to an alert by a role.
fn actions(row: &Row, who: &Person) -> Actions {
    let open = row.alert.state != State::Resolved && row.alert.state != State::Pending;
    let may = who.may(Role::Responder);
    Actions {
        acknowledge: may && open && row.waits,
        unacknowledge: may && open && !row.waits,
        assign: may && open,
        comment: may,
        silence: may,
    }
}

/// The fields of an object, as people read them.
pub(super) fn fields(value: &Value) -> Vec<Said> {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Value::Object(all) => {
            let said = all.iter().filter(|(_, value)| !value.is_null());
            said.map(|(name, value)| (name.replace('_', " "), plain(value)))
                .collect()
        }
        Value::Null => Vec::new(),
        other => vec![(String::new(), plain(other))],
    }
}

fn in_force(explanation: &Explanation) -> Option<InForce> {
    let raised = explanation.raised.as_ref()?;
    Some(InForce {
        rules: raised.rules.clone(),
        registry: raised.registry.clone(),
        model: raised.model.clone(),
        skin_type: raised.skin_type.map(|skin| skin.as_str()),
        parameters_of: raised.parameters_of.clone(),
        parameters: fields(&raised.parameters),
        limits: fields(&raised.limits),
    })
}

fn happened(explanation: &Explanation) -> Vec<Happened> {
    let all = explanation.happenings.iter().rev();
    all.map(|happening| Happened {
        at_us: happening.at.0,
        what: happening.what.clone(),
        who: happening.who.clone(),
        text: happening.text.clone(),
        says: fields(&happening.says)
            .into_iter()
            .filter(|(name, _)| name != "comment digest")
            .collect(),
    })
    .collect()
}

fn view(
    console: &Console,
    alert: Alert,
    (story, around): (Story, Option<Around>),
    who: &Person,
    done: Option<&'static str>,
) -> View {
    let registry = console.registry.current();
    let assignable = console.access.assignable(&alert.tenant);
    let place = place(&alert, &registry);
    let alert = Row::new(alert, &registry);
    View {
        actions: actions(&alert, who),
        alert,
        place,
        assignable,
        done,
        in_force: in_force(&story.explanation),
        happened: happened(&story.explanation),
        explanation: story.explanation,
        trace: story.trace,
        around,
        next: story.next,
        history: story.history,
    }
}

/// An alert that this person may see. One that is not there and one of another tenant look the same.
pub(crate) async fn known(console: &Console, who: &Person, id: &str) -> Result<(AlertId, Alert), Refusal> {
    let id: AlertId = id.parse().map_err(|_| Refusal::NotFound)?;
    let alert = console.alerts.alert(id).await;
    let alert = alert.map_err(|error| Refusal::failed("an alert", error))?;
    let seen = alert.filter(|alert| who.sees(&alert.tenant));
    Ok((id, seen.ok_or(Refusal::NotFound)?))
}

impl Page for OneAlert {
    const TEMPLATE: &'static str = "alert.html";
    const SECTION: &'static str = "alerts";
    type Path = String;
    type Query = Asked;
    type View = View;

    async fn view(console: &Console, who: &Person, id: String, asked: Asked) -> Result<View, Refusal> {
        let (id, alert) = known(console, who, &id).await?;
        let story = console.alerts.story(id).await;
        let story = story.map_err(|error| Refusal::failed("the story of an alert", error))?;
        let story = story.ok_or(Refusal::NotFound)?;
        let around = around(console, &alert, story.trace.as_ref()).await;
        Ok(view(console, alert, (story, around), who, done(&asked.done)))
    }

    fn pictures(view: &View, texts: &Texts) -> Vec<(&'static str, Svg)> {
        let Some(trace) = &view.trace else { return Vec::new() };
        let zone = view.alert.alert.zone.map(|zone| zone.as_str());
        let around = view.around.as_ref();
        let around = around.and_then(|around| around::picture(around, (trace.unit, zone), trace, texts));
        let mut drawn = vec![("moment", moment::draw(trace, texts))];
        drawn.extend(around.map(|svg| ("around", svg)));
        drawn
    }
}

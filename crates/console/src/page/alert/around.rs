//! The minutes around the reading that crossed, from the store: whether it was a spike or a trend is seen there, and not in the few
//! frames of the evidence. A store that says nothing costs its place on the page.
use alerting::engine::Alert;
use alerting::proof::{Quantity, Trace as Evidence};
use ingestor::read::{Span, Trace};
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{DeviceKey, SessionId};

use crate::chart::course::Course;
use crate::chart::mark::Mark;
use crate::console::Console;
use crate::known::{Known, stored};
use crate::render::Svg;
use crate::text::Texts;

/// How much is shown before and after.
const AROUND_US: i64 = 60_000_000;

/// The minutes around the reading that crossed, as the store has them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AroundAlert")]
pub(crate) struct Around {
    /// The reading that crossed, or what comes next to it, in microseconds since 1970-01-01 UTC.
    at_us: i64,
    /// What the store says of a minute before and a minute after it.
    #[serde(flatten)]
    readings: Known<Trace>,
}

/// Asks the store. `None`: the alert is not about readings that a store has in steps of time.
pub(super) async fn around(console: &Console, alert: &Alert, evidence: Option<&Evidence>) -> Option<Around> {
    let evidence = evidence.filter(|of| matches!(of.quantity, Quantity::Depth | Quantity::Fluence))?;
    let at_us = evidence.first.map_or(alert.event_time, |first| first.at).0;
    let (tenant, device) = (alert.tenant.parse().ok()?, alert.device.parse().ok()?);
    let session = alert.session.map(|session| session.to_hex());
    let session: Option<SessionId> = session.and_then(|hex| ingestor::read::session_of_hex(&hex));
    let key = DeviceKey { tenant, device };
    let asked = stored(
        console,
        |store| async move { store.trace(&key, session, span(at_us)).await },
    );
    Some(Around {
        at_us,
        readings: asked.await,
    })
}

fn span(at_us: i64) -> Span {
    Span {
        from_us: at_us.saturating_sub(AROUND_US),
        to_us: at_us.saturating_add(AROUND_US),
    }
}

/// The picture; `None`: the store has none of it.
pub(super) fn picture(around: &Around, alert: (&str, Option<&str>), evidence: &Evidence, texts: &Texts) -> Option<Svg> {
    let (unit, zone) = alert;
    let span = span(around.at_us);
    let course = Course {
        trace: around.readings.value.as_ref()?,
        span,
        mark: Some(Mark {
            at_us: around.at_us,
            value: evidence.first.and_then(|first| first.value),
            bound: evidence.bound,
            zone,
            unit,
        }),
    };
    let end = |at: i64| {
        texts
            .get(if at == span.from_us {
                "around.start"
            } else {
                "around.end"
            })
            .to_owned()
    };
    course.draw(texts, &end)
}

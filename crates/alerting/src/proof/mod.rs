//! Proof: from an alert back to the readings that caused it and on to what came back from people, out of the journal and the
//! evidence alone; and the journal itself, for whoever wants to check it without us.
mod explain;
mod export;
mod readings;
mod render;
mod routes;
mod story;
mod trace;

pub use explain::{Attempt, Delay, Explanation, Happening, Held, Outcome, Step, Told, explain};
pub use export::{Format, MAX_PAGE, header, line};
pub use readings::{FrameShown, Reading, Shown};
pub use render::text;
pub use routes::Erase;
pub(crate) use routes::router;
pub use story::Story;
pub use trace::{Bound, Column, Crossing, MAX_COLUMNS, Quantity, Trace, trace};

use crate::id::AlertId;
use crate::store::{Store, StoreError};

/// The explanation of an alert, out of alerting's file; `None`: it holds no such alert.
///
/// # Errors
/// [`StoreError`].
pub fn of(store: &Store, id: AlertId) -> Result<Option<Explanation>, StoreError> {
    let Some(alert) = store.alert(id)? else {
        return Ok(None);
    };
    let rows = store.journal_about(id)?;
    let evidence = store.evidence_of(&rows)?;
    Ok(Some(explain(&alert, &rows, &evidence)))
}

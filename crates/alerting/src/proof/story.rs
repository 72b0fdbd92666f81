//! What pages for people ask about alerts: a list, one alert with all that is known of it, and whether anything is new.
use serde::Serialize;

use super::{Explanation, Trace, explain, trace};
use crate::api::Shown;
use crate::handle::Handle;
use crate::id::AlertId;
use crate::lifecycle::State;
use crate::paging::Plan;
use crate::paging::next::{Next, next};
use crate::store::{Grouped, Listing, Store, StoreError, Wanted};

/// How many earlier alerts of the same device and rule a story tells.
const HISTORY: usize = 20;

/// One alert with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Story {
    /// Why, what caused it, who was told.
    pub explanation: Explanation,
    /// The readings around it; `None`: none caused it, or they are no longer kept.
    pub trace: Option<Trace>,
    /// Other alerts of its rule on its device, newest first.
    pub history: Vec<Shown>,
    /// What comes next in telling people of it, the soonest first; empty: nothing.
    pub next: Vec<Next>,
}

fn story(store: &Store, plan: &Plan, id: AlertId) -> Result<Option<Story>, StoreError> {
    let Some(alert) = store.alert(id)? else {
        return Ok(None);
    };
    let rows = store.journal_about(id)?;
    let evidence = store.evidence_of(&rows)?;
    let same = store.history(&alert.tenant, &alert.device, Some(&alert.rule), HISTORY + 1)?;
    let course = store.course(id)?.filter(|_| alert.state() != State::Resolved);
    let next = course.map(|course| next(plan, &course, &alert.tenant, alert.priority));
    let others = same.into_iter().filter(|other| other.id != id).take(HISTORY);
    Ok(Some(Story {
        trace: trace(&alert, &evidence),
        explanation: explain(&alert, &rows, &evidence),
        history: others.map(Shown::from).collect(),
        next: next.unwrap_or_default(),
    }))
}

impl Handle {
    /// One alert with all that is known of it; `None`: there is no such alert, or it was forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn story(&self, id: AlertId) -> Result<Option<Story>, StoreError> {
        self.blocking(move |own| story(&own.store, &own.shared.plan(), id))
            .await
    }

    /// One page of the alerts that are wanted: at most [`crate::store::MAX_LISTED`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, wanted: Wanted, offset: usize, limit: usize) -> Result<Listing, StoreError> {
        self.blocking(move |own| own.store.list(&wanted, offset, limit)).await
    }

    /// The same by device: at most [`crate::store::MAX_LISTED`] groups of at most `each` alerts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_by_device(
        &self,
        wanted: Wanted,
        offset: usize,
        limit: usize,
        each: usize,
    ) -> Result<Grouped, StoreError> {
        self.blocking(move |own| own.store.list_by_device(&wanted, offset, limit, each))
            .await
    }

    /// The newest alerts of a device, open or not, of one rule or of all: at most [`crate::store::MAX_LISTED`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &self,
        tenant: String,
        device: String,
        rule: Option<String>,
        limit: usize,
    ) -> Result<Vec<crate::engine::Alert>, StoreError> {
        self.blocking(move |own| own.store.history(&tenant, &device, rule.as_deref(), limit))
            .await
    }

    /// A number that grows with whatever happens to any alert.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_row(&self) -> Result<i64, StoreError> {
        self.blocking(|own| own.store.newest_row()).await
    }
}

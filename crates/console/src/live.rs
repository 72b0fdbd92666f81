//! Live without reload: a page is told that something is new, by server-sent events, and asks for itself again. What is told holds no
//! data, so there is nothing in it that is not for everybody.
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use alerting::store::StoreError;
use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::Stream;
use futures_util::stream::unfold;
use service::shutdown::Shutdown;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::access::Person;
use crate::answer::Refusal;
use crate::console::Console;
use crate::metrics::{LIVE, LIVE_REFUSED};

/// Where a page listens.
const PATH: &str = "/console/live";
/// Most pages that are live at the same time: a quarter of the connections that are served. One more reads itself again from time to
/// time.
pub(crate) const MAX_LIVE: usize = 64;
/// How often it is looked for what is new, however many pages are live.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a comment keeps a connection that says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a page is live before it has to ask again, and show that it still may.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How long a page waits before it asks again.
const RETRY: Duration = Duration::from_secs(2);

/// What is new, asked for once for all pages.
pub(crate) struct News {
    looked: Mutex<Option<(Instant, i64)>>,
    places: Arc<Semaphore>,
}

impl Default for News {
    fn default() -> Self {
        Self {
            looked: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_LIVE)),
        }
    }
}

impl News {
    /// A number that grows with whatever happens to any alert; at most [`LOOK_EVERY`] old.
    async fn newest(&self, console: &Console) -> Result<i64, StoreError> {
        let mut looked = self.looked.lock().await;
        if let Some((at, row)) = *looked
            && at.elapsed() < LOOK_EVERY
        {
            return Ok(row);
        }
        let row = console.alerts.newest_row().await?;
        *looked = Some((Instant::now(), row));
        Ok(row)
    }
}

/// Where pages listen.
pub(crate) fn routes(shutdown: Shutdown) -> Router<Console> {
    Router::new().route(
        PATH,
        get(move |State(console): State<Console>, _who: Person| live(console, shutdown.clone())),
    )
}

/// A live page; it leaves its place when it goes.
struct Place {
    console: Console,
    shutdown: Shutdown,
    until: Instant,
    /// The number that the page knows.
    known: Option<i64>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        ::metrics::gauge!(LIVE).decrement(1.0);
    }
}

async fn live(console: Console, shutdown: Shutdown) -> Response {
    let Ok(permit) = Arc::clone(&console.news.places).try_acquire_owned() else {
        ::metrics::counter!(LIVE_REFUSED).increment(1);
        return Refusal::NoPlace.page(&console, None);
    };
    ::metrics::gauge!(LIVE).increment(1.0);
    let place = Place {
        console,
        shutdown,
        until: Instant::now() + LONGEST,
        known: None,
        _permit: permit,
    };
    Sse::new(events(place))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

fn events(place: Place) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(place, |mut place| async move {
        let event = next(&mut place).await?;
        Some((Ok(event), place))
    })
}

/// A browser passes over an event without data, and no line of data is written for an empty text.
fn event(name: &str) -> Event {
    Event::default().event(name).data(name)
}

/// Waits for something new. `None`: the page has to ask again.
async fn next(place: &mut Place) -> Option<Event> {
    loop {
        if Instant::now() >= place.until {
            return None;
        }
        // A file that cannot be read says nothing new; the page itself says so when it is asked for.
        let newest = place.console.news.newest(&place.console).await.ok().or(place.known);
        if place.known.is_none() {
            place.known = Some(newest.unwrap_or(0));
            return Some(event("live").retry(RETRY));
        }
        if newest > place.known {
            place.known = newest;
            return Some(event("changed"));
        }
        tokio::select! {
            () = place.shutdown.requested() => return None,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

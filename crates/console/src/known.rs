//! What a page could ask in time, or why not: a part that does not answer costs its place on the page, and never the page.
use std::time::Duration;

use ingestor::read::Reader;
use ingestor::store::ReadError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::Refusal;
use crate::console::Inner;
use crate::text::fill;

/// How long a page waits for one answer of alerting or quarantine.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// No answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
struct Late;

/// What the store said, or why it did not.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Known<T> {
    /// What it said.
    pub(crate) value: Option<T>,
    /// Why it did not, in plain words.
    pub(crate) trouble: Option<String>,
}

/// Asks the store, which keeps its own time; says so where it is another process's own.
pub(crate) async fn stored<T, F>(console: &Inner, ask: impl FnOnce(Reader) -> F) -> Known<T>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let texts = console.templates.texts();
    let answer = match console.store.clone() {
        Some(store) => ask(store).await.map_err(|error| {
            ::metrics::counter!(crate::metrics::FAILED).increment(1);
            tracing::warn!(error = %error, "the store did not answer a page");
            fill(texts.get("store.trouble"), &[("reason", error.reason.as_str())])
        }),
        None => Err(texts.get("store.elsewhere").to_owned()),
    };
    match answer {
        Ok(value) => Known {
            value: Some(value),
            trouble: None,
        },
        Err(trouble) => Known {
            value: None,
            trouble: Some(trouble),
        },
    }
}

/// Waits for an answer without which there is no page.
pub(crate) async fn in_time<T, E>(what: &'static str, ask: impl Future<Output = Result<T, E>>) -> Result<T, Refusal>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match tokio::time::timeout(ANSWER_WITHIN, ask).await {
        Ok(answer) => answer.map_err(|error| Refusal::failed(what, error)),
        Err(_) => Err(Refusal::failed(what, Late)),
    }
}

//! Batches that were refused: looked at beside the receiver, and taken again through it after a fix. What is in them is stored and
//! judged as replayed: it never pages.
use std::time::SystemTime;

use metrics::counter;
use telemetry::{Origin, proto};
use tokio::sync::{mpsc, oneshot};

use super::{Records, Sink, Writer, append};
use crate::batch::{Envelope, Message, Opened, Refusal};
use crate::kept::{Kept, Listed};
use crate::metrics::REPLAYED_BATCHES;

/// Most questions that wait.
pub(super) const ASKS: usize = 8;

/// Why a refused batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is not kept, or not any more.
    #[error("no refused batch has the number {0}")]
    Unknown(u64),
    /// It would be refused again.
    #[error("it is refused again: {0}")]
    Refused(#[from] Refusal),
    /// What a gateway said of its progress is over.
    #[error("it is a gateway's progress, which it has said again since")]
    Progress,
    /// The log did not take it.
    #[error("it could not be written: {0}")]
    NotWritten(String),
    /// The process ends.
    #[error("the receiver has ended")]
    Ended,
}

/// One that is to be taken.
pub(super) struct Ask {
    id: u64,
    answer: oneshot::Sender<Result<u64, ReplayError>>,
}

/// The batches that a receiver refused. Clones are the same ones.
#[derive(Clone)]
pub struct Refusals {
    pub(super) kept: Kept,
    pub(super) asks: mpsc::Sender<Ask>,
}

impl Refusals {
    /// The newest, of one reason or of all. Reads the disk.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn list(&self, reason: Option<&str>, limit: usize) -> Result<Vec<Listed>, String> {
        self.kept.latest(reason, limit)
    }

    /// One; `None`: there is none of this number. Reads the disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn show(&self, id: u64) -> Result<Option<proto::RefusedBatch>, String> {
        self.kept.one(id)
    }

    /// Takes one: how many messages it held. They are on the reader's disk when this returns. Twice is once: by then each is known.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn replay(&self, id: u64) -> Result<u64, ReplayError> {
        let (answer, answered) = oneshot::channel();
        let asked = self.asks.send(Ask { id, answer }).await;
        asked.map_err(|_| ReplayError::Ended)?;
        answered.await.map_err(|_| ReplayError::Ended)?
    }
}

impl Ask {
    pub(super) fn answer<S: Sink>(self, writer: &mut Writer<S>, now: SystemTime) {
        // Who asked may have gone.
        let _ = self.answer.send(writer.again(self.id, now));
    }
}

impl<S: Sink> Writer<S> {
    fn again(&mut self, id: u64, now: SystemTime) -> Result<u64, ReplayError> {
        let kept = self.kept.one(id).map_err(ReplayError::NotWritten)?;
        let kept = kept.ok_or(ReplayError::Unknown(id))?;
        let opened = Envelope::read(&kept.topic, kept.payload.into(), self.own)?.open()?;
        let Opened::Messages { messages, .. } = opened else {
            return Err(ReplayError::Progress);
        };
        let mut out = Records::default();
        for message in &messages {
            self.sink.message(&replayed(message), now.into(), &mut out);
        }
        append(&self.log, &out.records, now).map_err(ReplayError::NotWritten)?;
        counter!(REPLAYED_BATCHES).increment(1);
        Ok(messages.len() as u64)
    }
}

fn replayed(message: &Message) -> Message {
    let mut admitted = message.admitted.clone();
    admitted.origin = Origin::Replayed;
    Message {
        encoded: admitted.encode().into(),
        admitted,
    }
}

//! What another instance over the same frames reports: pages that it has delivered, and what people did there.
use std::time::Duration;

use super::{CommandError, Handle, check_text};
use crate::id::{AlertId, TransitionId};
use crate::intake::{self, Input, Told};
use crate::lifecycle::State;

/// How long a command waits for the frames of its alert. After that they will not come: this instance began with an empty disk.
const FRAMES_WITHIN: Duration = Duration::from_secs(20);

/// Why what a person did elsewhere was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaidError {
    /// Frames are still on their way.
    #[error("no alert has this id here yet: report it again")]
    NotKnownYet,
    /// The same to one that keeps it until they have come.
    #[error("no alert has this id here, say it again once it has")]
    Unknown,
    /// It is no command, or this instance is alone.
    #[error("only instances of one uplink.group report what people did, as records of their logs")]
    Foreign,
    /// As for a command that is given here.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Handle {
    /// Another instance that judges the same frames has paged or acknowledged. Durable when this returns.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn told(&self, told: Told) -> Result<(), CommandError> {
        self.report(move || told.encode()).await
    }

    /// Whether another instance of the group pages, and takes what people do.
    pub fn stands_by(&self) -> bool {
        !self.permit.holds()
    }

    /// Whether there are other instances over the same frames.
    pub fn is_fenced(&self) -> bool {
        self.permit.is_fenced()
    }

    /// The instance that pages has delivered a page to a receiver. Durable when this returns.
    ///
    /// # Errors
    /// [`CommandError`].
    pub(crate) async fn delivered_elsewhere(&self, page: TransitionId, receiver: &str) -> Result<(), CommandError> {
        let receiver = receiver.to_owned();
        let kept = self.blocking(move |own| own.store.delivered_elsewhere(page, &receiver, own.now()));
        kept.await.map_err(CommandError::Store)
    }

    /// The name of this instance's file: with another one it begins anew, and knows nothing of what it was told before.
    ///
    /// # Errors
    /// [`CommandError`].
    pub(crate) async fn file(&self) -> Result<String, CommandError> {
        let file = self.blocking(|own| own.store.file());
        file.await.map_err(CommandError::Store)
    }

    /// What a person did at the instance that pages, as the record that stands in its log. It goes into this one's log too, so both
    /// judge by the same. Durable when this returns. `waits`: that one keeps what is about an alert that was not raised here, and says
    /// it again; others keep everything after it, so they are told so for a while only.
    ///
    /// # Errors
    /// [`SaidError`].
    pub(crate) async fn said_elsewhere(&self, instance: String, record: &[u8], waits: bool) -> Result<(), SaidError> {
        let Ok(Input::Command(mut command)) = intake::decode(record) else {
            return Err(SaidError::Foreign);
        };
        if !self.is_fenced() {
            return Err(SaidError::Foreign);
        }
        check_text(&command.actor, &command.comment)?;
        if let Some(alert) = command.action.alert()
            && (waits || self.now().since(command.at) < FRAMES_WITHIN)
            && !self.is_raised(alert).await?
        {
            return Err(if waits {
                SaidError::Unknown
            } else {
                SaidError::NotKnownYet
            });
        }
        command.instance = Some(instance);
        Ok(self.report(move || command.encode()).await?)
    }

    /// Whether commands about an alert have an effect here: what is not confirmed yet cannot be acknowledged.
    async fn is_raised(&self, alert: AlertId) -> Result<bool, CommandError> {
        let known = self.alert(alert).await.map_err(CommandError::Store)?;
        Ok(known.is_some_and(|alert| alert.state() != State::Pending))
    }
}

//! Silences: what one would hide, making one, ending one.
use super::{CommandError, Handle};
use crate::id::SilenceId;
use crate::intake::{Action, Silence};
use crate::paging::silence::MAX_SILENCES;
use crate::paging::{self, Preview, SilenceError, SilencePolicy};
use crate::store::StoreError;

impl Handle {
    /// What silences may do, by the plan that holds now.
    pub fn silence_policy(&self) -> SilencePolicy {
        self.shared.plan().silences
    }

    /// Whether somebody may answer for a silence, by the plan that holds now: who cannot be reminded may not.
    pub fn may_own_silence(&self, owner: &str) -> bool {
        self.shared.plan().may_own(owner).is_ok()
    }

    /// Makes a silence, for which `owner` answers. Answers with its id when it holds.
    ///
    /// # Errors
    /// [`CommandError`]: above all [`CommandError::Silence`], if the plan does not allow it.
    pub async fn silence(&self, what: Silence, owner: &str, reason: &str) -> Result<SilenceId, CommandError> {
        if reason.trim().is_empty() {
            return Err(CommandError::Silence(SilenceError::Reason));
        }
        let plan = self.shared.plan();
        plan.silences
            .allows(&what, self.clock.now().into())
            .and_then(|()| plan.may_own(owner))
            .map_err(CommandError::Silence)?;
        let held = self
            .blocking(|own| own.store.silences())
            .await
            .map_err(CommandError::Store)?;
        if held.len() >= MAX_SILENCES {
            return Err(CommandError::Silence(SilenceError::TooMany));
        }
        let id = SilenceId(self.command(Action::Silence(what), owner, reason).await?);
        // The log's clock decides, which another part of the log may have put forward: nobody is told that it holds unless it does.
        let held = self.silences().await.map_err(CommandError::Store)?;
        if !held.iter().any(|(made, _)| *made == id) {
            return Err(CommandError::Silence(SilenceError::NotMade));
        }
        Ok(id)
    }

    /// Ends a silence: what it hid and still needs a person is told then.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn end_silence(&self, id: SilenceId, actor: &str, reason: &str) -> Result<(), CommandError> {
        self.command(Action::EndSilence(id.0), actor, reason).await.map(|_| ())
    }

    /// The silences that hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn silences(&self) -> Result<Vec<(SilenceId, paging::Silence)>, StoreError> {
        self.blocking(|own| own.store.silences()).await
    }

    /// What a silence would hide.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn preview_silence(&self, what: Silence) -> Result<Preview, StoreError> {
        self.blocking(move |own| {
            let (open_alerts, already_told) = own.store.picked(&what)?;
            let registry = own.shared.registry.current();
            let devices = registry.devices().map(|device| {
                (
                    device.key.tenant.as_str(),
                    device.clinic.as_str(),
                    device.key.device.as_str(),
                )
            });
            Ok(Preview {
                open_alerts,
                already_told,
                ..paging::preview(&what, devices, std::iter::empty(), |_| false)
            })
        })
        .await
    }
}

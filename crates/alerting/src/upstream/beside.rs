//! How an instance begins beside another one that judges the same frames: which silences hold there it knows before it judges the first
//! frame. A silence that it heard of later would not hold what it has planned to tell.
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, TIMEOUT};
use crate::handle::{CommandError, Handle};
use crate::intake::{self, Input};
use crate::notify::{Http, TargetError};

/// Where an instance says which silences hold, below its `/v1/told`.
const BELOW: &str = "/silences";
/// Most bytes of an answer: as many silences as may hold, with the longest names and reasons.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// How long the other one is waited for. It may not be there: then nobody pages, and this one has to.
const WAIT: Duration = Duration::from_secs(3);
/// As whose the silences stand in the journal: that one says its name when it tells them again.
const ANOTHER: &str = "another";
/// Between two questions.
const AGAIN: Duration = Duration::from_millis(500);

/// The silences that hold, as the commands by which they were made.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SilencesSaid {
    /// Records of the instance's log, each in base64, in the order in which they were made.
    pub commands: Vec<String>,
}

/// The other instance of a group.
pub struct Other(Http);

impl Handle {
    /// Whom this instance has to ask which silences hold before it lets the first frame in; `None`: it has judged before, or is alone.
    ///
    /// # Errors
    /// [`TargetError`]: the address of the other instance cannot be used.
    pub async fn begins_beside(&self, other: &Config) -> Result<Option<Other>, TargetError> {
        let judged = self.blocking(|own| own.store.position()).await;
        if !self.is_fenced() || !matches!(judged, Ok((_, None))) {
            return Ok(None);
        }
        let http = Http::new(other.url.reveal(), TIMEOUT, None)?.authorized(other.authorization.as_ref())?;
        Ok(Some(Other(http)))
    }

    /// Takes the silences that hold at another instance of the group. What cannot be had within some seconds is told later.
    pub async fn take_silences(&self, other: &Other) {
        let begun = Instant::now();
        loop {
            match other.0.get(BELOW, ANSWER_MAX).await {
                Ok(answer) if answer.status.is_success() => {
                    let said: SilencesSaid = serde_json::from_str(&answer.body).unwrap_or_else(|error| {
                        tracing::warn!(%error, "what the other instance says of its silences cannot be read");
                        SilencesSaid::default()
                    });
                    let (silences, taken) = (said.commands.len(), self.take(said).await);
                    tracing::info!(
                        silences,
                        taken,
                        "this instance begins anew beside another one, with its silences"
                    );
                    return;
                }
                Ok(answer) => {
                    let status = answer.status.as_u16();
                    tracing::warn!(status, "the other instance does not say which silences hold");
                    return;
                }
                Err(failure) if begun.elapsed() > WAIT => {
                    tracing::warn!(
                        error = %failure.detail,
                        "the other instance does not say which silences hold, this one begins without"
                    );
                    return;
                }
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// Puts them into the log; how many.
    async fn take(&self, said: SilencesSaid) -> usize {
        let mut taken = 0;
        for record in said.commands {
            let input = STANDARD.decode(record).ok().map(|record| intake::decode(&record));
            let Some(Ok(Input::Command(mut command))) = input else {
                continue;
            };
            command.instance = Some(ANOTHER.to_owned());
            match self.report(move || command.encode()).await {
                Ok(()) => taken += 1,
                Err(error) => tracing::warn!(%error, "a silence of the other instance is not taken"),
            }
        }
        taken
    }

    /// The silences that hold here, for an instance that begins.
    ///
    /// # Errors
    /// As for the file.
    pub(crate) async fn silences_said(&self) -> Result<SilencesSaid, CommandError> {
        let now = self.now();
        let said = self.blocking(move |own| own.store.silences_said(now)).await;
        let said = said.map_err(CommandError::Store)?;
        let commands = said.iter().map(|command| STANDARD.encode(command.encode()));
        Ok(SilencesSaid {
            commands: commands.collect(),
        })
    }
}

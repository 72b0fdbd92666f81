//! The registry in daily life: files that people edit, a journal of what was changed by command, and the fleet that both give,
//! for whoever reads it. A change is checked whole, put on disk, and only then in force.
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry::{ClinicId, DeviceKey, UnixMicros};

use crate::change::{Change, Digest, MAX_ACTOR_BYTES, MAX_STEPS, MAX_WHY_BYTES, Order, Step};
use crate::error::{LoadError, LoadErrors, LoadReason};
use crate::fleet::{Device, DeviceState};
use crate::journal::{Journal, JournalError, Torn};
use crate::load::{Asked, Files, Loaded};
use crate::overlay::Pending;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::version::RegistryVersion;

/// Why the registry cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files, or files and changes that contradict each other.
    #[error(transparent)]
    Load(#[from] LoadErrors),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Nobody, or too long a name or reason.
    #[error(
        "say who changes it (1 to {MAX_ACTOR_BYTES} bytes) and why (1 to {MAX_WHY_BYTES} bytes, about the device, never about a client)"
    )]
    Who,
    /// There is no such device.
    #[error("the registry has no device {0}: see `dermatel device ls`")]
    Unknown(DeviceKey),
    /// It is so already.
    #[error("device {device} {is} already")]
    Already {
        /// Which one.
        device: DeviceKey,
        /// What it is.
        is: String,
    },
    /// A retired device is not moved.
    #[error("device {0} is retired: put it into use again first, with `dermatel device restore`")]
    Retired(DeviceKey),
    /// Nothing is asked for, or too much at once.
    #[error("a change has 1 to {MAX_STEPS} devices")]
    Size,
    /// The fleet would not be whole.
    #[error("{0}")]
    Refused(LoadErrors),
    /// The journal did not take it.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Where a device stands, and whether it is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stands {
    /// Its clinic.
    pub clinic: ClinicId,
    /// Whether it is in use.
    pub state: DeviceState,
}

/// A device that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which one.
    pub device: DeviceKey,
    /// Before; `None`: it was not there.
    pub before: Option<Stands>,
    /// After.
    pub after: Option<Stands>,
}

/// A change that is on disk and in force.
#[derive(Debug, Clone)]
pub struct Done {
    /// As it stands in the journal.
    pub change: Change,
    /// Hash of its line.
    pub hash: Digest,
    /// The registry that it gave.
    pub version: RegistryVersion,
    /// The devices.
    pub devices: Vec<Changed>,
}

/// What emptying the journal into the files came to.
#[derive(Debug, Clone)]
pub struct Folded {
    /// Devices that the files say too: the journal was emptied of them.
    pub gone: Vec<DeviceKey>,
    /// What the files do not say yet.
    pub left: Vec<Pending>,
    /// The lines of the new journal; empty: nothing was emptied.
    pub lines: Vec<(Change, Digest)>,
}

/// What was found at the start.
#[derive(Debug)]
pub struct Opened {
    /// The registry in daily life.
    pub book: Book,
    /// What was being written when the process died.
    pub torn: Option<Torn>,
}

/// What the fleet in force is made of.
pub(crate) struct Inner {
    pub(crate) files: Files,
    pub(crate) journal: Journal,
    pub(crate) changes: Vec<Change>,
}

/// Files, journal, and the fleet in force.
pub struct Book {
    folder: PathBuf,
    ahead: Arc<Shared>,
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Book {
    /// Reads the files of `folder` and lays the changes of `journal` over them. Only one process may hold the journal.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, journal: &Path) -> Result<Opened, OpenError> {
        let files = Files::read(folder)?;
        let (journal, changes, torn) = Journal::open(journal)?;
        let registry = files.load(&changes)?.registry;
        let book = Self {
            folder: folder.to_owned(),
            ahead: Arc::new(Shared::new(registry.clone())),
            shared: Arc::new(Shared::new(registry)),
            inner: Mutex::new(Inner {
                files,
                journal,
                changes,
            }),
        };
        Ok(Opened { book, torn })
    }

    /// What [`Self::open`] would find, beside the process that holds the journal.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn check(folder: &Path, journal: &Path) -> Result<Registry, OpenError> {
        let changes = Journal::read(journal)?;
        Ok(Files::read(folder)?.load(&changes)?.registry)
    }

    /// The fleet for whoever judges what devices say: it is new here before a new device is let in by [`Self::shared`], so that
    /// nothing that it says is judged by a fleet that does not know it.
    pub fn ahead(&self) -> Arc<Shared> {
        Arc::clone(&self.ahead)
    }

    pub(crate) fn put_in_force(&self, registry: Registry, known: impl FnOnce(&RegistryVersion)) {
        let registry = Arc::new(registry);
        self.ahead.replace_shared(Arc::clone(&registry));
        known(registry.version());
        self.shared.replace_shared(registry);
    }

    /// The fleet in force, for whoever lets devices in or describes them.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic in between left a journal and a list that say the same, or a sealed journal.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal's lines, oldest first, each with its hash.
    pub fn changes(&self) -> Vec<(Change, Digest)> {
        crate::journal::hashed(&self.inner().changes)
    }

    /// Makes a change: all of it, or nothing. `Ok`: it is on disk and in force. `known` is called when it is on disk and new in
    /// [`Self::ahead`], and before it is in force. Blocks on the disk, and as long as it takes to read the whole fleet.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing was changed.
    pub fn change(
        &self,
        now: UnixMicros,
        (by, why): (&str, &str),
        order: &Order,
        known: impl FnOnce(&RegistryVersion),
    ) -> Result<Done, ChangeError> {
        let fits =
            |text: &str, max| !text.trim().is_empty() && text.len() <= max && !text.chars().any(char::is_control);
        if !fits(by, MAX_ACTOR_BYTES) || !fits(why, MAX_WHY_BYTES) {
            return Err(ChangeError::Who);
        }
        let mut inner = self.inner();
        let before = self.shared.current();
        let (list, lines, steps) = steps(&before, order)?;
        let change = Change {
            n: inner.changes.last().map_or(1, |last| last.n + 1),
            at: now,
            by: by.to_owned(),
            why: why.to_owned(),
            steps,
            folded: None,
        };
        let asked = Asked {
            list,
            lines,
            change: &change,
        };
        let loaded = inner
            .files
            .load_with(&inner.changes, Some(&asked))
            .map_err(ChangeError::Refused)?;
        let hash = inner.journal.append(&change)?;
        inner.changes.push(change.clone());
        let devices = change.steps.iter().map(|step| changed(step, &before, &loaded.registry));
        let done = Done {
            hash,
            version: loaded.registry.version().clone(),
            devices: devices.collect(),
            change,
        };
        self.put_in_force(loaded.registry, known);
        Ok(done)
    }

    /// Reads the files again. A fault leaves everything as it is. `known` as for [`Self::change`].
    ///
    /// # Errors
    /// Every fault.
    pub fn reload(&self, known: impl FnOnce(&RegistryVersion)) -> Result<RegistryVersion, LoadErrors> {
        let mut inner = self.inner();
        let files = Files::read(&self.folder)?;
        let Loaded { registry, .. } = files.load(&inner.changes)?;
        inner.files = files;
        let version = registry.version().clone();
        self.put_in_force(registry, known);
        Ok(version)
    }

    /// What the journal says of each device, and whether the files in force say it too.
    ///
    /// # Errors
    /// Every fault.
    pub fn pending(&self) -> Result<Vec<Pending>, LoadErrors> {
        let inner = self.inner();
        Ok(inner.files.load(&inner.changes)?.pending)
    }

    /// Empties the journal of what the files in force say too.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing was emptied.
    pub fn fold(&self, now: UnixMicros, by: &str, why: &str) -> Result<Folded, ChangeError> {
        check_who(by, why)?;
        let mut inner = self.inner();
        let loaded = inner.files.load(&inner.changes).map_err(ChangeError::Refused)?;
        let (done, left): (Vec<_>, Vec<_>) = loaded.pending.into_iter().partition(|pending| pending.in_files);
        let gone: Vec<DeviceKey> = done.into_iter().map(|pending| pending.device).collect();
        if gone.is_empty() {
            return Ok(Folded {
                gone,
                left,
                lines: Vec::new(),
            });
        }
        let kept = without(&inner, &gone, now, by, why);
        // Read once more before the old one goes: what is left must give the same fleet.
        let registry = inner.files.load(&kept).map_err(ChangeError::Refused)?.registry;
        inner.journal.replace(&kept)?;
        let lines = crate::journal::hashed(&kept);
        inner.changes = kept;
        // The same fleet by another name: nobody has to wait for it.
        self.put_in_force(registry, |_| {});
        Ok(Folded { gone, left, lines })
    }
}

fn check_who(by: &str, why: &str) -> Result<(), ChangeError> {
    let fits = |text: &str, max| !text.trim().is_empty() && text.len() <= max && !text.chars().any(char::is_control);
    if fits(by, MAX_ACTOR_BYTES) && fits(why, MAX_WHY_BYTES) {
        Ok(())
    } else {
        Err(ChangeError::Who)
    }
}

/// The journal without some devices: a line that says so, and the rest with numbers that go on.
fn without(inner: &Inner, gone: &[DeviceKey], now: UnixMicros, by: &str, why: &str) -> Vec<Change> {
    let gone: std::collections::HashSet<&DeviceKey> = gone.iter().collect();
    let mut n = inner.changes.last().map_or(1, |last| last.n + 1);
    let mut kept = vec![Change {
        n,
        at: now,
        by: by.to_owned(),
        why: why.to_owned(),
        steps: Vec::new(),
        folded: Some(inner.journal.head()),
    }];
    for change in &inner.changes {
        let steps: Vec<Step> = change
            .steps
            .iter()
            .filter(|step| !gone.contains(&step.device()))
            .cloned()
            .collect();
        if !steps.is_empty() {
            n += 1;
            kept.push(Change {
                n,
                steps,
                ..change.clone()
            });
        }
    }
    kept
}

fn stands(device: &Device) -> Stands {
    Stands {
        clinic: device.clinic.clone(),
        state: device.state,
    }
}

fn changed(step: &Step, before: &Registry, after: &Registry) -> Changed {
    let device = step.device();
    Changed {
        before: before.device(&device).map(stands),
        after: after.device(&device).map(stands),
        device,
    }
}

/// What an order means for the fleet in force: the list's name, the line of each step, the steps.
fn steps<'o>(registry: &Registry, order: &'o Order) -> Result<(&'o str, Vec<u32>, Vec<Step>), ChangeError> {
    let known = |key: &DeviceKey| registry.device(key).ok_or_else(|| ChangeError::Unknown(key.clone()));
    let already = |device: &DeviceKey, is: String| ChangeError::Already {
        device: device.clone(),
        is,
    };
    let step = match order {
        Order::Add { list, rows } => {
            if rows.is_empty() || rows.len() > MAX_STEPS {
                return Err(ChangeError::Size);
            }
            check_rows(registry, list, rows)?;
            let lines = rows.iter().map(|row| row.line).collect();
            let steps = rows.iter().map(|row| Step::Add(row.device.clone())).collect();
            return Ok((list, lines, steps));
        }
        Order::Move { device, to } => {
            let found = known(device)?;
            if found.state == DeviceState::Retired {
                return Err(ChangeError::Retired(device.clone()));
            }
            if found.clinic == *to {
                return Err(already(device, format!("stands at {to}")));
            }
            Step::Move {
                device: device.clone(),
                from: found.clinic.clone(),
                to: to.clone(),
            }
        }
        Order::Retire { device } => match known(device)?.state {
            DeviceState::Retired => return Err(already(device, "is retired".to_owned())),
            DeviceState::Active => Step::Retire { device: device.clone() },
        },
        Order::Restore { device } => match known(device)?.state {
            DeviceState::Active => return Err(already(device, "is in use".to_owned())),
            DeviceState::Retired => Step::Restore { device: device.clone() },
        },
    };
    Ok(("command", vec![1], vec![step]))
}

/// What the files cannot say of rows: that the device is there already, and that it could never connect.
fn check_rows(registry: &Registry, list: &str, rows: &[crate::change::Row]) -> Result<(), ChangeError> {
    let mut errors = LoadErrors::default();
    for row in rows {
        let key = row.device.key();
        let mut wrong = |reason, wrong: String, allowed: &str| {
            if errors.problems.len() >= crate::error::MAX_PROBLEMS {
                errors.more += 1;
                return;
            }
            errors.problems.push(LoadError {
                reason,
                file: list.to_owned(),
                line: Some(row.line as usize),
                key: key.to_string(),
                wrong,
                allowed: allowed.to_owned(),
            });
        };
        if let Some(device) = registry.device(&key) {
            let text = format!("is there already, {} at {}", device.state.as_str(), device.clinic);
            wrong(
                LoadReason::Duplicate,
                text,
                "take the row out, or move or restore the device",
            );
        }
        if !row.device.has_credential() {
            let advice = "give secret_sha256, certificate_sha256 or certificate = \"by-name\"";
            wrong(LoadReason::Missing, "has no credential".to_owned(), advice);
        }
    }
    if errors.problems.is_empty() {
        Ok(())
    } else {
        Err(ChangeError::Refused(errors))
    }
}

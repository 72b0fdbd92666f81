//! Changes laid over the files: a pure function. A device's changes are a chain of what was there; the files may say any link of
//! it (they were not edited since, or they followed in part or whole), and the last link holds. Anything else is a fault.
use std::collections::{BTreeMap, HashMap};

use telemetry::{ClinicId, DeviceKey};

use crate::build::Raw;
use crate::change::{Change, NewDevice, Step};
use crate::error::LoadReason;
use crate::fleet::{Credentials, DeviceState};
use crate::raw::RawDevice;
use crate::source::{At, Place, Problems};

/// A list of steps that stand in one pseudo-file: the journal, or what is asked for.
pub(crate) struct Layer<'c> {
    /// Index of the pseudo-file.
    pub(crate) file: u32,
    /// Line, from 1, and step.
    pub(crate) steps: Vec<(u32, &'c Step)>,
}

/// The text of a pseudo-file with so many lines: what stands in line n begins at byte n - 1.
pub(crate) fn lines(count: usize) -> String {
    "\n".repeat(count)
}

impl<'c> Layer<'c> {
    /// Steps of the journal, line by line.
    pub(crate) fn journal(file: u32, changes: &'c [Change]) -> Self {
        let steps = (1u32..).zip(changes);
        Self {
            file,
            steps: steps
                .flat_map(|(line, change)| change.steps.iter().map(move |step| (line, step)))
                .collect(),
        }
    }

    fn place(&self, line: u32) -> Place {
        Place {
            file: self.file,
            byte: line.saturating_sub(1),
        }
    }
}

/// What the journal says about one device, and whether the files say it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which device.
    pub device: DeviceKey,
    /// Its row in the files, as `file:line`; `None`: it has none yet.
    pub row: Option<String>,
    /// The files say the same: the journal can be emptied of it.
    pub in_files: bool,
    /// Where it stands.
    pub clinic: ClinicId,
    /// Whether it is in use.
    pub state: DeviceState,
    /// The device as it was entered, where it has no row yet.
    pub entered: Option<NewDevice>,
}

impl Pending {
    /// The row for `devices.toml`; `None`: it has one, which is to be edited.
    pub fn row_text(&self) -> Option<String> {
        let entered = self.entered.as_ref()?;
        Some(crate::render::row(entered, &self.clinic, self.state))
    }
}

/// A device's chain.
struct History<'c> {
    added: Option<(&'c NewDevice, Place)>,
    clinics: Vec<(&'c ClinicId, Place)>,
    states: Vec<DeviceState>,
}

impl<'c> History<'c> {
    fn begin(step: &'c Step, place: Place) -> Self {
        let mut own = Self {
            added: None,
            clinics: Vec::new(),
            states: Vec::new(),
        };
        match step {
            Step::Add(device) => {
                own.added = Some((device, place));
                own.clinics.push((&device.clinic, place));
                own.states.push(DeviceState::Active);
            }
            Step::Move { from, to, .. } => own.clinics.extend([(from, place), (to, place)]),
            Step::Retire { .. } => own.states.extend([DeviceState::Active, DeviceState::Retired]),
            Step::Restore { .. } => own.states.extend([DeviceState::Retired, DeviceState::Active]),
        }
        own
    }

    /// The next step, if it begins where the chain ends.
    fn go_on(&mut self, step: &'c Step, place: Place) -> Result<(), String> {
        match step {
            Step::Add(_) => return Err("is entered although it was there already".to_owned()),
            Step::Move { from, to, .. } => {
                if let Some((last, _)) = self.clinics.last().filter(|(last, _)| *last != from) {
                    return Err(format!("is moved away from {from} although it stood at {last}"));
                }
                if self.clinics.is_empty() {
                    self.clinics.push((from, place));
                }
                self.clinics.push((to, place));
            }
            Step::Retire { .. } => self.turn(DeviceState::Active, DeviceState::Retired)?,
            Step::Restore { .. } => self.turn(DeviceState::Retired, DeviceState::Active)?,
        }
        Ok(())
    }

    fn turn(&mut self, from: DeviceState, to: DeviceState) -> Result<(), String> {
        match self.states.last() {
            Some(last) if *last != from => return Err(format!("is {} already", to.as_str())),
            Some(_) => {}
            None => self.states.push(from),
        }
        self.states.push(to);
        Ok(())
    }
}

/// Lays the steps over what the files say; says for each device of them where it stands.
pub(crate) fn apply(raw: &mut Raw, layers: &[Layer<'_>], problems: &mut Problems<'_>) -> Vec<Pending> {
    let mut histories: BTreeMap<DeviceKey, (History<'_>, Place)> = BTreeMap::new();
    for layer in layers {
        for (line, step) in &layer.steps {
            let place = layer.place(*line);
            match histories.entry(step.device()) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert((History::begin(step, place), place));
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    let key = entry.key().to_string();
                    let (history, last) = entry.get_mut();
                    *last = place;
                    if let Err(wrong) = history.go_on(step, place) {
                        let advice = "change each device once";
                        problems.add(LoadReason::Contradiction, place, key, wrong, advice);
                    }
                }
            }
        }
    }
    if histories.is_empty() {
        return Vec::new();
    }
    let rows = rows(raw);
    let mut pending = Vec::with_capacity(histories.len());
    for (key, (history, place)) in &histories {
        let row = rows.get(key).and_then(|&at| raw.devices.get_mut(at));
        let found = match row {
            Some(row) => Some(lay_over(key, history, row, problems)),
            None => enter(key, history, *place, raw, problems),
        };
        pending.extend(found);
    }
    pending
}

fn rows(raw: &Raw) -> HashMap<DeviceKey, usize> {
    let key = |row: &RawDevice| DeviceKey {
        tenant: row.tenant.clone(),
        device: row.id.value.clone(),
    };
    // Of two rows of one device, which is a fault that is told elsewhere, either will do.
    raw.devices.iter().enumerate().map(|(at, row)| (key(row), at)).collect()
}

/// A device that has a row.
fn lay_over(key: &DeviceKey, history: &History<'_>, row: &mut RawDevice, problems: &mut Problems<'_>) -> Pending {
    let at = problems.show(row.id.place);
    if let Some((added, place)) = history.added
        && let Some(what) = differs(added, row)
    {
        problems.add(
            LoadReason::Contradiction,
            place,
            key.to_string(),
            format!("was entered by command, and {at} has a row for it with another {what}"),
            "write the row as it was entered (`dermatel device fold` shows it), let the journal be emptied of it with \
             `dermatel device fold`, and edit the row after that",
        );
    }
    let mut in_files = true;
    if let Some((last, moved)) = history.clinics.last() {
        let known = history.clinics.iter().any(|(clinic, _)| **clinic == row.clinic.value);
        if !known {
            problems.add(
                LoadReason::Contradiction,
                *moved,
                key.to_string(),
                format!("was moved to {last} by command, and {at} says {}", row.clinic.value),
                format!(
                    "write clinic = \"{last}\" there, reload, then `dermatel device move` it to where it is to stand"
                ),
            );
        }
        in_files &= row.clinic.value == **last;
        if row.clinic.value != **last {
            row.clinic = At {
                value: (*last).clone(),
                place: *moved,
            };
        }
    }
    if let Some(last) = history.states.last() {
        in_files &= row.state == *last;
        row.state = *last;
    }
    Pending {
        device: key.clone(),
        row: Some(at),
        in_files,
        clinic: row.clinic.value.clone(),
        state: row.state,
        entered: None,
    }
}

/// A device that has no row: it was entered by command, or its row is gone.
fn enter(
    key: &DeviceKey,
    history: &History<'_>,
    place: Place,
    raw: &mut Raw,
    problems: &mut Problems<'_>,
) -> Option<Pending> {
    let Some((added, entered_at)) = history.added else {
        problems.add(
            LoadReason::Dangling,
            place,
            key.to_string(),
            "was changed by command, and the files have no row for it any more",
            "put its row back (with state = \"retired\" if it is out of use), reload, then `dermatel device fold`",
        );
        return None;
    };
    if !raw.tenants.contains_key(&added.tenant) {
        problems.add(
            LoadReason::Dangling,
            entered_at,
            key.to_string(),
            format!("there is no tenant {}", added.tenant),
            "tenants are folders with a tenant.toml below tenants/",
        );
        return None;
    }
    let (clinic, moved) = history.clinics.last().copied().unwrap_or((&added.clinic, entered_at));
    let state = history.states.last().copied().unwrap_or(DeviceState::Active);
    raw.devices.push(row(added, entered_at, (clinic, moved), state));
    Some(Pending {
        device: key.clone(),
        row: None,
        in_files: false,
        clinic: clinic.clone(),
        state,
        entered: Some(added.clone()),
    })
}

fn row(added: &NewDevice, place: Place, (clinic, moved): (&ClinicId, Place), state: DeviceState) -> RawDevice {
    fn at<T>(value: T, place: Place) -> At<T> {
        At { value, place }
    }
    RawDevice {
        tenant: added.tenant.clone(),
        id: at(added.id.clone(), place),
        clinic: at(clinic.clone(), moved),
        model: at(added.model.clone(), place),
        serial: at(added.serial.clone(), place),
        state,
        credentials: credentials(added),
        expected_since: added.expected_since.map(|day| day.start()),
        limits: None,
        policy: None,
    }
}

fn credentials(added: &NewDevice) -> Credentials {
    Credentials {
        secret_sha256: added.secret_sha256.iter().map(|digest| digest.0).collect(),
        certificate_sha256: added.certificate_sha256.iter().map(|digest| digest.0).collect(),
        certificate_by_name: added.certificate_by_name,
    }
}

/// In what a row is another device than the one that was entered.
fn differs(added: &NewDevice, row: &RawDevice) -> Option<&'static str> {
    if added.model != row.model.value {
        return Some("model");
    }
    if added.serial != row.serial.value {
        return Some("serial");
    }
    if credentials(added) != row.credentials {
        return Some("credential");
    }
    (added.expected_since.map(|day| day.start()) != row.expected_since).then_some("expected_since")
}

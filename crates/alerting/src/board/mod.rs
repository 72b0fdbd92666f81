//! What alerting knows of a fleet beside its alerts, for the pages: who is there, and what is sterilized, disinfected and tested.
//! Read from what was committed last; decided by pure functions that take `now`.

mod hygiene;
mod presence;

use std::collections::HashMap;

use registry::DeviceState;
use telemetry::{ClinicId, DeviceKey, DeviceKind, Priority, TenantId, UnixMicros};

use crate::engine::Alert;
use crate::engine::state::{Item, Sterilizer};
use crate::fleet::{Facts, Fleet as _};
use crate::handle::Handle;
use crate::lifecycle::State;
use crate::registry_fleet::{OwnedFleet, RegistryFleet};
use crate::store::StoreError;

pub use hygiene::{
    DUE_WITHIN, Disinfection, FailedStanding, ItemStanding, Standing, SterilizerStanding, WipeStanding, item_standing,
    sterilizer_standing,
};
pub use presence::{ONLINE_WITHIN, Presence, Seen, presence};

/// Most items of a tenant that are looked at for one board: devices, tips and hand pieces.
pub const MAX_ITEMS: usize = 10_000;

/// Most alerts of one device that are shown for a stretch of time.
pub const MAX_ALERTS_OF: usize = 500;

/// How many alerts of one priority are open about a device, in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAlerts {
    /// The tenant; empty for a gateway.
    pub tenant: String,
    /// Device, sterilizer or gateway.
    pub device: String,
    /// The priority.
    pub priority: Priority,
    /// The state.
    pub state: State,
    /// How many.
    pub alerts: u32,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The tenant.
    pub tenant: TenantId,
    /// One clinic; `None`: all of the tenant.
    pub clinic: Option<ClinicId>,
}

/// Hygiene of a place, as far as its clinics are judged here.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Board {
    /// Devices that are used on people, and items that are no devices; devices first, by name.
    pub items: Vec<ItemStanding>,
    /// Sterilizers, by name.
    pub sterilizers: Vec<SterilizerStanding>,
    /// There are more than [`MAX_ITEMS`]: some items that are no devices are not here.
    pub cut: bool,
}

impl Handle {
    /// Hygiene of a place, from what was committed last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hygiene(&self, place: Place) -> Result<Board, StoreError> {
        self.blocking(move |own| {
            let (items, cut) = own.store.items(&place.tenant, MAX_ITEMS)?;
            let sterilizers = own.store.sterilizers(&place.tenant, MAX_ITEMS)?;
            let fleet = own.shared.fleet();
            let known = (items, sterilizers);
            if place.clinic.is_some() {
                return board(&fleet, &place, known, cut, own.now(), |key| own.store.seen_of(key));
            }
            let seen = own.store.seen(Some(&place.tenant))?.into_iter().collect();
            board(&fleet, &place, known, cut, own.now(), taken_from(&seen))
        })
        .await
    }

    /// Hygiene of whole tenants, and what was heard of their devices, each read once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hygiene_of_all(&self, tenants: Vec<TenantId>) -> Result<(Heard, Vec<Board>), StoreError> {
        self.blocking(move |own| {
            if tenants.is_empty() {
                return Ok((Heard::default(), Vec::new()));
            }
            let fleet = own.shared.fleet();
            let only = tenants.first().filter(|_| tenants.len() == 1);
            let seen = own.store.seen(only)?.into_iter().collect();
            let boards = tenants.into_iter().map(|tenant| {
                let (items, cut) = own.store.items(&tenant, MAX_ITEMS)?;
                let sterilizers = own.store.sterilizers(&tenant, MAX_ITEMS)?;
                let place = Place { tenant, clinic: None };
                board(&fleet, &place, (items, sterilizers), cut, own.now(), taken_from(&seen))
            });
            let boards = boards.collect::<Result<_, _>>()?;
            Ok((seen, boards))
        })
        .await
    }

    /// Hygiene of one device.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hygiene_of(&self, key: DeviceKey) -> Result<Option<ItemStanding>, StoreError> {
        self.blocking(move |own| {
            let fleet = RegistryFleet(own.shared.registry.current());
            let Some((device, facts)) = fleet.0.device(&key).zip(fleet.facts(&key)) else {
                return Ok(None);
            };
            let mut item = own.store.item(&key.tenant, key.device.as_str())?.unwrap_or_default();
            item.absorb(own.store.item(&key.tenant, device.serial.as_str())?.unwrap_or_default());
            let seen = own.store.seen_of(&key)?.unwrap_or_default();
            Ok(Some(item_standing(
                key.device.as_str(),
                &item,
                Some((&facts, &seen)),
                own.now(),
            )))
        })
        .await
    }

    /// What was heard of the devices of a tenant, or of all; those that were never heard are not among them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seen(&self, tenant: Option<TenantId>) -> Result<Vec<(DeviceKey, Seen)>, StoreError> {
        self.blocking(move |own| own.store.seen(tenant.as_ref())).await
    }

    /// What was heard of these devices; those that were never heard are not among them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seen_of(&self, devices: Vec<DeviceKey>) -> Result<Heard, StoreError> {
        self.blocking(move |own| {
            let seen = devices.into_iter().filter_map(|key| {
                let seen = own.store.seen_of(&key).transpose()?;
                Some(seen.map(|seen| (key, seen)))
            });
            seen.collect()
        })
        .await
    }

    /// How many alerts are open by device and priority, of a tenant or of all; those that are told, not pending ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_alerts(&self, tenant: Option<TenantId>) -> Result<Vec<OpenAlerts>, StoreError> {
        self.blocking(move |own| own.store.open_alerts(tenant.as_ref())).await
    }

    /// Alerts of a device that were raised between two times, in microseconds since 1970-01-01 UTC; oldest first, at most
    /// [`MAX_ALERTS_OF`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alerts_of(&self, key: DeviceKey, span_us: (i64, i64)) -> Result<Vec<Alert>, StoreError> {
        self.blocking(move |own| own.store.alerts_of(&key, span_us)).await
    }
}

/// What was heard of devices.
pub type Heard = HashMap<DeviceKey, Seen>;

/// What was heard of a device, of what was read before.
fn taken_from(seen: &Heard) -> impl Fn(&DeviceKey) -> Result<Option<Seen>, StoreError> {
    |key| Ok(seen.get(key).cloned())
}

type Known = (HashMap<String, Item>, HashMap<String, Sterilizer>);

fn board(
    fleet: &OwnedFleet,
    place: &Place,
    (mut items, sterilizers): Known,
    cut: bool,
    now: UnixMicros,
    seen_of: impl Fn(&DeviceKey) -> Result<Option<Seen>, StoreError>,
) -> Result<Board, StoreError> {
    let mut board = Board {
        cut,
        ..Board::default()
    };
    let registry = &fleet.all.0;
    for device in registry.devices().filter(|device| device.key.tenant == place.tenant) {
        let name = device.key.device.as_str();
        // What was recorded under its serial before it told its serial is its own.
        let mut item = items.remove(name).unwrap_or_default();
        item.absorb(items.remove(device.serial.as_str()).unwrap_or_default());
        let elsewhere = place.clinic.as_ref().is_some_and(|clinic| device.clinic != *clinic);
        if elsewhere || device.state == DeviceState::Retired || !fleet.owns(&place.tenant, &device.clinic) {
            continue;
        }
        let Some(facts) = fleet.facts(&device.key) else {
            continue;
        };
        match device.kind {
            DeviceKind::Pen | DeviceKind::Ipl => {
                let seen = seen_of(&device.key)?.unwrap_or_default();
                board.items.push(item_standing(name, &item, Some((&facts, &seen)), now));
            }
            DeviceKind::Autoclave => {
                let known = sterilizers.get(name).cloned().unwrap_or_default();
                board.sterilizers.push(sterilizer_standing(name, &known, &facts, now));
            }
            DeviceKind::DisinfectionStation => {}
        }
    }
    // A cycle that did not pass says nothing of a clinic: what was in it lies where its sterilizer stands.
    let failed_in = |item: &Item| {
        let key = DeviceKey {
            tenant: place.tenant.clone(),
            device: item.failed.as_ref()?.sterilizer.parse().ok()?,
        };
        registry.device(&key).map(|device| device.clinic.clone())
    };
    let here = |item: &Item| {
        place.clinic.as_ref().is_none_or(|clinic| {
            item.sterilized_in.contains_key(clinic.as_str()) || failed_in(item).as_ref() == Some(clinic)
        })
    };
    let mut others: Vec<_> = items.into_iter().filter(|(_, item)| here(item)).collect();
    others.sort_by(|(a, _), (b, _)| a.cmp(b));
    board.items.extend(
        others
            .iter()
            .map(|(name, item)| item_standing(name, item, None::<(&Facts, &Seen)>, now)),
    );
    Ok(board)
}

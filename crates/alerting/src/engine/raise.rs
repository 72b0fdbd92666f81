//! Raising and moving alerts: one open alert per rule, device, visit and zone; its id comes from what happened first.
use std::sync::Arc;

use telemetry::{DeviceId, DeviceKey, SkinType, TenantId, UnixMicros, Zone};

use super::flapping::raised;
use super::state::{Device, MAX_OPEN, Open};
use super::{Alert, Engine, Moment, Transition, Why, words};
use crate::id::{AlertId, Cause, Opaque, Subject, alert_id, transition_id};
use crate::lifecycle::{Lifecycle, Signal, State};
use crate::rules::Kind;

/// Under what "tenant" alerts about ourselves stand: a gateway or a receiver may serve several.
const OUR_TENANT: &str = "-";

/// What is wrong, about what.
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) cause: Cause,
    pub(super) visit: Option<Opaque>,
    pub(super) zone: Option<Zone>,
    pub(super) session: Option<Opaque>,
    pub(super) value: f64,
    pub(super) limit: f64,
    pub(super) margin: f64,
    pub(super) single: bool,
    pub(super) what_happened: String,
    pub(super) at: UnixMicros,
}

/// The key under which an alert about ourselves is signalled; none of these is a device, so it is never looked up.
pub(super) fn our_key(alert: &Alert) -> Option<DeviceKey> {
    alert.kind.is_ours().then(|| our_key_of(&alert.device)).flatten()
}

/// The same for a gateway, a receiver, a heartbeat or a rota by its name.
pub(super) fn our_key_of(name: &str) -> Option<DeviceKey> {
    Some(DeviceKey {
        tenant: TenantId::new("ours").ok()?,
        device: DeviceId::new(name).ok()?,
    })
}

impl Finding {
    /// Value and limit in whole thousandths: what a person reads, and what comes back from JSON as it went in.
    fn rounded(mut self) -> Self {
        let milli = |x: f64| (x * 1_000.0).round() / 1_000.0;
        (self.value, self.limit) = (milli(self.value), milli(self.limit));
        self
    }
}

impl Engine {
    /// Something is violated: raises an alert, or tells the one that is open about the same.
    pub(super) fn violated(&mut self, device: &mut Device, finding: Finding, moment: &Moment<'_>) -> Option<AlertId> {
        self.violated_on(device, finding, None, moment)
    }

    /// The same where a skin type was known.
    pub(super) fn violated_on(
        &mut self,
        device: &mut Device,
        finding: Finding,
        skin_type: Option<SkinType>,
        moment: &Moment<'_>,
    ) -> Option<AlertId> {
        let finding = finding.rounded();
        match find(device, &finding, self.id_of_load(&finding, moment)) {
            None => {
                let signal = Signal::Violated {
                    single: finding.single,
                    worse: false,
                };
                self.open(device, finding, skin_type, (signal, Why::Raised), moment)
            }
            Some(Found::Same(id)) => {
                self.again(device, id, finding, moment);
                Some(id)
            }
            Some(Found::NoRoom(id)) => {
                self.stands_for(device, id, finding, skin_type, moment);
                Some(id)
            }
        }
    }

    /// There is no room for another alert of this device: the oldest of its rule is about this from here on, and whoever is told of
    /// such things is told again, under its id.
    fn stands_for(
        &mut self,
        device: &mut Device,
        id: AlertId,
        finding: Finding,
        skin_type: Option<SkinType>,
        moment: &Moment<'_>,
    ) {
        self.merged += 1;
        if !moment.class.pages() {
            // What is old or replayed takes the place of nothing that is.
            return self.again(device, id, finding, moment);
        }
        let raised = Arc::new(self.raised(&finding, skin_type, moment));
        // It becomes the newest: the next one takes the place of another.
        if let Some(at) = device.open.iter().position(|open| open.id == id) {
            let open = device.open.remove(at);
            device.open.push(Open {
                visit: finding.visit,
                zone: finding.zone,
                ..open
            });
        }
        // What comes late about the one before proves nothing about this.
        device.awaited.retain(|awaited| awaited.id != id);
        if let Some(alert) = self.alerts.get_mut(&id) {
            (alert.visit, alert.session, alert.zone) = (finding.visit, finding.session, finding.zone);
            (alert.value, alert.told, alert.limit) = (finding.value, finding.value, finding.limit);
            (alert.what_happened, alert.event_time) = (finding.what_happened, finding.at);
            (alert.class, alert.raised) = (moment.class, Some(raised));
            (alert.acknowledged_by, alert.acknowledged_at) = (None, None);
            alert.violations += 1;
        }
        self.tell_anew(device, id, finding.single, moment);
    }

    /// What is open is violated again: as bad, or worse.
    pub(super) fn again(&mut self, device: &mut Device, id: AlertId, finding: Finding, moment: &Moment<'_>) {
        let finding = finding.rounded();
        let mut told_anew = false;
        let mut worse = false;
        if let Some(alert) = self.alerts.get_mut(&id) {
            worse = alert.acknowledged_by.is_some() && finding.value > alert.told + finding.margin;
            alert.violations += 1;
            if finding.value > alert.value {
                alert.value = finding.value;
                alert.limit = finding.limit;
                alert.what_happened = finding.what_happened;
            }
            // It was known from a replay or a digest only: now it is urgent.
            told_anew = moment.class.pages() && !alert.class.pages();
            alert.class = alert.class.min(moment.class);
            if worse || told_anew {
                (alert.acknowledged_by, alert.acknowledged_at) = (None, None);
            }
            self.changed_alerts.insert(id, alert.clone());
        }
        let signal = Signal::Violated {
            single: finding.single,
            worse,
        };
        let why = if worse { Why::Worse } else { Why::Again };
        if told_anew {
            self.tell_anew(device, id, false, moment);
        } else {
            self.signal(device, id, signal, why, moment);
        }
    }

    /// The id where the load makes the difference; the hash is not worth its time elsewhere.
    fn id_of_load(&self, finding: &Finding, moment: &Moment<'_>) -> Option<AlertId> {
        let each_load = finding.kind.each_load();
        each_load.then(|| self.id_of(finding, moment.key)).flatten()
    }

    /// The id of an alert about this.
    pub(super) fn id_of(&self, finding: &Finding, key: &DeviceKey) -> Option<AlertId> {
        let tenant = if finding.kind.is_ours() {
            OUR_TENANT
        } else {
            key.tenant.as_str()
        };
        let subject = Subject {
            rule: &self.rules.head(finding.kind)?.id,
            tenant,
            device: key.device.as_str(),
            visit: finding.visit,
            zone: finding.zone.map_or("", |z| z.as_str()),
        };
        Some(alert_id(subject, &finding.cause))
    }

    /// Evidence is awaited.
    pub(super) fn suspected(&mut self, device: &mut Device, finding: Finding, moment: &Moment<'_>) -> Option<AlertId> {
        match find(device, &finding, self.id_of_load(&finding, moment)) {
            None => {}
            Some(Found::Same(_)) => return None,
            Some(Found::NoRoom(_)) => {
                // What stands for several cannot be taken back for one of them: it is told without waiting.
                self.violated(device, finding, moment);
                return None;
            }
        }
        self.open(
            device,
            finding.rounded(),
            None,
            (Signal::Suspected, Why::Suspected),
            moment,
        )
    }

    fn open(
        &mut self,
        device: &mut Device,
        finding: Finding,
        skin_type: Option<SkinType>,
        (signal, why): (Signal, Why),
        moment: &Moment<'_>,
    ) -> Option<AlertId> {
        let head = self.rules.head(finding.kind)?.clone();
        let ours = finding.kind.is_ours();
        let tenant = if ours { OUR_TENANT } else { moment.key.tenant.as_str() };
        let id = self.id_of(&finding, moment.key)?;
        // It was told and is over: a copy of a frame, or another frame about the same happening.
        if device.closed.contains(&id) || self.alerts.contains_key(&id) {
            return None;
        }
        let in_force = self.raised(&finding, skin_type, moment);
        let flapping = raised(device, finding.kind, finding.zone, finding.at);
        let alert = Alert {
            id,
            rule: head.id.to_string(),
            kind: finding.kind,
            priority: head.priority,
            what_to_do: head.what_to_do.to_string(),
            tenant: tenant.to_owned(),
            clinic: device.clinic.to_string(),
            device: moment.key.device.to_string(),
            gateway: if finding.kind == Kind::GatewaySilent {
                moment.key.device.to_string()
            } else {
                device.gateway.to_string()
            },
            zone: finding.zone,
            visit: finding.visit,
            session: finding.session,
            what_happened: if flapping {
                words::flapping(&finding.what_happened)
            } else {
                finding.what_happened
            },
            event_time: finding.at,
            decided_at: self.next_step(),
            updated_at: self.clock,
            class: moment.class,
            value: finding.value,
            told: finding.value,
            limit: finding.limit,
            violations: 1,
            acknowledged_by: None,
            acknowledged_at: None,
            assigned_to: None,
            quiet_since: None,
            raised: Some(Arc::new(in_force)),
            delay: None,
            life: Lifecycle::new(finding.kind.latches()),
        };
        self.alerts.insert(id, alert);
        if !ours {
            self.owners.insert(id, moment.key.clone());
            device.open.push(Open {
                kind: finding.kind,
                visit: finding.visit,
                zone: finding.zone,
                id,
            });
        }
        self.signal(device, id, signal, why, moment);
        if flapping {
            self.signal(device, id, Signal::Flapping, why, moment);
        }
        self.acknowledged_before(id);
        Some(id)
    }

    /// Gives a signal to an open alert and tells what it did.
    pub(super) fn signal_now(
        &mut self,
        device: &mut Device,
        id: AlertId,
        signal: Signal,
        why: Why,
        moment: &Moment<'_>,
    ) {
        let Some(alert) = self.alerts.get_mut(&id) else {
            return;
        };
        let before = alert.life;
        let stepped = alert.life.step(signal);
        self.settling(device, id, moment.key);
        let Some(alert) = self.alerts.get_mut(&id) else {
            return;
        };
        let Some(step) = stepped else {
            // Nothing to tell, and still something to remember, for example that it latches from now on.
            if alert.life != before {
                let alert = alert.clone();
                self.changed_alerts.insert(id, alert);
            }
            return;
        };
        alert.updated_at = self.clock;
        let alert = alert.clone();
        self.tell(&alert, (step.from, step.to), why, step.page, moment);
        if matches!(step.to, State::Resolved | State::Inactive) {
            self.alerts.remove(&id);
            self.owners.remove(&id);
            device.close(id);
        }
        self.changed_alerts.insert(id, alert);
    }

    /// A person must be told of an alert that is open already.
    fn tell_anew(&mut self, device: &mut Device, id: AlertId, single: bool, moment: &Moment<'_>) {
        let Some(alert) = self.alerts.get_mut(&id) else {
            return;
        };
        let from = alert.state();
        let worse = Signal::Violated { single, worse: true };
        let _ = alert.life.step(worse);
        alert.updated_at = self.clock;
        let alert = alert.clone();
        debug_assert!(device.open.iter().any(|open| open.id == id));
        self.tell(&alert, (from, alert.state()), Why::Again, true, moment);
        self.changed_alerts.insert(id, alert);
    }

    pub(super) fn tell(
        &mut self,
        alert: &Alert,
        (from, to): (State, State),
        why: Why,
        page: bool,
        moment: &Moment<'_>,
    ) {
        let id = transition_id(alert.id, to.as_str(), &moment.trigger);
        self.stepped = self.next_step();
        self.out.push(Transition {
            id,
            told_by: self.told.get(&id).map(|told| told.instance.clone()),
            from,
            to,
            why,
            page,
            event_time: moment.event_time,
            decided_at: self.stepped,
            alert: alert.clone(),
            evidence: moment.evidence.clone(),
        });
    }

    /// Gives a signal to every open alert of a device that `which` picks.
    pub(super) fn signal_all(
        &mut self,
        device: &mut Device,
        signal: Signal,
        why: Why,
        moment: &Moment<'_>,
        which: impl Fn(&Alert) -> bool,
    ) {
        let ids: Vec<AlertId> = device.open.iter().map(|open| open.id).collect();
        for id in ids {
            if self.alerts.get(&id).is_some_and(&which) {
                self.signal(device, id, signal, why, moment);
            }
        }
    }
}

/// What is open already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The alert about the same; at the bound one of the same rule and visit is.
    Same(AlertId),
    /// None is, and there is no room for another: the oldest of the same rule.
    NoRoom(AlertId),
}

fn find(device: &Device, finding: &Finding, id: Option<AlertId>) -> Option<Found> {
    let mut same_kind = device.open.iter().filter(|open| open.kind == finding.kind);
    let another = |open: &Open| finding.kind.each_load() && Some(open.id) != id;
    let of_visit = || {
        same_kind
            .clone()
            .filter(|open| open.visit == finding.visit && !another(open))
    };
    if let Some(exact) = of_visit().find(|open| open.zone == finding.zone) {
        return Some(Found::Same(exact.id));
    }
    if device.open.len() < MAX_OPEN {
        return None;
    }
    let of_visit = of_visit().next().map(|open| Found::Same(open.id));
    of_visit.or_else(|| same_kind.next().map(|open| Found::NoRoom(open.id)))
}

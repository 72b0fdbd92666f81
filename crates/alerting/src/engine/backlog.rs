//! A log beside a gateway that fills: told at one level, again at a worse one, over below a third.
use super::hygiene::finding;
use super::raise::our_key_of;
use super::state::{Device, Open};
use super::{Alert, Engine, Moment, Why, words};
use crate::id::{Cause, Trigger};
use crate::intake::Backlog;
use crate::lifecycle::Signal;
use crate::rules::Kind;

impl Engine {
    /// A log is this full.
    pub(super) fn backlog(&mut self, backlog: &Backlog) {
        let (gateway, log) = (backlog.gateway.as_str(), backlog.log.as_str());
        let rule = self.rules.gateway_backlog.as_ref().map(|rule| *rule.params_of(gateway));
        let (Some(rule), Some(key)) = (rule, our_key_of(log)) else {
            return;
        };
        let about = |a: &&Alert| a.kind == Kind::GatewayBacklog && a.device == log && a.gateway == gateway;
        let open = self.alerts.values().find(about).map(|alert| (alert.id, alert.limit));
        let mut device = Device {
            gateway: self.common.name(gateway),
            open: open.iter().map(|(id, _)| in_place(*id)).collect(),
            ..Device::default()
        };
        let moment = Moment::due(&key, Trigger::Due { at: backlog.at.0 }, backlog.at);
        let Some(level) = rule.level(backlog.percent).map(f64::from) else {
            if let Some((id, _)) = open.filter(|_| backlog.percent < rule.over_below_percent) {
                self.signal(&mut device, id, Signal::Cleared, Why::Cleared, &moment);
            }
            return;
        };
        let what = words::backlog(log, gateway, backlog.percent);
        let mut found = finding(
            Kind::GatewayBacklog,
            Cause::Since { at: backlog.at.0 },
            None,
            what,
            backlog.at,
        );
        (found.value, found.limit) = (f64::from(backlog.percent), level);
        let worse = open.is_some_and(|(_, told)| level > told);
        found.margin = if worse { 0.0 } else { f64::MAX };
        self.violated(&mut device, found, &moment);
    }
}

const fn in_place(id: crate::id::AlertId) -> Open {
    Open {
        kind: Kind::GatewayBacklog,
        visit: None,
        zone: None,
        id,
    }
}

//! A set of rules that was validated as a whole, and which parameters hold where.
use std::sync::Arc;

use telemetry::{ClinicId, DeviceId, ModelId, SkinType, TenantId, Zone};

use super::{
    CartridgeReused, DepthAboveLimit, DepthOffSetpoint, DisinfectionMissing, GatewaySilent, Head, Kind, NoParameters,
    PulseAboveLimit, PulseAboveSet, SilentDevice,
};

/// Where a reading was made, for overrides.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Tenant.
    pub tenant: &'a TenantId,
    /// Clinic.
    pub clinic: &'a ClinicId,
    /// Device.
    pub device: &'a DeviceId,
    /// Model.
    pub model: &'a ModelId,
    /// Zone, if known.
    pub zone: Option<Zone>,
    /// Skin type, if known.
    pub skin_type: Option<SkinType>,
}

/// Other parameters for a part of the fleet. What is `None` matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override<P> {
    pub(super) matcher: Matcher,
    pub(super) params: P,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Matcher {
    pub(super) model: Option<ModelId>,
    pub(super) zone: Option<Zone>,
    pub(super) skin_type: Option<SkinType>,
    pub(super) tenant: Option<TenantId>,
    pub(super) clinic: Option<ClinicId>,
    pub(super) device: Option<DeviceId>,
}

fn fits<T: PartialEq>(want: Option<&T>, have: Option<&T>) -> bool {
    want.is_none() || want == have
}

impl Matcher {
    /// Which things it names, most specific highest; two that match one reading with the same rank are equal.
    pub(super) fn rank(&self) -> u8 {
        [
            self.device.is_some(),
            self.clinic.is_some(),
            self.tenant.is_some(),
            self.model.is_some(),
            self.zone.is_some(),
            self.skin_type.is_some(),
        ]
        .into_iter()
        .fold(0, |rank, named| rank << 1 | u8::from(named))
    }

    fn matches(&self, scope: &Scope<'_>) -> bool {
        fits(self.device.as_ref(), Some(scope.device))
            && fits(self.clinic.as_ref(), Some(scope.clinic))
            && fits(self.tenant.as_ref(), Some(scope.tenant))
            && fits(self.model.as_ref(), Some(scope.model))
            && fits(self.zone.as_ref(), scope.zone.as_ref())
            && fits(self.skin_type.as_ref(), scope.skin_type.as_ref())
    }
}

/// A rule with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule<P> {
    /// What every rule has.
    pub head: Arc<Head>,
    pub(crate) base: P,
    /// Most specific first.
    pub(super) overrides: Vec<Override<P>>,
}

impl<P> Rule<P> {
    /// The parameters that hold here: those of the most specific override that matches, else the rule's own.
    pub fn params(&self, scope: &Scope<'_>) -> &P {
        self.overrides
            .iter()
            .find(|o| o.matcher.matches(scope))
            .map_or(&self.base, |o| &o.params)
    }
}

/// All rules: at most one of each kind; `None` is off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// Hash of what was read.
    pub version: String,
    /// See [`Kind::DepthAboveLimit`].
    pub depth_above_limit: Option<Rule<DepthAboveLimit>>,
    /// See [`Kind::DepthOffSetpoint`].
    pub depth_off_setpoint: Option<Rule<DepthOffSetpoint>>,
    /// See [`Kind::DepthSetpointAboveLimit`].
    pub depth_setpoint_above_limit: Option<Rule<NoParameters>>,
    /// See [`Kind::PulseAboveSet`].
    pub pulse_above_set: Option<Rule<PulseAboveSet>>,
    /// See [`Kind::PulseAboveLimit`].
    pub pulse_above_limit: Option<Rule<PulseAboveLimit>>,
    /// See [`Kind::SterilizationOverdue`].
    pub sterilization_overdue: Option<Rule<NoParameters>>,
    /// See [`Kind::DisinfectionMissing`].
    pub disinfection_missing: Option<Rule<DisinfectionMissing>>,
    /// See [`Kind::IndicatorFailed`].
    pub indicator_failed: Option<Rule<NoParameters>>,
    /// See [`Kind::IndicatorOverdue`].
    pub indicator_overdue: Option<Rule<NoParameters>>,
    /// See [`Kind::FailedCycleUsed`].
    pub failed_cycle_used: Option<Rule<NoParameters>>,
    /// See [`Kind::CartridgeReused`].
    pub cartridge_reused: Option<Rule<CartridgeReused>>,
    /// See [`Kind::DeviceSilent`].
    pub device_silent: Option<Rule<SilentDevice>>,
    /// See [`Kind::GatewaySilent`].
    pub gateway_silent: Option<Rule<GatewaySilent>>,
    /// See [`Kind::ContextMissing`].
    pub context_missing: Option<Rule<NoParameters>>,
    /// See [`Kind::SequenceReused`].
    pub sequence_reused: Option<Rule<NoParameters>>,
}

impl Ruleset {
    /// The rule of a kind, if it is on.
    pub fn head(&self, kind: Kind) -> Option<&Arc<Head>> {
        fn of<P>(rule: &Option<Rule<P>>) -> Option<&Arc<Head>> {
            rule.as_ref().map(|r| &r.head)
        }
        match kind {
            Kind::DepthAboveLimit => of(&self.depth_above_limit),
            Kind::DepthOffSetpoint => of(&self.depth_off_setpoint),
            Kind::DepthSetpointAboveLimit => of(&self.depth_setpoint_above_limit),
            Kind::PulseAboveSet => of(&self.pulse_above_set),
            Kind::PulseAboveLimit => of(&self.pulse_above_limit),
            Kind::SterilizationOverdue => of(&self.sterilization_overdue),
            Kind::DisinfectionMissing => of(&self.disinfection_missing),
            Kind::IndicatorFailed => of(&self.indicator_failed),
            Kind::IndicatorOverdue => of(&self.indicator_overdue),
            Kind::FailedCycleUsed => of(&self.failed_cycle_used),
            Kind::CartridgeReused => of(&self.cartridge_reused),
            Kind::DeviceSilent => of(&self.device_silent),
            Kind::GatewaySilent => of(&self.gateway_silent),
            Kind::ContextMissing => of(&self.context_missing),
            Kind::SequenceReused => of(&self.sequence_reused),
        }
    }
}

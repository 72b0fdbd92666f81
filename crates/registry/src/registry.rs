//! The snapshot: everything looked up, nothing computed.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use telemetry::{ClinicId, DeviceKey, ModelId, TenantId};

use crate::fleet::{Clinic, Device, Model, Tenant};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::version::RegistryVersion;

/// The fleet as it should be: an immutable snapshot, cheap to share in an `Arc`.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(crate) version: RegistryVersion,
    pub(crate) models: BTreeMap<ModelId, Model>,
    pub(crate) tenants: BTreeMap<TenantId, Tenant>,
    pub(crate) clinics: BTreeMap<(TenantId, ClinicId), Clinic>,
    /// Sorted by tenant, clinic, device.
    pub(crate) entries: Vec<Entry>,
    pub(crate) by_key: foldhash::HashMap<DeviceKey, u32>,
    pub(crate) by_certificate: HashMap<[u8; 32], u32>,
}

/// A device with what was resolved for it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) device: Device,
    pub(crate) limits: Arc<Limits>,
    pub(crate) policy: Arc<Policy>,
}

impl Registry {
    /// Which registry this is.
    pub fn version(&self) -> &RegistryVersion {
        &self.version
    }

    /// A tenant.
    pub fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    /// The tenant with this number (spool lane).
    pub fn tenant_by_number(&self, number: u32) -> Option<&Tenant> {
        self.tenants.values().find(|t| t.number == number)
    }

    /// Every tenant, by id.
    pub fn tenants(&self) -> impl ExactSizeIterator<Item = &Tenant> {
        self.tenants.values()
    }

    /// A clinic.
    pub fn clinic(&self, tenant: &TenantId, clinic: &ClinicId) -> Option<&Clinic> {
        self.clinics.get(&(tenant.clone(), clinic.clone()))
    }

    /// Every clinic of every tenant, by tenant and id.
    pub fn clinics(&self) -> impl ExactSizeIterator<Item = &Clinic> {
        self.clinics.values()
    }

    /// Every clinic of a tenant, by id.
    pub fn clinics_of<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = &'a Clinic> {
        self.clinics.values().filter(move |c| c.tenant == *tenant)
    }

    /// A model.
    pub fn model(&self, id: &ModelId) -> Option<&Model> {
        self.models.get(id)
    }

    /// Every model, by id.
    pub fn models(&self) -> impl ExactSizeIterator<Item = &Model> {
        self.models.values()
    }

    /// A device.
    pub fn device(&self, key: &DeviceKey) -> Option<&Device> {
        self.entry(key).map(|e| &e.device)
    }

    /// Every device, by tenant, clinic and id; the retired ones too.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &Device> {
        self.entries.iter().map(|e| &e.device)
    }

    /// The devices of one clinic, by id; the retired ones too.
    pub fn devices_of<'a>(
        &'a self,
        tenant: &TenantId,
        clinic: &ClinicId,
    ) -> impl ExactSizeIterator<Item = &'a Device> + use<'a> {
        let place = |e: &Entry| (&e.device.key.tenant, &e.device.clinic).cmp(&(tenant, clinic));
        let from = self.entries.partition_point(|e| place(e).is_lt());
        let to = self.entries.partition_point(|e| place(e).is_le());
        self.entries.get(from..to).unwrap_or(&[]).iter().map(|e| &e.device)
    }

    /// What limits a device: model < tenant < clinic < device, never looser than the model's safety bound.
    pub fn limits(&self, key: &DeviceKey) -> Option<Arc<Limits>> {
        self.entry(key).map(|e| Arc::clone(&e.limits))
    }

    /// A device's hygiene and presence policy, resolved in the same way.
    pub fn policy(&self, key: &DeviceKey) -> Option<Arc<Policy>> {
        self.entry(key).map(|e| Arc::clone(&e.policy))
    }

    pub(crate) fn by_certificate(&self, sha256: &[u8; 32]) -> Option<&Device> {
        let at = *self.by_certificate.get(sha256)?;
        self.entries.get(at as usize).map(|e| &e.device)
    }

    fn entry(&self, key: &DeviceKey) -> Option<&Entry> {
        let at = *self.by_key.get(key)?;
        self.entries.get(at as usize)
    }
}

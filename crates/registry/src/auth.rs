//! Who speaks: a device proves its identity by a secret or by a certificate, and is nobody else.
use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use telemetry::{DeviceId, DeviceKey, TenantId};

use crate::fleet::{Device, DeviceState};
use crate::registry::Registry;

/// Why a device was not believed. For counters and logs of ours: the device is told no more than "not authorized".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum AuthReason {
    /// The user name or common name is not `tenant/device`.
    BadName,
    /// The registry knows no such device.
    UnknownDevice,
    /// The device has no credential of this kind.
    NoCredential,
    /// The secret is wrong.
    WrongSecret,
    /// The certificate is not one of the device's.
    WrongCertificate,
    /// Proven, but the device is retired.
    Retired,
}

impl AuthReason {
    /// Every reason, so that each label exists from the start.
    pub const ALL: &'static [Self] = &[
        Self::BadName,
        Self::UnknownDevice,
        Self::NoCredential,
        Self::WrongSecret,
        Self::WrongCertificate,
        Self::Retired,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadName => "bad_name",
            Self::UnknownDevice => "unknown_device",
            Self::NoCredential => "no_credential",
            Self::WrongSecret => "wrong_secret",
            Self::WrongCertificate => "wrong_certificate",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for AuthReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// SHA-256 of a secret or of a certificate in DER.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Reads `tenant/device`.
pub fn parse_name(name: &str) -> Option<DeviceKey> {
    let (tenant, device) = name.split_once('/')?;
    Some(DeviceKey {
        tenant: TenantId::new(tenant).ok()?,
        device: DeviceId::new(device).ok()?,
    })
}

impl Registry {
    /// The device whose user name (`tenant/device`) and secret these are. Digests are compared in constant time.
    ///
    /// # Errors
    /// [`AuthReason`].
    pub fn authenticate_secret(&self, username: &str, secret: &[u8]) -> Result<&Device, AuthReason> {
        // Hashed before the name is looked up, so that an unknown name answers no faster.
        let digest = sha256(secret);
        let device = self.named(username)?;
        if device.credentials.secret_sha256.is_empty() {
            return Err(AuthReason::NoCredential);
        }
        if !any_equal(&device.credentials.secret_sha256, &digest) {
            return Err(AuthReason::WrongSecret);
        }
        in_use(device)
    }

    /// The device whose certificate this is, already verified against the fleet's CA by the TLS layer. A device with listed
    /// fingerprints needs one of these, whatever the common name says; one with `certificate = "by-name"` needs the common
    /// name `tenant/device`.
    ///
    /// # Errors
    /// [`AuthReason`].
    pub fn authenticate_certificate(
        &self,
        common_name: Option<&str>,
        certificate_sha256: &[u8; 32],
    ) -> Result<&Device, AuthReason> {
        if let Some(device) = self.by_certificate(certificate_sha256) {
            return in_use(device);
        }
        let device = self.named(common_name.ok_or(AuthReason::BadName)?)?;
        if !device.credentials.certificate_sha256.is_empty() {
            return Err(AuthReason::WrongCertificate);
        }
        if !device.credentials.certificate_by_name {
            return Err(AuthReason::NoCredential);
        }
        in_use(device)
    }

    fn named(&self, name: &str) -> Result<&Device, AuthReason> {
        let key = parse_name(name).ok_or(AuthReason::BadName)?;
        self.device(&key).ok_or(AuthReason::UnknownDevice)
    }
}

fn any_equal(known: &[[u8; 32]], digest: &[u8; 32]) -> bool {
    let found = known
        .iter()
        .fold(Choice::from(0), |found, one| found | one.ct_eq(digest));
    found.into()
}

fn in_use(device: &Device) -> Result<&Device, AuthReason> {
    match device.state {
        DeviceState::Active => Ok(device),
        DeviceState::Retired => Err(AuthReason::Retired),
    }
}

//! Which registry is in force here, as a metric: the same number at each process of a fleet, whether one leads or nobody does.
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use registry::{Book, RegistryVersion};

/// How often it is told.
const EVERY: Duration = Duration::from_secs(5);
/// Gauge: the digest.
const DIGEST: &str = "registry_digest";
/// name, kind, what.
pub(crate) const METRICS: &[(&str, &str, &str)] = &[(
    DIGEST,
    "gauge",
    "of processes apart: the first 48 bits of the digest of the registry in force, as in its version; the same number is the same registry",
)];

/// Runs until `stop` resolves.
pub(crate) async fn watch(book: Arc<Book>, stop: impl Future<Output = ()>) {
    let shared = book.shared();
    let mut every = tokio::time::interval(EVERY);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = every.tick() => gauge!(DIGEST).set(number(shared.current().version())),
        }
    }
}

/// The twelve hexadecimal digits that a version shows, as a number that a gauge holds exactly.
fn number(version: &RegistryVersion) -> f64 {
    let bytes = version.digest.iter().take(6);
    bytes.fold(0.0, |number, byte| number * 256.0 + f64::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_digits_that_the_version_shows() {
        let version = registry::Registry::from_sources(&registry::render::example())
            .unwrap()
            .version()
            .clone();
        let shown = version.to_string();
        let digits = u64::from_str_radix(shown.rsplit('-').next().unwrap(), 16).unwrap();
        assert_eq!(format!("{}", number(&version)), digits.to_string());
        let full = RegistryVersion {
            digest: [255; 32],
            ..version
        };
        assert_eq!(format!("{}", number(&full)), ((1_u64 << 48) - 1).to_string());
    }
}

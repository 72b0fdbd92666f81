//! The one handle that a process holds: readers take a snapshot, a reload swaps it.
use std::sync::{Arc, PoisonError, RwLock};

use crate::registry::Registry;

/// A registry that can be replaced while others read it.
#[derive(Debug)]
pub struct Shared {
    current: RwLock<Arc<Registry>>,
}

impl Shared {
    /// Starts with `registry`.
    pub fn new(registry: Registry) -> Self {
        Self {
            current: RwLock::new(Arc::new(registry)),
        }
    }

    /// The snapshot of now. Hold it for one message or one batch, not for ever.
    pub fn current(&self) -> Arc<Registry> {
        // The lock guards a pointer swap only, so a poisoned one still holds a whole value.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Swaps the registry; returns the one before.
    pub fn replace(&self, registry: Registry) -> Arc<Registry> {
        self.replace_shared(Arc::new(registry))
    }

    /// As [`Self::replace`], with one that others have too.
    pub fn replace_shared(&self, registry: Arc<Registry>) -> Arc<Registry> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, registry)
    }
}

//! Whoever is in, looked at again when the fleet has changed.
use std::sync::Arc;

use super::Shared;

/// The connections of an endpoint; cheap to clone.
#[derive(Clone)]
pub struct Doors {
    shared: Arc<Shared>,
}

impl Doors {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Ends every connection that would not be let in any more as whom it was let in; says how many. To be called after the fleet
    /// changed: whoever is being let in meanwhile is judged again.
    pub fn look_again(&self) -> usize {
        let authenticate = &self.shared.authenticate;
        self.shared.directory.look_again(|peer| authenticate.holds(peer))
    }
}

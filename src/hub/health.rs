use super::Hub;
use crate::cluster::Health;

impl Hub {
    /// The state of this hub. Costs no request to the engine.
    #[must_use]
    pub fn health(&self) -> Health {
        Health { is_draining: self.drain().has_begun(), cluster: self.joined().map(|joined| joined.health()) }
    }
}

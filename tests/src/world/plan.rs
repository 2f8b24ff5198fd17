//! What a world should be like, before it comes to life.

use std::path::PathBuf;

use anyhow::Result;

use super::World;

/// What a world should be like.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) settings: Vec<String>,
    pub(super) requests: usize,
    pub(super) controller_data: Option<PathBuf>,
}

impl Plan {
    /// With a setting of the controller, such as `lease.term=6s`.
    #[must_use]
    pub fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// With leases that end within seconds, for tests that let them.
    #[must_use]
    pub fn short_leases(self) -> Self {
        self.lease_of(4)
    }

    /// With leases of so many seconds, a second of grace and of margin, and a heartbeat each second.
    #[must_use]
    pub fn lease_of(self, seconds: u32) -> Self {
        self.setting(&format!("lease.term={seconds}s"))
            .setting("lease.grace=1s")
            .setting("lease.margin=1s")
            .setting("lease.heartbeat=1s")
    }

    /// With the controller's data in a folder of the test's own.
    #[must_use]
    pub fn controller_in(self, data: PathBuf) -> Self {
        Self { controller_data: Some(data), ..self }
    }

    /// With so many requests at the desk.
    #[must_use]
    pub fn requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// Brings the world to life.
    ///
    /// # Errors
    /// If a part does not come up.
    pub async fn start(self) -> Result<World> {
        World::build(self).await
    }
}

use std::time::Duration;

use crate::server::config::ServiceConfig;

/// What a service may lack and still be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HealthLimits {
    pub(crate) chain_silence: Duration,
    pub(crate) min_lamports: u64,
}

impl Default for HealthLimits {
    fn default() -> Self {
        // a settlement costs 10,000 lamports and its priority fee: this is some hundreds of them
        Self { chain_silence: Duration::from_secs(60), min_lamports: 5_000_000 }
    }
}

impl ServiceConfig {
    /// How long the chain may not be heard of while the service is
    /// [ready](super::super::AmpService::health); a minute, unless set. Channels that are known go on being
    /// served as long as their views are new enough.
    pub fn chain_silence(mut self, silence: Duration) -> Self {
        self.health_limits.chain_silence = silence;
        self
    }

    /// Lamports that the recipient's key must have for the service to be
    /// [ready](super::super::AmpService::health); 5,000,000, unless set. What it can't pay the fees for is
    /// not settled.
    pub fn min_recipient_lamports(mut self, lamports: u64) -> Self {
        self.health_limits.min_lamports = lamports;
        self
    }
}

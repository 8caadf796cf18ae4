//! What can be served, and why something can't.

use std::time::Duration;

use amp_protocol::rules::{MAX_CLOSE_GRACE, MAX_SETTLE_INTERVAL, MIN_SETTLE_INTERVAL};

use super::ServiceConfig;

/// Most seqs a window may remember: each takes 8 bytes of every write.
const MAX_SEQ_WINDOW: u32 = 4_096;
/// Most delegates that a request may be held against: each costs a signature check.
const MAX_DELEGATES: u32 = 256;
/// Largest answer that may be kept, in bytes.
const MAX_KEPT_ANSWER: usize = 1 << 20;

/// Why a configuration can't be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A route that no path can begin with.
    #[error("the route {0:?} must begin with '/'")]
    Route(String),
    /// The settle interval is outside of what the program opens.
    #[error(
        "settle_interval is {0} s; the program opens channels with {MIN_SETTLE_INTERVAL} to {MAX_SETTLE_INTERVAL} s"
    )]
    SettleInterval(u32),
    /// No channel could have a settle interval that is served.
    #[error("min_settle_interval is {least} s, above settle_interval, {most} s: no channel would be served")]
    MinSettleInterval {
        /// The shortest interval.
        least: u32,
        /// The longest.
        most: u32,
    },
    /// No channel could have a grace that long.
    #[error("min_close_grace is {0} s; the program opens channels with at most {MAX_CLOSE_GRACE} s")]
    CloseGraceTooLong(u32),
    /// A funder could be gone with the deposit, or a delegate's grace be over, before the service
    /// notices.
    #[error(
        "min_close_grace is {grace} s, but a close request or a delegate's revocation may not be looked for in {blind} s (watch_interval + channel_max_age), and settling comes after that; raise the one or lower the others"
    )]
    CloseGraceTooShort {
        /// The grace.
        grace: u32,
        /// Seconds from a close request or a revocation until nothing more is served for it and the worker
        /// has begun to look for it: at most `channel_max_age`, and a watch after that; on a shared store also
        /// until another process takes over from a dead one. Looks wait for no
        /// settlement; how long they take, eight at once, and the settling after them is up to the node.
        blind: u64,
    },
    /// There would be no time to serve on without the chain.
    #[error(
        "outage_exposure is set, but with a min_close_grace of {grace} s no view may be older than {longest} s, which is no more than channel_max_age; raise the one or lower the other"
    )]
    OutageGraceTooShort {
        /// The grace.
        grace: u32,
        /// Seconds; see [`ServiceConfig::outage_exposure`].
        longest: u64,
    },
    /// More keys than a bad signature should be held against.
    #[error("max_delegates is {0}; at most {MAX_DELEGATES} keys are tried for a request")]
    MaxDelegates(u32),
    /// The replay window is larger than every write should carry.
    #[error("seq_window is {0}; at most {MAX_SEQ_WINDOW} seqs are remembered")]
    SeqWindow(u32),
    /// Larger answers than a store should carry.
    #[error("kept_answer_limit is {0} bytes; at most {MAX_KEPT_ANSWER} are kept of an answer")]
    KeptAnswerLimit(usize),
    /// No AMP program is recorded for the network, and none was given.
    #[error("no AMP program is recorded for {network:?}; give the id of your deployment: `program_id`")]
    NoProgram {
        /// The network.
        network: String,
    },
    /// A duration that must not be zero.
    #[error("{0} must be above zero")]
    Zero(&'static str),
}

impl ServiceConfig {
    /// Whether this can be served; [`AmpService::start`](super::AmpService::start) asks.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.prices.check()?;
        self.program()?;
        let interval = self.prices.table.default.settle_interval;
        if !(MIN_SETTLE_INTERVAL..=MAX_SETTLE_INTERVAL).contains(&interval) {
            return Err(ConfigError::SettleInterval(interval));
        }
        let least = self.least_settle_interval();
        if least > interval {
            return Err(ConfigError::MinSettleInterval { least, most: interval });
        }
        if self.seq_window > MAX_SEQ_WINDOW {
            return Err(ConfigError::SeqWindow(self.seq_window));
        }
        if self.kept_answer_limit > MAX_KEPT_ANSWER {
            return Err(ConfigError::KeptAnswerLimit(self.kept_answer_limit));
        }
        if self.max_delegates > MAX_DELEGATES {
            return Err(ConfigError::MaxDelegates(self.max_delegates));
        }
        for (name, duration) in
            [("watch_interval", self.watch_interval), ("channel_max_age", self.channel_max_age)]
        {
            if duration.is_zero() {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.peer_lookups.0 == 0 || self.peer_lookups.1 == 0 {
            return Err(ConfigError::Zero("peer_lookups"));
        }
        let grace = self.min_close_grace;
        if grace > MAX_CLOSE_GRACE {
            return Err(ConfigError::CloseGraceTooLong(grace));
        }
        // a funder's close request or revocation goes unseen by requests for channel_max_age; what they
        // spent until then is found by the watch after that, if no refused request makes it look before
        self.check_grace(Duration::ZERO)
    }

    /// Whether a close is noticed within the shortest grace where looks may pause for `pause` beside.
    pub(crate) fn check_grace(&self, pause: Duration) -> Result<(), ConfigError> {
        let grace = self.min_close_grace;
        let blind = self.watch_interval.saturating_add(self.channel_max_age).saturating_add(pause);
        if grace != 0 && Duration::from_secs(grace.into()) <= blind {
            return Err(ConfigError::CloseGraceTooShort { grace, blind: blind.as_secs() });
        }
        let longest = self.oldest_view();
        if !self.outage_exposure.is_zero() && longest <= self.channel_max_age {
            return Err(ConfigError::OutageGraceTooShort { grace, longest: longest.as_secs() });
        }
        Ok(())
    }
}

use amp_protocol::json::PricingMode;

use crate::server::metering::Seconds;

/// What is counted of an answer.
pub(super) enum Counting {
    /// Its bytes, as they leave.
    Bytes,
    /// The seconds that it takes, each as it begins: those in which it waits for its client to sign more don't
    /// count.
    Seconds(Seconds),
    /// What its handler reports by itself.
    Reported,
}

impl Counting {
    pub(super) fn of(mode: PricingMode) -> Self {
        match mode {
            PricingMode::PerByte => Self::Bytes,
            PricingMode::PerSecond => Self::Seconds(Seconds::default()),
            // a call is charged without this
            PricingMode::PerCompute | PricingMode::PerCall => Self::Reported,
        }
    }
}

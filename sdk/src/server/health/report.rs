use std::fmt;

use serde::Serialize;

/// What a service knows of its own health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether it is worth keeping: its settlement worker runs.
    pub live: Verdict,
    /// Whether requests should be sent to it. What is not live is not ready.
    pub ready: Verdict,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether nothing stands against it.
    pub ok: bool,
    /// What does.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is, for programs.
    pub reason: Reason,
    /// What it is, for people. It names no host and no key of the service but the recipient's address.
    pub message: String,
}

/// Why a service is not live, or not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The settlement worker has ended, and nobody asked it to.
    WorkerEnded,
    /// The settlement worker gave no sign of life for too long.
    WorkerSilent,
    /// The store does not answer.
    StoreSilent,
    /// The store failed to keep a charge a moment ago.
    StoreFails,
    /// The chain was not heard of for too long.
    ChainSilent,
    /// The recipient's key can't pay for settlements.
    RecipientPoor,
    /// The service is being shut down.
    ShuttingDown,
}

impl Reason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::WorkerEnded,
        Self::WorkerSilent,
        Self::StoreSilent,
        Self::StoreFails,
        Self::ChainSilent,
        Self::RecipientPoor,
        Self::ShuttingDown,
    ];

    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkerEnded => "worker_ended",
            Self::WorkerSilent => "worker_silent",
            Self::StoreSilent => "store_silent",
            Self::StoreFails => "store_fails",
            Self::ChainSilent => "chain_silent",
            Self::RecipientPoor => "recipient_poor",
            Self::ShuttingDown => "shutting_down",
        }
    }

    pub(super) fn finding(self, message: impl Into<String>) -> Finding {
        Finding { reason: self, message: message.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Verdict {
    pub(super) fn of(findings: Vec<Finding>) -> Self {
        Self { ok: findings.is_empty(), findings }
    }

    /// Whether this is among what stands against it.
    pub fn has(&self, reason: Reason) -> bool {
        self.findings.iter().any(|finding| finding.reason == reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_named_in_json_as_it_is_in_text() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.to_string());
        }
    }
}

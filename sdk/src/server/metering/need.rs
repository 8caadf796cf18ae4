use amp_protocol::json::ErrorBody;
use amp_protocol::money::Seq;

use crate::server::denial::Denial;

/// Why a request waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What it would be refused with if it did not wait; none of the nine codes where the service itself waits
    /// for its chain.
    pub refusal: Option<ErrorBody>,
}

impl Need {
    pub(super) fn of(denial: &Denial) -> Self {
        match denial {
            Denial::Refused(body) => Self { refusal: Some((**body).clone()) },
            Denial::Unavailable { .. } | Denial::Name(_) => Self { refusal: None },
        }
    }

    /// The seq that is to be signed, where a higher one helps.
    pub fn required_seq(&self) -> Option<Seq> {
        self.refusal.as_ref()?.required_seq
    }
}

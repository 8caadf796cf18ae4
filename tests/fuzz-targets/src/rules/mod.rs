//! The rules on any numbers whatever, also such as no account ever holds: no arithmetic panics, what is
//! allowed keeps every bound, and what is refused is refused for a bound that it really breaks. The bounds
//! are written here in 128 bits, in the words of the protocol page.

mod chain;
mod close;
mod delegation;
mod history;
mod rate;
mod settlement;

use amp_protocol::money::Amount;
use amp_protocol::rules::{Books, Delegation, RateWindow, SignerBooks, Terms};

use crate::input::Input;

pub use chain::rules_chain;
pub use close::rules_close;
pub use delegation::rules_delegation;
pub use history::rules_history;
pub use rate::rules_rate;
pub use settlement::rules_settlement;

impl Input<'_> {
    fn terms(&mut self) -> Terms {
        Terms {
            unit_price: self.number(),
            rate_limit: self.number(),
            settle_interval: self.number32(),
            close_grace: self.number32(),
            max_chain_depth: self.byte(),
        }
    }

    fn books(&mut self) -> Books {
        Books {
            deposited: self.amount(),
            claimed: self.amount(),
            window: self.window(),
            closing: self.flag(),
        }
    }

    fn window(&mut self) -> RateWindow {
        RateWindow { started_at: self.time(), claimed: self.amount() }
    }

    fn signer(&mut self) -> SignerBooks {
        SignerBooks { claimed: self.amount(), last_settled_at: self.time() }
    }

    fn delegation(&mut self) -> Delegation {
        Delegation {
            limit: self.amount(),
            signer: self.signer(),
            expires_at: self.time(),
            revoked_at: self.time(),
        }
    }
}

/// An amount with room for every sum and product of two.
fn wide(amount: Amount) -> i128 {
    amount.get().into()
}

/// A time so far ahead that the clock can't show it is the last the clock can show.
fn at_most_the_last_second(time: i128) -> i128 {
    time.min(i64::MAX.into())
}

use amp_protocol::rejection::Rejection;

/// Why a transaction is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// By one of the program's own rules.
    Rule(Rejection),
    /// By anchor, a token program or the system program, with this number.
    Number(u32),
    /// By a token program or the runtime, where which error it is says nothing about AMP.
    Foreign,
    /// By the precompile: the signature does not verify.
    Precompile,
    /// By the runtime: an account would be left with less than its rent.
    Rent,
}

/// Error numbers of others.
pub mod foreign {
    use super::Refusal;

    /// System program: there is something at this address.
    pub const ALREADY_IN_USE: Refusal = Refusal::Number(0);
    /// System program: not enough lamports. Token programs: not enough tokens.
    pub const NOT_ENOUGH: Refusal = Refusal::Number(1);
    /// Token programs: the account is of another mint.
    pub const MINT_MISMATCH: Refusal = Refusal::Number(3);
    /// Token programs: the account has another owner.
    pub const OWNER_MISMATCH: Refusal = Refusal::Number(4);
    /// Anchor: not the address it must be.
    pub const WRONG_ADDRESS: Refusal = Refusal::Number(2012);
    /// Anchor: an account of another kind.
    pub const WRONG_DISCRIMINATOR: Refusal = Refusal::Number(3002);
    /// Anchor: an account of another program, or none.
    pub const WRONG_OWNER: Refusal = Refusal::Number(3007);
    /// Anchor: not the program it must be.
    pub const WRONG_PROGRAM: Refusal = Refusal::Number(3008);
    /// Anchor: a signature is missing.
    pub const NOT_SIGNED: Refusal = Refusal::Number(3010);
}

/// A refusal for any of these reasons: more than one where anchor decides which comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Vec<Refusal>);

impl Refused {
    /// Whether this is one of the reasons.
    pub fn admits(&self, found: Refusal) -> bool {
        self.0.iter().any(|expected| match expected {
            Refusal::Foreign => matches!(found, Refusal::Foreign | Refusal::Number(_)),
            exact => *exact == found,
        })
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Refusal::Rule(rejection).into()
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rule(rejection)
    }
}

/// What is wrong with an instruction's accounts.
#[derive(Default)]
pub(super) struct Faults(Vec<Refusal>);

impl Faults {
    /// Notes a fault where `fine` is false.
    pub(super) fn unless(&mut self, fine: bool, otherwise: impl Into<Refusal>) {
        if !fine {
            self.0.push(otherwise.into());
        }
    }

    /// Takes a value, or notes why there is none.
    pub(super) fn take<T>(&mut self, found: Result<T, Refusal>) -> Option<T> {
        found.map_err(|refusal| self.0.push(refusal)).ok()
    }

    /// Nothing, or a refusal for any of the faults.
    pub(super) fn settle(self) -> Result<(), Refused> {
        if self.0.is_empty() { Ok(()) } else { Err(Refused(self.0)) }
    }
}

/// `Err` where a rule is broken.
pub(super) fn require(kept: bool, otherwise: impl Into<Refusal>) -> Result<(), Refused> {
    if kept { Ok(()) } else { Err(otherwise.into().into()) }
}

use amp_protocol::code::Code;

use crate::server::denial::Denial;

/// What came of a request. Each is counted once, under one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was charged, and that is on disk.
    Served,
    /// Its handler failed, or charged nothing.
    NotCharged,
    /// It was not for a service, but raised its signer's ceiling.
    CeilingRaised,
    /// It was dropped before it was answered.
    ClientGone,
    /// Its work was done, and its charge could not be stored: it was not answered.
    NotStored,
    /// It brought no credential.
    NoCredential,
    /// The chain or the store did not answer, so it was not begun.
    Unavailable,
    /// It was done and paid for before, and got the answer that was kept.
    Repeated,
    /// Its `Idempotency-Key` can't be used for it.
    KeyRefused,
    /// It was refused with one of the nine codes.
    Refused(Code),
}

/// All but the codes, in the order of their places.
const OTHERS: [(Outcome, &str); 9] = [
    (Outcome::Served, "served"),
    (Outcome::NotCharged, "not_charged"),
    (Outcome::CeilingRaised, "ceiling_raised"),
    (Outcome::ClientGone, "client_gone"),
    (Outcome::NotStored, "not_stored"),
    (Outcome::NoCredential, "no_credential"),
    (Outcome::Unavailable, "unavailable"),
    (Outcome::Repeated, "repeated"),
    (Outcome::KeyRefused, "key_refused"),
];

impl Outcome {
    /// How many there are.
    pub(crate) const COUNT: usize = 18;

    /// Every label, each at its outcome's place.
    pub(crate) fn labels() -> [&'static str; Self::COUNT] {
        let mut all =
            OTHERS.iter().map(|(_, label)| *label).chain(Code::ALL.iter().map(|code| code.as_str()));
        std::array::from_fn(|_| all.next().unwrap_or_default())
    }

    /// Of a request that was not begun.
    pub(crate) fn of(denial: &Denial) -> Self {
        match denial {
            Denial::Name(_) => Self::KeyRefused,
            other => other.code().map_or(Self::Unavailable, Self::Refused),
        }
    }

    /// Its value of the label `outcome`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Refused(code) => code.as_str(),
            other => OTHERS.get(other.place()).map_or("", |(_, label)| label),
        }
    }

    pub(super) fn place(self) -> usize {
        match self {
            Self::Served => 0,
            Self::NotCharged => 1,
            Self::CeilingRaised => 2,
            Self::ClientGone => 3,
            Self::NotStored => 4,
            Self::NoCredential => 5,
            Self::Unavailable => 6,
            Self::Repeated => 7,
            Self::KeyRefused => 8,
            Self::Refused(code) => OTHERS.len().saturating_add(code as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_place_and_a_label_of_its_own() {
        let codes = Code::ALL.iter().map(|code| Outcome::Refused(*code));
        let all: Vec<Outcome> = OTHERS.iter().map(|(outcome, _)| *outcome).chain(codes).collect();
        assert_eq!(all.len(), Outcome::COUNT);
        let labels = Outcome::labels();
        for (place, outcome) in all.into_iter().enumerate() {
            assert_eq!((outcome.place(), outcome.label()), (place, labels[place]), "{outcome:?}");
        }
        let distinct: std::collections::HashSet<_> = labels.into_iter().collect();
        assert!(distinct.len() == Outcome::COUNT && !distinct.contains(""));
    }
}

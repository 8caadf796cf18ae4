use super::account::SignerAccount;
use super::authority::SignerId;

/// The signers of a channel, in the order of their ids. Nearly every channel has one: a tree would keep room
/// for eleven.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signers(Vec<(SignerId, SignerAccount)>);

impl Signers {
    fn position(&self, id: &SignerId) -> Result<usize, usize> {
        self.0.binary_search_by_key(id, |(id, _)| *id)
    }

    pub(super) fn get(&self, id: &SignerId) -> Option<&SignerAccount> {
        let at = self.position(id).ok()?;
        self.0.get(at).map(|(_, signer)| signer)
    }

    pub(super) fn get_mut(&mut self, id: &SignerId) -> Option<&mut SignerAccount> {
        let at = self.position(id).ok()?;
        self.0.get_mut(at).map(|(_, signer)| signer)
    }

    pub(super) fn contains_key(&self, id: &SignerId) -> bool {
        self.position(id).is_ok()
    }

    /// The signer with this id, new if there is none.
    pub(super) fn get_or_insert_with(
        &mut self,
        id: SignerId,
        new: impl FnOnce() -> SignerAccount,
    ) -> &mut SignerAccount {
        let at = self.position(&id).unwrap_or_else(|at| {
            self.0.reserve_exact(1);
            self.0.insert(at, (id, new()));
            at
        });
        &mut self.0[at].1
    }

    /// Puts a signer, in the place of the one with its id.
    pub(super) fn insert(&mut self, id: SignerId, signer: SignerAccount) {
        match self.position(&id) {
            Ok(at) => {
                if let Some(known) = self.0.get_mut(at) {
                    known.1 = signer;
                }
            }
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (id, signer));
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SignerId, &SignerAccount)> {
        self.0.iter().map(|(id, signer)| (id, signer))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&SignerId, &mut SignerAccount)> {
        self.0.iter_mut().map(|(id, signer)| (&*id, signer))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SignerId> {
        self.0.iter().map(|(id, _)| id)
    }
}

impl FromIterator<(SignerId, SignerAccount)> for Signers {
    /// Of two with the same id the last stays.
    fn from_iter<I: IntoIterator<Item = (SignerId, SignerAccount)>>(all: I) -> Self {
        let mut signers = Self::default();
        all.into_iter().for_each(|(id, signer)| signers.insert(id, signer));
        signers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_protocol::money::{Amount, UnitPrice};

    #[test]
    fn signers_stand_in_order_and_each_once() {
        let id = |key, epoch| SignerId { key: [key; 32], epoch };
        let new = |id, claimed| SignerAccount::new(id, Amount::new(claimed), UnitPrice::ONE, 0);
        let ids = [id(2, 1), id(1, 9), id(2, 0), id(1, 9)];
        let mut signers: Signers = ids.into_iter().zip(1..).map(|(id, n)| (id, new(id, n))).collect();
        assert_eq!(signers.keys().copied().collect::<Vec<_>>(), [id(1, 9), id(2, 0), id(2, 1)]);
        assert_eq!(signers.get(&id(1, 9)).map(|signer| signer.claimed), Some(Amount::new(4)));
        assert!(signers.get(&id(1, 8)).is_none() && !signers.contains_key(&id(3, 0)));
        signers.get_mut(&id(2, 1)).unwrap().failures = 7;
        let failures: Vec<u32> = signers.iter().map(|(_, signer)| signer.failures).collect();
        assert_eq!(failures, [0, 0, 7]);
    }
}

//! What the chain says of a delegation.

use std::time::Duration;

use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::money::Amount;
use amp_protocol::rules::Delegation;
use solana_address::Address;

use super::Undelegated;
use crate::chain::{self, ChainError};
use crate::client::{Client, ClientError};

/// How often and how long a node that lags behind is asked again.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// A channel and a live delegation of it.
pub(super) struct Found {
    pub(super) account: ChannelAccount,
    pub(super) delegation: DelegationAccount,
}

impl Client {
    /// The live delegation of a channel to this client's key. What is not there is looked for again: a
    /// node may lag behind the one that the funder used.
    pub(super) async fn find_delegation(
        &self,
        channel: &Address,
        delegate: &Address,
    ) -> Result<Found, ClientError> {
        let mut looks = 0_u32;
        loop {
            looks = looks.saturating_add(1);
            let reason = match self.look_for_delegation(channel, delegate).await? {
                Ok(found) => return Ok(found),
                Err(reason) => reason,
            };
            let absent = [Undelegated::NoChannel, Undelegated::Missing, Undelegated::EarlierChannel];
            if looks == LOOKS || !absent.contains(&reason) {
                if reason == Undelegated::NoChannel {
                    self.check_cluster().await?;
                }
                return Err(ClientError::NotDelegated { channel: *channel, delegate: *delegate, reason });
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn look_for_delegation(
        &self,
        channel: &Address,
        delegate: &Address,
    ) -> Result<Result<Found, Undelegated>, ChainError> {
        let program_id = &self.inner.settings.program_id;
        let Some(account) = self.account(channel).await? else { return Ok(Err(Undelegated::NoChannel)) };
        let address = chain::delegation_address(program_id, channel, delegate);
        let delegation = match account.authorized_signer == delegate.to_bytes() {
            true => Some(without_end(&account, channel)),
            false => chain::delegation(self.chain(), program_id, &address).await?,
        };
        let now = self.chain().clock().await?.unix_timestamp;
        Ok(live(&account, delegation, channel, delegate, now).map(|delegation| Found { account, delegation }))
    }
}

/// The authorized signer of a channel that somebody else funds (a chained one, or one whose funder keeps to
/// itself) spends like a delegate without limit or end, in the channel's own epoch.
fn without_end(account: &ChannelAccount, channel: &Address) -> DelegationAccount {
    DelegationAccount {
        bump: 0,
        channel: channel.to_bytes(),
        delegate: account.authorized_signer,
        rent_payer: account.rent_payer,
        channel_opened_slot: account.opened_slot,
        created_slot: account.opened_slot,
        delegation: Delegation { limit: Amount::MAX, signer: account.signer, expires_at: 0, revoked_at: 0 },
    }
}

/// The delegation, if it is this delegate's, of this incarnation of this channel, and has not ended.
fn live(
    account: &ChannelAccount,
    delegation: Option<DelegationAccount>,
    channel: &Address,
    delegate: &Address,
    now: i64,
) -> Result<DelegationAccount, Undelegated> {
    if account.books.closing {
        return Err(Undelegated::Closing);
    }
    let found = delegation.ok_or(Undelegated::Missing)?;
    if (found.channel, found.delegate) != (channel.to_bytes(), delegate.to_bytes()) {
        return Err(Undelegated::Missing);
    }
    if found.channel_opened_slot != account.opened_slot {
        return Err(Undelegated::EarlierChannel);
    }
    let terms = &found.delegation;
    match (terms.has_ended(now), terms.revoked_at) {
        (false, _) => Ok(found),
        (true, 0) => Err(Undelegated::Expired { at: terms.expires_at }),
        (true, at) => Err(Undelegated::Revoked { at }),
    }
}

#[cfg(test)]
mod tests {
    use amp_protocol::rules::{Books, RateWindow, SignerBooks, Terms};

    use super::*;

    const CHANNEL: Address = Address::new_from_array([1; 32]);
    const DELEGATE: Address = Address::new_from_array([2; 32]);

    fn account() -> ChannelAccount {
        let signer = SignerBooks { claimed: Amount::ZERO, last_settled_at: 0 };
        let window = RateWindow { started_at: 0, claimed: Amount::ZERO };
        ChannelAccount {
            bump: 255,
            vault_bump: 255,
            chain_depth: 0,
            funder: [3; 32],
            recipient: [4; 32],
            authorized_signer: [5; 32],
            mint: [6; 32],
            vault: [7; 32],
            rent_payer: [3; 32],
            parent: [0; 32],
            nonce: 0,
            opened_slot: 9,
            delegated_slot: 10,
            opened_at: 0,
            closing_at: 0,
            terms: Terms {
                unit_price: 1,
                rate_limit: 1,
                settle_interval: 60,
                close_grace: 60,
                max_chain_depth: 0,
            },
            books: Books { deposited: Amount::new(5), claimed: Amount::ZERO, window, closing: false },
            signer,
        }
    }

    fn delegation() -> DelegationAccount {
        DelegationAccount {
            bump: 255,
            channel: CHANNEL.to_bytes(),
            delegate: DELEGATE.to_bytes(),
            rent_payer: [3; 32],
            channel_opened_slot: 9,
            created_slot: 10,
            delegation: Delegation::begin(Amount::new(5), 100, 50).unwrap(),
        }
    }

    fn verdict(account: &ChannelAccount, found: DelegationAccount, now: i64) -> Result<u64, Undelegated> {
        live(account, Some(found), &CHANNEL, &DELEGATE, now).map(|found| found.created_slot)
    }

    #[test]
    fn a_delegation_is_live_to_the_last_second_before_it_ends() {
        assert_eq!(verdict(&account(), delegation(), 99), Ok(10));
        assert_eq!(verdict(&account(), delegation(), 100), Err(Undelegated::Expired { at: 100 }));
        let mut revoked = delegation();
        revoked.delegation = revoked.delegation.revoke(70).unwrap();
        assert_eq!(verdict(&account(), revoked, 70), Err(Undelegated::Revoked { at: 70 }));
    }

    #[test]
    fn the_authorized_signer_of_somebody_elses_channel_spends_in_the_channels_epoch() {
        let signer = Address::new_from_array(account().authorized_signer);
        let own = without_end(&account(), &CHANNEL);
        let found = live(&account(), Some(own), &CHANNEL, &signer, i64::MAX).unwrap();
        assert_eq!((found.created_slot, found.delegation.limit), (account().opened_slot, Amount::MAX));
    }

    #[test]
    fn a_delegation_of_another_channel_key_or_incarnation_is_none() {
        for other in [
            DelegationAccount { channel: [9; 32], ..delegation() },
            DelegationAccount { delegate: [9; 32], ..delegation() },
        ] {
            assert_eq!(verdict(&account(), other, 60), Err(Undelegated::Missing));
        }
        let older = DelegationAccount { channel_opened_slot: 8, ..delegation() };
        assert_eq!(verdict(&account(), older, 60), Err(Undelegated::EarlierChannel));
        assert_eq!(live(&account(), None, &CHANNEL, &DELEGATE, 60), Err(Undelegated::Missing));
        let mut closing = account();
        closing.books.closing = true;
        assert_eq!(verdict(&closing, delegation(), 60), Err(Undelegated::Closing));
    }
}

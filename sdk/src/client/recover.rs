//! Finding channels again after the store was lost.

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::DiscoveryDocument;
use amp_protocol::money::{Amount, Seq, UnitPrice};
use solana_address::Address;

use super::Client;
use super::config::Funding;
use super::error::ClientError;
use super::ledger::Ledger;
use super::open::mint_of;
use super::service::Service;
use super::store::{ChannelRecord, ChannelState, Intent};
use crate::chain::{self, ChannelAddress};

/// How many unused nonces in a row end the search. Nonces are counted up, so a gap is closed channels.
const GAP: u64 = 16;

impl Client {
    /// Looks on chain for channels to the service of this URL that the store does not know, or took for
    /// closed because of a wrong or lagging node. The latter go on where they were; the former it takes
    /// in, with what the service says it charged as the starting point. The service is believed
    /// only as far as the policy would let it be owed anyway; a channel beyond that stays out, and its
    /// error is returned. Don't call this while another store uses the same keys.
    pub async fn recover(&self, url: &str) -> Result<Vec<ChannelRecord>, ClientError> {
        let settings = &self.inner.settings;
        let funding = settings.funding("recover channels")?;
        let service = self.service_of(url)?;
        let document = self.document(&service, false).await?;
        settings.options.policy.check(&document, &service.origin, Amount::ZERO)?;
        let (program_id, funder) = (settings.options.program_id, funding.funder.public_key());
        let recipient = Address::from(document.recipient.0);
        let known = self.inner.store.all().await?;
        let (mut found, mut next, mut missed) = (Vec::new(), 0_u64, 0_u64);
        while missed < GAP {
            // the same nonces that openings take, in the same order
            let (nonce, at) = ChannelAddress::cheapest_from(&program_id, &funder, &recipient, next);
            match self.account(&at.channel).await? {
                Some(account) => {
                    missed = 0;
                    match known.iter().find(|record| record.channel == at.channel) {
                        Some(record) if wrongly_closed(record, &account) => {
                            found.push(self.inner.store.revive(record.id, account.books.closing).await?);
                        }
                        Some(_) => {}
                        None if is_ours(funding, &account, &document) => {
                            found.push(self.take_in(&service, &account, &at).await?);
                        }
                        None => {}
                    }
                }
                None => missed = missed.saturating_add(1),
            }
            next = nonce.wrapping_add(1);
        }
        Ok(found)
    }

    async fn take_in(
        &self,
        service: &Service,
        account: &ChannelAccount,
        at: &ChannelAddress,
    ) -> Result<ChannelRecord, ClientError> {
        let (mint, recipient) = (Address::from(account.mint), Address::from(account.recipient));
        let token_program = chain::mint(self.chain(), &mint).await?.token_program;
        let unit_price = UnitPrice::new(account.terms.unit_price).unwrap_or(UnitPrice::ONE);
        let intent = Intent {
            origin: service.name.clone(),
            funder: Address::from(account.funder),
            authorized_signer: Address::from(account.authorized_signer),
            recipient,
            mint,
            token_program,
            rent_payer: Address::from(account.rent_payer),
            unit_price,
            deposit: account.books.deposited,
            nonce: account.nonce,
        };
        let unknown = ChannelRecord {
            id: 0,
            origin: service.name.clone(),
            state: ChannelState::Open,
            channel: at.channel,
            vault: at.vault,
            funder: intent.funder,
            recipient,
            mint,
            token_program,
            rent_payer: intent.rent_payer,
            nonce: account.nonce,
            opened_slot: account.opened_slot,
            delegation: None,
            refunded: Amount::ZERO,
            topping_up: Amount::ZERO,
            created_at: 0,
            ledger: Ledger::new(unit_price, account.books.deposited),
        };
        // seq 0 authorizes nothing, and any seq with a good signature may ask
        let status = self.ask_status(service, &unknown, Seq::ZERO).await?;
        let believable = status.spent.checked_add(self.in_flight_at_most()).unwrap_or(Amount::MAX);
        // a seq far above what was charged would be a blank cheque: the next one is above it
        if status.spent > account.books.deposited || status.last_seq > unit_price.seq_covering(believable) {
            let (origin, theirs) = (service.name.clone(), status.last_seq);
            return Err(ClientError::UnknownSeq { origin, theirs, ours: Seq::ZERO });
        }
        let store = &self.inner.store;
        Ok(store.adopt(intent, account.opened_slot, status.spent, status.last_seq).await?)
    }

    /// What calls in flight can have been signed for at a time, by this policy.
    pub(super) fn in_flight_at_most(&self) -> Amount {
        let options = &self.inner.settings.options;
        let calls = u64::from(options.in_flight_limit);
        options.policy.max_price_per_call.checked_mul(calls).unwrap_or(Amount::MAX)
    }
}

fn is_ours(funding: &Funding, account: &ChannelAccount, document: &DiscoveryDocument) -> bool {
    account.authorized_signer == funding.authorized.public_key().to_bytes()
        && account.mint == mint_of(document).to_bytes()
        && !account.books.closing
}

/// Whether the store counts this very incarnation as closed, though it is on chain.
fn wrongly_closed(record: &ChannelRecord, account: &ChannelAccount) -> bool {
    record.state == ChannelState::Closed && record.opened_slot == account.opened_slot
}

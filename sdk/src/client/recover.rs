//! Finding channels again after the store was lost.

use amp_protocol::account::ChannelAccount;
use amp_protocol::json::{ChannelStatus, CredentialBody, DiscoveryDocument};
use amp_protocol::message::Key;
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
use crate::signed::verify_credential;

/// How many unused nonces in a row end the search. Nonces are counted up, so a gap is closed channels.
const GAP: u64 = 16;

impl Client {
    /// Looks on chain for channels to the service of this URL that the store does not know, or took for
    /// closed because of a wrong or lagging node. The latter go on where they were; the former it takes
    /// in, with what the service says it charged as the starting point. The service is believed
    /// only as far as it shows this key's own signature, or as the chain has paid; a channel beyond that
    /// stays out, and its error is returned. Don't call this while another store uses the same keys.
    pub async fn recover(&self, url: &str) -> Result<Vec<ChannelRecord>, ClientError> {
        let settings = &self.inner.settings;
        let funding = settings.funding("recover channels")?;
        let service = self.service_of(url)?;
        let document = self.document(&service, false).await?;
        settings.options.policy.check(&document, &service.origin, Amount::ZERO)?;
        let (program_id, funder) = (settings.program_id, funding.funder.public_key());
        let recipient = Address::from(document.recipient.0);
        let mut known = self.inner.store.all().await?;
        known.retain(|record| !self.is_elsewhere(record));
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
            network: None,
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
        let authority = (account.authorized_signer, account.opened_slot, account.signer.claimed);
        let last_signed = proven_seq(service, &status, authority, unit_price)?;
        let store = &self.inner.store;
        Ok(store.adopt(intent, account.opened_slot, status.spent, last_signed).await?)
    }
}

/// How far a signer (its key, its epoch, what was claimed of it) has signed, of which this store knows
/// nothing. What the chain has paid took a credential; all else the service must show, and as charged it may
/// claim no more than that: whatever it named would be signed above at the next call.
pub(super) fn proven_seq(
    service: &Service,
    status: &ChannelStatus,
    (key, epoch, claimed): (Key, u64, Amount),
    unit_price: UnitPrice,
) -> Result<Seq, ClientError> {
    let paid_for = unit_price.seq_covering(claimed);
    let shown = status.last_sig.is_some_and(|sig| {
        let credential = CredentialBody { channel: status.channel, seq: status.last_seq, sig };
        verify_credential(&credential, epoch, &key)
    });
    let proven = if shown { status.last_seq.max(paid_for) } else { paid_for };
    if status.last_seq > proven || !unit_price.ceiling(proven).covers(status.spent) {
        let (origin, theirs) = (service.name.clone(), status.last_seq);
        return Err(ClientError::UnknownSeq { origin, theirs, ours: proven });
    }
    Ok(proven)
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

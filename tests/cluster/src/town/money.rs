//! Who has how much, and that nothing appeared, disappeared, or is stuck.

use amp_sdk::chain::{Chain as _, channels_funded_by, token_amount};
use amp_sdk::protocol::money::Amount;
use amp_sdk::signer::{KeypairSigner, Signer as _};
use anyhow::{Context, ensure};
use solana_address::Address;

use super::{Shop, TOKENS, Town};

/// Where a mint's supply stands in its account.
const SUPPLY: usize = 36;

impl Town<'_> {
    /// Base units in somebody's token account.
    pub(crate) async fn tokens(&self, of: &KeypairSigner) -> anyhow::Result<u64> {
        Ok(token_amount(&*self.cluster.chain, &self.account_of(&of.public_key())).await?.get())
    }

    /// Holds everything against what was minted: what people have and what is in the vaults of channels that are
    /// there is all there is, and a vault holds what its channel's books say, to the base unit.
    pub(crate) async fn accounted(&self) -> anyhow::Result<Books> {
        let chain = &*self.cluster.chain;
        let people = self.people.lock().map_err(|_| anyhow::anyhow!("a panic"))?.clone();
        let (mut held, mut vaults, mut channels) = (0_u64, 0_u64, 0_usize);
        for person in &people {
            let tokens = token_amount(chain, &self.account_of(person)).await?;
            held = held.checked_add(tokens.get()).context("too many tokens")?;
            for (address, channel) in channels_funded_by(chain, &self.cluster.program_id, person).await? {
                let inside = token_amount(chain, &Address::from(channel.vault)).await?;
                let booked = channel.books.deposited.checked_sub(channel.books.claimed);
                let booked = booked.unwrap_or(Amount::ZERO);
                ensure!(inside == booked, "the vault of {address} holds {inside}, its books say {booked}");
                vaults = vaults.checked_add(inside.get()).context("too many tokens")?;
                channels = channels.saturating_add(1);
            }
        }
        let mint = chain.account(&self.mint).await?.context("the mint is gone")?;
        let supply = mint.data.get(SUPPLY..).and_then(|rest| rest.first_chunk::<8>().copied());
        let minted = u64::from_le_bytes(supply.context("no mint")?);
        let found = held.checked_add(vaults);
        ensure!(
            found == Some(minted),
            "people hold {held} and vaults {vaults} base units, and {minted} were minted"
        );
        Ok(Books { channels })
    }

    /// At the end of a scenario: everything is accounted for, no channel is left and so nothing is stuck in one,
    /// and these have exactly so much.
    pub(crate) async fn settled_up(&self, expected: &[(&str, &KeypairSigner, u64)]) -> anyhow::Result<()> {
        let books = self.accounted().await?;
        ensure!(books.channels == 0, "{} channels are left", books.channels);
        for (who, key, amount) in expected {
            let has = self.tokens(key).await?;
            ensure!(has == *amount, "{who} has {has} base units, and should have {amount}");
        }
        Ok(())
    }

    /// The same where an agent bought of one service alone: what was served is the service's, the rest the agent's.
    pub(crate) async fn settled_between(&self, agent: &KeypairSigner, shop: &Shop) -> anyhow::Result<()> {
        let earned = shop.earned();
        self.settled_up(&[("the agent", agent, TOKENS - earned), ("the service", &shop.key, earned)]).await
    }
}

/// What an account of everything found.
pub(crate) struct Books {
    /// Channels that are there.
    pub(crate) channels: usize,
}

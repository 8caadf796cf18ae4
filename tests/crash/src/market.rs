//! The chain, and who takes part.

use amp_embedded::{ClockMode, EmbeddedChain, TestMint};
use amp_protocol::instruction::OpenChannel;
use amp_protocol::json::SignedCloseStatement;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_protocol::rules::Terms;
use amp_sdk::chain::instructions::{self, ChannelKeys, CloseParties, DelegationParties, OpenParties};
use amp_sdk::chain::{self, ChannelAddress, ComputeBudget, PROGRAM_ID, Plan, PriorityFee, TOKEN_PROGRAM};
use amp_sdk::signer::{KeypairSigner, Signer as _};
use anyhow::{Context, Result, bail};
use solana_address::Address;

const SOL: u64 = 1_000_000_000;
/// More than a trial can spend.
pub(crate) const DEPOSIT: u64 = 1 << 40;

/// The chain that outlives the service.
pub(crate) struct Market {
    pub(crate) chain: EmbeddedChain,
    pub(crate) mint: TestMint,
    pub(crate) recipient: Address,
}

/// A channel, and the key that signs for it.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) address: Address,
    /// The slot in which the signer's authority began.
    pub(crate) epoch: u64,
    pub(crate) signer: KeypairSigner,
}

impl Market {
    pub(crate) fn open(recipient: Address) -> Result<Self> {
        let chain = EmbeddedChain::new(ClockMode::Wall)?;
        let mint = chain.create_mint(&TOKEN_PROGRAM)?;
        chain.airdrop(&recipient, 1_000 * SOL)?;
        chain.mint_to(&mint, &recipient, Amount::ZERO)?;
        Ok(Self { chain, mint, recipient })
    }

    /// A funder opens a channel to the service, and signs for it itself.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        let signer = KeypairSigner::generate();
        let funder = signer.public_key();
        self.chain.airdrop(&funder, SOL)?;
        let funder_token = self.chain.mint_to(&self.mint, &funder, Amount::new(DEPOSIT))?;
        let recipient = self.recipient;
        let parties =
            OpenParties { funder, rent_payer: funder, recipient, authorized_signer: funder, funder_token };
        let terms = Terms {
            unit_price: 1,
            rate_limit: DEPOSIT,
            settle_interval: 1,
            close_grace: 3_600,
            max_chain_depth: 0,
        };
        let args = OpenChannel { nonce: 0, deposit: Amount::new(DEPOSIT), terms };
        let (mint, token_program) = (&self.mint.address, &self.mint.token_program);
        let open = instructions::open_channel(&PROGRAM_ID, &parties, mint, token_program, &args);
        let at = ChannelAddress::derive(&PROGRAM_ID, &funder, &recipient, 0);
        let plan = Plan::new(funder, ComputeBudget::open(&at), PriorityFee::default(), vec![open]);
        plan.send(&self.chain, &[&signer]).await?;
        let account = chain::channel(&self.chain, &PROGRAM_ID, &at.channel).await?.context("it is open")?;
        Ok(Channel { address: at.channel, epoch: account.opened_slot, signer })
    }

    /// A channel that a delegate pays from, and nobody else.
    pub(crate) async fn delegated(&self) -> Result<Channel> {
        let Channel { address: channel, signer: funder, .. } = self.channel().await?;
        let signer = KeypairSigner::generate();
        let (payer, delegate) = (funder.public_key(), signer.public_key());
        let parties = DelegationParties { funder: payer, rent_payer: payer, channel, delegate };
        let set = instructions::set_delegate(&PROGRAM_ID, &parties, Amount::new(DEPOSIT), 0);
        let budget = ComputeBudget::set_delegate(&PROGRAM_ID, &channel, &delegate);
        Plan::new(payer, budget, PriorityFee::default(), vec![set]).send(&self.chain, &[&funder]).await?;
        let made = chain::delegations(&self.chain, &PROGRAM_ID, &channel).await?;
        let (_, made) = made.first().context("it is made")?;
        Ok(Channel { address: channel, epoch: made.created_slot, signer })
    }

    /// The funder closes with the service's final account.
    pub(crate) async fn close(&self, channel: &Channel, statement: &SignedCloseStatement) -> Result<()> {
        let account =
            chain::channel(&self.chain, &PROGRAM_ID, &channel.address).await?.context("it is open")?;
        let funder = channel.signer.public_key();
        let keys = ChannelKeys {
            program_id: PROGRAM_ID,
            channel: channel.address,
            vault: Address::from(account.vault),
            mint: self.mint.address,
            token_program: self.mint.token_program,
        };
        let parties = CloseParties {
            closer: funder,
            refund_token: self.mint.account_of(&funder),
            rent_payer: funder,
            payout_token: Some(self.mint.account_of(&self.recipient)),
        };
        let all = vec![
            instructions::close_statement(&self.recipient, statement),
            instructions::close_channel(&keys, &parties),
        ];
        let plan = Plan::new(funder, ComputeBudget::close(), PriorityFee::default(), all);
        // the wall's clock moves the chain's slots beside this
        for _ in 0..3 {
            match plan.send(&self.chain, &[&channel.signer]).await {
                Err(error) if error.rejection() == Some(Rejection::ClosedInOpeningSlot) => {
                    self.chain.advance_slots(1);
                }
                sent => return Ok(sent.map(drop)?),
            }
        }
        bail!("the channel's opening slot does not end")
    }

    /// Base units that the chain has paid out of a channel that is open.
    pub(crate) async fn claimed(&self, channel: &Address) -> Result<u64> {
        let account = chain::channel(&self.chain, &PROGRAM_ID, channel).await?.context("it is open")?;
        Ok(account.books.claimed.get())
    }

    /// Base units that the service holds.
    pub(crate) fn earned(&self) -> u64 {
        self.chain.tokens(&self.mint.account_of(&self.recipient)).get()
    }
}

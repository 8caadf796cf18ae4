//! A service that has no token account yet: it makes one at its first settlement, whatever strangers do.

use std::sync::Arc;

use amp_e2e_tests::{DEPOSIT, INTERVAL, Opening, PRICE};
use amp_embedded::{ClockMode, EmbeddedChain};
use amp_protocol::instruction::OpenChannel;
use amp_protocol::money::{Amount, Seq};
use amp_sdk::chain::instructions::{self, OpenParties};
use amp_sdk::chain::{ChannelAddress, ComputeBudget, PROGRAM_ID, Plan, PriorityFee, TOKEN_PROGRAM, channel};
use amp_sdk::server::{AmpService, ServiceConfig, SqliteStore};
use amp_sdk::signed::sign_credential;
use amp_sdk::signer::{KeypairSigner, Signer};

const LAMPORTS: u64 = 1_000_000_000;

#[tokio::test]
async fn lamports_sent_ahead_to_the_payout_address_keep_no_service_from_settling() {
    let chain = EmbeddedChain::new(ClockMode::Manual).unwrap();
    let mint = chain.create_mint(&TOKEN_PROGRAM).unwrap();
    let (key, funder) = (KeypairSigner::generate(), KeypairSigner::generate());
    let (recipient, owner) = (key.public_key(), funder.public_key());
    let payout = mint.account_of(&recipient);
    chain.mint_to(&mint, &owner, Amount::new(DEPOSIT)).unwrap();
    for (address, lamports) in [(recipient, LAMPORTS), (owner, LAMPORTS), (payout, LAMPORTS / 1_000)] {
        chain.airdrop(&address, lamports).unwrap();
    }
    assert!(chain.snapshot(&payout).unwrap().data.is_empty(), "lamports and nothing else");

    let parties = OpenParties {
        funder: owner,
        rent_payer: owner,
        recipient,
        authorized_signer: owner,
        funder_token: mint.account_of(&owner),
    };
    let terms = Opening::default().terms;
    let args = OpenChannel { nonce: 0, deposit: Amount::new(DEPOSIT), terms };
    let open = instructions::open_channel(&PROGRAM_ID, &parties, &mint.address, &mint.token_program, &args);
    let at = ChannelAddress::derive(&PROGRAM_ID, &owner, &recipient, 0);
    let plan = Plan::new(owner, ComputeBudget::open(&at), PriorityFee::default(), vec![open]);
    plan.send(&chain, &[&funder]).await.unwrap();
    let epoch = channel(&chain, &PROGRAM_ID, &at.channel).await.unwrap().unwrap().opened_slot;

    let config =
        ServiceConfig::new(Arc::new(key), mint.address, Amount::new(PRICE)).settle_interval(INTERVAL);
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("service.db")).unwrap();
    let service = AmpService::start(config, Arc::new(chain.clone()), store).await.unwrap();
    for (calls, paid) in [(1, PRICE), (2, PRICE)] {
        let seq = Seq::new(calls * PRICE);
        let credential = sign_credential(&funder, &at.channel, epoch, seq).await.unwrap();
        let admission = service.authorize(&credential, Amount::new(PRICE)).await.unwrap();
        admission.charge(Amount::new(PRICE)).await.unwrap();
        chain.advance_seconds(INTERVAL);
        assert_eq!(service.settle(at.channel).await.unwrap().paid, Amount::new(paid));
        assert_eq!(chain.tokens(&payout), Amount::new(calls * PRICE));
    }
}

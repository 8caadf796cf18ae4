use amp_protocol::code::Code;
use amp_protocol::json::{Base58, ErrorBody, Shortage};
use amp_protocol::money::{Amount, Seq};

use super::*;
use crate::client::{LedgerError, Overcharge, PolicyError, ProofFailure};

/// Calls once; nothing may reach the chain.
async fn refused_before_opening(world: &World) -> ClientError {
    let client = world.client().await;
    let refused = world.pay(&client).await.unwrap_err();
    assert_eq!(world.chain.state().done.len(), 0);
    assert_eq!(world.chain.tokens(&world.funder.public_key()), 1_000_000);
    refused
}

#[tokio::test]
async fn a_service_of_another_program_is_not_paid() {
    let world = World::new().await;
    world.service.inner().document.program_id = Base58([9; 32]);
    let refused = refused_before_opening(&world).await;
    assert!(
        matches!(refused, ClientError::WrongProgram { named, .. } if named == Base58([9; 32])),
        "{refused}"
    );
}

/// A cluster that this release knows no program of trusts none, whatever services say.
#[tokio::test]
async fn a_client_for_a_cluster_without_a_recorded_program_must_be_told_which_one_it_trusts() {
    let world = World::new().await;
    let clusters = amp_protocol::deployment::RECORDED.into_iter().chain([("solana:elsewhere", None)]);
    for (network, recorded) in clusters {
        let made = world.builder().network(network).build().await;
        match (recorded, made) {
            (Some(id), made) => assert_eq!(made.unwrap().inner.settings.program_id.to_bytes(), id),
            (None, Err(ClientError::NothingPinned { network: named })) => assert_eq!(named, network),
            (None, made) => panic!("{network}: {:?}", made.err()),
        }
        let told = world.builder().network(network).program_id(MINT).build().await.unwrap();
        assert_eq!(told.inner.settings.program_id, MINT, "what is given counts, on {network}");
    }
}

#[tokio::test]
async fn a_service_of_another_network_is_not_paid() {
    let world = World::new().await;
    world.service.inner().document.network = "solana:mainnet-beta".to_owned();
    let refused = refused_before_opening(&world).await;
    assert!(matches!(refused, ClientError::WrongNetwork { .. }), "{refused}");
}

#[tokio::test]
async fn a_service_that_names_two_recipients_is_not_paid() {
    let world = World::new().await;
    world.service.lie(|lies| lies.header_recipient = Some([9; 32]));
    let refused = refused_before_opening(&world).await;
    assert!(matches!(refused, ClientError::RecipientChanged { .. }), "{refused}");
}

#[tokio::test]
async fn a_price_above_the_policy_is_not_paid() {
    let world = World::new().await;
    world.service.inner().document.pricing.default.rate = Amount::new(100_001);
    let refused = refused_before_opening(&world).await;
    assert!(matches!(refused, ClientError::Policy(PolicyError::Price { .. })), "{refused}");
}

#[tokio::test]
async fn a_discovery_document_without_end_is_not_read() {
    let world = World::new().await;
    let mut routes = std::mem::take(&mut world.service.inner().document.pricing.routes);
    let rate = routes.pop_first().unwrap().1;
    routes.extend((0..20_000).map(|n| (format!("/route/{n}"), rate)));
    world.service.inner().document.pricing.routes = routes;
    let refused = refused_before_opening(&world).await;
    assert!(matches!(refused, ClientError::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn a_recipient_that_changes_under_an_open_channel_is_not_paid() {
    let world = World::new().await;
    let client = world.builder().discovery_max_age(std::time::Duration::ZERO).build().await.unwrap();
    world.seq(&client).await;
    world.service.inner().document.recipient = Base58([9; 32]);
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::RecipientChanged { .. }), "{refused}");
    // the same after a restart, where the channel comes from the store
    drop(client);
    let refused = world.pay(&world.client().await).await.unwrap_err();
    assert!(matches!(refused, ClientError::RecipientChanged { .. }), "{refused}");
    assert_eq!(world.service.meter().seen.len(), 1);
}

#[tokio::test]
async fn a_service_that_counts_more_than_was_agreed_to_gets_nothing_more() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    world.service.lie(|lies| lies.spent = 1);
    let overcharged = world.pay(&client).await.unwrap_err();
    let ClientError::Overcharged { overcharge: Overcharge::Unsigned { total, .. }, .. } = overcharged else {
        panic!("{overcharged}")
    };
    assert_eq!(total, Amount::new(2 * PRICE + 1));
    world.service.lie(|lies| lies.spent = 0);
    for _ in 0..2 {
        let refused = world.pay(&client).await.unwrap_err();
        assert!(matches!(refused, ClientError::Disputed { .. }), "{refused}");
    }
    assert_eq!(world.service.meter().seen.len(), 2, "no credential was sent after the lie");
    assert_eq!(world.states(&client).await, [ChannelState::Disputed]);
}

#[tokio::test]
async fn a_call_that_costs_more_than_its_price_is_an_overcharge() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    let ticket = client.authorize(&world.service.origin, Amount::new(10)).await.unwrap();
    let bill = ticket.answered(Some(Amount::new(11)), Some(Amount::new(PRICE + 10))).await.unwrap_err();
    assert!(matches!(bill, ClientError::Overcharged { overcharge: Overcharge::Cost { .. }, .. }), "{bill}");
}

#[tokio::test]
async fn a_seq_that_no_call_explains_is_not_signed() {
    let world = World::new().await;
    let client = world.client().await;
    world.service.lie(|lies| {
        lies.refusals.push_back(ErrorBody {
            shortage: Some(Shortage::Ceiling),
            required_seq: Some(Seq::new(9_000)),
            ..ErrorBody::new(Code::Underfunded, "")
        });
    });
    let refused = world.pay(&client).await.unwrap_err();
    let ClientError::Unjustified { reason: LedgerError::Unjustified { required, .. }, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!(required, Seq::new(9_000));
    assert!(client.channels().await.unwrap()[0].ledger.last_signed <= Seq::new(PRICE));
}

#[tokio::test]
async fn a_last_seq_that_was_never_signed_does_not_raise_the_ceiling() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    world.service.lie(|lies| lies.last_seq = 5_000);
    world.service.refuse(Code::InvalidSeq);
    let refused = world.pay(&client).await.unwrap_err();
    assert!(
        matches!(refused, ClientError::UnknownSeq { theirs, .. } if theirs == Seq::new(5_100)),
        "{refused}"
    );
    assert!(client.channels().await.unwrap()[0].ledger.last_signed <= Seq::new(2 * PRICE));
}

#[tokio::test]
async fn a_service_that_calls_an_open_channel_closed_gets_no_second_one() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    world.service.refuse(Code::Closed);
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::ClosedByService { .. }), "{refused}");
    assert_eq!(world.chain.count("open_channel"), 1);
}

#[tokio::test]
async fn a_metering_proof_is_checked_for_signer_channel_and_amount() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    let status = client.status(&world.service.origin).await.unwrap();
    assert_eq!((status.spent, status.last_seq), (Amount::new(PRICE), Seq::new(PRICE)));

    world.service.lie(|lies| lies.other_key = Some(KeypairSigner::generate()));
    let bad = client.status(&world.service.origin).await.unwrap_err();
    assert!(matches!(bad, ClientError::BadProof { reason: ProofFailure::Signature, .. }), "{bad}");
    assert_eq!(bad.code(), Some(Code::InvalidProof));

    world.service.lie(|lies| (lies.other_key, lies.other_channel) = (None, Some([7; 32])));
    let bad = client.status(&world.service.origin).await.unwrap_err();
    assert!(matches!(bad, ClientError::BadProof { reason: ProofFailure::About(_), .. }), "{bad}");

    world.service.lie(|lies| (lies.other_channel, lies.owed) = (None, 1));
    let bad = client.status(&world.service.origin).await.unwrap_err();
    assert!(matches!(bad, ClientError::Overcharged { .. }), "{bad}");
}

#[tokio::test]
async fn a_channel_that_is_not_what_was_asked_for_is_not_paid_on() {
    for (field, tamper) in [
        (
            "terms",
            (|account| account.terms.unit_price = 1_000) as fn(&mut amp_protocol::account::ChannelAccount),
        ),
        ("authorized signer", |account| account.authorized_signer = [9; 32]),
        ("recipient", |account| account.recipient = [9; 32]),
        ("deposit", |account| account.books.deposited = Amount::new(1)),
        ("mint", |account| account.mint = [9; 32]),
    ] {
        let world = World::new().await;
        world.chain.state().tamper = Some(tamper);
        let client = world.client().await;
        let refused = world.pay(&client).await.unwrap_err();
        assert!(
            matches!(refused, ClientError::ChannelDiffers { field: found, .. } if found == field),
            "{refused}"
        );
        assert_eq!(world.service.inner().meters.len(), 0);
    }
}

#[tokio::test]
async fn a_refusal_without_end_is_not_waited_for() {
    let world = World::new().await;
    let client = world.builder().timeout(std::time::Duration::from_millis(500)).build().await.unwrap();
    world.seq(&client).await;
    world.service.lie(|lies| lies.endless_refusal = true);
    let late = tokio::time::timeout(std::time::Duration::from_secs(5), world.pay(&client)).await;
    assert!(matches!(late, Ok(Err(ClientError::TimedOut { .. }))), "{late:?}");
}

#[tokio::test]
async fn a_node_that_lags_when_the_service_speaks_of_a_close_costs_no_second_deposit() {
    let world = World::new().await;
    let client = world.client().await;
    world.seq(&client).await;
    world.service.refuse(amp_protocol::code::Code::Closed);
    world.chain.state().lagging = 1;
    world.seq(&client).await;
    assert_eq!(world.chain.count("open_channel"), 1);
    assert_eq!(world.states(&client).await, [ChannelState::Open]);
}

#[tokio::test]
async fn a_price_in_another_token_is_not_paid_in_the_channels_one() {
    let world = World::new().await;
    let other = solana_address::Address::from([9; 32]);
    let builder = || world.builder().allow_mint(other).discovery_max_age(std::time::Duration::ZERO);
    let client = builder().build().await.unwrap();
    world.seq(&client).await;
    world.service.inner().document.pricing.default.token = Base58([9; 32]);
    let refused = world.pay(&client).await.unwrap_err();
    assert!(refused.to_string().contains("close the channel"), "{refused}");
    assert!(matches!(refused, ClientError::TokenChanged { known: MINT, named, .. } if named == other));
    // the same after a restart, where the channel comes from the store
    drop(client);
    let client = builder().build().await.unwrap();
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::TokenChanged { .. }), "{refused}");
    assert_eq!(world.service.meter().seen.len(), 1);
    // after a close the new token's mint is what is looked at
    client.close(&world.service.origin).await.unwrap();
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::Chain(crate::chain::ChainError::NoMint(_))), "{refused}");
}

/// A client one of whose calls was lost and not charged, and a service that wants to be paid for it.
async fn lost_one(world: &World) -> Client {
    let client = world.builder().timeout(std::time::Duration::from_millis(500)).build().await.unwrap();
    world.seq(&client).await;
    world.service.lie(|lies| lies.stall_before = true);
    assert!(matches!(world.pay(&client).await, Err(ClientError::TimedOut { .. })));
    world.service.lie(|lies| {
        lies.refusals.push_back(ErrorBody {
            shortage: Some(Shortage::Ceiling),
            required_seq: Some(Seq::new(3 * PRICE)),
            ..ErrorBody::new(Code::Underfunded, "")
        });
    });
    client
}

#[tokio::test]
async fn a_lost_call_that_the_service_does_not_show_as_charged_is_not_signed_for() {
    let world = World::new().await;
    let client = lost_one(&world).await;
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::Unjustified { .. }), "{refused}");
    // two prices and the lost call's unit, at most; never three prices
    assert!(client.channels().await.unwrap()[0].ledger.last_signed <= Seq::new(2 * PRICE + 1));
    assert_eq!(world.seq(&client).await, 2 * PRICE + 2);
}

#[tokio::test]
async fn a_charge_without_a_metering_proof_is_not_booked() {
    let world = World::new().await;
    let client = lost_one(&world).await;
    world.service.lie(|lies| (lies.owed, lies.no_proof) = (PRICE, true));
    let refused = world.pay(&client).await.unwrap_err();
    assert!(matches!(refused, ClientError::Unjustified { .. }), "{refused}");
    assert_eq!(client.channels().await.unwrap()[0].ledger.acknowledged, Amount::new(PRICE));
}

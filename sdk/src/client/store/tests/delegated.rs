use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::money::UnitPrice;
use amp_protocol::rules::{Books, Delegation, RateWindow, SignerBooks, Terms};

use super::*;

const DELEGATE: Address = Address::new_from_array([8; 32]);

/// A delegation of this slot on the channel that [`intent`] describes.
pub(super) fn held(created_slot: u64, limit: u64) -> Held {
    let window = RateWindow { started_at: 0, claimed: Amount::ZERO };
    let account = ChannelAccount {
        bump: 255,
        vault_bump: 255,
        chain_depth: 0,
        funder: FUNDER.to_bytes(),
        recipient: [5; 32],
        authorized_signer: SIGNER.to_bytes(),
        mint: [6; 32],
        vault: [9; 32],
        rent_payer: [2; 32],
        parent: [0; 32],
        nonce: u64::MAX,
        opened_slot: 7,
        delegated_slot: created_slot,
        opened_at: 1,
        closing_at: 0,
        terms: Terms {
            unit_price: 1,
            rate_limit: 1,
            settle_interval: 60,
            close_grace: 60,
            max_chain_depth: 0,
        },
        books: Books { deposited: Amount::new(1_000), claimed: Amount::ZERO, window, closing: false },
        signer: SignerBooks { claimed: Amount::ZERO, last_settled_at: 1 },
    };
    let delegation = DelegationAccount {
        bump: 255,
        channel: [4; 32],
        delegate: DELEGATE.to_bytes(),
        rent_payer: [2; 32],
        channel_opened_slot: 7,
        created_slot,
        delegation: Delegation::begin(Amount::new(limit), 0, 1).unwrap(),
    };
    let (origin, token_program) = ("https://a.example".to_owned(), Address::from([7; 32]));
    Held {
        origin,
        channel: Address::from([4; 32]),
        token_program,
        unit_price: UnitPrice::ONE,
        account,
        delegation,
    }
}

pub(super) fn delegates(folder: &TempDir) -> Store {
    let owner = Owner { role: Role::Delegate(DELEGATE), ..OWNER };
    Store::open(&folder.path().join("client.db"), owner, NETWORK, HOUR).unwrap()
}

pub(super) fn books(limit: u64) -> Option<Ledger> {
    let limit = Some(Amount::new(limit));
    Some(Ledger { limit, ..Ledger::new(UnitPrice::ONE, Amount::new(1_000)) })
}

#[tokio::test]
async fn a_funders_channel_and_a_delegates_on_it_are_two_even_where_one_key_is_both() {
    let folder = tempfile::tempdir().unwrap();
    let own = adopted(&open(&folder, HOUR), 1_000).await;
    let store = delegates(&folder);
    assert_eq!(store.all().await.unwrap(), []);
    let record = store.hold(held(9, 500), books(500), None).await.unwrap().unwrap();
    assert_ne!(record.id, own.id);
    assert_eq!((record.epoch(), record.opened_slot, record.funder), (9, 7, FUNDER));
    assert_eq!(store.reserve(record.id, ask(500), None, None).await.unwrap().unwrap().seq, Seq::new(500));
    assert_eq!(open(&folder, HOUR).all().await.unwrap(), std::slice::from_ref(&own));
    // a client of the delegate's own as a funder
    let role = Role::Funder { funder: DELEGATE, authorized_signer: DELEGATE };
    let funder =
        Store::open(&folder.path().join("client.db"), Owner { role, ..OWNER }, NETWORK, HOUR).unwrap();
    assert_eq!(funder.all().await.unwrap(), []);
    assert_eq!(open(&folder, HOUR).load(own.id).await.unwrap().ledger.last_signed, Seq::ZERO);
}

#[tokio::test]
async fn limit_and_deposit_of_a_delegation_follow_the_chain_upward_and_the_books_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = delegates(&folder);
    let id = store.hold(held(9, 500), books(500), None).await.unwrap().unwrap().id;
    store.reserve(id, ask(100), None, None).await.unwrap().unwrap();
    let mut raised = held(9, 700);
    raised.account.books.deposited = Amount::new(2_000);
    for seen in [raised, held(9, 500)] {
        let record = store.hold(seen, None, Some(id)).await.unwrap().unwrap();
        assert_eq!((record.id, record.ledger.last_signed), (id, Seq::new(100)));
        let expected = (Some(Amount::new(700)), Amount::new(2_000));
        assert_eq!(
            (record.ledger.limit, record.ledger.deposited),
            expected,
            "an older look takes nothing back"
        );
    }
}

#[tokio::test]
async fn what_a_look_finds_does_not_undo_what_was_named_since() {
    let folder = tempfile::tempdir().unwrap();
    let store = delegates(&folder);
    let old = store.hold(held(9, 500), books(500), None).await.unwrap().unwrap();
    let new = store.hold(held(10, 500), books(500), Some(old.id)).await.unwrap().unwrap();
    assert_ne!(old.id, new.id);
    assert_eq!(store.hold(held(9, 500), None, Some(old.id)).await.unwrap(), None);
    assert_eq!(store.current("https://a.example").await.unwrap().unwrap().id, new.id);
    store.end(old.id).await.unwrap();
    assert_eq!(store.load(old.id).await.unwrap().state, ChannelState::Replaced, "only one that pays ends");
    store.end(new.id).await.unwrap();
    assert_eq!(store.current("https://a.example").await.unwrap().unwrap().state, ChannelState::Ended);
    let reserved = store.reserve(new.id, ask(1), None, None).await.unwrap();
    assert_eq!(reserved, Err(ReserveError::State(ChannelState::Ended)));
}

#[tokio::test]
async fn a_delegates_budget_counts_what_it_signed_on_all_its_channels_and_a_funders_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = delegates(&folder);
    let budget = Some(Amount::new(150));
    let old = store.hold(held(9, 500), books(500), None).await.unwrap().unwrap().id;
    store.reserve(old, ask(100), budget, None).await.unwrap().unwrap();
    let new = store.hold(held(10, 500), books(500), Some(old)).await.unwrap().unwrap().id;
    let over = store.reserve(new, ask(51), budget, None).await.unwrap().unwrap_err();
    let (wanted, committed) = (Amount::new(51), Amount::new(100));
    let error = PolicyError::Budget { wanted, committed, total: Amount::new(150) };
    assert_eq!(over, ReserveError::Policy(error));
    assert_eq!(store.load(new).await.unwrap().ledger.last_signed, Seq::ZERO, "nothing is left behind");
    store.reserve(new, ask(50), budget, None).await.unwrap().unwrap();
    let funder = open(&folder, HOUR);
    let own = adopted(&funder, 1_000).await.id;
    funder.reserve(own, ask(900), budget, None).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_delegate_that_was_delegated_to_again_keeps_what_it_was_claimed_for_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, HOUR);
    let record = adopted(&store, 1_000).await;
    let known = || async {
        let all = store.delegates(record.id).await.unwrap();
        assert_eq!(all.len(), 1);
        (all[0].limit.get(), all[0].before.get())
    };
    let give = |limit, present| store.remember_delegate(record.id, DELEGATE, Amount::new(limit), present);
    // a transaction that was not seen is sent again: one limit, not two
    give(500, None).await.unwrap();
    give(500, None).await.unwrap();
    assert_eq!(known().await, (500, 0));
    store.delegation_seen(record.id, DELEGATE, Amount::new(500), 9).await.unwrap();
    give(800, Some(9)).await.unwrap();
    assert_eq!(known().await, (800, 0));
    // somebody closed it: all that it may have been claimed for stays
    give(100, None).await.unwrap();
    assert_eq!(known().await, (100, 800));
    store.delegation_seen(record.id, DELEGATE, Amount::new(100), 20).await.unwrap();
    store.delegation_closed(record.channel, DELEGATE, Amount::new(30)).await.unwrap();
    assert_eq!(known().await, (30, 800));
    give(200, None).await.unwrap();
    assert_eq!(known().await, (200, 830));
}

use super::*;

#[tokio::test]
async fn every_field_survives_a_restart() {
    for place in Place::all() {
        let statement = statement();
        {
            let store = place.open().await;
            store.commit(AT, record(u64::MAX, u64::MAX), None).await.unwrap();
            store.stop(AT, 12).await.unwrap();
            store.stop(AT, 13).await.unwrap();
            store.keep_statement(statement).await.unwrap();
            store.book_claimed(AT, Amount::MAX).await.unwrap();
        }
        let expected = StoredChannel {
            incarnation: AT,
            signers: vec![record(u64::MAX, u64::MAX)],
            stopped_at: Some(12),
            statement: Some(statement),
            claimed: Amount::MAX,
        };
        assert_eq!(loaded(&*place.open().await).await, [expected]);
    }
}

#[tokio::test]
async fn an_older_record_that_comes_late_replaces_nothing() {
    for place in Place::all() {
        let store = place.open().await;
        // as bytes, 256 is above 255: as text or little-endian it would not be
        for (revision, spent) in [(256, 20), (255, 10), (256, 30)] {
            store.commit(AT, record(revision, spent), None).await.unwrap();
        }
        assert_eq!(loaded(&*store).await[0].signers, [record(256, 20)]);
        store.commit(AT, record(257, 30), None).await.unwrap();
        assert_eq!(loaded(&*store).await[0].signers, [record(257, 30)]);
    }
}

#[tokio::test]
async fn what_was_claimed_never_shrinks() {
    for place in Place::all() {
        let store = place.open().await;
        for claimed in [256, 255] {
            store.book_claimed(AT, Amount::new(claimed)).await.unwrap();
        }
        assert_eq!(loaded(&*store).await[0].claimed, Amount::new(256));
    }
}

#[tokio::test]
async fn an_ended_channel_is_not_loaded_and_others_are() {
    for place in Place::all() {
        let store = place.open().await;
        let other = Incarnation { opened_slot: 0, ..AT };
        store.commit(AT, record(1, 1), None).await.unwrap();
        store.commit(other, record(1, 1), None).await.unwrap();
        store.end(AT).await.unwrap();
        let found: Vec<_> = loaded(&*store).await.into_iter().map(|channel| channel.incarnation).collect();
        assert_eq!(found, [other]);
    }
}

#[tokio::test]
async fn an_ended_channel_that_is_served_again_is_loaded_with_all_it_had() {
    for place in Place::all() {
        let store = place.open().await;
        store.commit(AT, record(1, 1), None).await.unwrap();
        store.book_claimed(AT, Amount::new(1)).await.unwrap();
        store.end(AT).await.unwrap();
        assert_eq!(loaded(&*store).await, []);
        let ended = store.recall(AT, 64).await.unwrap().unwrap();
        assert_eq!((&ended.signers[..], ended.claimed), (&[record(1, 1)][..], Amount::new(1)));
        assert_eq!(store.recall(Incarnation { opened_slot: 0, ..AT }, 64).await.unwrap(), None);
        store.commit(AT, record(2, 2), None).await.unwrap();
        let found = &loaded(&*store).await[0];
        assert_eq!((&found.signers[..], found.claimed), (&[record(2, 2)][..], Amount::new(1)));
    }
}

#[tokio::test]
async fn an_ended_channel_stays_ended_after_a_restart_and_begins_again_with_a_commit() {
    for place in Place::all() {
        {
            let store = place.open().await;
            store.commit(AT, record(1, 1), None).await.unwrap();
            store.end(AT).await.unwrap();
        }
        {
            let store = place.open().await;
            assert_eq!(loaded(&*store).await, []);
            assert_eq!(store.recall(AT, 64).await.unwrap().unwrap().signers, [record(1, 1)]);
            store.commit(AT, record(2, 2), None).await.unwrap();
        }
        assert_eq!(loaded(&*place.open().await).await[0].signers, [record(2, 2)]);
    }
}

#[tokio::test]
async fn an_ended_channel_whose_service_is_stopped_is_there_to_be_closed() {
    for place in Place::all() {
        {
            let store = place.open().await;
            store.commit(AT, record(1, 1), None).await.unwrap();
            store.end(AT).await.unwrap();
            store.stop(AT, 7).await.unwrap();
        }
        assert_eq!(loaded(&*place.open().await).await[0].stopped_at, Some(7));
    }
}

#[tokio::test]
async fn what_is_stored_is_read_with_the_window_that_is_asked_for() {
    for place in Place::all() {
        let store = place.open().await;
        let mut replay = ReplayWindow::new(64, Seq::ZERO);
        (1..=9).for_each(|seq| replay.accept(Seq::new(seq)));
        store.commit(AT, SignerRecord { replay: replay.clone(), ..record(1, 1) }, None).await.unwrap();
        let expected = replay.with_capacity(3);
        let stored = store.load(&identity(), 3).await.unwrap();
        assert_eq!(stored[0].signers[0].replay, expected);
        assert_eq!(store.recall(AT, 3).await.unwrap().unwrap().signers[0].replay, expected);
    }
}

#[tokio::test]
async fn a_statement_for_a_channel_that_was_not_stopped_is_refused() {
    for place in Place::all() {
        let store = place.open().await;
        let statement = SignedCloseStatement {
            channel: AT.channel.into(),
            opened_slot: AT.opened_slot,
            owed_total: Amount::ZERO,
            sig: [5; 64].into(),
        };
        let error = store.keep_statement(statement).await.unwrap_err().to_string();
        assert!(error.contains("0 rows") || error.contains("not stopped"), "{error}");
        assert_eq!(loaded(&*store).await, []);
    }
}

#[tokio::test]
async fn a_store_is_bound_to_the_first_service_that_loads_it() {
    for place in Place::all() {
        assert_eq!(loaded(&*place.open().await).await, []);
        for other in [
            StoreIdentity { recipient: [6; 32], ..identity() },
            StoreIdentity { program_id: [6; 32], ..identity() },
            StoreIdentity { network: "solana:devnet".to_owned(), ..identity() },
        ] {
            let error = place.open().await.load(&other, 64).await.unwrap_err().to_string();
            assert!(error.contains("use another store"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_kept_with_its_charge_and_found_by_its_signer_and_name_alone() {
    for place in Place::all() {
        let kept = answer(100);
        place.open().await.commit(AT, record(1, 1), Some(kept.clone())).await.unwrap();
        let store = place.open().await;
        assert_eq!(store.answer(AT, &kept.id).await.unwrap(), Some(kept.clone()));
        let others = [
            AnswerId { signer: [4; 32], ..kept.id },
            AnswerId { epoch: 1, ..kept.id },
            AnswerId { key: AnswerKey::of(b"other"), ..kept.id },
        ];
        for other in others {
            assert_eq!(store.answer(AT, &other).await.unwrap(), None);
        }
        let elsewhere = Incarnation { opened_slot: 0, ..AT };
        assert_eq!(store.answer(elsewhere, &kept.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn answers_are_forgotten_by_their_age() {
    for place in Place::all() {
        let store = place.open().await;
        let kept = answer(100);
        store.commit(AT, record(1, 1), Some(kept.clone())).await.unwrap();
        store.forget_answers(100).await.unwrap();
        assert_eq!(store.answer(AT, &kept.id).await.unwrap(), Some(kept.clone()));
        store.forget_answers(101).await.unwrap();
        assert_eq!(store.answer(AT, &kept.id).await.unwrap(), None);
        assert_eq!(loaded(&*store).await[0].signers, [record(1, 1)], "the charge stays");
    }
}

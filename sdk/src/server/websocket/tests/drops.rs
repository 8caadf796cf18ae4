use super::*;

/// A number below `below`: a generator of its own, so that a failure can be repeated.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// What all that handlers saw costs.
fn delivered(seen: &Seen, mode: PricingMode) -> u64 {
    match mode {
        PricingMode::PerCall => CALL * Seen::get(&seen.taken),
        _ => unreachable!("bytes are rounded for each socket"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_drops_a_socket_at_whatever_moment_what_is_charged_is_what_was_delivered() {
    let stage = Stage::new().await;
    stage.bench.chain.change_channel(|account| {
        account.books.deposited = Amount::new(1 << 40);
        account.terms.rate_limit = 1 << 40;
    });
    let (mut state, mut seq, mut bytes_spent) = (7, 1_000_000, 0);
    for round in 0..200 {
        let is_call = round % 2 == 0;
        let (route, before) = (if is_call { "/echo" } else { "/bytes" }, stage.spent().await);
        let (bytes_before, calls_before) =
            (Seen::get(&stage.seen.bytes), delivered(&stage.seen, PricingMode::PerCall));
        seq += 10_000;
        let (mut peer, _) = stage.open(route, seq).await;
        let messages = random(&mut state, 12);
        for n in 0..messages {
            let payload = vec![b'x'; random(&mut state, 300) as usize];
            let frame = if round % 3 == 0 && n + 1 == messages {
                stage.paid(seq, Some("return")).await
            } else {
                stage.binary(seq, &payload).await
            };
            if peer.0.send(frame).await.is_err() {
                break;
            }
        }
        let pause = Duration::from_micros(random(&mut state, 4_000));
        match random(&mut state, 4) {
            // it is gone without a word
            0 => sleep(pause).await,
            // it says good-bye
            1 => drop(peer.0.send(Frame::Close(None)).await),
            2 => drop(timeout(pause, peer.0.next()).await),
            _ => drop(timeout(pause, peer.end()).await),
        }
        drop(peer);
        let spent = stage.spent().await - before;
        if is_call {
            // the book is drained, so no handler can take any more
            assert_eq!(spent, delivered(&stage.seen, PricingMode::PerCall) - calls_before, "round {round}");
        } else {
            let bytes = Seen::get(&stage.seen.bytes) - bytes_before;
            assert_eq!(Some(Amount::new(spent)), BYTE.cost(bytes), "round {round}");
            bytes_spent += spent;
        }
    }
    assert!(bytes_spent > 0 && Seen::get(&stage.seen.taken) > 100, "nothing much was tried");
}

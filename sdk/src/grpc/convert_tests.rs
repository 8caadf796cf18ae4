use super::*;
use amp_protocol::json::Base58;

fn document() -> DiscoveryDocument {
    serde_json::from_value(serde_json::json!({
        "amp_version": "1.0", "recipient": Base58([2; 32]), "program_id": Base58([3; 32]),
        "network": "solana:localnet", "unit_price": "5", "seq_window": 64, "min_close_grace": 3600,
        "pricing": {
            "default": {"mode": "per-call", "rate": "7", "token": Base58([4; 32]), "min_deposit": "9", "settle_interval": 60},
            "routes": {"/a.A": {"mode": "per-byte", "rate": "1", "per": "1024"}, "/b.B/C": {"mode": "per-second", "rate": "3"}},
            "tools": {"search": {"mode": "per-compute", "rate": "2"}}
        }
    }))
    .unwrap()
}

fn status() -> ChannelStatus {
    let proof = SignedMeteringProof {
        channel: [1; 32].into(),
        epoch: u64::MAX,
        signer: [2; 32].into(),
        owed: Amount::MAX,
        calls: 3,
        period_start: -4,
        period_end: 5,
        seq_start: Seq::new(6),
        seq_end: Seq::new(7),
        sig: [8; 64].into(),
    };
    ChannelStatus {
        channel: [1; 32].into(),
        spent: Amount::new(2),
        balance: Amount::new(3),
        last_seq: Seq::new(4),
        last_sig: Some([5; 64].into()),
        required_seq: Some(Seq::new(6)),
        metering_proof: Some(proof),
    }
}

fn closed() -> CloseResponse {
    let close_statement = SignedCloseStatement {
        channel: [1; 32].into(),
        opened_slot: 2,
        owed_total: Amount::new(3),
        sig: [4; 64].into(),
    };
    let delegate = DelegateCredential {
        delegate: [5; 32].into(),
        created_slot: 6,
        seq: Seq::new(7),
        sig: [8; 64].into(),
    };
    CloseResponse { close_statement, delegates: vec![delegate] }
}

#[test]
fn everything_reads_back_as_it_was() {
    let credential = CredentialBody { channel: [1; 32].into(), seq: Seq::new(u64::MAX), sig: [2; 64].into() };
    assert_eq!((&proto::Credential::from(&credential)).try_into(), Ok(credential));
    assert_eq!((&proto::DiscoveryDocument::from(&document())).try_into(), Ok(document()));
    assert_eq!((&proto::ChannelStatus::from(&status())).try_into(), Ok(status()));
    let plain = ChannelStatus { last_sig: None, required_seq: None, metering_proof: None, ..status() };
    assert_eq!((&proto::ChannelStatus::from(&plain)).try_into(), Ok(plain));
    assert_eq!((&proto::CloseResponse::from(&closed())).try_into(), Ok(closed()));
}

#[test]
fn what_is_missing_or_of_the_wrong_size_is_said_by_name() {
    let good = proto::DiscoveryDocument::from(&document());
    let refused = |change: fn(&mut proto::DiscoveryDocument)| {
        let mut message = good.clone();
        change(&mut message);
        DiscoveryDocument::try_from(&message).unwrap_err().0
    };
    assert_eq!(refused(|message| message.recipient = vec![1; 31]), "recipient");
    assert_eq!(refused(|message| message.program_id = vec![]), "program_id");
    assert_eq!(refused(|message| message.pricing = None), "pricing");
    let a_rate = |mode| proto::Rate { mode, amount: 1, per: 1 };
    let price = |rate: Option<proto::Rate>| {
        let mut table = good.pricing.clone().unwrap();
        table.default = rate;
        PricingTable::try_from(&table).map_err(|error| error.0)
    };
    assert_eq!(price(None), Err("pricing.default"));
    assert_eq!(price(Some(a_rate(0))), Err("rate.mode"));
    assert_eq!(price(Some(a_rate(99))), Err("rate.mode"), "a mode of a later release is not paid");
    let short = proto::Credential { channel: vec![1; 32], seq: 1, sig: vec![2; 63] };
    assert_eq!(CredentialBody::try_from(&short), Err(Unreadable("credential.sig")));
}

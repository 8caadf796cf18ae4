use super::*;
use crate::signer::KeypairSigner;

fn config() -> ServiceConfig {
    ServiceConfig::new(Arc::new(KeypairSigner::generate()), Address::from([4; 32]), Amount::new(5))
}

#[test]
fn the_defaults_can_be_served() {
    assert_eq!(config().check(), Ok(()));
    assert_eq!(config().min_close_grace(0).check(), Ok(()));
}

#[test]
fn a_service_on_a_cluster_without_a_recorded_program_must_be_told_its_own() {
    let clusters = amp_protocol::deployment::RECORDED.into_iter().chain([("solana:elsewhere", None)]);
    for (network, recorded) in clusters {
        let refused = || ConfigError::NoProgram { network: network.to_owned() };
        let expected = recorded.map(Address::from).ok_or_else(refused);
        assert_eq!(config().network(network).program(), expected);
        assert_eq!(config().network(network).check(), expected.map(|_| ()));
        let told = config().network(network).program_id(Address::from([9; 32]));
        assert_eq!((told.program(), told.check()), (Ok(Address::from([9; 32])), Ok(())));
    }
}

#[test]
fn as_many_signers_may_owe_as_are_served_at_a_time() {
    assert_eq!(config().limits(), crate::server::testing::LIMITS);
    assert_eq!(config().max_delegates(0).limits().max_owing, 1);
}

#[test]
fn a_grace_in_which_a_close_goes_unnoticed_is_refused() {
    let refused = ConfigError::CloseGraceTooShort { grace: 45, blind: 45 };
    assert_eq!(config().min_close_grace(45).check(), Err(refused));
    assert_eq!(config().min_close_grace(46).check(), Ok(()));
}

#[test]
fn an_exposure_that_leaves_no_time_to_serve_is_refused() {
    let exposed = config().outage_exposure(Amount::new(1));
    assert_eq!(exposed.clone().check(), Ok(()));
    let refused = ConfigError::OutageGraceTooShort { grace: 60, longest: 15 };
    assert_eq!(exposed.clone().min_close_grace(60).check(), Err(refused));
    assert_eq!(exposed.min_close_grace(62).check(), Ok(()));
    assert_eq!(config().min_close_grace(60).check(), Ok(()));
}

#[test]
fn the_shortest_interval_is_a_minute_or_less_and_never_above_the_longest() {
    assert_eq!(config().least_settle_interval(), 60);
    assert_eq!(config().settle_interval(5).least_settle_interval(), 5);
    assert_eq!(config().settle_interval(5).check(), Ok(()));
    assert_eq!(config().settle_interval(5).min_settle_interval(5).check(), Ok(()));
    let refused = ConfigError::MinSettleInterval { least: 6, most: 5 };
    assert_eq!(config().settle_interval(5).min_settle_interval(6).check(), Err(refused));
}

#[test]
fn the_lowest_rate_leaves_room_for_the_dearest_call_above_what_is_settled() {
    let config = config().route("/v1", Amount::new(30)).tool("draw", Amount::new(20));
    let least = |settlement| config.prices.least_rate_limit(Amount::new(settlement));
    assert_eq!((least(0), least(100)), (Amount::ZERO, Amount::new(130)));
}

#[test]
fn numbers_that_no_channel_could_have_are_refused() {
    assert_eq!(config().settle_interval(0).check(), Err(ConfigError::SettleInterval(0)));
    assert_eq!(config().min_close_grace(2_592_001).check(), Err(ConfigError::CloseGraceTooLong(2_592_001)));
    assert_eq!(config().seq_window(4_097).check(), Err(ConfigError::SeqWindow(4_097)));
    assert_eq!(config().max_delegates(257).check(), Err(ConfigError::MaxDelegates(257)));
    assert_eq!(config().watch_interval(Duration::ZERO).check(), Err(ConfigError::Zero("watch_interval")));
    assert_eq!(config().peer_lookups(0, 1).check(), Err(ConfigError::Zero("peer_lookups")));
    assert_eq!(config().peer_lookups(1, 0).check(), Err(ConfigError::Zero("peer_lookups")));
    assert_eq!(config().route("v1", Amount::ZERO).check(), Err(ConfigError::Route("v1".into())));
    let charged = config().route_charges_on("v1", ChargeOn::Always);
    assert_eq!(charged.check(), Err(ConfigError::Route("v1".into())));
}

use amp_sdk::signer::KeypairSigner;

use super::*;

fn parse(text: &str) -> Result<Settings, ConfigProblem> {
    Settings::parse(Source { path: Some("amp.toml".into()), text: text.into() }, Overrides::default())
}

fn served(text: &str) -> Result<amp_sdk::server::ServiceConfig, ConfigProblem> {
    let key = std::sync::Arc::new(KeypairSigner::generate());
    parse(text)?.service(key, Address::from([4; 32]), 6)
}

const LEAST: &str = "[upstream]\nurl = \"http://127.0.0.1:8000\"\n[prices]\nprice = \"0.001\"\n";

#[test]
fn the_least_file_can_be_served() {
    let config = served(LEAST).unwrap();
    assert_eq!(config.price_list().table().default.rate.get(), 1_000);
    let settings = parse(LEAST).unwrap();
    assert_eq!(settings.listen.to_string(), DEFAULT_LISTEN);
    assert_eq!(settings.store, StoreAt::Sqlite("amp-service.db".into()));
    assert!(
        settings.limits.keep_alive > Duration::from_secs(90),
        "nginx, ALB, Traefik, reqwest keep as long"
    );
}

#[test]
fn routes_have_prices_modes_and_charging_of_their_own() {
    let text = format!(
        "{LEAST}[[route]]\npath = \"/v1\"\nprice = \"0.000002\"\nmode = \"per-byte\"\nper = 1024\ncharge = \"answered\"\n[[route]]\npath = \"/free\"\nprice = \"0\"\n"
    );
    let config = served(&text).unwrap();
    let terms = config.price_list().for_request("/v1/x").unwrap();
    assert_eq!((terms.pricing.rate.get(), terms.pricing.per.get()), (2, 1_024));
    assert_eq!(terms.charge_on, amp_sdk::server::ChargeOn::Always);
    assert!(config.price_list().for_request("/free").unwrap().pricing.rate.is_zero());
}

/// Each is refused at its line and column, with words that say what would do.
#[test]
fn each_mistake_is_named_with_file_line_and_column() {
    let cases = [
        ("listen = \"nowhere\"\n", "amp.toml:1:10", "an address to listen at"),
        ("lisen = \"0.0.0.0:1\"\n", "amp.toml:1:1", "unknown field `lisen`"),
        ("dry = 7\n", "amp.toml:1:7", "expected a boolean"),
        ("listen = \n", "amp.toml:1:10", ""),
        ("trusted_proxies = [\"x\"]\n", "amp.toml:1:20", "an IP address"),
        ("[chain]\nnetwork = \"moon\"\n", "amp.toml:2:11", "solana:devnet"),
        ("[chain]\nprogram = \"moon\"\n", "amp.toml:2:11", "a program's address"),
        ("[store]\nsqlite = \"a\"\npostgres = \"b\"\n", "amp.toml:3:12", "both"),
        ("[[route]]\npath = \"v1\"\nprice = \"1\"\n", "amp.toml:2:8", "must begin with '/'"),
        ("[[route]]\npath = \"/v1/*\"\nprice = \"1\"\n", "amp.toml:2:8", "no pattern"),
        ("[[route]]\npath = \"/a/../b\"\nprice = \"1\"\n", "amp.toml:2:8", "no pattern"),
        ("[[route]]\npath = \"/v1\"\nprice = \"free\"\n", "amp.toml:3:9", "is no amount"),
        ("[[route]]\npath = \"/v1\"\nprice = \"1\"\nper = 0\n", "amp.toml:4:7", "at least 1"),
        ("[[route]]\npath = \"/v1\"\nprice = \"1\"\nmode = \"per-moon\"\n", "amp.toml:4:8", "per-second"),
        ("[[route]]\npath = \"/v1\"\n", "amp.toml:1:1", "price"),
        (
            "[[route]]\npath = \"/v1\"\nprice = \"1\"\n[[route]]\npath = \"/v1\"\nprice = \"2\"\n",
            "amp.toml:5:8",
            "already",
        ),
        ("[clients]\nconnections = 0\n", "amp.toml:2:15", "at least 1"),
        ("[clients]\nhead_timeout = 0\n", "amp.toml:2:16", "at least 1 (seconds)"),
        ("[clients]\nkeep_alive = 0\n", "amp.toml:2:14", "at least 1 (seconds)"),
        ("[settlement]\ndrain = 0\n", "amp.toml:2:9", "at least 1"),
    ];
    for (text, place, words) in cases {
        let problem = parse(&format!("{text}{LEAST}")).unwrap_err();
        assert_eq!(problem.place, place, "{text}: {problem}");
        assert!(problem.message.contains(words), "{text}: {problem}");
    }
}

#[test]
fn what_only_the_engine_or_the_mint_refuses_is_named_at_its_line_too() {
    let cases = [
        ("[service]\nmin_close_grace = 10\n", "amp.toml:2:19", "min_close_grace is 10 s"),
        ("[service]\nmax_delegates = 900\n", "amp.toml:2:17", "at most 256"),
        ("[settlement]\ninterval = 0\n", "amp.toml:2:12", "settle_interval is 0"),
        ("[chain]\nnetwork = \"devnet\"\n", "amp.toml:2:11", "no AMP program is recorded"),
        ("[service]\nmin_deposit = \"0.0000001\"\n", "amp.toml:2:15", "smallest amount is 0.000001"),
        ("[[route]]\npath = \"/v1\"\nprice = \"0.0000001\"\n", "amp.toml:3:9", "raise `per`"),
    ];
    for (text, place, words) in cases {
        let problem = served(&format!("{text}{LEAST}")).map(drop).unwrap_err();
        assert_eq!(problem.place, place, "{text}: {problem}");
        assert!(problem.message.contains(words), "{text}: {problem}");
    }
}

#[test]
fn what_is_missing_says_which_option_or_key_would_do() {
    let problem = parse("").unwrap_err().to_string();
    assert!(problem.starts_with("amp.toml: ") && problem.contains("--upstream"), "{problem}");
    let problem = parse("[upstream]\nurl = \"http://127.0.0.1:1\"\n").unwrap_err().to_string();
    assert!(problem.contains("--price 0.001"), "{problem}");
    let settings = parse(LEAST).unwrap();
    assert!(settings.keypair().unwrap_err().message.contains("amp keygen"));
    assert!(settings.mint().unwrap_err().message.contains("--mint"));
}

#[test]
fn the_command_line_goes_before_the_file_and_is_named_where_it_is_wrong() {
    let source = || Source { path: Some("amp.toml".into()), text: LEAST.into() };
    let said = |price: &str| Overrides { price: Some(price.into()), ..Overrides::default() };
    let key = std::sync::Arc::new(KeypairSigner::generate());
    let settings = Settings::parse(source(), said("0.5")).unwrap();
    let config = settings.service(key, Address::from([4; 32]), 6).unwrap();
    assert_eq!(config.price_list().table().default.rate.get(), 500_000);
    assert_eq!(Settings::parse(source(), said("x")).unwrap_err().place, "the command line");
}

#[test]
fn paths_of_a_file_are_relative_to_it_and_usdc_is_known_where_it_is() {
    let text =
        format!("[service]\nkeypair = \"k.json\"\nmint = \"USDC\"\n[chain]\nnetwork = \"devnet\"\n{LEAST}");
    let source = Source { path: Some("/etc/amp/amp.toml".into()), text };
    let settings = Settings::parse(source, Overrides::default()).unwrap();
    assert_eq!(settings.keypair().unwrap(), PathBuf::from("/etc/amp/k.json"));
    assert_eq!(settings.store, StoreAt::Sqlite("/etc/amp/amp-service.db".into()));
    assert_eq!(settings.mint().unwrap(), mint_called("USDC", network::DEVNET).unwrap());
    let local = parse(&format!("[service]\nmint = \"USDC\"\n{LEAST}")).unwrap();
    assert_eq!(local.mint().unwrap_err().place, "amp.toml:2:8");
}

#[test]
fn what_only_a_restart_takes_up_is_told_apart_from_prices() {
    let one = parse(LEAST).unwrap();
    let dearer = parse(&LEAST.replace("0.001", "0.002")).unwrap();
    assert!(one.needs_restart(&dearer).is_empty());
    let moved = parse(&LEAST.replace("8000", "8001")).unwrap();
    assert_eq!(one.needs_restart(&moved), ["upstream"]);
}

#[test]
fn what_may_be_a_part_of_a_file_is_told_from_a_change() {
    let whole = format!(
        "{LEAST}[[route]]\npath = \"/a\"\nprice = \"1\"\n[[route]]\npath = \"/b\"\nprice = \"2\"\nper = 1000\n"
    );
    let settings = parse(&whole).unwrap();
    let refused = |text: &str| settings.saying(text.to_owned()).map(drop).unwrap_err().message;
    // every beginning of it that can be read, to the last byte
    let mut readable = 0;
    for end in 0..whole.len() - 1 {
        if parse(&whole[..end]).is_ok() {
            assert!(refused(&whole[..end]).contains("only the beginning"), "{:?}", &whole[..end]);
            readable += 1;
        }
    }
    assert!(readable > 5, "{readable}");
    // other words, and half of them
    let other = whole.replace("price = \"1\"", "price = \"3\"");
    settings.saying(other.clone()).unwrap();
    assert!(refused(other.strip_suffix("00\n").unwrap()).contains("has no end"));
    let half = other.split_inclusive("[[route]]\n").take(2).collect::<String>();
    let half = half.strip_suffix("[[route]]\n").unwrap();
    assert!(refused(half).contains("the price of /b is gone"), "{half}");
    // more, or the same with another end, is fine
    settings.saying(format!("{whole}[[route]]\npath = \"/c\"\nprice = \"0\"\n")).unwrap();
    settings.saying(format!("{whole}\n\n")).unwrap();
}

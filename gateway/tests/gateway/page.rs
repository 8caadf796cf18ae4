//! The operator's page, in a browser.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::browser::Browser;
use crate::stage::{INTERVAL, Stage};

/// The picture in docs/gateway.md; made anew with AMP_BLESS=1.
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gateway.png");

#[tokio::test]
async fn the_page_shows_channels_earnings_settlements_and_charges_as_they_happen() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::set().await;
    for _ in 0..4 {
        stage.get("/quote").await;
    }
    stage.chain.advance_seconds(INTERVAL);
    stage.service().settle_all().await;
    for _ in 0..2 {
        stage.get("/quote").await;
    }
    browser.open(&format!("{}/#{}", stage.operations, stage.token)).await;
    browser.until("document.getElementById('books').textContent === 'The books add up.'").await;
    assert_eq!(browser.run("return location.hash").await, "", "the token does not stay in the address");
    let figures = browser.run("return document.getElementById('figures').innerText").await;
    let figures = figures.as_str().unwrap();
    for expected in ["0.006\ncharged in all", "0.004\nsettled in all", "0.002\nunsettled", "0\nat risk"] {
        assert!(figures.contains(expected), "{expected}: {figures}");
    }
    assert_eq!(browser.run("return document.getElementById('channels').rows.length").await, 1);
    assert_eq!(
        browser.run("return document.querySelectorAll('#earnings rect').length > 0").await,
        json!(true)
    );
    let link = browser.run("return document.querySelector('#transfers a').href").await;
    assert!(link.as_str().unwrap().starts_with("https://explorer.solana.com/tx/"), "{link}");

    // a charge appears by itself
    browser.until("document.getElementById('charges').rows.length === 6").await;
    stage.get("/quote").await;
    browser.until("document.getElementById('charges').rows.length === 7").await;

    browser.run("document.querySelector('#channels tr').click()").await;
    browser.until("document.getElementById('detail').innerText.includes('Its books add up.')").await;
    browser.until("document.querySelectorAll('#detail td.good').length === 5").await;
    if std::env::var_os("AMP_BLESS").is_some() {
        let png = BASE64_STANDARD.decode(browser.picture().await).unwrap();
        std::fs::write(PICTURE, png).unwrap();
    }
    browser.close().await;
}

#[tokio::test]
async fn a_close_is_shown_with_the_time_that_is_left() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::set().await;
    stage.get("/quote").await;
    stage.request_close().await;
    browser.open(&format!("{}/#{}", stage.operations, stage.token)).await;
    browser.until("!document.getElementById('closings-section').hidden").await;
    browser.until("/^0 h 5\\d min/.test(document.querySelector('#closings [data-ends]').textContent)").await;
    browser.close().await;
}

#[tokio::test]
async fn without_the_token_the_page_asks_for_it_and_shows_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::set().await;
    stage.get("/quote").await;
    browser.open(&format!("{}/", stage.operations)).await;
    browser.until("!document.getElementById('login').hidden").await;
    assert_eq!(browser.run("return document.getElementById('main').hidden").await, true);
    let enter = |token: &str| {
        format!(
            "document.getElementById('token').value = {token:?}; document.querySelector('#login button').click()"
        )
    };
    browser.run(&enter("not the token at all")).await;
    browser.until("document.getElementById('refused').textContent === 'That is not the token.'").await;
    browser.run(&enter(&stage.token)).await;
    browser.until("!document.getElementById('main').hidden").await;
    browser.close().await;
}

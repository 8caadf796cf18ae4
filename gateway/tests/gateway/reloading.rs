//! New prices while it runs.

use amp_protocol::money::Amount;

use crate::stage::{PRICE, Stage, eventually};

#[tokio::test]
async fn a_changed_file_is_charged_from_the_next_request_on_and_published() {
    let stage = Stage::set().await;
    stage.get("/quote").await;
    stage.rewrite(|text| text.replace("price = \"0.001\"", "price = \"0.002\""));
    let service = stage.service();
    eventually("the new price is charged", async || service.pricing("/quote").rate == Amount::new(2 * PRICE))
        .await;
    let published = stage.http.get(stage.url("/.well-known/amp.json")).send().await.unwrap();
    let published: serde_json::Value = published.json().await.unwrap();
    assert_eq!(published["pricing"]["default"]["rate"], "2000");
    // the client is told by a refusal, or had looked: either way it pays what is published
    let answer = stage.get("/quote").await;
    assert_eq!(answer.payment().unwrap().cost, Some(Amount::new(2 * PRICE)));
    assert_eq!(stage.spent().await, 3 * PRICE);
}

#[tokio::test]
async fn a_request_under_way_costs_what_it_began_with() {
    let stage = Stage::set().await;
    let mut answer = stage.get("/events").await;
    answer.chunk().await.unwrap();
    stage.rewrite(|text| text.replace("price = \"0.001\"", "price = \"0.002\""));
    let service = stage.service();
    eventually("the new price is charged", async || service.pricing("/").rate == Amount::new(2 * PRICE))
        .await;
    stage.api.seen.gate.notify_one();
    while answer.chunk().await.unwrap().is_some() {}
    assert_eq!(stage.spent().await, PRICE);
}

#[tokio::test]
async fn a_bad_file_is_refused_whole_and_the_old_prices_stay() {
    let stage = Stage::set().await;
    let service = stage.service();
    // the first change is fine, the second is not: neither counts
    stage.rewrite(|text| {
        text.replace("price = \"0.001\"", "price = \"0.002\"")
            .replace("path = \"/bytes\"", "path = \"bytes\"")
    });
    tokio::time::sleep(std::time::Duration::from_millis(4_500)).await;
    assert_eq!(service.pricing("/quote").rate, Amount::new(PRICE));
    assert_eq!(stage.get("/quote").await.payment().unwrap().cost, Some(Amount::new(PRICE)));
    // mended, it counts
    stage.rewrite(|text| text.replace("path = \"bytes\"", "path = \"/bytes\""));
    eventually("the new price is charged", async || service.pricing("/quote").rate == Amount::new(2 * PRICE))
        .await;
}

#[tokio::test]
async fn the_beginning_of_a_file_is_not_taken_for_the_whole_unless_somebody_says_so() {
    let stage = Stage::set().await;
    let (service, before) = (stage.service(), stage.service().pricing("/bytes"));
    // it can be read, and all that is gone of it would cost what everything else does
    stage.rewrite(|text| text.split("[[route]]\npath = \"/bytes\"").next().unwrap().to_owned());
    tokio::time::sleep(std::time::Duration::from_millis(6_000)).await;
    assert_eq!(service.pricing("/bytes"), before);
    let hangup = std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
    assert!(hangup.unwrap().success());
    eventually("it is taken up", async || service.pricing("/bytes").rate == Amount::new(PRICE)).await;
}

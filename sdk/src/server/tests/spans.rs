//! What a subscriber sees of a request and of a settlement, and at which level.

use super::*;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::server::views::lock;

type Fields = std::collections::BTreeMap<&'static str, String>;

struct Span {
    id: u64,
    name: &'static str,
    level: Level,
    parent: Option<&'static str>,
    fields: Fields,
}

/// Keeps the spans, and counts the events, of this thread.
#[derive(Clone, Default)]
struct Recorder {
    spans: Arc<Mutex<Vec<Span>>>,
    events: Arc<AtomicUsize>,
}

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.name());
        let metadata = attributes.metadata();
        let (id, name, level) = (id.into_u64(), metadata.name(), *metadata.level());
        lock(&self.spans).push(Span { id, name, level, parent, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = lock(&self.spans);
        // ids are used again: the newest
        let span = spans.iter_mut().rev().find(|span| span.id == id.into_u64());
        values.record(&mut Into(&mut span.unwrap().fields));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("amp_sdk") {
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Recorder {
    fn at(level: LevelFilter) -> (Self, DefaultGuard) {
        // whether a span is of interest to anybody is remembered for all threads: one that tests beside this
        // one come upon first must not be taken for one that nobody wants
        static EVERYTHING: Once = Once::new();
        EVERYTHING.call_once(|| {
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        });
        let recorder = Self::default();
        let subscriber = tracing_subscriber::registry().with(recorder.clone().with_filter(level));
        (recorder, tracing::subscriber::set_default(subscriber))
    }

    /// The fields of the last span of this name.
    fn fields(&self, name: &str) -> Fields {
        let spans = lock(&self.spans);
        let found = spans.iter().rev().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name}")).fields.clone()
    }

    fn of(&self, name: &str) -> Vec<(Level, Option<&'static str>)> {
        let spans = lock(&self.spans);
        spans.iter().filter(|span| span.name == name).map(|span| (span.level, span.parent)).collect()
    }
}

#[tokio::test]
async fn a_request_is_a_span_with_who_paid_what_and_the_work_for_it_is_within() {
    let (recorder, _guard) = Recorder::at(LevelFilter::TRACE);
    let stage = Stage::new().await;
    stage.quote(10).await.paid();
    let fields = recorder.fields("amp.request");
    let signer = crate::signer::Signer::public_key(&stage.bench.client).to_string();
    let channel = solana_address::Address::from(CHANNEL).to_string();
    for (field, expected) in [
        ("channel", &*channel),
        ("signer", &signer),
        ("seq", "10"),
        ("price", "10"),
        ("cost", "10"),
        ("outcome", "served"),
    ] {
        assert_eq!(fields[field], expected, "{field}");
    }
    assert_eq!(recorder.of("amp.request"), [(Level::DEBUG, None)]);
    assert_eq!(recorder.of("amp.verify"), [(Level::TRACE, Some("amp.request"))]);
    assert_eq!(recorder.of("amp.admit"), [(Level::TRACE, Some("amp.request"))]);
    assert_eq!(recorder.of("amp.commit"), [(Level::DEBUG, Some("amp.request"))]);
}

#[tokio::test]
async fn the_handler_runs_within_the_requests_span() {
    let (recorder, _guard) = Recorder::at(LevelFilter::TRACE);
    let bench = Bench::new();
    let service = bench.service_with(bench.config()).await;
    let work = get(|| async {
        tracing::info_span!("work").in_scope(|| ());
        Json("done")
    });
    let router = Router::new().route("/work", work).layer(AmpLayer::new(service));
    get_with(&router, "/work", &bench.credential(10).await).await.paid();
    assert_eq!(recorder.of("work"), [(Level::INFO, Some("amp.request"))]);
}

#[tokio::test]
async fn a_refused_request_has_its_code_for_an_outcome_and_no_cost() {
    let (recorder, _guard) = Recorder::at(LevelFilter::TRACE);
    let stage = Stage::new().await;
    stage.quote(9).await;
    let fields = recorder.fields("amp.request");
    assert_eq!((&*fields["outcome"], fields.get("cost")), ("AMP_UNDERFUNDED", None));
    assert_eq!(fields.get("signer"), None, "nobody was admitted");
}

/// A service that was paid, once the worker has looked at the channel.
async fn looked_at(recorder: &Recorder) -> Stage {
    let stage = Stage::with(|config| config.watch_interval(std::time::Duration::from_millis(20))).await;
    stage.quote(10).await.paid();
    // of whom only the authorized signer owes what is not due, the watch sees enough
    let (key, _) = stage.bench.delegate(1_000);
    stage.quote_by(&key, 10).await.paid();
    eventually("it is looked at", || !recorder.of("amp.look").is_empty()).await;
    stage
}

#[tokio::test]
async fn a_settlement_is_a_span_with_what_it_brought_and_a_look_one_below() {
    let (recorder, _guard) = Recorder::at(LevelFilter::TRACE);
    let stage = looked_at(&recorder).await;
    assert_eq!(recorder.of("amp.look")[0].0, Level::DEBUG);
    let look = recorder.fields("amp.look");
    assert!(look["channel"].starts_with(&solana_address::Address::from(CHANNEL).to_string()));
    stage.service.settle(CHANNEL.into()).await.unwrap();
    let fields = recorder.fields("amp.settle");
    let [channels, settled, failed, paid] =
        ["channels", "settled", "failed", "paid"].map(|field| fields[field].clone());
    assert_eq!([channels, settled, failed, paid], ["1", "1", "0", "20"]);
    assert_eq!(recorder.of("amp.settle")[0].0, Level::INFO);
}

#[tokio::test]
async fn no_span_holds_a_signature_or_where_the_node_is() {
    let (recorder, _guard) = Recorder::at(LevelFilter::TRACE);
    let stage = Stage::with(|config| config.channel_max_age(std::time::Duration::from_millis(1))).await;
    let credential = stage.bench.credential(10).await;
    get_with(&stage.router, "/quote", &credential).await.paid();
    stage.service.settle(CHANNEL.into()).await.unwrap();
    stage.bench.chain.go_down(true);
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    get_with(&stage.router, "/quote", &credential).await;
    stage.service.settle(CHANNEL.into()).await.unwrap_err();
    let spans = lock(&recorder.spans);
    assert!(spans.len() > 5);
    for value in spans.iter().flat_map(|span| span.fields.values()) {
        assert!(!value.contains(&credential.sig.to_string()) && !value.contains("secret-key"), "{value}");
    }
}

#[tokio::test]
async fn the_operators_page_lists_every_span_with_its_level_and_fields() {
    let (recorder, _guard) = Recorder::at(LevelFilter::TRACE);
    let stage = looked_at(&recorder).await;
    stage.service.settle(CHANNEL.into()).await.unwrap();
    let page = include_str!("../../../../docs/operating.md");
    for span in lock(&recorder.spans).iter().filter(|span| span.name.starts_with("amp.")) {
        let begin = format!("| `{}` | {} | ", span.name, span.level.as_str().to_lowercase());
        let row = page.lines().find_map(|line| line.strip_prefix(&begin));
        let row = row.unwrap_or_else(|| panic!("{begin} is not on the page"));
        assert!(span.fields.keys().all(|field| row.contains(field)), "{row}");
    }
}

#[tokio::test]
async fn at_info_requests_leave_no_trace() {
    let (recorder, _guard) = Recorder::at(LevelFilter::INFO);
    let stage = Stage::new().await;
    let begun = recorder.events.load(Ordering::Relaxed);
    assert!(begun > 0, "the start is told");
    for seq in 1..=10 {
        stage.quote(seq * 10).await.paid();
        stage.quote(seq * 10).await;
    }
    assert_eq!((recorder.events.load(Ordering::Relaxed), lock(&recorder.spans).len()), (begun, 0));
}

//! The paid path against one strict signature check, in CPU time of this process: no sockets.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use amp_protocol::json::CredentialBody;
use amp_protocol::message::{Credential, Key};
use amp_protocol::money::Amount;
use amp_sdk::server::{AmpLayer, AmpService, credential_from_headers};
use anyhow::{Context, Result, ensure};
use axum::body::Body;
use ed25519_dalek::{Signature, VerifyingKey};
use futures::future::join_all;
use http::{HeaderMap, Request, Response};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::backend::{Backend, config};
use crate::chain::MemoryChain;
use crate::depth::{at_depth, polled_at_depth};
use crate::measure::{cpu_of_this_process, median};
use crate::town::{self, OPENED_SLOT, Payer};

/// Requests at once: what shares a commit.
pub(crate) const BATCH: usize = 256;
/// The default replay window. Where all requests are one channel's, those that wait for a newer look at it are
/// overtaken by more.
const SEQ_WINDOW: u32 = 64;
const WIDE_WINDOW: u32 = 512;

/// What a request costs, in microseconds of CPU time.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    pub(crate) channels: usize,
    /// One strict check, from bytes.
    pub(crate) verify: f64,
    /// Headers to commit.
    pub(crate) engine: f64,
    /// The same through the tower layer: pricing, response and its headers too.
    pub(crate) layer: f64,
}

impl Costs {
    pub(crate) fn engine_ratio(&self) -> f64 {
        self.engine / self.verify
    }

    pub(crate) fn layer_ratio(&self) -> f64 {
        self.layer / self.verify
    }
}

/// Measures on so many channels: `rounds` of `requests` each, the three kinds in turns; the round with the
/// middle ratio.
pub(crate) fn run(folder: &Path, channels: usize, rounds: usize, requests: usize) -> Result<Costs> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let file = folder.join(format!("in-process-{channels}.db"));
    let chain = MemoryChain::with(channels);
    let seq_window = if channels == 1 { WIDE_WINDOW } else { SEQ_WINDOW };
    let service = runtime.block_on(Backend::Sqlite(file).start(chain, config(seq_window)))?;
    let mut payer = Payer::new(channels);
    // the first request of each channel looks for it on chain and in the store
    let first: Vec<HeaderMap> =
        (0..channels.max(BATCH)).map(|_| header_map(&mut payer)).collect::<Result<_>>()?;
    through_engine(&runtime, &service, 0, first)?;
    let mut costs = Vec::new();
    for round in 0..rounds {
        let signed: Vec<_> = (0..requests / 2).map(|_| payer.sign()).collect();
        let verify = per_request(signed.len(), || at_depth(round, &mut || check(&signed)))?;
        // those were for this channel, too, and were not sent: the window is over them
        let maps = (0..requests).map(|_| header_map(&mut payer)).collect::<Result<_>>()?;
        let engine = per_request(requests, || through_engine(&runtime, &service, round, maps))?;
        let asked = (0..requests).map(|_| request(&mut payer)).collect::<Result<_>>()?;
        let layer = per_request(requests, || through_layer(&runtime, &service, round, asked))?;
        costs.push(Costs { channels, verify, engine, layer });
    }
    runtime.block_on(service.shutdown());
    let verify = median(costs.iter().map(|cost| cost.verify));
    let engine = verify * median(costs.iter().map(Costs::engine_ratio));
    let layer = verify * median(costs.iter().map(Costs::layer_ratio));
    Ok(Costs { channels, verify, engine, layer })
}

/// Microseconds of CPU time for each of so many requests.
fn per_request(requests: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu_of_this_process();
    work()?;
    let taken = cpu_of_this_process().saturating_sub(before);
    Ok(taken.as_secs_f64() * 1e6 / requests as f64)
}

/// The library's own strict check, which unpacks the key and the signature's point each time.
fn check(signed: &[(CredentialBody, Key)]) -> Result<()> {
    for (credential, key) in signed {
        let message = Credential { channel: credential.channel.0, epoch: OPENED_SLOT, seq: credential.seq };
        let signature = Signature::from_bytes(&credential.sig.0);
        VerifyingKey::from_bytes(key)?.verify_strict(&message.to_bytes(), &signature)?;
    }
    Ok(())
}

fn header_map(payer: &mut Payer) -> Result<HeaderMap> {
    let headers = payer.headers().into_iter();
    headers.map(|(name, value)| Ok((http::HeaderName::from_static(name), value.parse()?))).collect()
}

fn request(payer: &mut Payer) -> Result<Request<Body>> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "/v1/quote".parse()?;
    *request.headers_mut() = header_map(payer)?;
    Ok(request)
}

/// Takes each of `work` in order, [`BATCH`] at a time, in tasks of the runtime as a server's connections are.
fn at_once<T, F>(
    runtime: &Runtime,
    round: usize,
    work: Vec<T>,
    one: impl Fn(T) -> F + Clone + Send + 'static,
) -> Result<()>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let work = Arc::new(Mutex::new(work.into_iter()));
    let lanes: Vec<_> = (0..BATCH)
        .map(|_| {
            let (work, one) = (work.clone(), one.clone());
            runtime.spawn(async move {
                let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(item) = next() {
                    polled_at_depth(round, one(item)).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    runtime.block_on(async { join_all(lanes).await.into_iter().try_for_each(|lane| lane?) })
}

fn through_engine(
    runtime: &Runtime,
    service: &AmpService,
    round: usize,
    requests: Vec<HeaderMap>,
) -> Result<()> {
    let service = service.clone();
    at_once(runtime, round, requests, move |headers| {
        let service = service.clone();
        async move {
            let credential = credential_from_headers(&headers)?.context("there are headers")?;
            let price = Amount::new(town::PRICE);
            let receipt = service.authorize(&credential, price).await?.charge(price).await?;
            ensure!(receipt.cost == price);
            Ok(())
        }
    })
}

fn through_layer(
    runtime: &Runtime,
    service: &AmpService,
    round: usize,
    requests: Vec<Request<Body>>,
) -> Result<()> {
    let inner = service_fn(|_: Request<Body>| async { anyhow::Ok(Response::new(Body::from("ok"))) });
    let layered = AmpLayer::new(service.clone()).layer(inner);
    at_once(runtime, round, requests, move |request| {
        let layered = layered.clone();
        async move {
            let response = layered.oneshot(request).await?;
            ensure!(response.status() == http::StatusCode::OK, "{}", response.status());
            Ok(())
        }
    })
}

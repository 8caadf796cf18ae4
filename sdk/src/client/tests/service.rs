//! A service over HTTP that meters honestly, unless it is told to lie.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use amp_protocol::code::Code;
use amp_protocol::json::{
    Base58, ChannelStatus, CloseResponse, CredentialBody, DelegateCredential, DiscoveryDocument, ErrorBody,
    Shortage,
};
use amp_protocol::message::{CloseStatement, MeteringProof};
use amp_protocol::money::{Amount, Seq};
use amp_protocol::text::{header, path};
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use solana_address::Address;

use super::chain::FakeChain;
use super::{MINT, PRICE};
use crate::chain::PROGRAM_ID;
use crate::signed::{sign_close_statement, sign_metering_proof, verify_credential};
use crate::signer::{KeypairSigner, Signer as _};

/// What one channel was used for.
#[derive(Clone, Default)]
pub(super) struct Meter {
    pub(super) seen: HashSet<u64>,
    pub(super) highest: u64,
    pub(super) spent: u64,
    /// Of the highest seq.
    pub(super) sig: Option<Base58<64>>,
}

/// What to do wrong.
#[derive(Default)]
pub(super) struct Lies {
    /// Added to AMP-Spent.
    pub(super) spent: u64,
    /// Added to the owed total of statements and proofs.
    pub(super) owed: u64,
    /// Changes what a close shows of the delegates.
    pub(super) shown: Option<fn(&mut Vec<DelegateCredential>)>,
    /// Added to `last_seq`.
    pub(super) last_seq: u64,
    /// Signs statements and proofs in the recipient's place.
    pub(super) other_key: Option<KeypairSigner>,
    /// Named in statements and proofs in the channel's place.
    pub(super) other_channel: Option<[u8; 32]>,
    /// Answers to the next calls, before they are looked at.
    pub(super) refusals: VecDeque<ErrorBody>,
    /// The next call is served and charged, and its answer comes too late.
    pub(super) stall_after: bool,
    /// The next call is not served, and its answer comes too late.
    pub(super) stall_before: bool,
    /// AMP-Recipient in a 402.
    pub(super) header_recipient: Option<[u8; 32]>,
    /// The next call is refused in a body that never ends.
    pub(super) endless_refusal: bool,
    /// No metering proof in the status.
    pub(super) no_proof: bool,
    /// No answer to closes.
    pub(super) no_close: bool,
    /// It has not seen any delegation yet, for so many requests.
    pub(super) blind: u32,
}

/// Who signed, and what that is good for.
#[derive(Clone, Copy)]
struct Signer {
    key: [u8; 32],
    epoch: u64,
    limit: u64,
    deposited: u64,
}

pub(super) struct Inner {
    pub(super) document: DiscoveryDocument,
    pub(super) price: u64,
    /// By channel, signer and epoch.
    pub(super) meters: HashMap<([u8; 32], [u8; 32], u64), Meter>,
    pub(super) lies: Lies,
    pub(super) discoveries: u32,
    pub(super) unpaid: u32,
}

#[derive(Clone)]
pub(super) struct FakeService {
    pub(super) origin: String,
    pub(super) recipient: KeypairSigner,
    chain: Arc<FakeChain>,
    inner: Arc<Mutex<Inner>>,
}

impl FakeService {
    pub(super) async fn start(chain: Arc<FakeChain>) -> Self {
        let recipient = KeypairSigner::generate();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let document = serde_json::from_value(serde_json::json!({
            "amp_version": "1.0", "recipient": Base58(recipient.public_key().to_bytes()),
            "program_id": Base58(PROGRAM_ID.to_bytes()), "network": "solana:localnet",
            "seq_window": 64, "min_close_grace": 60,
            "pricing": {
                "default": {"mode": "per-call", "rate": PRICE.to_string(), "token": Base58(MINT.to_bytes()),
                    "min_deposit": "5000", "settle_interval": 60},
                "routes": {"/free": {"mode": "per-call", "rate": "0"}}
            }
        }))
        .unwrap();
        let inner = Inner {
            document,
            price: PRICE,
            meters: HashMap::new(),
            lies: Lies::default(),
            discoveries: 0,
            unpaid: 0,
        };
        let service = Self { origin, recipient, chain, inner: Arc::new(Mutex::new(inner)) };
        let router = Router::new().fallback(answer).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(super) fn lie(&self, change: impl FnOnce(&mut Lies)) {
        change(&mut self.inner().lies);
    }

    pub(super) fn refuse(&self, code: Code) {
        self.lie(|lies| lies.refusals.push_back(ErrorBody::new(code, "told to")));
    }

    /// The meter of the only channel.
    pub(super) fn meter(&self) -> Meter {
        let inner = self.inner();
        assert_eq!(inner.meters.len(), 1);
        inner.meters.values().next().unwrap().clone()
    }

    fn credential(&self, headers: &HeaderMap) -> Option<CredentialBody> {
        let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
        Some(CredentialBody {
            channel: text(header::CHANNEL)?.parse().ok()?,
            seq: text(header::SEQ)?.parse().ok()?,
            sig: text(header::SIG)?.parse().ok()?,
        })
    }

    /// The signer, or the refusal.
    fn admit(&self, credential: &CredentialBody) -> Result<Signer, Box<ErrorBody>> {
        let refuse = |code| Box::new(ErrorBody::new(code, "no"));
        let address = Address::from(credential.channel.0);
        let channel = self.chain.channel(&address).ok_or(refuse(Code::NoChannel))?;
        let deposited = channel.books.deposited.get();
        let (key, epoch) = (channel.authorized_signer, channel.opened_slot);
        let signer = if verify_credential(credential, epoch, &key) {
            Signer { key, epoch, limit: deposited, deposited }
        } else {
            self.delegate(&address, channel.opened_slot, credential).ok_or(refuse(Code::InvalidSig))?
        };
        if channel.books.closing {
            return Err(refuse(Code::Closed));
        }
        Ok(Signer { deposited, ..signer })
    }

    fn delegate(&self, channel: &Address, opened_slot: u64, credential: &CredentialBody) -> Option<Signer> {
        let blind = &mut self.inner().lies.blind;
        if *blind > 0 {
            *blind -= 1;
            return None;
        }
        let (found, now) = (self.chain.delegations_of(channel), self.chain.state().time);
        let live = found
            .into_iter()
            .filter(|found| found.channel_opened_slot == opened_slot && !found.delegation.has_ended(now));
        let mut signed =
            live.filter(|found| verify_credential(credential, found.created_slot, &found.delegate));
        let found = signed.next()?;
        let limit = found.delegation.limit.get();
        Some(Signer { key: found.delegate, epoch: found.created_slot, limit, deposited: 0 })
    }

    /// What all signers of a channel have spent.
    fn spent_in_all(&self, channel: &[u8; 32]) -> u64 {
        let inner = self.inner();
        inner.meters.iter().filter(|((of, ..), _)| of == channel).map(|(_, meter)| meter.spent).sum()
    }

    fn serve(&self, credential: &CredentialBody) -> Result<(u64, u64, u64), Box<ErrorBody>> {
        let Signer { key, epoch, limit, deposited } = self.admit(credential)?;
        let in_all = self.spent_in_all(&credential.channel.0);
        let mut inner = self.inner();
        let (price, lie) = (inner.price, inner.lies.spent);
        let meter = inner.meters.entry((credential.channel.0, key, epoch)).or_default();
        let seq = credential.seq.get();
        if meter.seen.contains(&seq) {
            let last_seq = Some(Seq::new(meter.highest));
            return Err(Box::new(ErrorBody { last_seq, ..ErrorBody::new(Code::InvalidSeq, "seen") }));
        }
        let (highest, after) = (meter.highest.max(seq), meter.spent + price);
        let short = |shortage| {
            Box::new(ErrorBody { shortage: Some(shortage), ..ErrorBody::new(Code::Underfunded, "used up") })
        };
        if in_all + price > deposited {
            return Err(short(Shortage::Balance));
        }
        if after > limit {
            return Err(short(Shortage::DelegateLimit));
        }
        if after > highest {
            return Err(Box::new(ErrorBody {
                shortage: Some(Shortage::Ceiling),
                required_seq: Some(Seq::new(after)),
                ..ErrorBody::new(Code::Underfunded, "ceiling")
            }));
        }
        assert!(highest <= deposited, "a ceiling above the deposit was signed");
        assert!(highest <= limit, "a ceiling above the limit was signed");
        if seq == highest {
            meter.sig = Some(credential.sig);
        }
        meter.seen.insert(seq);
        (meter.highest, meter.spent) = (highest, after);
        Ok((price, meter.spent + lie, deposited - in_all - price))
    }

    /// Serves a call, or does what it is told to do wrong: cost, spent, balance.
    pub(super) async fn call(&self, credential: &CredentialBody) -> Result<(u64, u64, u64), Box<ErrorBody>> {
        let (refusal, stall_before, stall_after) = {
            let lies = &mut self.inner().lies;
            let stalls = (std::mem::take(&mut lies.stall_before), std::mem::take(&mut lies.stall_after));
            (lies.refusals.pop_front(), stalls.0, stalls.1)
        };
        if let Some(body) = refusal {
            return Err(Box::new(body));
        }
        if stall_before {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let served = self.serve(credential);
        if stall_after {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        served
    }

    pub(super) async fn own(
        &self,
        method: Method,
        at: &str,
        credential: CredentialBody,
    ) -> Result<Response, Box<ErrorBody>> {
        let Signer { key: signer, epoch, deposited, .. } = self.admit(&credential)?;
        let in_all = self.spent_in_all(&credential.channel.0);
        let opened = self.chain.channel(&Address::from(credential.channel.0)).unwrap();
        let (meter, owed, total, last_seq, key, channel, mute, unproven) = {
            let inner = self.inner();
            let meter = inner.meters.get(&(credential.channel.0, signer, epoch)).cloned().unwrap_or_default();
            let lies = &inner.lies;
            let key = lies.other_key.clone().unwrap_or_else(|| self.recipient.clone());
            let channel = lies.other_channel.unwrap_or(credential.channel.0);
            let owed = Amount::new(meter.spent + lies.owed);
            (
                meter.clone(),
                owed,
                Amount::new(in_all + lies.owed),
                Seq::new(meter.highest + lies.last_seq),
                key,
                channel,
                lies.no_close,
                lies.no_proof,
            )
        };
        if at == path::CLOSE && method == Method::POST && !mute {
            if signer != opened.authorized_signer {
                return Err(Box::new(ErrorBody::new(Code::InvalidSig, "a delegate's")));
            }
            let statement = CloseStatement { channel, opened_slot: epoch, owed_total: total };
            let close_statement = sign_close_statement(&key, &statement).await.unwrap();
            let inner = self.inner();
            let others =
                inner.meters.iter().filter(|((of, key, _), _)| *of == credential.channel.0 && *key != signer);
            let shown = others.filter_map(|((_, key, epoch), meter)| {
                let (seq, sig) = (Seq::new(meter.highest), meter.sig?);
                Some(DelegateCredential { delegate: Base58(*key), created_slot: *epoch, seq, sig })
            });
            let mut delegates: Vec<_> = shown.collect();
            if let Some(lie) = inner.lies.shown {
                lie(&mut delegates);
            }
            let response = CloseResponse { close_statement, delegates };
            return Ok(axum::Json(response).into_response());
        }
        if at != path::CHANNEL {
            return Ok(StatusCode::NOT_FOUND.into_response());
        }
        let proof = MeteringProof {
            channel,
            epoch,
            signer,
            owed,
            calls: meter.seen.len() as u64,
            period_start: 1,
            period_end: 2,
            seq_start: last_seq.min(Seq::new(1)),
            seq_end: last_seq,
        };
        let metering_proof = if meter.spent == 0 || unproven {
            None
        } else {
            Some(sign_metering_proof(&key, &proof).await.unwrap())
        };
        let balance = Amount::new(deposited - in_all);
        let status = ChannelStatus {
            channel: credential.channel,
            spent: owed,
            balance,
            last_seq,
            required_seq: None,
            last_sig: meter.sig,
            metering_proof,
        };
        Ok(axum::Json(status).into_response())
    }

    fn ask_for_payment(&self) -> Response {
        let mut inner = self.inner();
        inner.unpaid += 1;
        let recipient = inner.lies.header_recipient.unwrap_or(inner.document.recipient.0);
        let headers = [
            (header::VERSION, "1.0".to_owned()),
            (header::PROGRAM, inner.document.program_id.to_string()),
            (header::NETWORK, inner.document.network.clone()),
            (header::RECIPIENT, Base58(recipient).to_string()),
        ];
        (headers, refused(&ErrorBody::new(Code::NoChannel, "pay"))).into_response()
    }
}

fn refused(body: &ErrorBody) -> Response {
    (StatusCode::from_u16(body.error.http_status()).unwrap(), axum::Json(body)).into_response()
}

async fn answer(
    Shared(service): Shared<FakeService>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let at = uri.path();
    if at == path::DISCOVERY {
        let mut inner = service.inner();
        inner.discoveries += 1;
        return axum::Json(&inner.document).into_response();
    }
    match at {
        "/free" | "/plain" => return "free".into_response(),
        "/elsewhere" => return Redirect::temporary("http://127.0.0.1:1/").into_response(),
        _ => {}
    }
    let Some(credential) = service.credential(&headers) else { return service.ask_for_payment() };
    if at.starts_with(path::PREFIX) {
        return service.own(method, at, credential).await.unwrap_or_else(|body| refused(&body));
    }
    if std::mem::take(&mut service.inner().lies.endless_refusal) {
        let body = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let json = [("content-type", "application/json")];
        return (StatusCode::PAYMENT_REQUIRED, json, axum::body::Body::from_stream(body)).into_response();
    }
    match service.call(&credential).await {
        Ok((cost, spent, balance)) => {
            let headers = [(header::COST, cost), (header::SPENT, spent), (header::BALANCE, balance)];
            (headers.map(|(name, value)| (name, value.to_string())), "paid").into_response()
        }
        Err(body) => refused(&body),
    }
}

//! The paying HTTP client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use amp_protocol::json::{CredentialBody, DiscoveryDocument, Pricing, PricingMode};
use amp_protocol::money::Amount;
use amp_protocol::text::header;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Body, Method, Request};
use url::Url;

use super::config::{ClientBuilder, Payer, Settings};
use super::discovery::{self, check_http, origin_of, origin_text};
use super::error::ClientError;
use super::pay;
use super::response::Response;
use super::service::Service;
use super::store::{ChannelRecord, ChannelState, Store};
use crate::chain::Chain;

/// An agent's client: pays services that ask for it, within its policy. Clones share everything.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) http: reqwest::Client,
    services: Mutex<HashMap<String, Arc<Service>>>,
}

impl Client {
    /// Starts making a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(super) async fn assemble(
        settings: Settings,
        store: Store,
        http: reqwest::Client,
    ) -> Result<Self, ClientError> {
        let client = Self { inner: Arc::new(Inner { settings, store, http, services: Mutex::default() }) };
        // services with a channel are paid from the first call on
        for record in client.inner.store.all().await? {
            let paid =
                [ChannelState::Open, ChannelState::Opening, ChannelState::Disputed, ChannelState::Ended];
            if paid.contains(&record.state) {
                client.service_of(&record.origin)?.mark_paid();
            }
        }
        Ok(client)
    }

    /// `GET`s a URL and pays for it if it asks for that.
    pub async fn get(&self, url: &str) -> Result<Response, ClientError> {
        self.execute(Request::new(Method::GET, parse(url)?)).await
    }

    /// `POST`s a body and pays for it if the service asks for that.
    pub async fn post(&self, url: &str, body: impl Into<Body>) -> Result<Response, ClientError> {
        let mut request = Request::new(Method::POST, parse(url)?);
        *request.body_mut() = Some(body.into());
        self.execute(request).await
    }

    /// Sends any request and pays for it if the service asks for that. Redirects are returned, not
    /// followed. A failure after sending is not retried: whether the call was served is not known.
    pub async fn execute(&self, request: Request) -> Result<Response, ClientError> {
        let origin = origin_of(request.url())?;
        check_http(&origin)?;
        if let Some(service) = self.known(&origin) {
            return pay::pay(self, &service, request).await;
        }
        let copy = request.try_clone();
        let answer = self.send(request).await?;
        if !answer.asks_for_payment() {
            return Ok(answer);
        }
        let unrepeatable = || ClientError::BodyNotRepeatable { origin: origin_text(&origin) };
        let request = copy.ok_or_else(unrepeatable)?;
        let service = self.service(&origin);
        let prepared = async {
            let document = self.document(&service, false).await?;
            discovery::check_headers(&self.inner.settings, &origin, answer.headers(), &document)
        };
        if let Err(error) = prepared.await {
            // nothing is known of it yet: the next call asks again
            self.services().remove(&service.name);
            return Err(error);
        }
        pay::pay(self, &service, request).await
    }

    /// Discovers the service of this URL and opens the channel, so that the next call pays at once. A
    /// delegate's client looks up the channel that was named instead.
    pub async fn prepare(&self, url: &str) -> Result<ChannelRecord, ClientError> {
        let service = self.service_of(url)?;
        let document = self.document(&service, false).await?;
        let price = self.price(&document.pricing.for_route(parse(url)?.path()));
        self.check_policy(&document, &service, price)?;
        let _gate = service.gate.lock().await;
        let record = self.ensure_open(&service, &document, price, true).await?;
        service.set_channel(record.clone());
        Ok(record)
    }

    /// All channels in the store, the newest first: open, closing and closed.
    pub async fn channels(&self) -> Result<Vec<ChannelRecord>, ClientError> {
        Ok(self.inner.store.all().await?)
    }

    /// Waits until it is on disk how the calls so far have ended. For processes that end right after a call: without
    /// it the call counts as lost, which is safe, and its cost shows only with the next answer.
    pub async fn flush(&self) -> Result<(), ClientError> {
        Ok(self.inner.store.flush().await?)
    }

    pub(super) async fn send(&self, request: Request) -> Result<Response, ClientError> {
        let timeout = self.inner.settings.options.timeout;
        let url = request.url().to_string();
        let answer = tokio::time::timeout(timeout, self.inner.http.execute(request)).await;
        let answer = answer.map_err(|_| ClientError::TimedOut { url, seconds: timeout.as_secs() })??;
        Ok(Response::new(answer, None))
    }

    /// Whether a call for `price` is within the policy, so far as it is this client's to decide.
    pub(super) fn check_policy(
        &self,
        document: &DiscoveryDocument,
        service: &Service,
        price: Amount,
    ) -> Result<(), ClientError> {
        let Settings { payer, options, .. } = &self.inner.settings;
        match payer {
            Payer::Funder(_) => options.policy.check(document, &service.origin, price)?,
            Payer::Delegate(_) => options.policy.check_call(document, &service.origin, price)?,
        }
        Ok(())
    }

    /// The most that a call may cost: its price, or the budget where that depends on what is used.
    pub(super) fn price(&self, pricing: &Pricing) -> Amount {
        match pricing.mode {
            PricingMode::PerCall => pricing.rate,
            _ => self.budget(),
        }
    }

    /// The most that an answer may cost which is paid for while it comes.
    pub(super) fn budget(&self) -> Amount {
        let options = &self.inner.settings.options;
        options.metered_budget.unwrap_or(options.policy.max_price_per_call)
    }

    /// The most that an answer of many messages may cost, at the least what one of them does.
    #[cfg(feature = "grpc")]
    pub(super) fn budget_of_messages(&self, pricing: &Pricing) -> Amount {
        self.budget().max(self.price(pricing))
    }

    /// The service's document, fetched anew where it is old or `fresh` is asked for.
    pub(super) async fn document(
        &self,
        service: &Service,
        fresh: bool,
    ) -> Result<Arc<DiscoveryDocument>, ClientError> {
        let max_age = self.inner.settings.options.discovery_max_age;
        if let Some(document) = service.document(max_age).filter(|_| !fresh) {
            return Ok(document);
        }
        service.set_document(self.discover(service).await?)
    }

    pub(super) fn service_of(&self, url: &str) -> Result<Arc<Service>, ClientError> {
        Ok(self.service(&origin_of(&parse(url)?)?))
    }

    fn service(&self, origin: &Url) -> Arc<Service> {
        let service = || Arc::new(Service::new(origin.clone()));
        self.services().entry(origin_text(origin)).or_insert_with(service).clone()
    }

    fn known(&self, origin: &Url) -> Option<Arc<Service>> {
        self.services().get(&origin_text(origin)).filter(|service| service.is_paid()).cloned()
    }

    fn services(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Service>>> {
        self.inner.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn chain(&self) -> &dyn Chain {
        &*self.inner.settings.chain
    }
}

/// Puts a credential into a request's headers, in place of any that are there.
pub(super) fn credential_headers(headers: &mut HeaderMap, credential: &CredentialBody) {
    for (name, value) in [
        (header::CHANNEL, credential.channel.to_string()),
        (header::SEQ, credential.seq.to_string()),
        (header::SIG, credential.sig.to_string()),
    ] {
        // base58 and digits are always a header's value
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

pub(super) fn parse(url: &str) -> Result<Url, ClientError> {
    url.parse().map_err(|_| ClientError::Url(url.to_owned()))
}

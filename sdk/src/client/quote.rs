//! What a call would cost and take, before anything is signed or sent.

use std::sync::Arc;

use amp_protocol::json::{DiscoveryDocument, Pricing};
use amp_protocol::money::Amount;

use super::config::Payer;
use super::error::ClientError;
use super::http::{Client, parse};
use super::store::{ChannelRecord, ChannelState};

/// What a call would cost and take.
#[derive(Clone, Debug)]
pub struct Quote {
    /// What the service says of itself.
    pub document: Arc<DiscoveryDocument>,
    /// The price of the URL's route.
    pub pricing: Pricing,
    /// The open channel that would be paid from. `None`: one would be opened first.
    pub channel: Option<ChannelRecord>,
    /// Base units that an opening would deposit; zero for a delegate, who opens nothing.
    pub deposit: Amount,
}

impl Client {
    /// What the service of this URL says of itself, after its program and network were compared with what this
    /// client trusts. Nothing else is checked, and nothing is paid.
    pub async fn discovery(&self, url: &str) -> Result<Arc<DiscoveryDocument>, ClientError> {
        let service = self.service_of(url)?;
        self.document(&service, false).await
    }

    /// What a call of this URL would cost and take, by the service's discovery document, this client's policy
    /// and its store. Nothing is signed or sent.
    ///
    /// # Errors
    /// [`ClientError::Policy`] where the call, or the deposit of the opening it needs, is outside the policy.
    pub async fn quote(&self, url: &str) -> Result<Quote, ClientError> {
        let service = self.service_of(url)?;
        let document = self.document(&service, false).await?;
        let pricing = document.pricing.for_route(parse(url)?.path());
        let price = self.price(&pricing);
        let mut deposit = Amount::ZERO;
        if !pricing.rate.is_zero() {
            self.check_policy(&document, &service, price)?;
        }
        let current = self.inner.store.current(&service.name).await?;
        let channel = current.filter(|record| record.state == ChannelState::Open);
        if let (Payer::Funder(_), None) = (&self.inner.settings.payer, &channel) {
            deposit = self.usual_deposit(&document, price);
            if !pricing.rate.is_zero() {
                self.inner.settings.options.policy.check_deposit(deposit)?;
            }
        }
        Ok(Quote { document, pricing, channel, deposit })
    }
}

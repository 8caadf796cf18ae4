//! Prices as they were written, and the service that they make.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use amp_protocol::json::PricingMode;
use amp_protocol::money::Amount;
use amp_protocol::rate::{Per, Rate};
use amp_sdk::chain::FeePolicy;
use amp_sdk::server::{ChargeOn, ConfigError, ServiceConfig, is_plain};
use amp_sdk::signer::Signer;
use solana_address::Address;
use toml::Spanned;

use super::file::{Charge, PriceTable};
use super::tokens::{base_units, in_tokens};
use super::{ConfigProblem, Settings};

/// Of a hundred recent slots, in how many a transaction that paid so much would have been taken.
const FEE_PERCENTILE: u8 = 75;

impl Settings {
    /// What can be told of prices without the mint.
    pub(super) fn check_prices(&self) -> Result<(), ConfigProblem> {
        let routes = &self.file.route;
        for (at, route) in routes.iter().enumerate() {
            let path = route.path.get_ref();
            let problem = |message: String| Err(self.source.problem(&route.path.span(), message));
            if !path.starts_with('/') {
                return problem(format!("the path {path:?} must begin with '/'"));
            }
            let matches_nothing =
                |path: &str| path.contains(['*', '{', '}', '?', '#', '%']) || !is_plain(path);
            if matches_nothing(path) || path.contains("//") {
                return problem(format!(
                    "{path:?} is a prefix, and no pattern: whole segments as they are sent, like \"/v1/chat\""
                ));
            }
            if routes.iter().take(at).any(|earlier| earlier.path.get_ref() == path) {
                return problem(format!("{path} has a price already; a path has one [[route]]"));
            }
            self.check_amount(&route.price)?;
            self.per(&route.per)?;
        }
        self.per(&self.file.prices.per)?;
        match &self.file.prices.price {
            Some(price) => self.check_amount(price),
            None => Err(self
                .source
                .missing("what a call costs: --price 0.001 (tokens), or `price` of [prices]; \"0\" is free")),
        }
    }

    /// The service as it is configured, for a token with so many decimals.
    pub(crate) fn service(
        &self,
        recipient: Arc<dyn Signer>,
        mint: Address,
        decimals: u8,
    ) -> Result<ServiceConfig, ConfigProblem> {
        let (service, settlement) = (&self.file.service, &self.file.settlement);
        let PriceTable { price, mode, per, charge } = &self.file.prices;
        let rate = self.rate(price, per, decimals)?;
        let mut config = ServiceConfig::new(recipient, mint, rate.amount)
            .default_rate(mode.as_ref().map_or(PricingMode::PerCall, |mode| *mode.get_ref()), rate)
            .charge_on(charge_on(*charge))
            .network(self.network.clone());
        if let Some(program_id) = self.program_id {
            config = config.program_id(program_id);
        }
        for route in &self.file.route {
            let path = route.path.get_ref();
            let rate = Rate { amount: self.amount(&route.price, decimals)?, per: self.per(&route.per)? };
            let mode = route.mode.as_ref().map_or(PricingMode::PerCall, |mode| *mode.get_ref());
            config = config.metered_route(path, mode, rate);
            if let Some(charge) = route.charge {
                config = config.route_charges_on(path, charge_on(Some(charge)));
            }
        }
        let amount =
            |at: &Option<Spanned<String>>| at.as_ref().map(|at| self.amount(at, decimals)).transpose();
        if let Some(least) = amount(&service.min_deposit)? {
            config = config.min_deposit(least);
        }
        if let Some(most) = amount(&service.outage_exposure)? {
            config = config.outage_exposure(most);
        }
        if let Some(least) = amount(&settlement.min_amount)? {
            config = config.min_settlement(least);
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        type Set = fn(ServiceConfig, u32) -> ServiceConfig;
        let numbers: [(&Option<Spanned<u32>>, Set); 6] = [
            (&service.min_close_grace, ServiceConfig::min_close_grace),
            (&service.max_delegates, ServiceConfig::max_delegates),
            (&service.seq_window, ServiceConfig::seq_window),
            (&settlement.interval, ServiceConfig::settle_interval),
            (&settlement.every, ServiceConfig::settle_every),
            (&settlement.min_interval, ServiceConfig::min_settle_interval),
        ];
        for (at, set) in numbers {
            if let Some(at) = at {
                config = set(config, *at.get_ref());
            }
        }
        if let Some(at) = &service.stream_wait {
            config = config.stream_wait(seconds(*at.get_ref()));
        }
        if let Some(at) = &settlement.watch_interval {
            config = config.watch_interval(seconds(*at.get_ref()));
        }
        if let Some(at) = &settlement.max_fee_lamports {
            let max_lamports = *at.get_ref();
            config = config.priority_fee(FeePolicy::Recent { percentile: FEE_PERCENTILE, max_lamports });
        }
        config.check().map_err(|error| self.not_served(&error))?;
        Ok(config)
    }

    /// What the engine does not serve, at the line that says it.
    fn not_served(&self, error: &ConfigError) -> ConfigProblem {
        let (service, settlement) = (&self.file.service, &self.file.settlement);
        let span = |at: &Option<Spanned<u32>>| at.as_ref().map(Spanned::span);
        let span: Option<Range<usize>> = match error {
            ConfigError::SettleInterval(_) => span(&settlement.interval),
            ConfigError::MinSettleInterval { .. } => {
                span(&settlement.min_interval).or(span(&settlement.interval))
            }
            ConfigError::CloseGraceTooLong(_) | ConfigError::CloseGraceTooShort { .. } => {
                span(&service.min_close_grace).or(span(&settlement.watch_interval))
            }
            ConfigError::OutageGraceTooShort { .. } => service.outage_exposure.as_ref().map(Spanned::span),
            ConfigError::MaxDelegates(_) => span(&service.max_delegates),
            ConfigError::SeqWindow(_) => span(&service.seq_window),
            ConfigError::NoProgram { .. } => self.file.chain.network.as_ref().map(Spanned::span),
            ConfigError::Zero("watch_interval") => span(&settlement.watch_interval),
            _ => None,
        };
        match span {
            Some(span) => self.source.problem(&span, error.to_string()),
            None => self.source.missing(error.to_string()),
        }
    }

    fn rate(
        &self,
        price: &Option<Spanned<String>>,
        per: &Option<Spanned<u64>>,
        decimals: u8,
    ) -> Result<Rate, ConfigProblem> {
        // that it is there was checked when it was read
        let amount = price.as_ref().map_or(Ok(Amount::ZERO), |price| self.amount(price, decimals))?;
        Ok(Rate { amount, per: self.per(per)? })
    }

    fn amount(&self, at: &Spanned<String>, decimals: u8) -> Result<Amount, ConfigProblem> {
        let read = base_units(at.get_ref(), decimals);
        read.map_err(|message| self.source.problem(&at.span(), message))
    }

    fn check_amount(&self, at: &Spanned<String>) -> Result<(), ConfigProblem> {
        in_tokens(at.get_ref()).map(drop).map_err(|message| self.source.problem(&at.span(), message))
    }

    fn per(&self, at: &Option<Spanned<u64>>) -> Result<Per, ConfigProblem> {
        let Some(at) = at else { return Ok(Per::ONE) };
        Per::new(*at.get_ref()).ok_or_else(|| self.source.problem(&at.span(), "`per` must be at least 1"))
    }
}

fn charge_on(charge: Option<Charge>) -> ChargeOn {
    match charge {
        None | Some(Charge::Success) => ChargeOn::Success,
        // the proxy takes failures of the API out of it
        Some(Charge::Answered) => ChargeOn::Always,
    }
}

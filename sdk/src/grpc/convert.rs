//! The protocol's objects as the messages of the `.proto`, both ways. In JSON keys are base58 and amounts decimal
//! text; here keys are bytes and amounts numbers, and what does not fit is said by its field's name.

use amp_protocol::json::{
    ChannelStatus, CloseResponse, CredentialBody, DelegateCredential, DiscoveryDocument, Pricing,
    PricingMode, PricingTable, RouteRate, SignedCloseStatement, SignedMeteringProof,
};
use amp_protocol::money::{Amount, Seq, UnitPrice};
use amp_protocol::rate::{Per, Rate};

use super::proto;

/// A message that lacks a field, or holds one of the wrong size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or not what it should be")]
pub struct Unreadable(pub &'static str);

fn sized<const N: usize, T: From<[u8; N]>>(bytes: &[u8], field: &'static str) -> Result<T, Unreadable> {
    <[u8; N]>::try_from(bytes).map(T::from).map_err(|_| Unreadable(field))
}

impl From<&CredentialBody> for proto::Credential {
    fn from(body: &CredentialBody) -> Self {
        Self { channel: body.channel.0.to_vec(), seq: body.seq.get(), sig: body.sig.0.to_vec() }
    }
}

impl TryFrom<&proto::Credential> for CredentialBody {
    type Error = Unreadable;

    fn try_from(message: &proto::Credential) -> Result<Self, Unreadable> {
        let channel = sized(&message.channel, "credential.channel")?;
        Ok(Self { channel, seq: Seq::new(message.seq), sig: sized(&message.sig, "credential.sig")? })
    }
}

impl From<PricingMode> for proto::PricingMode {
    fn from(mode: PricingMode) -> Self {
        match mode {
            PricingMode::PerCall => Self::PerCall,
            PricingMode::PerSecond => Self::PerSecond,
            PricingMode::PerByte => Self::PerByte,
            PricingMode::PerCompute => Self::PerCompute,
        }
    }
}

impl From<&RouteRate> for proto::Rate {
    fn from(route: &RouteRate) -> Self {
        let mode = proto::PricingMode::from(route.mode).into();
        Self { mode, amount: route.rate.get(), per: route.per.get() }
    }
}

impl TryFrom<&proto::Rate> for RouteRate {
    type Error = Unreadable;

    fn try_from(message: &proto::Rate) -> Result<Self, Unreadable> {
        let mode = match message.mode() {
            proto::PricingMode::PerCall => PricingMode::PerCall,
            proto::PricingMode::PerSecond => PricingMode::PerSecond,
            proto::PricingMode::PerByte => PricingMode::PerByte,
            proto::PricingMode::PerCompute => PricingMode::PerCompute,
            // one of a later release: a price that is not understood is not paid
            proto::PricingMode::Unspecified => return Err(Unreadable("rate.mode")),
        };
        let per = Per::new(message.per).unwrap_or(Per::ONE);
        Ok(Self::metered(mode, Rate { amount: Amount::new(message.amount), per }))
    }
}

impl From<&PricingTable> for proto::PricingTable {
    fn from(table: &PricingTable) -> Self {
        let Pricing { mode, rate, per, token, min_deposit, settle_interval } = table.default;
        let rates = |rates: &std::collections::BTreeMap<String, RouteRate>| {
            rates.iter().map(|(name, rate)| (name.clone(), rate.into())).collect()
        };
        Self {
            default: Some((&RouteRate { mode, rate, per }).into()),
            token: token.0.to_vec(),
            min_deposit: min_deposit.get(),
            settle_interval,
            routes: rates(&table.routes),
            tools: rates(&table.tools),
        }
    }
}

impl TryFrom<&proto::PricingTable> for PricingTable {
    type Error = Unreadable;

    fn try_from(message: &proto::PricingTable) -> Result<Self, Unreadable> {
        let default = message.default.as_ref().ok_or(Unreadable("pricing.default"))?;
        let RouteRate { mode, rate, per } = default.try_into()?;
        let (token, min_deposit) =
            (sized(&message.token, "pricing.token")?, Amount::new(message.min_deposit));
        let rates = |rates: &std::collections::BTreeMap<String, proto::Rate>| {
            let read = rates.iter().map(|(name, rate)| rate.try_into().map(|rate| (name.clone(), rate)));
            read.collect::<Result<_, Unreadable>>()
        };
        let settle_interval = message.settle_interval;
        let default = Pricing { mode, rate, per, token, min_deposit, settle_interval };
        Ok(Self { default, routes: rates(&message.routes)?, tools: rates(&message.tools)? })
    }
}

impl From<&DiscoveryDocument> for proto::DiscoveryDocument {
    fn from(document: &DiscoveryDocument) -> Self {
        Self {
            amp_version: document.amp_version.clone(),
            recipient: document.recipient.0.to_vec(),
            program_id: document.program_id.0.to_vec(),
            network: document.network.clone(),
            pricing: Some((&document.pricing).into()),
            unit_price: document.unit_price.get(),
            seq_window: document.seq_window,
            min_close_grace: document.min_close_grace,
        }
    }
}

impl TryFrom<&proto::DiscoveryDocument> for DiscoveryDocument {
    type Error = Unreadable;

    fn try_from(message: &proto::DiscoveryDocument) -> Result<Self, Unreadable> {
        let pricing = message.pricing.as_ref().ok_or(Unreadable("pricing"))?;
        Ok(Self {
            amp_version: message.amp_version.clone(),
            recipient: sized(&message.recipient, "recipient")?,
            program_id: sized(&message.program_id, "program_id")?,
            network: message.network.clone(),
            pricing: pricing.try_into()?,
            unit_price: UnitPrice::new(message.unit_price).unwrap_or(UnitPrice::ONE),
            seq_window: message.seq_window,
            min_close_grace: message.min_close_grace,
        })
    }
}

impl From<&SignedMeteringProof> for proto::MeteringProof {
    fn from(proof: &SignedMeteringProof) -> Self {
        Self {
            channel: proof.channel.0.to_vec(),
            epoch: proof.epoch,
            signer: proof.signer.0.to_vec(),
            owed: proof.owed.get(),
            calls: proof.calls,
            period_start: proof.period_start,
            period_end: proof.period_end,
            seq_start: proof.seq_start.get(),
            seq_end: proof.seq_end.get(),
            sig: proof.sig.0.to_vec(),
        }
    }
}

impl TryFrom<&proto::MeteringProof> for SignedMeteringProof {
    type Error = Unreadable;

    fn try_from(message: &proto::MeteringProof) -> Result<Self, Unreadable> {
        Ok(Self {
            channel: sized(&message.channel, "metering_proof.channel")?,
            epoch: message.epoch,
            signer: sized(&message.signer, "metering_proof.signer")?,
            owed: Amount::new(message.owed),
            calls: message.calls,
            period_start: message.period_start,
            period_end: message.period_end,
            seq_start: Seq::new(message.seq_start),
            seq_end: Seq::new(message.seq_end),
            sig: sized(&message.sig, "metering_proof.sig")?,
        })
    }
}

impl From<&ChannelStatus> for proto::ChannelStatus {
    fn from(status: &ChannelStatus) -> Self {
        Self {
            channel: status.channel.0.to_vec(),
            spent: status.spent.get(),
            balance: status.balance.get(),
            last_seq: status.last_seq.get(),
            last_sig: status.last_sig.map(|sig| sig.0.to_vec()),
            metering_proof: status.metering_proof.as_ref().map(Into::into),
            required_seq: status.required_seq.map(Seq::get),
        }
    }
}

impl TryFrom<&proto::ChannelStatus> for ChannelStatus {
    type Error = Unreadable;

    fn try_from(message: &proto::ChannelStatus) -> Result<Self, Unreadable> {
        let last_sig = message.last_sig.as_deref().map(|sig| sized(sig, "last_sig"));
        Ok(Self {
            channel: sized(&message.channel, "channel")?,
            spent: Amount::new(message.spent),
            balance: Amount::new(message.balance),
            last_seq: Seq::new(message.last_seq),
            last_sig: last_sig.transpose()?,
            required_seq: message.required_seq.map(Seq::new),
            metering_proof: message.metering_proof.as_ref().map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<&DelegateCredential> for proto::DelegateCredential {
    fn from(shown: &DelegateCredential) -> Self {
        Self {
            delegate: shown.delegate.0.to_vec(),
            created_slot: shown.created_slot,
            seq: shown.seq.get(),
            sig: shown.sig.0.to_vec(),
        }
    }
}

impl From<&CloseResponse> for proto::CloseResponse {
    fn from(response: &CloseResponse) -> Self {
        let statement = &response.close_statement;
        let close_statement = proto::CloseStatement {
            channel: statement.channel.0.to_vec(),
            opened_slot: statement.opened_slot,
            owed_total: statement.owed_total.get(),
            sig: statement.sig.0.to_vec(),
        };
        let delegates = response.delegates.iter().map(Into::into).collect();
        Self { close_statement: Some(close_statement), delegates }
    }
}

impl TryFrom<&proto::CloseResponse> for CloseResponse {
    type Error = Unreadable;

    fn try_from(message: &proto::CloseResponse) -> Result<Self, Unreadable> {
        let statement = message.close_statement.as_ref().ok_or(Unreadable("close_statement"))?;
        let close_statement = SignedCloseStatement {
            channel: sized(&statement.channel, "close_statement.channel")?,
            opened_slot: statement.opened_slot,
            owed_total: Amount::new(statement.owed_total),
            sig: sized(&statement.sig, "close_statement.sig")?,
        };
        let delegates = message.delegates.iter().map(|shown| {
            Ok(DelegateCredential {
                delegate: sized(&shown.delegate, "delegates.delegate")?,
                created_slot: shown.created_slot,
                seq: Seq::new(shown.seq),
                sig: sized(&shown.sig, "delegates.sig")?,
            })
        });
        Ok(Self { close_statement, delegates: delegates.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

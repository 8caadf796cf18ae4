//! What is on chain.

use std::sync::atomic::Ordering;

use amp_sdk::chain::{AccountSnapshot, MAX_ACCOUNTS_AT_ONCE};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_address::Address;

use crate::{Refusal, Shared};

/// The clock sysvar, which LiteSVM has as it was last written: where nothing was asked for a while, that is old.
const CLOCK: Address = Address::from_str_const("SysvarC1ock11111111111111111111111111111111");
const SYSVAR_OWNER: Address = Address::from_str_const("Sysvar1111111111111111111111111111111111111");

impl Shared {
    pub(crate) fn account_info(&self, params: &Value) -> Result<Value, Refusal> {
        let account = self.account(address(&params[0])?)?;
        Ok(self.at_now(account))
    }

    pub(crate) fn multiple_accounts(&self, params: &Value) -> Result<Value, Refusal> {
        let none = Vec::new();
        let asked = params[0].as_array().unwrap_or(&none);
        if asked.len() > MAX_ACCOUNTS_AT_ONCE {
            return Err(Refusal::invalid(format!("Too many inputs provided; max {MAX_ACCOUNTS_AT_ONCE}")));
        }
        let accounts = asked.iter().map(|param| self.account(address(param)?));
        Ok(self.at_now(accounts.collect::<Result<Value, Refusal>>()?))
    }

    fn account(&self, address: Address) -> Result<Value, Refusal> {
        if address == CLOCK && self.chain.executed().len() > self.timeless_after.load(Ordering::SeqCst) {
            return Err(Refusal::invalid("nobody is told the time"));
        }
        let account = if address == CLOCK { Some(self.clock()) } else { self.chain.snapshot(&address) };
        Ok(account.as_ref().map_or(Value::Null, encoded))
    }

    /// Filters by length and by bytes at an offset, as the SDK asks; anything else is refused rather
    /// than ignored.
    pub(crate) fn program_accounts(&self, params: &Value) -> Result<Value, Refusal> {
        let program = address(&params[0])?;
        let filters = filters(&params[1])?;
        let wanted = |data: &[u8]| filters.iter().all(|filter| filter.matches(data));
        let found = self.chain.program_accounts(&program, wanted);
        let keyed = |(address, account): &(Address, AccountSnapshot)| json!({"pubkey": address.to_string(), "account": encoded(account)});
        Ok(found.iter().map(keyed).collect())
    }

    /// Slot, epoch start, epoch, leader schedule epoch, Unix time: eight bytes each.
    fn clock(&self) -> AccountSnapshot {
        let now = self.chain.clock_now();
        let words = [now.slot.to_le_bytes(), [0; 8], [0; 8], [0; 8], now.unix_timestamp.to_le_bytes()];
        AccountSnapshot { owner: SYSVAR_OWNER, lamports: 1_169_280, data: words.concat() }
    }
}

/// The filters of a request for a program's accounts.
pub(crate) fn filters(config: &Value) -> Result<Vec<Filter>, Refusal> {
    let none = Vec::new();
    let filters = config["filters"].as_array().unwrap_or(&none);
    filters.iter().map(Filter::parse).collect()
}

pub(crate) enum Filter {
    Size(u64),
    Bytes { at: usize, bytes: Vec<u8> },
}

impl Filter {
    fn parse(filter: &Value) -> Result<Self, Refusal> {
        if let Some(size) = filter["dataSize"].as_u64() {
            return Ok(Self::Size(size));
        }
        let (at, bytes) = (filter["memcmp"]["offset"].as_u64(), filter["memcmp"]["bytes"].as_str());
        let bytes = bytes.and_then(|bytes| bs58::decode(bytes).into_vec().ok());
        match (at.and_then(|at| usize::try_from(at).ok()), bytes) {
            (Some(at), Some(bytes)) => Ok(Self::Bytes { at, bytes }),
            _ => Err(Refusal::invalid(format!("no filter of this node's: {filter}"))),
        }
    }

    pub(crate) fn matches(&self, data: &[u8]) -> bool {
        match self {
            Self::Size(size) => u64::try_from(data.len()).is_ok_and(|length| length == *size),
            Self::Bytes { at, bytes } => data.get(*at..).is_some_and(|rest| rest.starts_with(bytes)),
        }
    }
}

pub(crate) fn address(param: &Value) -> Result<Address, Refusal> {
    let parsed = param.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Refusal::invalid(format!("no address: {param}")))
}

pub(crate) fn encoded(account: &AccountSnapshot) -> Value {
    json!({
        "data": [BASE64_STANDARD.encode(&account.data), "base64"], "owner": account.owner.to_string(),
        "lamports": account.lamports, "executable": false, "rentEpoch": u64::MAX, "space": account.data.len(),
    })
}

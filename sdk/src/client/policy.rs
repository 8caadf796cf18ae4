//! What an agent may spend, and on whom. Pure: nothing here does I/O.

use std::collections::BTreeSet;

use amp_protocol::json::{Base58, DiscoveryDocument};
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use solana_address::Address;
use url::Url;

/// An agent's limits, in base units of the mints it allows. The defaults are small for a token with
/// six decimals: 0.10 a call, 1 a channel, 10 in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Most that one call may cost.
    pub max_price_per_call: Amount,
    /// Most that one channel may hold at a time: deposited, top-ups under way included, less what the
    /// service has acknowledged.
    pub max_deposit: Amount,
    /// Most that all channels of the store may take together, ever: what was deposited less what came
    /// back; of a delegate, what it signed for. `None`: unlimited.
    pub total_budget: Option<Amount>,
    /// Mints that may be paid with. Empty: none.
    pub allowed_mints: BTreeSet<Address>,
    /// Hosts that may be paid; of `mcp` URLs, names that the agent gave. Empty: any.
    pub allowed_hosts: BTreeSet<String>,
    /// Longest close grace, in seconds: so long can a service that does not answer hold a refund.
    pub max_close_grace: u32,
    /// Most that is signed ahead of what calls cost, so that fewer credentials are needed.
    pub max_prepay: Amount,
    /// Whether services without TLS may be paid that are not on this machine.
    pub allow_insecure: bool,
    /// Whether a cooperative close may create the service's token account where it has none: the program
    /// wants one beside every close statement, one that pays nothing too. Its rent, about 0.002 SOL, is
    /// the service's from then on. Without this such a channel closes by request, after its grace.
    pub pay_recipient_rent: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_price_per_call: Amount::new(100_000),
            max_deposit: Amount::new(1_000_000),
            total_budget: Some(Amount::new(10_000_000)),
            allowed_mints: BTreeSet::new(),
            allowed_hosts: BTreeSet::new(),
            max_close_grace: 86_400,
            max_prepay: Amount::ZERO,
            allow_insecure: false,
            pay_recipient_rent: true,
        }
    }
}

/// Which of the agent's own rules a service does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The host is not among those allowed.
    #[error("{host} is not an allowed host; allow it with `allow_host` if it should be paid")]
    Host {
        /// The host.
        host: String,
    },
    /// No TLS: anyone on the way could name another recipient.
    #[error(
        "{host} is served without TLS, so the recipient could be anyone's; use https, or `allow_insecure`"
    )]
    Insecure {
        /// The host.
        host: String,
    },
    /// The service takes another token.
    #[error("the service takes mint {mint}, which is not allowed; allow it with `allow_mint`")]
    Mint {
        /// The mint.
        mint: Base58<32>,
    },
    /// The call costs too much.
    #[error(
        "the call costs {price} base units, the policy allows {max}; raise `max_price_per_call` or don't call"
    )]
    Price {
        /// What it costs.
        price: Amount,
        /// What is allowed.
        max: Amount,
    },
    /// The channel would hold too much.
    #[error("the channel would hold {deposit} base units, the policy allows {max}; raise `max_deposit`")]
    Deposit {
        /// What it would hold.
        deposit: Amount,
        /// What is allowed.
        max: Amount,
    },
    /// The budget is used up.
    #[error(
        "{wanted} base units more would pass the total budget: {committed} of {total} are committed; close idle channels or raise `total_budget`"
    )]
    Budget {
        /// What was to be added.
        wanted: Amount,
        /// Deposited and not refunded so far; of a delegate, signed for.
        committed: Amount,
        /// The budget.
        total: Amount,
    },
    /// The refund could be held for too long.
    #[error(
        "the service wants a close grace of {grace} s, the policy allows {max} s; raise `max_close_grace`"
    )]
    CloseGrace {
        /// What it wants.
        grace: u32,
        /// What is allowed.
        max: u32,
    },
    /// The service has no token account to be paid at, and the agent does not pay for one.
    #[error(
        "the service has no token account {token_account}, which a close with its statement needs; allow `pay_recipient_rent`, or close after the grace period"
    )]
    RecipientRent {
        /// The recipient's associated token account.
        token_account: Address,
    },
    /// The program would refuse the channel's terms.
    #[error("the program would refuse this channel: {0}; check deposit, unit price and the service's terms")]
    Terms(Rejection),
}

impl Policy {
    /// Whether a call for `price` to this host on these terms is within the policy.
    pub fn check(&self, document: &DiscoveryDocument, url: &Url, price: Amount) -> Result<(), PolicyError> {
        self.check_call(document, url, price)?;
        if document.min_close_grace > self.max_close_grace {
            return Err(PolicyError::CloseGrace {
                grace: document.min_close_grace,
                max: self.max_close_grace,
            });
        }
        self.check_deposit(document.pricing.default.min_deposit)
    }

    /// The same for a channel that is open, and somebody else's: its deposit and its grace are not the
    /// agent's to choose.
    pub fn check_call(
        &self,
        document: &DiscoveryDocument,
        url: &Url,
        price: Amount,
    ) -> Result<(), PolicyError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        if !self.allowed_hosts.is_empty() && !self.allowed_hosts.contains(&host) {
            return Err(PolicyError::Host { host });
        }
        if url.scheme() != "https" && !self.allow_insecure && !is_local(url) {
            return Err(PolicyError::Insecure { host });
        }
        let terms = &document.pricing.default;
        if !self.allowed_mints.contains(&Address::from(terms.token.0)) {
            return Err(PolicyError::Mint { mint: terms.token });
        }
        if price > self.max_price_per_call {
            return Err(PolicyError::Price { price, max: self.max_price_per_call });
        }
        Ok(())
    }

    /// Whether a channel may hold this much.
    pub fn check_deposit(&self, deposit: Amount) -> Result<(), PolicyError> {
        if deposit > self.max_deposit {
            return Err(PolicyError::Deposit { deposit, max: self.max_deposit });
        }
        Ok(())
    }

    /// Whether `wanted` more may be committed beside what is committed already.
    pub fn check_budget(&self, committed: Amount, wanted: Amount) -> Result<(), PolicyError> {
        check_budget(self.total_budget, committed, wanted)
    }
}

/// Whether `wanted` more may be committed beside what is committed already, `total` being the budget.
pub(super) fn check_budget(
    total: Option<Amount>,
    committed: Amount,
    wanted: Amount,
) -> Result<(), PolicyError> {
    let Some(total) = total else { return Ok(()) };
    match committed.checked_add(wanted) {
        Some(sum) if sum <= total => Ok(()),
        _ => Err(PolicyError::Budget { wanted, committed, total }),
    }
}

/// Whether the bytes never leave this machine. What an `mcp` URL names is a pipe to a process that the agent
/// started itself: nobody is on the way.
fn is_local(url: &Url) -> bool {
    match url.host() {
        _ if url.scheme() == super::discovery::MCP => true,
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINT: [u8; 32] = [4; 32];

    fn document() -> DiscoveryDocument {
        serde_json::from_value(serde_json::json!({
            "amp_version": "1.0", "recipient": Base58([2; 32]), "program_id": Base58([3; 32]),
            "network": "solana:localnet", "min_close_grace": 60,
            "pricing": {"default": {"mode": "per-call", "rate": "10", "token": Base58(MINT),
                "min_deposit": "500", "settle_interval": 60}}
        }))
        .unwrap()
    }

    fn policy() -> Policy {
        Policy { allowed_mints: [Address::from(MINT)].into(), ..Policy::default() }
    }

    fn check(policy: &Policy, url: &str, price: u64) -> Result<(), PolicyError> {
        policy.check(&document(), &url.parse().unwrap(), Amount::new(price))
    }

    #[test]
    fn no_mint_is_allowed_unless_it_was_named() {
        let mint = Base58(MINT);
        assert_eq!(check(&Policy::default(), "https://a.example", 1), Err(PolicyError::Mint { mint }));
        assert_eq!(check(&policy(), "https://a.example", 1), Ok(()));
    }

    #[test]
    fn the_highest_price_is_allowed_and_the_next_is_not() {
        let policy = Policy { max_price_per_call: Amount::new(7), ..policy() };
        assert_eq!(check(&policy, "https://a.example", 7), Ok(()));
        let (price, max) = (Amount::new(8), Amount::new(7));
        assert_eq!(check(&policy, "https://a.example", 8), Err(PolicyError::Price { price, max }));
    }

    #[test]
    fn only_hosts_on_the_list_are_paid_once_there_is_one() {
        let policy = Policy { allowed_hosts: ["a.example".to_owned()].into(), ..policy() };
        assert_eq!(check(&policy, "https://a.example/x", 1), Ok(()));
        for other in ["https://b.example", "https://a.example.evil.example", "https://a.example@b.example"] {
            assert!(matches!(check(&policy, other, 1), Err(PolicyError::Host { .. })), "{other}");
        }
    }

    #[test]
    fn a_server_without_an_address_is_allowed_by_the_name_that_the_agent_gave_it() {
        let policy = Policy { allowed_hosts: ["weather".to_owned()].into(), ..policy() };
        assert_eq!(check(&policy, "mcp://weather", 1), Ok(()));
        assert!(matches!(check(&policy, "mcp://other", 1), Err(PolicyError::Host { .. })));
    }

    #[test]
    fn without_tls_only_this_machine_is_paid() {
        for (url, fine) in [
            ("http://127.0.0.1:9", true),
            ("http://[::1]:9", true),
            ("http://localhost", true),
            ("http://a.example", false),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("mcp://weather", true),
            ("mcps://weather", false),
        ] {
            assert_eq!(check(&policy(), url, 1).is_ok(), fine, "{url}");
        }
        assert_eq!(check(&Policy { allow_insecure: true, ..policy() }, "http://a.example", 1), Ok(()));
    }

    #[test]
    fn a_service_that_wants_too_large_a_deposit_or_too_long_a_grace_is_refused() {
        let small = Policy { max_deposit: Amount::new(499), ..policy() };
        assert!(matches!(check(&small, "https://a.example", 1), Err(PolicyError::Deposit { .. })));
        let short = Policy { max_close_grace: 59, ..policy() };
        assert_eq!(
            check(&short, "https://a.example", 1),
            Err(PolicyError::CloseGrace { grace: 60, max: 59 })
        );
    }

    #[test]
    fn the_budget_can_be_used_up_but_not_passed() {
        let policy = Policy { total_budget: Some(Amount::new(100)), ..policy() };
        assert_eq!(policy.check_budget(Amount::new(60), Amount::new(40)), Ok(()));
        assert!(matches!(
            policy.check_budget(Amount::new(60), Amount::new(41)),
            Err(PolicyError::Budget { .. })
        ));
        assert!(policy.check_budget(Amount::new(1), Amount::MAX).is_err());
        let unlimited = Policy { total_budget: None, ..policy };
        assert_eq!(unlimited.check_budget(Amount::MAX, Amount::MAX), Ok(()));
    }
}

use amp_protocol::account::ChannelAccount;
use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use amp_protocol::message::Key;
use solana_address::Address;

use super::config::ServiceConfig;
use super::denial::Denial;
use super::ledger::Authority;
use super::prices::PriceList;

/// Whether the channel pays this service, in the token it takes. All of it is public on chain.
pub(crate) fn check_payee(
    config: &ServiceConfig,
    _prices: &PriceList,
    channel: Key,
    account: &ChannelAccount,
) -> Result<(), Denial> {
    let refuse = |message: String| Err(Denial::new(Code::NoChannel, Some(channel), message));
    let recipient = config.recipient.public_key();
    if account.recipient != recipient.to_bytes() {
        return refuse(format!("the channel pays another service; open one with recipient {recipient}"));
    }
    let mint = config.mint();
    if account.mint != mint.to_bytes() {
        let other = Address::from(account.mint);
        return refuse(format!("the channel pays in {other}; open one with mint {mint}"));
    }
    Ok(())
}

/// Whether the channel, as it is on chain, is one that is served.
pub(crate) fn check(
    config: &ServiceConfig,
    prices: &PriceList,
    channel: Key,
    account: &ChannelAccount,
) -> Result<(), Denial> {
    check_payee(config, prices, channel, account)?;
    if account.books.closing {
        return Err(Denial::new(Code::Closed, Some(channel), "the channel is closing; open a new one"));
    }
    let least = config.least_deposit();
    if account.books.deposited < least {
        let message = format!("the deposit is below {least}; top the channel up");
        return Err(Denial::Refused(Box::new(ErrorBody {
            channel: Some(channel.into()),
            min_deposit: Some(least),
            ..ErrorBody::new(Code::DepositLow, message)
        })));
    }
    let refuse = |message: String| Err(Denial::new(Code::NoChannel, Some(channel), message));
    let (grace, least) = (account.terms.close_grace, config.min_close_grace);
    if grace < least {
        return refuse(format!("the channel's close_grace is {grace} s; open one with at least {least}"));
    }
    let (interval, most) = (account.terms.settle_interval, config.longest_settle_interval());
    if interval > most {
        return refuse(format!(
            "the channel's settle_interval is {interval} s; open one with at most {most}"
        ));
    }
    let least = config.least_settle_interval();
    if interval < least {
        return refuse(format!(
            "the channel's settle_interval is {interval} s; open one with at least {least}"
        ));
    }
    let (rate, least) = (account.terms.rate_limit(), prices.least_rate_limit(config.min_settlement));
    if rate < least {
        return refuse(format!("the channel's rate_limit is {rate}; open one with at least {least}"));
    }
    Ok(())
}

/// Whether a signer is served: a delegate whose limit is not worth a settlement is not. It is settled at
/// its end whatever it owes, so a funder that makes many would have the service pay a fee for a call of each.
pub(crate) fn check_authority(
    config: &ServiceConfig,
    channel: Key,
    authority: &Authority,
) -> Result<(), Denial> {
    let least = config.min_settlement;
    match authority.limit().filter(|limit| *limit < least) {
        None => Ok(()),
        Some(limit) => {
            let message = format!(
                "this delegate's limit is {limit}; have the channel's funder raise it to at least {least}"
            );
            Err(Denial::new(Code::NoChannel, Some(channel), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::{Bench, CHANNEL, delegation_account};
    use amp_protocol::money::Amount;

    fn refusal(change: impl FnOnce(&mut ChannelAccount)) -> Option<(Code, String)> {
        let bench = Bench::new();
        let config = bench.config().min_settlement(Amount::new(90));
        let mut account = bench.account();
        change(&mut account);
        match check(&config, config.price_list(), CHANNEL, &account) {
            Err(Denial::Refused(body)) => Some((body.error, body.message)),
            Err(other) => panic!("{other}"),
            Ok(()) => None,
        }
    }

    #[test]
    fn a_delegate_whose_limit_is_not_worth_a_settlement_is_refused() {
        let bench = Bench::new();
        let config = bench.config().min_settlement(Amount::new(90));
        let check = |limit| {
            let authority = Authority::Delegation(delegation_account([7; 32], limit).delegation);
            check_authority(&config, CHANNEL, &authority)
        };
        let Err(Denial::Refused(body)) = check(89) else { panic!() };
        assert_eq!(body.error, Code::NoChannel);
        assert!(body.message.contains("to at least 90"), "{}", body.message);
        assert_eq!(check(90), Ok(()));
        let authorized = Authority::channel(&bench.account());
        assert_eq!(check_authority(&config, CHANNEL, &authorized), Ok(()));
        let any = Authority::Delegation(delegation_account([7; 32], 1).delegation);
        assert_eq!(check_authority(&bench.config(), CHANNEL, &any), Ok(()));
    }

    #[test]
    fn each_rule_of_the_policy_refuses_with_its_code_and_says_what_to_open() {
        assert_eq!(refusal(|_| ()), None);
        type Change = fn(&mut ChannelAccount);
        let cases: [(Change, Code, &str); 8] = [
            (|account| account.recipient = [9; 32], Code::NoChannel, "open one with recipient"),
            (|account| account.mint = [9; 32], Code::NoChannel, "open one with mint"),
            (|account| account.books.closing = true, Code::Closed, "open a new one"),
            (|account| account.books.deposited = Amount::new(9), Code::DepositLow, "below 10"),
            (|account| account.terms.close_grace = 3_599, Code::NoChannel, "at least 3600"),
            (|account| account.terms.settle_interval = 3_601, Code::NoChannel, "at most 3600"),
            (|account| account.terms.settle_interval = 59, Code::NoChannel, "at least 60"),
            (|account| account.terms.rate_limit = 99, Code::NoChannel, "at least 100"),
        ];
        for (change, code, hint) in cases {
            let (found, message) = refusal(change).unwrap();
            assert!(found == code && message.contains(hint), "{found}: {message}");
        }
    }
}

use super::open::{amount, id};
use super::{Draft, any_channel, channel, pick};
use crate::cast::Person;
use crate::model::Model;
use crate::operation::{Amount, Target};
use crate::place::Place;
use crate::transaction::{Call, MoveTokens, SendLamports, TopUp};

pub(super) fn top_up(model: &Model, at: u8, by: u8, choice: Amount) -> Option<Draft> {
    let channel = channel(model, at, |it| it.closing_since.is_none())?;
    let owners = [channel.id.funder, Person::Stranger, Person::Funder(0), Person::Funder(1)];
    let token_owner = pick(&owners, by);
    let source_token = Place::Tokens(token_owner, channel.mint);
    let has = model.bank.tokens(source_token).map_or(0, |account| account.amount);
    Some(Draft::of(Call::TopUp(TopUp {
        token_owner,
        channel: Place::Channel(channel.id),
        vault: Place::Vault(channel.id),
        mint: Place::Mint(channel.mint),
        source_token,
        token_program: channel.mint.program().place(),
        amount: amount(choice, has),
    })))
}

pub(super) fn donate(model: &Model, at: u8, choice: Amount) -> Option<Draft> {
    let channel = any_channel(model, at)?;
    let from = Place::Tokens(Person::Stranger, channel.mint);
    let has = model.bank.tokens(from).map_or(0, |account| account.amount);
    Some(Draft::of(Call::MoveTokens(MoveTokens {
        owner: Person::Stranger,
        mint: channel.mint,
        from,
        to: Place::Vault(channel.id),
        amount: amount(choice, has),
    })))
}

pub(super) fn send_ahead(model: &Model, to: Target, lamports: u8) -> Option<Draft> {
    // below a wallet's rent; a wallet's; a token account's; more than any account's of the program
    const LAMPORTS: [u64; 5] = [1, 890_880, 2_039_280, 5_000_000, 20_000_000];
    let to = match to {
        Target::Channel(at) => Place::Channel(id(at)),
        Target::Vault(at) => Place::Vault(id(at)),
        Target::LiveVault(at) => Place::Vault(any_channel(model, at)?.id),
        Target::Delegation(at, delegate) => {
            Place::Delegation(any_channel(model, at)?.id, Person::Delegate(delegate % 3))
        }
    };
    let lamports = pick(&LAMPORTS, lamports);
    Some(Draft::of(Call::SendLamports(SendLamports { from: Person::Stranger, to, lamports })))
}

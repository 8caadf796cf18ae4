use super::wait::at;
use super::{Draft, any_channel, channel};
use crate::cast::Person;
use crate::model::{Channel, Clock, Model};
use crate::operation::{Closer, Stated, When};
use crate::place::Place;
use crate::transaction::{Call, CloseChannel, Message, Proof, RequestClose, Shape};

pub(super) fn request(model: &Model, at: u8) -> Option<Draft> {
    let id = channel(model, at, |channel| channel.closing_since.is_none())?.id;
    Some(Draft::of(Call::RequestClose(RequestClose { funder: id.funder, channel: Place::Channel(id) })))
}

/// The channel that is closed: one whose grace has begun, where that is waited for.
fn closed(model: &Model, at: u8, by: Closer) -> Option<&Channel> {
    match by {
        Closer::Recipient | Closer::Stated(_) => any_channel(model, at),
        Closer::Funder | Closer::Stranger => channel(model, at, |it| it.closing_since.is_some()),
    }
}

/// When it is closed.
pub(super) fn when(model: &Model, number: u8, by: Closer, when: When) -> Option<Clock> {
    let channel = closed(model, number, by)?;
    let now = i128::from(model.clock.time);
    let due = match by {
        Closer::Recipient | Closer::Stated(_) => now,
        Closer::Funder | Closer::Stranger => channel.closable_from().map_or(now, |from| from.max(now)),
    };
    Some(at(model, due, when))
}

pub(super) fn close(model: &Model, at: u8, by: Closer) -> Option<Draft> {
    let channel = closed(model, at, by)?;
    let id = channel.id;
    let closer = match by {
        Closer::Recipient => id.recipient(),
        Closer::Stated(_) | Closer::Funder => id.funder,
        Closer::Stranger => Person::Stranger,
    };
    let mut call = CloseChannel {
        closer,
        channel: Place::Channel(id),
        vault: Place::Vault(id),
        mint: Place::Mint(channel.mint),
        refund_token: Place::Tokens(id.funder, channel.mint),
        rent_payer: Place::Wallet(channel.rent_payer),
        token_program: channel.mint.program().place(),
        payout_token: None,
        instructions: None,
    };
    let Closer::Stated(stated) = by else { return Some(Draft::of(Call::CloseChannel(call))) };
    call.payout_token = Some(Place::Tokens(id.recipient(), channel.mint));
    call.instructions = Some(Place::InstructionsSysvar);
    let owed_total = match stated {
        Stated::Part(part) => {
            let share = u128::from(channel.balance()) * u128::from(part.min(16)) / 16;
            channel.claimed + share as u64
        }
        Stated::Stale => channel.claimed / 2,
        Stated::Past => channel.deposited.saturating_add(1),
    };
    let signed = Message::CloseStatement { channel: id, opened_slot: channel.opened.slot, owed_total };
    let proof = Proof { signer: id.recipient(), signed, shape: Shape::Canonical };
    Some(Draft::proven(Call::CloseChannel(call), proof))
}

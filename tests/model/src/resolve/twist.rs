use super::{Draft, any_channel, delegation, pick};
use crate::cast::{Mint, Person, TokenProgram};
use crate::model::Model;
use crate::operation::{Instead, Twist};
use crate::place::{ChannelId, Place};
use crate::transaction::Call;

impl Draft {
    /// The same, with something wrong. Twists of what is asked for, not of its accounts, are done already.
    pub(super) fn twisted(mut self, model: &Model, twist: Option<Twist>) -> Self {
        match twist {
            None => {}
            Some(Twist::Proof(twist)) => return self.with_proof_twisted(model, twist),
            Some(Twist::Unsigned(at)) => {
                let count = self.call.signers().len();
                self.unsigned = usize::from(at).checked_rem(count);
            }
            Some(Twist::InstructionsLeftOut) => {
                if let Call::CloseChannel(call) = &mut self.call {
                    call.instructions = None;
                }
            }
            Some(twist) => swap_account(&mut self.call, model, twist),
        }
        self
    }
}

/// Puts another value where there is one.
fn put<T>(slot: Option<&mut T>, value: Option<T>) {
    if let (Some(slot), Some(value)) = (slot, value) {
        *slot = value;
    }
}

fn swap_account(call: &mut Call, model: &Model, twist: Twist) {
    let slots = call.slots();
    let another = |at| any_channel(model, at).map(|it| it.id);
    let some_delegation =
        |at| delegation(model, at, |_| true).map(|it| Place::Delegation(it.channel, it.delegate));
    match twist {
        Twist::By(at) => put(slots.person, Some(pick(&Person::ALL, at))),
        Twist::AnotherChannel(at) => put(slots.channel, another(at).map(Place::Channel)),
        Twist::NoChannel => put(slots.channel, Some(Place::Channel(nowhere()))),
        Twist::DelegationAsChannel => put(slots.channel, some_delegation(0)),
        Twist::TokensAsChannel => put(slots.channel, Some(Place::Tokens(Person::Stranger, Mint::Token))),
        Twist::AnothersVault(at) => put(slots.vault, another(at).map(Place::Vault)),
        Twist::TokensAsVault => {
            let mint = slots.mint.as_deref().copied().and_then(mint_at).unwrap_or(Mint::Token);
            put(slots.vault, Some(Place::OtherTokens(Person::Stranger, mint)));
        }
        Twist::AnotherMint(at) => {
            let others = Mint::ALL.map(Place::Mint).into_iter();
            let others: Vec<_> = others.filter(|mint| Some(mint) != slots.mint.as_deref()).collect();
            put(slots.mint, Some(pick(&others, at)));
        }
        Twist::AnotherProgram => {
            let is_token = slots.token_program.as_deref() == Some(&TokenProgram::Token.place());
            let other = if is_token { TokenProgram::Token2022 } else { TokenProgram::Token };
            put(slots.token_program, Some(other.place()));
        }
        Twist::NoProgram => put(slots.token_program, Some(Place::SystemProgram)),
        Twist::NoInstructions => put(slots.instructions, Some(Place::Wallet(Person::Stranger))),
        Twist::Tokens(instead) => {
            let now = slots.tokens.as_deref().copied();
            put(slots.tokens, now.and_then(|now| other_tokens(model, now, instead)));
        }
        Twist::Payout(instead) => {
            let now = slots.payout.as_deref().copied();
            put(slots.payout, now.and_then(|now| other_tokens(model, now, instead)));
        }
        Twist::RentToAnother(at) => put(slots.rent_payer, Some(Place::Wallet(pick(&Person::ALL, at)))),
        Twist::AnotherDelegation(at) => {
            put(slots.delegation, some_delegation(at));
            put(slots.optional_delegation, some_delegation(at).map(Some));
        }
        Twist::DelegationLeftOut => put(slots.optional_delegation, Some(None)),
        Twist::NeedlessDelegation(at) => put(slots.optional_delegation, some_delegation(at).map(Some)),
        Twist::ChannelAsDelegation => {
            let place = another(0).map(Place::Channel);
            put(slots.delegation, place);
            put(slots.optional_delegation, place.map(Some));
        }
        Twist::NoDelegation => {
            let place = Place::Delegation(nowhere(), Person::Stranger);
            put(slots.delegation, Some(place));
            put(slots.optional_delegation, Some(Some(place)));
        }
        Twist::AnotherAddress => put(slots.new_channel, Some(Place::Channel(nowhere()))),
        Twist::AnotherVaultAddress => put(slots.new_vault, Some(Place::Vault(nowhere()))),
        Twist::Unsigned(_)
        | Twist::InstructionsLeftOut
        | Twist::Occupied(_)
        | Twist::SelfPayment
        | Twist::RefusedMint
        | Twist::AuthorizedDelegate
        | Twist::Terms(_)
        | Twist::Proof(_) => {}
    }
}

/// A channel that nobody opens.
fn nowhere() -> ChannelId {
    ChannelId::root(Person::Stranger, Person::Service(0), 200)
}

fn mint_at(place: Place) -> Option<Mint> {
    match place {
        Place::Mint(mint) => Some(mint),
        _ => None,
    }
}

fn other_tokens(model: &Model, now: Place, instead: Instead) -> Option<Place> {
    let Place::Tokens(person, mint) = now else { return None };
    Some(match instead {
        Instead::Of(at) => Place::Tokens(pick(&Person::HOLDERS, at), mint),
        Instead::Other => Place::OtherTokens(person, mint),
        Instead::OfMint(at) => Place::Tokens(person, pick(&Mint::ACCEPTED, at)),
        Instead::None => Place::Wallet(person),
        Instead::Vault(at) => Place::Vault(any_channel(model, at)?.id),
    })
}

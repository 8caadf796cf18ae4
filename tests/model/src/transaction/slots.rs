use super::Call;
use crate::cast::Person;
use crate::place::Place;

/// The accounts of a call by what they are for, so that any of them can be swapped for another.
#[derive(Default)]
pub struct Slots<'a> {
    /// Who asks.
    pub person: Option<&'a mut Person>,
    /// The channel.
    pub channel: Option<&'a mut Place>,
    /// Its vault.
    pub vault: Option<&'a mut Place>,
    /// Its mint.
    pub mint: Option<&'a mut Place>,
    /// Where tokens come from or go to: the payer's, the recipient's, the funder's at a close.
    pub tokens: Option<&'a mut Place>,
    /// Where a close pays the recipient.
    pub payout: Option<&'a mut Place>,
    /// The token program.
    pub token_program: Option<&'a mut Place>,
    /// The instructions sysvar.
    pub instructions: Option<&'a mut Place>,
    /// Who gets lamports back.
    pub rent_payer: Option<&'a mut Place>,
    /// The delegation, where there must be one.
    pub delegation: Option<&'a mut Place>,
    /// The delegation, where there may be one.
    pub optional_delegation: Option<&'a mut Option<Place>>,
    /// Where the new channel goes.
    pub new_channel: Option<&'a mut Place>,
    /// Where its vault goes.
    pub new_vault: Option<&'a mut Place>,
}

impl Call {
    /// The accounts of this call.
    pub fn slots(&mut self) -> Slots<'_> {
        match self {
            Self::OpenChannel(call) => Slots {
                person: Some(&mut call.funder),
                mint: Some(&mut call.mint),
                tokens: Some(&mut call.funder_token),
                token_program: Some(&mut call.token_program),
                new_channel: Some(&mut call.channel),
                new_vault: Some(&mut call.vault),
                ..Slots::default()
            },
            Self::TopUp(call) => Slots {
                person: Some(&mut call.token_owner),
                channel: Some(&mut call.channel),
                vault: Some(&mut call.vault),
                mint: Some(&mut call.mint),
                tokens: Some(&mut call.source_token),
                token_program: Some(&mut call.token_program),
                ..Slots::default()
            },
            Self::Settle(call) => Slots {
                person: Some(&mut call.recipient),
                channel: Some(&mut call.channel),
                vault: Some(&mut call.vault),
                mint: Some(&mut call.mint),
                tokens: Some(&mut call.recipient_token),
                token_program: Some(&mut call.token_program),
                instructions: Some(&mut call.instructions),
                optional_delegation: Some(&mut call.delegation),
                ..Slots::default()
            },
            Self::RequestClose(call) => {
                Slots { person: Some(&mut call.funder), channel: Some(&mut call.channel), ..Slots::default() }
            }
            Self::CloseChannel(call) => Slots {
                person: Some(&mut call.closer),
                channel: Some(&mut call.channel),
                vault: Some(&mut call.vault),
                mint: Some(&mut call.mint),
                tokens: Some(&mut call.refund_token),
                payout: call.payout_token.as_mut(),
                token_program: Some(&mut call.token_program),
                instructions: call.instructions.as_mut(),
                rent_payer: Some(&mut call.rent_payer),
                ..Slots::default()
            },
            Self::SetDelegate(call) => Slots {
                person: Some(&mut call.funder),
                channel: Some(&mut call.channel),
                delegation: Some(&mut call.delegation),
                ..Slots::default()
            },
            Self::RevokeDelegate(call) => Slots {
                person: Some(&mut call.funder),
                channel: Some(&mut call.channel),
                delegation: Some(&mut call.delegation),
                ..Slots::default()
            },
            Self::CloseDelegation(call) => Slots {
                channel: Some(&mut call.channel),
                delegation: Some(&mut call.delegation),
                rent_payer: Some(&mut call.rent_payer),
                ..Slots::default()
            },
            Self::ChainChannel(call) => Slots {
                person: Some(&mut call.recipient),
                channel: Some(&mut call.channel),
                vault: Some(&mut call.vault),
                mint: Some(&mut call.mint),
                token_program: Some(&mut call.token_program),
                instructions: Some(&mut call.instructions),
                optional_delegation: Some(&mut call.delegation),
                new_channel: Some(&mut call.sub_channel),
                new_vault: Some(&mut call.sub_vault),
                ..Slots::default()
            },
            Self::MoveTokens(_) | Self::SendLamports(_) => Slots::default(),
        }
    }
}

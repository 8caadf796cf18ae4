//! One numbered refusal per rule of the program. The program's error enum and the SDK's reading of
//! a failed transaction are both made from the list below, so the two can't drift apart.
//!
//! Numbers are fixed: a retired one stays reserved, a new one is appended.

use core::fmt;

/// Anchor's first custom error number; a rejection's number on chain is this plus its own.
pub const FIRST_ERROR_NUMBER: u32 = 6000;

/// Calls `$with!` with the list of rejections: `Name = number, "message";` each.
#[macro_export]
macro_rules! rejections {
    ($with:path) => {
        $with! {
            ZeroAmount = 0, "amount must be above zero";
            ZeroUnitPrice = 1, "unit price must be above zero";
            ZeroRateLimit = 2, "rate limit must be above zero";
            SelfPayment = 3, "funder and recipient must differ";
            SettleIntervalOutOfRange = 4, "settle interval must be 1 second to 30 days";
            CloseGraceOutOfRange = 5, "close grace must be at most 30 days";
            ChainDepthOutOfRange = 6, "max chain depth must be at most 3";
            MintExtensionRefused = 7, "the mint has an extension that could change, trap or move the deposit";
            MintNotOfTokenProgram = 8, "the mint does not belong to the token program";
            DepositOverflow = 9, "the deposit would pass what 64 bits hold";
            AlreadyClosing = 10, "the channel is already closing";
            Closing = 11, "the channel is closing: no top-up, no new or changed delegation, no chaining";
            ClosedInOpeningSlot = 12, "a channel can't be closed in the slot it was opened in";
            GraceNotOver = 13, "only the recipient may close before the funder's close request and its grace have passed";
            WrongFunder = 14, "the funder is not the channel's";
            WrongRecipient = 15, "the recipient is not the channel's";
            WrongMint = 16, "the mint is not the channel's";
            WrongVault = 17, "the vault is not the channel's";
            WrongRentPayer = 18, "the rent payer is not the one recorded";
            WrongPayoutOwner = 19, "the payout token account is not the recipient's";
            WrongRefundOwner = 20, "the refund token account is not the funder's";
            NotATokenAccount = 21, "the account is not an account of the token program";
            UnknownVersion = 22, "the account has a version this program does not know";
            InvariantBroken = 23, "the books would no longer add up";
            OwedNotAboveClaimed = 24, "owed is not above what this signer has paid already";
            OwedAboveCeiling = 25, "owed is above what the credential authorizes (seq * unit_price)";
            ClaimedAboveDeposit = 26, "the claim is above what is left of the deposit";
            SettleEarly = 27, "the settle interval of this signer has not passed";
            RateExceeded = 28, "the claim is above what is left of this window's rate limit";
            PrecompileMissing = 29, "no ed25519 instruction just before this one";
            PrecompileOtherProgram = 30, "the instruction just before is not for the ed25519 program";
            PrecompileSignatureCount = 31, "the ed25519 instruction must hold exactly one signature";
            PrecompileLength = 32, "the ed25519 instruction has missing or trailing bytes";
            PrecompileOffset = 33, "an offset of the ed25519 instruction is not the canonical one";
            PrecompileInstructionIndex = 34, "an index of the ed25519 instruction points at another instruction";
            MessageLength = 35, "the signed message has the wrong length";
            MessageKind = 36, "the signed message is of another kind";
            MessageChannel = 37, "the signed message is for another channel";
            MessageEpoch = 38, "the signed message is for another incarnation of the signing authority";
            MessageSigner = 39, "the message was signed by another key";
            StatementAboveDeposit = 40, "the close statement is above the deposit";
            VaultShort = 41, "the vault holds less than the channel has booked";
            ClockOutOfRange = 42, "a time is out of range";
            RefundNotAssociated = 43, "a close by anyone but the funder must refund to the funder's associated token account";
            WrongDerivedAddress = 44, "an account is not at the address that is derived for it";
            OwedAboveLimit = 45, "owed is above the delegate's limit";
            DelegationOver = 46, "the delegation has ended and so has the grace to collect what it signed";
            DelegationOfEarlierChannel = 47, "the delegation was made for an earlier incarnation of the channel";
            WrongDelegation = 48, "the delegation is not of this channel";
            DelegateIsAuthorizedSigner = 49, "the channel's authorized signer can't be its delegate too";
            LimitLowered = 50, "a delegate's limit can be raised but not lowered: revoke the delegate instead";
            ExpiryInPast = 51, "a delegation can't expire in the past: revoke the delegate instead";
            DelegateRevoked = 52, "the delegation is revoked: delegate to another key, or close it after its grace";
            AlreadyRevoked = 53, "the delegation is already revoked";
            DelegationInCreationSlot = 54, "a delegation can't be closed or made anew in the slot it was created in";
            DelegationNotOver = 55, "a delegation can be closed once it and its grace have ended, or its channel is gone";
            ChainTooDeep = 56, "the root channel's max chain depth allows no channel below this one";
            GraceAboveParent = 57, "a chained channel's close grace must not be above its parent's";
            ChainedChannel = 58, "a chained channel has no delegates: only its authorized signer pays from it";
            ClosedInDelegationSlot = 59, "a channel can't be closed in the slot a delegation on it was created in";
        }
    };
}

macro_rules! define {
    ($($name:ident = $number:literal, $message:literal;)*) => {
        /// Why the program refuses an instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Rejection {
            $(#[doc = $message] $name = $number,)*
        }

        impl Rejection {
            /// Every rejection, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is wrong, in lower case, for a log or a person.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }

            /// The variant's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The rejection's own number; on chain it is [`FIRST_ERROR_NUMBER`] more.
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }
        }
    };
}

rejections!(define);

impl Rejection {
    /// The custom error number a failed transaction shows.
    pub const fn error_number(self) -> u32 {
        FIRST_ERROR_NUMBER.wrapping_add(self.number())
    }

    /// Reads a custom error number, or `None` where it is not one of the program's.
    pub fn from_error_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|rejection| rejection.error_number() == number)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_read_back() {
        for (index, rejection) in Rejection::ALL.iter().enumerate() {
            assert_eq!(rejection.number() as usize, index);
            assert_eq!(Rejection::from_error_number(rejection.error_number()), Some(*rejection));
        }
        assert_eq!(Rejection::from_error_number(5999), None);
    }
}

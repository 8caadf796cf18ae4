macro_rules! rules {
    ($(#[doc = $doc:literal] $name:ident,)*) => {
        /// A rule that a model can be made to forget, to see that forgetting it is noticed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $(#[doc = $doc] $name,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

rules! {
    #[doc = "A claim is at most `seq * unit_price`."]
    Ceiling,
    #[doc = "A claim may be all of `seq * unit_price`."]
    CeilingReached,
    #[doc = "Claims may be all of the deposit."]
    DepositReached,
    #[doc = "A window's claims may be all of the rate limit."]
    RateReached,
    #[doc = "A delegate's claims may be all of its limit."]
    LimitReached,
    #[doc = "A statement may be all of the deposit."]
    StatementReached,
    #[doc = "An interval is over in its last second."]
    IntervalToTheSecond,
    #[doc = "A close may follow in the second in which the grace is over."]
    GraceToTheSecond,
    #[doc = "A delegate's claims may come in the last second of its grace."]
    DelegateToTheSecond,
    #[doc = "A delegation ends in the second it is to end in."]
    EndToTheSecond,
    #[doc = "An expiry is ahead."]
    ExpiryAhead,
    #[doc = "What was claimed is not claimed again."]
    ClaimedOnce,
    #[doc = "All claims are at most the deposit."]
    Deposit,
    #[doc = "A signer is settled once an interval."]
    SettleInterval,
    #[doc = "Nobody waits for the interval of a closing channel."]
    NoWaitWhileClosing,
    #[doc = "Nobody waits for the interval of a delegate that has ended."]
    NoWaitAfterEnd,
    #[doc = "A window's claims are at most the rate limit."]
    RateWindow,
    #[doc = "A window begins with nothing claimed."]
    WindowAnew,
    #[doc = "Windows are counted from the opening."]
    WindowsFromOpening,
    #[doc = "A message names its channel."]
    MessageChannel,
    #[doc = "A message names the slot its authority began in."]
    Epoch,
    #[doc = "Only an authority's own key signs for it."]
    MessageSigner,
    #[doc = "A delegate's claims are at most its limit."]
    DelegateLimit,
    #[doc = "A delegate's claims end with its grace."]
    DelegateEnd,
    #[doc = "What ends a delegation is what comes first."]
    FirstEnd,
    #[doc = "A delegation is for one incarnation of its channel."]
    DelegationIncarnation,
    #[doc = "A live delegate's limit is not lowered."]
    LimitNotLowered,
    #[doc = "What a delegate claimed stays when its limit is raised."]
    ClaimedStays,
    #[doc = "A revoked delegation stays revoked."]
    RevokedForGood,
    #[doc = "The authorized signer is no delegate."]
    DelegateIsAnother,
    #[doc = "A delegation is not closed while anything of it can be settled."]
    DelegationKept,
    #[doc = "A channel is not closed in its opening slot."]
    NotInOpeningSlot,
    #[doc = "A delegation is neither closed nor begun anew in its creation slot."]
    NotInCreationSlot,
    #[doc = "Others wait for the grace."]
    CloseGrace,
    #[doc = "A close statement is at most the deposit."]
    StatementWithinDeposit,
    #[doc = "A statement pays what it says, and no more: what was claimed already counts."]
    StatementCountsClaims,
    #[doc = "Others refund to the associated account."]
    RefundAssociated,
    #[doc = "Donations go to the funder."]
    DonationsToFunder,
    #[doc = "All lamports go to the rent payer."]
    RentBack,
    #[doc = "No top-up while closing."]
    NoTopUpWhileClosing,
    #[doc = "No delegating while closing."]
    NoDelegatingWhileClosing,
    #[doc = "A chained channel has no delegates."]
    NoDelegatesBelow,
    #[doc = "A channel is not closed in the slot a delegation on it began in."]
    NotInDelegationSlot,
    #[doc = "No chaining while closing."]
    NoChainingWhileClosing,
    #[doc = "A close is asked for once."]
    RequestOnce,
    #[doc = "Chains are as deep as the root allows."]
    ChainDepth,
    #[doc = "A chained channel's grace is at most its parent's."]
    GraceWithinParents,
    #[doc = "Chaining counts in the parent's window."]
    ChainingCounts,
    #[doc = "What is chained is the root funder's."]
    ChainedIsFunders,
}

//! What happens on the cluster: each scenario is a sentence that it shows to be so.

mod chaining;
mod closing;
mod delegation;
mod faults;
mod life;
mod lost_store;
mod measurements;
mod packing;
mod restart;
mod sponsor;

use futures::future::LocalBoxFuture;

use crate::cluster::Cluster;

type Play = for<'a> fn(&'a Cluster) -> LocalBoxFuture<'a, anyhow::Result<()>>;

/// One of them.
pub(crate) struct Scenario {
    name: &'static str,
    play: Play,
    needs_own_validator: bool,
}

impl Scenario {
    /// The sentence, as a function is named.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it does things to the validator that can't be done to others'.
    pub(crate) fn needs_own_validator(&self) -> bool {
        self.needs_own_validator
    }

    pub(crate) async fn play(&self, cluster: &Cluster) -> anyhow::Result<()> {
        (self.play)(cluster).await
    }
}

macro_rules! scenarios {
    ($($own:literal $module:ident :: $name:ident;)*) => {
        &[$(Scenario {
            name: stringify!($name),
            play: |cluster| Box::pin($module::$name(cluster)),
            needs_own_validator: $own,
        }),*]
    };
}

/// All of them, in the order in which they are played. `true`: on our own validator alone.
pub(crate) const SCENARIOS: &[Scenario] = scenarios! {
    false life::a_channel_lives_from_its_opening_to_its_close_over_http;
    false life::a_channel_in_a_token_2022_mint_lives_the_same_life;
    false delegation::a_delegate_spends_what_its_funder_allows_and_no_more;
    false chaining::a_service_pays_its_supplier_out_of_the_same_deposit;
    false closing::a_forced_close_is_noticed_by_subscription_and_what_is_owed_is_settled_in_the_grace;
    false packing::ten_channels_are_settled_in_one_transaction;
    false sponsor::a_sponsor_pays_rent_and_fees_for_an_agent_without_a_lamport;
    false lost_store::an_agent_that_lost_its_store_resumes_its_channel;
    true restart::a_validator_is_killed_and_restarted_between_two_calls_and_nothing_is_lost;
    false faults::requests_that_time_out_cost_time_and_no_money;
    false faults::a_node_that_says_too_many_requests_is_asked_again;
    false faults::a_stale_node_makes_nobody_serve_or_claim_what_is_not_there;
    true faults::when_subscriptions_are_dropped_a_forced_close_is_noticed_by_looking;
    true faults::transactions_whose_blockhash_expires_are_done_once_all_the_same;
    false faults::transactions_that_land_though_the_answer_was_lost_are_done_once;
    false measurements::from_the_opening_to_the_first_paid_answer;
    false measurements::settling_one_ten_and_a_hundred_channels;
};

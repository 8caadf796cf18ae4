use std::collections::{BTreeMap, HashMap, HashSet};

use amp_protocol::message::Key;

use crate::server::store::Incarnation;

/// What goes first, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A grace runs: what is not settled by this time (Unix seconds, the chain's) may be lost.
    GraceEnds(i64),
    /// Somebody waits for it.
    Asked,
    /// Nobody does.
    Routine,
}

impl Rank {
    /// When the grace is over that runs.
    pub(super) fn grace_ends(self) -> Option<i64> {
        match self {
            Self::GraceEnds(end) => Some(end),
            Self::Asked | Self::Routine => None,
        }
    }
}

/// A rank, and among equals the order of arrival.
type Place = (Rank, u64);

/// Channels of which a visit is under way: two visits of one would send the same claims twice.
pub(super) type Busy = HashSet<Key>;

/// Jobs that wait for their turn: so many are under way at once, and never two on one address.
#[derive(Debug)]
pub(super) struct Lane<J> {
    most: usize,
    under_way: usize,
    arrivals: u64,
    waiting: BTreeMap<Place, (Incarnation, J)>,
    /// Of those that others are joined with.
    places: HashMap<Incarnation, Place>,
}

impl<J> Lane<J> {
    /// Of whose jobs `most` are under way at once.
    pub(super) fn new(most: usize) -> Self {
        Self { most, under_way: 0, arrivals: 0, waiting: BTreeMap::new(), places: HashMap::new() }
    }

    /// A job that is done whatever else waits.
    pub(super) fn push(&mut self, incarnation: Incarnation, rank: Rank, job: J) {
        let place = self.place(rank);
        self.waiting.insert(place, (incarnation, job));
    }

    /// A job that becomes one with another that was joined for the same incarnation and waits, at the
    /// better place of the two.
    pub(super) fn join(
        &mut self,
        incarnation: Incarnation,
        rank: Rank,
        job: J,
        merge: impl FnOnce(J, J) -> J,
    ) {
        let before = self.places.get(&incarnation).copied();
        let before = before.and_then(|place| Some((place, self.waiting.remove(&place)?.1)));
        let (place, job) = match before {
            Some((place, other)) if place.0 <= rank => (place, merge(other, job)),
            Some((_, other)) => (self.place(rank), merge(other, job)),
            None => (self.place(rank), job),
        };
        self.waiting.insert(place, (incarnation, job));
        self.places.insert(incarnation, place);
    }

    /// The rank of the job whose turn it is, if one may begin.
    pub(super) fn next(&self, busy: &Busy) -> Option<Rank> {
        if self.under_way >= self.most {
            return None;
        }
        let mut waiting = self.waiting.iter();
        waiting.find(|(_, (incarnation, _))| !busy.contains(&incarnation.channel)).map(|(place, _)| place.0)
    }

    /// The job whose turn it is, if one may begin; it is under way until [`Self::ended`].
    pub(super) fn take(&mut self, busy: &mut Busy) -> Option<(Incarnation, J)> {
        if self.under_way >= self.most {
            return None;
        }
        let (_, first) = self.remove_first(busy, |_, _| true)?;
        self.under_way = self.under_way.saturating_add(1);
        Some(first)
    }

    /// Another job that goes along with one that was just taken, at the same place; it would have waited
    /// for its own.
    pub(super) fn take_along(
        &mut self,
        busy: &mut Busy,
        goes: impl Fn(Rank, &J) -> bool,
    ) -> Option<(Incarnation, J)> {
        self.remove_first(busy, goes).map(|(_, job)| job)
    }

    fn remove_first(
        &mut self,
        busy: &mut Busy,
        goes: impl Fn(Rank, &J) -> bool,
    ) -> Option<(Place, (Incarnation, J))> {
        let mut waiting = self.waiting.iter();
        let may_go = |place: &Place, (incarnation, job): &(Incarnation, J)| {
            !busy.contains(&incarnation.channel) && goes(place.0, job)
        };
        let place = *waiting.find(|(place, job)| may_go(place, job))?.0;
        let (incarnation, job) = self.waiting.remove(&place)?;
        if self.places.get(&incarnation) == Some(&place) {
            self.places.remove(&incarnation);
        }
        busy.insert(incarnation.channel);
        Some((place, (incarnation, job)))
    }

    /// Jobs that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits and none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// A job of this lane is done, and those that went along with it.
    pub(super) fn ended(&mut self, channels: impl IntoIterator<Item = Key>, busy: &mut Busy) {
        for channel in channels {
            busy.remove(&channel);
        }
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn place(&mut self, rank: Rank) -> Place {
        self.arrivals = self.arrivals.saturating_add(1);
        (rank, self.arrivals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(channel: u8) -> Incarnation {
        Incarnation { channel: [channel; 32], opened_slot: 1 }
    }

    /// All that may begin.
    fn begin(lane: &mut Lane<u8>, busy: &mut Busy) -> Vec<u8> {
        std::iter::from_fn(|| lane.take(busy)).map(|(_, job)| job).collect()
    }

    #[test]
    fn the_grace_that_is_over_first_goes_first_then_who_asked_then_the_routine() {
        let (mut lane, mut busy) = (Lane::new(10), Busy::new());
        let ranks =
            [Rank::Routine, Rank::Asked, Rank::GraceEnds(9), Rank::Routine, Rank::GraceEnds(-1), Rank::Asked];
        for (job, rank) in (0..).zip(ranks) {
            lane.push(of(job), rank, job);
        }
        assert_eq!(begin(&mut lane, &mut busy), [4, 2, 1, 5, 0, 3]);
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let (mut lane, mut busy) = (Lane::new(2), Busy::new());
        for job in 0..4 {
            lane.push(of(job), Rank::Routine, job);
        }
        assert_eq!(begin(&mut lane, &mut busy), [0, 1]);
        lane.ended([[1; 32]], &mut busy);
        assert_eq!(begin(&mut lane, &mut busy), [2]);
    }

    #[test]
    fn never_two_of_one_address_are_under_way_and_none_waits_for_another_address() {
        let (mut lane, mut other, mut busy) = (Lane::new(8), Lane::new(8), Busy::new());
        lane.push(of(1), Rank::Asked, 10);
        lane.push(of(1), Rank::Asked, 11);
        lane.push(Incarnation { opened_slot: 2, ..of(1) }, Rank::Asked, 12);
        lane.push(of(2), Rank::Routine, 20);
        other.push(of(1), Rank::GraceEnds(0), 13);
        assert_eq!(begin(&mut lane, &mut busy), [10, 20]);
        assert_eq!(begin(&mut other, &mut busy), [0_u8; 0]);
        lane.ended([[1; 32]], &mut busy);
        assert_eq!(begin(&mut other, &mut busy), [13]);
        other.ended([[1; 32]], &mut busy);
        assert_eq!(begin(&mut lane, &mut busy), [11]);
    }

    #[test]
    fn what_is_joined_is_done_once_at_the_better_place() {
        let (mut lane, mut busy) = (Lane::new(8), Busy::new());
        let sum = |one, other| one + other;
        lane.join(of(1), Rank::Routine, 1, sum);
        lane.join(of(2), Rank::GraceEnds(5), 20, sum);
        lane.push(of(2), Rank::GraceEnds(7), 99);
        lane.join(of(1), Rank::GraceEnds(4), 2, sum);
        lane.join(of(2), Rank::Routine, 30, sum);
        assert_eq!(begin(&mut lane, &mut busy), [3, 50]);
        lane.ended([[2; 32]], &mut busy);
        lane.join(of(2), Rank::GraceEnds(9), 40, sum);
        assert_eq!(begin(&mut lane, &mut busy), [99], "what was pushed is its own");
        lane.ended([[2; 32]], &mut busy);
        assert_eq!(begin(&mut lane, &mut busy), [40]);
    }

    #[test]
    fn what_goes_along_takes_no_place_but_its_channel_is_busy_until_all_are_done() {
        let (mut lane, mut busy) = (Lane::new(1), Busy::new());
        for job in 1..=4 {
            lane.push(of(job), Rank::Routine, job);
        }
        lane.push(of(2), Rank::Routine, 20);
        let along = |lane: &mut Lane<u8>, busy: &mut Busy| lane.take_along(busy, |_, job| *job != 3);
        assert_eq!(lane.next(&busy), Some(Rank::Routine));
        assert_eq!(lane.take(&mut busy), Some((of(1), 1)));
        assert_eq!(along(&mut lane, &mut busy), Some((of(2), 2)));
        assert_eq!(along(&mut lane, &mut busy), Some((of(4), 4)), "20 is of a channel that is busy");
        assert_eq!((along(&mut lane, &mut busy), lane.next(&busy)), (None, None));
        lane.ended([[1; 32], [2; 32], [4; 32]], &mut busy);
        assert_eq!(begin(&mut lane, &mut busy), [3]);
        lane.ended([[3; 32]], &mut busy);
        assert_eq!(begin(&mut lane, &mut busy), [20]);
    }
}

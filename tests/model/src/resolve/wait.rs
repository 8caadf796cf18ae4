use super::{any_channel, delegation};
use crate::model::{Clock, Model};
use crate::operation::{Moment, Wait, When};

/// A month at most: a sequence has other things to do.
const LONGEST: i128 = 31 * 86_400;

/// The clock when something is done that may be done from `due` on.
pub(super) fn at(model: &Model, due: i128, when: When) -> Clock {
    let Clock { slot, time } = model.clock;
    let due = due.min(i128::from(time) + LONGEST).min(i128::from(i64::MAX - 1)) as i64;
    match when {
        When::Now => model.clock,
        When::Due => Clock { slot: slot + 1, time: due.max(time) },
        When::JustBefore => Clock { slot: slot + 1, time: (due - 1).max(time) },
    }
}

/// The clock after a wait, or `None` where nothing would pass.
pub(super) fn until(wait: Wait, model: &Model) -> Option<Clock> {
    let Clock { slot, time } = model.clock;
    let clock = match wait {
        Wait::Slots(slots) => Clock { slot: slot + u64::from(slots), time },
        Wait::Seconds(seconds) => Clock { slot, time: time.saturating_add(seconds.into()) },
        Wait::Until { moment, offset, slots } => {
            let at = self::moment(moment, model)?.saturating_add(offset.into());
            Clock { slot: slot + u64::from(slots), time: at.max(time) }
        }
    };
    // sums of times end at the last second there is: there, what is due in a minute is due now
    let clock = Clock { time: clock.time.min(i64::MAX - 1), ..clock };
    (clock != model.clock).then_some(clock)
}

fn moment(moment: Moment, model: &Model) -> Option<i64> {
    let at = match moment {
        Moment::NextWindow(at) => {
            let channel = any_channel(model, at)?;
            let (window, _) = channel.window_at(model.clock.time);
            let interval = i128::from(channel.terms.settle_interval);
            i128::from(channel.opened.time) + (i128::from(window) + 1) * interval
        }
        Moment::DelegateEnds(at) => {
            let ahead = |end: i64| end >= model.clock.time;
            i128::from(delegation(model, at, |it| it.end().is_some_and(ahead))?.end()?)
        }
        Moment::DelegateOver(at) => {
            let it = delegation(model, at, |it| it.end().is_some())?;
            it.collectable_until(model.channels.get(&it.channel)?.terms.close_grace)?
        }
    };
    let soon = at - i128::from(model.clock.time) <= LONGEST;
    i64::try_from(at).ok().filter(|_| soon)
}

use std::time::Duration;

/// Windows that are used up sooner are too small: each costs a write to the disk.
const SHORT: Duration = Duration::from_millis(50);
/// Windows that last longer are too large: what is left of one when the service crashes is charged.
const LONG: Duration = Duration::from_secs(1);
/// The largest: of bytes, 16 MiB. No window is larger than what its client has signed ahead.
const LARGEST: u64 = 16 << 20;

/// How much is set aside at once for a stream, in counted things: so much that its disk is asked some times a
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window(u64);

impl Window {
    /// The first one.
    pub(super) fn first(count: u64) -> Self {
        Self(count.clamp(1, LARGEST))
    }

    /// The next one, after the last lasted for `lasted`.
    pub(super) fn after(self, lasted: Duration) -> Self {
        if lasted < SHORT {
            // a window of bytes is used up in an instant until it is large
            Self(self.0.saturating_mul(8).min(LARGEST))
        } else if lasted > LONG {
            Self((self.0 >> 1).max(1))
        } else {
            self
        }
    }

    pub(super) const fn count(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_grows_while_it_is_used_up_at_once_and_shrinks_while_it_lasts() {
        let mut window = Window::first(16);
        for _ in 0..20 {
            window = window.after(Duration::ZERO);
        }
        assert_eq!(window.count(), LARGEST);
        assert_eq!(window.after(Duration::from_millis(500)), window);
        for _ in 0..64 {
            window = window.after(Duration::from_secs(2));
        }
        assert_eq!(window.count(), 1);
    }
}

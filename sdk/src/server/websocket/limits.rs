use std::time::Duration;

use crate::websocket::MAX_MESSAGE;

/// What a socket may take of the service: memory, and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimits {
    /// The largest message either way, in bytes; of the client's with its credential, as it comes. 64 KiB.
    pub max_message: usize,
    /// How many of the client's messages wait for the handler; of more, none is read. 16.
    pub queue: usize,
    /// How long a client may take to say who pays. 10 s.
    pub bind_wait: Duration,
    /// How often the client is asked whether it is there. 20 s.
    pub ping_every: Duration,
    /// How long nothing at all may come of it: it is gone then, and charged for no more. 60 s.
    pub idle: Duration,
    /// How long the handler may go on with what has arrived, once the client has ended or gone. 10 s.
    pub linger: Duration,
    /// How long the last frames may take to leave. 5 s.
    pub close_wait: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            max_message: MAX_MESSAGE,
            queue: 16,
            bind_wait: Duration::from_secs(10),
            ping_every: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            linger: Duration::from_secs(10),
            close_wait: Duration::from_secs(5),
        }
    }
}

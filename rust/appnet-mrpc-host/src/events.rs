//! What engines are told, and what they answer.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What tells a call from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id {
    /// The connection's.
    pub connection: u64,
    /// The call's on that connection.
    pub call: u64,
}

/// A message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its call.
    pub id: Id,
    /// Which method: the CRC-32 of its path.
    pub function: u32,
    /// Whether it says that its call was denied, and has nothing else.
    pub denied: bool,
    /// Where it lies.
    pub address: usize,
}

/// What is to become of a message that leaves the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outgoing {
    /// It goes on from this address, which is a private copy's or its own. Copies stay until [`sent`](crate::Engine::sent).
    Forward {
        /// Where it lies.
        address: usize,
        /// After so many milliseconds.
        wait_ms: u64,
    },
    /// Its call is denied.
    Refuse,
}

/// What is to become of a message that comes to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// It goes on as it is.
    Forward {
        /// After so many milliseconds.
        wait_ms: u64,
    },
    /// Its call is denied.
    Refuse,
}

/// What time it is.
pub trait Clock: Send {
    /// Nanoseconds on a clock that only goes on and is never 0, and since the Unix epoch.
    fn now(&self) -> (u64, u64);
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> (u64, u64) {
        let now = self.0.elapsed() + Duration::from_secs(1);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (now.as_nanos() as u64, wall.as_nanos() as u64)
    }
}

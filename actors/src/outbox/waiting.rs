//! What a socket's pump waits for, and which news of its outbox are a reason to wake it.

use std::rc::Rc;
use std::task::Waker;

use super::Sink;

/// What a pump waits for. The head of the server's `src/ws/pump.rs` has the diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing: it runs, or it was woken and will run. It looks at everything by itself.
    #[default]
    Nothing,
    /// For frames: it has written all there were.
    Frames,
    /// For the end of the relay's batch: there are frames, and the relay will write them.
    Batch,
    /// For the socket to take what the pump has taken from the outbox.
    Socket,
}

/// What a change means for the pump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing.
    None,
    /// There is something to write.
    Frames,
    /// There is something to do even while the socket takes nothing: close, or read requests again.
    Wake,
}

impl Waiting {
    /// Whether the pump has to know of `news`. Where not, it knows already, or will see for itself.
    pub(super) const fn is_for(self, news: News) -> bool {
        match news {
            News::None => false,
            News::Frames => matches!(self, Self::Frames),
            News::Wake => !matches!(self, Self::Nothing),
        }
    }
}

/// The pump, as its outbox knows it.
#[derive(Default)]
pub(super) struct Pump {
    pub waiting: Waiting,
    /// Wakes the pump; there is none before its first turn, which comes by itself.
    pub waker: Option<Waker>,
    /// The socket that it writes to.
    pub socket: Option<Rc<dyn Sink>>,
}

impl Pump {
    /// Wakes the pump, which waits.
    pub(super) fn wake(&mut self) {
        self.waiting = Waiting::Nothing;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::News::{Frames, Wake};
    use super::*;

    #[test]
    fn a_pump_is_woken_only_for_what_it_would_not_see() {
        let table = [
            (Waiting::Nothing, [false, false]),
            (Waiting::Frames, [true, true]),
            (Waiting::Batch, [false, true]),
            (Waiting::Socket, [false, true]),
        ];
        for (waiting, expected) in table {
            assert_eq!([Frames, Wake].map(|news| waiting.is_for(news)), expected, "{waiting:?}");
            assert!(!waiting.is_for(News::None));
        }
    }
}

//! What a pump waits for, and which changes of its outbox are a reason to wake it.

use std::rc::Rc;
use std::task::Waker;

use super::Sink;

/// What a pump waits for. The server's `src/ws/pump.rs` has a diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing: it is running, or was woken and will run. It checks everything by itself.
    #[default]
    Nothing,
    /// New frames: it has written all existing ones.
    Frames,
    /// The end of the relay's batch: there are frames, and the relay will write them.
    Batch,
    /// The socket, which has not taken everything that the pump took from the outbox.
    Socket,
}

/// What a change of the queue means for the pump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// There is something to write.
    Frames,
    /// There is something to do even while the socket takes nothing: close, or read requests again.
    Wake,
}

impl Waiting {
    /// Whether the pump must be woken for `news`. If not, it will notice by itself.
    pub(super) const fn is_for(self, news: News) -> bool {
        match news {
            News::None => false,
            News::Frames => matches!(self, Self::Frames),
            News::Wake => !matches!(self, Self::Nothing),
        }
    }
}

/// What an outbox knows about its pump.
#[derive(Default)]
pub(super) struct Pump {
    pub waiting: Waiting,
    /// `None` before the pump's first turn.
    pub waker: Option<Waker>,
    pub socket: Option<Rc<dyn Sink>>,
}

impl Pump {
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

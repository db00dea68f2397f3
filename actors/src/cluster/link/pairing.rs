//! Which pair of epochs a link is in: the handshake, without its timers. The head of
//! [`link`](super) has the diagram and the argument.

use std::collections::VecDeque;

use super::frame::NodeId;

/// Handshakes that the answerer remembers until one of them is completed. More than one is open
/// only if hellos come late.
const OFFERS: usize = 4;

/// Two epochs, as one end sees them. A link is up in one pair at a time, and in each pair once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    pub mine: u32,
    pub theirs: u32,
}

/// Where the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In no pair. The caller calls with this epoch; the answerer asks to be called.
    Down { mine: u32 },
    /// In this pair. `confirmed`: the other end is known to have been in it, too.
    Up { pair: Pair, confirmed: bool },
}

/// What a frame means for the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It belongs to the pair that the link is in.
    Ours,
    /// It completes a handshake: the link is to enter this pair.
    Enter(Pair),
    /// The other end calls and has to be welcomed to this pair.
    Welcome(Pair),
    /// The other end is in no pair, or was in none when it sent this, and asks to be called.
    CallMe,
    /// The other end believes in a pair that this one is not in and never will be.
    Disown(Pair),
    /// It belongs to another pair: nothing is to be done.
    Stale,
}

#[derive(Debug)]
pub(super) struct Pairing {
    /// The node with the smaller id.
    is_caller: bool,
    /// The last epoch drawn.
    last: u32,
    state: State,
    offers: VecDeque<Pair>,
}

impl Pairing {
    /// A link that is down. `start` is random, so that epochs hardly ever recur if the link between
    /// two running processes is made again.
    pub fn new(me: NodeId, peer: NodeId, start: u32) -> Self {
        let mut pairing = Self {
            is_caller: me < peer,
            last: start,
            state: State::Down { mine: 0 },
            offers: VecDeque::new(),
        };
        pairing.state = State::Down { mine: pairing.draw() };
        pairing
    }

    /// An epoch that was not used before. 0 is none.
    fn draw(&mut self) -> u32 {
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.last
    }

    /// The pair that the link is in.
    pub fn pair(&self) -> Option<Pair> {
        match self.state {
            State::Up { pair, .. } => Some(pair),
            State::Down { .. } => None,
        }
    }

    /// The epoch of a hello.
    pub fn calling(&self) -> Option<u32> {
        match self.state {
            State::Down { mine } => Some(mine),
            State::Up { .. } => None,
        }
    }

    /// Whether the other end may not have entered the pair yet.
    pub fn is_unconfirmed(&self) -> bool {
        matches!(self.state, State::Up { confirmed: false, .. })
    }

    /// Leaves the pair. Returns the one that the other end has to be told of.
    pub fn leave(&mut self) -> Option<Pair> {
        let State::Up { pair, .. } = self.state else { return None };
        self.state = State::Down { mine: self.draw() };
        // The caller's next hello says it.
        (!self.is_caller).then_some(pair)
    }

    /// Enters a pair that [`Meaning::Enter`] named.
    pub fn enter(&mut self, pair: Pair) {
        // Forgotten offers cannot be completed by a late frame.
        self.offers.clear();
        self.state = State::Up { pair, confirmed: !self.is_caller };
    }

    /// A hello with this epoch.
    pub fn hello(&mut self, theirs: u32) -> Meaning {
        if self.is_caller {
            return Meaning::CallMe;
        }
        if self.pair().is_some_and(|pair| pair.theirs == theirs) {
            return Meaning::Ours;
        }
        if let Some(offer) = self.offers.iter().find(|offer| offer.theirs == theirs) {
            return Meaning::Welcome(*offer);
        }
        let offer = Pair { mine: self.draw(), theirs };
        if self.offers.len() == OFFERS {
            self.offers.pop_front();
        }
        self.offers.push_back(offer);
        Meaning::Welcome(offer)
    }

    /// A welcome to this pair.
    pub fn welcome(&self, pair: Pair) -> Meaning {
        match self.state {
            State::Down { mine } if self.is_caller && mine == pair.mine => Meaning::Enter(pair),
            State::Up { pair: ours, .. } if ours == pair => Meaning::Ours,
            _ => Meaning::Stale,
        }
    }

    /// Data or a nack in this pair.
    pub fn data(&mut self, pair: Pair) -> Meaning {
        match &mut self.state {
            State::Up { pair: ours, confirmed } if *ours == pair => {
                *confirmed = true;
                Meaning::Ours
            }
            _ if self.is_caller => Meaning::Stale,
            _ if self.offers.contains(&pair) => Meaning::Enter(pair),
            _ => Meaning::Disown(pair),
        }
    }

    /// A bye to this pair.
    pub fn bye(&self, pair: Pair) -> Meaning {
        if self.pair() == Some(pair) { Meaning::Ours } else { Meaning::Stale }
    }
}

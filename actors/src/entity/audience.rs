//! Who follows an entity, and which relays and codecs its frames are needed for.

use greenroom_protocol::CodecKind;

use crate::few::Few;
use crate::frames::Wants;
use crate::ids::{NodeIndex, Place, SessionKey};
use crate::messages::Subscriptions;

/// The followers by session; counted by relay and codec, so that publishing asks nobody in
/// particular.
#[derive(Debug, Default)]
pub struct Audience {
    followers: Few<SessionKey, Follower>,
    /// The relays that ever had a follower: as many as there are threads at the most.
    relays: Vec<(Place, Count)>,
}

#[derive(Debug, Clone, Copy)]
struct Follower {
    codec: CodecKind,
    /// Its subscription's number.
    number: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    json: u32,
    msgpack: u32,
}

impl Audience {
    /// Adds a follower, unless it follows by a later subscription already.
    pub fn add(&mut self, session: SessionKey, number: u32, codec: CodecKind) {
        match self.followers.get_mut(&session) {
            Some(follower) => follower.number = follower.number.max(number),
            None => {
                self.followers.insert(session, Follower { codec, number });
                *self.count(session.place(), codec) += 1;
            }
        }
    }

    /// Removes a follower whose subscription is among these.
    pub fn remove(&mut self, session: SessionKey, which: Subscriptions) {
        let found = self.followers.get(&session).copied();
        if let Some(Follower { codec, .. }) =
            found.filter(|follower| which.include(follower.number))
        {
            self.followers.remove(&session);
            *self.count(session.place(), codec) -= 1;
        }
    }

    /// Removes the followers of a node.
    pub fn remove_node(&mut self, node: NodeIndex) {
        let of_node = |(session, _): &(SessionKey, u32)| session.node == node;
        for (session, _) in self.iter().filter(of_node).collect::<Vec<_>>() {
            self.remove(session, Subscriptions::All);
        }
    }

    /// Whether this session follows by this subscription.
    pub fn contains(&self, session: SessionKey, number: u32) -> bool {
        self.followers.get(&session).is_some_and(|follower| follower.number == number)
    }

    /// Whether this session follows by a later subscription.
    pub fn has_later(&self, session: SessionKey, number: u32) -> bool {
        self.followers.get(&session).is_some_and(|follower| follower.number > number)
    }

    /// Everybody, with the subscription's number, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (SessionKey, u32)> + '_ {
        self.followers.iter().map(|(session, follower)| (*session, follower.number))
    }

    /// Whether nobody follows.
    pub fn is_empty(&self) -> bool {
        self.followers.is_empty()
    }

    /// The relays that need frames.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let needed =
            |(place, count): &(Place, Count)| (count.json + count.msgpack > 0).then_some(*place);
        self.relays.iter().filter_map(needed)
    }

    /// The codecs that frames are needed in.
    pub fn wants(&self) -> Wants {
        self.relays.iter().fold(Wants::default(), |wants, (_, count)| {
            wants.or(Wants { json: count.json > 0, msgpack: count.msgpack > 0 })
        })
    }

    fn count(&mut self, place: Place, codec: CodecKind) -> &mut u32 {
        let known = self.relays.iter().position(|(other, _)| *other == place);
        let index = known.unwrap_or_else(|| {
            // A `Vec` would begin with room for four.
            self.relays.reserve_exact(1);
            self.relays.push((place, Count::default()));
            self.relays.len() - 1
        });
        let count = &mut self.relays[index].1;
        match codec {
            CodecKind::Json => &mut count.json,
            CodecKind::MsgPack => &mut count.msgpack,
        }
    }
}

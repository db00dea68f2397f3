//! The sessions at an entity. Most entities that are awake have none, so all of this is in a box
//! that is only allocated when it is needed.

use std::sync::LazyLock;

use super::readers::Readers;
use crate::entity::audience::Audience;
use crate::few::Few;
use crate::ids::SessionKey;
use crate::kind::Kind;
use crate::presence::Presence;
use crate::rare::{Empty, Rare};

/// What an entity knows about sessions that stay for longer than a request.
#[derive(Debug, Default)]
pub(super) struct People {
    pub audience: Audience,
    /// Subscriptions whose missed events are being read, by session. A page that was read for any
    /// other subscription comes too late.
    pub joining: Few<SessionKey, u32>,
    /// Paused subscriptions that wait for a page. They are in the audience.
    pub readers: Rare<Readers>,
    pub presence: Presence,
}

impl People {
    /// Nobody, with the bounds of a kind.
    pub fn new(kind: &Kind) -> Self {
        Self { presence: Presence::new(kind.max_present, kind.presence_list), ..Self::default() }
    }

    /// Whether no session needs the entity. A page may still be on its way to one that has gone.
    pub fn nobody(&self) -> bool {
        self.audience.is_empty() && self.joining.is_empty() && self.presence.is_idle()
    }

    /// Forgets all but who is present.
    pub fn forget_followers(&mut self) {
        *self = Self { presence: std::mem::take(&mut self.presence), ..Self::default() };
    }
}

impl Empty for People {
    fn empty() -> &'static Self {
        static EMPTY: LazyLock<People> = LazyLock::new(People::default);
        &EMPTY
    }

    fn is_empty(&self) -> bool {
        // What was learnt about the length of pages goes with the last reader.
        self.nobody() && self.readers.is_idle()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use greenroom_protocol::{CodecKind, Epoch, Position, RawJson, Seq};

    use super::*;
    use crate::messages::{CatchUp, Subscriptions};
    use crate::presence::Here;
    use crate::testing::{kind, session, spec};

    #[test]
    fn everybody_counts_until_all_is_told() {
        let mut people = People::new(&kind());
        assert!(people.is_empty());

        people.audience.add(session(1), 1, CodecKind::Json);
        assert!(!people.is_empty());
        people.audience.remove(session(1), Subscriptions::Through(1));
        assert!(people.is_empty());

        people.joining.insert(session(1), 1);
        assert!(!people.is_empty());
        people.joining.remove(&session(1));

        let after = Position { epoch: Epoch::from_bits(7), seq: Seq::new(3) };
        people.readers.change(Readers::new, |readers| {
            readers.add(CatchUp {
                spec: spec(1, 1),
                codec: CodecKind::Json,
                after,
                presence: false,
            });
        });
        assert!(!people.is_empty());
        assert!(people.readers.change_if_any(Readers::next).flatten().is_some());
        assert!(
            !people.is_empty() && people.nobody(),
            "a page is on its way, and nobody waits for it any more"
        );
        people.readers.change_if_any(Readers::arrived);
        assert!(people.is_empty());

        people.presence.enter(session(1), &Arc::from("alice"), RawJson::NULL).unwrap();
        assert!(!people.is_empty());
        people.presence.take_news();
        people.presence.leave(session(1));
        assert!(!people.is_empty(), "it is not told yet");
        people.presence.take_news();
        assert!(people.is_empty());
    }

    #[test]
    fn one_user_takes_little() {
        // What a user says of itself and both names are the client's.
        let all = size_of::<People>()
            + size_of::<(Arc<str>, Here)>()
            + size_of::<(SessionKey, Arc<str>)>();
        assert!(all <= 264, "{all} bytes");
    }

    #[test]
    fn who_is_present_outlives_the_followers() {
        let mut people = People::new(&kind());
        people.audience.add(session(1), 1, CodecKind::Json);
        people.joining.insert(session(2), 1);
        people.presence.enter(session(1), &Arc::from("alice"), RawJson::NULL).unwrap();
        people.forget_followers();
        assert!(
            people.audience.is_empty()
                && people.joining.is_empty()
                && people.presence.contains(session(1))
        );
        assert_eq!(
            people.presence.enter(session(2), &Arc::from("bob"), RawJson::NULL),
            Ok(()),
            "the kind's bounds stay"
        );
    }
}

//! The way of an op, line by line, at the level trace: session, directory, entity, journal, disk,
//! release.
//!
//! Other crates of the program have `tracing` leave out its trace lines from release builds, for
//! all of it. These lines are the program's own, so they do not go through its macros: one constant
//! describes them all, and whether anybody wants them is one number in memory.

use greenroom_protocol::{EntityId, Seq};
use tracing::callsite::{Callsite, Identifier};
use tracing::field::{FieldSet, Value, display};
use tracing::level_filters::LevelFilter;
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};

use crate::ids::SessionKey;

/// The target of all lines, for filters.
const TARGET: &str = "greenroom::op";

/// What is known of an op at some point of its way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ids<'a> {
    /// Its session.
    pub session: Option<SessionKey>,
    /// Its user. The client id is not told: an anonymous user is whoever knows it.
    pub user: Option<&'a str>,
    /// The client's number for it.
    pub n: Option<u64>,
    /// Its event's seq, once that is decided.
    pub seq: Option<Seq>,
}

/// An op is at this point of its way. Costs a comparison while nobody listens.
#[inline]
pub fn at<'a>(step: &'static str, entity: &EntityId, ids: impl FnOnce() -> Ids<'a>) {
    if LevelFilter::current() == LevelFilter::TRACE {
        tell(step, entity, ids());
    }
}

#[cold]
#[inline(never)]
fn tell(step: &'static str, entity: &EntityId, ids: Ids<'_>) {
    let session = ids.session.map(display);
    let fields = METADATA.fields();
    let [message, to, from, user, n, seq] =
        FIELDS.map(|name| fields.field(name).expect("the set has each of its names"));
    let entity = display(entity);
    let event = ids.seq.map(Seq::get);
    let values: [(_, Option<&dyn Value>); 6] = [
        (&message, Some(&step)),
        (&to, Some(&entity)),
        (&from, session.as_ref().map(|value| value as &dyn Value)),
        (&user, ids.user.as_ref().map(|value| value as &dyn Value)),
        (&n, ids.n.as_ref().map(|value| value as &dyn Value)),
        (&seq, event.as_ref().map(|value| value as &dyn Value)),
    ];
    tracing::dispatcher::get_default(|dispatch| {
        if dispatch.enabled(&METADATA) {
            dispatch.event(&Event::new(&METADATA, &fields.value_set(&values)));
        }
    });
}

const FIELDS: [&str; 6] = ["message", "entity", "session", "user", "n", "seq"];

static METADATA: Metadata<'static> = Metadata::new(
    "op",
    TARGET,
    Level::TRACE,
    Some(file!()),
    Some(line!()),
    Some(module_path!()),
    FieldSet::new(&FIELDS, Identifier(&HandOver)),
    Kind::EVENT,
);

/// The one place that these lines come from. It is asked each time whether they are wanted.
struct HandOver;

impl Callsite for HandOver {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &METADATA
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::with_default;

    use super::*;
    use crate::testing::{entity, session};

    /// Collects lines of one level and above.
    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<String>>>, LevelFilter);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= self.1
        }

        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(self.1)
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = event.metadata().target().to_owned();
            event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                line += &format!(" {field}={value:?}");
            });
            self.0.lock().unwrap().push(line);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_line_names_what_is_known_and_costs_nothing_unless_wanted() {
        let told = |level| {
            let lines = Lines(Arc::default(), level);
            let mut asked = 0;
            with_default(lines.clone(), || {
                at("to the directory", &entity("room:a"), || {
                    asked += 1;
                    Ids { session: Some(session(3)), user: Some("al\nice"), n: Some(7), seq: None }
                });
                at("on disk", &entity("room:a"), || Ids {
                    seq: Some(Seq::new(9)),
                    ..Ids::default()
                });
            });
            let told = lines.0.lock().unwrap().clone();
            (told, asked)
        };
        let (lines, asked) = told(LevelFilter::TRACE);
        assert_eq!(asked, 1);
        assert_eq!(
            lines,
            [
                "greenroom::op message=\"to the directory\" entity=room:a session=0-3-1 user=\"al\\nice\" n=7",
                "greenroom::op message=\"on disk\" entity=room:a seq=9",
            ]
        );
        assert_eq!(told(LevelFilter::DEBUG), (Vec::new(), 0));
    }
}

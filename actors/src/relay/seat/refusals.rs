//! Requests without an id that were refused: they have no answer, so the client is notified of
//! their number once per method, reason and second.

use greenroom_protocol::notify::Refused;
use greenroom_protocol::{EntityId, WireError};

use crate::rare::Empty;

/// The number of reasons recorded at a time. The code has fewer.
const MOST: usize = 64;

/// The refusals of one session in this second.
#[derive(Debug, Default)]
pub struct Refusals(Vec<Refusal>);

#[derive(Debug)]
struct Refusal {
    method: &'static str,
    /// `None` also if the requests were for different entities.
    entity: Option<EntityId>,
    /// The latest error.
    error: WireError,
    /// The number that the client has not been notified of.
    count: u64,
}

impl Empty for Refusals {
    fn empty() -> &'static Self {
        const { &Self(Vec::new()) }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Refusals {
    /// Records a refusal. Returns the notification if it is the first of its kind and must be sent
    /// now.
    pub fn add(
        &mut self,
        method: &'static str,
        entity: Option<EntityId>,
        error: WireError,
    ) -> Option<Refused> {
        let same = |refusal: &&mut Refusal| {
            let known = &refusal.error.data;
            refusal.method == method
                && known.code == error.data.code
                && known.reason == error.data.reason
        };
        if let Some(refusal) = self.0.iter_mut().find(same) {
            if refusal.count == 0 {
                refusal.entity = entity;
            } else if refusal.entity != entity {
                refusal.entity = None;
            }
            refusal.count += 1;
            refusal.error = error;
            return None;
        }
        if self.0.len() < MOST {
            self.0.push(Refusal { method, entity: entity.clone(), error: error.clone(), count: 0 });
        }
        Some(Refused { method: method.into(), entity, error, count: 1 })
    }

    /// Called once a second. Returns the notifications that are due.
    pub fn due(&mut self) -> Vec<Refused> {
        self.0.retain(|refusal| refusal.count > 0);
        let due = |refusal: &mut Refusal| Refused {
            method: refusal.method.into(),
            entity: refusal.entity.clone(),
            error: refusal.error.clone(),
            count: std::mem::take(&mut refusal.count),
        };
        self.0.iter_mut().map(due).collect()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::ErrorCode;

    use super::*;
    use crate::testing::entity;

    fn limited(scope: &'static str) -> WireError {
        WireError::new(ErrorCode::RateLimited, "no").reason(scope)
    }

    #[test]
    fn each_reason_is_reported_at_once_and_then_once_a_second() {
        let mut refusals = Refusals::default();
        let a = Some(entity("room:a"));
        let b = Some(entity("room:b"));
        let first =
            refusals.add("signal", a.clone(), limited("requests")).expect("the first is told");
        assert_eq!((&*first.method, &first.entity, first.count), ("signal", &a, 1));
        for _ in 0..3 {
            assert_eq!(refusals.add("signal", a.clone(), limited("requests")), None);
        }
        assert!(refusals.add("signal", a.clone(), limited("bytes")).is_some(), "another reason");
        assert!(refusals.add("send", a.clone(), limited("requests")).is_some(), "another method");
        assert!(
            refusals.add("send", a.clone(), WireError::new(ErrorCode::Forbidden, "no")).is_some()
        );

        let due = refusals.due();
        assert_eq!(
            due.iter().map(|told| (told.entity.clone(), told.count)).collect::<Vec<_>>(),
            [(a.clone(), 3)]
        );
        for entity in [&a, &b] {
            assert_eq!(
                refusals.add("signal", entity.clone(), limited("requests")),
                None,
                "the second after is counted too"
            );
        }
        let due = refusals.due();
        assert_eq!(
            due.iter().map(|told| (told.entity.clone(), told.count)).collect::<Vec<_>>(),
            [(None, 2)]
        );
        assert!(refusals.due().is_empty() && refusals.is_empty(), "a quiet second ends it");
    }
}

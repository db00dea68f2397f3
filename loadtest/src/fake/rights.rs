//! What the tokens of the stand-in for a server let a session read.

use std::collections::HashMap;

use greenroom_protocol::codec::{Message as Wire, Method};
use greenroom_protocol::{Call, CodecKind, EntityId, ErrorCode, WireError, notify, params};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Fault, Room, Session};

/// The secret that its tokens are signed with.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

impl Session {
    /// Refuses to show what the token does not cover.
    pub(super) fn may(&self, call: &Call) -> Result<(), WireError> {
        let (Call::Read(params::Target { entity })
        | Call::Subscribe(params::Subscribe { entity, .. })
        | Call::History(params::History { entity, .. })) = call
        else {
            return Ok(());
        };
        let covered = self.reads.as_ref().is_none_or(|reads| covers(reads, entity));
        if covered || self.fault == Fault::ShowRevoked {
            return Ok(());
        }
        Err(WireError::new(ErrorCode::Forbidden, "the token does not cover it"))
    }

    /// Takes what a token lets the session read, and ends the subscriptions that it does not.
    pub(super) fn refresh(
        &mut self,
        connect: &params::Connect,
        rooms: &mut HashMap<EntityId, Room>,
        out: &mpsc::Sender<Vec<u8>>,
        codec: CodecKind,
    ) {
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = connect.token.as_ref().and_then(|token| {
            jsonwebtoken::decode::<Value>(token, &key, &Validation::new(Algorithm::HS256)).ok()
        });
        let Some(claims) = claims else { return };
        let capabilities = claims.claims["capabilities"].as_object().expect("the harness has them");
        let reads = |rights: &Value| rights.as_array().is_some_and(|r| r.contains(&"read".into()));
        let reads: Vec<_> = capabilities
            .iter()
            .filter(|(_, rights)| reads(rights))
            .map(|(pattern, _)| pattern.clone())
            .collect();
        for (entity, room) in rooms {
            let follows = room.subscribers.iter().any(|(index, ..)| *index == self.index);
            if covers(&reads, entity) || !follows {
                continue;
            }
            if self.fault != Fault::TellRevoked {
                room.subscribers.retain(|(index, ..)| *index != self.index);
            }
            if self.fault != Fault::HideUnsubscribed {
                let (entity, reason) = (entity.clone(), notify::EndReason::Forbidden);
                let params = &notify::Unsubscribed { entity, reason };
                let mut frame = Vec::new();
                let method = Method::Unsubscribed;
                codec.encode(&Wire::Notification { method, params }, &mut frame);
                out.try_send(frame).expect("the queue is long enough");
            }
        }
        self.reads = Some(reads);
    }
}

fn covers(reads: &[String], entity: &EntityId) -> bool {
    reads.iter().any(|id| id == "*" || id == entity.as_str())
}

//! Checks answers.

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::results::{Connected, State};
use greenroom_protocol::{EntityId, ErrorCode, RawJson, RequestId, Seq, ServerMessage, WireError};

use super::checks::{check_history, check_state, parse};
use super::{Asked, Client};
use crate::net::Wire;
use crate::truth::Truth;

impl Client {
    /// Handles one message of the server. An error if it is wrong.
    pub fn receive(&mut self, payload: &[u8], truth: &Truth) -> Result<(), String> {
        match self.codec.decode_server(payload).map_err(|error| error.to_string())? {
            ServerMessage::Result { id, result } => {
                let (id, asked) = self.take(&id)?;
                self.answered(id, asked, &result, truth)
            }
            ServerMessage::Error { id, error } => {
                let id = id.ok_or_else(|| format!("an error without an id: {error:?}"))?;
                let (id, asked) = self.take(&id)?;
                self.refused(id, asked, &error, truth)
            }
            ServerMessage::Notification { method, params } => {
                self.notified(&method, &params, truth)
            }
        }
    }

    fn take(&mut self, id: &RequestId) -> Result<(i64, Asked), String> {
        let RequestId::Number(id) = id else {
            return Err(format!("an answer to {id:?}, which was not asked"));
        };
        self.floor = self.floors.remove(id).unwrap_or_default();
        self.outstanding
            .remove(id)
            .map(|asked| (*id, asked))
            .ok_or_else(|| format!("a second answer to request {id}"))
    }

    /// No result may arrive of an entity that the token does not cover.
    fn covered(&self, entity: &EntityId) -> Result<(), String> {
        if self.rights.lacks(entity) {
            Err(format!("a result of `{entity}`, which its token does not cover any more"))
        } else {
            Ok(())
        }
    }

    /// A newer token may have arrived after a `connect` but before all its entries were answered.
    fn may_be_covered(&self, entity: &EntityId) -> Result<(), String> {
        if self.rights.never_covers(entity) {
            Err(format!("a result of `{entity}`, which none of its tokens covers"))
        } else {
            Ok(())
        }
    }

    fn answered(
        &mut self,
        id: i64,
        asked: Asked,
        result: &RawJson,
        truth: &Truth,
    ) -> Result<(), String> {
        match asked {
            Asked::Connect(wanted, places) => {
                self.welcomed(id, wanted, places, parse(result)?, truth)?;
            }
            Asked::Refresh => self.rights_changed(id)?,
            Asked::Subscribe(params) => {
                self.covered(&params.entity)?;
                self.subscribed(&params, &parse(result)?, truth)?;
            }
            Asked::Unsubscribe(entity) => self.unsubscribed(entity),
            Asked::Send(op) => self.acknowledged(op, &parse(result)?, truth)?,
            Asked::Read(entity, floor) => {
                self.covered(&entity)?;
                self.state(&entity, floor, &parse(result)?, truth)?;
            }
            Asked::History(params) => {
                self.covered(&params.entity)?;
                check_history(
                    &params,
                    &parse(result)?,
                    self.floor_of(&params.entity),
                    &truth.logs,
                )?;
            }
            Asked::Presence(entity, action) => {
                if action != PresenceAction::Leave {
                    self.covered(&entity)?;
                }
                self.placed(&entity, action, &parse(result)?)?;
            }
            Asked::Signal(_) => {}
        }
        Ok(())
    }

    fn welcomed(
        &mut self,
        id: i64,
        wanted: Vec<params::Subscribe>,
        places: Vec<EntityId>,
        connected: Connected,
        truth: &Truth,
    ) -> Result<(), String> {
        self.rights_changed(id)?;
        self.connected = true;
        self.rights.admitted(self.next_id);
        self.came_back(connected.resumed, truth);
        self.session = Some(connected.session);
        if connected.subscriptions.len() != wanted.len() || connected.presence.len() != places.len()
        {
            return Err("`connect` has not answered all that it was asked for".into());
        }
        for (params, outcome) in wanted.into_iter().zip(connected.subscriptions) {
            if outcome.entity != params.entity {
                return Err(format!(
                    "`connect` answered `{}` in place of `{}`",
                    outcome.entity, params.entity
                ));
            }
            match (outcome.result, outcome.error) {
                (Some(subscribed), None) => {
                    self.may_be_covered(&params.entity)?;
                    self.subscribed(&params, &subscribed, truth)?;
                }
                (None, Some(error)) => self.refused(id, Asked::Subscribe(params), &error, truth)?,
                other => return Err(format!("`{}`: {other:?}", params.entity)),
            }
        }
        for (entity, outcome) in places.into_iter().zip(connected.presence) {
            match (outcome.result, outcome.error) {
                (Some(list), None) if outcome.entity == entity => {
                    self.may_be_covered(&entity)?;
                    self.placed(&entity, PresenceAction::Enter, &list)?;
                }
                (None, Some(error)) if outcome.entity == entity => {
                    self.refused(
                        id,
                        Asked::Presence(entity, PresenceAction::Enter),
                        &error,
                        truth,
                    )?;
                }
                other => return Err(format!("`{entity}`: {other:?}")),
            }
        }
        Ok(())
    }

    fn refused(
        &mut self,
        id: i64,
        asked: Asked,
        error: &WireError,
        truth: &Truth,
    ) -> Result<(), String> {
        let code = error.data.code;
        self.over_limit(id, error)?;
        if code == ErrorCode::Forbidden
            && asked.entity(&self.ops).is_none_or(|entity| !self.rights.may_be_refused(id, entity))
        {
            return Err(format!("{asked:?} was refused, and its token covers that: {error:?}"));
        }
        self.waits_until = truth.now.mono + error.data.retry_after_ms.unwrap_or(0);
        let again = matches!(
            code,
            ErrorCode::Unavailable
                | ErrorCode::Overloaded
                | ErrorCode::TooManyInFlight
                | ErrorCode::ShuttingDown
                | ErrorCode::Forbidden
                | ErrorCode::RateLimited
        );
        let too_many = code == ErrorCode::TooManySubscriptions;
        match asked {
            Asked::Send(op) => self.op_refused(op, error, truth),
            Asked::Presence(entity, action)
                if again || (too_many && action == PresenceAction::Enter) =>
            {
                self.not_placed(&entity, action, error);
                Ok(())
            }
            Asked::Subscribe(params) if too_many => self.cannot_follow(&params.entity),
            // The close follows.
            Asked::Connect(..) if code == ErrorCode::TokenExpired => {
                self.rights.has_expired(id, truth.latest)
            }
            Asked::Refresh if code == ErrorCode::TokenExpired => {
                let expired = self.rights.has_expired(id, truth.latest);
                self.rights.not_shown(id);
                expired
            }
            Asked::Refresh if code == ErrorCode::RateLimited => {
                self.rights.not_shown(id);
                Ok(())
            }
            _ if again => Ok(()),
            // A request behind a `connect` that was refused. The close follows.
            _ if code == ErrorCode::NotConnected => Ok(()),
            other => Err(format!("{other:?} was refused: {error:?}")),
        }
    }

    fn state(
        &mut self,
        entity: &EntityId,
        floor: Seq,
        state: &State,
        truth: &Truth,
    ) -> Result<(), String> {
        if state.seq < floor {
            return Err(format!(
                "`{entity}` was read at {} after {floor} had been seen",
                state.seq
            ));
        }
        check_state(&truth.logs.0[entity], state.seq, &state.state, "read")?;
        self.stats.reads += 1;
        self.saw(entity, state.seq);
        Ok(())
    }

    /// The node has closed the connection. An error if it may not.
    pub fn closed(
        &mut self,
        code: Option<CloseCode>,
        wire: &Wire,
        truth: &Truth,
    ) -> Result<(), String> {
        let allowed = match code {
            None => true,
            Some(CloseCode::ShuttingDown) => self.goodbye,
            Some(CloseCode::SlowConsumer) => {
                self.stats.slow_closed += 1;
                self.may_be_slow
            }
            Some(CloseCode::TokenExpired) => {
                self.stats.tokens_expired += 1;
                self.rights.may_have_expired(truth.latest)
            }
            Some(_) => false,
        };
        self.disconnected(wire);
        allowed.then_some(()).ok_or_else(|| format!("the connection was closed with {code:?}"))
    }
}

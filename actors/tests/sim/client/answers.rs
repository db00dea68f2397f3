//! What a client makes of answers.

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::results::{Connected, State};
use greenroom_protocol::{EntityId, ErrorCode, RawJson, RequestId, Seq, ServerMessage, WireError};

use super::checks::{check_history, check_state, parse};
use super::{Asked, Client};
use crate::net::Wire;
use crate::truth::Truth;

impl Client {
    /// Takes one message of the server, and says what is wrong with it.
    pub fn receive(&mut self, payload: &[u8], truth: &Truth) -> Result<(), String> {
        match self.codec.decode_server(payload).map_err(|error| error.to_string())? {
            ServerMessage::Result { id, result } => {
                let asked = self.take(&id)?;
                self.answered(asked, &result, truth)
            }
            ServerMessage::Error { id, error } => {
                let id = id.ok_or_else(|| format!("an error without an id: {error:?}"))?;
                let asked = self.take(&id)?;
                self.refused(asked, &error, truth)
            }
            ServerMessage::Notification { method, params } => self.notified(&method, &params, truth),
        }
    }

    fn take(&mut self, id: &RequestId) -> Result<Asked, String> {
        let RequestId::Number(id) = id else { return Err(format!("an answer to {id:?}, which was not asked")) };
        self.outstanding.remove(id).ok_or_else(|| format!("a second answer to request {id}"))
    }

    fn answered(&mut self, asked: Asked, result: &RawJson, truth: &Truth) -> Result<(), String> {
        match asked {
            Asked::Connect(wanted) => {
                let connected: Connected = parse(result)?;
                self.connected = true;
                self.came_back(connected.resumed, truth);
                self.session = Some(connected.session);
                if connected.subscriptions.len() != wanted.len() {
                    return Err("`connect` has not answered all subscriptions".into());
                }
                for (params, outcome) in wanted.into_iter().zip(connected.subscriptions) {
                    if outcome.entity != params.entity {
                        return Err(format!("`connect` answered `{}` in place of `{}`", outcome.entity, params.entity));
                    }
                    if let Some(subscribed) = outcome.result {
                        self.subscribed(&params, &subscribed, truth)?;
                    }
                }
            }
            Asked::Subscribe(params) => self.subscribed(&params, &parse(result)?, truth)?,
            Asked::Unsubscribe(entity) => self.unsubscribed(entity),
            Asked::Send(op) => self.acknowledged(op, &parse(result)?, truth)?,
            Asked::Read(entity, floor) => self.state(&entity, floor, &parse(result)?, truth)?,
            Asked::History(params) => check_history(&params, &parse(result)?, &truth.logs)?,
            Asked::Presence(entity, action) => self.placed(&entity, action, &parse(result)?)?,
            Asked::Signal => {}
        }
        Ok(())
    }

    fn refused(&mut self, asked: Asked, error: &WireError, truth: &Truth) -> Result<(), String> {
        let code = error.data.code;
        self.waits_until = truth.now.mono + error.data.retry_after_ms.unwrap_or(0);
        let again = matches!(code, ErrorCode::Unavailable | ErrorCode::Overloaded | ErrorCode::TooManyInFlight | ErrorCode::ShuttingDown);
        match asked {
            Asked::Send(op) => self.op_refused(op, error, truth),
            Asked::Presence(entity, action) if again => {
                self.not_placed(&entity, action, error);
                Ok(())
            }
            _ if again => Ok(()),
            // What came behind a `connect` that is refused. The close follows.
            _ if code == ErrorCode::NotConnected => Ok(()),
            other => Err(format!("{other:?} was refused: {error:?}")),
        }
    }

    fn state(&mut self, entity: &EntityId, floor: Seq, state: &State, truth: &Truth) -> Result<(), String> {
        if state.seq < floor {
            return Err(format!("`{entity}` was read at {} after {floor} had been seen", state.seq));
        }
        check_state(&truth.logs.0[entity], state.seq, &state.state, "read")?;
        self.stats.reads += 1;
        self.saw(entity, state.seq);
        Ok(())
    }

    /// The node has closed the connection: whether it may.
    pub fn closed(&mut self, code: Option<CloseCode>, wire: &Wire) -> Result<(), String> {
        let allowed = match code {
            None => true,
            Some(CloseCode::ShuttingDown) => self.goodbye,
            Some(CloseCode::SlowConsumer) => {
                self.stats.slow_closed += 1;
                self.may_be_slow
            }
            Some(_) => false,
        };
        self.disconnected(wire);
        allowed.then_some(()).ok_or_else(|| format!("the connection was closed with {code:?}"))
    }
}

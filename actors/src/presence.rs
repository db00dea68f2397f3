//! Who is in an entity: users with their sessions, and what changed since that was last told.
//!
//! Telling everybody of everybody costs the square of their number, and nobody reads a list of
//! thousands. So more than `most_listed` users are a crowd: only their number is told, until they are
//! a quarter fewer than that. The gap is there so that one user who comes and goes does not make
//! everybody get the list each time.

use std::sync::Arc;

use greenroom_protocol::RawJson;
use greenroom_protocol::results::Member;

use crate::few::Few;
use crate::ids::{NodeIndex, SessionKey};
use crate::rare::Rare;

#[cfg(test)]
mod tests;

/// There are as many users as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the presence is full: {max_users} users are here")]
pub struct Full {
    /// The limit.
    pub max_users: usize,
}

/// What there is to tell since the last call of [`Presence::take_news`].
#[derive(Debug, PartialEq)]
pub enum News {
    /// Who came, changed and went.
    Changes(PresenceChangeParts),
    /// How many are here: they are a crowd.
    Count(u64),
    /// Everybody: they are a crowd no more, and nobody knows who they are.
    List(Vec<Member>),
}

/// Changes, each list sorted by user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PresenceChangeParts {
    /// Users who were not here before.
    pub joined: Vec<Member>,
    /// Users whose meta or number of sessions differs.
    pub updated: Vec<Member>,
    /// Users who are here no more.
    pub left: Vec<String>,
    /// How many are here now.
    pub count: u64,
}

impl PresenceChangeParts {
    /// The same in parts that hold at most `most` entries each, so that no notification grows
    /// without bound.
    pub fn split(self, most: usize) -> impl Iterator<Item = Self> {
        let Self { joined, updated, left, count } = self;
        let mut joined = joined.into_iter();
        let mut updated = updated.into_iter();
        let mut left = left.into_iter();
        std::iter::from_fn(move || {
            let mut part = Self { count, ..Self::default() };
            part.joined.extend(joined.by_ref().take(most));
            part.updated.extend(updated.by_ref().take(most - part.joined.len()));
            part.left.extend(left.by_ref().take(most - part.joined.len() - part.updated.len()));
            (!(part.joined.is_empty() && part.updated.is_empty() && part.left.is_empty()))
                .then_some(part)
        })
    }
}

/// One user who is here.
#[derive(Debug, Clone, PartialEq)]
struct User {
    meta: RawJson,
    sessions: u32,
}

impl User {
    fn member(&self, name: &str) -> Member {
        Member { user: name.into(), meta: self.meta.clone(), sessions: self.sessions }
    }
}

/// A user and whose meta is shown: that of the session which set it last, of those that are here.
#[derive(Debug)]
pub(crate) struct Here {
    shown: User,
    by: SessionKey,
    /// What the others have set, the latest last: at most [`OTHERS`] of them. Few users have
    /// several sessions.
    others: Rare<Vec<(SessionKey, RawJson)>>,
}

/// How many of a user's metas are kept besides the one that is shown. Once all sessions whose meta
/// is known have left, the last one stays.
const OTHERS: usize = 16;

impl Here {
    fn new(by: SessionKey, meta: RawJson) -> Self {
        Self { shown: User { meta, sessions: 0 }, by, others: Rare::default() }
    }

    /// Shows what `session` has set now.
    fn show(&mut self, session: SessionKey, meta: RawJson) {
        let before = std::mem::replace(&mut self.shown.meta, meta);
        if self.by == session {
            return;
        }
        let last = (std::mem::replace(&mut self.by, session), before);
        self.others.change(Vec::new, |others| {
            others.retain(|(other, _)| *other != session);
            if others.len() == OTHERS {
                others.remove(0);
            }
            others.push(last);
        });
    }

    /// Forgets what `session` has set.
    fn hide(&mut self, session: SessionKey) {
        if self.by != session {
            self.others.change_if_any(|others| others.retain(|(other, _)| *other != session));
        } else if let Some((by, meta)) = self.others.change_if_any(Vec::pop).flatten() {
            self.by = by;
            self.shown.meta = meta;
        }
    }

    /// Session `to` is what `from` was.
    fn rename(&mut self, from: SessionKey, to: SessionKey) {
        let renamed =
            |session: &mut SessionKey| *session = if *session == from { to } else { *session };
        renamed(&mut self.by);
        self.others.change_if_any(|others| {
            for (other, _) in others {
                renamed(other);
            }
        });
    }
}

/// Who is here. Bounded by `max_users`; sessions are bounded by the connections that there are.
#[derive(Debug, Default)]
pub struct Presence {
    max_users: u32,
    most_listed: u32,
    users: Few<Arc<str>, Here>,
    sessions: Few<SessionKey, Arc<str>>,
    /// What was last told of the users who changed since: `None` for those who were not here. A
    /// user who came and went in between is not in it, so that it has at most `max_users` entries
    /// for each side of the change.
    before: Few<Arc<str>, Option<User>>,
    /// They are too many to tell who they are. `before` is empty then.
    crowd: Option<Box<Crowd>>,
}

/// What is known of how much of a crowd was told.
#[derive(Debug, Default)]
struct Crowd {
    /// How many were last said to be here.
    announced: Option<usize>,
    /// Somebody came or went since.
    stirred: bool,
}

impl Presence {
    /// Nobody is here; at most `max_users` can be, and more than `most_listed` are a crowd.
    pub fn new(max_users: usize, most_listed: usize) -> Self {
        let bound = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
        Self { max_users: bound(max_users), most_listed: bound(most_listed), ..Self::default() }
    }

    /// Adds `session` of `user`, or sets the user's meta anew.
    ///
    /// # Errors
    /// Where the user is not here yet and there is no room for another one; nothing changes then.
    pub fn enter(
        &mut self,
        session: SessionKey,
        user: &Arc<str>,
        meta: RawJson,
    ) -> Result<(), Full> {
        let known = self.sessions.get(&session);
        if known.is_some_and(|known| known == user) {
            self.remember(user);
            let entry = self.users.get_mut(user).expect("a session's user is here");
            entry.show(session, meta);
            return Ok(());
        }
        let max_users = self.max_users as usize;
        if !self.users.contains_key(user) && self.users.len() >= max_users {
            return Err(Full { max_users });
        }
        // A session has one user; should it ever come back as another, the first one is not left
        // behind.
        self.leave(session);
        self.remember(user);
        // The table's own copy of the name, so that a user's sessions share one.
        let name =
            self.users.get_key_value(user).map_or_else(|| user.clone(), |(name, _)| name.clone());
        if !self.users.contains_key(&name) {
            self.users.insert(name.clone(), Here::new(session, RawJson::NULL));
        }
        let entry = self.users.get_mut(&name).expect("it has entered");
        entry.show(session, meta);
        entry.shown.sessions += 1;
        self.sessions.insert(session, name);
        if self.users.len() > self.most_listed as usize && self.crowd.is_none() {
            self.crowd = Some(Box::new(Crowd { announced: None, stirred: true }));
            self.before = Few::new();
        }
        Ok(())
    }

    /// Lets session `to` take the place of `from`, which is the same user's, without a change to
    /// tell. Where `from` is not here, `to` enters; where there is no room for it, it is not here.
    pub fn adopt(&mut self, from: SessionKey, to: SessionKey, user: &Arc<str>, meta: RawJson) {
        if from != to
            && !self.contains(to)
            && let Some(name) = self.sessions.remove(&from)
        {
            self.users.get_mut(&name).expect("a session's user is here").rename(from, to);
            self.sessions.insert(to, name);
            return;
        }
        if !self.contains(to) {
            // Nobody waits for an answer: whoever comes back to a full entity can see that it is
            // not listed.
            let _ = self.enter(to, user, meta);
        } else if from != to {
            // It has entered by itself already.
            self.leave(from);
        }
    }

    /// Removes `session`; false where it was not here.
    pub fn leave(&mut self, session: SessionKey) -> bool {
        let Some(user) = self.sessions.remove(&session) else { return false };
        self.remember(&user);
        let entry = self.users.get_mut(&user).expect("a session's user is here");
        entry.hide(session);
        entry.shown.sessions -= 1;
        if entry.shown.sessions == 0 {
            self.users.remove(&user);
            if self.before.get(&user) == Some(&None) {
                self.before.remove(&user);
            }
        }
        true
    }

    /// The sessions that are here.
    pub fn sessions(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.sessions.iter().map(|(session, _)| *session)
    }

    /// The sessions of a node that are here.
    pub fn of_node(&self, node: NodeIndex) -> Vec<SessionKey> {
        self.sessions().filter(|session| session.node == node).collect()
    }

    /// Whether `session` is here.
    pub fn contains(&self, session: SessionKey) -> bool {
        self.sessions.contains_key(&session)
    }

    /// How many users are here.
    pub fn count(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody is here and nothing is left to tell.
    pub fn is_idle(&self) -> bool {
        self.users.is_empty() && !self.is_dirty()
    }

    /// Everybody, sorted by user; `None` while they are a crowd.
    pub fn list(&self) -> Option<Vec<Member>> {
        self.crowd.is_none().then(|| self.everybody())
    }

    /// How many, and who, as was last told: where whoever hears of changes from now on begins. With
    /// what is not told yet it could hold somebody whose coming and going cancel each other out,
    /// and of whom it would never hear again.
    pub fn as_announced(&self) -> (u64, Option<Vec<Member>>) {
        if let Some(crowd) = &self.crowd {
            return (crowd.announced.unwrap_or(self.users.len()) as u64, None);
        }
        let same = self
            .users
            .iter()
            .filter(|(name, _)| !self.before.contains_key(*name))
            .map(|(name, user)| user.shown.member(name));
        let changed =
            self.before.iter().filter_map(|(name, before)| Some(before.as_ref()?.member(name)));
        let mut members: Vec<Member> = same.chain(changed).collect();
        members.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        (members.len() as u64, Some(members))
    }

    fn everybody(&self) -> Vec<Member> {
        let mut members: Vec<Member> =
            self.users.iter().map(|(name, user)| user.shown.member(name)).collect();
        members.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        members
    }

    /// Whether there may be something to tell. Changes that cancel each other out can make it true
    /// for nothing.
    pub fn is_dirty(&self) -> bool {
        self.crowd.as_ref().map_or(!self.before.is_empty(), |crowd| crowd.stirred)
    }

    /// What there is to tell since the last call, if anything.
    pub fn take_news(&mut self) -> Option<News> {
        let count = self.users.len();
        let Some(crowd) = &mut self.crowd else { return self.take_changes().map(News::Changes) };
        if count <= self.most_listed as usize * 3 / 4 {
            self.crowd = None;
            return Some(News::List(self.everybody()));
        }
        crowd.stirred = false;
        let changed = crowd.announced.replace(count) != Some(count);
        changed.then_some(News::Count(count as u64))
    }

    fn take_changes(&mut self) -> Option<PresenceChangeParts> {
        let mut parts =
            PresenceChangeParts { count: self.users.len() as u64, ..Default::default() };
        // A crowd that came and went would otherwise leave its table behind.
        for (name, before) in std::mem::take(&mut self.before).into_entries() {
            match (before, self.users.get(&name)) {
                (None, Some(now)) => parts.joined.push(now.shown.member(&name)),
                (Some(before), Some(now)) if before != now.shown => {
                    parts.updated.push(now.shown.member(&name));
                }
                (Some(_), None) => parts.left.push(name.as_ref().into()),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        if parts.joined.is_empty() && parts.updated.is_empty() && parts.left.is_empty() {
            return None;
        }
        parts.joined.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        parts.updated.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        parts.left.sort_unstable();
        Some(parts)
    }

    /// Keeps what was last told of `user`, before its first change since.
    fn remember(&mut self, user: &Arc<str>) {
        if let Some(crowd) = &mut self.crowd {
            crowd.stirred = true;
        } else if !self.before.contains_key(user) {
            self.before.insert(user.clone(), self.users.get(user).map(|user| user.shown.clone()));
        }
    }
}

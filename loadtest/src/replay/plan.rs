//! From a log to a plan: which session does what, and when.

use std::collections::{HashMap, HashSet};

use crate::irc::{Entry, Timed};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The nick that each session begins with.
    pub sessions: Vec<String>,
    /// The sessions that are there before the first step: those of nicks that do something before
    /// they join.
    pub present: Vec<usize>,
    pub steps: Vec<Step>,
    /// The lines, in the order in which they are said.
    pub lines: Vec<String>,
    /// Lines of the log that are nobody's.
    pub notices: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, in seconds of the log.
    pub at_s: f64,
    /// Who: an index into `sessions`.
    pub session: usize,
    pub act: Act,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Join,
    /// It says the line with this index.
    Say(usize),
    Rename(String),
    Leave,
}

#[derive(Default)]
struct Planner<'a> {
    plan: Plan,
    here: HashMap<&'a str, usize>,
    seen: HashSet<&'a str>,
}

impl Plan {
    /// Makes the plan. A nick that comes back is a new session. A nick that speaks, leaves or
    /// renames before it was ever seen was there from the start; one that does so after it left
    /// comes back first.
    pub fn new(log: &[Timed]) -> Self {
        let mut planner = Planner::default();
        for line in log {
            planner.line(line);
        }
        planner.plan
    }
}

impl<'a> Planner<'a> {
    fn line(&mut self, line: &'a Timed) {
        let at_s = line.at_s;
        match &line.entry {
            Entry::Notice => self.plan.notices += 1,
            Entry::Joins(nick) => {
                if !self.here.contains_key(nick.as_str()) {
                    self.join(at_s, nick);
                }
            }
            Entry::Leaves(nick) => {
                if self.here.contains_key(nick.as_str()) || !self.seen.contains(nick.as_str()) {
                    let session = self.session(at_s, nick);
                    self.leave(at_s, nick, session);
                }
            }
            Entry::Renames { from, to } => {
                let session = self.session(at_s, from);
                self.here.remove(from.as_str());
                // The log does not say when the previous owner of the name left, but they cannot be
                // there any more.
                if let Some(ghost) =
                    self.here.get(to.as_str()).copied().filter(|ghost| *ghost != session)
                {
                    self.leave(at_s, to, ghost);
                }
                self.here.insert(to, session);
                self.seen.insert(to);
                self.plan.steps.push(Step { at_s, session, act: Act::Rename(to.clone()) });
            }
            Entry::Says { nick, text } => {
                let session = self.session(at_s, nick);
                let act = Act::Say(self.plan.lines.len());
                self.plan.lines.push(text.clone());
                self.plan.steps.push(Step { at_s, session, act });
            }
        }
    }

    /// The session of a nick that does something, and therefore is there.
    fn session(&mut self, at_s: f64, nick: &'a str) -> usize {
        if let Some(session) = self.here.get(nick) {
            return *session;
        }
        if self.seen.contains(nick) {
            return self.join(at_s, nick);
        }
        let session = self.add(nick);
        self.plan.present.push(session);
        session
    }

    fn join(&mut self, at_s: f64, nick: &'a str) -> usize {
        let session = self.add(nick);
        self.plan.steps.push(Step { at_s, session, act: Act::Join });
        session
    }

    fn add(&mut self, nick: &'a str) -> usize {
        let session = self.plan.sessions.len();
        self.plan.sessions.push(nick.to_owned());
        self.here.insert(nick, session);
        self.seen.insert(nick);
        session
    }

    fn leave(&mut self, at_s: f64, nick: &str, session: usize) {
        self.here.remove(nick);
        self.plan.steps.push(Step { at_s, session, act: Act::Leave });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::irc;

    fn shape(log: &str) -> (String, String) {
        let plan = Plan::new(&irc::parse(log));
        let present: Vec<_> = plan.present.iter().map(|s| plan.sessions[*s].as_str()).collect();
        let steps = plan.steps.iter().map(|step| match &step.act {
            Act::Join => format!("+{}", step.session),
            Act::Leave => format!("-{}", step.session),
            Act::Say(line) => format!("{}:{}", step.session, plan.lines[*line]),
            Act::Rename(to) => format!("{}={to}", step.session),
        });
        (present.join(" "), steps.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn plans() {
        let table = [
            ("[00:00] <a> hi\n[00:00] <b> ho\n", "a b", "0:hi 1:ho"),
            ("=== a has joined #c\n[00:00] <a> hi\n=== a has left #c\n", "", "+0 0:hi -0"),
            ("[00:00] <a> 1\n=== a has left #c\n[00:01] <a> 2\n", "a", "0:1 -0 +1 1:2"),
            ("=== a is now known as b\n[00:00] <b> hi\n[00:00] <a> ho\n", "a", "0=b 0:hi +1 1:ho"),
            ("[00:00] <b> 1\n=== a is now known as b\n[00:00] <b> 2\n", "b a", "0:1 -0 1=b 1:2"),
            ("=== a has left #c\n=== a has left #c\n", "a", "-0"),
            ("=== a has joined #c\n=== a has joined #c\n=== mode/#c [+o a] by b\n", "", "+0"),
            ("[00:00] <a> 1\n=== a is now known as a\n[00:00] <a> 2\n", "a", "0:1 0=a 0:2"),
        ];
        for (log, present, steps) in table {
            assert_eq!(shape(log), (present.to_owned(), steps.to_owned()), "{log}");
        }
    }

    proptest! {
        #[test]
        fn whoever_acts_is_there(acts in prop::collection::vec((0usize..4, 0usize..4, 0usize..4), 0..60)) {
            let nick = |i: usize| format!("n{i}");
            let log: Vec<Timed> = acts.iter().map(|(act, a, b)| {
                let entry = match act {
                    0 => Entry::Joins(nick(*a)),
                    1 => Entry::Leaves(nick(*a)),
                    2 => Entry::Renames { from: nick(*a), to: nick(*b) },
                    _ => Entry::Says { nick: nick(*a), text: String::new() },
                };
                Timed { at_s: 0.0, entry }
            }).collect();
            let plan = Plan::new(&log);
            let mut here: HashSet<usize> = plan.present.iter().copied().collect();
            for step in &plan.steps {
                match step.act {
                    Act::Join => prop_assert!(here.insert(step.session), "session {} joins twice", step.session),
                    Act::Leave => prop_assert!(here.remove(&step.session), "session {} leaves without being there", step.session),
                    Act::Say(_) | Act::Rename(_) => prop_assert!(here.contains(&step.session), "session {} is not there", step.session),
                }
            }
            let said = log.iter().filter(|line| matches!(line.entry, Entry::Says { .. })).count();
            prop_assert_eq!(plan.lines.len(), said);
            let order: Vec<_> = plan.steps.iter().filter_map(|s| if let Act::Say(line) = s.act { Some(line) } else { None }).collect();
            prop_assert_eq!(order, (0..said).collect::<Vec<_>>());
        }
    }
}

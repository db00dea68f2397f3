//! Answers that show the log or its state must show at least what was known before the request, and
//! nothing that differs from the log.

use std::collections::HashMap;

use greenroom_protocol::Seq;

use super::entry::{Entry, Event, Moment, Page, What};
use super::findings::{Findings, Kind, Tally};
use super::known::Known;
use super::log::Log;

/// What was known of a log: to anybody, and to each client.
#[derive(Default)]
pub struct Knowledge {
    pub all: Known,
    own: HashMap<u32, Known>,
}

impl Knowledge {
    /// What `entries` told their clients. What the log does not bear out is wrong already, and
    /// would only make others wrong as well.
    pub fn of(entries: &[&Entry], log: &Log) -> Self {
        let mut knowledge = Self::default();
        for entry in entries {
            if let Some(seq) = told(&entry.what, log).filter(|seq| *seq <= log.head()) {
                knowledge.all.add(entry.t, seq);
                knowledge.own.entry(entry.client).or_default().add(entry.t, seq);
            }
        }
        knowledge.all.sort();
        knowledge.own.values_mut().for_each(Known::sort);
        knowledge
    }

    /// Whether an answer that ends at `seq` shows all that was known when it was asked for.
    pub fn judge(&self, client: u32, asked: Moment, seq: Seq, findings: &mut Findings) {
        let own = self.own.get(&client).map_or(Seq::ZERO, |own| own.before(asked));
        let all = self.all.before(asked);
        if seq < own {
            findings.add(Kind::WentBack, || {
                format!("client {client} had been told of {own}, asked, and was shown {seq}")
            });
        } else if seq < all {
            findings.add(Kind::Stale, || {
                format!("client {client} was shown {seq}, and {all} was known before it asked")
            });
        }
    }
}

/// How far its client then knows the log to reach.
fn told(what: &What, log: &Log) -> Option<Seq> {
    let bears_out = |event: &&Event| log.has(event);
    match what {
        What::Acked { op, seq, at, .. } => {
            Some(*seq).filter(|seq| log.has(&Event { seq: *seq, at: *at, op: *op }))
        }
        What::Told(event) => Some(event).filter(bears_out).map(|event| event.seq),
        What::Page(page) => page.events.last().filter(bears_out).map(|event| event.seq),
        What::Read { seq, .. } | What::Reset { seq, .. } => Some(*seq),
        What::Followed(follow) => Some(follow.seq),
        What::Invoked { .. } | What::Refused { .. } | What::Unfollowed | What::Log { .. } => None,
    }
}

pub fn judge(
    entries: &[&Entry],
    log: &mut Log,
    knowledge: &Knowledge,
    tally: &mut Tally,
    findings: &mut Findings,
) {
    for entry in entries {
        let who = || format!("client {}", entry.client);
        findings.about(entry.t);
        match &entry.what {
            What::Read { asked, epoch, seq, state } => {
                tally.reads += 1;
                if log.is(epoch, findings, who) {
                    log.judge_state(*seq, *state, findings, who);
                    knowledge.judge(entry.client, *asked, *seq, findings);
                }
            }
            What::Page(page) => {
                tally.pages += 1;
                if log.is(&page.epoch, findings, who) {
                    page.events.iter().for_each(|event| log.judge_event(event, findings, who));
                    let end = judge_page(page, log, entry.client, findings);
                    if page.after.is_none() || !page.more {
                        knowledge.judge(entry.client, page.asked, end, findings);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether a page is the stretch that was asked for, without gaps; returns where it ends.
fn judge_page(page: &Page, log: &Log, client: u32, findings: &mut Findings) -> Seq {
    let Page { after, events, more, .. } = page;
    let begin =
        after.or(events.first().map(|event| event.seq.saturating_sub(1))).unwrap_or_default();
    let mut end = begin;
    let mut torn = false;
    for event in events {
        torn |= event.seq != end.next();
        end = event.seq;
    }
    torn |= match after {
        // More can have come since, but not less.
        Some(_) => *more && (events.is_empty() || end >= log.head()),
        None => *more != (begin > Seq::ZERO),
    };
    if torn {
        findings.add(Kind::TornPage, || {
            let seqs = (events.first().map(|event| event.seq), events.last().map(|event| event.seq));
            format!("client {client} asked for a page after {after:?} and got {} events, {seqs:?}, more: {more}", events.len())
        });
    }
    end
}

//! What subscribers were told: each event from their position on, once, in order, and as the log
//! has it, unless a state took its place.

use std::collections::BTreeMap;

use greenroom_protocol::Seq;
use greenroom_protocol::results::SnapshotReason;

use super::entry::{Entry, Follow, Got, Moment, What};
use super::findings::{Findings, Kind, Tally};
use super::log::Log;
use super::reads::Knowledge;
use crate::check::{SeqCheck, Verdict};

/// Judges the subscriptions to an entity. `entries` are in the order of their moments.
pub fn judge(
    entries: &[&Entry],
    log: &mut Log,
    knowledge: &Knowledge,
    tally: &mut Tally,
    findings: &mut Findings,
) {
    let mut views: BTreeMap<u32, View> = BTreeMap::new();
    for entry in entries {
        let client = entry.client;
        findings.about(entry.t);
        match &entry.what {
            What::Followed(follow) => {
                let view = views.entry(client).or_insert(View { client, check: None, heard: 0 });
                view.follow(follow, log, knowledge, tally, findings);
                view.heard = entry.t;
            }
            What::Told(event) => {
                let view = views.get_mut(&client);
                match view.and_then(|view| Some((view.check.as_mut()?, &mut view.heard))) {
                    Some((check, heard)) => {
                        *heard = entry.t;
                        check.event(event.seq);
                        log.judge_event(event, findings, || format!("client {client}"));
                    }
                    None => findings.add(Kind::Unasked, || {
                        format!("client {client} was told of {}, and does not follow", event.seq)
                    }),
                }
            }
            What::Reset { epoch, seq, state, reason } => {
                let Some(view) = views.get_mut(&client).filter(|view| view.check.is_some()) else {
                    findings.add(Kind::Unasked, || {
                        format!("client {client} was reset, and does not follow")
                    });
                    continue;
                };
                if *reason == SnapshotReason::NoPosition {
                    findings.add(Kind::Unreasoned, || {
                        format!("client {client} was reset for want of a position")
                    });
                }
                if log.is(epoch, findings, || format!("client {client}'s reset")) {
                    log.judge_state(*seq, *state, findings, || format!("client {client}"));
                }
                view.jump(*seq, tally, findings);
            }
            What::Unfollowed => {
                if let Some(view) = views.get_mut(&client) {
                    view.end(Seq::ZERO, tally, findings);
                }
            }
            _ => {}
        }
    }
    // Who still follows has been told everything.
    let head = log.head();
    views.values_mut().for_each(|view| view.end(head, tally, findings));
}

/// One client's subscription.
struct View {
    client: u32,
    /// Where it stands; nothing while it does not follow.
    check: Option<SeqCheck>,
    /// When it last received something. What it lacks came after that.
    heard: Moment,
}

impl View {
    /// The subscription begins, or goes on.
    fn follow(
        &mut self,
        follow: &Follow,
        log: &mut Log,
        knowledge: &Knowledge,
        tally: &mut Tally,
        findings: &mut Findings,
    ) {
        let Follow { asked, after, epoch, seq, got } = follow;
        let client = self.client;
        let who = || format!("client {client}");
        let same = log.is(epoch, findings, || format!("client {client}'s subscription"));
        match got {
            Got::Events(events) => {
                let from = after.as_ref().map_or(Seq::ZERO, |after| after.seq);
                // What it did not have when it gave its position was not told before either.
                self.end(from, tally, findings);
                let check = self.check.insert(SeqCheck::after(from));
                for event in events {
                    check.event(event.seq);
                    log.judge_event(event, findings, who);
                }
                let end = check.last();
                if end != *seq || after.as_ref().is_none_or(|after| after.epoch != *epoch) {
                    findings.add(Kind::Misled, || format!("client {client} gave {after:?}, got events up to {end}, and stands at {seq}"));
                }
            }
            Got::Snapshot { state, reason } => {
                if same {
                    log.judge_state(*seq, *state, findings, who);
                }
                let good = match reason {
                    Some(SnapshotReason::NoPosition) => after.is_none(),
                    Some(SnapshotReason::EpochChanged) => {
                        after.as_ref().is_some_and(|after| after.epoch != *epoch)
                    }
                    Some(SnapshotReason::TooOld) => after
                        .as_ref()
                        .is_some_and(|after| after.epoch == *epoch && after.seq < *seq),
                    None => false,
                };
                if !good {
                    findings.add(Kind::Unreasoned, || {
                        format!(
                            "client {client} gave {after:?} and got a state because of {reason:?}"
                        )
                    });
                }
                self.jump(*seq, tally, findings);
            }
        }
        if same {
            knowledge.judge(client, *asked, *seq, findings);
        }
    }

    /// A state takes the place of events: the client stands at `seq` now.
    fn jump(&mut self, seq: Seq, tally: &mut Tally, findings: &mut Findings) {
        if let Some(last) = self.check.as_ref().map(SeqCheck::last) {
            tally.snapshots += 1;
            if seq < last {
                findings.add(Kind::WentBack, || {
                    format!(
                        "client {} stood at {last} and was given the state at {seq}",
                        self.client
                    )
                });
            }
        }
        self.end(Seq::ZERO, tally, findings);
        self.check = Some(SeqCheck::after(seq));
    }

    /// Judges what came since the last position; there should be nothing missing up to its end, and
    /// at least up to `upto`.
    fn end(&mut self, upto: Seq, tally: &mut Tally, findings: &mut Findings) {
        let Some(check) = self.check.take() else { return };
        let client = self.client;
        findings.about(self.heard);
        let Verdict { seen, lost, doubled, reordered } = check.verdict(upto.max(check.last()));
        tally.told += seen;
        findings.add_many(Kind::Skipped, lost, || {
            format!("client {client} was not told {lost} events up to {}", upto.max(check.last()))
        });
        findings.add_many(Kind::Repeated, doubled, || {
            format!("client {client} was told {doubled} events again")
        });
        findings.add_many(Kind::Reordered, reordered, || {
            format!("client {client} was told {reordered} events after later ones")
        });
    }
}

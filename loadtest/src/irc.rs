//! Reading IRC logs: who said what, who came, went and changed names, and when.
//!
//! A line is `[HH:MM] <nick> text`, `[HH:MM]  * nick text` (an action), or begins with `===`: a
//! join, a part, a rename, an action of older logs, or a notice of the server.

/// What one line of a log tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Somebody speaks. Actions read `/me …`.
    Says {
        nick: String,
        /// What; may be empty.
        text: String,
    },
    Joins(String),
    Leaves(String),
    Renames {
        from: String,
        to: String,
    },
    /// A line of nobody: modes, topics, and everything else that does not parse.
    Notice,
}

/// An entry and its time, in seconds since the first line's minute began.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Seconds. Never less than the line's before it.
    pub at_s: f64,
    pub entry: Entry,
}

/// Reads a log. Its times have minutes only, so the lines of one minute are spread evenly over it;
/// a line without a time belongs to the minute of the one before.
pub fn parse(log: &str) -> Vec<Timed> {
    let mut minutes: Vec<(u64, Vec<Entry>)> = Vec::new();
    let (mut clock, mut minute) = (None, 0);
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        let (stamp, entry) = parse_line(line);
        if let Some(now) = stamp {
            minute += clock.map_or(0, |before| passed(before, now));
            clock = Some(now);
        }
        match minutes.last_mut() {
            Some((of, entries)) if *of == minute => entries.push(entry),
            _ => minutes.push((minute, vec![entry])),
        }
    }
    let spread = minutes.into_iter().flat_map(|(minute, entries)| {
        let count = entries.len() as f64;
        entries
            .into_iter()
            .enumerate()
            .map(move |(i, entry)| Timed { at_s: 60.0 * (minute as f64 + i as f64 / count), entry })
    });
    spread.collect()
}

/// Minutes between two readings of the clock. Some logs have twelve hours and some 24, so only
/// differences below six hours mean anything; a clock that was set back stands still.
fn passed(before: u64, now: u64) -> u64 {
    const HALF_DAY: u64 = 12 * 60;
    let difference = (now + 2 * HALF_DAY - before) % HALF_DAY;
    if difference > HALF_DAY / 2 { 0 } else { difference }
}

/// One line: its time in minutes since midnight, if it has one, and what it tells.
pub fn parse_line(line: &str) -> (Option<u64>, Entry) {
    if let Some(rest) = line.strip_prefix("===") {
        return (None, announcement(rest.trim()));
    }
    let Some((stamp, rest)) = stamp(line) else { return (None, Entry::Notice) };
    (Some(stamp), spoken(rest.trim_start()).unwrap_or(Entry::Notice))
}

fn stamp(line: &str) -> Option<(u64, &str)> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (hours, minutes) = time.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some((hours * 60 + minutes, rest))
}

fn spoken(rest: &str) -> Option<Entry> {
    if let Some(rest) = rest.strip_prefix('<') {
        let (nick, text) = rest.split_once('>')?;
        return says(nick.trim(), text.strip_prefix(' ').unwrap_or(text).to_owned());
    }
    let (nick, text) = rest.strip_prefix("* ")?.split_once(' ').unwrap_or((rest, ""));
    says(nick, format!("/me {text}"))
}

fn says(nick: &str, text: String) -> Option<Entry> {
    is_nick(nick).then(|| Entry::Says { nick: nick.to_owned(), text })
}

fn announcement(text: &str) -> Entry {
    let Some((nick, rest)) = text.split_once(' ').filter(|(nick, _)| is_nick(nick)) else {
        return Entry::Notice;
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    // Older logs put `[user@host]` behind the nick.
    let words = if words.first().is_some_and(|w| w.starts_with('[') && w.ends_with(']')) {
        &words[1..]
    } else {
        &words[..]
    };
    match words {
        ["has", "joined", channel, ..] if channel.starts_with('#') => Entry::Joins(nick.to_owned()),
        ["has", "left", channel, ..] if channel.starts_with('#') => Entry::Leaves(nick.to_owned()),
        ["is", "now", "known", "as", to] if is_nick(to) => {
            Entry::Renames { from: nick.to_owned(), to: (*to).to_owned() }
        }
        [] => Entry::Notice,
        _ => Entry::Says { nick: nick.to_owned(), text: format!("/me {}", rest.trim()) },
    }
}

/// Whether IRC allows this as a nick; `mode/#channel`, which notices have in its place, is not one.
fn is_nick(nick: &str) -> bool {
    !nick.is_empty()
        && nick.bytes().all(|b| b.is_ascii_alphanumeric() || b"[]\\`_^{|}-".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn says(nick: &str, text: &str) -> Entry {
        Entry::Says { nick: nick.into(), text: text.into() }
    }

    #[test]
    fn lines() {
        let table = [
            (
                "[12:18] <|zed|> usual, quite stable :)",
                Some(738),
                says("|zed|", "usual, quite stable :)"),
            ),
            ("[00:00] <a> <b> hi", Some(0), says("a", "<b> hi")),
            ("[09:05] <quiet>", Some(545), says("quiet", "")),
            ("[09:05] <pad[] > x", Some(545), says("pad[]", "x")),
            ("[10:00]  * ann prefers tea", Some(600), says("ann", "/me prefers tea")),
            ("=== ann [~ann@10.0.0.1]  has joined #chat", None, Entry::Joins("ann".into())),
            ("=== ann has joined #chat", None, Entry::Joins("ann".into())),
            ("=== ann has left #chat [\"Leaving\"]", None, Entry::Leaves("ann".into())),
            (
                "=== ann is now known as ann_[away]",
                None,
                Entry::Renames { from: "ann".into(), to: "ann_[away]".into() },
            ),
            ("=== ann is now known as", None, says("ann", "/me is now known as")),
            (
                "=== ann is now known as the queen",
                None,
                says("ann", "/me is now known as the queen"),
            ),
            ("=== ann has left the building", None, says("ann", "/me has left the building")),
            ("=== mode/#chat [+o ann]  by bob", None, Entry::Notice),
            ("=== ..[topic/#chat:bob] : Be kind", None, Entry::Notice),
            ("[25:00] <ann> hi", None, Entry::Notice),
            ("no log at all", None, Entry::Notice),
        ];
        for (line, stamp, entry) in table {
            assert_eq!(parse_line(line), (stamp, entry), "{line}");
        }
    }

    #[test]
    fn a_minute_is_shared_evenly() {
        let log = "[23:59] <a> 1\n[23:59] <a> 2\n=== b has joined #c\n[23:59] <a> 3\n\n[00:00] <a> 4\n[00:02] <a> 5\n";
        let at: Vec<f64> = parse(log).iter().map(|line| line.at_s).collect();
        assert_eq!(at, [0.0, 15.0, 30.0, 45.0, 60.0, 180.0]);
    }

    #[test]
    fn clocks_of_twelve_hours_and_clocks_set_back() {
        let table = [
            (59, 60, 1),
            (23 * 60 + 59, 0, 1),
            (12 * 60 + 59, 60, 1),
            (10, 10, 0),
            (10, 9, 0),
            (0, 300, 300),
        ];
        for (before, now, want) in table {
            assert_eq!(passed(before, now), want, "{before} {now}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_time_never_runs_back(log in "(\\[[0-9]{2}:[0-9]{2}\\]|===|)[ <>*a-z#é\\[\\]]{0,20}\n{0,2}") {
            let lines = parse(&log.repeat(3));
            prop_assert!(lines.windows(2).all(|w| w[0].at_s <= w[1].at_s));
        }

        #[test]
        fn what_is_said_survives(nick in "[a-zA-Z0-9_|`^{}\\[\\]-]{1,16}", text in "[^\r\n]{0,80}") {
            let (_, entry) = parse_line(&format!("[12:34] <{nick}> {text}"));
            prop_assert_eq!(entry, Entry::Says { nick, text });
        }
    }
}

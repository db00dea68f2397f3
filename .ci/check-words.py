"""Fails when a name in the core uses one of the glossary's words in a second meaning.

Each word below has one meaning, and a list of the files that use it. The names in `actors/src` are checked word by word
(`AudienceForgotten` is `audience` and `forgotten`); tests, comments and texts are not. To use a word with the same
meaning in one more file, add the file here.
"""

import re
import sys
from pathlib import Path

from rust import end_of, end_of_item, tokens

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "actors" / "src"

# The word and its other forms: its meaning, the files that use it, and what else to say.
WORDS = {
    ("adopt", "adopted", "adopts"): (
        "a session takes over another session's presence",
        {
            "directory/slots.rs",
            "entity/state.rs",
            "messages.rs",
            "messages/entity.rs",
            "messages/remote/ask.rs",
            "messages/remote/tell.rs",
            "node/outgoing.rs",
            "presence.rs",
            "relay/state/places.rs",
        },
        "`take`, or what is done with it",
    ),
    ("gather", "gathered", "gathering", "gathers"): (
        "messages collect in the journal's queue while a transaction runs, for the next one",
        {"journal/batch.rs", "journal/committer.rs"},
        "`collect`, or what the whole is called",
    ),
    ("lost",): (
        "a session's connection is lost; in the store with faults, an answer is",
        {"relay/parked.rs", "store/memory.rs", "store/memory/faults.rs"},
        "`unsettled` of an op, `forgotten` of an audience",
    ),
    ("told",): ("", set(), "`announced`, `reported` or `notified`"),
    ("turn", "turns"): (
        "permission to read a page for paused subscriptions",
        {"entity.rs", "entity/actor.rs", "entity/env.rs", "entity/shell.rs", "entity/turns.rs"},
        "`permit`, or `order`",
    ),
    ("room", "rooms"): (
        "the kind of entity",
        {"behaviour.rs", "behaviour/room.rs", "behaviour/room/message.rs"},
        "`space` or `capacity`",
    ),
}


def names(path):
    """The names in a file without its tests, each with its line."""
    code, at = tokens(path.read_text()), 0
    while at < len(code):
        word, line = code[at]
        if word == "#" and [token for token, _ in code[at + 1 : at + 5]] == ["[", "cfg", "(", "test"]:
            at = end_of_item(code, end_of(code, at + 1))
            continue
        if re.fullmatch(r"[A-Za-z_]\w*", word):
            yield word, line
        at += 1


def is_test(path):
    inside = path.relative_to(CORE)
    return "tests" in inside.parts or inside.name in ("tests.rs", "testing.rs", "conformance.rs")


def main():
    homes = {word: entry for words, entry in WORDS.items() for word in words}
    bad, used = 0, set()
    for path in sorted(CORE.rglob("*.rs")):
        if is_test(path):
            continue
        file = str(path.relative_to(CORE))
        for name, line in names(path):
            for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name):
                entry = homes.get(word.lower())
                if entry is None:
                    continue
                meaning, files, instead = entry
                if file in files:
                    used.add((meaning, file))
                    continue
                bad += 1
                why = f"means \"{meaning}\"" if meaning else "means too many things"
                print(f"check-words: actors/src/{file}:{line}: `{name}`: `{word.lower()}` {why}; say {instead}")
    for meaning, files, _ in WORDS.values():
        for file in sorted(files):
            if (meaning, file) not in used:
                bad += 1
                print(f"check-words: actors/src/{file} is listed for \"{meaning}\" and does not use the word")
    if bad:
        sys.exit(f"check-words: {bad} found; the glossary is in ARCHITECTURE.md")
    print(f"  {len(WORDS)} words have one meaning")


main()

"""Fails when a module has no head comment, or a public item of a library crate has no documentation.

Public items are the types, traits, functions and constants at the top level of a module in `protocol` and `actors`.
Fields, variants and methods are documented if there is more to say than their name does, which no program can judge, so
rustc's `missing_docs` is off: it asks for a comment on every one of them.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES = ("protocol", "actors", ".")
LIBRARIES = CRATES[:2]
ITEM = re.compile(r"pub (?:const |async |unsafe )*(?:struct|enum|union|trait|type|fn|const|static) (\w+)")
BETWEEN = re.compile(r"#\[|[\])}]|\s|// ")


def undocumented(lines):
    """The public items that no doc comment precedes, each with its line."""
    documented = False
    for number, line in enumerate(lines, 1):
        if line.startswith("///"):
            documented = True
        elif match := ITEM.match(line):
            if not documented:
                yield match.group(1), number
            documented = False
        elif not BETWEEN.match(line):
            documented = False


def main():
    bad, items = [], 0
    for crate in CRATES:
        for path in sorted((ROOT / crate / "src").rglob("*.rs")):
            lines = path.read_text().splitlines()
            name = path.relative_to(ROOT)
            if path.name != "tests.rs" and not (lines and lines[0].startswith("//!")):
                bad.append(f"{name}: begin the file with `//!` and what it is for")
            if crate in LIBRARIES:
                items += sum(ITEM.match(line) is not None for line in lines)
                bad += [f"{name}:{number}: `{item}` has no documentation" for item, number in undocumented(lines)]
    for problem in bad:
        print(f"check-item-docs: {problem}")
    if bad:
        sys.exit(f"check-item-docs: {len(bad)} found")
    print(f"  {items} public items are documented")


main()

"""The code and the tables of the documentation's pages."""

import re

from .schema import DOCS


def snippet(page, name):
    """The fence below the comment `<!-- file: name -->`."""
    found = re.findall(rf"<!-- file: {re.escape(name)} -->\n```\w*\n(.*?)^```$", (DOCS / page).read_text(), re.S | re.M)
    assert len(found) == 1, f"docs/{page} has `{name}` {len(found)} times"
    return found[0]


def rows(page, heading):
    """The cells of the tables below that heading, their own headings left out."""
    section = re.split(r"\n#+ ", (DOCS / page).read_text().split(f"\n## {heading}\n", 1)[1], maxsplit=1)[0]
    tables = re.findall(r"(?:^\|.*\n)+", section + "\n", re.M)
    lines = [line for table in tables for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

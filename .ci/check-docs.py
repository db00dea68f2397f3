"""Checks the Markdown files: every relative link and anchor leads somewhere, and prose is wrapped at 100 columns.

Tables, code fences, headings and lines that a link or a long name makes longer are not prose."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100
FENCE = re.compile(r"^\s*(```|~~~)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
DEFINITION = re.compile(r"^\[[^\]]+\]:\s+<?(\S+?)>?\s*$", re.M)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.S)

problems = []


def problem(path, line, text):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def files():
    """Markdown that is tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def outside_fences(text):
    """The text with the lines of code fences emptied, so that line numbers stay."""
    inside, lines = None, []
    for line in text.split("\n"):
        fence = FENCE.match(line)
        if fence and (inside is None or inside == fence[1]):
            inside = fence[1] if inside is None else None
            lines.append("")
        else:
            lines.append("" if inside else line)
    return "\n".join(lines)


def slug(heading):
    """The anchor that GitHub gives a heading: lower case, punctuation gone, each space a hyphen."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().rstrip("#").strip())
    text = text.replace("`", "").replace("*", "").lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(path):
    text = outside_fences(path.read_text())
    seen, found = {}, set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#{1,6}\s+(.+)$", text, re.M):
        name = slug(heading)
        seen[name] = seen.get(name, -1) + 1
        found.add(name if seen[name] == 0 else f"{name}-{seen[name]}")
    return found


def check_links(path, text):
    # Code spans hold examples, not links.
    plain = CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    for pattern in (LINK, DEFINITION):
        for match in pattern.finditer(plain):
            target, line = match[1], plain.count("\n", 0, match.start()) + 1
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = target.partition("#")
            to = (path.parent / name).resolve() if name else path
            if not to.exists():
                problem(path, line, f"`{target}` leads to no file")
            elif anchor and (to.suffix != ".md" or anchor not in anchors(to)):
                problem(path, line, f"`{target}`: {to.relative_to(ROOT)} has no heading `{anchor}`")


def check_width(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) <= WIDTH or line.lstrip().startswith(("|", "#", "<!--")) or DEFINITION.match(line):
            continue
        # What cannot be broken: a link or a code span that is longer than the rest of its line allows.
        longest = max((len(word) for word in re.split(r"\s+", LINK.sub(lambda link: link[0].replace(" ", "_"), line))), default=0)
        if longest < WIDTH // 2:
            problem(path, number, f"{len(line)} columns; wrap prose at {WIDTH}")


def main():
    documents = files()
    for path in documents:
        text = outside_fences(path.read_text())
        check_links(path, text)
        check_width(path, text)
    for text in problems:
        print(f"check-docs: {text}", file=sys.stderr)
    print(f"check-docs: {len(documents)} pages, {len(problems)} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())

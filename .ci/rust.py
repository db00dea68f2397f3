"""What the checks of Rust code need: its words and signs, and where brackets and items end."""

import re

TOKEN = re.compile(
    r"""
      (?P<skip>\s+|//[^\n]*)
    | (?P<block>/\*)
    | (?P<raw>b?r(?P<hashes>\#*)"(?:.|\n)*?"(?P=hashes))
    | (?P<string>b?"(?:\\.|[^"\\])*")
    | (?P<char>b?'(?:\\(?:[^u]|u\{[^}]*\})|[^'\\])')
    | (?P<lifetime>'\w+)
    | (?P<word>(?:r\#)?[A-Za-z_]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<path>::)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
OPEN, CLOSE = {"(", "[", "{"}, {")", "]", "}"}
ITEMS = {"pub", "fn", "async", "unsafe", "const", "static", "struct", "enum", "impl", "trait", "type", "mod", "use", "let", "macro_rules", "extern"}


def tokens(text):
    """The words and signs of a file with their lines; comments are left out, a string is one token."""
    found, at, line = [], 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        end = match.end()
        if match.lastgroup == "block":
            depth = 1
            while depth and end < len(text):
                if text.startswith("/*", end):
                    depth, end = depth + 1, end + 2
                elif text.startswith("*/", end):
                    depth, end = depth - 1, end + 2
                else:
                    end += 1
        elif match.lastgroup != "skip":
            found.append((match.group(), line))
        line += text.count("\n", at, end)
        at = end
    return found


def end_of(code, at):
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    while at < len(code):
        if code[at][0] in OPEN:
            depth += 1
        elif code[at][0] in CLOSE:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at


def end_of_item(code, at):
    """Behind the item, field or statement that begins at `at`."""
    first = code[at][0]
    if first == "pub":
        at += 1
        if code[at][0] == "(":
            at = end_of(code, at)
    if code[at][0] in ("use", "let", "static", "type"):
        while at < len(code) and code[at][0] != ";":
            at = end_of(code, at) if code[at][0] in OPEN else at + 1
        return at + 1
    while at < len(code):
        word = code[at][0]
        if word == "{":
            return end_of(code, at)
        if word in OPEN:
            at = end_of(code, at)
        elif word == ";" or (word == "," and first not in ITEMS):
            return at + 1
        elif word in CLOSE:
            return at
        else:
            at += 1
    return at

"""Fails when modules of a crate import each other in a circle.

Looked at is every directory of modules: the modules at the top of a crate, and within a module those below it. An edge
A -> B means that some code in A, or below A, names something in B or below B:

* by a `use` or by a path in the code (`crate::b::C`, `super::b::c()`, `self::b::D`, `b::e()`);
* a name that a parent imports or re-exports is followed to where it comes from, within the same crate.

Not counted: tests (whatever is behind `#[cfg(test)]`), what only comments name, method calls, and what a module and its
own parent name of each other, since a parent re-exports what is below it.

Prints for each circle the lines that make it.
"""

import re
import sys
from collections import deque
from pathlib import Path

from rust import CLOSE, OPEN, end_of, end_of_item, tokens

ROOT = Path(__file__).resolve().parent.parent

# The root file of every crate. A crate with a reason is allowed to have circles.
CRATES = {
    "protocol": ("protocol/src/lib.rs", None),
    "actors": ("actors/src/lib.rs", None),
    "server": ("src/lib.rs", None),
    "bench-store": ("benches/store/main.rs", None),
    "bench-hot": ("actors/benches/hot/main.rs", None),
    "loadtest": ("loadtest/src/lib.rs", None),
    "lab": ("lab/src/main.rs", None),
}


class Module:
    """One module: what it names, and what is below it."""

    def __init__(self, path, file, home):
        self.path, self.file, self.home = path, file, home
        self.children = {}
        self.names = {}  # what it imports or re-exports: name -> path, as written
        self.paths = []  # (path, line) for every path that it names
        self.is_test = False

    def all(self):
        yield self
        for child in self.children.values():
            yield from child.all()


def load(file, path, home):
    module = Module(path, file, home)
    read(module, tokens(file.read_text()))
    return module


def use_tree(code, at, prefix, found):
    """Reads one tree of a `use`; collects (path, name) and returns the place behind it."""
    path = list(prefix)
    while at < len(code):
        word, line = code[at]
        if word == "{":
            at += 1
            while code[at][0] != "}":
                at = use_tree(code, at, path, found)
                if code[at][0] == ",":
                    at += 1
            return at + 1
        if word == "*":
            found.append((path, "*", line))
            return at + 1
        if word == "::":
            at += 1
            continue
        if word in (",", "}", ";"):
            break
        if word == "as":
            found.append((path, code[at + 1][0], line))
            return at + 2
        path = [*path, word] if word != "self" or not path else path
        at += 1
    found.append((path, path[-1], code[at - 1][1]))
    return at


def read(module, code):
    """Takes what the tokens say into the module, and reads the modules below it."""
    at, test, other_file = 0, False, None
    while at < len(code):
        word, line = code[at]
        if word == "#" and at + 1 < len(code):
            begin = at + 2 if code[at + 1][0] == "!" else at + 1
            end = end_of(code, begin)
            inside = [token for token, _ in code[begin + 1 : end - 1]]
            if inside[:4] == ["cfg", "(", "test", ")"]:
                test = True
            if inside[:2] == ["path", "="]:
                other_file = inside[2].strip('"')
            if inside[:1] != ["cfg"]:
                paths_in(module, code[begin + 1 : end - 1])
            at = end
            continue
        if test:
            if "mod" in (code[at][0], code[min(at + 1, len(code) - 1)][0]):
                at_name = at + (1 if code[at][0] == "mod" else 2)
                module.children[code[at_name][0]] = hidden(module, code[at_name][0])
            at, test, other_file = end_of_item(code, at), False, None
            continue
        if word == "mod" and at + 2 < len(code) and code[at + 2][0] in (";", "{"):
            name, path = code[at + 1][0], (*module.path, code[at + 1][0])
            if code[at + 2][0] == ";":
                if other_file:
                    file = (module.file.parent / other_file).resolve()
                else:
                    file = module.home / f"{name}.rs"
                module.children[name] = load(file, path, file.with_suffix(""))
                at += 3
            else:
                end = end_of(code, at + 2)
                child = module.children[name] = Module(path, module.file, module.home / name)
                read(child, code[at + 3 : end - 1])
                at = end
            other_file = None
            continue
        # `use<'a>` in the type of a function's result imports nothing.
        if word == "use" and code[at + 1][0] != "<":
            found = []
            at = use_tree(code, at + 1, [], found)
            for path, name, line in found:
                module.paths.append((path, line))
                if name == "*":
                    module.names.setdefault("*", []).append(path)
                elif name != "_":
                    module.names[name] = path
            continue
        if word not in OPEN and word not in CLOSE and re.match(r"[A-Za-z_]", word):
            at = one_path(module, code, at)
            continue
        at += 1


def hidden(parent, name):
    """Stands for a module of tests: known by its name, with nothing in it."""
    module = Module((*parent.path, name), parent.file, parent.home / name)
    module.is_test = True
    return module


def one_path(module, code, at):
    """Takes the path that begins at `at`, if it is one, and returns the place behind it."""
    path, line = [code[at][0]], code[at][1]
    while at + 2 < len(code) and code[at + 1][0] == "::" and re.match(r"[A-Za-z_]", code[at + 2][0]):
        at += 2
        path.append(code[at][0])
    if len(path) > 1:
        module.paths.append((path, line))
    return at + 1


def paths_in(module, code):
    at = 0
    while at < len(code):
        at = one_path(module, code, at) if re.match(r"[A-Za-z_]", code[at][0]) else at + 1


class Crate:
    def __init__(self, root):
        file = ROOT / root
        self.root = load(file, (), file.parent)
        self.modules = {module.path: module for module in self.root.all()}

    def resolve(self, module, path, seen=frozenset()):
        """The modules that `path`, as written in `module`, leads through; none if it leads out of the crate."""
        first, rest = path[0], list(path[1:])
        if first == "crate":
            return self.walk(self.root, rest, seen)
        if first == "self":
            return self.walk(module, rest, seen)
        here = module
        while first == "super" and here.path:
            here = self.modules[here.path[:-1]]
            if not rest or rest[0] != "super":
                return self.walk(here, rest, seen)
            rest = rest[1:]
        if first in module.children or first in module.names:
            return self.walk(module, list(path), seen)
        return []

    def walk(self, module, rest, seen):
        """From `module` on along `rest`; where a name is imported, on from there. Every module on the way counts."""
        way = [module]
        while rest:
            name, rest = rest[0], rest[1:]
            if name in module.children:
                module = module.children[name]
                way.append(module)
                continue
            if (module.path, name) in seen:
                break
            seen = seen | {(module.path, name)}
            sources = [module.names[name]] if name in module.names else []
            sources = sources or [[*path, name] for path in module.names.get("*", [])]
            for source in sources:
                on = self.resolve(module, [*source, *rest], seen)
                if on:
                    return way + on
            break
        return way

    def edges(self):
        """For each directory of modules: {(from, to): [(file, line)]}."""
        levels = {}
        for module in self.root.all():
            for path, line in module.paths:
                for target in self.resolve(module, path):
                    self.add(levels, module, target, line)
        return levels

    @staticmethod
    def add(levels, module, target, line):
        common = 0
        for one, other in zip(module.path, target.path):
            if one != other:
                break
            common += 1
        # One of them is the other, or is somewhere above it.
        if common in (len(module.path), len(target.path)):
            return
        edge = (module.path[: common + 1], target.path[: common + 1])
        places = levels.setdefault(module.path[:common], {}).setdefault(edge, [])
        if (module.file, line) not in places:
            places.append((module.file, line))


def circles(edges):
    """One shortest circle for each edge that lies on one; every circle once."""
    after = {}
    for begin, end in edges:
        after.setdefault(begin, []).append(end)
    found = {}
    for begin, end in sorted(edges):
        # The shortest way back from `end` to `begin`.
        before, queue = {end: None}, deque([end])
        while queue and begin not in before:
            here = queue.popleft()
            for there in sorted(after.get(here, [])):
                if there not in before:
                    before[there] = here
                    queue.append(there)
        if begin not in before:
            continue
        way, here = [], begin
        while here is not None:
            way.append(here)
            here = before[here]
        circle = way[::-1]  # from `end` to `begin`, and the edge closes it
        least = circle.index(min(circle))
        found[tuple(circle[least:] + circle[:least])] = None
    return list(found)


def name(path):
    return "::".join(path)


def main():
    bad, modules = 0, 0
    for crate, (root, reason) in CRATES.items():
        tree = Crate(root)
        modules += len(tree.modules)
        for edges in tree.edges().values():
            if reason:
                continue
            for circle in circles(edges):
                bad += 1
                print(f"check-cycles: {crate}: {' -> '.join(map(name, (*circle, circle[0])))}")
                for begin, end in zip(circle, (*circle[1:], circle[0])):
                    for file, line in edges[begin, end][:4]:
                        print(f"    {name(begin)} -> {name(end)}: {file.relative_to(ROOT)}:{line}")
                    if len(edges[begin, end]) > 4:
                        print(f"    {name(begin)} -> {name(end)}: and {len(edges[begin, end]) - 4} more")
    if bad:
        sys.exit(f"check-cycles: {bad} found; put what both sides need into a module below them")
    print(f"  {modules} modules without circles")


main()

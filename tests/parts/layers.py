#!/usr/bin/env python3
"""Checks the shape of the source: who may import whom, how long a file may be, what no file may mention.

No compiler knows these rules. Each fault is one line that says which file breaks which rule.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "src"

# The floors of the core, lowest first. A module imports from lower floors; on the ground floors (base) also from its
# own. Two protocols of one floor know nothing of each other.
FLOORS = [
    ("base", ["time", "entropy", "find", "slide", "inbox", "outbox"]),
    ("base", ["machine"]),
    ("base", ["transport", "link", "text", "decimal", "base64", "json"]),
    ("protocol", ["http"]),
    ("protocol", ["sse", "ws", "polling"]),
    ("protocol", ["engineio"]),
    ("protocol", ["socketio", "sockjs", "primus", "bayeux", "browserchannel"]),
    ("protocol", ["hub"]),
]
# A module of a base floor that another base floor below it may use: it knows nothing itself.
LEAVES = {"text", "time"}

MAX_LINES = 500  # of any file of the core and the adapters
DRIVERS = {
    "adapters/std/src/connection.rs": 150,
    "adapters/tokio/src/connection.rs": 150,
    "adapters/embedded/src/connection.rs": 200,
    "adapters/embedded/src/blocking.rs": 200,
}

# What no tracked file may mention. (The brackets keep this file from finding itself.)
FORBIDDEN = [
    ("an absolute path of a machine", r"(?<![\w.$}])/(?:wor[k]|far[m]|roo[t]|hom[e]|tm[p])/[a-z.]"),
    ("a path outside of the repository", r"\.\./share[d]"),
    ("the host of a registry", r"registry\.npmj[s]|pypi\.or[g]|pythonhoste[d]|(?:index|static)\.crates\.i[o]|deb\.debia[n]\.org"),
    ("the address of a package", r'"resolve[d]": *"http'),
]

faults = []


def fault(text):
    faults.append(text)


# ---- reading Rust ---------------------------------------------------------------------------------------------------


def code_only(text):
    """The text without comments, literals and what is compiled for tests only; line breaks stay."""
    token = re.compile(
        r"""//[^\n]* | /\*.*?\*/ | b?r(?P<hashes>\#*)".*?"(?P=hashes) | b?"(?:\\.|[^"\\])*" | b?'(?:\\.[^']*|[^'\\])'""",
        re.S | re.X,
    )
    text = token.sub(lambda match: "\n" * match.group().count("\n"), text)
    return without_tests(text)


def without_tests(text):
    while match := re.search(r"#\[cfg\((?:all\()?test\b[^\]]*\]", text):
        depth, at = 0, match.end()
        while at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
            if depth == 0 and text[at - 1] in ";}":
                break
        text = text[: match.start()] + text[at:]
    return text


def expand(tree):
    """`a::{b, c::{d, e as f}}` as the list of its paths, each a list of names, with the name it gets here."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = tree.partition(" as ")
        names = [name.strip() for name in path.split("::") if name.strip()]
        yield names, alias.strip() or (names[-1] if names else "")
        return
    head = [name.strip() for name in tree[:brace].split("::") if name.strip()]
    depth, part = 0, ""
    for char in tree[brace + 1 : tree.rfind("}")] + ",":
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            if part.strip():
                for names, alias in expand(part):
                    yield head + names, (head[-1] if names == ["self"] else alias)
            part = ""
        else:
            part += char


class Module:
    def __init__(self, file):
        self.file = file
        parts = list(file.relative_to(CORE).with_suffix("").parts)
        if parts[-1] in ("mod", "lib"):
            parts.pop()
        self.path = tuple(parts)
        self.code = code_only(file.read_text(encoding="utf-8"))
        self.is_parent = file.name in ("mod.rs", "lib.rs")
        self.uses = []  # (is public, path, name here)
        for public, tree in re.findall(r"(?<![\w$])(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", self.code):
            for names, alias in expand(tree):
                if names and names[-1] == "self":
                    names = names[:-1]
                self.uses.append((bool(public), names, alias))
        rest = re.sub(r"(?<![\w$])use\s+[^;]+;", "", self.code)
        self.inline = [path.split("::") for path in re.findall(r"(?<!\w)(?:crate|super|self)(?:::\w+)+", rest)]

    @property
    def name(self):
        return str(self.file.relative_to(ROOT))


class Core:
    def __init__(self):
        self.modules = {module.path: module for module in map(Module, sorted(CORE.rglob("*.rs")))}

    def absolute(self, module, names):
        """The path from the crate's root, or None for other crates."""
        at = list(module.path)
        if names[0] == "crate":
            return names[1:]
        if names[0] == "self":
            return at + names[1:]
        if names[0] == "super":
            while names and names[0] == "super":
                at, names = at[:-1], names[1:]
            return at + names
        if tuple(at + names[:1]) in self.modules:
            return at + names
        return None

    def home(self, names, depth=0):
        """The module in whose file the item at this path is defined; None when it is not of this crate."""
        at = ()
        for i, name in enumerate(names):
            if at + (name,) in self.modules:
                at += (name,)
                continue
            module = self.modules[at]
            for _, path, alias in module.uses:
                if alias != name or depth > 8:
                    continue
                target = self.absolute(module, path)
                return self.home(target + names[i + 1 :], depth + 1) if target is not None else None
            return module
        return self.modules[at]

    def imports(self):
        """Pairs of files: the first imports from the second."""
        for module in self.modules.values():
            paths = [names for public, names, _ in module.uses if not (public and module.is_parent)]
            for names in paths + module.inline:
                target = self.absolute(module, names)
                home = self.home([name for name in target if name != "*"]) if target is not None else None
                if home is not None and home is not module:
                    yield module, home


# ---- the rules ------------------------------------------------------------------------------------------------------


def check_floors(imports):
    floor = {name: (level, kind) for level, (kind, names) in enumerate(FLOORS) for name in names}
    for module in {module for pair in imports for module in pair}:
        if module.path and module.path[0] not in floor:
            fault(f"{module.name}: no floor is known for {module.path[0]}; say in tests/parts/layers.py where it stands")
            floor[module.path[0]] = (len(FLOORS), "protocol")
    for module, home in sorted(imports, key=lambda pair: (pair[0].name, pair[1].name)):
        if not module.path:
            continue
        if not home.path:
            fault(f"{module.name} imports an item that {home.name} defines: the root only gathers")
            continue
        (here, kind), (there, _) = floor[module.path[0]], floor[home.path[0]]
        is_own = module.path[0] == home.path[0]
        if there > here and home.path[0] not in LEAVES:
            fault(f"{module.name} (floor {here}) imports {home.name} (floor {there}): imports only go down")
        elif there == here and kind == "protocol" and not is_own:
            fault(f"{module.name} imports {home.name}: two protocols of one floor know nothing of each other")


def check_circles(imports):
    graph = {}
    for module, home in imports:
        graph.setdefault(module.name, set()).add(home.name)
    seen, reported = set(), set()

    def visit(name, trail):
        if name in trail:
            circle = trail[trail.index(name) :]
            if frozenset(circle) not in reported:
                reported.add(frozenset(circle))
                fault(f"import circle: {' -> '.join([*circle, name])}")
            return
        if name in seen:
            return
        for target in sorted(graph.get(name, ())):
            visit(target, [*trail, name])
        seen.add(name)

    for name in sorted(graph):
        visit(name, [])


def check_lengths(files):
    for file in files:
        if file.endswith(".rs") and file.startswith(("core/", "adapters/")):
            lines = len((ROOT / file).read_text(encoding="utf-8").splitlines())
            limit = DRIVERS.get(file, MAX_LINES)
            if lines > limit:
                fault(f"{file} has {lines} lines, more than {limit}")
    for file in DRIVERS:
        if file not in files:
            fault(f"{file} is not there: the drivers of the adapters stand in it, and it is to stay short")


def check_mentions(files):
    for file in files:
        path = ROOT / file
        if path.is_symlink():
            fault(f"{file} is a symbolic link to {path.readlink()}: a fresh clone has none")
            continue
        if not path.is_file():
            continue
        is_cargo_lock = path.name == "Cargo.lock"  # cargo writes the name of its registry into it
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        for number, line in enumerate(lines, 1):
            for what, pattern in FORBIDDEN:
                if not is_cargo_lock and re.search(pattern, line):
                    fault(f"{file}:{number} mentions {what}: {line.strip()[:120]}")


def tracked():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [name for name in listing.decode().split("\0") if name]


def main():
    core = Core()
    imports = list(dict.fromkeys(core.imports()))
    files = tracked()
    if len(imports) < 10 or len(files) < 10:
        fault(f"only {len(imports)} imports in {len(files)} files were found: this check does not see the source")
    check_floors(imports)
    check_circles(imports)
    check_lengths(files)
    check_mentions(files)
    for text in faults:
        print(f"layers: {text}")
    print(f"layers: {len(core.modules)} files and {len(imports)} imports of the core, {len(files)} tracked files, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

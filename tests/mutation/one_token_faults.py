"""One-token faults for mutation testing: find the places in the package's Python, and choose some by a seed.

`<` becomes `<=`, `+` becomes `-`, `True` becomes `False`, 3 becomes 4, and so on. Only code that computes something is
changed: not docstrings, strings, annotations, `raise` or `assert`, nor code for other systems or Python versions.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

# The modules of each area, or globs for them.
AREAS = {
    "text": "text/**/*",
    "training": "training/* network/evaluate network/network backends/spec/dropout",
    "weights": "storage/* network/parameters network/weights_file settings/*",
    "generation": "generation/* backends/spec/sampling backends/spec/philox",
    "kernels": "backends/cpu/* backends/reference/*",
    "cli": "cli/**/*",
    "serve": "serve/**/*",
}
PER_AREA = 9
LARGEST = 100  # largest integer that is incremented

_COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("not", ""),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not", ""),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
}
_FUNCTIONS = {"min": "max", "minimum": "maximum", "argmin": "argmax", "any": "all"}
_FUNCTIONS |= {new: old for old, new in _FUNCTIONS.items()}
_CHECKS = {"strict", "stacklevel"}  # arguments that change no result of correct code


class Fault(NamedTuple):
    """A line of a file (relative to the project's root), and its replacement."""

    area: str
    file: str
    line: int
    old: str
    new: str


class Change(NamedTuple):
    """The replacement of one token by `new`, which may be empty; `kind` is the kind of token."""

    kind: str
    line: int
    start: int
    end: int
    new: str


def changes(source: str) -> list[Change]:
    """Return the possible changes to a module, in source order."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda change: (change.line, change.start))


def faults_in(area: str, file: str, source: str) -> list[tuple[str, Fault]]:
    """Return the possible faults in a file, each with its kind."""
    lines = source.split("\n")
    return [
        (kind, Fault(area, file, line, old, old[:start] + new + old[end:]))
        for kind, line, start, end, new in changes(source)
        for old in [lines[line - 1]]
    ]


def files_of(area: str, root: Path) -> list[str]:
    """Return the files of an area. Raises FileNotFoundError if a glob matches none, as after a file has moved."""
    found = []
    for pattern in AREAS[area].split():
        matches = sorted(path.relative_to(root).as_posix() for path in root.glob(f"numlstm/{pattern}.py"))
        if not matches:
            raise FileNotFoundError(f"the area {area!r} has {pattern!r}, which matches no module; correct AREAS")
        found += matches
    return found


def chosen(root: Path, seed: int, per_area: int = PER_AREA) -> list[Fault]:
    """Return `per_area` faults of each area; a seed gives the same faults as long as their lines are unchanged.

    Each fault has a hash of the seed, its file's name and its change; those with the lowest hashes are chosen. So a
    change to the package leaves most of the choice as it is. Kinds of faults and files are used as evenly as possible.
    """
    return [fault for area in AREAS for fault in _chosen_in(area, root, seed, per_area)]


def _chosen_in(area: str, root: Path, seed: int, count: int) -> list[Fault]:
    ranked = []
    for file in files_of(area, root):
        seen: Counter[tuple[str, str]] = Counter()
        for kind, fault in faults_in(area, file, (root / file).read_text("utf-8")):
            change = (fault.old.strip(), fault.new.strip())
            words = repr((seed, Path(file).name, *change, seen[change]))
            seen[change] += 1
            ranked.append((hashlib.sha256(words.encode()).digest(), kind, fault))
    if len(ranked) < count:
        raise ValueError(f"the area {area!r} has places for {len(ranked)} faults, fewer than {count}")
    ranked.sort()
    picked: list[Fault] = []
    kinds: Counter[str] = Counter()
    files: Counter[str] = Counter()
    most = 1
    while len(picked) < count:
        for _, kind, fault in ranked:
            if len(picked) < count and fault not in picked and max(kinds[kind], files[fault.file]) < most:
                picked.append(fault)
                kinds[kind] += 1
                files[fault.file] += 1
        most += 1
    return sorted(picked)


def plant(fault: Fault, root: Path) -> None:
    """Plant a fault in the project at `root`. Raises ValueError if its line has changed."""
    path = root / fault.file
    lines = path.read_text("utf-8").split("\n")
    if lines[fault.line - 1 : fault.line] != [fault.old]:
        raise ValueError(f"line {fault.line} of {fault.file} is not {fault.old.strip()!r}")
    lines[fault.line - 1] = fault.new
    path.write_text("\n".join(lines), "utf-8", newline="\n")


class _Finder(ast.NodeVisitor):
    """Collects the possible changes to a module, visiting only code that computes something."""

    def __init__(self, source: str) -> None:
        self.found: list[Change] = []
        self._lines = source.split("\n")

    def _place(self, line: int, column: int) -> tuple[int, int]:
        """Convert a column of the syntax tree, in bytes, to characters."""
        return line, len(self._lines[line - 1].encode()[:column].decode())

    def _start(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        return self._place(node.lineno, node.col_offset)

    def _end(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._place(node.end_lineno, node.end_col_offset)

    def _change(self, kind: str, start: tuple[int, int], end: tuple[int, int], old: str, new: str) -> None:
        """Change the token `old` between two places that otherwise enclose only brackets, spaces and comments.

        If `new` is empty, the token is removed together with the spaces after it.
        """
        for number in range(start[0], end[0] + 1):
            line = self._lines[number - 1]
            first, last = start[1] if number == start[0] else 0, end[1] if number == end[0] else len(line)
            at = line[first:last].partition("#")[0].find(old) + first
            if at >= first:
                rest = line[at + len(old) :]
                spaces = 0 if new else len(rest) - len(rest.lstrip())
                if new or spaces < len(rest):  # else removing it would leave trailing spaces
                    self.found.append(Change(kind, number, at, at + len(old) + spaces, new))
                return

    def _visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all([*node.decorator_list, node.args, *node.body])

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(node.body)

    def visit_arguments(self, node: ast.arguments) -> None:
        self._visit_all([*node.defaults, *node.kw_defaults])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all([node.value])

    def visit_Assign(self, node: ast.Assign) -> None:
        if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        condition = ast.unparse(node.test)
        if "version_info" in condition:
            return
        if "TYPE_CHECKING" not in condition and "sys.platform ==" not in condition:
            self._visit_all([node.test, *node.body])
        self._visit_all(node.orelse)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _name(node.value) not in ("Literal", "Annotated"):
            self.generic_visit(node)

    def _leave_out(self, node: ast.AST) -> None:
        """Do not visit the children."""

    visit_Raise = visit_Assert = visit_JoinedStr = _leave_out

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in _CHECKS:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        own = isinstance(node.func, ast.Attribute) and _name(node.func.value) == "self"
        if name in _FUNCTIONS and not own:
            line, column = self._end(node.func)
            self._change("function", (line, column - len(name)), (line, column), name, _FUNCTIONS[name])
        if name == "cast":
            self._visit_all(node.args[1:])
        elif name != "TypeVar":
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            self._change("comparison", self._end(left), self._start(right), *_COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        change = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._change("logic", self._end(left), self._start(right), *change)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in _ARITHMETIC and not _is_sequence(node.left) and not _is_sequence(node.right):
            self._change("arithmetic", self._end(node.left), self._start(node.right), *_ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in _ARITHMETIC and not _is_sequence(node.value):
            old, new = _ARITHMETIC[type(node.op)]
            self._change("arithmetic", self._end(node.target), self._start(node.value), f"{old}=", f"{new}=")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._change("logic", self._start(node), self._start(node.operand), "not", "")
        elif isinstance(node.op, ast.USub):
            self._change("arithmetic", self._start(node), self._start(node.operand), "-", "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._change("truth", self._start(node), self._end(node), str(node.value), str(not node.value))
        elif isinstance(node.value, int) and 0 <= node.value <= LARGEST and self._text(node) == str(node.value):
            self._change("number", self._start(node), self._end(node), str(node.value), str(node.value + 1))

    def visit_Return(self, node: ast.Return) -> None:
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            self._change("returned", self._start(node.value), self._end(node.value), "None", "0")
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._change("loop", self._start(node), self._end(node), "continue", "break")

    def visit_Break(self, node: ast.Break) -> None:
        self._change("loop", self._start(node), self._end(node), "break", "continue")

    def _text(self, node: ast.Constant) -> str:
        return self._lines[node.lineno - 1][self._start(node)[1] : self._end(node)[1]]


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name, "" for any other expression."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_sequence(node: ast.expr) -> bool:
    """Return True for an obvious string or list operand: subtracting it would be an error that any run meets."""
    if isinstance(node, ast.BinOp):
        return _is_sequence(node.left) or _is_sequence(node.right)
    literal = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    return literal or isinstance(node, (ast.JoinedStr, ast.List, ast.Tuple, ast.ListComp))

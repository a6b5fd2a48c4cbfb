"""Mutants: the source of a module with one small mistake in it, of each kind that people make."""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_COMPARED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# No `/`: it joins paths nearly everywhere, and a mistake in it ends every test at once.
_COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_NAME: Final = re.compile(r"[\w./:-]+", re.ASCII)
"""Texts that programs read: names, keys, modes. What is in sentences for people, no test tells."""
_QUIET: Final = frozenset({"TypeVar", "ParamSpec", "NewType", "namedtuple", "cast", "overload"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake.

    Attributes:
        module: its file below the package.
        where: the qualified name of what is directly around the mistake.
        line: the line of the mistake.
        before: the lines that are changed, as one.
        after: the same with the mistake.
        nth: how many mutants of the module before this one have the same four.
        source: the whole module with the mistake.
    """

    module: str
    where: str
    line: int
    before: str
    after: str
    nth: int
    source: str

    def shown(self) -> str:
        """What is changed, for people."""
        return f"{self.module}:{self.line} {self.function}\n    - {self.before}\n    + {self.after}"

    @property
    def function(self) -> str:
        """The qualified name of the function, or of the class outside of functions."""
        return self.where.removesuffix(".<locals>")

    def rank(self, seed: int) -> bytes:
        """Its place in the order of a seed, which no change of other code alters."""
        said = (seed, self.module, self.where, self.before, self.after, self.nth)
        return hashlib.sha256(repr(said).encode()).digest()


def mutants_of(package: Path, module: str) -> list[Mutant]:
    """All mutants of a module."""
    source = (package / module).read_bytes()
    tree = ast.parse(source)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen: dict[tuple[str, str, str], int] = {}
    found = []
    for where, node, text in _mistakes(tree, "", is_quiet=False):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        first, last = starts[node.lineno - 1], starts[node.end_lineno or node.lineno]
        changed = source[first:begin] + text.encode() + source[end:last]
        before, after = _one_line(source[first:last]), _one_line(changed)
        nth = seen.get((where, before, after), 0)
        seen[where, before, after] = nth + 1
        whole = (source[:first] + changed + source[last:]).decode()
        found.append(Mutant(module, where, node.lineno, before, after, nth, whole))
    return found


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())


_Located = ast.expr | ast.stmt
_Mistakes = Iterator[tuple[str, _Located, str]]


def _mistakes(node: ast.AST, where: str, *, is_quiet: bool) -> _Mistakes:
    """Function, node and the text to put in its place, for each mistake in a node and below it.

    Args:
        node: what to look at.
        where: the qualified name of the function or class around it.
        is_quiet: whether its constants are for people only.
    """
    if isinstance(node, ast.expr):
        yield from ((where, node, text) for text in _in_expression(node, is_quiet=is_quiet))
    elif isinstance(node, ast.stmt):
        yield from ((where, found, text) for found, text in _in_statement(node))
    inside, below = _inside(node, where)
    for child in below:
        is_said = is_quiet or isinstance(node, ast.Raise)
        yield from _mistakes(child, inside, is_quiet=is_said)


def _inside(node: ast.AST, where: str) -> tuple[str, list[ast.AST]]:
    """The qualified name of what is below a node, and what of it is looked at.

    Annotations, decorators and docstrings do nothing. What is inside of an f-string has no place
    that Python 3.11 knows.
    """
    if isinstance(node, _Function):
        start = f"{where}.{node.name}" if where else node.name
        return f"{start}.<locals>", [
            *node.args.defaults,
            *filter(None, node.args.kw_defaults),
            *node.body,
        ]
    if isinstance(node, ast.ClassDef):
        return f"{where}.{node.name}" if where else node.name, [*node.body]
    if isinstance(node, ast.AnnAssign):
        return where, [node.value] if node.value else []
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom) or _does_nothing(node):
        return where, []
    return where, [*ast.iter_child_nodes(node)]


def _does_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _QUIET
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Assign):
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        return bool(names & {"__all__", "__slots__"})
    return False


def _in_statement(node: ast.stmt) -> Iterator[tuple[_Located, str]]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Break() | ast.Continue():
            yield node, "pass"
        case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
            yield node, "return None"
        case ast.AugAssign() if type(node.op) in _COMPUTED:
            new = copy.deepcopy(node)
            new.op = _COMPUTED[type(node.op)]()
            yield node, ast.unparse(new)
        case ast.If() | ast.While():
            if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
                yield node.test, f"(not {ast.unparse(node.test)})"
        case _:
            pass


def _in_expression(node: ast.expr, *, is_quiet: bool) -> Iterator[str]:
    match node:
        case ast.Compare():
            for at, old in enumerate(node.ops):
                for operator in _COMPARED[type(old)]:
                    compared = copy.deepcopy(node)
                    compared.ops[at] = operator()
                    yield f"({ast.unparse(compared)})"
        case ast.BoolOp():
            joined = copy.deepcopy(node)
            joined.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield f"({ast.unparse(joined)})"
        case ast.BinOp() if type(node.op) in _COMPUTED:
            computed = copy.deepcopy(node)
            computed.op = _COMPUTED[type(node.op)]()
            yield f"({ast.unparse(computed)})"
        case ast.UnaryOp(op=ast.Not()):
            yield f"({ast.unparse(node.operand)})"
        case ast.Constant() if not is_quiet:
            yield from _other_constants(node)
        case _:
            pass


def _other_constants(node: ast.Constant) -> Iterator[str]:
    value = node.value
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int):
        yield f"{value + 1}"
        yield f"({value - 1})"
    elif isinstance(value, str) and _NAME.fullmatch(value):
        yield repr(f"{value}X")
    elif isinstance(value, bytes):
        yield repr(value + b"X")

"""How long a piece of code is.

Counted are lines that hold code. Comments, docstrings and blank lines are free, or the gate would
punish explaining; so are module-level tables (an assignment of a literal), which are data. A
function counts the lines of those inside it.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeGuard

DISPLAYS = (ast.Dict, ast.List, ast.Tuple, ast.Set)

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


class Function(NamedTuple):
    """One function of a Python file, named by its way from the module (`Class.method`)."""

    name: str
    lines: int
    parameters: int


def python_file(source: str) -> tuple[int, list[Function]]:
    """Code lines of the file, and its functions."""
    module = ast.parse(source)
    code = _code_lines(source, module)
    tables = {line for table in _tables(module) for line in _span(table)}
    functions = [
        Function(name, len(code & _span(node)), _parameters(node))
        for name, node in _functions(module, "")
    ]
    return len(code - tables), functions


def lua_flows(source: str) -> dict[str, int]:
    """Code lines of each top-level function of a Lua file, and of what stands outside them all."""
    source = re.sub(
        r"--\[(=*)\[.*?\]\1\]", lambda hit: "\n" * hit.group().count("\n"), source, flags=re.DOTALL
    )
    flows = {"(outside functions)": 0}
    current = "(outside functions)"
    for line in source.splitlines():
        if not line.strip() or line.lstrip().startswith("--"):
            continue
        opened = re.match(r"(?:local\s+)?(?:function\s+([\w.]+)|([\w.]+)\s*=\s*function\b)", line)
        if opened and not re.search(r"\bend\b[\s,)]*(--.*)?$", line):
            current = opened.group(1) or opened.group(2)
        flows[current] = flows.get(current, 0) + 1
        if re.match(r"end\b", line):
            current = "(outside functions)"
    return flows


def _code_lines(source: str, module: ast.Module) -> set[int]:
    """Lines that are neither blank nor a comment, and those of texts, which may look like either.

    Without those of docstrings: texts that stand as statements.
    """
    texts: set[int] = set()
    prose: set[int] = set()
    for node in _long_nodes(module):
        if isinstance(node, ast.Expr) and _is_text(node.value):
            prose |= _span(node)
        elif _is_text(node):
            texts |= _span(node)
    lines = enumerate(map(str.strip, source.split("\n")), 1)
    code = {number for number, line in lines if line and not line.startswith("#")}
    return (code | texts) - prose


def _long_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What stands on several lines, and docstrings; within a line there is neither."""
    for child in ast.iter_child_nodes(node):
        first, last = getattr(child, "lineno", 0), getattr(child, "end_lineno", -1)
        if first != last or isinstance(child, ast.Expr):
            yield child
            yield from _long_nodes(child)


def _is_text(node: ast.AST) -> TypeGuard[ast.expr]:
    if isinstance(node, ast.JoinedStr):
        return True
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _tables(module: ast.Module) -> Iterator[ast.stmt]:
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            value = node.value
            if isinstance(value, ast.Call) and len(value.args) == 1:
                value = value.args[0]
            if isinstance(value, DISPLAYS):
                yield node


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, AnyFunction]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from _functions(child, prefix)


def _parameters(function: AnyFunction) -> int:
    """Parameters without `self`; 0 for what may have many.

    Those are constructors whose parameters all go by name, and commands, whose parameters are the
    options that the CLI library reads from the signature.
    """
    arguments = function.args
    positional = [
        argument.arg
        for argument in (*arguments.posonlyargs, *arguments.args)
        if argument.arg not in {"self", "cls"}
    ]
    by_name = len(arguments.kwonlyargs)
    constructor = function.name in {"__init__", "__new__"} and not positional
    annotations = [each.annotation for each in (*arguments.args, *arguments.kwonlyargs)]
    command = any(_names_typer(each) for each in annotations if each)
    return 0 if constructor or command else len(positional) + by_name


def _names_typer(annotation: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "typer" for node in ast.walk(annotation))


def _span(node: ast.stmt | ast.expr) -> set[int]:
    assert node.end_lineno is not None
    return set(range(node.lineno, node.end_lineno + 1))

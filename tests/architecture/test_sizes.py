"""Small by default: functions, files, parameter lists and the store's scripts are bounded.

What is larger stands in LARGER with its size and the reason. The list only shrinks: an entry fails
when its piece grows, and also when it has become smaller than the entry says.
"""

import textwrap
from pathlib import Path

import pytest

from tests.architecture import measure, tree

FUNCTION_LINES = 50
FILE_LINES = 400
PARAMETERS = 6
LUA_FLOW_LINES = 80

LARGER: dict[str, tuple[int, str]] = {
    # "ocs/some/file.py::Class.method lines": (53, "why it is better whole"),
}


def sizes() -> dict[str, tuple[int, int]]:
    """Name of each measured piece -> (its size, its limit)."""
    found: dict[str, tuple[int, int]] = {}
    for path in tree.files_under("ocs", "tests", "benchmarks", "deploy", suffix=".py"):
        lines, functions = measure.python_file(tree.text(path))
        found[f"{path} lines"] = (lines, FILE_LINES)
        for function in functions:
            found[f"{path}::{function.name} lines"] = (function.lines, FUNCTION_LINES)
            if path.parts[0] != "tests":  # fixtures arrive as parameters
                found[f"{path}::{function.name} parameters"] = (function.parameters, PARAMETERS)
    for path in tree.files_under("ocs", suffix=".lua"):
        for name, lines in measure.lua_flows(tree.text(path)).items():
            found[f"{path}::{name} lines"] = (lines, LUA_FLOW_LINES)
    return found


def complaints(found: dict[str, tuple[int, int]], larger: dict[str, tuple[int, str]]) -> list[str]:
    answer = [
        f"{name}: {size}, at most {limit}"
        for name, (size, limit) in found.items()
        if size > limit and name not in larger
    ]
    for name, (allowed, reason) in larger.items():
        size, limit = found.get(name, (0, 0))
        if not reason:
            answer.append(f"{name}: listed without a reason")
        if size <= limit:
            answer.append(f"{name}: within the limit or gone; take it off the list")
        elif size != allowed:
            answer.append(f"{name}: {size}, listed with {allowed}; the list only shrinks")
    return answer


def test_everything_is_small() -> None:
    found = sizes()
    assert found
    assert complaints(found, LARGER) == []


@pytest.mark.parametrize(
    ("size", "listed", "complains"),
    [
        (50, None, False),
        (51, None, True),
        (53, (53, "why"), False),
        (54, (53, "why"), True),
        (52, (53, "why"), True),
        (50, (53, "why"), True),
        (53, (53, ""), True),
    ],
)
def test_the_list_only_shrinks(
    size: int, listed: tuple[int, str] | None, *, complains: bool
) -> None:
    larger = {} if listed is None else {"f lines": listed}
    assert bool(complaints({"f lines": (size, 50)}, larger)) is complains


def test_python_is_counted_without_its_prose_and_tables() -> None:
    lines, functions = measure.python_file(
        textwrap.dedent(
            '''
            """Essay,
            of two lines."""

            TABLE = {
                1: 2,
            }

            class Box:
                def __init__(self, *, a, b, c, d, e, f, g):
                    """Prose."""

                    # Why.
                    self.a = (
                        a
                    )

                def put(self, a, b, *, c):
                    def inner(x):
                        return x
                    return """
                    text"""
            '''
        )
    )
    assert lines == 10
    assert functions == [
        measure.Function("Box.__init__", 4, 0),
        measure.Function("Box.put", 5, 3),
        measure.Function("Box.put.inner", 2, 1),
    ]


def test_commands_may_take_many_options() -> None:
    source = textwrap.dedent(
        """
        def serve(a: Annotated[int, typer.Option()], b, c, d, e, f, g): pass

        def f(a: int): pass
        """
    )
    _, functions = measure.python_file(source)
    assert [function.parameters for function in functions] == [0, 1]


def test_lua_is_counted_by_function() -> None:
    source = textwrap.dedent(
        """
        --[[ header
        more ]]
        local floor = math.floor
        local short = function(x) return x end
        local function settle(a)
          -- why
          if a then
            return 1
          end
        end
        local hold = function(a)
          return a
        end
        """
    )
    assert measure.lua_flows(source) == {"(outside functions)": 2, "settle": 5, "hold": 3}


def test_the_measured_folders_exist() -> None:
    assert all((tree.ROOT / folder).is_dir() for folder in map(Path, ("ocs", "tests", "deploy")))

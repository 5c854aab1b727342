"""Reading one ahead changes nothing but when it is read."""

from collections.abc import Generator
from threading import Event

import pytest

pytest.importorskip("polars", reason="the extra `offline` is not installed")
ahead = pytest.importorskip("ocs.adapters.cdr_files.ahead")


def test_items_come_in_their_order_and_one_is_made_ahead() -> None:
    made = [Event() for _ in range(4)]

    def items() -> Generator[int, None, None]:
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in ahead.one_ahead(items()):
        assert all(event.wait(60) for event in made[: number + 2])
        assert not any(event.is_set() for event in made[number + 2 :])


def test_nothing_gives_nothing() -> None:
    assert list(ahead.one_ahead(_ for _ in ())) == []


def test_an_error_comes_where_it_would_have_come() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise OSError("is gone")

    found = ahead.one_ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="is gone"):
        next(found)


def test_what_is_not_wanted_any_more_is_closed() -> None:
    closed = Event()

    def items() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    found = ahead.one_ahead(items())
    assert next(found) == 1
    found.close()
    assert closed.is_set()

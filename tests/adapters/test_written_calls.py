"""How a charge is written for the store: what was written before is used again only where it fits."""

from typing import Any

import pytest

from ocs.adapters.valkey import calls as written
from ocs.adapters.valkey.calls import encode_call
from ocs.domain.wallet import MAIN_PAYER, Payer
from ocs.usecases.ports import ServiceCall
from tests.adapters.calls import NOW_MS, call, price, segment, use


def bytes_of(service: ServiceCall) -> bytes:
    return encode_call(call("update", 0, service, fingerprint="f"), "session")


@pytest.mark.parametrize(
    "other",
    [
        {"rating_group": "1"},
        {"timed": 1},
        {"subject": "other"},
        {"payers": (Payer("b", 0, 1), MAIN_PAYER)},
    ],
)
def test_services_of_one_price_are_written_each_as_it_is(other: dict[str, Any]) -> None:
    shared = (segment(price(7)),)
    one, another = use(1, 0, segments=shared), use(1, 0, segments=shared, **other)
    alone = use(1, 0, segments=(segment(price(7)),), **other)
    assert bytes_of(one) != bytes_of(another) == bytes_of(alone)
    assert bytes_of(one) == bytes_of(use(1, 0, segments=(segment(price(7)),)))


def test_prices_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where memory is used again, and with it the identity by which prices are known."""
    monkeypatch.setattr(written, "_MOST_PRICES", 3)
    expected = {each: bytes_of(use(1, 0, price(each))) for each in range(1, 20)}
    assert len(set(expected.values())) == len(expected)
    for each in (*range(19, 0, -1), *range(1, 20)):
        assert bytes_of(use(1, 0, price(each))) == expected[each]
        assert len(written._written) <= written._MOST_PRICES


def test_only_what_is_timed_has_switches() -> None:
    switched = use(1, 0, segments=(segment(price(1)), segment(price(2), NOW_MS)))
    with pytest.raises(AssertionError, match="only timed"):
        bytes_of(switched)

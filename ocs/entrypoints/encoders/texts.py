"""Texts that every form of answer has in common: amounts of money, and what is said to people."""

from functools import lru_cache
from typing import Final

from ocs.domain.money import currency, format_money
from ocs.usecases.answer import Answer

_MOST_AMOUNTS: Final = 10_000
"""Amounts whose spelling is remembered: most are one of few prices times one of few uses."""


@lru_cache(maxsize=_MOST_AMOUNTS)
def money_text(amount: int, currency_code: str) -> str:
    """Spell an amount as an exact decimal."""
    return format_money(amount, currency(currency_code))


def description(text: str, answer: Answer) -> str:
    """Say an outcome to people: the text of its return code, and what more is known."""
    if not answer.reason:
        return text
    if not answer.field:
        return f"{text}: {answer.reason}"
    return f"{text}: {answer.field}: {answer.reason}"

"""The language of `scenarios/*.txt`: the specification of the ledger, read aloud.

    # Sixty-second steps.                                        a comment
    rate     mobile  0.06 a minute by 60/60                      a price, and its name
    wallet   alice   minutes 90s until 70, main 1.00             buckets, in the order they pay
    plan     minimum 10s                                         terms, where they matter

    at 0   start   s1 alice to mobile asks 60s  -> OK granted 60s | main 1.00/0.06
    at 50  update  s1 used 50s asks 60s         -> OK granted 60s debited 0.06 | main 0.94/0.06
    at 50  update  s1 used 50s asks 60s         -> the same answer, nothing moves

After the arrow stands all that the answer says: what is not named is nothing (nothing granted,
nothing debited, no overrun, not final, not a late start); only `validity` is looked at where it is
written. After the bar stands `left/held` of buckets. Times are seconds or hh:mm:ss of one day, and
are both the store's clock and the event's time (`dated` names another event time).

    rate     NAME free
    rate     NAME 0.06 a minute by 60/60 [fee 0.01] [grace 5s] [free 10s] [least 0.05] [most 0.50]
                  [limit 0.40] [end 90s] [decimals 2] [until 18:00:00 then 0.12 a minute ...]
    rate     NAME 0.01 per 100 [above 500 0.02 per 60 ...] [volume] [fee ...] [least ...] ...
                  not timed: data, messages; volume: the row that is reached prices all of it
    reports  totals, reports at release     what clients say that they used; else since the last report
    wallet   NAME BUCKET, BUCKET ... [floor -5.00]
             BUCKET is: NAME 1.00 or 90s [by 6s] [times 2] [from TIME] [until TIME] [for RATE]
    plan     [minimum 1s] [maximum 1h] [validity 300s] [life 86400s] [sessions 9] [ring 180s]
    at TIME  start|update|release|event SESSION [WALLET] USE [and USE ...] [#3 | key k] [answered]
             [answer TIME] [dated TIME] [dry run]
             USE is: [1:] [to RATE] [used 30s] [asks 60s]             1: names the rating group
                     [before 10s by RATE] [coming RATE]               a price changed, or will
    at TIME  reverse SESSION #3
    at TIME  credit WALLET BUCKET 5.00 [as REFERENCE]
    at TIME  expire SESSION        -> expired  or  -> not yet
    at TIME  block WALLET, unblock WALLET

A request number is given to each request in turn; a line that expects the same answer takes the
last one again.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal

from ocs.domain.events import Reporting
from ocs.domain.money import MAX_UNITS, currency, parse_money

DAY_MS = 4_102_444_800_000
"""Midnight of the day on which every scenario plays: 1 January 2100, never in a store's past."""
EUR = currency("EUR")
VERBS = ("start", "update", "release", "event")
REPORTING = {"totals": Reporting.TOTAL, "at release": Reporting.AT_RELEASE}


@dataclass
class Price:
    """`increments`: of the first and of every further one; `a_minute` prices are per minute.

    `above`: further rows, as (start, increment, price of one increment).
    """

    text: Decimal
    a_minute: bool
    increments: tuple[int, int]
    fee: Decimal = Decimal(0)
    grace: int = 0
    free: int = 0
    least: int = 0
    most: int = -1
    limit: int = -1
    end: int = MAX_UNITS
    decimals: int | None = None
    volume: bool = False
    above: list[tuple[int, int, Decimal]] = field(default_factory=list)


@dataclass
class RateLine:
    """`prices` are (from_ms, price); none: free of charge."""

    name: str
    prices: list[tuple[int, Price]] = field(default_factory=list)


@dataclass
class BucketLine:
    name: str
    amount: int
    money: bool
    increment: int = 1
    factor: int = 1
    from_ms: int = 0
    until_ms: int | None = None
    zone: str = ""


@dataclass
class WalletLine:
    name: str
    buckets: list[BucketLine]
    floor: int = 0


@dataclass
class Use:
    group: str = "0"
    rate: str = ""
    used: int = 0
    asks: int = -1
    before: int = 0
    by: str = ""
    coming: str = ""


@dataclass
class Expected:
    """What one service, or the whole answer, is expected to say."""

    group: str = "0"
    code: str = ""
    granted: int = 0
    debited: int = 0
    overrun: int = 0
    final: bool = False
    late_start: bool = False
    validity: int | None = None


@dataclass
class Step:
    """One `at` line."""

    source: str
    at_ms: int
    verb: str
    subject: str
    words: list[str]
    services: list[Expected]
    same_answer: bool
    nothing_moves: bool
    balances: dict[str, tuple[int, int]]


@dataclass
class Charging:
    """The words of a charging step."""

    wallet: str = ""
    uses: list[Use] = field(default_factory=lambda: [Use()])
    number: int | None = None
    key: str = ""
    answered: bool = False
    answer_ms: int = 0
    dated_ms: int | None = None
    dry_run: bool = False


@dataclass
class Scenario:
    rates: dict[str, RateLine] = field(default_factory=dict)
    wallets: list[WalletLine] = field(default_factory=list)
    plan: dict[str, int] = field(default_factory=dict)
    reporting: Reporting = Reporting.DELTA
    steps: list[Step] = field(default_factory=list)


class Words:
    """The words of a line, read one after the other."""

    def __init__(self, words: list[str]) -> None:
        self._words = list(reversed(words))

    def __bool__(self) -> bool:
        return bool(self._words)

    def next(self) -> str:
        return self._words.pop()

    def peek(self) -> str:
        return self._words[-1] if self._words else ""

    def skip(self, *words: str) -> None:
        for word in words:
            found = self.next()
            assert found == word, f"expected {word!r}, found {found!r}"

    def units(self) -> int:
        return units(self.next())

    def money(self) -> int:
        return parse_money(self.next(), EUR)

    def time_ms(self) -> int:
        return time_ms(self.next())


def units(text: str) -> int:
    return int(text.removesuffix("s"))


def time_ms(text: str) -> int:
    seconds = 0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part)
    return DAY_MS + seconds * 1000


def parse(text: str) -> Scenario:
    scenario = Scenario()
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r"(^|\s)#(\s.*|$)", "", line).strip()
        if not code:
            continue
        head, _, rest = code.partition(" ")
        try:
            _read_line(scenario, head, rest.strip(), f"line {number}: {code}")
        except (AssertionError, ValueError, IndexError) as fault:
            raise ValueError(f"line {number}: {line}: {fault}") from fault
    return scenario


def _read_line(scenario: Scenario, head: str, rest: str, source: str) -> None:
    match head:
        case "rate":
            rate = _rate(Words(rest.split()))
            scenario.rates[rate.name] = rate
        case "wallet":
            scenario.wallets.append(_wallet(rest))
        case "reports":
            scenario.reporting = REPORTING[rest]
        case "plan":
            words = Words(rest.split())
            while words:
                term = words.next()
                scenario.plan[term] = words.units()
        case "at":
            scenario.steps.append(_step(rest, source))
        case _:
            raise ValueError(f"no line begins with {head!r}")


# Headers ----------------------------------------------------------------------------------------


def _rate(words: Words) -> RateLine:
    rate = RateLine(words.next())
    if words.peek() == "free":
        return rate
    from_ms = 0
    while words:
        rate.prices.append((from_ms, _price(words)))
        if words:
            words.skip("until")
            from_ms = words.time_ms()
            words.skip("then")
    return rate


def _price(words: Words) -> Price:
    price = Decimal(words.next())
    if words.peek() == "per":
        words.skip("per")
        each = words.units()
        result = Price(price, a_minute=False, increments=(each, each))
    else:
        words.skip("a", "minute", "by")
        first, further = words.next().split("/")
        result = Price(price, a_minute=True, increments=(int(first), int(further)))
    while words and words.peek() != "until":
        _add_term(result, words.next(), words)
    return result


def _add_term(price: Price, term: str, words: Words) -> None:
    match term:
        case "fee":
            price.fee = Decimal(words.next())
        case "grace" | "free" | "end" | "decimals":
            setattr(price, term, words.units())
        case "least" | "most" | "limit":
            setattr(price, term, words.money())
        case "volume":
            price.volume = True
        case "above":
            start, each = words.units(), Decimal(words.next())
            words.skip("per")
            price.above.append((start, words.units(), each))
        case _:
            raise ValueError(f"{term!r} is no term of a price")


def _wallet(text: str) -> WalletLine:
    name, _, rest = text.partition(" ")
    rest, _, floor = rest.partition(" floor ")
    buckets = [_bucket(Words(part.split())) for part in rest.split(",")]
    return WalletLine(name, buckets, parse_money(floor.strip(), EUR) if floor else 0)


def _bucket(words: Words) -> BucketLine:
    name, amount = words.next(), words.next()
    money = not amount.endswith("s")
    bucket = BucketLine(name, parse_money(amount, EUR) if money else units(amount), money)
    while words:
        term = words.next()
        match term:
            case "by":
                bucket.increment = words.units()
            case "times":
                bucket.factor = words.units()
            case "from":
                bucket.from_ms = words.time_ms()
            case "until":
                bucket.until_ms = words.time_ms()
            case "for":
                bucket.zone = words.next()
            case _:
                raise ValueError(f"{term!r} is no term of a bucket")
    return bucket


# Steps ------------------------------------------------------------------------------------------


def _step(text: str, source: str) -> Step:
    told, _, expected = text.partition("->")
    answer, _, balances = expected.partition("|")
    at, verb, subject, *words = told.split()
    answer, _, moves = answer.strip().partition(", ")
    assert moves in ("", "nothing moves"), moves
    same = answer == "the same answer"
    services = [] if same else [_expected(Words(part.split())) for part in answer.split(" and ")]
    return Step(
        source=source,
        at_ms=time_ms(at),
        verb=verb,
        subject=subject,
        words=words,
        services=services,
        same_answer=same,
        nothing_moves=bool(moves),
        balances=_balances(balances.split()),
    )


def _balances(words: list[str]) -> dict[str, tuple[int, int]]:
    pairs = zip(words[::2], words[1::2], strict=True)
    return {bucket: _left_and_held(text) for bucket, text in pairs}


def _left_and_held(text: str) -> tuple[int, int]:
    left, held = text.split("/")
    if left.endswith("s"):
        return units(left), units(held)
    return parse_money(left, EUR), parse_money(held, EUR)


def _expected(words: Words) -> Expected:
    expected = Expected()
    while words:
        word = words.next()
        match word:
            case "granted" | "validity":
                setattr(expected, word, words.units())
            case "debited" | "overrun":
                setattr(expected, word, words.money())
            case "final":
                expected.final = True
            case "late":
                words.skip("start")
                expected.late_start = True
            case _ if word.endswith(":"):
                expected.group = word.removesuffix(":")
            case _:
                expected.code = f"{expected.code} {word}".strip()
    return expected


def charging(words_of_line: list[str]) -> Charging:
    """Read who is charged for what, in a start, update, release or event."""
    words, told = Words(words_of_line), Charging()
    while words:
        word = words.next()
        use = told.uses[-1]
        match word:
            case "to":
                use.rate = words.next()
            case "used" | "asks" | "before":
                setattr(use, word, words.units())
            case "by" | "coming":
                setattr(use, word, words.next())
            case "and":
                told.uses.append(Use())
            case _ if word.endswith(":"):
                use.group = word.removesuffix(":")
            case _:
                _read_request(told, word, words)
    return told


def _read_request(told: Charging, word: str, words: Words) -> None:
    match word:
        case "key":
            told.key = words.next()
        case "answered":
            told.answered = True
        case "answer":
            told.answer_ms = words.time_ms()
        case "dated":
            told.dated_ms = words.time_ms()
        case "dry":
            words.skip("run")
            told.dry_run = True
        case _ if word.startswith("#"):
            told.number = int(word[1:])
        case _:
            assert not told.wallet, f"{word!r} is not understood"
            told.wallet = word

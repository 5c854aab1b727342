"""What is well-formed in a source's file, and would not work: found at the start, not by a client.

Above all: a source that cannot tell a repeat from a new request would charge somebody twice when an
answer is lost, so it is not loaded.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from ocs.entrypoints.decoders.conversions import conversions
from ocs.entrypoints.decoders.levels import ANY_WORD, LIST, TENANT_KEY, known_names
from ocs.entrypoints.decoders.manner import RATED
from ocs.entrypoints.decoders.mapping import paths_of
from ocs.entrypoints.decoders.wire import Unreadable, to_wire
from ocs.entrypoints.decoders.words import ACTIONS, DIRECTIONS, RECORD_TYPES, USAGE_TYPES
from ocs.entrypoints.encoders.naming import problems
from ocs.entrypoints.sources.source import Defaults, Source

Fault = tuple[tuple[str | int, ...], str]
"""Where in the file, key by key, and why it does not work."""

_TELLS_REPEATS: Final = ("request_number", "request_num", "event_id", "event_time")
_WORDS: Final[Mapping[str, Collection[str]]] = {
    "record_type": RECORD_TYPES,
    "usage_type": tuple(filter(None, USAGE_TYPES)),
    "direction": tuple(filter(None, DIRECTIONS)),
    "action": ACTIONS,
}
_BILLED: Final = frozenset(USAGE_TYPES.values())


def faults_of(source: Source) -> Iterator[Fault]:
    """Tell all that would not work."""
    yield from _of_fields(source)
    yield from _of_words(source)
    yield from _of_constants(source)
    yield from _of_identities(source)
    yield from _of_usage_types(source)
    yield from _of_reports(source)
    yield from _of_tenants(source)
    yield from _of_answers(source)


def _of_fields(source: Source) -> Iterator[Fault]:
    for name, paths in source.fields.items():
        yield from _unknown(("fields", name), name)
        lists = name.count(LIST)
        for path in paths_of(paths):
            found = path.count(LIST)
            if found != lists and (found or lists > 1):
                reason = f"{path!r}: expected a place with {lists or 'no'} lists (`name[].`) in it"
                yield ("fields", name), reason


def _unknown(place: tuple[str, ...], name: str) -> Iterator[Fault]:
    *lists, last = name.split(LIST)
    inside = lists[-1] if lists else ""
    if lists not in ([], ["services"], ["services", "used"]) or last not in known_names(inside):
        yield place, "there is no such canonical field"


def _of_words(source: Source) -> Iterator[Fault]:
    for name, words in source.values.items():
        yield from _unknown(("values", name), name)
        known = _WORDS.get(name)
        for word, canonical in words.items():
            if known is not None and canonical not in known:
                reason = f"{canonical!r} is none of {', '.join(known)}"
                yield ("values", name, word), reason
        if set(words) == {ANY_WORD}:
            yield ("values", name), "a constant says the same"


def _of_constants(source: Source) -> Iterator[Fault]:
    converts = conversions(tuple(known_names()), "")
    for name, value in source.constants.items():
        place = ("constants", name)
        if name not in converts or name in ("services", TENANT_KEY):
            yield place, "there is no such canonical field of an event"
            continue
        try:
            to_wire({name: converts[name](value)}, None)
        except Unreadable as problem:
            yield place, problem.reason
        if name in _WORDS and value not in _WORDS[name]:
            yield place, f"{value!r} is none of {', '.join(_WORDS[name])}"


def _of_identities(source: Source) -> Iterator[Fault]:
    for number, identity in enumerate(source.identify):
        if not identity.pattern:
            continue
        try:
            groups = re.compile(identity.pattern).groups
        except re.error as error:
            yield ("identify", number, "pattern"), f"is no regular expression: {error}"
        else:
            if groups != 1:
                yield ("identify", number, "pattern"), f"expected one group, it has {groups}"


def _of_usage_types(source: Source) -> Iterator[Fault]:
    for section in ("rated", "defaults"):
        for name in getattr(source, section):
            if name not in _BILLED:
                yield (section, name), f"expected one of {', '.join(sorted(_BILLED))}"
    for name, fields in source.rated.items():
        if not fields or not set(fields) <= RATED:
            yield ("rated", name), f"expected some of {', '.join(sorted(RATED))}"
    for name, terms in source.defaults.items():
        yield from _of_terms(name, terms)


def _of_terms(name: str, terms: Defaults) -> Iterator[Fault]:
    most = terms.maximum_units
    for key in ("minimum_units", "quota_units"):
        if most and getattr(terms, key) > most:
            yield ("defaults", name, key), "is above maximum_units"


def _of_reports(source: Source) -> Iterator[Fault]:
    reports = source.reports
    if reports.settle == "at release" and reports.used != "total":
        reason = 'use that is settled at the release is reported as a total: used = "total"'
        yield ("reports", "settle"), reason
    told = [name for name in _TELLS_REPEATS if source.fields.get(name) or name in source.constants]
    by_totals = reports.used == "total" and reports.settle == "at once"
    if source.fields and source.format != "diameter" and not told and not by_totals:
        reason = (
            "a repeat could not be told from a new request, and would be charged twice: map one of "
            f"{', '.join(_TELLS_REPEATS)} (to its own name, if that is what it is), "
            "or let the client report totals"
        )
        yield ("fields",), reason


def _of_tenants(source: Source) -> Iterator[Fault]:
    if source.fields.get(TENANT_KEY) and not source.tenants:
        yield ("fields", TENANT_KEY), "there are no tenants to look it up in"


def _of_answers(source: Source) -> Iterator[Fault]:
    answer = source.answer
    if answer.form != "mapped":
        for key in ("fields", "empty", "values"):
            if getattr(answer, key):
                yield ("answer", key), 'is only of form = "mapped"'
        if answer.encoding != "json":
            yield ("answer", "encoding"), 'is only of form = "mapped"'
    elif not answer.fields:
        yield ("answer", "fields"), "an answer would be empty"
    else:
        for problem in problems(answer):
            key, _, reason = problem.partition(": ")
            section, _, name = key.partition(".")
            yield ("answer", section, name), reason

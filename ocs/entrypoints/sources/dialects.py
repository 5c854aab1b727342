"""Sources made into dialects: for each its decoder and its encoder, compiled once at the start.

`default` without a field map is read straight into a struct; every other source goes through its
map. An event that `default` cannot read so may name another source itself, in `file_type`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from ocs.domain.events import Reporting, Terms
from ocs.entrypoints.decoders.canonical import CanonicalDecoder, Elsewhere
from ocs.entrypoints.decoders.diameter import canonical_of
from ocs.entrypoints.decoders.diameter_plain import read_plainly
from ocs.entrypoints.decoders.judging import DecoderSettings, Judge
from ocs.entrypoints.decoders.key_values import read_key_values
from ocs.entrypoints.decoders.manner import Manner
from ocs.entrypoints.decoders.mapped import MappedDecoder, Read, Translation, read_json_or_form
from ocs.entrypoints.decoders.mapping import SourceMap
from ocs.entrypoints.dialects import (
    DEFAULT_SOURCE,
    AnswerEncoder,
    Decoded,
    Dialect,
    EventDecoder,
    Origin,
    source_named,
)
from ocs.entrypoints.encoders.diameter import DiameterEncoder
from ocs.entrypoints.encoders.mapped import MappedEncoder
from ocs.entrypoints.http.answers import RETRY_AFTER_S, AnswerWriter
from ocs.entrypoints.http.realtime import unknown_source
from ocs.entrypoints.return_codes import ReturnCodes
from ocs.entrypoints.sources.source import Reports, Source

_READ: Final[Mapping[str, Read]] = {
    "json": read_json_or_form,
    "kv": read_key_values,
    "diameter": read_json_or_form,
}
_TRANSLATIONS: Final = {"diameter": Translation(canonical_of, read_plainly)}


class Writing(Struct, frozen=True):
    """What all answers have in common. `retry_after_s`: when to ask again, if not charged now."""

    codes: ReturnCodes
    retry_after_s: int = RETRY_AFTER_S


def make_dialects(
    sources: Iterable[Source], settings: DecoderSettings, writing: Writing
) -> dict[str, Dialect]:
    """Return the dialects by name; `default` is among them, from a source or as it comes."""
    by_name = {DEFAULT_SOURCE: Source(DEFAULT_SOURCE, "")} | {each.name: each for each in sources}
    decoders = make_decoders(by_name.values(), settings)
    return {
        name: Dialect(name, decoders[name], _encoder(source, writing))
        for name, source in by_name.items()
    }


def make_decoders(sources: Iterable[Source], settings: DecoderSettings) -> dict[str, EventDecoder]:
    """Return the decoders by name; that of `default` finds the others for events that name them."""
    decoders: dict[str, EventDecoder] = {}
    elsewhere = _elsewhere(decoders)
    for source in sources:
        finds = elsewhere if source.name == DEFAULT_SOURCE else None
        decoders[source.name] = make_decoder(source, settings, finds)
    return decoders


def make_decoder(
    source: Source, settings: DecoderSettings, elsewhere: Elsewhere | None = None
) -> EventDecoder:
    """Compile the decoder of a source; ValueError for a pattern that is none."""
    manner, own = manner_of(source), source.name
    if elsewhere is not None and not is_mapped(source):
        return CanonicalDecoder(settings, manner, elsewhere=elsewhere)
    return MappedDecoder(
        Judge(settings, manner, own),
        SourceMap(source),
        _READ[source.format],
        most_events=settings.most_events,
        translation=_TRANSLATIONS.get(source.format),
        elsewhere=elsewhere,
    )


def manner_of(source: Source) -> Manner:
    """Return what the events of a source mean where they do not say it."""
    reports = source.reports
    return Manner(
        _reporting(reports),
        reports.unknown_session == "open",
        reports.absent_request == "quota",
        {
            usage_type: Terms(
                each.quota_units,
                each.minimum_units,
                each.maximum_units,
                each.validity_s,
                each.threshold_units,
            )
            for usage_type, each in source.defaults.items()
        },
        source.rated,
    )


def is_mapped(source: Source) -> bool:
    """Tell whether events of a source are anything but canonical JSON."""
    return source.format != "json" or any(
        (
            source.inside,
            source.fields,
            source.values,
            source.constants,
            source.identify,
            source.session_fields,
            source.tenants,
            source.reports.unit_ms,
            not source.keep_unmapped,
        )
    )


def _reporting(reports: Reports) -> Reporting:
    if reports.used == "delta":
        return Reporting.DELTA
    return Reporting.AT_RELEASE if reports.settle == "at release" else Reporting.TOTAL


def _encoder(source: Source, writing: Writing) -> AnswerEncoder:
    codes, answering = writing.codes, source.answer
    if answering.form == "mapped":
        return MappedEncoder(codes, answering, retry_after_s=writing.retry_after_s)
    if answering.form == "diameter":
        return DiameterEncoder(codes, answering)
    return AnswerWriter(
        codes,
        retry_after_s=writing.retry_after_s,
        failure_handling=answering.failure_handling,
    )


def _elsewhere(decoders: Mapping[str, EventDecoder]) -> Elsewhere:
    """Return what finds the source that an event of `default` names in its `file_type`."""

    def decode(plain: object, origin: Origin) -> Decoded | None:
        name = source_named(plain)
        if not name:
            return None
        decoder = decoders.get(name)
        if decoder is None:
            return Decoded(unknown_source())
        assert isinstance(decoder, MappedDecoder), "only default is read in another way"
        return decoder.decode_plain(plain, origin)

    return decode

"""Event sources, put together with the rest of a configuration.

The worker does it to answer with them, `ocs source` to show how they understand a body.
"""

from collections.abc import Iterable

from ocs.bootstrap.checking import return_codes_file
from ocs.config.settings import Settings
from ocs.entrypoints.decoders.judging import DecoderSettings
from ocs.entrypoints.dialects import Dialect
from ocs.entrypoints.return_codes import load_return_codes
from ocs.entrypoints.sources.dialects import Writing, make_dialects
from ocs.entrypoints.sources.source import Source


def decoder_settings(settings: Settings) -> DecoderSettings:
    return DecoderSettings(
        skew_ms=settings.charging.skew_s * 1000,
        most_events=settings.server.max_array_events,
        number_rules={tenant.name: tenant.rules() for tenant in settings.tenants},
    )


def dialects_of(settings: Settings, sources: Iterable[Source]) -> dict[str, Dialect]:
    codes = load_return_codes(return_codes_file(settings))
    writing = Writing(codes, settings.server.retry_after_s)
    return make_dialects(sources, decoder_settings(settings), writing)

"""FreeSWITCH's mod_cdr_csv: no header, the columns of a template of its configuration.

A template is a line of channel variables, so `columns` may name the variables of one's own. Two
things of the templates that are shipped: `snom` has a blank before a quote, and `sql` is an INSERT
whose brackets hold the first 13 columns of `example`; it is known by that, whatever was told.
"""

import re
from collections.abc import Iterator
from typing import Final

from ocs.adapters.cdr_files.batching import cells_of, check_width, read_lines
from ocs.adapters.cdr_files.cells import epoch_us, milliseconds, moment, quoted, seconds
from ocs.adapters.cdr_files.layout import Layout, Maker, cell_of
from ocs.adapters.cdr_files.opening import Source
from ocs.adapters.cdr_files.options import CdrOptionError, Options
from ocs.adapters.cdr_files.records import SKIPPED, Outcome, Skipped, Used

_SQL: Final = (
    "caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp",
    "answer_stamp", "end_stamp", "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid",
    "accountcode",
)  # fmt: skip
_EXAMPLE: Final = (*_SQL, "read_codec", "write_codec")
TEMPLATES: Final = {
    "example": _EXAMPLE,
    "sql": _SQL,
    "snom": (
        *_EXAMPLE, "sip_user_agent", "call_clientcode", "sip_rtp_rxstat", "sip_rtp_txstat",
        "sofia_record_file",
    ),
    "linksys": (*_EXAMPLE, "sip_user_agent", "sip_p_rtp_stat"),
    "asterisk": (
        "accountcode", "caller_id_number", "destination_number", "context", "caller_id",
        "channel_name", "bridge_channel", "last_app", "last_arg", "start_stamp", "answer_stamp",
        "end_stamp", "duration", "billsec", "hangup_cause", "amaflags", "uuid", "userfield",
    ),
    "opencdrrate": (
        "uuid", "signal_bond", "direction", "ani", "destination_number", "answer_stamp",
        "end_stamp", "billsec", "accountcode", "userfield", "network_addr",
        "original_caller_id_name", "sip_gateway_name",
    ),
}  # fmt: skip
"""The templates that FreeSWITCH is shipped with: channel variables in their order."""

LAYOUT: Final = Layout(
    cdr_id=("uuid",),
    session_id=("uuid",),
    subscriber=("accountcode", "caller_id_number", "ani"),
    calling=("caller_id_number", "ani"),
    called=("destination_number",),
    trunk_in=("sip_network_ip", "network_addr"),
    trunk_out=("sip_gateway_name",),
    cause=("hangup_cause",),
    start=(("start_uepoch", epoch_us), ("start_epoch", moment), ("start_stamp", moment)),
    answer=(("answer_uepoch", epoch_us), ("answer_epoch", moment), ("answer_stamp", moment)),
    end=(("end_uepoch", epoch_us), ("end_epoch", moment), ("end_stamp", moment)),
    duration=(("billmsec", milliseconds), ("billsec", seconds)),
)
"""Which channel variables say what, in CSV as in JSON."""

NOT_BILLED: Final = "outbound"
"""The direction of the b-leg: it is the same call as its a-leg, seen from the other side."""

_INSERT: Final = re.compile(r"\s*INSERT\s+INTO\s+\S+\s+VALUES\s*\((.*)\)\s*;?\s*", re.IGNORECASE)


def read_csv(source: Source, options: Options) -> Iterator[Outcome]:
    order = options.columns or TEMPLATES.get(options.template)
    if order is None:
        expected = ", ".join(TEMPLATES)
        raise CdrOptionError(f"template: {quoted(options.template)}, expected one of {expected}")
    maker = Maker(LAYOUT, options, source.name)

    def read(number: int, line: bytes, text: str) -> Used | Skipped:
        inserted = _INSERT.fullmatch(text)
        row = cells_of(inserted[1] if inserted else text)
        names = _SQL if inserted and not options.columns else order
        check_width(row, len(names))
        cells = dict(zip(names, row, strict=True))
        if cell_of(cells, "direction") == NOT_BILLED:
            return SKIPPED
        return Used((maker.cdr(cells, number, line),))

    return read_lines(source, read)

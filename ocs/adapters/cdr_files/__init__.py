"""Reading CDRs as switches write them: files in, batches of rows in one set of columns out.

    formats       the list, how a format is told, and `open_cdrs`, the one door
    own_files     CSV, NDJSON, Parquet in our own columns, checked by own_columns
    asterisk ...  one module a format: a table of its columns (layout), and what is special
    batching      lines -> outcomes -> batches; what is no CDR is a reject with its reason
    chunks        a file in pieces that are known again; rejected_files: rejects, given in again
    outline       where the pieces end, without reading them; shares: files given out to workers
    arrow_batches CDRs that come from another engine instead of a file
    opening       compressed or not, lines or blocks of lines, in bounded memory

Nothing is rated, cleaned or remembered here: two rows with one id are both handed out, and who
debits finds them. docs/cdr.md is the table of formats, options and traps.
"""

from ocs.adapters.cdr_files.formats import Format, detect, formats, open_cdrs
from ocs.adapters.cdr_files.options import CdrOptionError, Options, Seconds
from ocs.adapters.cdr_files.records import COLUMNS, MOST_ROWS, Batch, Reject

__all__ = [
    "COLUMNS",
    "MOST_ROWS",
    "Batch",
    "CdrOptionError",
    "Format",
    "Options",
    "Reject",
    "Seconds",
    "detect",
    "formats",
    "open_cdrs",
]

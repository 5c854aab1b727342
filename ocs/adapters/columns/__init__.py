"""Rating columns of CDRs: millions of finished calls a second, with the integers of a single one.

    rater     cuts a frame by plan and usage type
    paths     the tariffs of one plan: by caller and trunk, by epoch between two dates
    flat      all of them laid flat on the line of numbers; one as-of join finds the rows
    bands     which band of a timed price is active, by one as-of join on the instants
    ladders   the amounts, in 64-bit integers

Around it, for `ocs offline`:

    numbers      cleaning columns of numbers
    call_rating  CDRs as switches write them: who pays, what it costs, or why that cannot be said
    rated_files  the output: a chunk is in it whole or not at all
    shared_files the same, where several machines write into one folder
    batches      a record batch with its prices, for engines that are not ours
    traffic      what all of it comes to

Whatever does not go by columns is priced by the domain, call by call, and both give the same
answers: a property test holds them, and the ledger's script, together. A rater is a function of a
frame and remembers nothing but tariffs, so record batches can be handed to any number of them.
"""

from ocs.adapters.columns.frames import CDRS, PRICES
from ocs.adapters.columns.rater import ColumnRater

__all__ = ["CDRS", "PRICES", "ColumnRater"]

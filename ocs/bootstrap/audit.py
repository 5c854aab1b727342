"""The books of the store, for `ocs verify`: read beside a running service, or without one."""

from ocs.adapters.valkey.books import ValkeyBooks
from ocs.bootstrap.stores import Stores
from ocs.usecases.verification import Books


def books_of(stores: Stores) -> Books:
    """Open the books of all partitions."""
    return ValkeyBooks(stores.connection)

"""What an installation may lack: a server does without what the extra `offline` brings.

So who needs it imports it where it is used, and within `offline_extra`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ocs.bootstrap.stores import CannotStart


@contextmanager
def offline_extra() -> Iterator[None]:
    """Import what the extra brings. Raises `CannotStart`, which says how to install it."""
    try:
        yield
    except ImportError:
        raise CannotStart("this needs the extra `offline`: pip install 'ocs[offline]'") from None

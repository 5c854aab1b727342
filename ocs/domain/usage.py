"""What can be used, by the name that events, tariffs and plans give it, and in which units."""

from typing import Final

VOICE: Final = "voice"
"""The one usage type whose units are seconds of elapsed time."""
DATA: Final = "data"
USAGE_TYPES: Final = (VOICE, DATA, "sms", "mms", "event")
"""All usage types. Units: seconds, bytes, and one for each message or event."""

"""The HTTP face; the one place that knows aiohttp."""

"""What all tests share: how properties choose their cases, and the fixtures for a store.

Properties run derandomised by default: a commit passes or fails, whoever runs it. `make check` tries
the first cases of each (profile `check`), `make test` a hundred; `make nightly` looks for new ones
(profile `nightly`) and prints the blob that replays a failure.
"""

from hypothesis import HealthCheck, settings

# Fixtures for every folder; a module that is not listed here is imported by the tests that use it.
pytest_plugins = ["tests.adapters.store", "tests.adapters.ledgers"]

# No deadline anywhere: tests assert results, never times.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("check", parent=settings.get_profile("ci"), max_examples=20)
settings.register_profile(
    "nightly",
    deadline=None,
    print_blob=True,
    max_examples=2_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")

import pytest

from ocs.entrypoints.restarts import QUICK_DEATHS, Restarts

QUICK, LONG = 0.5, 60.0


@pytest.mark.parametrize(
    ("lives", "pauses"),
    [
        ([LONG], [0.1]),
        ([QUICK], [0.1]),
        ([QUICK, QUICK, QUICK, QUICK], [0.1, 0.2, 0.4, 0.8]),
        ([QUICK, QUICK, LONG, QUICK], [0.1, 0.2, 0.1, 0.1]),
        ([QUICK] * QUICK_DEATHS, [0.1, 0.2, 0.4, 0.8, None]),
        ([*[QUICK] * 4, LONG, *[QUICK] * 4], [0.1, 0.2, 0.4, 0.8, 0.1, 0.1, 0.2, 0.4, 0.8]),
    ],
)
def test_the_pause_grows_with_quick_deaths_and_five_of_them_end_it(
    lives: list[float], pauses: list[float | None]
) -> None:
    restarts = Restarts()
    assert [restarts.pause_after(lived_s) for lived_s in lives] == pauses

"""Figures in a file: the text form of Prometheus, replaced as a whole."""

from pathlib import Path

from ocs.adapters.textfile import Figure, write_figures

FIGURES = [
    Figure("a_total", "counter", "What is counted.", [({}, 12_345_678.0)]),
    Figure("b", "gauge", "By name.", [({"name": 'x"\\\n', "code": "OK"}, 0.5), ({"name": "y"}, 0)]),
    Figure("c", "gauge", "Nothing yet.", []),
]
TEXT = r"""# HELP a_total What is counted.
# TYPE a_total counter
a_total 12345678
# HELP b By name.
# TYPE b gauge
b{name="x\"\\\n",code="OK"} 0.5
b{name="y"} 0
# HELP c Nothing yet.
# TYPE c gauge
"""


def test_figures_are_written_in_the_text_form(tmp_path: Path) -> None:
    path = tmp_path / "ocs.prom"
    write_figures(path, FIGURES[:1])
    write_figures(path, FIGURES)
    assert path.read_text(encoding="utf-8") == TEXT
    assert [each.name for each in tmp_path.iterdir()] == ["ocs.prom"]

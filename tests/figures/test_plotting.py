from __future__ import annotations

from matplotlib.figure import Figure

from survfuse.figures.plotting import draw


def test_equal_input_gives_equal_bytes() -> None:
    def paint(figure: Figure) -> None:
        figure.subplots().plot([0, 1], [0, 1])

    first, second = (draw("line", (3, 2), paint, "a line") for _ in range(2))
    assert first == second
    assert first.startswith("<svg role='img' aria-label=\"a line\"")

"""Tables as figures."""

import pytest

from novelweights.report.style import finish
from novelweights.reproduce.drawing import captioned, drawn_table, panels, styled


def test_table_shows_every_cell_once_and_columns_do_not_overlap():
    rows = [["baseline"], ["training", "65.2", "50.0\npaper 49"], ["default", "57.5", "8.11"]]
    with styled():
        figure = drawn_table(
            ["", "accuracy, %", "L2"], rows, groups=[("", 1), ("G.pt", 2)], notes=["n = 8"]
        )
        drawing = finish(figure, "a table")
    shown = [text.get_text() for text in figure.axes[0].texts]
    cells = ["G.pt", "", "accuracy, %", "L2", *(cell for row in rows for cell in row), "n = 8"]
    assert [text for text in shown if text] == [cell for cell in cells if cell]
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[i + 1 :])
    assert drawing.png[:4] == b"\x89PNG"


@pytest.mark.parametrize("is_table", [True, False])
def test_a_caption_stands_below_everything_else(is_table):
    with styled():
        if is_table:
            figure = drawn_table(["", "a"], [["row", "1"]], notes=["a note"])
        else:
            figure, _ = panels(["left", "right"])
        height = figure.get_size_inches()[1]
        captioned(figure, "what its signs mean")
        captioned(figure, "what it is made of " * 20)
        finish(figure, "words")
    first, second, *_, last = figure.texts
    assert first.get_text() == "what its signs mean"
    assert first.get_window_extent().y0 >= second.get_window_extent().y1
    assert last.get_window_extent().y0 >= 0
    assert figure.get_size_inches()[1] > height
    others = [text for ax in figure.axes for text in ax.texts] if is_table else figure.axes
    top = first.get_window_extent().y1
    assert all(other.get_tightbbox().y0 >= top for other in others)

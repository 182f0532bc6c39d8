from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from running import loaded, quick, small
from survfuse import _notebook, _progress
from survfuse._notebook import html_table
from survfuse._progress import NotebookBars, NotebookTask, is_shown, progress_bars
from survfuse.evaluation.progress import CellBars, watch_cells
from survfuse.slides.progress import SlideBar, watch_slides
from survfuse.training import Epoch, Run
from survfuse.training.progress import EpochBars


class Diary:
    """Bars that remember what was asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def add_task(self, description: str, **fields: Any) -> int:
        self.calls.append(("add", description, fields))
        return len(self.calls)

    def update(self, task_id: int, **fields: Any) -> None:
        self.calls.append(("update", task_id, fields))

    def remove_task(self, task_id: int) -> None:
        self.calls.append(("remove", task_id))


class Notebook:
    """What IPython would show in one output, picture by picture."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pictures: list[str] = []
        shell = type("ZMQInteractiveShell", (), {})()
        module = SimpleNamespace(get_ipython=lambda: shell)
        display = SimpleNamespace(HTML=lambda text: text, display=self.display)
        monkeypatch.setitem(sys.modules, "IPython", module)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, picture: str, display_id: bool) -> Any:
        assert display_id
        self.update(picture)
        return self

    def update(self, picture: str) -> None:
        self.pictures.append(picture)


def test_nothing_is_shown_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_shown(None), "in tests"
    assert is_shown(True)
    assert not is_shown(False)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: False))
    assert not is_shown(None)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    assert is_shown(None)
    worker = SimpleNamespace(name="LokyProcess-1")
    monkeypatch.setattr(_progress, "current_process", lambda: worker)
    assert not is_shown(None)


def test_a_notebook_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _notebook.in_notebook()
    Notebook(monkeypatch)
    assert _notebook.in_notebook()


def test_a_notebook_shows_bars_in_one_output_and_empties_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = Notebook(monkeypatch)
    with progress_bars() as bars:
        assert isinstance(bars, NotebookBars)
        task = bars.add_task("<fits>", total=4)
        bars.update(task, completed=4)
        other = bars.add_task("epochs")
        bars.remove_task(other)
    assert 'value="4" max="4"' in notebook.pictures[1]
    assert "&lt;fits&gt;" in notebook.pictures[0]
    assert "<fits>" not in "".join(notebook.pictures)
    assert notebook.pictures[-1] == ""


def test_the_time_left_follows_from_what_was_done_here() -> None:
    task = NotebookTask("fits", 10, 6, start=2, started=100.0)
    assert "6/10 fits: 8 s, 8 s left" in task.html(now=108.0)
    assert "left" not in NotebookTask("fits", 10, 2, start=2, started=0).html(now=9)
    assert "<progress></progress> fits: 9 s" in NotebookTask(
        "fits", None, 0, 0, 0
    ).html(9)


def test_epochs_are_a_bar_each_training() -> None:
    diary = Diary()
    bars = EpochBars(diary)
    run = Run("network", 5)
    bars.on_epoch_end(run, Epoch(1, 0.0, None, 0.0))  # before any start: nothing
    bars.on_start(run)
    bars.on_epoch_end(run, Epoch(1, 0.0, None, 0.0))
    bars.on_end(run)
    assert [call[0] for call in diary.calls] == ["add", "update", "remove"]
    assert diary.calls[0][1:] == ("network", {"total": 5, "completed": 0})


def test_cells_are_the_upper_bar() -> None:
    diary = Diary()
    bars = CellBars(diary)
    bars.on_cell("km", 1, False)
    bars.on_half("half 1 of 8")
    assert diary.calls == []
    bars.on_cells(3)
    bars.on_cell("km", 1, False)
    bars.on_half("half 1 of 8")
    assert diary.calls[1:] == [
        ("update", 1, {"completed": 1, "description": "km"}),
        ("update", 1, {"description": "agreement, half 1 of 8"}),
    ]


def test_slides_are_one_bar() -> None:
    diary = Diary()
    bar = SlideBar(diary)
    bar.on_slides(5, 3)
    record: Any = SimpleNamespace(slide_id="A")
    bar.on_slide(record, 1, 3)
    assert diary.calls == [
        ("add", "slides", {"total": 3}),
        ("update", 1, {"completed": 1, "description": "A"}),
    ]


def test_a_fit_shows_its_epochs_when_asked(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    notebook = Notebook(monkeypatch)
    cohort = loaded(small(tmp_path))
    quick().fit(cohort)
    assert notebook.pictures == []
    quick().fit(cohort, progress=True)
    assert "fitting concat" in notebook.pictures[0]
    assert notebook.pictures[-1] == ""


def test_nothing_watches_in_tests() -> None:
    with watch_cells(None) as cells, watch_slides(None) as slides:
        assert not isinstance(cells, CellBars)
        assert not isinstance(slides, SlideBar)


def test_tables_of_notebooks_are_escaped() -> None:
    page = html_table("<b>t", ["a", "<i>"], [["<td>x", 1]], ["<script>"])
    for text in ("<b>t", "<i>", "<td>x", "<script>"):
        assert text not in page
    assert "color-mix" in page, "lines in the colour of the text read on dark pages too"

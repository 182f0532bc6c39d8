"""A slide of a format that cannot be judged from outside is opened by another process first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from slide_files import raw_tiff, tiff_tags, vast_vms
from survfuse._errors import SlideError
from survfuse.slides.isolated_open import look_first
from survfuse.slides.opening import open_slide

LEICA = '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"></scn>'


def test_a_slide_that_ends_its_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SlideError,
        match=r"a\.vms: opening it ended the process that looked at it first \(SIG",
    ):
        open_slide(vast_vms(tmp_path / "a.vms"))


def test_a_folder_with_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_text("")
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "Slidedat.ini")
    with pytest.raises(
        SlideError,
        match=r"Slidedat\.ini: expected a file of the slide a\.mrxs, got a pipe",
    ):
        open_slide(tmp_path / "a.mrxs")


def test_a_slide_that_waits_for_another_file_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("survfuse.slides.isolated_open.SECONDS", 3)
    os.mkfifo(tmp_path / "a.jpg")
    lines = (
        "[Virtual Microscope Specimen]",
        "NoLayers=1",
        "NoJpegColumns=1",
        "NoJpegRows=1",
    )
    text = "\n".join(
        [*lines, "ImageFile=a.jpg", "MapFile=a.jpg", "OptimisationFile=a.jpg", ""],
    )
    (tmp_path / "a.vms").write_text(text)
    with pytest.raises(SlideError, match=r"a\.vms: opening it did not end within 3 s"):
        open_slide(tmp_path / "a.vms")


def test_a_tiff_that_names_other_things_is_looked_at_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(
        "survfuse.slides.openslide.look_first",
        lambda path: looked.append(path.name),
    )
    for name, text in (
        ("plain.tif", "a scan"),
        ("aperio.tif", "Aperio Image Library"),
        ("leica.tif", LEICA),
    ):
        path = raw_tiff(
            tmp_path / name,
            tiff_tags() | {270: (2, text.encode() + b"\0")},
        )
        with suppress(SlideError), open_slide(path):
            pass
    assert looked == ["leica.tif"]


def test_a_run_that_is_being_ended_blames_no_slide(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "survfuse.slides.isolated_open._LOOK",
        "import os; os.kill(os.getpid(), 15)",
    )
    look_first(tmp_path / "a.mrxs")
    monkeypatch.setattr(
        "survfuse.slides.isolated_open._LOOK",
        "import os; os.kill(os.getpid(), 9)",
    )
    with pytest.raises(
        SlideError,
        match=r"ended the process that looked at it first \(SIGKILL\)",
    ):
        look_first(tmp_path / "a.mrxs")


def test_what_openslide_answers_is_left_to_who_opens_it(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_text("no slide")
    look_first(tmp_path / "a.svs")
    with pytest.raises(
        SlideError,
        match="not a whole-slide image that OpenSlide knows",
    ):
        open_slide(tmp_path / "a.svs")


def test_no_module_of_the_current_folder_is_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openslide.py").write_text("open('ran', 'w').close()")
    (tmp_path / "a.mrxs").write_text("")
    look_first(tmp_path / "a.mrxs")
    assert not (tmp_path / "ran").exists()

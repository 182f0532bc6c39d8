from __future__ import annotations

from pathlib import Path

import pytest

from survfuse._errors import InputError
from survfuse._storage import read_json, sha256_file
from survfuse.results.explanation_folder import try_explanation_folder, write_record


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    folder = tmp_path / "explanation"
    folder.mkdir()
    (folder / "terms.csv").write_text("patient_id\n1\n")
    write_record(folder, {"cohort": "c"})
    return folder


def test_the_record_says_what_it_is_and_hashes_the_files(finished: Path) -> None:
    record = read_json(finished / "explanation.json")
    assert (record["format"], record["version"], record["cohort"]) == (
        "survfuse-explanation",
        1,
        "c",
    )
    assert record["files"] == {"terms.csv": sha256_file(finished / "terms.csv")}


def test_a_new_or_empty_folder_may_be_taken(tmp_path: Path) -> None:
    assert try_explanation_folder(tmp_path / "new") == tmp_path / "new"
    assert not (tmp_path / "new").exists()
    assert try_explanation_folder(tmp_path) == tmp_path


def test_an_explanation_is_replaced_when_that_is_asked_for(finished: Path) -> None:
    with pytest.raises(
        InputError, match=r"an explanation is there already; .* --force"
    ):
        try_explanation_folder(finished)
    assert try_explanation_folder(finished, force=True) == finished
    link = finished.with_name("link")
    link.symlink_to(finished)
    assert try_explanation_folder(link, force=True) == finished


@pytest.mark.parametrize("force", [False, True])
def test_nothing_else_is_ever_replaced(finished: Path, force: bool) -> None:
    (finished / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt, which no explanation"):
        try_explanation_folder(finished, force=force)
    (finished / "explanation.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds explanation\.json, notes\.txt"):
        try_explanation_folder(finished, force=force)
    file = finished / "terms.csv"
    with pytest.raises(InputError, match="a file is there, expected a folder"):
        try_explanation_folder(file, force=force)


def test_files_in_folders_belong_to_the_explanation(tmp_path: Path) -> None:
    finished = tmp_path / "explanation"
    map_file = finished / "maps" / "P1" / "S1.png"
    map_file.parent.mkdir(parents=True)
    map_file.write_bytes(b"a map")
    write_record(finished, {"cohort": "c"})
    files = read_json(finished / "explanation.json")["files"]
    assert set(files) == {"maps/P1/S1.png"}
    assert try_explanation_folder(finished, force=True) == finished
    (map_file.parent / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds maps/P1/mine\.txt, which no"):
        try_explanation_folder(finished, force=True)

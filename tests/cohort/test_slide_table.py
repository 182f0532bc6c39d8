"""The store of a cohort's features: reused while they are the same, by content and not by date."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from builders import CohortFiles
from survfuse._errors import CohortError, FeatureFileError
from survfuse.cohort import BagData, Cohort, inspect, load_cohort, pack_cohort
from survfuse.cohort.damaged_slides import load_undamaged


def edit(path: Path, data: bytes) -> None:
    """Write other bytes into a file and set back its time, as a careful hand would."""
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 0x10
    edit(path, bytes(data))


def tiles(cohort: Cohort) -> np.ndarray:
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    return data.store.gather(data.patients)[0]


def notes(cohort: Cohort) -> list[str]:
    return [problem.message for problem in cohort.problems]


def stores(files: CohortFiles) -> list[Path]:
    return sorted((files.root / ".survfuse").glob("*.bags"))


def test_a_file_that_was_edited_and_given_its_old_time_is_packed(
    files: CohortFiles,
) -> None:
    path = files.write()
    before = tiles(load_cohort(path))
    feature = files.root / "features" / "001_0.npy"
    data = feature.read_bytes()
    edit(feature, data[:-4] + np.float32(3.5).tobytes())
    after = tiles(load_cohort(path))
    assert (before != after).sum() == 1
    assert 3.5 in after


def test_a_chunk_of_a_store_that_was_edited_and_given_its_old_time_is_seen(
    tmp_path: Path,
) -> None:
    from survfuse.cohort.slide_table import _stamps

    for name in ("a", "b"):
        (tmp_path / name).write_text("1")
    before = _stamps(tmp_path)
    edit(tmp_path / "a", b"2")  # the newest file is b
    assert _stamps(tmp_path) != before


@pytest.mark.parametrize("name", ["features.npy", "coords.npy", "index.json"])
def test_a_damaged_store_of_the_cache_is_packed_anew_and_named(
    files: CohortFiles,
    name: str,
) -> None:
    path = files.write()
    first = load_cohort(path)
    expected = tiles(first)
    (store,) = stores(files)
    whole = (store / name).read_bytes()
    flip(store / name, 200)
    again = load_cohort(path)
    (note,) = notes(again)
    assert f"{store.name}" in note
    assert note.endswith(": packed anew")
    assert name == "index.json" or "slide '001_0' of patient '001'" in note
    assert (store / name).read_bytes() == whole
    np.testing.assert_array_equal(tiles(again), expected)
    assert again.fingerprint() == first.fingerprint()
    assert notes(load_cohort(path)) == []
    assert sorted(one.name for one in store.parent.iterdir()) == sorted(
        ["bags.json", store.name],
    )


def test_swapped_patients_in_a_store_without_a_hash_of_its_index_are_found(
    files: CohortFiles,
) -> None:
    path = files.write()
    first = tiles(load_cohort(path))
    index = stores(files)[0] / "index.json"
    content = json.loads(index.read_text())
    del content["sha256"]
    one, two = content["slides"][0], content["slides"][3]
    one["patient_id"], two["patient_id"] = two["patient_id"], one["patient_id"]
    edit(index, json.dumps(content).encode())
    again = load_cohort(path)
    assert "holds other slides than it was packed from: packed anew" in notes(again)[0]
    np.testing.assert_array_equal(tiles(again), first)


def test_the_ids_of_a_packed_store_are_cut_as_those_of_tables(
    files: CohortFiles,
) -> None:
    assert files.slides is not None
    owners = [f"TCGA-AA-0{owner}" for owner in files.slides["patient_id"]]
    files.slides["patient_id"] = [f"{owner}-01A" for owner in owners]
    files.slides.loc[0, "patient_id"] = f"{owners[0]}-11A"  # normal
    files.patients["patient_id"] = [
        f"TCGA-AA-0{one}" for one in files.patients["patient_id"]
    ]
    del files.spec["expression"]
    path = files.write()
    pack_cohort(path, out=files.root / "mine.bags")
    files.spec |= {"match": "tcga", "slides": {"packed": "mine.bags"}}
    cohort = load_cohort(files.write())
    data = cohort.modalities["slides"]
    assert isinstance(data, BagData)
    assert set(data.patients) == set(owners[1:]) & set(cohort.patients)
    assert any("1 of 21 slides are of normal samples" in note for note in notes(cohort))
    sent = pickle.loads(pickle.dumps(data.store))  # noqa: S301
    assert sent.fingerprint() == data.store.fingerprint()
    np.testing.assert_array_equal(
        sent.gather(data.patients)[0], data.store.gather(data.patients)[0]
    )
    flip(files.root / "mine.bags" / "features.npy", -1)
    _, damaged = load_undamaged(path)
    assert set(damaged) == {data.store.slides[-1].patient_id}
    files.spec["match"] = None
    files.spec["slides"]["patient"] = {"take": 7}
    with pytest.raises(CohortError, match="none of its 1 patients \\('TCGA-AA'\\)"):
        load_cohort(files.write())


def test_a_store_that_a_person_packed_is_refused_where_it_is_damaged(
    files: CohortFiles,
) -> None:
    path = files.write()
    pack_cohort(path, out=files.root / "mine.bags")
    files.spec["slides"] = {"packed": "mine.bags"}
    files.write()
    load_cohort(path)
    flip(files.root / "mine.bags" / "features.npy", 130)
    damaged = (files.root / "mine.bags" / "features.npy").read_bytes()
    with pytest.raises(
        CohortError,
        match=r"mine\.bags: the features of slide '001_0' .*`survfuse pack COHORT -o STORE --force`",
    ):
        load_cohort(path)
    with pytest.raises(FeatureFileError, match="slide '001_0'"):
        pack_cohort(path)
    assert (files.root / "mine.bags" / "features.npy").read_bytes() == damaged


def test_verifying_says_what_an_older_store_cannot_answer(files: CohortFiles) -> None:
    path = files.write()
    pack_cohort(path, out=files.root / "mine.bags")
    files.spec["slides"] = {"packed": "mine.bags"}
    files.write()
    index = files.root / "mine.bags" / "index.json"
    content = json.loads(index.read_text())
    del content["sha256"]
    index.write_text(json.dumps(content))
    assert inspect(path).problems == ()
    (problem,) = inspect(path, verify=True).problems
    assert problem.severity == "warning"
    assert (
        "without hashes of its ids and rows, which cannot be verified"
        in problem.message
    )


def test_verifying_hashes_files_whose_stamp_is_known(
    files: CohortFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from survfuse.cohort import slide_table

    path = files.write()
    load_cohort(path)
    hashed: list[Path] = []
    real = slide_table.sha256_path
    monkeypatch.setattr(
        slide_table,
        "sha256_path",
        lambda one: hashed.append(one) or real(one),
    )
    load_cohort(path)
    assert hashed == []
    assert inspect(path, verify=True).problems == ()
    assert len(hashed) == len(files.bags)


@pytest.mark.parametrize("text", ["[]", "{", "\x00", '{"a": "../../etc"}', '{"a": 3}'])
def test_a_broken_list_of_known_files_costs_only_time(
    files: CohortFiles,
    text: str,
) -> None:
    path = files.write()
    first = tiles(load_cohort(path))
    (files.root / ".survfuse" / "bags.json").write_text(text)
    np.testing.assert_array_equal(tiles(load_cohort(path)), first)
    assert len(stores(files)) == 1


@pytest.mark.slow
def test_what_a_killed_run_left_half_packed_is_removed(files: CohortFiles) -> None:
    path = files.write()
    code = """
import os, signal, sys
from survfuse.cohort import load_cohort
from survfuse.readers import packing
calls = []
real = packing.read_features
def read(*args, **given):
    calls.append(1)
    if len(calls) == 7: os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **given)
packing.read_features = read
load_cohort(sys.argv[1])
"""
    assert (
        subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode
        == -9
    )
    (left,) = (files.root / ".survfuse").iterdir()
    assert left.name.endswith(".bags.part")
    load_cohort(path)
    (store,) = stores(files)
    names = sorted(one.name for one in (files.root / ".survfuse").iterdir())
    assert names == sorted(["bags.json", store.name])


def test_a_full_disk_under_the_cache_is_an_answer(
    files: CohortFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from survfuse.readers import bag_files

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = files.write()
    monkeypatch.setattr(bag_files.os, "fsync", full)
    with pytest.raises(CohortError, match=r"\.bags: the disk is full; free some space"):
        load_cohort(path)
    monkeypatch.undo()
    assert list((files.root / ".survfuse").iterdir()) == []
    assert load_cohort(path).present["slides"].all()

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from survfuse._digests import (
    collected_notes,
    read_cached_tensors,
    recall_json,
    write_cached_json,
    write_cached_tensors,
)
from survfuse._errors import InputError
from survfuse._storage import sha256_json

HEADER = {"format": "f", "version": 2, "key": "k"}
OTHER = "of another run; delete it"


def test_content_comes_back_as_it_was_written(tmp_path: Path) -> None:
    content = {
        "nested": {10: [0.1, -0.0, None], 2: "é\udc80"},
        "tuple": (1, np.float64(0.5)),
    }
    written = write_cached_json(tmp_path / "a.json", HEADER, content)
    assert recall_json(tmp_path / "a.json", HEADER, OTHER) == written
    assert written == {
        **HEADER,
        "nested": {"10": [0.1, -0.0, None], "2": "é\udc80"},
        "tuple": [1, 0.5],
    }
    assert recall_json(tmp_path / "b.json", HEADER, OTHER) is None


def test_the_digest_is_of_the_content_and_not_of_its_layout(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    written = write_cached_json(path, HEADER, {"x": [1.5]})
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(kept.items()))))
    assert recall_json(path, HEADER, OTHER) == written
    assert sha256_json({"x": 1}) != sha256_json({"x": 1.0}) != sha256_json({"x": -1.0})


def test_a_whole_one_of_another_run_or_version_is_refused_and_kept(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.json"
    for header in (
        {**HEADER, "key": "other"},
        {**HEADER, "version": 3},
        {**HEADER, "format": "g"},
    ):
        write_cached_json(path, header, {})
        with pytest.raises(InputError, match=r"a\.json: of another run; delete it"):
            recall_json(path, HEADER, OTHER)
    path.write_text(json.dumps({**HEADER, "version": 1}))  # which had no digest
    with pytest.raises(InputError, match=r"a\.json: of another run; delete it"):
        recall_json(path, HEADER, OTHER)
    path.write_text(json.dumps(HEADER))
    with collected_notes() as notes:
        assert recall_json(path, HEADER, OTHER) is None
    assert len(notes) == 1
    assert not path.exists()


def test_what_lies_aside_already_is_kept(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "a.json").mkdir()
        with collected_notes() as notes:
            assert recall_json(tmp_path / "a.json", HEADER, OTHER) is None
        assert f"(moved to a.json.aside-{number})" in notes[0]
        assert (tmp_path / f"a.json.aside-{number}").is_dir()


def test_tensors_are_known_by_name_shape_kind_and_bits(tmp_path: Path) -> None:
    header = {"format": "f", "version": "2", "key": "k"}
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "step": np.array(3.0),
        "none": np.zeros((0, 2)),
    }
    write_cached_tensors(tmp_path / "a", header, arrays)
    found, said = read_cached_tensors(tmp_path / "a", header)
    assert said == header
    np.testing.assert_array_equal(found["a"], arrays["a"])
    raw = bytearray((tmp_path / "a").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(InputError, match="its content is not what was written there"):
        read_cached_tensors(tmp_path / "a", header)


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.EMFILE, "Too many open files"), MemoryError()],
    ids=["files", "memory"],
)
def test_what_cannot_be_read_now_is_kept(
    failure: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, header = tmp_path / "a.json", {"format": "x", "version": 1, "key": "k"}
    write_cached_json(path, header, {"value": 1})

    def fail(*_: object, **__: object) -> None:
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", fail)
        with pytest.raises(
            InputError,
            match=r"a\.json: (cannot be read \(Too many|takes more memory)",
        ):
            recall_json(path, header, "of another run")
    assert recall_json(path, header, "of another run") == {**header, "value": 1}

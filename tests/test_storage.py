from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse._storage import (
    atomic_path,
    read_json,
    read_tensors,
    sha256_array,
    sha256_file,
    sha256_text,
    stored_array,
    stored_numbers,
    stored_texts,
    to_json,
    write_json,
    write_tensors,
    write_text,
)

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of nothing, FIPS 180-4


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match=r"^power cut$"):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_what_a_killed_process_left_of_a_file_goes_when_it_is_written_again(
    tmp_path: Path,
) -> None:
    code = (
        "import os, sys; from survfuse._storage import atomic_path\n"
        "with atomic_path(sys.argv[1]): os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "a.txt"
    killed = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    write_text(path, "whole")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling"])
def test_nothing_but_a_file_is_ever_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "gone")
    before = path.lstat()
    with pytest.raises(
        InputError,
        match=r"a\.txt: a (folder|pipe|link that leads nowhere) is there",
    ):
        write_text(path, "x")
    assert path.lstat() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(Path("real") / "a.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "new"
    assert [file.name for file in (tmp_path / "real").iterdir()] == ["a.txt"]


def test_a_written_file_has_the_usual_rights(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    write_text(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


def test_json_goes_round_and_is_sorted(tmp_path: Path) -> None:
    value = {
        "ü": [np.float32(0.5), np.int64(3), np.bool_(True)],
        "a": np.arange(2),
        "p": Path("x/y"),
        "n": None,
    }
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == {
        "ü": [0.5, 3, True],
        "a": [0, 1],
        "p": "x/y",
        "n": None,
    }
    assert list(read_json(tmp_path / "a.json")) == ["a", "n", "p", "ü"]
    assert "ü" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_is_no_json_number_is_never_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match=r"not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": [value]})
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_place_in_json_is_refused() -> None:
    with pytest.raises(TypeError, match=r"set has no place in a JSON file"):
        to_json({"x": {1, 2}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"not JSON: .* \(line 1, column 2\)"),
        ('{"a": 1, "a": 2}', "key 'a' appears twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e999}', "1e999 does not fit a double"),
        ("[" * 40 + "]" * 40, "nested deeper than 32 levels"),
        ("", "not JSON"),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "a.json")


def test_brackets_inside_text_are_not_depth(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        to_json({"a": "[" * 100 + '"\\"', "b": ["{" * 50]}),
    )
    assert read_json(tmp_path / "a.json")["b"] == ["{" * 50]


def test_json_that_is_absent_large_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json: no such file"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": 12345}')
    with pytest.raises(
        InputError,
        match=r"12 bytes, of such a file at most 5 bytes are read",
    ):
        read_json(tmp_path / "a.json", size_limit=5)
    (tmp_path / "a.json").write_bytes(b'"\xff"')
    with pytest.raises(
        InputError,
        match=r"expected UTF-8 text \(UnicodeDecodeError: .*invalid start byte\); save it as UTF-8",
    ):
        read_json(tmp_path / "a.json")


def test_a_byte_order_mark_is_no_part_of_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_tensors_go_round_with_their_header(tmp_path: Path) -> None:
    tensors = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3)[:, ::2],
        "none": np.zeros((0, 4)),
        "flags": np.array([True, False]),
    }
    write_tensors(tmp_path / "t.safetensors", tensors, {"format": "f", "version": "1"})
    again, header = read_tensors(tmp_path / "t.safetensors")
    assert header == {"format": "f", "version": "1"}
    assert again.keys() == tensors.keys()
    for name, array in tensors.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)


def test_the_same_tensors_give_the_same_bytes_and_the_library_reads_them(
    tmp_path: Path,
) -> None:
    from safetensors.numpy import load_file

    rng = np.random.default_rng(0)
    tensors = {
        "one": rng.normal(size=(3, 4)).T,
        "half": rng.normal(size=5).astype(np.float16),
        "none": np.zeros((0, 4), np.int64),
        "flags": np.array([True, False, True]),
        "big endian": np.arange(3, dtype=">f4"),
        "byte": np.arange(3, dtype=np.uint8),
        "umlaut ü": np.arange(3, dtype=np.int32),
    }
    header = {"version": "1", "format": "f", "key": "k"}
    write_tensors(tmp_path / "a", tensors, header)
    write_tensors(
        tmp_path / "b",
        dict(reversed(tensors.items())),
        dict(reversed(header.items())),
    )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = load_file(tmp_path / "a")
    assert again.keys() == tensors.keys()
    for name, array in tensors.items():
        assert again[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((2, 3)),
            r"array 'a': expected 3xany floats, got float64 of shape \(2, 3\)",
        ),
        (np.zeros(3), r"expected 3xany floats, got float64 of shape \(3,\)"),
        (np.zeros((3, 0)), r"expected 3xany floats"),
        (np.zeros((3, 2), int), r"got int64 of shape \(3, 2\)"),
        (np.full((3, 2), np.nan), r"array 'a' holds NaN or infinite numbers"),
    ],
)
def test_a_stored_array_has_the_shape_that_the_rest_says(
    array: np.ndarray,
    message: str,
) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=message):
        stored_array({"a": array}, "a", (3, None))
    with pytest.raises(
        InputError,
        match=r"array 'b' is missing; expected 3xany floats",
    ):
        stored_array({"a": array}, "b", (3, None))


def test_stored_texts_are_texts() -> None:
    assert stored_texts(["a", ""], "genes") == ("a", "")
    for wrong in ("ab", [1], None, {"a": 1}):
        with pytest.raises(InputError, match=r"^genes: expected a list of texts$"):
            stored_texts(wrong, "genes")


def test_stored_numbers_are_finite_numbers() -> None:
    assert stored_numbers({"a": 1, "b": 0.5}, "means") == {"a": 1.0, "b": 0.5}
    with pytest.raises(InputError, match=r"^means: expected a mapping, got '\[1\]'$"):
        stored_numbers([1], "means")
    for wrong in ("1", None, True, {}, float("nan")):
        with pytest.raises(InputError, match=r"^means: a: expected a finite number"):
            stored_numbers({"a": wrong}, "means")


def test_broken_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    with pytest.raises(InputError, match=r"no such file"):
        read_tensors(path)
    write_tensors(path, {"a": np.arange(9.0)}, {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"expected a whole safetensors file"):
        read_tensors(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"expected a whole safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize("header", [2**60, 2**63, 100])
def test_a_header_larger_than_its_file_is_refused_unread(
    tmp_path: Path,
    header: int,
) -> None:
    (tmp_path / "t.safetensors").write_bytes(header.to_bytes(8, "little") + b"{}")
    with pytest.raises(
        InputError,
        match=r"got a header of .* in 10 bytes; write it again",
    ):
        read_tensors(tmp_path / "t.safetensors")


def test_types_that_numpy_lacks_are_refused(tmp_path: Path) -> None:
    text = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    (tmp_path / "t.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + bytes(4),
    )
    with pytest.raises(
        InputError,
        match=r"t\.safetensors: expected a whole safetensors file",
    ):
        read_tensors(tmp_path / "t.safetensors")


def test_hashes_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert sha256_text("") == EMPTY
    assert sha256_file(tmp_path / "a") == EMPTY


def test_an_array_is_hashed_with_its_type_and_shape() -> None:
    array = np.arange(6, dtype=np.int64)
    others = [
        array.reshape(2, 3),
        array.astype(np.int32),
        array.astype(np.float64),
        array[::-1],
    ]
    hashes = {sha256_array(each) for each in [array, *others]}
    assert len(hashes) == 5
    assert sha256_array(np.asfortranarray(array.reshape(2, 3))) == sha256_array(
        array.reshape(2, 3),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested deeper than 32 levels"),
        (
            '{"a": "' + "[" * 50 + '", "b": ' + "[" * 33 + "]" * 33 + "}",
            "nested deeper than 32 levels",
        ),
        ('{"a": ' + "9" * 5000 + "}", "does not fit a double"),
        ('{"a": 1E+400}', "1E.400 does not fit a double"),
        ("[" + "1," * 300_000 + "1]", "more than 262144 values of JSON"),
    ],
)
def test_json_that_would_take_the_machine_is_refused(
    tmp_path: Path,
    text: str,
    message: str,
) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=rf"a\.json: .*{message}"):
        read_json(tmp_path / "a.json", size_limit=2**23)


def test_brackets_in_texts_and_large_numbers_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"a": "' + r"[\"" * 50 + '", "b": [1e300, ' + "9" * 300 + "]}",
    )
    assert read_json(tmp_path / "a.json") == {
        "a": '["' * 50,
        "b": [1e300, int("9" * 300)],
    }


def test_json_is_read_from_a_regular_file_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(InputError, match="expected a file, got a pipe"):
        read_json(tmp_path / "a.json")


def test_a_folder_is_listed_at_the_first_write_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed: list[str] = []
    real = os.listdir

    def listing(folder: Path) -> list[str]:
        listed.append(str(folder))
        return real(folder)

    monkeypatch.setattr("os.listdir", listing)
    for name in ("a", "b", "a"):
        write_text(tmp_path / name, "x")
    assert listed == [str(tmp_path)]

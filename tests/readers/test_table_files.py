"""Raw strings in, raw strings out."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from survfuse._errors import InputError
from survfuse.readers import read_table, repeated


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_everything_stays_a_string(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        '\ufeffpatient_id, age ,note\r\n001,070,"a, b\nc"\r\n\r\n 002 ,NA,\r\n',
    )
    frame = read_table(path, id_column="patient_id")
    assert list(frame.columns) == ["patient_id", "age", "note"]
    assert frame.to_dict("list") == {
        "patient_id": ["001", "002"],
        "age": ["070", "NA"],
        "note": ["a, b\nc", ""],
    }
    assert set(frame.dtypes) == {np.dtype(object)}
    assert frame.attrs["source"] == str(path)
    assert read_table(path)["patient_id"].tolist() == ["001", " 002 "]


@pytest.mark.parametrize(
    ("name", "mark"),
    [("t.csv", ","), ("t.tsv", "\t"), ("t.txt", "\t")],
)
@pytest.mark.parametrize("packed", [True, False])
def test_delimiters_and_gzip(
    tmp_path: Path,
    name: str,
    mark: str,
    packed: bool,
) -> None:
    text = f"a{mark}b\n1{mark}2\n".encode()
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(text) if packed else text)
    assert read_table(path).to_dict("list") == {"a": ["1"], "b": ["2"]}


def test_parquet_becomes_strings(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": ["01", "02"],
            "n": [1, 2],
            "x": [0.5, np.nan],
            "f": np.array([0.1, 2], "f4"),
            "b": [True, None],
        },
    )
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", id_column="id").to_dict("list") == {
        "id": ["01", "02"],
        "n": ["1", "2"],
        "x": ["0.5", ""],
        "f": ["0.1", "2"],
        "b": ["true", ""],
    }
    pd.DataFrame({"l": [[1, 2]]}).to_parquet(tmp_path / "l.parquet")
    with pytest.raises(
        InputError,
        match=r"column 'l' has type list.*, expected plain values",
    ):
        read_table(tmp_path / "l.parquet")
    pd.DataFrame({"t": pd.to_timedelta([400, None], unit="D")}).to_parquet(
        tmp_path / "d.parquet",
    )
    assert read_table(tmp_path / "d.parquet")["t"].tolist() == ["400 days 00:00:00", ""]
    write(tmp_path / "x.parquet", "no")
    with pytest.raises(
        InputError,
        match=r"x\.parquet: expected a whole Parquet file \(ArrowInvalid",
    ):
        read_table(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, the header has 2"),
        ("a,b\n1\n", "line 2 has 1 cells, the header has 2"),
        ("a,a\n1,2\n", "column names appear twice: 'a'"),
        ("a,a \n1,2\n", "column names appear twice: 'a'"),
        ("b,c\n1,2\n", "no column 'a'; it has 'b', 'c'"),
        ("a,b\n1,2\n ,3\n,4\n", "line 3, 4: 'a' is empty, expected an id"),
        ("", "empty, expected a header line"),
        ("a,b\n1,\0\n", "holds NUL bytes"),
        ('a,b\n1,"open\n', "line 2: unexpected end of data"),
    ],
)
def test_refusals(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"t\.csv: " + message):
        read_table(write(tmp_path / "t.csv", text), id_column="a")


def test_encodings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected UTF-8 text"):
        read_table(write(tmp_path / "t.csv", "a\nMüller\n", "latin-1"))
    with pytest.raises(
        InputError,
        match=r"holds NUL bytes, expected UTF-8 text \(is it UTF-16",
    ):
        read_table(write(tmp_path / "t.csv", "a\nMüller\n", "utf-16-le"))
    for encoding in ("utf-8-sig", "utf-16"):
        path = write(tmp_path / "t.csv", "patient_id,a\nMüller,1\n", encoding)
        assert read_table(path, id_column="patient_id").to_dict("list") == {
            "patient_id": ["Müller"],
            "a": ["1"],
        }


def test_broken_containers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cut off or not what its suffix says"):
        read_table(write(tmp_path / "t.csv.gz", "a,b\n"))
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
    (tmp_path / "u.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut off or not what its suffix says"):
        read_table(tmp_path / "u.csv.gz")
    with pytest.raises(InputError, match=r"expected a table \(\.csv, .*got '\.sav'"):
        read_table(tmp_path / "t.sav")
    with pytest.raises(InputError, match=r"t\.xlsx: no such file"):
        read_table(tmp_path / "t.xlsx")


def test_decompression_is_capped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("survfuse.readers.text_files.SIZE_LIMIT", 10_000)
    monkeypatch.setattr("survfuse.readers.text_files._STEP", 5_000)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 5000))
    with pytest.raises(InputError, match=r"more than 9\.8 KiB of text"):
        read_table(tmp_path / "b.csv.gz")


def test_header_only_and_repeats(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "h.csv", "a,b\n")).shape == (0, 2)
    frame = read_table(write(tmp_path / "r.csv", "a\n2\n1\n2\n"))
    assert repeated(frame, "a") == ("2",)


def test_real_tables(shared_data: Path) -> None:
    frame = read_table(shared_data / "hancock" / "patients.csv", id_column="patient_id")
    assert len(frame) == 763
    assert frame["patient_id"][0] == "001"
    assert repeated(frame, "patient_id") == ()


@pytest.mark.slow
def test_a_parquet_that_is_larger_than_it_looks_is_refused(tmp_path: Path) -> None:
    words = {"id": ["a"] * 3_000, "note": ["x" * 500_000] * 3_000}
    pd.DataFrame(words).to_parquet(tmp_path / "t.parquet", compression="zstd")
    with pytest.raises(
        InputError,
        match=r"column 'note': claims 1\.4 GiB where .* are stored",
    ):
        read_table(tmp_path / "t.parquet")
    zeros = pd.DataFrame({f"c{i}": np.zeros(2**20, np.int64) for i in range(40)})
    zeros.to_parquet(tmp_path / "z.parquet", compression="zstd")
    with pytest.raises(
        InputError,
        match=r"z\.parquet: claims .* MiB where .* are stored",
    ):
        read_table(tmp_path / "z.parquet")


def test_texts_of_parquet_are_the_same_whatever_they_are_stored_as(
    tmp_path: Path,
) -> None:
    texts = ["b", "a", None, "b"]
    columns = {
        "plain": pa.array(texts),
        "large": pa.array(texts, pa.large_string()),
        "dictionary": pa.array(texts).dictionary_encode(),
        "binary": pa.array([None if t is None else t.encode() for t in texts]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=2)
    frame = read_table(tmp_path / "t.parquet")
    assert frame.to_dict("list") == {name: ["b", "a", "", "b"] for name in columns}


@pytest.mark.parametrize("letter", ["\x1b", "\n", "\u202e", "\u2028", "\x7f"])
def test_an_id_that_steers_what_shows_it_is_refused(
    tmp_path: Path,
    letter: str,
) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({"id": ["P1", f"P{letter}2"], "a\nb": [1, 2]}).to_csv(
        path,
        index=False,
    )
    with pytest.raises(
        InputError,
        match=rf"'id' in data row 2: '.*' holds the character U\+{ord(letter):04X}",
    ):
        read_table(path, id_column="id")
    assert list(read_table(path)) == ["id", "a\nb"]
    pd.DataFrame({"id": ["P1"], "a\x1bb": [1]}).to_csv(path, index=False)
    with pytest.raises(
        InputError,
        match=r"name of column 2: 'a\\x1bb' holds the character U\+001B",
    ):
        read_table(path)


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", ".", 1), text)
    return path


def test_a_zip_of_one_table(tmp_path: Path) -> None:
    path = zipped(tmp_path / "t.csv.zip", patients_csv="id,a\n007,1\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._patients.csv", "x")
        archive.mkdir("folder")
    got = read_table(path, id_column="id")
    assert got.to_dict("list") == {"id": ["007"], "a": ["1"]}
    path = zipped(tmp_path / "t.tsv.zip", patients_tsv="id\ta\n007\t1\n")
    assert read_table(path).to_dict("list") == {"id": ["007"], "a": ["1"]}


def test_what_no_zip_of_a_table_is(tmp_path: Path) -> None:
    two = zipped(tmp_path / "t.csv.zip", a_csv="x\n1\n", b_csv="x\n1\n")
    with pytest.raises(InputError, match=r"it holds 'a\.csv', 'b\.csv'; unpack it"):
        read_table(two)
    with pytest.raises(InputError, match=r"it holds nothing; unpack it"):
        read_table(zipped(tmp_path / "t.csv.zip"))
    with pytest.raises(InputError, match=r"let its name end in \.csv\.zip where"):
        read_table(zipped(tmp_path / "t.zip", a_csv="x\n1\n"))
    with pytest.raises(InputError, match=r"is an Excel workbook or another zip; let"):
        read_table(zipped(tmp_path / "t.csv", a_csv="x\n1\n"))
    whole = zipped(tmp_path / "t.csv.zip", a_csv="x\n" + "1\n" * 9999).read_bytes()
    damaged = whole[:45] + bytes([whole[45] ^ 255]) + whole[46:]
    for content in (whole[:60], damaged, b"id\n1\n"):
        (tmp_path / "t.csv.zip").write_bytes(content)
        with pytest.raises(
            InputError, match=r"t\.csv\.zip: (expected a whole zip|cut)"
        ):
            read_table(tmp_path / "t.csv.zip")


def test_a_zip_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("survfuse.readers.text_files.LARGEST_PACKED", 2**16)
    monkeypatch.setattr("survfuse.readers.text_files._STEP", 2**15)
    path = zipped(tmp_path / "t.csv.zip", a_csv="x\n" + "1\n" * 2**20)
    with pytest.raises(InputError, match=r"KiB of text are packed into"):
        read_table(path)


def test_the_hint_of_an_encoding_is_right(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id;a\n1;x\n2;Müller-Weiß\n", "cp1252")
    message = (
        r"t\.csv: expected UTF-8 text \(invalid start byte, in line 3, which reads "
        r"'2;Müller-Weiß' in cp1252 and latin-1 and cp1250, '2;M¸ller-Weiﬂ' in mac-roman"
        r"\).*`\{file: t\.csv, encoding: cp1252\}` in place of the path"
    )
    with pytest.raises(InputError, match=message):
        read_table(path)
    assert read_table(path, encoding="cp1252")["a"].tolist() == ["x", "Müller-Weiß"]
    with pytest.raises(InputError, match=r"expected text in utf-8 .*in line 3\); corr"):
        read_table(path, encoding="utf-8")


@pytest.mark.parametrize("name", ["cp1252", "latin-1", "UTF-16-LE", "utf_32", "cp1250"])
def test_a_named_encoding(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "t.csv", "id,a\nMüller,1\n", name)
    assert read_table(path, encoding=name)["id"].tolist() == ["Müller"]


@pytest.mark.parametrize(
    "name", ["windows", "rot13", "base64", "unicode_escape", "x\0"]
)
def test_no_encoding(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "t.csv", "id,a\nM,1\n")
    with pytest.raises(
        InputError, match=r"unknown encoding .*; expected one such as cp1"
    ):
        read_table(path, encoding=name)


@pytest.mark.parametrize("name", ["Ömer", "Omer"])
def test_utf8_that_is_declared_otherwise_is_doubted(tmp_path: Path, name: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"id,a\n{name},1\nb,2\n", encoding="utf-8")
    notes = read_table(path, encoding="cp1252").attrs["notes"]
    assert any("its letters are UTF-8" in note for note in notes) == (name == "Ömer")
    path.write_bytes(f"id,a\n{name},1\nb,2\n".encode("cp1252"))
    assert read_table(path, encoding="cp1252").attrs["notes"] == ()

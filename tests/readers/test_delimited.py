"""Tables as other tools write them are read, or refused for the right cause."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError
from survfuse.readers import read_expression, read_table

FRAME = pd.DataFrame(
    {"id": ["P1", "P2", "P3"], "time": [12.5, 3.25, 0.5], "sex": ["F", "M", "F"]},
)
PLAIN = {name: list(map(str, FRAME[name])) for name in FRAME}
CSV = FRAME.to_csv(index=False)


def table(root: Path, text: str, name: str = "t.csv") -> pd.DataFrame:
    (root / name).write_text(text)
    return read_table(root / name)


@pytest.mark.parametrize(
    ("text", "name", "note"),
    [
        (CSV, "t.csv", ""),
        (
            FRAME.to_csv(index=False, sep=";", decimal=","),
            "t.csv",
            "semicolons separate the cells, not commas",
        ),
        (
            "sep=;\n" + FRAME.to_csv(index=False, sep=";", decimal=","),
            "t.csv",
            "semicolons separate",
        ),
        (FRAME.to_csv(index=False, sep=";"), "t.csv", "semicolons separate"),
        (
            FRAME.to_csv(index=False, sep="\t"),
            "t.csv",
            "tabs separate the cells, not commas",
        ),
        (FRAME.to_csv(index=False, sep="|"), "t.csv", "bars separate"),
        (CSV, "t.txt", "commas separate the cells, not tabs"),
        (
            FRAME.to_csv(index=False, sep=" "),
            "t.txt",
            "blanks separate the cells, not tabs",
        ),
        (
            "#Id\n#id\n#STRING\n#1\n" + CSV,
            "t.csv",
            "4 line(s) before the header were skipped",
        ),
        ("# made on Monday, by hand\n" + CSV, "t.csv", "1 line(s) before the header"),
        (CSV.replace("\n", ",,\n") + ",,,,\n,,,,\n", "t.csv", ""),
        (CSV.replace("0.5,F\n", "0.5,F,\n"), "t.csv", ""),
        (CSV.replace("\n", "\r"), "t.csv", ""),
    ],
)
def test_cells_are_the_same_however_they_were_separated(
    tmp_path: Path,
    text: str,
    name: str,
    note: str,
) -> None:
    frame = table(tmp_path, text, name)
    assert frame.to_dict("list") == PLAIN
    assert note in "; ".join(frame.attrs["notes"])
    assert bool(note) == bool(frame.attrs["notes"])


def test_comments_of_cbioportal_are_skipped_though_as_wide_as_the_table(
    tmp_path: Path,
) -> None:
    comments = (
        "#Patient\tMonths\tSex\n#id\tmonths\tsex\n#STRING\tNUMBER\tSTRING\n#1\t1\t1\n"
    )
    assert (
        table(
            tmp_path,
            comments + FRAME.to_csv(index=False, sep="\t"),
            "t.txt",
        ).to_dict("list")
        == PLAIN
    )


def test_a_header_that_begins_with_a_hash_is_a_header(tmp_path: Path) -> None:
    assert list(table(tmp_path, "#" + CSV)) == ["#id", "time", "sex"]
    with pytest.raises(InputError, match=r"no column 'id'.*'id' stands there as '#id'"):
        read_table(tmp_path / "t.csv", id_column="id")


def test_row_names_have_a_name(tmp_path: Path) -> None:
    shifted = '"time" "sex"\n"P1" 12.5 "F"\n"P2" 3.25 "M"\n"P3" 0.5 "F"\n'  # R: write.table(frame)
    frame = table(tmp_path, shifted, "t.txt")
    assert frame.to_dict("list") == {
        "row.names": PLAIN["id"],
        "time": PLAIN["time"],
        "sex": PLAIN["sex"],
    }
    assert "the first is read as 'row.names'" in frame.attrs["notes"][-1]
    assert list(table(tmp_path, CSV.replace("id,", '"",'))) == [
        "row.names",
        "time",
        "sex",
    ]
    with pytest.raises(
        InputError,
        match=r"no column 'id'.*row names.*say `patient: row\.names`",
    ):
        read_table(tmp_path / "t.csv", id_column="id")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV + CSV, "line 5 repeats the header; remove it"),
        (CSV + "P4,1,F,x\n", "line 5 has 4 cells, the header has 3"),
        (
            "id;time\na;1,5\nb;2.5\n",
            r"decimal commas \('1,5'\) and with points \('2.5'\)",
        ),
        (
            "id;time\na;1,500\nb;2,250\n",
            "every comma in a number has three digits after it",
        ),
        (
            "Table S1. Patients,,\n" + CSV,
            r"line 2 has 3 cells, .*a title above the header \('Table S1. Patients'\)",
        ),
        (
            CSV + "* n = 3\n",
            "line 5 has 1 cells, the header has 3; remove a note below the table",
        ),
        (CSV + "P4,1\n", "line 5 has 2 cells, the header has 3; write empty cells too"),
        ("<!doctype html>\n", "is a web page"),
        ("PK\x03\x04....", "is an Excel workbook"),
        ("<!DOCTYPE html>\n<html>", "is a web page"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "is a pointer of Git LFS",
        ),
        ("PAR1....", "is Parquet"),
    ],
)
def test_the_cause_of_a_refusal_is_the_true_one(
    tmp_path: Path,
    text: str,
    message: str,
) -> None:
    with pytest.raises(InputError, match=r"t\.csv: .*" + message):
        table(tmp_path, text)


def test_a_packed_table_without_its_ending_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(gzip.compress(CSV.encode()))
    with pytest.raises(
        InputError,
        match=r"is packed by gzip; let its name end in \.gz",
    ):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text",
    [
        'id,note\na,"x; y"\nb,"1; 2"\n',
        "id,note\na,x;y\nb,x;y\n",
        "names\nAnn Bee\nCid Dee\n",
        "full name\nAnn Bee\nCid Dee\n",
        "id,a\n1,2\n",
    ],
)
def test_other_marks_inside_cells_split_nothing(tmp_path: Path, text: str) -> None:
    frame = table(tmp_path, text)
    assert list(frame) == text.split("\n", maxsplit=1)[0].split(",")
    assert frame.attrs["notes"] == ()


def test_a_decimal_comma_in_a_table_of_commas_stays_as_it_was(tmp_path: Path) -> None:
    assert table(tmp_path, 'id,time\na,"1,5"\n')["time"].tolist() == ["1,5"]


def test_cells_that_were_not_split_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(FRAME.to_csv(index=False, sep=" "))
    with pytest.raises(
        InputError,
        match=r"no column 'id'; it has 'id time sex'; blanks seem to separate",
    ):
        read_table(tmp_path / "t.csv", id_column="id")


HEAD = b"id,time,sex\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + b"P1,1,F\n" * 200_000, "the same 2 lines over and over"),
        (HEAD + b"x" * (2**25 + 2**16), r"a line of more than 32\.0 MiB"),
        (HEAD + b"\0" * 10_000_000, "holds NUL bytes"),
        (
            HEAD + b'"' + b"x" * 2**21,
            "line 2: field larger than field limit .*is a quote left open",
        ),
        (b"a," * (2**21 + 1) + b"\n", "a line has more than 2097152 cells"),
        (
            HEAD + b"P\xcc\x81" + b"\xcc\x81" * 200 + b",1,F\n",
            "more than 100 marks stand on one letter",
        ),
    ],
)
def test_bombs_are_refused_while_they_stream(
    tmp_path: Path,
    text: bytes,
    message: str,
) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text))
    with pytest.raises(InputError, match=rf"t\.csv\.gz: .*{message}"):
        read_table(tmp_path / "t.csv.gz")


def test_lines_without_end_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("survfuse.readers.delimited.MOST_LINES", 100_000)
    (tmp_path / "t.csv").write_bytes(HEAD + b"\n" * 200_000)
    with pytest.raises(InputError, match=r"t\.csv: more than 100000 lines"):
        read_table(tmp_path / "t.csv")


def test_a_text_packed_too_far_is_refused_and_its_remedy_works(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("survfuse.readers.text_files.LARGEST_PACKED", 2**21)
    monkeypatch.setattr("survfuse.readers.text_files._STEP", 2**20)
    text = HEAD + b"".join(b"P%d,%s,F\n" % (row, b"0" * 50_000) for row in range(60))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text))
    with pytest.raises(
        InputError,
        match=r"t\.csv\.gz: more than .* MiB of text are packed into .*gunzip",
    ):
        read_table(tmp_path / "t.csv.gz")
    (tmp_path / "t.csv").write_bytes(text)
    assert len(read_table(tmp_path / "t.csv")) == 60


def test_zeros_that_pack_well_are_read(tmp_path: Path) -> None:
    text = (
        HEAD[:-1]
        + b",x" * 5_000
        + b"\n"
        + b"".join(b"P%d,1,F%s\n" % (i, b",0" * 5_000) for i in range(200))
    )
    (tmp_path / "t.csv.gz").write_bytes(
        gzip.compress(text.replace(b",x", b",g%d") % tuple(range(5_000))),
    )
    assert read_table(tmp_path / "t.csv.gz", id_column="id").shape == (200, 5_003)


def test_too_little_memory_is_an_answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("survfuse.readers.text_files.free_memory", lambda: 2**20)
    monkeypatch.setattr("survfuse.readers.text_files._STEP", 2**10)
    (tmp_path / "t.csv").write_text(CSV + "P9,1,F\n" * 20_000)
    with pytest.raises(
        InputError,
        match=r"more memory than this machine has free \(1\.0 MiB\)",
    ):
        read_table(tmp_path / "t.csv")


def test_decimal_commas_between_tabs(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("id\tage\tvisits\nA\t61,5\t1\nB\t1,250\t2\n")
    got = read_table(path)
    assert got["age"].tolist() == ["61.5", "1.250"]
    assert got.attrs["notes"] == ("numbers with a decimal comma are read with a point",)
    lists = "id\tage\tgenes\nA\t61.5\t1,5\nB\t62.5\t2,7\n"
    for text in (
        lists,
        lists.replace(".5", "").replace("2,7", "2,7,9"),
        "a\tb\n1,250\t2\n",
    ):
        path.write_text(text)
        assert [line.split("\t") for line in text.splitlines()[1:]] == read_table(
            path
        ).to_numpy().tolist()


@pytest.mark.parametrize("name", ["t.csv", "t.txt", "t.tsv", "t.txt.gz"])
@pytest.mark.parametrize("mark", [";", "\t"])
@pytest.mark.parametrize("comments", ["", "#made by hand\n#v1\n"])
def test_matrices_with_decimal_commas_and_comments(
    tmp_path: Path,
    name: str,
    mark: str,
    comments: str,
) -> None:
    text = "id,TP53,EGFR\nP1,1x5,2\nP2,,3x25\n".replace(",", mark).replace("x", ",")
    data = (comments + text).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("z") else data)
    got = read_expression(tmp_path / name, unit="log2tpm", genes="symbol")
    np.testing.assert_array_equal(got.values, [[1.5, 2], [np.nan, 3.25]])
    assert "numbers with a decimal comma are read with a point" in " ".join(got.doubts)

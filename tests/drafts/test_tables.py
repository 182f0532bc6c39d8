"""Tables of a draft: sheets that are chosen, encodings that are tried, cells that are not known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from survfuse._errors import InputError
from survfuse.drafts.tables import is_unknown, read_given, split_sheet

PATIENTS = pd.DataFrame({"id": ["1", "2", "3"], "age": ["61", "62", "63"]})


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.xlsx"
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame({"About": ["a title"]}).to_excel(
            writer, sheet_name="Readme", index=False
        )
        PATIENTS.to_excel(writer, sheet_name="Clinic", index=False)
    return path


def test_a_named_sheet_is_read(book: Path) -> None:
    table = read_given(book.with_name("book.xlsx:Clinic"))
    assert table.value == {"file": book, "sheet": "Clinic"}
    assert table.frame.equals(PATIENTS)


def test_the_sheet_that_suits_is_read_and_said(book: Path) -> None:
    table = read_given(book, lambda frame: "age" in frame)
    assert table.sheet == "Clinic"
    assert table.evidence == "of the sheets Readme, Clinic"


def test_where_several_suit_one_is_to_be_named(book: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"sheets 'Readme', 'Clinic', and 2 of them could be meant; name one, such as "
        r"'.*book\.xlsx:Readme'$",
    ):
        read_given(book)


def test_western_text_is_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes("id;für\n1;ja\n".encode("cp1252"))
    table = read_given(path)
    assert table.names == ["id", "für"]
    assert table.value == {"file": path, "encoding": "cp1252"}


def test_another_fault_is_said_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,age\n1,2\n3\n")
    with pytest.raises(InputError, match=r"line 3"):
        read_given(path)


def test_a_colon_elsewhere_is_part_of_a_name() -> None:
    assert split_sheet(Path("a:b.csv")) == (Path("a:b.csv"), None)
    assert split_sheet(Path("x/a.ods:S 1")) == (Path("x/a.ods"), "S 1")


@pytest.mark.parametrize(
    "cell", ["[Not Available]", "'--", "[Discrepancy]", "unknown", ""]
)
def test_words_for_not_known(cell: str) -> None:
    assert is_unknown(cell)


def test_a_number_is_known() -> None:
    assert not is_unknown("-1")

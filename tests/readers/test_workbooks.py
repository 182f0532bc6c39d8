"""Workbooks: one sheet as a person would type it, and what is refused before it is unpacked."""

from __future__ import annotations

import base64
import datetime
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from survfuse._errors import InputError
from survfuse.readers import read_expression, read_table

DAY = datetime.date(2021, 3, 4)
ROWS: list[list[Any]] = [
    ["patient_id", "age", "day", "alive", "note"],
    [101.0, 62, DAY, True, " a"],
    ["007", 0.1, datetime.datetime(2021, 3, 4, 12, 30), False, None],
]
TEXTS = {
    "patient_id": ["101", "007"],
    "age": ["62", "0.1"],
    "day": ["2021-03-04", "2021-03-04 12:30:00"],
    "alive": ["TRUE", "FALSE"],
    "note": [" a", ""],
}
OLD = (  # the same rows but the days, as xlwt 1.3 writes them
    "eNrtWE1oE0EU/maSND+06aamQiuUULBq20NFRC91VdCeLNGLIkLdmkVCQ1JiEPSg1ZqjIAiC4qXQi5eq"
    "F39QQW8ehIoeBFFI9OhJsCDSZn3zdleT1kMDWlTmC/Nm5s3MNy/73rz9eTmfqMzc7a5iGXYhgJoTRUud"
    "TlCJ+h0DNO44qunXESqOxj+FaIQc2RLCo7YXYeVD5e8qJO4En5EEPlA5hkmMFvJ2ag2xl22whLJhmKTA"
    "TdLE0cVWdbA8wXIdy9s88zHL3ay5zHKY5lbEUcybo/07vSg+Int5LA7Fe5/XvGXNVnTiuYri81eEOzeE"
    "PcWslfs7B3qCrZgF+W3EzttFK1dBkhw4iwUnBXzxT+rTlNavrV6A9F8b9eFf6K/KIDAF5zgHeJly6ruA"
    "m0jTVilr50unFrGdj6QqMWDSVY9lMzTPOmmHSOayp22iyRdKNoVwyqKRoaEdMZWr+WwbDWe7jWO+lWQG"
    "7dxOcOQbtOnirc+vDoynzTHWTHE+d7P+RmUoHFxQK2hxnEfYVqiRfl4xwPIis27gdjfLJMUr1X3pTq+x"
    "f5rnXOLRPtpnG+O1uamuvZna5U8HH/SUP5pbqD03Uj2bnHtjzqCX7kIZWq9+0xgUg+LGdYWHpl8LL0O8"
    "Z9m1IltEpOHZ7ni3tnYsqQtMSLB0e+rqiB896V0rtxegXsDjEsu4ntD+grmuCSW/uadWRkhK5lQcgjmC"
    "HodkzkZ7JHOQl3FOxjxvDVBPMUlmoju17MA9NZHy3k/EoKGhoaGhoaGhobESgp9r3Wd59SQa8t4Twt53"
    "nSUqNf2Z5L/FIRToV6IX033IU13EmabiZz1CwucSq1zjfy9UOEy7FzGBcbZjoun4pfc8Uf9/Vr3Q+H1H"
    "qNn9a83Y+Yf3/w7Zk860"
)


def xlsx(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def changed(
    path: Path,
    member: str,
    change: Callable[[str], str],
) -> Path:
    """Write the same archive with one member changed."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members[member] = change(members[member].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return path


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize("suffix", [".xlsx", ".xlsm", ".ods"])
def test_cells_are_as_a_person_would_type_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    if suffix == ".ods":
        frame = pd.DataFrame(ROWS[1:], columns=ROWS[0])
        frame.to_excel(path, index=False, engine="odf")
    else:
        xlsx(path, Patients=ROWS)
    got = read_table(path, id_column="patient_id")
    assert got.to_dict("list") == TEXTS
    assert got.attrs["notes"] == ()


def test_an_old_workbook(tmp_path: Path) -> None:
    (tmp_path / "t.xls").write_bytes(zlib.decompress(base64.b64decode(OLD)))
    got = read_table(tmp_path / "t.xls", id_column="patient_id")
    assert got.to_dict("list") == {k: v for k, v in TEXTS.items() if k != "day"}
    assert "cells with an error (#N/A) are read as empty" in got.attrs["notes"][0]


def test_a_table_may_lie_away_from_the_corner(tmp_path: Path) -> None:
    rows = [[], *[[None, *row] for row in [ROWS[0], [], *ROWS[1:]]]]
    got = read_table(xlsx(tmp_path / "t.xlsx", A=rows))
    assert got.to_dict("list") == TEXTS


def test_several_sheets_are_asked_for(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "t.xlsx", Visits=[["id"], ["a"]], Patients=ROWS, Empty=[])
    message = (
        r"t\.xlsx: has the sheets 'Visits', 'Patients', 'Empty'; say which one is the "
        r'table: `\{file: t\.xlsx, sheet: "Visits"\}`'
    )
    with pytest.raises(InputError, match=message):
        read_table(path)
    assert read_table(path, sheet="Patients").to_dict("list") == TEXTS
    with pytest.raises(InputError, match="no sheet 'patients'; it has 'Visits', "):
        read_table(path, sheet="patients")
    with pytest.raises(InputError, match="sheet 'Empty': is empty, expected a header"):
        read_table(path, sheet="Empty")


def test_empty_sheets_are_no_choice(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "t.xlsx", Sheet1=ROWS, Sheet2=[], Sheet3=[])
    assert read_table(path).to_dict("list") == TEXTS


def test_errors_show_and_formulas_need_a_value(tmp_path: Path) -> None:
    rows = [["id", "n", "f"], ["a", "#N/A", 1], ["b", "#DIV/0!", "=1+1"]]
    path = xlsx(tmp_path / "t.xlsx", A=rows)
    with pytest.raises(InputError, match=r"sheet 'A': C3: a formula without its value"):
        read_table(path)
    changed(
        path, SHEET, lambda text: text.replace("<f>1+1</f><v />", "<f>1+1</f><v>2</v>")
    )
    assert read_table(path)["n"].tolist() == ["#N/A", "#DIV/0!"]
    assert read_table(path)["f"].tolist() == ["1", "2"]


def test_errors_of_ods(tmp_path: Path) -> None:
    path = tmp_path / "t.ods"
    pd.DataFrame({"id": ["a", "b"], "n": [1.5, 2]}).to_excel(
        path, engine="odf", index=False
    )
    error = (
        'table:formula="of:=1/0" office:value-type="string" office:string-value="" '
        'calcext:value-type="error" xmlns:calcext="urn:c"><text:p>#DIV/0!'
    )
    plain = 'office:value-type="float" office:value="1.5"><text:p>1.5'
    changed(path, "content.xml", lambda text: text.replace(plain, error))
    assert read_table(path)["n"].tolist() == ["#DIV/0!", "2"]
    changed(
        path,
        "content.xml",
        lambda text: text.replace(error, 'table:formula="of:=A1"><text:p>'),
    )
    with pytest.raises(InputError, match=r"sheet 'Sheet1': B2: a formula without"):
        read_table(path)


def test_merged_cells(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "t.xlsx", A=ROWS)
    merged = '</sheetData><mergeCells count="1"><mergeCell ref="B1:C1"/></mergeCells>'
    changed(path, SHEET, lambda text: text.replace("</sheetData>", merged))
    message = "the cells from row 1, column 2 to row 1, column 3 are merged"
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_refusals_name_the_row_of_the_sheet(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "t.xlsx", A=[[], ["id", "a"], ["x", 1], [None, 2]])
    with pytest.raises(InputError, match=r"t\.xlsx: row 4: 'id' is empty"):
        read_table(path, id_column="id")
    path = xlsx(tmp_path / "u.xlsx", A=[["A title"], ["id", "a"], ["x", 1]])
    with pytest.raises(
        InputError, match=r"u\.xlsx: line 2 has 2 cells, the header has 1"
    ):
        read_table(path)


def test_a_matrix_in_a_workbook(tmp_path: Path) -> None:
    rows = [["id", "TP53", "EGFR"], ["P1", 1.5, "#N/A"], ["P2", 0.1, None]]
    path = xlsx(tmp_path / "t.xlsx", Genes=rows, Other=[["a"], [1]])
    got = read_expression(path, unit="log2tpm", genes="symbol", sheet="Genes")
    wanted = np.array([[1.5, np.nan], [0.1, np.nan]], np.float32)
    np.testing.assert_array_equal(got.values, wanted)


def test_choices_that_a_file_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"has no sheets \(sheet 'A' is declared\)"):
        read_table(tmp_path / "t.csv", sheet="A")
    path = xlsx(tmp_path / "t.xlsx", A=ROWS)
    with pytest.raises(
        InputError, match=r"says its encoding itself .encoding 'cp1252'"
    ):
        read_table(path, encoding="cp1252")


# -- hostile


def test_cells_far_apart_do_not_take_the_memory(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "t.xlsx", A=[["a"], [1]])
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    changed(path, SHEET, lambda text: text.replace("</sheetData>", far))
    with pytest.raises(InputError, match=r"t\.xlsx: not a whole workbook"):
        read_table(path)
    assert len(read_table(xlsx(tmp_path / "u.xlsx", A=ROWS))) == 2


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "t.xlsx", A=ROWS)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("xl/media/x.bin", bytes(2**26))
    with pytest.raises(InputError, match=r"t\.xlsx: claims 64\.\d MiB where"):
        read_table(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no workbook", b"PK\x03\x04" + bytes(100), b"\xd0\xcf\x11\xe0" + bytes(600)],
)
@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".ods"])
def test_what_is_no_workbook(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.\w+: (not|expected) a whole workbook"):
        read_table(path)


@pytest.mark.slow
def test_damaged_workbooks_are_read_or_refused(tmp_path: Path) -> None:
    whole = xlsx(tmp_path / "whole.xlsx", A=ROWS).read_bytes()
    old = zlib.decompress(base64.b64decode(OLD))
    generator = np.random.default_rng(0)
    outcomes = []
    for number in range(60):
        suffix, content = (".xlsx", whole) if number % 2 else (".xls", old)
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            damaged[place] = generator.integers(256)
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(damaged)
        try:
            read_table(path)
            outcomes.append("read")
        except InputError:
            outcomes.append("refused")
    assert set(outcomes) == {"read", "refused"}

"""The quick reader of numbers: bit by bit what the slow one reads, and no other refusal."""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.readers import matrices, quick_numbers
from survfuse.readers.matrices import MISSING, NamedMatrix, read_matrix

PLAIN = {
    "plain": "id,A,B\nP1,1,2.5\nP2,-0.1,1e-5\n",
    "missing": "id,A,B\nP1,NA,\nP2,#N/A,nan\nP3,null,NaN\n",
    "all forms": "id,A,B\nP1,.5,5.\nP2,-.25,1E+05\nP3,00012,-0\nP4,1e300,5e-324\n",
    "digits": "id,A,B\nP1,0.1000000000000000055511151231257827,123456789012345678901\n"
    "P2,2.2250738585072011e-308,9007199254740993\nP3,1e-400,0.30000000000000004\n",
    "quoted": '"id","A","B"\n"P,1",1,2\n"P2","3",4\n',
    "quoted missing": 'id,A,B\nP1,"NA",2\n',
    "comments": "#v1.3\n# made\nid,A,B\nP1,1,2\n",
    "row names": "A,B\nP1,1,2\nP2,3,4\n",
    "crlf": "id,A,B\r\nP1,1,2\r\nP2,3,4\r\n",
    "blank lines": "id,A,B\n\nP1,1,2\n\nP2,3,4\n\n",
    "no last end": "id,A,B\nP1,1,2\nP2,3,4",
    "letters": "id,A,B\nMu\u0308ller,1,2\nŁ\u200b,3,4\n",
    "byte order mark": "\ufeffid,A,B\nP1,1,2\n",
    "described": "Hugo_Symbol,Entrez_Gene_Id,A,B\nG1,x,1,2\nG2,,3,4\n",
    "same names": "id,A,A\nP1,1,2\n",
    "semicolons": "id;A;B\nP1;1,5;2\nP2;NA;-0,25\n",
    "blanks around": "id,A,B\n P1 , 1,2 \n",
}
ODD = {
    "header only": "id,A,B\n",
    "underscore": "id,A,B\nP1,1_000,2\n",
    "infinite": "id,A,B\nP1,1,inf\n",
    "negative infinite": "id,A,B\nP1,1,-Infinity\n",
    "too large": "id,A,B\nP1,1,1e400\n",
    "hex": "id,A,B\nP1,0x1p3,0x10\n",
    "hexadecimal": "id,A,B\nP1,0x10,1\n",
    "plus": "id,A,B\nP1,+1,+1.5e+3\n",
    "blank cells": "id,A,B\nP1, ,2\nP2, NA ,4\n",
    "word": "id,A,B\nP1,1,high\n",
    "truth": "id,A,B\nP1,true,FALSE\n",
    "thousands": 'id,A,B\nP1,"1,000",2\n',
    "short row": "id,A,B\nP1,1,2\nP2,3\n",
    "long row": "id,A,B\nP1,1,2\nP2,3,4,5\n",
    "empty on the right": "id,A,B,,\nP1,1,2,,\nP2,3,4,,\n",
    "filled on the right": "id,A,B,\nP1,1,2,3\n",
    "more cells": "id,A,B\nP1,1,2,\nP2,3,4,\n",
    "empty row": "id,A,B\nP1,1,2\n,,\nP2,3,4\n",
    "no id": "id,A,B\nP1,1,2\n,3,4\n",
    "blank id": "id,A,B\nP1,1,2\n  ,3,4\n",
    "repeated header": "id,A,B\nP1,1,2\nid,A,B\nP2,3,4\n",
    "repeated header of numbers": "id,1,2\nP1,1,2\nid,1,2\nP2,3,4\n",
    "id like the header": "id,1,2\nP1,1,2\nid,3,4\n",
    "stray quote": 'id,A,B\n"P"1,1,2\n',
    "quote inside": 'id,A,B\nP"1,1,2\n',
    "double quote": 'id,A,B\n"P""1",1,2\n',
    "open quote": 'id,A,B\nP1,1,"2\n',
    "line in quotes": 'id,A,B\n"P\n1",1,2\n',
    "quoted header": '"i\nd",A,B\nP1,1,2\n',
    "old mac": "id,A,B\rP1,1,2\rP2,3,4\r",
    "mixed ends": "id,A,B\nP1,1,2\rP2,3,4\r\n",
    "minus sign": "id,A,B\nP1,\u22121,2\n",
    "digits of India": "id,A,B\nP1,\u0661,2\n",
    "marks": "id,A,B\nP" + "\u0308" * 200 + ",1,2\n",
    "note below": "id,A,B\nP1,1,2\nsee the paper\n",
    "blank line before": "\n\nid,A,B\nP1,1,2\n",
    "commas and points": "id;A;B\nP1;1,5;2.5\n",
    "thousands or decimals": "id;A;B\nP1;1,500;2,250\n",
    "ids with commas": "id;A;B\nP1,5;1,5;2\nP2;2,5;3\n",
    "nul": "id,A,B\nP1,1,2\nP2,\0,4\n",
    "empty": "",
    "gct": "#1.2\n2\t2\nid\tA\nG1\t1\n",
}


def both(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: tuple[str, ...] = MISSING,
    suffix: str | None = None,
) -> NamedMatrix | None:
    """Read a file both ways, and hold the results or the refusals against each other."""
    results: list[NamedMatrix | str] = []
    for reader in (quick_numbers.quick_numbers, lambda *_, **__: None):
        monkeypatch.setattr(matrices, "quick_numbers", reader)
        monkeypatch.setattr(quick_numbers, "SMALLEST", 0)
        try:
            results.append(read_matrix(path, None, missing, suffix))
        except InputError as error:
            results.append(str(error))
    quick, slow = results
    if isinstance(quick, str) or isinstance(slow, str):
        assert quick == slow
        return None
    assert (quick.rows, quick.columns) == (slow.rows, slow.columns)
    assert quick.notes == slow.notes
    same_bits = quick.values.view(np.int64) == slow.values.view(np.int64)
    assert (same_bits | (np.isnan(quick.values) & np.isnan(slow.values))).all()
    return quick


@pytest.mark.parametrize("name", [*PLAIN, *ODD])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_every_text_is_read_or_refused_alike(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    ending: str,
) -> None:
    data = (PLAIN | ODD)[name].encode()
    path = tmp_path / f"t{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    both(path, monkeypatch)
    both(path, monkeypatch, missing=("-9",))


@pytest.mark.parametrize("name", PLAIN)
def test_plain_texts_are_read_quickly(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(PLAIN[name], newline="")
    quick = quick_numbers.quick_numbers
    results = []
    monkeypatch.setattr(quick_numbers, "SMALLEST", 0)
    monkeypatch.setattr(
        matrices,
        "quick_numbers",
        lambda *a, **k: results.append(quick(*a, **k)) or results[0],
    )
    read_matrix(path, None, MISSING)
    assert results[0] is not None


@pytest.mark.parametrize("mark", ["\t", "|", " "])
def test_other_marks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mark: str,
) -> None:
    for name in ("plain", "missing", "quoted missing", "short row"):
        path = tmp_path / "t.txt"
        path.write_text((PLAIN | ODD)[name].replace(",", mark))
        both(path, monkeypatch)


def test_missing_numbers_and_suffixes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,A,B\nP1,-1,2\nP2,-1.0,999\n")
    got = both(path, monkeypatch, missing=("-1", "999"))
    assert got is not None
    np.testing.assert_array_equal(got.values, [[np.nan, 2], [np.nan, np.nan]])
    path.write_text("id,site,A_x,age,B_x\nP1,Lung,1,old,2\nP2,,3,,4\n")
    got = both(path, monkeypatch, suffix="_x")
    assert got is not None
    np.testing.assert_array_equal(got.values, [[1, 2], [3, 4]])


def test_latin_letters_are_refused_alike(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,A,B\nP1,1,2\nM\xfcller,1,2\n")
    assert both(path, monkeypatch) is None


def test_any_double_is_read_to_the_last_bit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**63, 4000, dtype=np.int64)
    doubles = [struct.unpack("d", struct.pack("q", int(one)))[0] for one in bits]
    doubles = [one for one in doubles if np.isfinite(one)]
    forms = itertools.cycle(["{!r}", "-{:.3e}", "{:.17e}", "{:.25E}", "{:.1f}"])
    cells = [form.format(one) for form, one in zip(forms, doubles, strict=False)]
    lines = [",".join(["id", "A", "B"])]
    pairs = zip(cells[::2], cells[1::2], strict=False)
    lines += [f"P{n},{one},{other}" for n, (one, other) in enumerate(pairs)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    got = both(path, monkeypatch)
    assert got is not None
    assert len(got.rows) == len(cells) // 2


def test_small_files_and_want_of_memory_are_for_the_slow_reader(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(PLAIN["plain"])
    layout = quick_numbers.Layout(",", 0, row_names=False)
    call = (path, layout, ["id", "A", "B"], 0, [1, 2])

    def read() -> object:
        return quick_numbers.quick_numbers(*call, missing=frozenset(), encoding=None)

    assert read() is None
    monkeypatch.setattr(quick_numbers, "SMALLEST", 0)
    assert read() is not None
    monkeypatch.setattr(quick_numbers, "free_memory", lambda: 50)
    assert read() is None

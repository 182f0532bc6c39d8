from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from survfuse._errors import InputError
from survfuse.results.csv_files import read_terms, write_table


def test_terms_are_read_as_they_were_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"patient_id": ["a", "b"], "repeat": [0, 0], "fold": [0, 1]})
    table = table.assign(constant=[0.1, 0.2], clinical=[1 / 3, -1e-9])
    write_table(tmp_path / "terms.csv", table)
    pd.testing.assert_frame_equal(read_terms(tmp_path / "terms.csv"), table)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "patient_id,repeat,fold\na,0,0\n",
            r"terms\.csv: expected column\(s\) constant",
        ),
        (
            "patient_id,repeat,fold,constant\na,0,0,\n",
            "column constant, line 2: expected a finite",
        ),
        (
            "patient_id,repeat,fold,constant\na,0,0,x\n",
            "column constant, line 2: expected a number",
        ),
    ],
)
def test_damaged_terms_are_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "terms.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_terms(tmp_path / "terms.csv")

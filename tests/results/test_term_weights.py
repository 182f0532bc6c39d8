from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest

from report.conftest import Builder, edit
from survfuse._errors import InputError
from survfuse._storage import read_json, write_json
from survfuse.results import Result
from survfuse.results.csv_files import write_table
from survfuse.results.schema import TermRow, WeightRow
from survfuse.results.term_weights import over_fits, weight_table, without_effect


def row(fold: int, term: str, value: float, **fields: Any) -> dict[str, Any]:
    return {"repeat": 0, "fold": fold, "term": term, "value": value, **fields}


TABLE = weight_table(
    [
        row(0, "clinical", 0.9, start=1, low=0.4, high=1.4),
        row(1, "clinical", 1.1, start=1, low=0.6, high=1.6),
        row(2, "clinical", 1.3, start=1, low=0.5, high=2.0),
        row(0, "slides", 0.0, start=1, gain=-0.52, needed=1.92, note="as said"),
        row(1, "slides", 0.4, start=1, low=0.0, high=0.8, gain=2.5, needed=1.92),
        row(2, "slides", 0.0, start=1, gain=1.1, needed=1.92, note="as said"),
        row(0, "clinical*slides", 0.0, start=0, note="=one reason"),
        row(1, "clinical*slides", 0.0, start=0, note="another"),
        row(2, "clinical*slides", 0.0, start=0, note="another"),
    ],
)


def test_the_table_has_the_columns_of_the_schema() -> None:
    assert list(TABLE) == list(get_type_hints(WeightRow))
    assert TABLE["fold"].dtype == int
    assert TABLE["low"].dtype == float
    assert list(over_fits(TABLE)) == list(get_type_hints(TermRow))


def test_weights_are_summed_up_over_the_fits() -> None:
    clinical, slides, pair = over_fits(TABLE).to_dict("records")
    assert clinical["mean"] == pytest.approx(1.1)
    assert (clinical["smallest"], clinical["largest"]) == (0.9, 1.3)
    assert (clinical["low"], clinical["high"]) == (0.5, 1.6)
    assert (clinical["fits"], clinical["out"], clinical["note"]) == (3, 0, "")
    assert slides["out"] == 2
    assert np.isnan(slides["low"])
    assert np.isnan(pair["low"])
    assert without_effect(over_fits(TABLE)).tolist() == [False, False, True]


def test_why_a_bag_is_out_has_the_numbers_behind_it() -> None:
    _, slides, pair = over_fits(TABLE)["note"]
    assert slides == (
        "out of fold it adds −0.52 to 1.10 to the log-likelihood of the other terms; "
        "1.92 is needed"
    )
    assert pair == "=one reason (1 of 3); another (2 of 3)"


def test_weights_are_read_as_they_were_written(make_run: Builder) -> None:
    out = make_run()
    assert Result.read(out).weights is None
    write_table(out / "weights.csv", TABLE)
    assert (
        "\n0,0,clinical*slides,0.0,0.0,,,,,'=one reason\n"
        in (out / "weights.csv").read_text()
    )
    run = Result.read(out)
    pd.testing.assert_frame_equal(run.weights, TABLE)
    run.write(out)
    assert Result.read(out).changed() == ()
    write_table(out / "weights.csv", TABLE.assign(value=1.0))
    assert Result.read(out).changed() == ("weights.csv",)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("fold,term", "fold,name", r"expected column\(s\) term, the file has repeat"),
        ("0.9", "much", "column value, line 2: expected a number, got 'much'"),
        ("0.9", "", "column value, line 2: expected a finite value, got ''"),
        ("0.9", "inf", "column value, line 2: expected a finite value, got 'inf'"),
        (
            "0.9",
            "-0.9",
            "column value, term 'clinical': expected a weight of 0 or more",
        ),
        ("0,0,clinical", "0,0.5,clinical", "column fold, .*expected a whole number"),
        ("0,0,clinical", "-1,0,clinical", "column repeat, .*expected a whole number"),
        ("0,0,clinical", "0,nan,clinical", "column fold, line 2: expected a finite"),
    ],
)
def test_a_broken_table_is_refused(
    make_run: Builder,
    old: str,
    new: str,
    match: str,
) -> None:
    out = make_run()
    path = Path(out / "weights.csv")
    write_table(path, TABLE)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=rf"weights\.csv: {match}"):
        Result.read(out)


def test_a_run_of_before_weights_were_kept_is_read(
    make_run: Builder,
    tmp_path: Path,
) -> None:
    out = make_run()
    golden = Path(__file__).parents[1] / "archives" / "golden" / "anchored"
    for name in ("predictions.csv", "checks.json"):
        (out / name).write_bytes((golden / name).read_bytes())
    metrics = read_json(golden / "metrics.json")
    write_json(out / "metrics.json", {"anchored": metrics})
    (out / "comparators.csv").unlink()
    edit(out / "run.json", lambda run: run.update(model="anchored"))
    run = Result.read(out)
    assert run.weights is None
    assert len(run.predictions) == 60
    assert not (run.write(tmp_path / "again") / "weights.csv").exists()

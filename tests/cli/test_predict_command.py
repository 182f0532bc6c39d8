"""Predictions of a bundle: what the file holds, and what it never replaces."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import survfuse
from running import Command, small
from survfuse._errors import InputError
from survfuse.evaluation.predictions import evaluate


def test_predicting_strange_patients_notes_what_is_strange(
    command: Command,
    bundle: Path,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    del files.spec["outcome"]
    files.set("003", "sex", "divers")
    assert files.expression is not None
    files.expression = files.expression.drop(index="004")
    ended = command("predict", bundle, files.write(), "-o", tmp_path / "p.csv")
    assert ended.code == 0
    note = "clinical: sex: unseen category: 'divers'; treated as unknown"
    assert f"note: 003: {note}" in ended.err
    assert "note: 004: expression: absent" in ended.err
    told = json.loads((tmp_path / "p.json").read_text())["notes"]
    assert told.pop(0)["message"].startswith("24 of 24 patients were trained on")
    assert [each for each in told if "drift" not in each["message"]] == [
        {"patient_id": "003", "message": note},
        {"patient_id": "004", "message": "expression: absent"},
    ]


def test_prediction_needs_no_readable_outcome(
    command: Command,
    bundle: Path,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    files.set("004", "os_event", "pending")
    assert command("predict", bundle, files.write(), "-o", tmp_path / "p.csv").code == 0


@pytest.mark.parametrize("horizon", ["nan", "-5", "inf"])
def test_a_horizon_that_is_no_time_is_refused(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
    horizon: str,
) -> None:
    ended = command(
        "predict",
        bundle,
        cohort,
        "-o",
        tmp_path / "p.csv",
        "--horizon",
        horizon,
    )
    assert ended.code == 2
    assert "times must be finite and >= 0" in ended.err
    assert not (tmp_path / "p.csv").exists()


def test_predicting_patients_with_few_genes_exits_2(
    command: Command,
    bundle: Path,
    tmp_path: Path,
) -> None:
    files = small(tmp_path)
    assert files.expression is not None
    files.expression.iloc[3, :8] = np.nan
    ended = command("predict", bundle, files.write(), "-o", tmp_path / "p.csv")
    assert ended.code == 2
    assert "004 (33.3%); at least 80% are needed" in ended.err
    assert not (tmp_path / "p.csv").exists()


def test_a_changed_bundle_exits_2(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    import shutil

    broken = Path(shutil.copytree(bundle, tmp_path / "b"))
    (broken / "calibration.json").write_text(
        (broken / "calibration.json").read_text() + " ",
    )
    ended = command("predict", broken, cohort, "-o", tmp_path / "p.csv")
    assert ended.code == 2
    assert (
        "calibration.json: its bytes changed since the bundle was written" in ended.err
    )
    for nothing in (tmp_path / "nowhere", cohort, cohort.parent):
        ended = command("predict", nothing, cohort, "-o", tmp_path / "p.csv")
        assert ended.code == 2
        assert "not a survfuse bundle" in ended.err


def test_predictions_replace_nothing_but_predictions(
    command: Command,
    bundle: Path,
    tmp_path: Path,
) -> None:
    cohort = small(tmp_path).write()
    table = (tmp_path / "patients.csv").read_bytes()
    (tmp_path / "p.json").write_text('{"mine": 1}')
    for name, message in (
        ("patients.csv", "patients.csv: a file that holds no predictions is there"),
        ("p.csv", f"its notes would replace {tmp_path / 'p.json'}, which holds none"),
        ("features", "features: is a folder; give the name of a CSV file in it"),
    ):
        ended = command("predict", bundle, cohort, "-o", tmp_path / name)
        assert ended.code == 2, name
        assert message in ended.err
    assert (tmp_path / "patients.csv").read_bytes() == table
    assert (tmp_path / "p.json").read_text() == '{"mine": 1}'


def test_predictions_are_replaced_by_force_alone(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "q.csv"
    assert command("predict", bundle, cohort, "-o", out).code == 0
    before = unread(out)
    ended = command("predict", "no bundle", "no cohort", "-o", out)
    assert ended.code == 2
    assert ended.err.endswith(
        "q.csv: predictions are there already; choose another name, or replace them with --force\n",
    )
    assert unread(out) == before
    assert command("predict", bundle, cohort, "-o", out, "--force").code == 0
    assert unread(out) != before


def test_notes_of_a_killed_run_do_not_stop_the_next(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "q.csv"
    assert command("predict", bundle, cohort, "-o", out).code == 0
    out.unlink()
    assert command("predict", bundle, cohort, "-o", out).code == 0


def test_notes_never_overwrite_the_predictions(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    ended = command("predict", bundle, cohort, "-o", tmp_path / "p.json")
    if ended.code == 0:
        assert (tmp_path / "p.json").read_text().startswith("patient_id,"), (
            "the file that was asked for"
        )
    else:
        assert ended.code == 2


def unread(place: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or written, but not when it is looked at."""
    status = place.lstat()
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("kind", ["pipe", "dangling"])
def test_predict_replaces_nothing_but_files_and_says_so_first(
    command: Command,
    tmp_path: Path,
    suffix: str,
    kind: str,
) -> None:
    place = tmp_path / f"p{suffix}"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(tmp_path / "gone")
    before = unread(place)
    ended = command(
        "predict",
        tmp_path / "no bundle",
        tmp_path / "no cohort",
        "-o",
        tmp_path / "p.csv",
    )
    assert ended.code == 2
    assert re.search(
        rf"p\{suffix}: a (pipe|link that leads nowhere) is there",
        ended.err,
    )
    assert unread(place) == before


def with_outcome(predictions: Path, cohort: Path) -> pd.DataFrame:
    """Predictions with the outcome of the patients beside them, ready for `evaluate`."""
    table = pd.read_csv(predictions, dtype={"patient_id": str})
    patients = pd.read_csv(cohort.parent / "patients.csv", dtype={"patient_id": str})
    outcome = patients[["patient_id", "os_days", "os_event"]]
    renamed = outcome.rename(columns={"os_days": "time", "os_event": "event"})
    return table.drop(columns="in_training").merge(renamed, on="patient_id")


def test_scores_of_the_written_numbers_are_those_of_the_exact_ones(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    out, times = tmp_path / "p.csv", (400.0, 900.0)
    horizons = ("--horizon", "400", "--horizon", "900")
    assert command("predict", bundle, cohort, "-o", out, *horizons).code == 0
    written = with_outcome(out, cohort)
    assert set(written["unit"]) == {"days"}
    words = dict(zip(written["risk_group"], written["risk_group_name"], strict=True))
    assert words == {0: "low", 1: "intermediate", 2: "high"}
    prediction = survfuse.load(bundle).predict(survfuse.load_cohort(cohort))
    exact = prediction.frame(times).merge(
        written[["patient_id", "time", "event"]], on="patient_id"
    )
    values = {}
    for name, table in (("written", written), ("exact", exact)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        result = evaluate(tmp_path / f"{name}.csv")
        assert result.cohort["unit"] == ("days" if name == "written" else "time units")
        metrics = result.metrics.set_index("metric")["value"].dropna()
        values[name] = metrics
    ranked = ["uno_c", "harrell_c"]
    assert set(ranked) <= set(values["exact"].index)
    np.testing.assert_allclose(
        values["written"][ranked], values["exact"][ranked], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(values["written"], values["exact"], rtol=1e-4, atol=1e-5)
    with pytest.raises(
        InputError, match=r"column unit says days, and months was given"
    ):
        evaluate(tmp_path / "written.csv", unit="months")

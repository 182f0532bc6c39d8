"""The outcome among the inputs, whatever it is called; and what must not be taken for it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles, cohort_files
from running import quick
from survfuse._errors import LeakageError
from survfuse.cohort import Cohort, inspect, load_cohort
from survfuse.cohort.leak_rules import Column, _at_most, _best_group, _monotone
from survfuse.cohort.problems import allowing
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig, load_config
from survfuse.evaluation import cross_validate

COUNT = 80
RNG = np.random.default_rng(17)
RISK = RNG.standard_normal(COUNT)
UNTIL = RNG.uniform(6, 90, COUNT)
RELAPSE = RNG.exponential(30 * np.exp(-RISK))
TIME = np.maximum(np.minimum(RELAPSE, UNTIL).round(1), 0.1)
EVENT = RELAPSE <= UNTIL
SOME = RNG.random(COUNT) < 0.15
NOISE = RNG.standard_normal(COUNT)


def files_of(
    root: Path,
    modalities: tuple[str, ...] = ("clinical",),
    **columns: Any,
) -> CohortFiles:
    """80 patients with these clinical columns besides age; text is nominal."""
    files = cohort_files(root, patients=COUNT, modalities=modalities)
    files.patients["os_days"], files.patients["os_event"] = TIME, EVENT.astype(int)
    files.spec["outcome"]["unit"] = "months"
    for name, values in columns.items():
        files.patients[name] = values
        kind = "nominal" if isinstance(values[0], str) else "numeric"
        files.spec["clinical"]["columns"][name] = {"kind": kind}
    return files


def refused(files: CohortFiles) -> str:
    """What loading says, having refused."""
    with pytest.raises(
        LeakageError,
        match="the outcome is among the inputs",
    ) as refusal:
        load_cohort(files.write())
    return str(refusal.value)


LEAKS: dict[str, Any] = {
    "event": EVENT.astype(float),
    "censored": 1.0 - EVENT,
    "one and two": 1.0 + EVENT,
    "words": np.where(EVENT, "Dead", "Alive"),
    "coded words": np.where(EVENT, "1:DECEASED", "0:LIVING"),
    "three words": np.where(EVENT, np.where(SOME, "DOC", "DOD"), "NED"),
    "some missing": np.where(SOME, np.nan, EVENT),
    "stage with event": np.char.add(
        np.where(NOISE > 0, "I ", "II "),
        np.where(EVENT, "d", "a"),
    ),
    "levels with event": 2 * (NOISE > 0) + 1.0 * EVENT,
    "in noise": EVENT + 0.3 * np.tanh(NOISE),
    "known for the dead": np.where(EVENT, NOISE, np.nan),
    "time": TIME,
    "days": (30.44 * TIME).round(),
    "years": np.floor(TIME / 12),
    "reversed": -np.log(TIME),
    "time of words": np.select([TIME < 12, TIME < 40], ["short", "middle"], "long"),
    "days to death": np.where(EVENT, TIME, np.nan),
    "days to last follow-up": np.where(EVENT, np.nan, TIME),
    "negative if alive": np.where(EVENT, TIME, -TIME),
    "time of events, else noise": np.where(EVENT, TIME, 10 * NOISE),
    "dead in 2 years": np.where(TIME > 24, 0.0, np.where(EVENT, 1.0, np.nan)),
}


@pytest.mark.parametrize("name", LEAKS)
def test_the_outcome_is_refused_under_any_name(tmp_path: Path, name: str) -> None:
    told = refused(files_of(tmp_path, x17=LEAKS[name], marker=RISK.round(2)))
    assert told.count("the outcome under another name") == 1
    assert "clinical, file patients.csv, column 'x17'" in told


HONEST: dict[str, Any] = {
    "marker": RISK,
    "good marker": RISK + 0.3 * NOISE,
    "rank": np.argsort(np.argsort(RISK)),
    "binary": np.where(RISK > 0, "high", "low"),
    "levels": np.digitize(RISK, [-1, 0, 1]).astype(float),
    "missing when high": np.where(RISK > 0.5, np.nan, RISK),
    "date of entry": UNTIL.max() - UNTIL,
    "end of study": UNTIL,
    "own word": np.char.add("case ", np.arange(COUNT).astype(str)),
    "rare": np.where(np.arange(COUNT) < 3, "yes", "no"),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_column_stays(tmp_path: Path, name: str) -> None:
    cohort = load_cohort(files_of(tmp_path, x17=HONEST[name]).write())
    assert cohort.leaks == ()


@pytest.mark.parametrize("swap", [False, True])
def test_two_columns_whose_difference_is_the_time_are_refused(
    tmp_path: Path,
    swap: bool,
) -> None:
    age = (60 + 8 * RISK).round(1)
    columns = {"diagnosed": age, "last_seen": age + TIME / 12}
    order = sorted(columns, reverse=swap)
    told = refused(files_of(tmp_path, **{name: columns[name] for name in order}))
    assert told.count("the outcome under another name") == 1
    assert (
        "column 'last_seen': the outcome under another name: it less 'diagnosed' has the order"
        in told
    )


def flipped(values: Any) -> Any:
    """One patient in 60 contradicts."""
    changed = np.array(values, float)
    changed[[5]] = values[5] == 0
    return changed


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (flipped(EVENT), r"nearly \(area under the curve 0\.9"),
        (
            TIME * np.exp(0.05 * NOISE),
            r"nearly the order of the times of all 80 patients \(Kendall's tau 0\.9",
        ),
        (
            np.where(EVENT, TIME * np.exp(0.05 * NOISE), 50 * NOISE),
            r"of the times of the \d+ with the event",
        ),
    ],
)
def test_nearly_the_outcome_is_told_and_loads(
    tmp_path: Path,
    values: Any,
    told: str,
) -> None:
    (leak,) = load_cohort(files_of(tmp_path, x17=values).write()).leaks
    assert (leak.label, leak.grade) == ("clinical.x17", "near")
    assert pd.Series([leak.evidence]).str.contains(told).all()


@pytest.mark.parametrize("count", [10, 20])
def test_in_a_tiny_cohort_it_may_be_chance(count: int) -> None:
    event = np.arange(count) % 2 == 0
    verdict = Column(
        event.astype(float),
        np.arange(count) + 1.0,
        event,
        np.log(5.0),
    ).parting()
    assert verdict is None or verdict[0] == "possible"


def test_a_marker_may_part_events_if_no_censoring_contradicts_it() -> None:
    """Everybody is followed for 60 months: a hazard ratio of 25 explains what is seen in 24 patients."""
    event = np.arange(24) < 12
    time = np.where(event, 1.0 + np.arange(24), 60.0)
    assert Column(event.astype(float), time, event, 0.0).beyond_a_marker(event) is False
    early = np.where(
        event,
        40.0 + np.arange(24),
        1.0 + np.arange(24),
    )  # the others are censored first
    assert Column(event.astype(float), early, event, 0.0).beyond_a_marker(event) is True


def test_every_modality_is_looked_at(tmp_path: Path) -> None:
    files = files_of(tmp_path, ("clinical", "expression", "slides"))
    assert files.expression is not None
    assert load_cohort(files.write()).leaks == ()
    files.expression["GENE3"] = np.log2(1 + TIME)
    for slide, values in files.bags.items():
        values[:, 2] = EVENT[int(slide.split("_")[0]) - 1]
    ids = files.patients["patient_id"]
    files.tables["cnv.csv"] = pd.DataFrame(
        {"patient_id": ids, "A": NOISE, "B": ~EVENT * 1},
    )
    files.spec["modalities"] = {"cnv": {"table": "cnv.csv", "columns": ["A", "B"]}}
    told = refused(files)
    for place in (
        "expression, file rna.csv, column 'GENE3'",
        "slides, file slides.csv, column 'feature 2'",
        "cnv, file cnv.csv, column 'B'",
    ):
        assert place in told
    assert "take it out of the matrix" in told


def test_the_number_of_tiles_is_looked_at(tmp_path: Path) -> None:
    files = files_of(tmp_path, ("clinical", "slides"))
    for slide in files.bags:
        event = EVENT[int(slide.split("_")[0]) - 1]
        files.bags[slide] = RNG.standard_normal((9 if event else 4, 4)).astype(
            np.float32,
        )
    assert "column 'number of tiles'" in refused(files)


def test_who_has_a_modality_is_looked_at(tmp_path: Path) -> None:
    files = files_of(tmp_path, ("clinical", "expression"))
    assert files.expression is not None
    files.expression = files.expression[EVENT]
    told = refused(files)
    assert (
        "expression, file rna.csv: the outcome under another name: who has this modality parts"
        in told
    )
    assert "leave the modality out" in told
    assert (
        load_cohort(files.write(), allow_followup=["expression"]).events == EVENT.sum()
    )


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort file whose column `vital` is the event."""
    return files_of(tmp_path_factory.mktemp("leak"), vital=LEAKS["words"]).write()


@pytest.fixture(scope="module")
def allowed(leaking: Path) -> Cohort:
    return load_cohort(leaking, allow_followup=["vital"])


def test_fit_and_cross_validation_cannot_go_around_it(allowed: Cohort) -> None:
    with pytest.raises(
        LeakageError,
        match=r"cohort 'tiny': the outcome is among the inputs\n.*'vital'",
    ):
        quick().fit(allowed)
    with pytest.raises(
        LeakageError,
        match=r"the outcome is among the inputs\n.*column 'vital'",
    ):
        cross_validate(quick(), allowed, folds=2)
    named = FitConfig.of(allow_followup=("vital",))
    assert Transforms.fit(allowed, allowed.patients, named).modalities == ("clinical",)


def test_what_no_model_reads_is_no_leak(tmp_path: Path) -> None:
    files = files_of(tmp_path, vital=LEAKS["words"])
    for declared in ({"use": "false"}, {"known": "followup"}):
        files.spec["clinical"]["columns"]["vital"] = {"kind": "nominal", **declared}
        assert load_cohort(files.write()).leaks == ()


def test_prediction_needs_no_guard(leaking: Path) -> None:
    assert len(load_cohort(leaking, need_outcome=False)) == COUNT


@pytest.mark.parametrize(
    "name",
    ["vital", "vital status", "dead, yes or no", "it's", "007", 'the "end"', "é-1"],
)
def test_the_setting_is_read_back_as_the_name(name: str) -> None:
    option, setting = shlex.split(allowing([name, "age"]))
    assert option == "--set"
    assert load_config(None, overrides=[setting]).model.inputs.allow_followup == (
        name,
        "age",
    )


def test_the_remedies_work_when_followed(tmp_path: Path, leaking: Path) -> None:
    (problem,) = [one for one in inspect(leaking).problems if one.severity == "error"]
    assert problem.column == "vital"
    for remedy in (
        "`use: false`",
        "model.inputs.allow_followup=[vital] for train",
        "--allow-followup vital for validate",
    ):
        assert remedy in problem.hint
    assert inspect(leaking, allow_followup=["vital"]).ok
    files = files_of(tmp_path, vital=LEAKS["words"])
    files.spec["clinical"]["columns"]["vital"]["use"] = "false"
    assert inspect(files.write()).ok


def test_only_the_order_of_patients_and_their_labels_do_not_matter() -> None:
    order = RNG.permutation(COUNT)
    for values in (LEAKS["in noise"], LEAKS["years"], flipped(EVENT), RISK):
        one = Column(np.asarray(values, float), TIME, EVENT, 3.0)
        other = Column(np.asarray(values, float)[order], TIME[order], EVENT[order], 3.0)
        assert one.parting() == other.parting()
        assert one.order() == other.order()


def test_a_sum_of_draws_against_all_outcomes() -> None:
    chances = np.array([0.1, 0.5, 0.7, 0.2])
    total = 0.0
    for drawn in np.ndindex(2, 2, 2, 2):
        if sum(drawn) <= 2:
            total += np.prod(np.where(drawn, chances, 1 - chances))
    assert _at_most(2, chances) == pytest.approx(total)
    assert _at_most(4, chances) == pytest.approx(1)
    assert _at_most(0, np.array([])) == 1


def test_monotone_against_all_pairs() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        value, time = (
            rng.integers(0, 3, 5).astype(float),
            rng.integers(0, 4, 5).astype(float),
        )
        signs = np.sign(np.subtract.outer(value, value) * np.subtract.outer(time, time))
        assert _monotone(value, time) == (
            not (signs < 0).any() or not (signs > 0).any()
        )


def test_the_best_group_cuts_where_it_parts_best() -> None:
    value = np.array([1.0, 2, 2, 3, 4, 4])
    event = np.array([False, False, True, True, True, True])
    assert _best_group(value, event).tolist() == [False, False, False, True, True, True]


def test_outcomes_dealt_to_others_are_not_searched_for_again(
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    cohort = load_cohort(files_of(tmp_path, age_again=NOISE).write())
    assert cohort.outcome is not None
    monkeypatch.setattr(
        "survfuse.cohort.cohort_data.find_leaks",
        None,
    )  # calling it fails
    dealt = cohort.outcome.iloc[::-1].set_axis(cohort.outcome.index)
    other = cohort.with_outcome(dealt)
    assert other.leaks == cohort.leaks
    assert other.outcome is dealt

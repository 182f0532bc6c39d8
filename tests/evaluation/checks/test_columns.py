from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from builders import cohort_files
from evaluation.checks.evidence_of import cohort_of, files_of
from running import loaded
from survfuse._errors import LeakageError
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.datasets.outcomes import draw, observe, weibull_scale
from survfuse.evaluation.checks import Evidence, refuse_later_knowledge
from survfuse.evaluation.checks.columns import (
    CENSORING_P,
    Column,
    _censoring_p,
    censoring_is_independent,
    columns_of,
    columns_vary,
    inputs_are_known_at_baseline,
    no_later_knowledge_is_let_in,
)
from survfuse.survival.cox import fit_cox

COLUMNS: dict[str, Any] = {
    "age": {"kind": "numeric"},
    "stage": {"kind": "ordinal", "levels": ["I", "II", "III"]},
    "sex": {"kind": "nominal"},
}
DOSES = {"kind": "numeric", "missing": ["-1"]}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """176 patients followed as the simulator does, with their doses and honest columns."""
    rng = np.random.default_rng(2)
    draws = draw(176, rng)
    risk = rng.standard_normal(176)
    seen = observe(risk, draws, weibull_scale(risk, draws, 0.36), leak=True)
    age = (70 + 9 * risk).round()
    stage = np.array(["I", "II", "III"])[
        np.digitize(rng.standard_normal(176), [-0.5, 0.5])
    ]
    sex = np.where(rng.random(176) < 0.3, "F", "M")
    return seen.assign(age=age, stage=stage, sex=sex).rename(
        columns={"no_instillations": "doses"},
    )


def judged(
    root: Path,
    frame: pd.DataFrame,
    doses: dict[str, Any] | None,
    **fields: Any,
) -> Any:
    columns = COLUMNS if doses is None else {**COLUMNS, "doses": doses}
    return inputs_are_known_at_baseline(
        Evidence(cohort=cohort_of(root, frame, columns), **fields),
    )


def test_honest_columns_are_in_order(tmp_path: Path, frame: pd.DataFrame) -> None:
    found = judged(tmp_path, frame, None)
    assert found[:2] == ("ok", "none of 2 columns grows with follow-up as an input")


def test_doses_are_named_with_their_numbers(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    found = judged(tmp_path, frame, DOSES)
    assert found.status == "failed"
    assert found.evidence.startswith("clinical.doses (hazard ratio per sd 0.")
    assert "age" not in found.evidence
    assert "--allow-followup COLUMN" in found.advice
    config = FitConfig.of(allow_followup=("doses",))
    assert judged(tmp_path, frame, DOSES, config=config).status == "ok"
    cohort = cohort_of(tmp_path, frame, {**COLUMNS, "doses": DOSES})
    allowed = no_later_knowledge_is_let_in(Evidence(cohort=cohort, config=config))
    assert allowed[:2] == (
        "warning",
        "allowed by name, and leaks: clinical.doses (accrues during follow-up)",
    )


def test_what_nearly_tells_the_outcome_fails(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    status = np.where(frame.index == 7, 1 - frame["event"], frame["event"])
    blurred = frame["time"] * np.exp(
        0.03 * np.random.default_rng(5).standard_normal(len(frame)),
    )
    columns = {**COLUMNS, "status": {"kind": "numeric"}, "blurred": {"kind": "numeric"}}
    cohort = cohort_of(tmp_path, frame.assign(status=status, blurred=blurred), columns)
    found = inputs_are_known_at_baseline(Evidence(cohort=cohort))
    assert found.status == "failed"
    assert "clinical.status (parts the " in found.evidence
    assert (
        "clinical.blurred (has nearly the order of the times of all 176 patients"
        in found.evidence
    )
    with pytest.raises(
        LeakageError,
        match=r"SRV008: clinical\.blurred .*clinical\.status",
    ):
        refuse_later_knowledge(cohort, FitConfig.of())
    names = ("status", "blurred")
    refuse_later_knowledge(cohort, FitConfig.of(allow_followup=names))
    let_in = Evidence(cohort=cohort, config=FitConfig.of(allow_followup=names))
    assert inputs_are_known_at_baseline(let_in).status == "ok"
    allowed = no_later_knowledge_is_let_in(let_in)
    assert allowed.status == "warning"
    assert "clinical.status (parts the " in allowed.evidence


def test_what_chance_may_do_in_few_patients_is_told(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    few = frame.iloc[:24].assign(
        event=np.arange(24) % 2,
        sex=np.where(np.arange(24) % 2, "F", "M"),
    )
    found = no_later_knowledge_is_let_in(
        Evidence(cohort=cohort_of(tmp_path, few, COLUMNS)),
    )
    assert found.status == "warning"
    assert found.evidence == (
        "which an honest input could also do: "
        "clinical.sex (parts the 12 with the event from the 12 without it)"
    )


def test_a_modality_that_no_model_reads_is_not_refused(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    files = files_of(tmp_path, frame, COLUMNS)
    files.patients["doses"] = frame["doses"].to_numpy()
    files.spec["modalities"] = {
        "more": {"table": "patients.csv", "columns": {"doses": DOSES}},
    }
    cohort = loaded(files)
    assert inputs_are_known_at_baseline(Evidence(cohort=cohort)).status == "failed"
    alone = FitConfig.of(modalities=("clinical",))
    assert (
        inputs_are_known_at_baseline(Evidence(cohort=cohort, config=alone)).status
        == "ok"
    )


@pytest.mark.parametrize("how", [{"known": "followup"}, {"use": "false"}])
def test_a_column_that_is_no_input_is_told_only(
    tmp_path: Path,
    frame: pd.DataFrame,
    how: dict[str, str],
) -> None:
    found = judged(tmp_path, frame, {**DOSES, **how})
    assert found.status == "ok"
    assert "; accrues, and is no input: clinical.doses" in found.evidence


def test_few_events_and_no_numbers_do_not_apply(
    tmp_path: Path,
    frame: pd.DataFrame,
    cohort: Cohort,
) -> None:
    few = inputs_are_known_at_baseline(Evidence(cohort=cohort))
    assert few[:2] == (
        "not applicable",
        "clinical.age: 12 events among known values; 20 are needed, "
        "clinical.stage: 12 events among known values; 20 are needed",
    )
    nominal = cohort_of(tmp_path, frame, {"sex": {"kind": "nominal"}})
    assert inputs_are_known_at_baseline(Evidence(cohort=nominal))[:2] == (
        "not applicable",
        "no numeric or ordinal column",
    )


def test_constant_columns_and_genes_are_named(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    assert columns_vary(Evidence(cohort=cohort_of(tmp_path, frame, COLUMNS)))[:2] == (
        "ok",
        "3 columns and matrices vary",
    )
    rare = frame.assign(sex=np.where(frame.index < 2, "F", "M"), stage="II")
    found = columns_vary(Evidence(cohort=cohort_of(tmp_path, rare, COLUMNS)))
    assert found[:2] == (
        "warning",
        "clinical.stage: 176 of 176 are 'II', clinical.sex: 174 of 176 are 'M'",
    )
    unused = {
        **COLUMNS,
        "stage": {**COLUMNS["stage"], "use": "false"},
        "sex": {"kind": "nominal", "use": "false"},
    }
    assert (
        columns_vary(Evidence(cohort=cohort_of(tmp_path, rare, unused))).status == "ok"
    )
    (tmp_path / "genes").mkdir()
    files = cohort_files(tmp_path / "genes", patients=20, modalities=("expression",))
    assert files.expression is not None
    files.expression["GENE3"] = 5.5
    found = columns_vary(Evidence(cohort=loaded(files)))
    assert found[:2] == (
        "ok",
        "1 columns and matrices vary; expression: 1 of 12 genes never vary",
    )
    files.expression.loc[:, files.expression.columns[:7]] = 5.5
    found = columns_vary(Evidence(cohort=loaded(files)))
    assert found[:2] == ("warning", "expression: 7 of 12 genes never vary")


def test_slides_alone_have_no_columns(tmp_path: Path) -> None:
    slides = loaded(cohort_files(tmp_path, modalities=("slides",)))
    assert columns_vary(Evidence(cohort=slides)).status == "not applicable"


def test_censoring_that_follows_a_column_is_named(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    fine = censoring_is_independent(
        Evidence(cohort=cohort_of(tmp_path, frame, COLUMNS)),
    )
    assert fine.status == "ok"
    assert fine.evidence.startswith("3 clinical columns; smallest p is ")
    early = frame["event"].eq(0) & frame["sex"].eq("F")
    short = frame.assign(
        time=np.where(early, frame["time"] * 0.3, frame["time"]).round(1),
    )
    found = censoring_is_independent(
        Evidence(cohort=cohort_of(tmp_path, short, COLUMNS)),
    )
    assert found.status == "warning"
    assert found.evidence.startswith(
        "leaving follow-up without the event depends on sex (p ",
    )
    late = {**COLUMNS, "sex": {"kind": "nominal", "known": "followup"}}
    assert (
        censoring_is_independent(
            Evidence(cohort=cohort_of(tmp_path, short, late)),
        ).status
        == "ok"
    )


def test_the_p_value_is_the_likelihood_ratio_of_ranks(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    evidence = Evidence(cohort=cohort_of(tmp_path, frame, COLUMNS))
    column = next(c for c in columns_of(evidence) if c.name == "age")
    fit = fit_cox(stats.rankdata(frame["age"]), frame["time"], frame["event"] == 0)
    expected = stats.chi2.sf(2 * (fit.log_likelihood - fit.null_log_likelihood), 1)
    assert _censoring_p(evidence, column) == pytest.approx(expected, rel=1e-4)


def test_the_p_value_of_pure_noise_is_uniform(
    tmp_path: Path,
    frame: pd.DataFrame,
) -> None:
    evidence = Evidence(cohort=cohort_of(tmp_path, frame, COLUMNS))
    sex = next(c for c in columns_of(evidence) if c.name == "sex")
    rng = np.random.default_rng(3)
    found = []
    for _ in range(150):
        dealt = sex.data.frame.assign(
            sex=rng.choice(["A", "B", "C"], len(sex.data.frame)),
        )
        p = _censoring_p(evidence, Column(replace(sex.data, frame=dealt), "sex"))
        assert p is not None
        found.append(p)
    assert stats.kstest(found, "uniform").pvalue > CENSORING_P


def test_few_censored_do_not_apply(tmp_path: Path, frame: pd.DataFrame) -> None:
    few = frame.assign(event=(frame.index >= 19).astype(int))
    assert censoring_is_independent(Evidence(cohort=cohort_of(tmp_path, few, COLUMNS)))[
        :2
    ] == (
        "not applicable",
        "19 censored patients; 20 are needed",
    )

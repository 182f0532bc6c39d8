"""Bundles of older versions hold no reference: they explain what they can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import survfuse
from running import loaded, small
from survfuse._errors import ConfigError
from survfuse.explanations import explain
from survfuse.explanations.explained import FLAT

ARCHIVES = Path(__file__).resolve().parents[1] / "archives"
NAMES = (
    "bundle-1",
    "bundle-2-concat",
    "bundle-2-anchored",
    "bundle-2-attention",
    "bundle-3-stack",
)


@pytest.mark.parametrize("name", NAMES)
def test_an_old_bundle_explains_against_a_cohort_that_is_given(
    tmp_path: Path,
    name: str,
) -> None:
    cohort = loaded(small(tmp_path / "cohort"))
    found = explain(survfuse.load(ARCHIVES / name), cohort, reference=cohort)
    assert found.largest_difference < 1e-6
    means = found.terms[["clinical", "expression", "slides"]].mean()
    np.testing.assert_allclose(means, 0, rtol=0, atol=1e-9)
    assert found.terms["clinical"].std() > 0
    points = found.points(400)
    total = points.drop(columns="risk").sum(axis=1)
    np.testing.assert_allclose(total, points["risk"], rtol=0, atol=1e-9)
    assert np.isclose(found.shares["share"].sum(), 1)


def test_an_old_stack_explains_against_the_average_patient_and_says_so(
    tmp_path: Path,
) -> None:
    cohort = loaded(small(tmp_path / "cohort"))
    found = explain(survfuse.load(ARCHIVES / "bundle-2-anchored"), cohort)
    assert found.largest_difference < 1e-9
    (note,) = found.notes
    assert note.startswith(
        "this bundle of an older version holds no reference: terms compare"
    )
    assert "train again, or give the training cohort as reference" in note
    reasons = found.excluded.set_index("term")["reason"]
    assert list(reasons.index) == ["clinical*expression", "clinical*slides"]
    assert (reasons == "not used: no penalty beats the anchors alone").all()
    assert found.alone.empty


@pytest.mark.parametrize("name", [n for n in NAMES if n != "bundle-2-anchored"])
def test_an_old_network_says_what_it_lacks(tmp_path: Path, name: str) -> None:
    cohort = loaded(small(tmp_path / "cohort"))
    with pytest.raises(
        ConfigError,
        match=r"^terms compare with the training patients, and the model holds no reference \(it "
        r"is of an older version\); give the training cohort .* --reference COHORT\)$",
    ):
        explain(survfuse.load(ARCHIVES / name), cohort)


def test_patients_who_were_not_trained_on_are_told_where_the_model_knows(
    tmp_path: Path,
) -> None:
    cohort = loaded(small(tmp_path / "cohort"))
    model = survfuse.load(ARCHIVES / "bundle-2-concat")
    found = explain(model, cohort, reference=cohort)
    assert found.notes == (FLAT,)  # its 60 training patients have these ids, too
    files = small(tmp_path / "other")
    names = {f"{number:03d}": f"X{number:03d}" for number in range(1, 25)}
    files.patients["patient_id"] = files.patients["patient_id"].map(names)
    assert files.expression is not None
    assert files.slides is not None
    files.expression = files.expression.rename(index=names)
    files.slides["patient_id"] = files.slides["patient_id"].map(names)
    other = explain(model, cohort, reference=loaded(files))
    assert other.notes == (
        FLAT,
        "24 of the 24 reference patients were not trained on: terms compare with these patients, "
        "not with the training cohort",
    )

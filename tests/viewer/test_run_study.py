from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import viewed
from survfuse._errors import InputError
from survfuse.viewer.open_study import open_study
from survfuse.viewer.run_study import RunStudy


@pytest.fixture(scope="module")
def study() -> RunStudy:
    study, damaged = open_study(viewed.run(), viewed.cohort_file())
    assert isinstance(study, RunStudy)
    assert damaged == {}
    return study


def test_the_table_holds_out_of_fold_predictions(study: RunStudy) -> None:
    columns = {column.key: column.values for column in study.table.columns}
    frame = study.result.first_repeat
    assert study.patients == frame["patient_id"].tolist()
    np.testing.assert_allclose(columns["log_risk"], frame["log_risk"], rtol=1e-5)
    seen = [event == "event" for event in columns["event"]]
    assert seen == frame["event"].astype(bool).tolist()
    spread = np.array(columns["disagreement"])
    assert ((spread >= 0) & (spread <= 100)).all()
    assert spread.max() > 0


def test_disagreement_is_the_range_of_ranks(study: RunStudy) -> None:
    ranks = []
    for name in study.result.scored_models:
        table = study.result.models[name]
        if table["log_risk"].nunique() > 1:
            pooled = table.set_index("patient_id")
            ranks.append(100 * pooled.groupby("fold")["log_risk"].rank(pct=True))
    own = [rank[study.patients[4]] for rank in ranks]
    column = next(one for one in study.table.columns if one.key == "disagreement")
    assert column.values[4] == pytest.approx(max(own) - min(own), rel=1e-4)
    assert f"{len(ranks)} models" in column.says


def test_terms_are_those_of_the_run_and_maps_need_a_bundle(study: RunStudy) -> None:
    terms = study.result.terms
    assert terms is not None
    own = terms[terms["patient_id"] == "003"].iloc[0]
    for row in study.terms("003")["rows"]:
        assert row["value"] == pytest.approx(own[row["name"]])
    facts = {fact["title"]: fact["value"] for fact in study.table.facts("003")}
    assert study.terms("003")["total"] == pytest.approx(facts["Log-risk"], rel=1e-4)
    maps, why = study.maps("001", "slides")
    assert not maps
    assert "need a bundle" in why[""]
    assert [slide.image is not None for slide in study.slides("001")] == [True, True]
    with pytest.raises(InputError, match="needs a bundle"):
        study.page("001")
    assert "need a bundle" in study.neighbours("001", ("slides", "x"), 0)["why"]


def test_terms_are_of_the_repeat_that_the_table_shows(study: RunStudy) -> None:
    result = study.result
    assert result.terms is not None
    again = result.terms.assign(repeat=1)
    again["constant"] += 5
    both = replace(result, terms=pd.concat([again, result.terms]))
    other = RunStudy(both, study.cohort, study.source)
    assert other.terms("003") == study.terms("003")

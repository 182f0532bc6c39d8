from __future__ import annotations

from pathlib import Path

import pandas as pd

from report.conftest import Builder
from report.performed import add_performance
from survfuse.cohort.labels import Labels
from survfuse.report.labelled_tables import labelled_tables
from survfuse.report.report_tables import Tables, compute_tables
from survfuse.results import Result

WORDS = {
    ("clinical",): "Clinical variables",
    ("slides",): "Tissue",
    ("clinical", "sex"): "Sex",
    ("clinical", "sex", "female"): "women",
}


def tables_of(out: Path) -> Tables:
    return compute_tables(Result.read(out))


def test_words_replace_names_and_change_no_number(make_run: Builder) -> None:
    tables = tables_of(add_performance(make_run()))
    labelled = labelled_tables(tables.frames, Labels(WORDS))
    for name, frame in labelled.items():
        own = tables[name]
        assert len(frame) == len(own), name
        numbers = own.select_dtypes("number").columns
        assert frame[numbers].equals(own[numbers]), name
    assert "Clinical variables" in set(labelled["modalities"]["name"])
    assert "slides" not in set(labelled["increments"]["modality"])
    assert "slides" in set(labelled["increments"]["key"])
    assert not labelled["patterns"]["modalities"].explode().eq("slides").any()


def test_without_words_the_tables_stay(make_run: Builder) -> None:
    tables = tables_of(add_performance(make_run()))
    for name, frame in labelled_tables(tables.frames, Labels()).items():
        own = tables[name]
        pd.testing.assert_frame_equal(frame[list(own)], own, check_dtype=False)


def test_two_names_of_one_word_stay_apart(make_run: Builder) -> None:
    out = add_performance(make_run())
    words = {("clinical",): "Data", ("slides",): "Data"}
    tables = labelled_tables(tables_of(out).frames, Labels(words))
    assert {"Data (clinical)", "Data (slides)"} <= set(tables["modalities"]["name"])


def test_subgroups_are_called_by_the_words_for_columns_and_values(
    make_run: Builder,
) -> None:
    out = add_performance(make_run())

    tables = tables_of(out)
    labelled = labelled_tables(tables.frames, Labels(WORDS))["subgroups"]
    own = labelled[labelled["group"] == "Sex"]
    assert set(own["level"]) == {"women", "male"}
    assert "sex" not in set(labelled["group"])
    assert "everyone" in set(labelled["group"])

"""Cohorts of tables in memory: what files give, DataFrames give."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import survfuse as sf
from frames import LEVELS, bags, expression, made, messages, patients
from running import quick
from survfuse._errors import CohortError, ConfigError, InputError, LeakageError
from survfuse.cohort import Cohort, load_cohort
from survfuse.datasets import hancock, tcga_luad

COLUMNS: dict[str, Any] = {
    "age": "numeric",
    "sex": "nominal",
    "asa": "numeric",
    "stage": {"kind": "ordinal", "levels": LEVELS},
    "smoker": "nominal",
}
OUTCOME = {"table": "patients.csv", "time": "months", "event": "dead", "unit": "months"}


def written(folder: Path, about: dict[str, Any], **frames: pd.DataFrame) -> Cohort:
    """Write frames as CSV and load the cohort file that names them."""
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=frame.index.name is not None)
    file = folder / "cohort.yaml"
    file.write_text(yaml.safe_dump({"name": "files", **about}))
    return load_cohort(file)


def test_the_same_frames_as_files_have_the_same_fingerprint(tmp_path: Path) -> None:
    table = patients()
    blood = pd.DataFrame({"Hb": np.linspace(9, 16, 30), "ki": range(30)})
    blood = blood.set_index(table["patient_id"].iloc[:30])
    about = {
        "outcome": OUTCOME,
        "clinical": {"table": "patients.csv", "columns": COLUMNS},
        "expression": {"path": "rna.csv", "unit": "log2tpm"},
        "modalities": {"blood": {"table": "blood.csv"}},
        "groups": {"site": "site"},
        "folds": {"table": "patients.csv", "column": "asa"},
    }
    rna = expression(table)
    files = written(tmp_path, about, patients=table, rna=rna, blood=blood)
    memory = made(
        table,
        clinical=table,
        columns={"asa": "numeric"},
        expression=rna,
        expression_unit="log2tpm",
        tables={"blood": blood},
        groups="site",
        folds="asa",
    )
    assert memory.fingerprint() == files.fingerprint()
    assert memory.spec.outcome == files.spec.outcome.model_copy(  # type: ignore[union-attr]
        update={"table": memory.spec.outcome.table},  # type: ignore[union-attr]
    )


def test_the_forms_of_cohort_files_mean_the_same_here(tmp_path: Path) -> None:
    table = patients()
    table["patient_id"] = [f"TCGA-AA-{number:04}-01A" for number in range(40)]
    table["vital"] = np.where(table["dead"] == 1, "DEAD", "Alive")
    table["death"] = table["months"].where(table["dead"] == 1)
    table["contact"] = table["months"].where(table["dead"] == 0)
    rna = expression(table)
    rna.insert(1, "gene2", rna["GENE2"] + 1)
    rna = rna.rename(columns={"gene2": "GENE3"})
    rna = pd.concat(
        [rna, rna.iloc[:2].set_axis([f"{one[:-3]}02A" for one in rna.index[:2]])]
    )
    rna.index.name = "sample"
    time = {"first_of": ["death", "contact"]}
    event = {"column": "vital", "happened": ["DEAD"], "censored": ["Alive"]}
    about = {
        "match": "tcga",
        "outcome": {**OUTCOME, "time": time, "event": event},
        "clinical": {"table": "patients.csv", "columns": {"age": "numeric"}},
        "expression": {
            "path": "rna.csv",
            "unit": "log2tpm",
            "rows": "mean",
            "duplicates": "mean",
        },
    }
    rna.to_csv(tmp_path / "rna.csv")
    files = written(tmp_path, about, patients=table)
    memory = made(
        table,
        time=time,
        event=event,
        clinical=["age"],
        expression=rna,
        expression_unit="log2tpm",
        match="tcga",
        rows="mean",
        duplicates="mean",
    )
    assert memory.patients[0] == "TCGA-AA-0000"
    assert memory.fingerprint() == files.fingerprint()
    again = load_cohort(memory.to_yaml(tmp_path / "again"))
    assert again.fingerprint() == memory.fingerprint()


def test_ids_of_bags_are_cut_as_those_of_tables() -> None:
    table = patients(12)
    table["patient_id"] = [f"TCGA-AA-{place:04}" for place in range(12)]
    given = {f"{one}-01A": bag for one, bag in bags(table).items()}
    cohort = made(table, clinical=["age"], bags={"slides": given}, match="tcga")
    owners = {one[:12] for one in given}
    assert set(cohort.modalities["slides"].patients) == owners & set(cohort.patients)


def test_bags_of_arrays_and_of_files_are_one(tmp_path: Path) -> None:
    table = patients(12)
    own = bags(table)
    rows, files = [], dict(own)
    (tmp_path / "features").mkdir()
    for patient, given in own.items():
        several = isinstance(given, list)
        for number, array in enumerate(given if several else [given], start=1):
            slide = f"{patient}_{number}" if several else patient
            np.save(tmp_path / "features" / f"{slide}.npy", array)
            rows.append({"slide_id": slide, "patient_id": patient})
        paths = [tmp_path / "features" / f"{row['slide_id']}.npy" for row in rows[-2:]]
        files[patient] = paths if several else paths[-1]
    about = {
        "outcome": OUTCOME,
        "slides": {"table": "slides.csv", "features": "features", "encoder": "uni"},
    }
    loaded = written(tmp_path, about, patients=table, slides=pd.DataFrame(rows))
    for given in (own, files, {**files, "P003": own["P003"]}):
        memory = made(table, bags={"slides": given}, encoder="uni")
        assert memory.fingerprint() == loaded.fingerprint()


def test_hancock_in_memory_is_hancock(tmp_path: Path, shared_data: Path) -> None:
    file = hancock(tmp_path / "hancock", source=shared_data / "hancock")
    folder = file.parent
    ids = {"patient_id": str}
    table = pd.read_csv(folder / "patients.csv", dtype=ids)
    blood = pd.read_csv(folder / "blood.csv", dtype=ids)
    table.to_csv(folder / "patients.csv", index=False)  # as pandas writes numbers
    blood.to_csv(folder / "blood.csv", index=False)
    files = load_cohort(file)
    store = files.modalities["slides"].store  # type: ignore[union-attr]
    slides: dict[str, dict[str, Any]] = {}
    for slide in store.slides:
        own = store.features[slide.start : slide.stop]
        slides.setdefault(slide.patient_id, {})[slide.slide_id] = own
    memory = sf.Cohort.from_frames(
        outcome=table,
        time="days_to_last_information",
        event="survival_status",
        event_values={"deceased": 1, "living": 0},
        unit="days",
        clinical=list(files.modalities["clinical"].columns),  # type: ignore[union-attr]
        columns={**files.columns, **dict.fromkeys(blood.columns[1:], "numeric")},
        tables={"blood": blood},
        bags={"slides": slides},
        encoder="dtr256",
        folds="fold",
    )
    assert memory.fingerprint() == files.fingerprint()


def test_luad_in_memory_is_luad(tmp_path: Path, shared_data: Path) -> None:
    file = tcga_luad(tmp_path / "luad", source=shared_data / "tcga_luad")
    folder = file.parent
    table = pd.read_csv(folder / "patients.csv", dtype=str, keep_default_na=False)
    files = load_cohort(file)
    about = files.spec.clinical
    assert about is not None
    memory = sf.Cohort.from_frames(
        outcome=table,
        patient="case_id",
        time="os_days",
        event="os_event",
        unit="days",
        clinical=list(about.columns or {}),
        columns=files.columns,
        missing=about.missing,
        expression=pd.read_parquet(folder / "expression.parquet").set_index(
            "patient_id"
        ),
        expression_unit="zscore",
        bags={"slides": folder / "slides.bags"},
        folds="fold",
    )
    assert memory.fingerprint() == files.fingerprint()


def test_kinds_are_inferred_and_said() -> None:
    table = patients().assign(
        born=pd.Timestamp("1950-01-01"),
        note=[f"text {number}" for number in range(40)],
        hospital="ours",
    )
    cohort = made(table, clinical=table, groups="site")
    kinds = {name: one["kind"] for name, one in cohort.columns.items()}
    assert kinds == {
        "age": "numeric",
        "sex": "nominal",
        "asa": "numeric",
        "stage": "ordinal",
        "smoker": "nominal",
    }
    assert cohort.columns["stage"]["levels"] == LEVELS
    said = messages(cohort)
    assert (
        "kinds inferred: numeric age, asa; nominal sex, smoker; ordinal stage" in said
    )
    assert "taken as numbers: asa (1, 2, 3, 4)" in said
    for left_out in (
        "born (dates",
        "note (40 different",
        "hospital (one value",
        "site (a group",
    ):
        assert left_out in said
    note = cohort.summary().set_index("modality").loc["clinical", "note"]
    assert "kinds inferred: numeric age, asa" in note


def test_a_declaration_wins() -> None:
    table = patients()
    levels = ["1", "2", "3", "4"]
    cohort = made(
        table,
        clinical=table[["patient_id", "asa", "smoker"]],
        columns={
            "asa": {"kind": "ordinal", "levels": levels, "label": "ASA"},
            "smoker": "nominal",
        },
    )
    assert cohort.columns["asa"]["levels"] == levels
    assert not cohort.problems


def test_a_list_names_clinical_columns_of_the_outcome() -> None:
    table = patients()
    assert list(made(table, clinical=["age", "sex"]).columns) == ["age", "sex"]
    with pytest.raises(CohortError, match="'agee' is none; did you mean 'age'"):
        made(table, clinical=["agee"])


def test_new_patients_are_declared_as_those_of_training() -> None:
    table = patients()
    cohort = made(table, clinical=table, groups="site")
    model = quick().fit(cohort)
    one = table.iloc[:1].drop(columns=["months", "dead", "site"])
    new = sf.Cohort.from_frames(clinical=one, columns=cohort.columns)
    assert new.outcome is None
    assert model.predict(new).log_risk == pytest.approx(
        model.predict(cohort).log_risk[:1]
    )


def test_columns_of_follow_up_are_kept_and_refused_as_inputs() -> None:
    table = patients().assign(recurrences=np.arange(40) % 3)
    cohort = made(table, clinical=["age", "recurrences"], followup=["recurrences"])
    assert cohort.columns["recurrences"]["known"] == "followup"
    assert "known only during follow-up" in messages(cohort)


def test_groups_and_folds_may_be_series() -> None:
    table = patients()
    by_patient = table.set_index("patient_id")
    named = made(table, clinical=["age"], groups="site", folds="sex")
    series = made(
        table,
        clinical=["age"],
        groups={"site": by_patient["site"]},
        folds=by_patient["sex"].to_dict(),
    )
    assert series.fingerprint() == named.fingerprint()


def test_an_index_may_hold_the_ids() -> None:
    table = patients()
    by_patient = table.set_index("patient_id")
    column = made(table, clinical=["age"])
    assert made(by_patient, clinical=["age"]).fingerprint() == column.fingerprint()
    other = table.rename(columns={"patient_id": "case"})
    assert (
        made(other, patient="case", clinical=["age"]).fingerprint()
        == column.fingerprint()
    )


def refuse(match: str, error: type[Exception] = CohortError, **given: Any) -> None:
    with pytest.raises(error, match=match):
        made(**{"table": patients(), **given})


def test_one_text_is_one_name() -> None:
    table = patients()
    cohort = made(table, clinical=table[["patient_id", "asa"]], exclude="P001")
    assert len(cohort) == len(table) - 1
    sexes = table.assign(sex=table["sex"].map({"f": "n", "m": "q"}).fillna("n"))
    known = made(sexes, clinical=sexes[["patient_id", "sex"]], missing="unknown")
    assert known.modalities["clinical"].missing_share() == 0


def test_numbers_of_which_one_is_mistyped_are_refused() -> None:
    table = patients()
    ages = table["age"].astype(object)
    ages.iloc[3] = "6O.1"
    clinical = table[["patient_id"]].assign(age=ages)
    refuse("expected a number, got '6O.1'", clinical=clinical)


def test_odd_bags_are_refused() -> None:
    table = patients()
    whole = bags(table)
    masked = np.ma.masked_array(np.ones((3, 4)), mask=np.eye(3, 4, dtype=bool))
    first = table["patient_id"].iloc[1]
    refuse("3 masked values", bags={"slides": {**whole, first: masked}})
    refuse("bags: expected a mapping", bags=np.ones((3, 4)))
    refuse("mpp: expected µm per px above 0, got nan", bags={"s": whole}, mpp=np.nan)
    refuse("encoder: expected a name, got 3", bags={"s": whole}, encoder=3)


def test_leaks_are_refused() -> None:
    table = patients()
    refuse(
        "copy_of.*outcome under another name",
        LeakageError,
        clinical=table.assign(
            copy_of=table["months"] * 30.4,
        ),
    )
    refuse(
        "'OS_days': called as outcomes are", clinical=table.assign(OS_days=table["age"])
    )


def test_hints_are_arguments() -> None:
    table, age = patients(), {"clinical": ["age", "sex"]}
    words = table.assign(dead=np.where(table["dead"] == 1, "gone", "here"))
    refuse(r"event_values=\{'gone': '0 or 1'", table=words, **age)
    values = {"gone": 1, "here": 0}
    assert made(words, event_values=values, **age).events == table["dead"].sum()
    lacking = table.assign(months=table["months"].where(table["age"] > 50))
    refuse("say exclude_invalid=True to leave", table=lacking, **age)
    assert len(made(lacking, exclude_invalid=True, **age)) == lacking["months"].count()
    wrong = table.astype({"age": object})
    wrong.loc[0, "age"] = "unknown"
    given = {**age, "columns": {"age": "numeric"}}
    refuse(r"add it to missing=\['', .*'NULL', 'unknown'\]", table=wrong, **given)
    missing = ["", "unknown"]
    assert made(wrong, missing=missing, **given).modalities["clinical"].features == 2


def test_the_ids_are_no_clinical_column() -> None:
    refuse("'patient_id' is the column of patient ids", clinical=["patient_id", "age"])


def test_what_is_no_table_is_refused() -> None:
    table = patients()
    refuse("clinical: expected a table .*got str", clinical="clinical.csv")
    refuse("clinical: expected a table .*got Series", clinical=table["age"])
    refuse("whose row is whose", clinical=table.drop(columns="patient_id"))
    filtered = table[table["age"] > 60].drop(columns="patient_id")
    refuse("whose row is whose", clinical=filtered)
    refuse(
        "column names appear twice: 'age'", clinical=table[["patient_id", "age", "age"]]
    )
    refuse(
        "patient 'P000': expected one value in a cell, got list",
        InputError,
        clinical=(table.assign(nested=[[1]] * 40)),
    )
    refuse(
        "row 1: 'patient_id' is empty",
        InputError,
        clinical=table.assign(
            patient_id=[None, *table["patient_id"][1:]],
        ),
    )
    refuse(
        "2 rows .data rows 1, 41. have this id", clinical=pd.concat([table, table[:1]])
    )


def test_what_must_be_said_is_asked_for() -> None:
    table = patients()
    refuse("`unit` must be said", clinical=["age"], unit=None)
    refuse("exactly one of `event: COLUMN`", ConfigError, clinical=["age"], event=None)
    refuse("expression_unit=", expression=expression(table))
    refuse("no modality", ConfigError)
    with pytest.raises(CohortError, match="columns of `outcome`, which was not given"):
        sf.Cohort.from_frames(clinical=table, time="months")


def test_names_that_are_none_are_refused() -> None:
    table = patients()
    refuse(
        "column 'agee'.*did you mean 'age'",
        clinical=["age"],
        columns={"agee": "numeric"},
    )
    refuse(
        "has the column 'sitee'; did you mean 'site'", clinical=["age"], groups="sitee"
    )
    refuse(
        "got 'numerical'", ConfigError, clinical=["age"], columns={"age": "numerical"}
    )
    refuse("'slides': the name of another", tables={"slides": table})
    refuse(
        "letters, digits and _",
        ConfigError,
        tables={"a b": table[["patient_id", "age"]]},
    )


def test_bags_that_do_not_fit_are_refused_by_patient() -> None:
    table = patients(12)
    own = bags(table)
    holed = own["P003"].copy()
    holed[1, 2] = np.nan
    refuse(
        "(?s)patient P003: .*NaN or infinite.*patient P005: .*no such file",
        table=table,
        bags={"slides": {**own, "P003": holed, "P005": "/nowhere/x.h5"}},
    )
    narrow = {**own, "P004": own["P004"][:, :3]}
    refuse(
        "slide P004 of patient P004.*3 features per tile",
        table=table,
        bags={"slides": narrow},
    )
    counts = {**own, "P004": np.ones((2, 4), int)}
    refuse(
        "'P004': expected an array .tiles, features.",
        table=table,
        bags={"slides": counts},
    )
    refuse("expected a dict", bags={"slides": 3})


def test_temporary_stores_go_with_their_cohort(tmp_path: Path) -> None:
    table = patients(12)
    cohort = made(table, bags={"slides": bags(table)})
    subset = cohort.subset(cohort.patients[:4])
    store = cohort.modalities["slides"].store  # type: ignore[union-attr]
    folder = store.path.parent
    again = pickle.loads(pickle.dumps(cohort))  # noqa: S301 - as it travels to a worker
    assert again.fingerprint() == cohort.fingerprint()
    tiles = again.modalities["slides"].store.features
    np.testing.assert_array_equal(tiles, store.features)
    del cohort, store, again, tiles
    gc.collect()
    assert folder.is_dir()
    del subset
    gc.collect()
    assert not folder.exists()


def test_a_cohort_in_memory_is_cross_validated_explained_and_saved(
    tmp_path: Path,
) -> None:
    table = patients(24)
    cohort = made(
        table,
        clinical=["age", "sex"],
        bags={"slides": bags(table)},
    )
    about: dict[str, Any] = {"folds": 2, "networks": False, "controls": False}
    result = sf.cross_validate(quick(), cohort, out=tmp_path / "run", **about)
    again = sf.cross_validate(quick(), cohort, out=tmp_path / "run", **about)
    pd.testing.assert_frame_equal(again.predictions, result.predictions)
    model = quick().fit(cohort)
    model.save(tmp_path / "model")
    risks = sf.load(tmp_path / "model").predict(cohort).log_risk
    np.testing.assert_array_equal(risks, model.predict(cohort).log_risk)
    assert len(sf.explain(model, cohort, cohort.patients[:2]).patients) == 2

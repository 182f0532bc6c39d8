from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from builders import CohortFiles, cohort_files
from survfuse._errors import CohortError
from survfuse.cohort import BagData, ExpressionData, inspect, load_cohort, pack_cohort
from survfuse.survival.curves import follow_up_median


def test_every_modality_is_loaded_and_may_be_absent(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = files.expression.drop(index=["002", "003"])
    files.slides = files.slides[files.slides["patient_id"] != "003"]
    for name in list(files.bags):
        if name.startswith("003"):
            del files.bags[name]
    cohort = load_cohort(files.write())
    assert list(cohort.modalities) == ["clinical", "expression", "slides"]
    assert [data.kind for data in cohort.modalities.values()] == [
        "clinical",
        "expression",
        "bag",
    ]
    assert cohort.present.loc["001"].tolist() == [True, True, True]
    assert cohort.present.loc["002"].tolist() == [True, False, True]
    assert cohort.present.loc["003"].tolist() == [True, False, False]
    assert cohort.problems == ()
    assert cohort.summary()["patients"].tolist() == [20, 18, 19]
    assert cohort.summary()["note"].tolist()[1] == "log2tpm, symbol"
    assert cohort.summary()["note"].tolist()[2].startswith("uni, 0.5 mpp")


def test_a_subset_keeps_only_its_patients(files: CohortFiles) -> None:
    cohort = load_cohort(files.write())
    part = cohort.subset(["005", "002"])
    assert part.patients == ("002", "005")
    assert all(data.patients == ("002", "005") for data in part.modalities.values())
    assert part.outcome is not None
    assert part.outcome.index.tolist() == ["002", "005"]
    assert part.flow[-1].patients == 2
    with pytest.raises(CohortError, match="no patient 'nobody'"):
        cohort.subset(["001", "nobody"])
    with pytest.raises(CohortError, match="named more than once: 001"):
        cohort.subset(["001", "001"])


def test_expression_rows_are_found_by_id(files: CohortFiles) -> None:
    assert files.expression is not None
    data = load_cohort(files.write()).modalities["expression"]
    assert isinstance(data, ExpressionData)
    expected = files.expression.loc[["010", "002"]].to_numpy(np.float32)
    np.testing.assert_array_equal(data.values(["010", "002"]), expected)


def test_expression_of_strangers_is_an_error(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression.index = pd.Index([f"X{i}" for i in files.expression.index])
    with pytest.raises(
        CohortError,
        match=r"expression, file rna.csv: none of its 20 patients \('X001'",
    ):
        load_cohort(files.write())


def test_counts_where_another_unit_was_declared_are_an_error(
    files: CohortFiles,
) -> None:
    assert files.expression is not None
    files.expression = (files.expression * 1000).astype(int)
    files.spec["expression"]["unit"] = "vst"
    with pytest.raises(CohortError, match=r"expression, file rna.csv: .*counts"):
        load_cohort(files.write())


def test_several_slides_make_one_bag(files: CohortFiles) -> None:
    data = load_cohort(files.write()).modalities["slides"]
    assert isinstance(data, BagData)
    bag, offsets = data.store.gather(["001"])
    expected = np.concatenate([files.bags["001_0"], files.bags["001_20"]])
    np.testing.assert_array_equal(bag, expected)
    assert offsets.tolist() == [0, len(expected)]
    assert data.tiles() == sum(len(values) for values in files.bags.values())


def test_a_slide_without_features_costs_one_slide(files: CohortFiles) -> None:
    del files.bags["001_20"]
    files.bags["999_0"] = np.ones((3, 4), np.float32)
    cohort = load_cohort(files.write())
    assert cohort.present["slides"].all()
    messages = [problem.message for problem in cohort.problems]
    assert messages == [
        "1 slide(s) without a feature file: 001_20",
        "1 feature file(s) not in the slide table, not used: 999_0",
    ]


def test_slide_ids_may_keep_the_suffix_of_the_slide(files: CohortFiles) -> None:
    files.slides["slide_id"] += ".svs"
    assert load_cohort(files.write()).present["slides"].all()


def test_no_features_at_all_is_an_error(files: CohortFiles) -> None:
    files.slides["slide_id"] = "S" + files.slides["slide_id"]
    with pytest.raises(
        CohortError,
        match=r"none of the 21 slides of the table \(S001_0",
    ):
        load_cohort(files.write())


def test_a_slide_of_two_patients_is_an_error(files: CohortFiles) -> None:
    files.slides.loc[1, "slide_id"] = "001_0"
    with pytest.raises(
        CohortError,
        match=r"patient 001, 002: slide '001_0' has 2 rows \(data rows 1, 2\)",
    ):
        load_cohort(files.write())


def test_every_broken_feature_file_is_named(files: CohortFiles) -> None:
    files.bags["003_2"] = np.full((3, 4), np.nan, np.float32)
    files.bags["005_4"] = np.full((3, 4), np.inf, np.float32)
    found = inspect(files.write())
    assert [problem.patient for problem in found.problems] == ["003", "005"]
    assert all("slide" in problem.message for problem in found.problems)


def test_one_patient_under_two_ids_is_found_and_can_be_excluded(
    files: CohortFiles,
) -> None:
    assert files.expression is not None
    files.bags["008_7"] = files.bags["003_2"]
    files.expression.loc["009"] = files.expression.loc["004"]
    found = inspect(files.write())
    assert [(p.where, p.patient) for p in found.problems] == [
        ("expression", "004, 009"),
        ("slides", "003, 008"),
    ]
    files.spec["exclude"] = ["008", "009"]
    assert len(load_cohort(files.write())) == 18


def test_packed_features_are_reused_until_a_file_changes(files: CohortFiles) -> None:
    path = files.write()
    load_cohort(path)
    stores = sorted((files.root / ".survfuse").glob("*.bags"))
    stamp = (stores[0] / "index.json").stat().st_mtime_ns
    load_cohort(path)
    touched = files.root / "features" / "001_0.npy"
    os.utime(touched, ns=(1, 1))  # another time, the same bytes
    load_cohort(path)
    assert sorted((files.root / ".survfuse").glob("*.bags")) == stores
    assert (stores[0] / "index.json").stat().st_mtime_ns == stamp
    np.save(touched, files.bags["001_0"] + 1)
    data = load_cohort(path).modalities["slides"]
    assert isinstance(data, BagData)
    assert len(list((files.root / ".survfuse").glob("*.bags"))) == 2
    np.testing.assert_array_equal(
        data.store.gather(["001"])[0][: len(files.bags["001_0"])],
        files.bags["001_0"] + 1,
    )


def test_a_packed_store_is_opened(files: CohortFiles) -> None:
    load_cohort(files.write())
    (store,) = (files.root / ".survfuse").glob("*.bags")
    files.spec["slides"] = {"packed": str(store.relative_to(files.root))}
    assert load_cohort(files.write()).present["slides"].all()
    files.spec["slides"]["encoder"] = "gigapath"
    with pytest.raises(
        CohortError,
        match=r"features are of 'uni' .* the cohort file says 'gigapath'",
    ):
        load_cohort(files.write())


def test_a_cohort_can_be_packed_ahead(files: CohortFiles) -> None:
    path = files.write()
    store = pack_cohort(path, out=files.root / "mine.bags")["slides"]
    files.spec["slides"] = {"packed": "mine.bags"}
    files.write()
    assert not (files.root / ".survfuse").exists()
    assert load_cohort(path).present["slides"].all()
    assert pack_cohort(path)["slides"].fingerprint() == store.fingerprint()
    del files.spec["slides"]
    with pytest.raises(CohortError, match="nothing to pack"):
        pack_cohort(files.write())


def test_packing_ahead_tells_what_is_wrong(files: CohortFiles) -> None:
    files.slides.loc[1, "slide_id"] = "001_0"
    with pytest.raises(CohortError, match="slide '001_0' has 2 rows"):
        pack_cohort(files.write(), out=files.root / "mine.bags")


def test_the_fingerprint_sees_contents_not_places_or_row_order(tmp_path: Path) -> None:
    def fingerprint(name: str, change: str = "") -> str:
        (tmp_path / name).mkdir()
        files = cohort_files(tmp_path / name)
        assert files.expression is not None
        if change == "order":
            files.patients = files.patients.iloc[::-1]
            files.expression = files.expression.iloc[::-1]
            files.slides = files.slides.iloc[::-1]
        if change == "age":
            files.set("003", "age", 41.5)
        if change == "gene":
            files.expression.iloc[2, 3] += 0.5
        if change == "time":
            files.set("003", "os_days", 77)
        if change == "tile":
            files.bags["003_2"][0, 0] += 1
        return load_cohort(files.write()).fingerprint()

    first = fingerprint("a")
    assert fingerprint("b", "order") == first
    assert (
        len(
            {fingerprint(change, change) for change in ("age", "gene", "time", "tile")}
            | {first},
        )
        == 5
    )


def test_groups_and_folds_come_with_the_patients(clinical: CohortFiles) -> None:
    clinical.spec["groups"] = {"site": "site"}
    clinical.spec["folds"] = {"table": "patients.csv", "column": "fold"}
    cohort = load_cohort(clinical.write())
    assert cohort.groups["site"].loc["003"] == "south"
    assert cohort.folds is not None
    assert cohort.folds.loc["003"] == "1"
    clinical.set("003", "fold", "")
    with pytest.raises(
        CohortError,
        match=r"folds, file patients.csv, column 'fold', patient 003: 1 patient",
    ):
        load_cohort(clinical.write())


def test_a_broken_cohort_file_is_a_problem_too(tmp_path: Path) -> None:
    found = inspect(tmp_path / "cohort.yaml")
    assert not found.ok
    assert "no such file" in found.problems[0].message


def test_follow_up_is_told_for_each_pattern(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = files.expression.drop(
        index=["001", "003", "005"],
    )  # all three censored
    cohort = load_cohort(files.write())
    told = cohort.patterns().set_index("modalities")["follow_up_median"]
    days = files.patients.set_index("patient_id")["os_days"]
    assert told["clinical + slides"] == sorted(days[["001", "003", "005"]])[1]
    assert np.isnan(cohort.follow_up(["002", "004"])), (
        "both had the event: nobody's follow-up ended"
    )
    assert np.isnan(cohort.follow_up([]))
    del files.spec["outcome"]
    without = load_cohort(files.write(), need_outcome=False)
    assert without.patterns()["follow_up_median"].isna().all()


def test_inspection_gives_tables(files: CohortFiles) -> None:
    found = inspect(files.write())
    assert found.ok
    assert found.problems == ()
    assert found.cohort is not None
    outcome = found.cohort.outcome
    assert found.tables["patterns"].to_dict("list") == {
        "modalities": ["clinical + expression + slides"],
        "patients": [20],
        "events": [10],
        "follow_up_median": [follow_up_median(outcome["time"], outcome["event"])],
    }
    assert found.tables["flow"]["patients"].tolist() == [20, 20]


def test_followup_columns_are_refused_by_inspection_unless_allowed(
    clinical: CohortFiles,
) -> None:
    clinical.patients["doses"] = range(20)
    columns = clinical.spec["clinical"]["columns"]
    columns["doses"] = {"kind": "numeric", "known": "followup"}
    path = clinical.write()
    (problem,) = inspect(path).problems
    assert (problem.severity, problem.where, problem.column) == (
        "error",
        "clinical",
        "doses",
    )
    assert "`use: false`" in problem.hint
    assert "model.inputs.allow_followup=[doses]" in problem.hint
    assert "--allow-followup doses" in problem.hint
    assert inspect(path, allow_followup=["doses"]).problems == ()
    assert [p.severity for p in load_cohort(path).problems] == ["warning"], (
        "the fit decides"
    )
    columns["doses"]["use"] = False
    assert inspect(clinical.write()).problems == ()


def test_a_column_cannot_be_baseline_in_one_section_and_followup_in_another(
    clinical: CohortFiles,
) -> None:
    clinical.patients["doses"] = range(20)
    clinical.spec["clinical"]["columns"]["doses"] = {
        "kind": "numeric",
        "known": "followup",
        "use": False,
    }
    clinical.spec["modalities"] = {
        "more": {"table": "patients.csv", "columns": ["doses"]},
    }
    with pytest.raises(
        CohortError,
        match=r"more, .*'doses': clinical declares this column .*followup",
    ):
        load_cohort(clinical.write())


def test_fold_and_group_numbers_need_no_decimals(
    clinical: CohortFiles,
) -> None:
    clinical.patients["fold"] = ["1.0", "2"] * 10
    clinical.patients["site"] = ["1", "1.0", "NA", "2.0"] * 5
    clinical.spec |= {
        "folds": {"table": "patients.csv", "column": "fold"},
        "groups": {"site": "site"},
    }
    cohort = load_cohort(clinical.write())
    assert cohort.folds is not None
    assert cohort.folds.tolist() == ["1", "2"] * 10
    assert cohort.groups["site"].tolist() == ["1", "1", "", "2"] * 5
    clinical.set("004", "fold", "NA")
    with pytest.raises(
        CohortError,
        match=r"column 'fold', patient 004: 1 patient\(s\) have no fold",
    ):
        load_cohort(clinical.write())


def test_groups_lost_to_a_trifle_of_the_ids_are_told(clinical: CohortFiles) -> None:
    root = clinical.write().parent
    sites = clinical.patients[["patient_id", "site"]]
    clinical.spec["groups"] = {"site": {"table": "sites.csv", "column": "site"}}
    sites.assign(patient_id=sites["patient_id"].str.lstrip("0")).to_csv(
        root / "sites.csv",
        index=False,
    )
    with pytest.raises(
        CohortError,
        match=r"no patient has a group \('001' stands there as '1': lead",
    ):
        load_cohort(clinical.write())
    sites.replace({"patient_id": {"003": "3"}}).to_csv(root / "sites.csv", index=False)
    [problem] = load_cohort(clinical.write()).problems
    assert (problem.severity, problem.patient) == ("warning", "003")
    assert problem.hint.startswith("'003' stands there as '3'")
    sites.assign(site="").to_csv(root / "sites.csv", index=False)
    assert [p.message for p in load_cohort(clinical.write()).problems] == [
        "no patient has a group",
    ]


def test_endpoints_of_a_public_table(shared_data: Path, tmp_path: Path) -> None:
    table = shared_data / "tcga_luad" / "patients.csv"
    outcomes, columns = {}, {}
    for name in ("os", "pfi"):
        columns[name] = [f"{name}_days", f"{name}_event"]
        time, event = columns[name]
        outcome = {"table": str(table), "patient": "case_id", "unit": "days"}
        outcomes[name] = {**outcome, "time": time, "event": event}
    inputs = {"table": str(table), "columns": {"age": "numeric"}}
    spec = {"name": "luad", "match": "tcga", "outcomes": outcomes, "clinical": inputs}
    path = tmp_path / "cohort.yaml"
    path.write_text(yaml.safe_dump(spec))
    raw = pd.read_csv(table).set_index("case_id")
    for name, (time, event) in columns.items():
        cohort = load_cohort(path, endpoint=name)
        own = raw.loc[list(cohort.patients)]
        assert cohort.endpoint == name
        assert cohort.events == int(own[event].sum())
        assert cohort.outcome is not None
        assert cohort.outcome["time"].sum() == own[time].sum()
    inputs["columns"] = {"age": "numeric", "pfi_days": "numeric"}
    path.write_text(yaml.safe_dump(spec))
    with pytest.raises(CohortError, match="'pfi_days': this column is the outcome"):
        load_cohort(path, endpoint="os")

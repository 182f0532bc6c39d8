from __future__ import annotations

import json

import pytest

from builders import CohortFiles
from survfuse._errors import ConfigError
from survfuse.cohort import inspect, load_cohort
from survfuse.cohort.labels import Labels
from survfuse.cohort.spec import ColumnSpec
from survfuse.results.schema import CohortRecord, validate


def labelled(files: CohortFiles) -> CohortFiles:
    columns = files.spec["clinical"]["columns"]
    columns["age"] = {"kind": "numeric", "label": "Age (years)"}
    columns["stage"]["label"] = "Tumour stage"
    columns["stage"]["labels"] = {
        files.spec["clinical"]["columns"]["stage"]["levels"][0]: "low"
    }
    files.spec["clinical"]["label"] = "Clinical variables"
    return files


def test_words_of_the_file_replace_names_and_all_else_keeps_its_own(
    clinical: CohortFiles,
) -> None:
    labels = Labels.of(load_cohort(labelled(clinical).write()).spec)
    first = clinical.spec["clinical"]["columns"]["stage"]["levels"][0]
    assert labels.modality("clinical") == "Clinical variables"
    assert labels.column("clinical", "age") == "Age (years)"
    assert labels.column("clinical", "sex") == "sex"
    assert labels.value("clinical", "stage", first) == "low"
    assert labels.value("clinical", "stage", "other") == "other"
    assert labels.term("clinical*slides") == "Clinical variables × slides"
    assert labels.of_columns(["clinical"])
    assert not labels.of_columns(["slides"])


def test_words_survive_cohort_json(clinical: CohortFiles) -> None:
    labels = Labels.of(load_cohort(labelled(clinical).write()).spec)
    again = Labels.read(json.loads(json.dumps(labels.plain())))
    assert again == labels
    assert Labels.read(None).modality("slides") == "slides"
    record = {
        "name": "x",
        "endpoint": "e",
        "unit": "days",
        "patients": 1.0,
        "events": 1.0,
    }
    validate(CohortRecord, {**record, "labels": labels.plain()}, "cohort.json")


def test_a_float_code_has_the_word_of_its_whole_number() -> None:
    labels = Labels({("clinical", "sex", "1"): "female"})
    assert labels.value("clinical", "sex", "1.0") == "female"
    assert labels.cell("clinical", "sex", 1.0) == "female"
    assert (
        ColumnSpec(kind="nominal", labels={"1.0": "female"}).label_of("1") == "female"
    )


def test_words_are_no_content_of_a_cohort(clinical: CohortFiles) -> None:
    before = load_cohort(clinical.write()).fingerprint()
    assert load_cohort(labelled(clinical).write()).fingerprint() == before


def test_validate_warns_of_a_word_for_a_value_that_nobody_has(
    clinical: CohortFiles,
) -> None:
    clinical.spec["clinical"]["columns"]["sex"] = {
        "kind": "nominal",
        "labels": {"femal": "women"},
    }
    inspection = inspect(clinical.write())
    (problem,) = [one for one in inspection.problems if "labels:" in one.message]
    assert inspection.ok
    assert problem.severity == "warning"
    assert problem.column == "sex"
    assert "no patient has the value 'femal'" in problem.message
    assert not load_cohort(clinical.write()).problems


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"1": "yes", "2": "yes"}, "two values have the same word"),
        ({"1": ""}, "every value needs a word"),
        ({"1": "yes", "1.0": "no"}, "'1' and '1.0' are one number"),
        ({"1": "y" * 101}, "at most 100 characters"),
    ],
)
def test_words_that_no_table_could_show_are_refused(
    clinical: CohortFiles,
    labels: dict[str, str],
    message: str,
) -> None:
    clinical.spec["clinical"]["columns"]["sex"] = {"kind": "nominal", "labels": labels}
    with pytest.raises(ConfigError, match=message):
        load_cohort(clinical.write())


def test_a_column_is_found_without_its_modality() -> None:
    labels = Labels({("clinical", "sex"): "Sex", ("clinical", "grade", "1"): "low"})
    assert labels.of_column("sex") == "Sex"
    assert labels.of_level("grade", "1") == "low"
    assert labels.of_column("site") == "site"
    assert labels.of_level("site", "1") == "1"

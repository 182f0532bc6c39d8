from __future__ import annotations

import pandas as pd
import pytest

from builders import CohortFiles
from survfuse._errors import CohortError
from survfuse.cohort import BagData, load_cohort


def slides(files: CohortFiles) -> dict[str, str]:
    """Patients of the slides of a cohort."""
    data = load_cohort(files.write()).modalities["slides"]
    assert isinstance(data, BagData)
    return {slide.slide_id: slide.patient_id for slide in data.store.slides}


def again(files: CohortFiles, **cells: str) -> None:
    """List the first two slides once more."""
    assert files.slides is not None
    files.slides = pd.concat([files.slides, files.slides.iloc[:2].assign(**cells)])


def test_a_slide_that_is_listed_again_counts_once(files: CohortFiles) -> None:
    again(files, remark="x")
    assert len(slides(files)) == 21
    (problem,) = load_cohort(files.write()).problems
    assert problem.message.startswith(
        "2 slide(s) are listed more than once for their patient"
    )


def test_slides_of_two_patients_are_one_problem(files: CohortFiles) -> None:
    again(files, patient_id="003")
    with pytest.raises(CohortError, match="1 problem\n") as caught:
        load_cohort(files.write())
    assert (
        "slide '001_0' has 2 rows (data rows 1, 22), slide '002_1' has 2 rows (data rows 2, 23) "
        "of different patients"
    ) in str(caught.value)


def test_rows_of_a_slide_that_say_different_things_are_refused(
    files: CohortFiles,
) -> None:
    assert files.slides is not None
    files.slides["mpp"] = "0.5"
    again(files, mpp="0.25")
    with pytest.raises(CohortError, match=r"which differ \(a slide has one row"):
        load_cohort(files.write())


def test_slides_may_be_named_by_barcodes_alone(files: CohortFiles) -> None:
    assert files.slides is not None
    owners = [f"TCGA-AA-0{owner}" for owner in files.slides["patient_id"]]
    names = [f"{owner}-01Z-00-DX{place}" for place, owner in enumerate(owners)]
    files.bags = dict(zip(names, files.bags.values(), strict=True))
    normal = "TCGA-AA-0001-11A-01-TS1"
    files.bags[normal] = next(iter(files.bags.values())) + 1
    files.slides = pd.DataFrame({"file": [*names, normal]})
    files.patients["patient_id"] = owners[:20]
    assert files.expression is not None
    files.expression.index = pd.Index(owners[:20])
    files.spec["slides"] |= {"slide": "file", "patient": "file"}
    files.spec["match"] = "tcga"
    assert slides(files) == dict(zip(names, owners, strict=True))
    messages = [problem.message for problem in load_cohort(files.write()).problems]
    assert any("1 of 22 slides are of normal samples" in text for text in messages)

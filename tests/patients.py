"""Pages of patients of small models, as tests read them: made once for all."""

from __future__ import annotations

import html
import re
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from running import commander, quick, small
from small_explanations import measured_explanation
from survfuse.cohort import load_cohort
from survfuse.datasets import simulate
from survfuse.decomposition.measured_agreement import Agreement, AgreementRow
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import Explanation, explain

_FOLDER = tempfile.TemporaryDirectory(prefix="survfuse-tests-")


def plain(page: str) -> str:
    """Texts of a page, without the marks between them."""
    body = page[page.index("<body>") :]
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", body).split()))


def explained(
    root: Path, spec: dict[str, Any] | None = None, **fields: Any
) -> Explanation:
    """Explain the 24 patients whom a quick model was fitted to."""
    cohort = load_cohort(small(root / "cohort", spec=spec).write())
    return explain(quick(**fields).fit(cohort), cohort)


def ordering(explanation: Explanation, **changed: Any) -> Explanation:
    """The same with a calibration that orders patients, and other changes of what was fitted."""
    fitted = explanation.explained.fitted
    model = SurvivalFusion.from_config(fitted.config)
    calibrator = replace(fitted.calibrator, slope=1.0)  # type: ignore[call-arg]
    model.fitted = replace(fitted, **{"calibrator": calibrator, **changed})
    return explain(model, explanation.explained.cohort)


@cache
def ordered() -> Explanation:
    """Explanation of a network that orders its patients; agreement was not measured."""
    return ordering(explained(Path(_FOLDER.name)))


@cache
def measured() -> Explanation:
    """Explanation of which agreement was measured: expression does not reproduce."""
    return measured_explanation()


def painted(root: Path) -> Explanation:
    """Explanation of 8 patients with painted slides, whose tiles have places."""
    file = _painted_cohort(root, patients=8, slide_px=700, genes=20)
    cohort = load_cohort(file)
    return ordering(explain(quick(max_tiles=None).fit(cohort), cohort))


def crowded(root: Path) -> Explanation:
    """Explanation with as much on a page as there can be: 4 modalities, 15 terms, 2 slides each.

    Nothing reproduces, names are long, and the model has members.
    """
    file = _painted_cohort(root, patients=8, slides=2, slide_px=900, genes=60)
    ids = pd.read_csv(file.parent / "clinical.csv")["patient_id"]
    values = np.random.default_rng(0).normal(5, 1, (len(ids), 16))
    names = [f"some_long_name_of_a_value_of_blood_{number}" for number in range(16)]
    table = pd.DataFrame(values, columns=names)
    table.insert(0, "patient_id", ids)
    table.to_csv(file.parent / "blood.csv", index=False)
    section = "modalities: {blood: {table: blood.csv, patient: patient_id}}"
    file.write_text(f"{file.read_text()}\n{section}\n")
    cohort = load_cohort(file)
    model = quick(fusion="tensor", tensor_width=2, max_tiles=None, members=2).fit(
        cohort
    )
    explanation = explain(model, cohort)
    about = [("term", "", str(name)) for name in explanation.terms.columns[1:]]
    about += [("genes", "expression", ""), ("tiles", "slides", "")]
    about += [("prediction", "", "log-risk")]
    rows = tuple(AgreementRow(*names, 0.1, 0.1, 0.1, 4) for names in about)
    agreement = Agreement(rows, patients=8, half=4.0, splits=4)
    return ordering(explanation, agreement=agreement)


def _painted_cohort(root: Path, **how: Any) -> Path:
    """Paint slides and extract their features; the cohort file."""
    file = root / "cohort" / "cohort.yaml"
    simulate(file.parent, event_rate=0.6, images=True, **how)
    with pytest.MonkeyPatch.context() as patch:
        run = commander(patch, Silent())  # type: ignore[arg-type]
        assert run("extract", file).code == 0
    return file


class Silent:
    """Stands for `capsys`, which a fixture of a module cannot have."""

    out = err = ""

    def readouterr(self) -> Silent:
        return self

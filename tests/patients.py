"""Pages of patients of small models, as tests read them: made once for all."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from running import commander, quick, small
from small_explanations import measured_explanation, small_explanation
from survfuse.cohort import load_cohort
from survfuse.datasets import simulate
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import Explanation, explain


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
    """Explanation whose calibration orders the patients; agreement was not measured."""
    return ordering(small_explanation())


@cache
def measured() -> Explanation:
    """Explanation of which agreement was measured: expression does not reproduce."""
    return measured_explanation()


def painted(root: Path) -> Explanation:
    """Explanation of 8 patients with painted slides, whose tiles have places."""
    file = root / "cohort" / "cohort.yaml"
    simulate(
        file.parent, patients=8, event_rate=0.6, images=True, slide_px=700, genes=20
    )
    with pytest.MonkeyPatch.context() as patch:
        run = commander(patch, Silent())  # type: ignore[arg-type]
        assert run("extract", file).code == 0
    cohort = load_cohort(file)
    return ordering(explain(quick(max_tiles=None).fit(cohort), cohort))


class Silent:
    """Stands for `capsys`, which a fixture of a module cannot have."""

    out = err = ""

    def readouterr(self) -> Silent:
        return self

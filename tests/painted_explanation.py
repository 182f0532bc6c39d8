"""A model of small painted slides whose features were extracted, and its explanation."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest

from running import commander, quick
from survfuse.cohort import Cohort, load_cohort
from survfuse.datasets import simulate
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import Explanation, explain

_FOLDER = tempfile.TemporaryDirectory(prefix="survfuse-painted-")


class _Silent:
    """Stands for `capsys`, which is there in a test only."""

    def readouterr(self) -> _Silent:
        return self

    out = err = ""


def extracted(cohort_file: Path, *words: str, code: int = 0) -> Path:
    """Extract the features of a cohort's slides; its file.

    Parameters
    ----------
    cohort_file : Path
    *words : str
        Further words of the command.
    code : int
        With which the command must end.
    """
    with pytest.MonkeyPatch.context() as patch:
        run = commander(patch, _Silent())  # type: ignore[arg-type]
        assert run("extract", cohort_file, *words).code == code
    return cohort_file


@cache
def painted_cohort_file() -> Path:
    """8 patients with slides of 0.5 and 0.25 µm/px; encoder `stain_texture`."""
    path = Path(_FOLDER.name) / "cohort"
    simulate(path, patients=8, event_rate=0.6, images=True, slide_px=700, genes=20)
    return extracted(path / "cohort.yaml")


@cache
def painted_model() -> SurvivalFusion:
    return quick(max_tiles=None).fit(painted_cohort())


@cache
def painted_cohort() -> Cohort:
    return load_cohort(painted_cohort_file())


@cache
def painted_explanation() -> Explanation:
    """Explanation of everyone."""
    return explain(painted_model(), painted_cohort())


@cache
def painted_bundle() -> Path:
    return painted_model().save(Path(_FOLDER.name) / "bundle")

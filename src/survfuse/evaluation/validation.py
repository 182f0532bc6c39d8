"""Look at a cohort before it is used: problems, tables, and the numbered checks of its data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd

from survfuse._errors import InputError
from survfuse.cohort import Cohort, Inspection, inspect
from survfuse.cohort.transforms import check_followup
from survfuse.cohort.validate import inspect_cohort
from survfuse.config import FitConfig
from survfuse.evaluation.checks import run_data_checks


def validate(
    cohort: Cohort | Path | str,
    *,
    need_outcome: bool = True,
    allow_followup: Collection[str] = (),
    verify: bool = False,
    priors: Collection[Path | str] = (),
) -> Inspection:
    """Collect every problem and doubt of a cohort, as ``survfuse validate`` does.

    Parameters
    ----------
    cohort : Cohort or path
        A cohort in memory, or its file.
    need_outcome : bool
        Whether a file without an outcome is wrong.
    allow_followup : collection of str
        Inputs that leak and are to be used all the same, by name.
    verify : bool
        Whether to hash every file of features again; of a cohort file alone.
    priors : collection of path or str
        Besides those of the cohort file.

    Returns
    -------
    Inspection
        Its `tables` have `checks` too (`id, name, severity, status, evidence, advice, page`).

    Raises
    ------
    InputError
        For something that is neither, and for `verify` or `priors` with a cohort in memory.
    ConfigError
        When `allow_followup` names what no input is called.
    """
    if isinstance(cohort, Cohort):
        if verify or priors:
            raise InputError(
                "validate: verify and priors are for cohort files; load_cohort(path, priors=…) and "
                "Cohort.with_prior give a cohort priors",
            )
        inspection = inspect_cohort(cohort, allow_followup)
    elif isinstance(cohort, (str, Path)):
        inspection = inspect(
            cohort,
            need_outcome=need_outcome,
            allow_followup=allow_followup,
            verify=verify,
            priors=priors,
        )
    else:
        raise InputError(
            "validate: expected a Cohort or the path of a cohort file, got "
            f"{type(cohort).__name__}",
        )
    if inspection.cohort is None:
        return inspection
    config = FitConfig.of(allow_followup=tuple(allow_followup))
    check_followup(inspection.cohort, config)
    checks = pd.DataFrame(run_data_checks(inspection.cohort, config))
    return replace(inspection, tables={**inspection.tables, "checks": checks})

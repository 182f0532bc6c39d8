"""The splits of a cross-validation: from a file, by site, or drawn."""

from __future__ import annotations

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.split_files import read_splits
from survfuse.cohort.splits import (
    Split,
    given_folds,
    leave_one_group_out,
    make_folds,
    splits_from_folds,
)
from survfuse.config import CrossvalConfig


def splits_of(
    cohort: Cohort,
    crossval: CrossvalConfig,
) -> tuple[tuple[Split, ...], list[str]]:
    """Splits of every repeat, and what a reader should know of them.

    A splits file comes first. Otherwise the folds that the cohort file names make the
    first repeat, unless sites decide; further repeats are drawn.

    Raises
    ------
    CohortError
        When there are too few events or sites for the folds.
    """
    if crossval.splits_file is not None:
        fixed = read_splits(crossval.splits_file, cohort)
        return fixed.splits, list(fixed.notes)
    if crossval.split == "leave_one_site_out":
        table = leave_one_group_out(cohort, crossval.site)
        left_out = table.drop_duplicates("fold").sort_values("fold")["group"]
        return splits_from_folds(table), [
            f"{crossval.site} left out in each fold: {listed(left_out, 100)}",
        ]
    sites = crossval.site if crossval.split == "whole_sites" else None
    use_given = crossval.given_folds and cohort.folds is not None and sites is None
    tables = [given_folds(cohort)] if use_given else []
    given, drawn = len(tables), crossval.repeats - len(tables)
    if drawn > 0:
        folds = make_folds(
            cohort,
            folds=crossval.folds,
            repeats=drawn,
            seed=crossval.seed,
            groups=sites,
        )
        tables.append(folds.assign(repeat=folds["repeat"] + given))
    table = pd.concat(tables, ignore_index=True)
    return splits_from_folds(
        table.sort_values(["repeat", "fold", "patient_id"], ignore_index=True),
    ), []

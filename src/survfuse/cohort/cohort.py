"""From a cohort file to a cohort: read everything, collect every problem, then judge."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from survfuse._errors import CohortError
from survfuse.cohort.assembly import assemble
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.leakage import refuse_leaks
from survfuse.cohort.prior_section import named_priors
from survfuse.cohort.problems import Problems
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import load_spec

__all__ = ["Cohort", "assemble", "load_cohort", "read_cohort"]


def load_cohort(
    path: Path | str,
    *,
    need_outcome: bool = True,
    allow_followup: Collection[str] = (),
    priors: Collection[Path | str] = (),
    exclude: Collection[str] = (),
    endpoint: str | None = None,
) -> Cohort:
    """Load a cohort from its YAML file.

    Parameters
    ----------
    path : path
        The cohort file; paths in it are relative to it.
    need_outcome : bool
        False, for prediction, lets the outcome be absent: the patients are then
        everyone who has any modality, with or without an outcome.
    allow_followup : collection of str
        Columns (or whole modalities), by name, that are inputs although they hold the outcome.
    priors : collection of path or str
        Priors by name or folder, besides those of the cohort file.
    exclude : collection of str
        Patients to leave out, besides those of the cohort file.
    endpoint : str, optional
        Name of one of the `outcomes` of the cohort file; needed where it has several.

    Returns
    -------
    Cohort
        Its doubts are in ``.problems``.

    Raises
    ------
    ConfigError
        When the cohort file itself is wrong, or no endpoint of several is chosen.
    CohortError
        Lists all errors of the data.
    LeakageError
        When the content of an input is the outcome, or a prior was learned from patients of
        the cohort.
    """
    cohort, problems = read_cohort(
        path,
        need_outcome=need_outcome,
        allow_followup=allow_followup,
        priors=priors,
        exclude=exclude,
        endpoint=endpoint,
    )
    problems.raise_errors(path)
    if cohort is None:
        raise CohortError(f"{path}: no patient can be used")
    if need_outcome:
        refuse_leaks(cohort, allow_followup, str(path))
    return cohort


def read_cohort(
    path: Path | str,
    *,
    need_outcome: bool = True,
    allow_followup: Collection[str] = (),
    refuse_followup: bool = False,
    verify: bool = False,
    priors: Collection[Path | str] = (),
    exclude: Collection[str] = (),
    endpoint: str | None = None,
) -> tuple[Cohort | None, Problems]:
    """Read a cohort as far as it goes, with every problem on the way.

    Parameters
    ----------
    path : path
    need_outcome : bool
    allow_followup : collection of str
        Columns known only during follow-up that may be inputs.
    refuse_followup : bool
        Whether any other is an error; otherwise a warning, and the fit decides.
    verify : bool
        Whether to hash every file of features, and every slide of a packed store, again.
    priors, exclude, endpoint
        As in :func:`load_cohort`.

    Returns
    -------
    cohort : Cohort or None
        None when no patient is left. It must not be used when there are errors.
    problems : Problems
        All of them.
    """
    spec = load_spec(path).choose(endpoint, required=need_outcome)
    spec = spec.with_priors(named_priors(priors))
    if exclude:
        spec = spec.model_copy(update={"exclude": (*spec.exclude, *exclude)})
    sources = Sources(
        Path(path).resolve().parent,
        Problems(),
        verify=verify,
        match=spec.match,
    )
    cohort = assemble(
        spec,
        sources,
        need_outcome=need_outcome,
        allow_followup=allow_followup,
        refuse_followup=refuse_followup,
    )
    return cohort, sources.problems

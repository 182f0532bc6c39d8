"""Load a cohort without the patients of whom a slide cannot be read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from survfuse._errors import CohortError, FeatureFileError
from survfuse.cohort.cohort import Cohort, load_cohort
from survfuse.cohort.problems import Place, Problems
from survfuse.cohort.slide_files import match_files
from survfuse.cohort.slide_table import of_patients, refused_files
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import PatientColumn, load_spec
from survfuse.readers.bags import BagStore


def load_undamaged(
    path: Path | str,
    *,
    allow_followup: Collection[str] = (),
) -> tuple[Cohort, dict[str, str]]:
    """Load a cohort for prediction; a slide that cannot be read costs its patient alone.

    Parameters
    ----------
    path : path
        The cohort file.
    allow_followup : collection of str
        As in :func:`survfuse.cohort.load_cohort`.

    Returns
    -------
    cohort : Cohort
    damaged : dict of patient to str
        Who is left out, and what is wrong with a slide of theirs.

    Raises
    ------
    ConfigError, CohortError
        As :func:`survfuse.cohort.load_cohort`, for all other problems.
    """
    damaged: dict[str, str] = {}
    try:
        cohort = load_cohort(path, need_outcome=False, allow_followup=allow_followup)
    except CohortError:
        damaged = _damaged(path)
        if not damaged:
            raise
        cohort = load_cohort(
            path,
            need_outcome=False,
            allow_followup=allow_followup,
            exclude=damaged,
        )
    return cohort, damaged


def _damaged(path: Path | str) -> dict[str, str]:
    spec = load_spec(path)
    sources = Sources(Path(path).resolve().parent, Problems(), match=spec.match)
    damaged: dict[str, str] = {}
    for name, section in spec.bag_sections().items():
        if section.packed is not None:
            rule, place = sources.rule(section.patient), sources.problems.at(name)
            reasons = _damaged_in(sources.path(section.packed), rule, place)
        else:
            reasons = {}
            files = match_files(name, section, sources)
            for (slide, patient, _), reason in refused_files(files, section).items():
                reasons[patient] = f"slide {slide!r} of patient {patient!r}: {reason}"
        damaged |= reasons
    return {one: why for one, why in damaged.items() if one not in spec.exclude}


def _damaged_in(folder: Path, rule: PatientColumn, place: Place) -> dict[str, str]:
    """Patients of a packed store whose tiles are not those that were packed."""
    damaged: dict[str, str] = {}
    try:
        packed = BagStore.open(folder)
    except FeatureFileError:  # no single patient is at fault
        return damaged
    store = of_patients(packed, rule, place) or packed
    for patient in store.patients:
        try:
            store.verify((patient,))
        except FeatureFileError as error:
            damaged[patient] = str(error)
    return damaged

"""TRIDENT: a job folder with features of slides, beside a table of outcomes."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import ConfigError, listed
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.layout import files_below
from survfuse.drafts.formats.outcome_table import draft_with_features
from survfuse.drafts.given import Format, Given

_SLIDES = ("slide_id", "wsi", "slide")


def draft_trident(given: Given) -> Draft:
    """Draft a cohort file from a job folder of TRIDENT and a table of outcomes.

    Raises
    ------
    ConfigError
        When the table was not named, or the job has no features or those of several encoders.
    """
    if given.features is None or given.outcome is None or given.outcome.is_dir():
        raise ConfigError(f"--format trident: expected {TRIDENT.needs}")
    folder = _features(given.features)
    title = f"By --format trident: features of {folder.parent.name}/{folder.name}."
    return draft_with_features(given, folder, _SLIDES, title)


def _features(job: Path) -> Path:
    """Return the folder ``features_<encoder>`` of a job; the job itself may be one."""
    files = files_below(job, "features_*/*.h5") or files_below(
        job, "slide_features_*/*.h5"
    )
    folders = list(dict.fromkeys(file.parent for file in files))
    if not folders:
        raise ConfigError(
            f"--format trident: {job} has no features_<encoder>/*.h5, which TRIDENT writes below "
            "--job_dir by its task feat; name the job folder by --features",
        )
    if len(folders) > 1:
        names = listed((str(folder.relative_to(job)) for folder in folders), 8)
        raise ConfigError(
            f"--format trident: {job} has features of several encoders or scales: {names}; name "
            "one of these folders by --features",
        )
    return folders[0]


TRIDENT = Format(
    name="trident",
    what="TRIDENT: a job folder with features_<encoder>/*.h5, and a table of outcomes",
    needs="--outcome TABLE --features JOB_DIR [--slides TABLE of slide_id and patient]",
    draft=draft_trident,
)

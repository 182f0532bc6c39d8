"""CLAM: a features directory, a dataset table of slides, and a table of outcomes."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.layout import folder_of_features
from survfuse.drafts.formats.outcome_table import draft_with_features
from survfuse.drafts.given import Format, Given

_SLIDES = ("slide_id",)
FOLDERS, ENDINGS = ("h5_files", "pt_files"), (".h5", ".pt")
"""Where CLAM writes features; the first have coordinates."""


def draft_clam(given: Given) -> Draft:
    """Draft a cohort file from CLAM's features, its dataset table and a table of outcomes.

    Raises
    ------
    ConfigError
        When a table or folder was not named, or the folder has no features.
    """
    if given.features is None or given.outcome is None or given.outcome.is_dir():
        raise ConfigError(f"--format clam: expected {CLAM.needs}")
    folder = _features(given.features)
    title = (
        "By --format clam: slides of the dataset table; its label is that of CLAM's task, "
        "neither input nor outcome."
    )
    return draft_with_features(given, folder, _SLIDES, title)


def _features(root: Path) -> Path:
    """Return ``h5_files`` (with coordinates) or ``pt_files``; the folder itself may be one."""
    folder = folder_of_features(root, FOLDERS, ENDINGS)
    if folder is None:
        raise ConfigError(
            f"--format clam: {root} has no h5_files/*.h5 and no pt_files/*.pt, which CLAM's "
            "extract_features_fp.py writes to --feat_dir; name that folder by --features",
        )
    return folder


CLAM = Format(
    name="clam",
    what="CLAM: h5_files and pt_files, a dataset csv (case_id, slide_id, label), and outcomes",
    needs="--outcome TABLE --features FEAT_DIR [--slides DATASET_CSV of case_id, slide_id, label]",
    draft=draft_clam,
)

"""CLAM: a features directory, a dataset table of slides, and a table of outcomes."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.layout import folder_of_features
from survfuse.drafts.formats.outcome_table import put_outcome_table, put_slides_of_patients
from survfuse.drafts.given import Format, Given
from survfuse.drafts.tables import read_given


def draft_clam(given: Given) -> Draft:
    """Draft a cohort file from CLAM's features, its dataset table and a table of outcomes.

    Raises
    ------
    ConfigError
        When a table or folder was not named, or the folder has no features.
    """
    if given.features is None or given.outcome is None or given.outcome.is_dir():
        raise ConfigError(f"--format clam: expected {_NEEDS}")
    draft = Draft(
        name=given.name,
        title=["Drafted by --format clam: h5_files or pt_files, the dataset table, outcomes."],
    )
    table = read_given(given.outcome)
    patient = put_outcome_table(draft, given, table)
    folder = _features(given.features)
    put_slides_of_patients(draft, given, table, patient, folder, "clam")
    draft.section("slides").note("CLAM's label is that of its own task: no input, no outcome")
    return draft


def _features(root: Path) -> Path:
    """Return ``h5_files`` (with coordinates) or ``pt_files``; the folder itself may be one."""
    folder = folder_of_features(root, ("h5_files", "pt_files"), (".h5", ".pt"))
    if folder is None and root.name in ("h5_files", "pt_files"):
        folder = root
    if folder is None:
        raise ConfigError(
            f"--format clam: {root} has no h5_files/*.h5 and no pt_files/*.pt, which CLAM's "
            "extract_features_fp.py writes to --feat_dir; name that folder by --features",
        )
    return folder


_NEEDS = "--outcome TABLE --features FEAT_DIR [--slides DATASET_CSV of case_id, slide_id, label]"
CLAM = Format(
    name="clam",
    what="CLAM: h5_files and pt_files, a dataset csv (case_id, slide_id, label), and outcomes",
    needs=_NEEDS,
    draft=draft_clam,
)

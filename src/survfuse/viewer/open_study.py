"""Open what is to be viewed: a bundle or a run, with its cohort."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import InputError
from survfuse.cohort.cohort import load_cohort
from survfuse.cohort.damaged_slides import load_undamaged
from survfuse.estimator import SurvivalFusion
from survfuse.results import Result
from survfuse.results.folder import RECORD
from survfuse.viewer.bundle_study import BundleStudy
from survfuse.viewer.run_study import RunStudy
from survfuse.viewer.study import Study

BUNDLE = "bundle.json"


def open_study(
    source: Path,
    cohort: Path,
    reference: Path | None = None,
) -> tuple[Study, dict[str, str]]:
    """Read a bundle or a run, and its cohort.

    Parameters
    ----------
    source : path
        Folder that `train` or `crossval` wrote.
    cohort : path
        Cohort file.
    reference : path, optional
        Cohort file of the patients to compare with, where a bundle does not hold what its model
        reads of its training patients.

    Returns
    -------
    study : Study
    damaged : dict of patient to str
        Who is left out because a slide cannot be read.

    Raises
    ------
    InputError
        When the folder is neither, or bundle, run or cohort cannot be read.
    """
    if (source / BUNDLE).is_file():
        model = SurvivalFusion.load(source)
        allowed = model.config.inputs.allow_followup
        data, damaged = load_undamaged(cohort, allow_followup=allowed)
        compared = None
        if reference is not None:
            compared = load_cohort(
                reference, need_outcome=False, allow_followup=allowed
            )
        return BundleStudy(model, data, source, compared), damaged
    if (source / RECORD).is_file():
        result = Result.read(source)
        data = load_cohort(
            cohort,
            need_outcome=False,
            endpoint=result.record.get("endpoint"),
        )
        if not set(data.patients).intersection(result.predictions["patient_id"]):
            raise InputError(
                f"{source}: none of its patients is in {cohort}; give the cohort of the run",
            )
        return RunStudy(result, data, source), {}
    raise InputError(
        f"{source}: expected the folder of a bundle ({BUNDLE}, of `survfuse train`) or of a run "
        f"({RECORD}, of `survfuse crossval`), found neither",
    )

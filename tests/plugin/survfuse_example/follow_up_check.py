"""A check of another package: is the longest follow-up of some use?"""

from __future__ import annotations

import numpy as np

from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import Evidence, Verdict, doubt, ok


@check("EXA001", "Somebody is followed for longer than the median time.", "warning")
def follow_up_is_long(evidence: Evidence) -> Verdict:
    """Compare the longest time with the median; reads the cohort alone, so it needs nothing."""
    times = evidence.cohort.outcome["time"].dropna().to_numpy()
    ratio = times.max() / np.median(times)
    if ratio < 2:
        return doubt(
            f"the longest time is {ratio:.1f} medians",
            "Wait for more follow-up.",
        )
    return ok(f"the longest time is {ratio:.1f} medians")

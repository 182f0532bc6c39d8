"""A check: is somebody followed for longer than most?"""

import numpy as np

from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import Evidence, Verdict, doubt, ok


@check(
    "EXA001",
    "Somebody is followed for longer than the median time.",
    "warning",
    page="https://example.org/EXA001",
)
def follow_up_is_long(evidence: Evidence) -> Verdict:
    """Compare the longest time with the median."""
    times = evidence.outcome["time"].to_numpy(float)
    text = f"the longest time is {times.max() / np.median(times):.1f} medians"
    if times.max() < 2 * np.median(times):
        return doubt(text, "Wait for more follow-up.")
    return ok(text)

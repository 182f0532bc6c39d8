from __future__ import annotations

import pytest

from survfuse.survival._penalty_path import gains_along

GAINS = {64.0: 1.0, 32.0: 3.0, 16.0: 2.0, 8.0: 4.0, 4.0: 4.0, 2.0: 3.0, 1.0: 9.0}


@pytest.mark.parametrize(
    ("patience", "tried"),
    [(None, 7), (1, 3), (2, 6), (3, 7)],  # an equal one is no better
)
def test_smaller_penalties_are_left_when_patience_runs_out(
    patience: int | None,
    tried: int,
) -> None:
    calls: list[float] = []

    def gain(penalty: float) -> float:
        calls.append(penalty)
        return GAINS[penalty]

    assert gains_along(GAINS, gain, patience).tolist() == list(GAINS.values())[:tried]
    assert calls == list(GAINS)[:tried]

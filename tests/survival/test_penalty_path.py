from __future__ import annotations

import pytest

from survfuse.survival._penalty_path import worths

WORTH = {64.0: 1.0, 32.0: 3.0, 16.0: 2.0, 8.0: 4.0, 4.0: 4.0, 2.0: 3.0, 1.0: 9.0}


@pytest.mark.parametrize(
    ("patience", "tried"),
    [(None, 7), (1, 3), (2, 6), (3, 7)],  # an equal one is no better
)
def test_smaller_penalties_are_left_when_patience_runs_out(
    patience: int | None,
    tried: int,
) -> None:
    asked: list[float] = []

    def told(penalty: float) -> float:
        asked.append(penalty)
        return WORTH[penalty]

    assert worths(WORTH, told, patience).tolist() == list(WORTH.values())[:tried]
    assert asked == list(WORTH)[:tried]

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from running import loaded, quick, small
from survfuse.training import Hook, Run
from survfuse.training.loop import flushed


def tiny() -> float:
    """Multiply to a number that float32 holds as a subnormal."""
    return float(torch.tensor([1e-38]).mul_(1e-2))


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("before", [False, True])
def test_subnormals_are_zero_within_and_nothing_changes_behind(before: bool) -> None:
    torch.set_flush_denormal(before)
    with flushed():
        assert tiny() == 0
        with flushed():
            assert tiny() == 0
        assert tiny() == 0
    assert (tiny() == 0) is before


def test_an_error_within_changes_nothing_behind() -> None:
    with pytest.raises(ValueError, match="within"), flushed():
        raise ValueError("within")
    assert tiny() > 0


class Looks(Hook):
    """Looks for subnormal numbers in the middle of a step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_loss(self, run: Run, loss: torch.Tensor) -> None:
        """Multiply something tiny."""
        self.seen.append(tiny())


def test_training_flushes_them_and_leaves_the_thread_as_it_was(tmp_path: Path) -> None:
    looks = Looks()
    quick().fit(loaded(small(tmp_path)), hooks=[looks])
    assert looks.seen
    assert set(looks.seen) == {0.0}
    assert tiny() > 0

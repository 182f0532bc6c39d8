from __future__ import annotations

import pytest
import torch

from survfuse import losses


def test_the_door_shows_what_it_says():
    public = {
        name
        for name, value in vars(losses).items()
        if not name.startswith("_") and callable(value)
    }
    assert public == set(losses.__all__)


def test_a_loss_through_the_door():
    loss = losses.cox(
        torch.zeros(2),
        torch.tensor([1, 1]),
        torch.tensor([1.0, 2.0]),
        reduction="sum",
    )
    assert loss.item() == pytest.approx(0.6931472)

"""Heads: log-risks that stay finite and mean what they say."""

from __future__ import annotations

import pytest
import torch

from survfuse._errors import ConfigError
from survfuse.models.heads import HEADS


@pytest.mark.parametrize("name", HEADS)
def test_contract_of_every_head(name: str) -> None:
    head = HEADS.build(name, 5, 4)
    output = head(torch.randn(7, 5))
    assert output.shape == (7, head.outputs(4))
    log_risk = head.log_risk(output)
    assert log_risk.shape == (7,)
    log_risk.sum().backward()
    assert torch.isfinite(log_risk).all()


def test_cox_head_is_linear_with_bias() -> None:
    head = HEADS.build("cox", 5, 4)
    assert head.linear.bias is not None
    output = head(torch.randn(7, 5))
    assert torch.equal(head.log_risk(output), output[:, 0])


def test_discrete_log_risk_is_the_log_cumulative_hazard() -> None:
    logits = torch.randn(7, 4, dtype=torch.float64) * 3
    survival = (1 - torch.sigmoid(logits)).prod(1)
    log_risk = HEADS.build("discrete", 5, 4).log_risk(logits)
    torch.testing.assert_close(log_risk, torch.log(-torch.log(survival)))


@pytest.mark.parametrize("size", [-1e4, -90.0, -20.0, -19.9, 0.0, 90.0, 1e4])
def test_discrete_log_risk_and_its_gradient_are_stable(size: float) -> None:
    logits = torch.full((1, 3), size, requires_grad=True)
    log_risk = HEADS.build("discrete", 5, 3).log_risk(logits)
    log_risk.sum().backward()
    wide = torch.full((1, 3), size, dtype=torch.float64)
    expected = torch.log(torch.tensor(3.0)) + (
        size if size < -30 else torch.log(-torch.nn.functional.logsigmoid(-wide[0, 0]))
    )
    torch.testing.assert_close(
        log_risk[0].double(),
        torch.as_tensor(expected).double(),
        rtol=1e-5,
        atol=1e-5,
    )
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad > 0).all()


def test_heads_are_complete() -> None:
    assert set(HEADS) == {"cox", "discrete"}
    with pytest.raises(ConfigError, match="unknown head 'aft'"):
        HEADS["aft"]

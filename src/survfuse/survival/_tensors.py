"""Checks of the tensors that others hand to the losses; a training step is not slowed by them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from survfuse._errors import InputError, listed

P = ParamSpec("P")
R = TypeVar("R")
ORDER = "the arguments are (prediction, event, time or bin), in this order"
AXES = {
    "log_risk": ("patients",),
    "logits": ("patients", "bins"),
    "event": ("patients",),
    "time": ("patients",),
    "bin_index": ("patients",),
    "edges": ("bins",),
}
"""Axes of each argument that is checked, by its name."""


def checked(loss: Callable[P, R]) -> Callable[P, R]:
    """Make a loss that refuses malformed tensors; arguments are known by their names."""
    signature = inspect.signature(loss)

    @functools.wraps(loss)
    def checked_loss(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        tensors = {name: value for name, value in given.items() if name in AXES}
        for name, value in tensors.items():
            _check_kind(name, value)
        _check_rows({name: tensors[name] for name in tensors if name != "edges"})
        for name, value in tensors.items():
            _check_values(name, value.detach())
        return loss(*args, **kwargs)

    return checked_loss


def _check_kind(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise InputError(
            f"{name} must be a torch tensor, got {type(value).__name__}; see torch.as_tensor",
        )
    if value.ndim != len(AXES[name]):
        axes = ", ".join(AXES[name])
        raise InputError(f"{name} must be ({axes}), got shape {tuple(value.shape)}")
    if value.is_complex() or value.layout != torch.strided:
        raise InputError(
            f"{name} must hold plain real numbers, got {value.dtype}, {value.layout}",
        )
    if value.requires_grad and name not in ("log_risk", "logits"):
        raise InputError(
            f"{name} carries a gradient, which only a prediction has; hand over its .detach()",
        )


def _check_rows(tensors: dict[str, Tensor]) -> None:
    shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
    if len({len(tensor) for tensor in tensors.values()}) > 1:
        raise InputError(f"expected one row per patient in each tensor, got {shapes}")
    if 0 in next(iter(tensors.values())).shape:
        raise InputError(f"expected at least one patient, got {shapes}")
    devices = sorted({str(tensor.device) for tensor in tensors.values()})
    if len(devices) > 1:
        raise InputError(f"the tensors must lie on one device, got {listed(devices)}")


def _check_values(name: str, value: Tensor) -> None:
    if name in ("log_risk", "logits"):
        if not value.is_floating_point():
            raise InputError(
                f"{name} must be a floating-point tensor, got {value.dtype}",
            )
        _refuse(name, value, ~torch.isfinite(value), "finite")
    elif name == "event":
        if value.dtype != torch.bool and not ((value == 0) | (value == 1)).all():
            raise InputError(f"event must be bool or 0/1; {ORDER}")
    elif name == "bin_index":
        if value.is_floating_point() or value.dtype == torch.bool:
            raise InputError(
                f"{name} must be an integer tensor, such as assign_bins gives, got {value.dtype}",
            )
    else:
        _check_times(name, value)


def _check_times(name: str, value: Tensor) -> None:
    if name == "edges" and len(value) == 0:
        raise InputError(f"{name} must hold at least one edge")
    if value.dtype == torch.bool:
        raise InputError(f"{name} must be numbers, got True and False; {ORDER}")
    _refuse(name, value, ~torch.isfinite(value), "finite")
    _refuse(name, value, ~(value > 0), "> 0")
    if name == "edges" and not (value.diff() > 0).all():
        raise InputError(f"{name} must increase strictly, got {listed(value.tolist())}")


def _refuse(
    name: str,
    value: Tensor,
    bad: Tensor,
    rule: str,
) -> None:
    rows = bad.nonzero()
    if len(rows):
        row = int(rows[0, 0])
        raise InputError(
            f"{name} must be {rule}; row {row} holds {value[row].tolist()}",
        )

"""The gate of the losses: tensors are checked at the public door, so that a training step is not slowed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from survfuse._errors import InputError, listed

P = ParamSpec("P")
R = TypeVar("R")
OF_EVENTS = "event must be bool or 0/1; the arguments are (prediction, event, time or bin), in this order"


def checked(loss: Callable[P, R]) -> Callable[P, R]:
    """Make a loss that refuses malformed tensors; arguments are known by their names."""
    signature = inspect.signature(loss)

    @functools.wraps(loss)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        _check({name: value for name, value in given.items() if name in RULES})
        return loss(*args, **kwargs)

    return door


def _check(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        _check_tensor(name, value)
    rows = {name: value for name, value in given.items() if name != "edges"}
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in rows.items())
    if len({value.shape[0] for value in rows.values()}) > 1:
        raise InputError(f"expected one row per patient in each tensor, got {shapes}")
    if 0 in next(iter(rows.values())).shape:
        raise InputError(f"expected at least one patient, got {shapes}")
    devices = {str(value.device) for value in rows.values()}
    if len(devices) > 1:
        raise InputError(
            f"the tensors must lie on one device, got {listed(sorted(devices))}",
        )
    for name, value in given.items():
        RULES[name](value.detach(), name)


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise InputError(
            f"{name} must be a torch tensor, got {type(value).__name__}; see torch.as_tensor",
        )
    axes = (
        ("patients", "bins")
        if name == "logits"
        else (("bins",) if name == "edges" else ("patients",))
    )
    if value.ndim != len(axes):
        raise InputError(
            f"{name} must be ({', '.join(axes)}), got shape {tuple(value.shape)}",
        )
    if value.is_complex() or value.layout != torch.strided:
        raise InputError(
            f"{name} must hold plain real numbers, got {value.dtype}, {value.layout}",
        )
    if value.requires_grad and RULES[name] is not _prediction:
        raise InputError(
            f"{name} carries a gradient, which only a prediction has; hand over its .detach()",
        )


def _prediction(value: Tensor, name: str) -> None:
    if not value.is_floating_point():
        raise InputError(f"{name} must be a floating-point tensor, got {value.dtype}")
    _finite(value, name)


def _finite(value: Tensor, name: str) -> None:
    bad = (~torch.isfinite(value)).nonzero()
    if len(bad):
        row = int(bad[0, 0])
        raise InputError(
            f"{name} must be finite; row {row} holds {value[row].tolist()}",
        )


def _event(value: Tensor, name: str) -> None:
    if value.dtype != torch.bool and not ((value == 0) | (value == 1)).all():
        raise InputError(OF_EVENTS)


def _time(value: Tensor, name: str) -> None:
    if value.dtype == torch.bool:
        raise InputError(f"{name} must be numbers, got True and False; {OF_EVENTS}")
    _finite(value, name)
    bad = (~(value > 0)).nonzero()
    if len(bad):
        row = int(bad[0, 0])
        raise InputError(f"{name} must be > 0; row {row} holds {value[row].item():g}")


def _whole(value: Tensor, name: str) -> None:
    if value.is_floating_point() or value.dtype == torch.bool:
        raise InputError(
            f"{name} must be an integer tensor, such as assign_bins gives, got {value.dtype}",
        )


def _edges(value: Tensor, name: str) -> None:
    if len(value) == 0:
        raise InputError(f"{name} must hold at least one edge")
    _time(value, name)
    if not (value.diff() > 0).all():
        raise InputError(f"{name} must increase strictly, got {listed(value.tolist())}")


RULES: Mapping[str, Callable[[Tensor, str], None]] = {
    "log_risk": _prediction,
    "logits": _prediction,
    "event": _event,
    "time": _time,
    "bin_index": _whole,
    "edges": _edges,
}

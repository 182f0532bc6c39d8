from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from survfuse.estimators.layer_paths import embedded_along, pulled_back
from survfuse.estimators.model_parts import Path


def layers(seed: int, *sizes: int) -> list[nn.Linear]:
    torch.manual_seed(seed)
    return [nn.Linear(a, b).double() for a, b in itertools.pairwise(sizes)]


def embedded(own: list[nn.Linear], vectors: np.ndarray) -> torch.Tensor:
    hidden = torch.from_numpy(vectors)
    for layer in own:
        hidden = torch.relu(layer(hidden))
    return hidden


def path_of(seed: int, features: int, patients: int = 3, intervals: int = 5) -> Path:
    rng = np.random.default_rng(seed)
    return Path(
        rng.normal(size=features), rng.normal(size=(patients, features)), intervals
    )


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    hidden=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    intervals=st.integers(1, 7),
)
def test_slopes_add_up_to_the_whole_rise(
    seed: int, hidden: list[int], intervals: int
) -> None:
    own, path = layers(seed, 6, *hidden), path_of(seed, 6, intervals=intervals)
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=hidden[-1]))
    slopes = pulled_back(own, path, weights.expand(intervals, 3, -1))
    with torch.no_grad():
        rise = (embedded(own, path.stop) - embedded(own, path.start[None])) @ weights
    np.testing.assert_allclose(
        (slopes * (path.stop - path.start)).sum(axis=1), rise, atol=1e-10
    )


def test_middles_are_embedded_as_by_the_layers() -> None:
    own, path = layers(1, 6, 8, 4), path_of(1, 6)
    read = embedded_along(own, path)
    assert read.shape == (5, 3, 4)
    for number, at in enumerate(path.middles):
        with torch.no_grad():
            expected = embedded(own, path.vectors(at))
        torch.testing.assert_close(read[number], expected)


def test_short_intervals_give_the_mean_gradient() -> None:
    own, path = layers(2, 5, 7, 3), path_of(2, 5, patients=2, intervals=4000)
    weights = torch.ones(path.intervals, 2, 3, dtype=torch.float64)
    total = np.zeros((2, 5))
    for at in path.middles:
        vectors = torch.from_numpy(path.vectors(at)).requires_grad_()
        hidden = vectors
        for layer in own:
            hidden = torch.relu(layer(hidden))
        (gradient,) = torch.autograd.grad(hidden.sum(), vectors)
        total += gradient.numpy()
    np.testing.assert_allclose(pulled_back(own, path, weights), total / 4000, atol=2e-3)


def test_a_path_of_no_length_has_the_gradient_there() -> None:
    own = layers(3, 4, 6)
    start = np.random.default_rng(3).normal(size=4)
    path = Path(start, start[None].copy(), 2)
    vectors = torch.from_numpy(start[None]).requires_grad_()
    (gradient,) = torch.autograd.grad(torch.relu(own[0](vectors)).sum(), vectors)
    weights = torch.ones(2, 1, 6, dtype=torch.float64)
    np.testing.assert_allclose(pulled_back(own, path, weights), gradient, atol=1e-12)

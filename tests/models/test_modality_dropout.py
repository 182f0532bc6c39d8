"""Modality dropout: what is left out, how often, and that nothing of it is learned from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from math import comb, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from survfuse._types import Batch
from survfuse.models import (
    FUSIONS,
    BagConfig,
    FusionNetwork,
    NetworkConfig,
    build_network,
    network,
)
from survfuse.models.modality_dropout import drop_modalities

PATIENTS = 40_000
SIGMAS = 4.5  # one test in 150,000 would fail by chance; the seed is fixed


def everyone(*names: str, patients: int = PATIENTS) -> dict[str, Tensor]:
    return {name: torch.ones(patients, dtype=torch.bool) for name in names}


def dropped(
    present: Mapping[str, Tensor],
    rate: float,
    seed: int = 0,
) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return drop_modalities(present, rate)


def near(found: float, chance: float, patients: int = PATIENTS) -> bool:
    return abs(found - chance) <= SIGMAS * sqrt(chance * (1 - chance) / patients)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("names", ["a", "ab", "abcd"])
def test_a_modality_stays_as_often_as_the_law_says(rate: float, names: str) -> None:
    kept = dropped(everyone(*names), rate)
    for name in names:
        assert near(
            float(kept[name].double().mean()),
            1 - rate + rate ** len(names) / len(names),
        )


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_so_many_stay_as_independent_draws_leave_and_one_where_they_leave_none(
    rate: float,
) -> None:
    counts = torch.stack(list(dropped(everyone(*"abc"), rate).values())).sum(dim=0)
    for stay in range(4):
        chance = comb(3, stay) * (1 - rate) ** stay * rate ** (3 - stay)
        expected = {0: 0.0, 1: chance + rate**3}.get(stay, chance)
        assert near(float((counts == stay).double().mean()), expected)


@pytest.mark.parametrize("rate", [0.3, 0.8])
def test_the_one_that_stays_is_drawn_evenly_among_those_present(rate: float) -> None:
    present = everyone(*"abcd") | {"c": torch.zeros(PATIENTS, dtype=torch.bool)}
    kept = dropped(present, rate)
    single = torch.stack(list(kept.values())).sum(dim=0) == 1
    assert not kept["c"].any()
    for name in "abd":
        assert near(float(kept[name][single].double().mean()), 1 / 3, int(single.sum()))


def test_modalities_are_left_out_independently_of_each_other_and_of_other_patients() -> (
    None
):
    kept = dropped(everyone(*"abcdefgh"), 0.3)  # of eight, the last seldom saves one
    for one, other in itertools.pairwise(kept):
        assert near(float((kept[one] & kept[other]).double().mean()), 0.7**2)
    same = (kept["a"][:-1] & kept["a"][1:]).double().mean()
    assert abs(float(same) - 0.7**2) <= SIGMAS * sqrt(
        3 * 0.7**2 * (1 - 0.7**2) / PATIENTS,
    )


@given(
    present=st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=6),
    rate=st.floats(0, 0.999),
    seed=st.integers(0, 2**31),
)
def test_absent_stays_absent_and_one_always_stays(
    present: list[tuple[bool, bool, bool]],
    rate: float,
    seed: int,
) -> None:
    there = {
        name: torch.tensor(column)
        for name, column in zip("abc", zip(*present, strict=True), strict=True)
    }
    kept = dropped(there, rate, seed)
    assert list(kept) == list(there)
    assert not any((kept[name] & ~there[name]).any() for name in there)
    had, has = (torch.stack(list(one.values())).any(dim=0) for one in (there, kept))
    assert torch.equal(had, has)


def test_a_single_modality_is_never_left_out() -> None:
    present = {"a": torch.tensor([True, False, True])}
    assert torch.equal(dropped(present, 0.99)["a"], present["a"])


def test_the_order_of_names_changes_no_draw() -> None:
    first, second = dropped(everyone(*"abc"), 0.5), dropped(everyone(*"cab"), 0.5)
    assert all(torch.equal(first[name], second[name]) for name in "abc")


def test_a_seed_repeats_it_and_a_rate_of_0_draws_nothing() -> None:
    first, again, other = (dropped(everyone(*"ab"), 0.5, seed) for seed in (1, 1, 2))
    assert torch.equal(first["a"], again["a"])
    assert not torch.equal(first["a"], other["a"])
    before = torch.get_rng_state()
    present = everyone(*"ab", patients=3)
    kept = drop_modalities(present, 0.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(kept[name] is present[name] for name in present)


# -- in the network


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the draw keep just the modalities named."""

    def keep(*names: str) -> None:
        def draw(present: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
            assert rate == 0.5
            return {
                name: has if name in names else torch.zeros_like(has)
                for name, has in present.items()
            }

        monkeypatch.setattr(network, "drop_modalities", draw)

    return keep


@pytest.mark.parametrize("gone", ["slides", "expression", "clinical"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_is_left_out_counts_as_absent_and_gets_no_gradient(
    fusion: str,
    gone: str,
    only: Callable[..., None],
    network_of: Callable[..., FusionNetwork],
    batch_of: Callable[..., Batch],
) -> None:
    only(*({"slides", "expression", "clinical"} - {gone}))
    made = network_of(fusion, dropout=0.0, modality_dropout=0.5)
    out = made.train()(batch_of())
    absent = made.eval()(batch_of(present={gone: [False] * 5}))
    torch.testing.assert_close(out.log_risk, absent.log_risk, rtol=0, atol=0)
    out.log_risk.sum().backward()
    for name, parameter in made.named_parameters():
        if name.startswith(f"branches.{gone}."):
            assert parameter.grad is None or not parameter.grad.any(), name


@pytest.mark.parametrize("fusion", FUSIONS)
def test_it_acts_in_training_only_and_a_rate_of_0_changes_no_bit(
    fusion: str,
    network_of: Callable[..., FusionNetwork],
    batch: Batch,
) -> None:
    plain, dropping = (
        network_of(fusion, dropout=0.3, modality_dropout=rate) for rate in (0.0, 0.9)
    )

    def risks(made: FusionNetwork) -> tuple[Tensor, Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return made(batch).log_risk.detach(), torch.get_rng_state()

    (before, state), (still, same_state) = risks(plain), risks(dropping)
    assert torch.equal(before, still)
    assert torch.equal(state, same_state)
    (trained, state), (other, other_state) = (
        risks(plain.train()),
        risks(dropping.train()),
    )
    assert not torch.equal(trained, other)
    assert not torch.equal(state, other_state)


def test_a_network_of_one_modality_trains_as_without_it(batch: Batch) -> None:
    made = [
        build_network(
            NetworkConfig((BagConfig("slides", 6, 5, 4),), modality_dropout=rate),
            seed=1,
        ).train()
        for rate in (0.0, 0.9)
    ]
    risks = []
    for one in made:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            risks.append(one(batch).log_risk)
    assert torch.equal(*risks)

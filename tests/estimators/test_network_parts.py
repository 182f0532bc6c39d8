"""Networks of every fusion taken apart: sums, enumeration, purity, and what must change nothing."""

from __future__ import annotations

from typing import Any, cast

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from brute_force import agree, difference_quotient, enumerated_terms, mean_with
from survfuse._types import Batch
from survfuse.decomposition import Product, Readings, Reference, decompose
from survfuse.decomposition.readings import subsets
from survfuse.estimators.network_parts import NetworkParts
from survfuse.models import BagConfig, FusionNetwork, NetworkConfig, VectorConfig
from survfuse.models.fusion import FUSIONS
from survfuse.models.fusions.pairs import BilinearPair
from survfuse.models.network import build_network
from survfuse.models.network_terms import read_batch

SHAPES = (
    BagConfig("slides", 6, 5, 4),
    VectorConfig("expression", 7, (8, 5)),
    VectorConfig("clinical", 3),
    VectorConfig("blood", 4, (3,)),
)
EXACT = sorted(
    set(FUSIONS) - {"gated", "gated_kronecker", "coattention", "hierarchical"}
)


def network(
    seed: int, fusion: str, modalities: int = 3, **fields: Any
) -> FusionNetwork:
    config = NetworkConfig(
        modalities=SHAPES[:modalities],
        fusion=fusion,
        **{
            "rank": 4,
            "pair_width": 3,
            "residual_width": 6,
            "tensor_width": 3,
            **fields,
        },
    )
    made = build_network(config, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # zero biases hide mistakes with presence
        for parameter in made.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def patients(seed: int, count: int, modalities: int = 3, missing: float = 0.3) -> Batch:
    """Patients who lack modalities at random; the first ones have every pattern."""
    rng = np.random.default_rng(seed)
    names = [shape.name for shape in SHAPES[:modalities]]
    patterns = np.array(
        [[p >> m & 1 for m in range(modalities)] for p in range(2**modalities)]
    )
    drawn = rng.random((count, modalities)) >= missing
    drawn[: len(patterns)] = patterns[:count]
    tiles = np.where(drawn[:, 0], rng.integers(1, 6, count), 0)
    factor = rng.normal(size=(count, 1))
    vectors, present = {}, {}
    for place, shape in enumerate(SHAPES[:modalities]):
        present[shape.name] = torch.from_numpy(drawn[:, place])
        if place:
            values = rng.normal(size=(count, shape.input_dim)) + 0.7 * factor
            vectors[shape.name] = torch.from_numpy(values).float()
    bag = rng.normal(size=(tiles.sum(), 6)) + 0.7 * np.repeat(factor, tiles, axis=0)
    return Batch(
        bags={"slides": torch.from_numpy(bag).float()},
        offsets={"slides": torch.tensor([0, *tiles]).cumsum(0)},
        vectors=vectors,
        present={name: present[name] for name in names},
        time=torch.ones(count, dtype=torch.float64),
        event=torch.ones(count, dtype=torch.bool),
        patient_id=tuple(map(str, range(count))),
    )


def compared(
    parts: NetworkParts,
    modalities: int = 3,
    background: int = 30,
    count: int = 16,
) -> tuple[Batch, Readings, Reference]:
    batch = patients(1, count, modalities)
    others = read_batch(parts.networks, patients(2, background, modalities))
    reference = Reference.of(others, from_background=True)
    return batch, read_batch(parts.networks, batch), reference


@given(
    seed=st.integers(0, 2**31),
    fusion=st.sampled_from(sorted(FUSIONS)),
    modalities=st.sampled_from([1, 2, 3, 4]),
    members=st.sampled_from([1, 3]),
    head=st.sampled_from(["cox", "discrete"]),
)
@settings(deadline=None, max_examples=40)
def test_terms_add_up_to_the_log_risk(
    seed: int,
    fusion: str,
    modalities: int,
    members: int,
    head: str,
) -> None:
    """Of random networks, for every pattern of missing modalities."""
    networks = []
    for number in range(members):
        networks.append(network(seed + number, fusion, modalities, head=head, bins=3))
    parts = NetworkParts(tuple(networks), {})
    batch, readings, reference = compared(parts, modalities, 12)
    found = decompose(parts.members, readings, reference)
    with torch.no_grad():
        predicted = [one(batch).log_risk.double().numpy() for one in networks]
    total = np.sum(list(found.effects.values()), axis=0)
    # networks compute in single precision, whose steps at a risk of 7 are half a millionth
    rounding = 4 * np.finfo(np.float32).eps
    mean = np.mean(predicted, axis=0)
    np.testing.assert_allclose(total, mean, rtol=rounding, atol=1e-6)
    np.testing.assert_allclose(total, parts.log_risk(readings), rtol=0, atol=1e-10)
    alone = parts.member_log_risks(readings)
    np.testing.assert_allclose(alone, predicted, rtol=rounding, atol=1e-6)
    assert len(found.spread) == (len(found.effects) if members > 1 else 0)


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_terms_are_those_of_enumeration(fusion: str) -> None:
    """Over 30 x 30 x 30 patients; those that are sampled lie within four standard errors."""
    parts = NetworkParts((network(3, fusion),), {})
    assert parts.exact == (fusion in EXACT)
    if parts.needs_tiles:
        assert fusion == "coattention"  # below, with its tiles
        return
    _, readings, reference = compared(parts, count=8)
    found = decompose(parts.members, readings, reference)
    expected = enumerated_terms(parts.log_risk, readings, reference.background)
    if parts.exact:
        agree(dict(found.effects), expected, 1e-10)
        return
    for term, effect in expected.items():
        distance = np.abs(found.effects[term] - effect)
        assert (distance <= 4 * found.errors[term] + 1e-12).all(), term


def test_terms_of_a_fusion_that_reads_tiles_are_those_of_enumeration() -> None:
    """Of two modalities over 30 x 30 patients, drawn tiles and all."""
    shapes = SHAPES[:2]
    parts = NetworkParts((network(3, "coattention", 2),), {})
    batch, readings, reference = compared(parts, 2, count=6)
    found = decompose(parts.members, readings, reference)
    background = reference.background
    everyone = np.arange(len(background))
    rows = np.repeat(np.arange(6), len(background))
    means = {(): np.zeros(6) + found.effects[()]}
    for shape in shapes:
        own, others = readings.take(rows), background.take(np.tile(everyone, 6))
        mixed = own.mixed(others, (shape.name,))
        means[shape.name,] = parts.log_risk(mixed).reshape(6, -1).mean(axis=1)
    first, second = np.divmod(np.arange(900), 30)
    product = background.take(first).mixed(background.take(second), ("slides",))
    constant = parts.log_risk(product).mean()
    assert abs(found.effects[()][0] - constant) < 4 * found.errors[()][0]
    for shape in shapes:
        name = (shape.name,)
        expected = means[name] - constant
        distance = np.abs(found.effects[name] - expected)
        assert (distance <= 4 * found.errors[name]).all()
    with torch.no_grad():
        predicted = parts.networks[0](batch).log_risk.double().numpy()
    total = np.sum(list(found.effects.values()), axis=0)
    np.testing.assert_allclose(total, predicted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fusion", EXACT)
def test_every_term_averages_to_0_over_the_training_patients(fusion: str) -> None:
    parts = NetworkParts((network(4, fusion), network(5, fusion)), {})
    _, readings, reference = compared(parts, background=20, count=8)
    names = tuple(readings.values)
    for term in subsets(names):
        for averaged in term:
            kept = tuple(name for name in names if name != averaged)

            def value(mixed: Readings, term: tuple[str, ...] = term) -> np.ndarray:
                zeros = np.zeros(len(mixed))
                return np.asarray(
                    decompose(parts.members, mixed, reference).effects.get(term, zeros)
                )

            means = mean_with(value, readings, reference.background, kept)
            np.testing.assert_allclose(means, 0, rtol=0, atol=1e-9)


def terms_of(made: FusionNetwork) -> dict[tuple[str, ...], np.ndarray]:
    """Terms of all training patients, in double precision."""
    parts = NetworkParts((made,), {})
    _, readings, reference = compared(parts)
    return dict(decompose(parts.members, readings, reference).effects)


@pytest.mark.parametrize("fusion", ["pairwise", "pairwise_residual"])
def test_scaling_inside_a_pair_changes_no_term(fusion: str) -> None:
    made = network(6, fusion)
    before = terms_of(made)
    pair = cast(BilinearPair, made.fusion.pairs["slides*clinical"])
    scale = torch.tensor([4.0, -0.5, 2.0, 0.25])  # powers of 2 keep every digit
    with torch.no_grad():
        for layer, factor in ((pair.left, scale), (pair.right, 1 / scale)):
            layer.weight.mul_(factor[:, None])
            layer.bias.mul_(factor)
    agree(terms_of(made), before, 1e-9)


def test_what_moves_from_a_pair_to_main_effects_changes_no_term() -> None:
    """``(u + c) v`` for both present is ``u v`` and ``c v``: another network, the same function."""
    made = network(7, "tensor", 2)
    head = made.head.linear.weight.detach().double().numpy()[0]
    parts = made.fusion.terms(head)
    assert parts is not None
    batch = patients(1, 16, 2, missing=0.3)
    readings = read_batch((made,), batch)
    reference = Reference.of(readings, from_background=True)
    expected = decompose([parts], readings, reference).effects
    left, right, pair = parts
    assert isinstance(pair, Product)
    move = np.zeros_like(pair.sides["expression"])
    move[0] = 1.5
    sides = {**pair.sides, "expression": pair.sides["expression"] + move}
    moved = Product(sides, pair.weights)
    slides = Product({"slides": pair.sides["slides"]}, -1.5 * pair.weights)
    found = decompose([(left, right, moved, slides)], readings, reference).effects
    agree(dict(found), dict(expected), 1e-9)


@pytest.mark.parametrize("fusion", ["pairwise", "late", "lowrank_tensor"])
def test_the_order_of_the_modalities_changes_no_term(fusion: str) -> None:
    made = network(8, fusion)
    config = made.config
    turned = NetworkConfig(
        modalities=config.modalities[::-1],
        fusion=fusion,
        rank=4,
        pair_width=3,
    )
    other = build_network(turned, seed=0).eval()
    state = {}
    for key, value in made.state_dict().items():
        state[_turned(key)] = value
    if fusion != "lowrank_tensor":
        columns = made.head.linear.weight.split(list(made.fusion.parts.values()), dim=1)
        by_part = dict(zip(made.fusion.parts, columns, strict=True))
        ordered = [by_part.get(p, by_part.get(_reverse(p))) for p in other.fusion.parts]
        state["head.linear.weight"] = torch.cat(ordered, dim=1)
    other.load_state_dict(state)
    agree(terms_of(other), terms_of(made), 1e-9)


def _reverse(part: str) -> str:
    return "*".join(part.split("*")[::-1])


def _turned(key: str) -> str:
    if not key.startswith("fusion.pairs."):
        return key
    _, _, part, side, kind = key.split(".")
    side = {"left": "right", "right": "left"}.get(side, side)
    return f"fusion.pairs.{_reverse(part)}.{side}.{kind}"


@pytest.mark.parametrize("head", ["cox", "discrete"])
@pytest.mark.parametrize("fusion", sorted(set(FUSIONS) - {"coattention"}))
def test_gradients_are_difference_quotients(fusion: str, head: str) -> None:
    parts = NetworkParts((network(9, fusion, head=head, bins=3),), {})
    _, readings, reference = compared(parts, background=10, count=8)
    everyone = readings.take(np.array([7]))  # has every modality
    for term in (
        ("clinical",),
        ("slides", "clinical"),
        ("slides", "expression", "clinical"),
    ):

        def value(mixed: Readings, term: tuple[str, ...] = term) -> np.ndarray:
            zeros = np.zeros(len(mixed))
            effects = decompose(parts.members, mixed, reference).effects
            return np.asarray(effects.get(term, zeros))

        total = np.zeros_like(everyone.values["clinical"])
        for part in parts.members[0]:
            if set(term) <= set(part.modalities):
                total += part.gradient(term, "clinical", everyone, reference)
        expected = difference_quotient(value, everyone, "clinical", 1e-6)
        # Presence itself is 0 or 1: where terms are sampled it has no slope.
        columns = slice(0 if parts.exact else 2, None)
        np.testing.assert_allclose(
            total[:, columns], expected[:, columns], rtol=0, atol=1e-4
        )


def test_pulling_back_is_the_chain_rule_through_the_encoder() -> None:
    parts = NetworkParts((network(10, "pairwise"), network(11, "pairwise")), {})
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 7))
    weights = rng.normal(size=(1, parts.widths["expression"]))
    found = parts.pull_back("expression", values, weights)
    for place in range(7):
        step = np.zeros(7)
        step[place] = 1e-6
        ends = [parts.encode("expression", values + sign * step) for sign in (1, -1)]
        expected = (ends[0] - ends[1]) @ weights[0] / 2e-6
        np.testing.assert_allclose(found[:, place], expected, rtol=0, atol=1e-6)
    assert not parts.is_linear("expression")
    assert parts.is_linear("clinical")


def test_tiles_weighed_by_their_attention_are_what_is_read_of_a_bag() -> None:
    parts = NetworkParts((network(12, "pairwise"), network(13, "pairwise")), {})
    batch = patients(1, 8)
    readings = read_batch(parts.networks, batch)
    bounds = batch.offsets["slides"].tolist()
    for row in range(8):
        tiles = batch.bags["slides"][bounds[row] : bounds[row + 1]].numpy()
        if len(tiles) == 0:
            continue
        read = parts.read_tiles("slides", tiles)
        shares = torch.softmax(torch.from_numpy(read.scores), dim=0).numpy()
        found = (shares[:, read.pooling] * read.values).sum(axis=0)
        np.testing.assert_allclose(found, readings.values["slides"][row, 2:], atol=1e-6)

"""The laws of the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from survfuse._errors import BundleError, ConfigError
from survfuse._types import Batch
from survfuse.config import FitConfig
from survfuse.models import (
    FUSIONS,
    BagConfig,
    FusionNetwork,
    NetworkConfig,
    VectorConfig,
    build_network,
    network_config,
)
from survfuse.models.network import network_of as of_weights

NetworkOf = Callable[..., FusionNetwork]
RowsOf = Callable[[Batch, Sequence[int]], Batch]
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.mark.parametrize("fusion", FUSIONS)
class TestLaws:
    def test_shapes(self, fusion: str, network_of: NetworkOf, batch: Batch) -> None:
        network = network_of(fusion)
        out = network(batch)
        assert out.output.shape == (5, 1)
        assert out.log_risk.shape == (5,)
        assert out.attention["slides"].shape == (17,)
        assert {name: value.shape for name, value in out.embeddings.items()} == {
            "slides": (5, 5),
            "expression": (5, 5),
            "clinical": (5, 3),
        }
        assert out.fused.shape == (5, network.fusion.width)

    def test_permuting_tiles_changes_nothing(
        self,
        fusion: str,
        network_of: NetworkOf,
        batch: Batch,
    ) -> None:
        order = torch.tensor(
            [4, 2, 0, 1, 3, 7, 5, 6, 15, 9, 11, 10, 8, 14, 13, 12, 16],
        )  # within patients
        shuffled = replace(batch, bags={"slides": batch.bags["slides"][order]})
        network = network_of(fusion)
        torch.testing.assert_close(
            network(shuffled).log_risk,
            network(batch).log_risk,
            **CLOSE,
        )

    def test_permuting_patients_permutes_outputs(
        self,
        fusion: str,
        network_of: NetworkOf,
        batch: Batch,
        rows_of: RowsOf,
    ) -> None:
        network, order = network_of(fusion), [3, 1, 4, 0, 2]
        torch.testing.assert_close(
            network(rows_of(batch, order)).log_risk,
            network(batch).log_risk[order],
            **CLOSE,
        )

    def test_ragged_batch_equals_each_patient_alone(
        self,
        fusion: str,
        network_of: NetworkOf,
        batch: Batch,
        rows_of: RowsOf,
    ) -> None:
        network = network_of(fusion)
        alone = torch.cat([network(rows_of(batch, [i])).log_risk for i in range(5)])
        torch.testing.assert_close(alone, network(batch).log_risk, **CLOSE)

    @pytest.mark.parametrize("garbage", [1e6, -7.0, torch.nan])
    def test_content_of_missing_modalities_is_never_read(
        self,
        fusion: str,
        network_of: NetworkOf,
        batch_of: Callable[..., Batch],
        garbage: float,
    ) -> None:
        gone = [True, True, False, True, False]
        batch = batch_of(present={"slides": gone, "expression": gone, "clinical": gone})
        spoiled = replace(
            batch,
            bags={"slides": batch.bags["slides"].clone()},
            vectors={name: values.clone() for name, values in batch.vectors.items()},
        )
        spoiled.bags["slides"][5:8] = garbage  # the third patient's tiles
        for values in spoiled.vectors.values():
            values[2] = garbage
        network = network_of(fusion)
        results = []
        for given in (batch, spoiled):
            network.zero_grad()
            out = network(given)
            out.log_risk.square().sum().backward()
            results.append([out.log_risk, *(p.grad for p in network.parameters())])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
        assert not network(spoiled).attention["slides"][5:8].any()

    @pytest.mark.parametrize("missing", ["slides", "expression"])
    def test_branch_of_a_modality_that_nobody_has_gets_exactly_no_gradient(
        self,
        fusion: str,
        missing: str,
        network_of: NetworkOf,
        batch_of: Callable[..., Batch],
    ) -> None:
        network = network_of(fusion)
        network(batch_of(present={missing: [False] * 5})).log_risk.sum().backward()
        for name, parameter in network.named_parameters():
            if name.startswith(f"branches.{missing}."):
                assert parameter.grad is None or not parameter.grad.any(), name

    def test_empty_bags_give_no_nan(
        self,
        fusion: str,
        network_of: NetworkOf,
        batch_of: Callable[..., Batch],
    ) -> None:
        network = network_of(fusion).train()
        for counts in ((0, 0, 0), (0, 2, 0)):
            batch = batch_of(counts, present={"slides": [True] * 3})
            out = network(batch)
            out.log_risk.sum().backward()
            assert torch.isfinite(out.log_risk).all()
            assert not out.embeddings["slides"][torch.tensor(counts) == 0].any()
            assert all(
                p.grad is None or torch.isfinite(p.grad).all()
                for p in network.parameters()
            )

    def test_chunked_evaluation_equals_single_pass(
        self,
        fusion: str,
        network_of: NetworkOf,
        batch: Batch,
    ) -> None:
        network = network_of(fusion)
        whole = network(batch)
        network.branches["slides"].chunk_tiles = 3
        with torch.no_grad():
            chunked = network(batch)
        torch.testing.assert_close(chunked.log_risk, whole.log_risk, **CLOSE)
        torch.testing.assert_close(chunked.attention, whole.attention, **CLOSE)

    def test_log_risk_splits_exactly_over_the_parts(
        self,
        fusion: str,
        network_of: NetworkOf,
        batch: Batch,
    ) -> None:
        network = network_of(fusion)
        out = network(batch)
        weights = network.head.linear.weight[0].split(
            list(network.fusion.parts.values()),
        )
        blocks = out.fused.split(list(network.fusion.parts.values()), dim=1)
        terms = torch.stack(
            [block @ weight for block, weight in zip(blocks, weights, strict=True)],
        )
        torch.testing.assert_close(
            terms.sum(0) + network.head.linear.bias,
            out.log_risk,
            **CLOSE,
        )


def test_discrete_head_in_the_network(network_of: NetworkOf, batch: Batch) -> None:
    out = network_of("concat", head="discrete", bins=6)(batch)
    assert out.output.shape == (5, 6)
    assert torch.isfinite(out.log_risk).all()


def test_seeded_weights_repeat_and_leave_the_global_generator_alone(
    network_of: NetworkOf,
) -> None:
    config = network_of("pairwise").config
    before = torch.get_rng_state()
    first, second, other = (
        build_network(config, seed=s).state_dict() for s in (5, 5, 6)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
    torch.manual_seed(0)
    drawn = build_network(config).state_dict()
    torch.manual_seed(0)
    again = build_network(config).state_dict()
    assert all(torch.equal(drawn[key], again[key]) for key in drawn)


def test_initial_weights_are_xavier_normal_with_zero_biases() -> None:
    network = build_network(NetworkConfig((VectorConfig("x", 900, (700,)),)), seed=0)
    weight = network.branches["x"].layers[0].weight
    assert abs(float(weight.detach().std()) / (2 / 1600) ** 0.5 - 1) < 0.01
    assert all(
        not p.any() for name, p in network.named_parameters() if name.endswith("bias")
    )


def test_config_survives_json_and_refuses_what_it_does_not_know(
    network_of: NetworkOf,
) -> None:
    config = network_of("pairwise_residual", raw_pair_width=2, head="discrete").config
    values = json.loads(json.dumps(config.to_dict()))
    assert NetworkConfig.from_dict(values) == config
    assert hash(config) == hash(NetworkConfig.from_dict(values))
    older = {
        key: value
        for key, value in values.items()
        if key not in {"tensor_width", "query_tokens"}
    }
    assert NetworkConfig.from_dict(older) == config  # written before these sizes were
    with pytest.raises(ConfigError, match="NetworkConfig: unknown field 'depth'"):
        NetworkConfig.from_dict({**values, "depth": 3})
    with pytest.raises(ConfigError, match="VectorConfig: unknown field 'pooling'"):
        NetworkConfig.from_dict(
            {
                "modalities": [
                    {"kind": "vector", "name": "x", "input_dim": 2, "pooling": "mean"},
                ],
            },
        )
    with pytest.raises(ConfigError, match="kind bag, vector"):
        NetworkConfig.from_dict({"modalities": [{"kind": "graph"}]})
    with pytest.raises(
        ConfigError,
        match=r"missing 1 required positional argument: 'input_dim'",
    ):
        NetworkConfig.from_dict({"modalities": [{"kind": "vector", "name": "x"}]})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modalities": ()}, "at least one modality"),
        (
            {"modalities": (VectorConfig("x", 1), VectorConfig("x", 2))},
            "names must differ, got x, x",
        ),
        ({"modalities": (VectorConfig("a.b", 1),)}, "'a.b' cannot name"),
        ({"modalities": (VectorConfig("items", 1),)}, "'items' cannot name"),
        ({"fusion": "sum"}, "unknown fusion 'sum'"),
        ({"head": "aft"}, "unknown head 'aft'"),
        ({"rank": 0}, "whole numbers >= 1"),
        ({"tensor_width": 0}, "whole numbers >= 1"),
        ({"query_tokens": 0}, "whole numbers >= 1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ({"modality_dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_shapes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkConfig(**{"modalities": (VectorConfig("x", 1),), **fields})


def test_widths_and_poolings_are_checked() -> None:
    with pytest.raises(
        ConfigError,
        match="modality 'x': widths must be whole numbers >= 1",
    ):
        VectorConfig("x", 3, (0,))
    with pytest.raises(ConfigError, match="unknown pooling 'max'"):
        BagConfig("x", 3, pooling="max")


def test_network_config_follows_the_fit_config() -> None:
    fit = FitConfig.of(
        fusion="concat",
        clinical_hidden=(4,),
        vector_hidden=(9, 8),
        bag_width=7,
        raw_pair_width=3,
        dropout=0.1,
        modality_dropout=0.2,
        tensor_width=5,
        query_tokens=2,
    )
    config = network_config(
        fit,
        {"slides": 20, "expression": 30, "blood": 5, "clinical": 6},
        {
            "clinical": "clinical",
            "blood": "table",
            "expression": "expression",
            "slides": "bag",
        },
    )
    assert config.modalities == (
        BagConfig("slides", 20, 7, 8),
        VectorConfig("expression", 30, (9, 8)),
        VectorConfig("blood", 5, (9, 8)),
        VectorConfig("clinical", 6, (4,)),
    )
    assert (config.raw_pair_width, config.dropout, config.fusion) == (3, 0.1, "concat")
    assert (config.tensor_width, config.query_tokens, config.modality_dropout) == (
        5,
        2,
        0.2,
    )
    with pytest.raises(ConfigError, match="modality 'x': kind must be bag, clinical"):
        network_config(fit, {"x": 3}, {})


def test_parameter_count_of_the_papers_preset() -> None:
    config = network_config(
        FitConfig.of("paper"),
        {"slides": 1024, "expression": 40, "clinical": 5},
        {"slides": "bag", "expression": "expression", "clinical": "clinical"},
    )
    assert (
        build_network(config, seed=0).parameter_count() == 2_077_826
    )  # parity/paper.json, pg, small


def test_a_network_of_weights_is_the_network_that_had_them() -> None:
    config = NetworkConfig((VectorConfig("a", 3, (2,)), VectorConfig("b", 2)))
    network = build_network(config, seed=0)
    again = of_weights(config, network.state_dict())
    assert not again.training
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


def test_weights_of_another_network_are_refused_before_memory_is_taken() -> None:
    config = NetworkConfig((VectorConfig("a", 3, (2,)),))
    weights = build_network(config, seed=0).state_dict()
    with pytest.raises(
        BundleError,
        match=r"missing branches\.a\.layers\.1\.bias, .*, unexpected none",
    ):
        of_weights(NetworkConfig((VectorConfig("a", 3, (2, 2)),)), weights)
    with pytest.raises(
        BundleError,
        match=r"branches\.a\.layers\.0\.weight is \(2, 3\), expected \(2, 10{12}\)",
    ):
        of_weights(NetworkConfig((VectorConfig("a", 10**12, (2,)),)), weights)


def test_a_network_has_an_end() -> None:
    with pytest.raises(ConfigError, match=r"at most 100 layers, got 101$"):
        VectorConfig("a", 3, (1,) * 101)
    with pytest.raises(
        ConfigError,
        match=r"a network takes at most 100 modalities, got 101$",
    ):
        NetworkConfig(tuple(VectorConfig(f"m{index}", 1) for index in range(101)))
    with pytest.raises(
        ConfigError,
        match=r"gene sets: expected lists of whole numbers$",
    ):
        VectorConfig("a", 3, encoder="gene_set", members=((0, 1.5),))  # type: ignore[arg-type]

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from survfuse._errors import ConfigError
from survfuse.config import FitConfig
from survfuse.config.sections import NetworkSettings
from survfuse.models.branches import VectorBranch
from survfuse.models.encoders import ENCODERS, EncoderShape
from survfuse.models.network import build_network
from survfuse.models.network_config import NetworkConfig, VectorConfig, network_config

MEMBERS = ((0, 2, 3), (1, 3), (4,))
SHAPES: dict[str, VectorConfig] = {
    "mlp": VectorConfig("expression", 6, hidden=(4, 3)),
    "linear": VectorConfig("expression", 6, encoder="linear", width=3),
    "gene_set": VectorConfig("expression", 6, encoder="gene_set", members=MEMBERS),
}
COUNTS = {"mlp": 6 * 4 + 4 + 4 * 3 + 3, "linear": 6 * 3 + 3, "gene_set": 6}


def encoder(name: str, seed: int = 0) -> Any:
    config = NetworkConfig((SHAPES[name],), dropout=0.5, input_dropout=0.5)
    return build_network(config, seed=seed).branches["expression"]


def test_every_registered_encoder_is_tested_here() -> None:
    assert set(ENCODERS) == set(SHAPES)
    options = NetworkSettings.model_fields["expression_encoder"].annotation
    assert set(ENCODERS) == set(options.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SHAPES)
def test_the_contract(name: str) -> None:
    made, vector = encoder(name), torch.randn(5, 6)
    assert made.width == 3
    assert sum(parameter.numel() for parameter in made.parameters()) == COUNTS[name]
    made.eval()
    out = made(vector)
    assert out.shape == (5, 3)
    for row in range(5):  # a patient does not depend on the others
        torch.testing.assert_close(made(vector[row : row + 1])[0], out[row])
    made.train()
    assert not torch.equal(made(vector), made(vector)), "dropout is on while training"
    made(vector).sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            encoder(name).parameters(),
            encoder(name).parameters(),
            strict=True,
        )
    )
    assert not torch.equal(
        next(encoder(name, 1).parameters()),
        next(encoder(name).parameters()),
    )


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_survives_json(name: str) -> None:
    import json

    config = NetworkConfig((SHAPES[name],))
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_mlp_is_the_branch_it_was() -> None:
    assert isinstance(encoder("mlp"), VectorBranch)


def test_a_linear_encoder_has_no_relu() -> None:
    made = encoder("linear").eval()
    x = torch.randn(4, 6)
    torch.testing.assert_close(made(x), x @ made.project.weight.T + made.project.bias)
    assert bool((made(x) < 0).any())


def test_a_gene_set_weighs_its_own_genes_alone() -> None:
    made = encoder("gene_set").eval()
    x = torch.randn(4, 6)
    dense = torch.zeros(3, 6)
    for place, (row, gene) in enumerate(
        (s, g) for s, genes in enumerate(MEMBERS) for g in genes
    ):
        dense[row, gene] = made.weight.detach()[place]
    torch.testing.assert_close(made(x), x @ dense.T)
    changed = x.clone()
    changed[:, [0, 1, 2, 3, 5]] += 7  # the third set reads the fifth gene only
    torch.testing.assert_close(made(changed)[:, 2], made(x)[:, 2])


def test_sets_of_any_size_start_alike() -> None:
    sizes = (4, 400)
    members = tuple(tuple(range(size)) for size in sizes)
    network = build_network(
        NetworkConfig(
            (VectorConfig("expression", 400, encoder="gene_set", members=members),),
        ),
        seed=0,
    )
    x = torch.randn(4000, 400, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weight: Any = network.branches["expression"].weight
        out = network.branches["expression"](x)[:, 1]
    assert float(weight.detach()[4:].square().sum()) == pytest.approx(
        1.0,
        abs=4 * (2 / 400) ** 0.5,
    )
    assert float(out.std()) == pytest.approx(
        float(weight.detach()[4:].square().sum()) ** 0.5,
        rel=4 / 8000**0.5,
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (EncoderShape(6), "needs gene sets of inputs 0 to 5, got 0 sets"),
        (EncoderShape(6, members=((0,), ())), "got 2 sets, the smallest of 0 genes"),
        (EncoderShape(6, members=((6,),)), "inputs 0 to 5"),
    ],
)
def test_impossible_gene_sets_are_refused(shape: EncoderShape, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ENCODERS.build("gene_set", shape)


def test_a_linear_encoder_needs_a_width() -> None:
    with pytest.raises(ConfigError, match="a linear encoder needs a width >= 1, got 0"):
        ENCODERS.build("linear", EncoderShape(6))
    with pytest.raises(
        ConfigError,
        match="unknown expression encoder 'lasso'; known: gene_set, linear, mlp",
    ):
        VectorConfig("x", 3, encoder="lasso")


def test_the_configuration_chooses_for_expression_alone() -> None:
    kinds = {"expression": "expression", "blood": "table", "clinical": "clinical"}
    dims = {"expression": 6, "blood": 5, "clinical": 2}
    linear = FitConfig.of(
        fusion="concat",
        expression_encoder="linear",
        expression_width=4,
        vector_hidden=(3,),
    )
    assert network_config(linear, dims, kinds).modalities == (
        VectorConfig("expression", 6, encoder="linear", width=4),
        VectorConfig("blood", 5, (3,)),
        VectorConfig("clinical", 2),
    )
    sets = FitConfig.of(
        fusion="concat",
        expression_encoder="gene_set",
        expression_gene_sets="x.gmt",
        expression_components=None,
    )
    (shape, *_) = network_config(sets, dims, kinds, {"expression": MEMBERS}).modalities
    assert shape == VectorConfig("expression", 6, encoder="gene_set", members=MEMBERS)
    assert np.array_equal(
        [m.encoded for m in network_config(linear, dims, kinds).modalities],
        [1, 1, 0],
    )  # type: ignore[union-attr]

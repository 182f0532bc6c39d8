from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from survfuse._errors import ConfigError, InputError
from survfuse._storage import sha256_file
from survfuse.slides.encoders.card import find_card
from survfuse.slides.encoders.encoder_networks import randomise
from survfuse.slides.encoders.loading import load_encoder

RESNET50_TRUNCATED = find_card("resnet50_truncated")

ANY = Path("some.bin")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    tensors = randomise(RESNET50_TRUNCATED, 1).state_dict()
    save_file(
        {name.removeprefix("trunk."): tensor for name, tensor in tensors.items()},
        path,
    )
    return path


def test_weights_and_seed_give_the_same_features_under_different_names(
    file: Path,
    tiles: np.ndarray,
) -> None:
    read = load_encoder(
        "ResNet50-truncated",
        file,
        sha256=sha256_file(file),
        device="cpu",
    )
    drawn = load_encoder("resnet50_truncated", random_weights=1, device="cpu")
    np.testing.assert_array_equal(read.encode(tiles), drawn.encode(tiles))
    assert (read.name, drawn.name) == (
        "resnet50_truncated",
        "resnet50_truncated_random",
    )
    assert read.identity()["weights_sha256"] == sha256_file(file)
    assert drawn.identity()["random_weights"] == 1
    assert {"torch", "timm"} <= set(drawn.identity())
    assert not {"torch", "timm", "random_weights"} & set(read.identity())


def test_a_wrong_checksum_stops_loading(file: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"sha256 is [0-9a-f]{64}, but 0{64} was asked for",
    ):
        load_encoder("resnet50_truncated", file, sha256="0" * 64)


def test_a_gated_encoder_says_where_its_weights_are() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^encoder 'uni' needs its weights: ask for access and download pytorch_model\.bin from "
        r"https://huggingface\.co/MahmoodLab/UNI \(licence: CC-BY-NC-ND-4\.0\), then point --weights",
    ):
        load_encoder("uni")
    with pytest.raises(
        ConfigError,
        match=r"^encoder 'resnet50' needs its weights: download model\.safetensors",
    ):
        load_encoder("resnet50")


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("nobody", {}, r"^unknown encoder 'nobody'"),
        (
            "uni",
            {"weights": ANY, "random_weights": 0},
            r"give weights or random_weights, not both",
        ),
        (
            "uni",
            {"random_weights": 0, "sha256": "00"},
            r"sha256 is the checksum of a file of weights; name it",
        ),
        (
            "uni",
            {"weights": ANY, "precision": "int8"},
            r"^unknown precision 'int8'; known: auto, fp32, bf16, fp16$",
        ),
        (
            "uni",
            {"weights": ANY, "batch": 0},
            r"^batch must be at least 1 tile, got 0$",
        ),
        ("uni", {"weights": ANY, "device": "abacus"}, r"^unknown device 'abacus'"),
        (
            "stain_texture",
            {"weights": ANY},
            r"^encoder 'stain_texture' has no weights; leave weights",
        ),
        (
            "stain_texture",
            {"random_weights": 0},
            r"^encoder 'stain_texture' has no weights",
        ),
    ],
)
def test_settings_that_do_not_go_together(
    name: str,
    settings: dict[str, Any],
    told: str,
) -> None:
    with pytest.raises(ConfigError, match=told):
        load_encoder(name, **settings)


def test_an_absent_gpu_is_said_before_weights_are_read() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(
        ConfigError,
        match=r"^device 'cuda' was asked for, but torch sees no GPU here",
    ):
        load_encoder("uni", ANY, device="cuda")


def test_auto_is_full_precision_on_the_cpu() -> None:
    encoder = load_encoder("resnet50_truncated", random_weights=0, device="cpu")
    assert encoder.identity()["precision"] == "fp32"
    encoder = load_encoder(
        "resnet50_truncated",
        random_weights=0,
        device="cpu",
        precision="bf16",
    )
    assert encoder.identity()["precision"] == "bf16"

"""Bags of slideflow with the settings that lie beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from survfuse._errors import FeatureFileError
from survfuse.readers import pack, read_features

CLASS = "slideflow.model.extractors."


def bag(folder: Path, name: str = "s", **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(torch.ones(6, 16), folder / f"{name}.pt")
    np.savez(folder / f"{name}.index.npz", np.arange(12).reshape(6, 2))
    usual = {
        "extractor": {
            "class": f"{CLASS}ctranspath.CTransPathFeatures",
            "kwargs": {"center_crop": True},
        },
        "normalizer": {
            "method": "macenko",
            "fit": {"stain_matrix_target": [[0.5, 0.2]]},
        },
        "num_features": 16,
        "tile_px": 299,
        "tile_um": 302,
    }
    (folder / "bags_config.json").write_text(json.dumps(usual | config))
    return folder / f"{name}.pt"


def test_encoder_and_tile_size(tmp_path: Path) -> None:
    features = read_features(bag(tmp_path))
    assert (features.tool, features.encoder, features.tile_um) == (
        "slideflow",
        "ctranspath",
        302.0,
    )
    assert features.mpp == pytest.approx(302 / 299)
    assert features.coords is not None
    assert "encoder and tile size from bags_config.json" in features.notes


@pytest.mark.parametrize(
    ("name", "kwargs", "encoder"),
    [
        ("retccl.RetCCLFeatures", {}, "retccl"),
        ("uni.UNIFeatures", {}, "uni"),
        ("virchow2.Virchow2Features", {}, "virchow2"),
        ("simclr.SimCLR_Features", {}, "simclr"),
        ("conch.ConchV15Features", {}, "conch_v15"),
        ("gigapath.GigapathTileFeatures", {}, "prov_gigapath"),
        ("hoptimus0.Hoptimus0Features", {}, "h_optimus_0"),
        (
            "TorchImagenetLayerExtractor",
            {"model_name": "resnet50", "tile_px": 299},
            "resnet50_imagenet",
        ),
    ],
)
def test_the_class_of_the_extractor_names_the_encoder(
    tmp_path: Path,
    name: str,
    kwargs: dict[str, Any],
    encoder: str,
) -> None:
    path = bag(tmp_path, extractor={"class": CLASS + name, "kwargs": kwargs})
    assert read_features(path).encoder == encoder


def test_what_it_says_is_compared(tmp_path: Path) -> None:
    path = bag(tmp_path)
    with pytest.raises(
        FeatureFileError,
        match=r"made by encoder 'ctranspath', but 'uni' was declared",
    ):
        read_features(path, encoder="uni")
    other = bag(
        tmp_path / "other",
        "t",
        extractor={"class": f"{CLASS}retccl.RetCCLFeatures"},
    )
    with pytest.raises(
        FeatureFileError,
        match=r"made by encoder 'retccl', .* says 'ctranspath'",
    ):
        pack([("s", "p", path), ("t", "q", other)], tmp_path / "out.bags")
    coarse = bag(tmp_path / "coarse", "t", tile_um=604)
    with pytest.raises(FeatureFileError, match=r"tiles at mpp 2\.02"):
        pack([("s", "p", path), ("t", "q", coarse)], tmp_path / "out.bags")
    with pytest.raises(
        FeatureFileError,
        match=r"has 16 features per tile, but bags_config\.json .* says 768",
    ):
        read_features(bag(tmp_path, num_features=768))


def test_a_power_in_place_of_a_size(tmp_path: Path) -> None:
    features = read_features(bag(tmp_path, tile_um="20x"))
    assert (features.magnification, features.tile_um, features.mpp) == (
        20.0,
        None,
        None,
    )


def test_resized_tiles_are_seen_at_another_scale(tmp_path: Path) -> None:
    extractor = {"class": f"{CLASS}uni.UNIFeatures", "kwargs": {"resize": 224}}
    assert read_features(bag(tmp_path, extractor=extractor)).mpp == pytest.approx(
        302 / 224,
    )
    extractor["kwargs"] = {"resize": True}
    features = read_features(bag(tmp_path, extractor=extractor))
    assert (features.mpp, features.tile_um) == (None, 302.0)
    assert any("mpp unknown" in note for note in features.notes)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_config_is_named(tmp_path: Path, text: str) -> None:
    path = bag(tmp_path)
    (tmp_path / "bags_config.json").write_text(text)
    with pytest.raises(
        FeatureFileError,
        match=r"bags_config\.json: (not JSON|expected an object)",
    ):
        read_features(path)


def test_a_config_that_says_nothing_is_no_harm(tmp_path: Path) -> None:
    path = bag(tmp_path)
    (tmp_path / "bags_config.json").write_text(
        '{"extractor": null, "tile_um": null, "tile_px": true}',
    )
    features = read_features(path)
    assert (features.encoder, features.tile_um, features.mpp, features.tool) == (
        None,
        None,
        None,
        "slideflow",
    )

"""What slideflow writes beside its bags: ``<slide>.index.npz`` and ``bags_config.json``.

Source: slideflow's guide, "Generating Features", and `dump_config` of its extractors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from survfuse._errors import FeatureFileError
from survfuse._storage import read_json
from survfuse.readers.array_checks import exists
from survfuse.readers.slide_features import Draft

CONFIG = "bags_config.json"
_LARGEST = 1e9
"""A larger number, of µm or pixels, is no side of a tile."""
_OUR_NAMES = {
    "gigapathtile": "prov_gigapath",
    "hoptimus0": "h_optimus_0",
    "conchv15": "conch_v15",
}
"""Extractors that slideflow calls otherwise than :mod:`survfuse.slides.encoders` does."""


def describe_bags(draft: Draft, path: Path) -> None:
    """Take encoder and tile size from the ``bags_config.json`` beside a bag, where there is one.

    Raises
    ------
    FeatureFileError
        When it cannot be read, or says another number of features than the bag has.
    """
    file = path.with_name(CONFIG)
    if not exists(file):
        return
    config = read_json(file)
    if not isinstance(config, Mapping):
        raise FeatureFileError(
            f"{file}: expected an object with extractor, tile_px and tile_um",
        )
    _check_width(draft, config, file, path)
    draft.tool = "slideflow"
    extractor = config.get("extractor")
    extractor = extractor if isinstance(extractor, Mapping) else {}
    settings = extractor.get("kwargs")
    settings = settings if isinstance(settings, Mapping) else {}
    draft.encoder = _encoder(extractor.get("class"), settings)
    _scale(draft, config, settings.get("resize"))
    draft.notes.append(f"encoder and tile size from {CONFIG}")


def _check_width(
    draft: Draft,
    config: Mapping[str, Any],
    file: Path,
    path: Path,
) -> None:
    width = config.get("num_features")
    if isinstance(width, int) and draft.values.size and draft.values.shape[-1] != width:
        raise FeatureFileError(
            f"{path}: has {draft.values.shape[-1]} features per tile, but {file.name} beside it "
            f"says {width}; keep the bags of one extraction, with their {file.name}, in one folder",
        )


def _encoder(
    name: Any,
    settings: Mapping[str, Any],
) -> str | None:
    """Name the encoder by the extractor's class: ``….retccl.RetCCLFeatures`` is "retccl"."""
    if not isinstance(name, str) or not name:
        return None
    model = settings.get("model_name")
    if name.endswith(".TorchImagenetLayerExtractor") and isinstance(model, str):
        return f"{model}_imagenet"
    plain = re.sub(r"_?Features$", "", name.rpartition(".")[2]).lower()
    return _OUR_NAMES.get(plain, plain)


def _scale(
    draft: Draft,
    config: Mapping[str, Any],
    resize: Any,
) -> None:
    """Side of a tile in µm, or its power ("20x"); µm per pixel as the encoder saw it."""
    size, pixels = config.get("tile_um"), config.get("tile_px")
    if isinstance(size, str) and (
        power := re.fullmatch(r"(\d+(?:\.\d+)?)[xX]", size.strip())
    ):
        draft.magnification = float(power[1])
    side = _number(size)
    if side is None:
        return
    draft.tile_um = side
    seen = _number(pixels) if not resize else _number(resize)
    if seen is not None:
        draft.mpp = side / seen
    else:
        draft.notes.append(
            "the size to which tiles were resized is not said: mpp unknown",
        )


def _number(value: Any) -> float | None:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and 0 < value < _LARGEST else None

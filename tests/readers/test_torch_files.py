"""NumPy arrays in files of `torch.save`: read as numbers, never as objects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from survfuse._errors import FeatureFileError
from survfuse.readers import ReadOptions, read_features

VALUES = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
COORDS = np.arange(12).reshape(6, 2)


def save(path: Path, value: Any, **how: Any) -> Path:
    torch.save(value, path, **how)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_read_as_saved(tmp_path: Path, dtype: str, order: Any, zipped: bool) -> None:
    saved = np.array(VALUES, dtype=dtype, order=order)
    features = read_features(save(tmp_path / "a.pt", saved, _use_new_zipfile_serialization=zipped))
    assert features.values.dtype == (np.float16 if dtype == "<f2" else np.float32)
    np.testing.assert_array_equal(features.values, saved.astype(features.values.dtype))


def test_a_dict_of_arrays_scalars_and_texts(tmp_path: Path) -> None:
    content = {"features": VALUES, "coords": COORDS, "mpp": np.float64(0.5), "slide": "a", "levels": [1, 2]}
    features = read_features(save(tmp_path / "a.pt", content))
    np.testing.assert_array_equal(features.values, VALUES)
    np.testing.assert_array_equal(features.coords, COORDS)
    assert read_features(save(tmp_path / "a.pt", {"features": VALUES, "coords": None})).coords is None


@pytest.mark.parametrize(("shape", "dim"), [((0, 4), 4), ((0,), 0)])
def test_an_empty_array(tmp_path: Path, shape: tuple[int, ...], dim: int) -> None:
    features = read_features(save(tmp_path / "a.pt", np.zeros(shape, np.float32)))
    assert features.values.shape == (0, dim)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([object()], dtype=object), r"it holds object\); objects are never unpickled"),
        (np.array(["a", "b"]), "no plain NumPy array .* of dtype 'U1', expected floats or integers"),
        (np.zeros(3, dtype=[("x", "f4")]), "no plain NumPy array .* of dtype 'V4'"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "no plain NumPy array .* of dtype 'M8'"),
        (
            {"features": VALUES, "path": Path("/x")},
            r"it holds pathlib\.\w+\); objects are never unpickled: save",
        ),
    ],
)
def test_arrays_of_anything_else_are_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(FeatureFileError, match=message) as caught:
        read_features(save(tmp_path / "a.pt", value))
    assert "weights_only" not in str(caught.value)
    assert "trust" not in str(caught.value)


class _Lying:
    """Pickles as an array of NumPy with a state of our choice."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return (np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), self.state)


@pytest.mark.parametrize(
    "state",
    [
        (1, (10**9, 1024), np.dtype("f4"), False, b"1234"),
        (1, (1,), np.dtype("f4"), False, [1.0]),
        (1, (1,), "f4", False, b"1234"),
        (1, (1,)),
    ],
)
def test_a_state_that_lies_is_refused(tmp_path: Path, state: tuple[Any, ...]) -> None:
    with pytest.raises(FeatureFileError, match="'features' is no plain NumPy array"):
        read_features(save(tmp_path / "a.pt", _Lying(*state)))


@pytest.mark.parametrize(
    "value", [{"\x1b[31mred\x07": VALUES}, {"features": [print]}, b"\x80\x02garbage", VALUES]
)
def test_no_control_character_reaches_the_message(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.pt"
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        save(path, value, pickle_protocol=4 if value is VALUES else 2)
    with pytest.raises(FeatureFileError, match=r"a\.pt: ") as caught:
        read_features(path)
    assert str(caught.value).isprintable()


def test_another_key_is_named_and_can_be_declared(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"last_layer_embed": torch.ones(1, 8), "layer_0": np.zeros((1, 8))})
    with pytest.raises(
        FeatureFileError, match=r"found last_layer_embed \(1, 8\), layer_0 \(1, 8\); .*`key: NAME`"
    ):
        read_features(path)
    features = read_features(path, options=ReadOptions(key="last_layer_embed"))
    np.testing.assert_array_equal(features.values, np.ones((1, 8)))
    with pytest.raises(FeatureFileError, match="expected one of features2, found"):
        read_features(path, options=ReadOptions(key="features2"))


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{number}.pt", VALUES + number) for number in range(24)]
    before = torch.serialization.get_safe_globals()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(read_features, paths))
    for number, features in enumerate(read):
        np.testing.assert_array_equal(features.values, VALUES + number)
    assert torch.serialization.get_safe_globals() == before


def test_float_types_that_numpy_lacks_become_float32(tmp_path: Path) -> None:
    for kind in (torch.bfloat16, torch.float8_e4m3fn):
        tensor = torch.tensor([[1.5, -2.0], [0.25, 8.0]], dtype=kind)
        features = read_features(save(tmp_path / "a.pt", tensor))
        assert features.values.tolist() == [[1.5, -2.0], [0.25, 8.0]]

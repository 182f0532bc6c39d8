"""NumPy arrays in files of `torch.save`: read as numbers, never as objects."""

from __future__ import annotations

import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from survfuse._errors import BundleError, FeatureFileError
from survfuse.readers import ReadOptions, read_features
from survfuse.readers.torch_files import read_checkpoint

VALUES = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
COORDS = np.arange(12).reshape(6, 2)


def save(path: Path, value: Any, **how: Any) -> Path:
    torch.save(value, path, **how)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_read_as_saved(
    tmp_path: Path,
    dtype: str,
    order: Any,
    zipped: bool,
) -> None:
    saved = np.array(VALUES, dtype=dtype, order=order)
    features = read_features(
        save(tmp_path / "a.pt", saved, _use_new_zipfile_serialization=zipped),
    )
    assert features.values.dtype == (np.float16 if dtype == "<f2" else np.float32)
    np.testing.assert_array_equal(features.values, saved.astype(features.values.dtype))


def test_a_dict_of_arrays_scalars_and_texts(tmp_path: Path) -> None:
    content = {
        "features": VALUES,
        "coords": COORDS,
        "mpp": np.float64(0.5),
        "slide": "a",
        "levels": [1, 2],
    }
    features = read_features(save(tmp_path / "a.pt", content))
    np.testing.assert_array_equal(features.values, VALUES)
    np.testing.assert_array_equal(features.coords, COORDS)
    assert (
        read_features(
            save(tmp_path / "a.pt", {"features": VALUES, "coords": None}),
        ).coords
        is None
    )


@pytest.mark.parametrize(("shape", "dim"), [((0, 4), 4), ((0,), 0)])
def test_an_empty_array(tmp_path: Path, shape: tuple[int, ...], dim: int) -> None:
    features = read_features(save(tmp_path / "a.pt", np.zeros(shape, np.float32)))
    assert features.values.shape == (0, dim)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.array([object()], dtype=object),
            r"it holds object\); objects are never unpickled",
        ),
        (
            np.array(["a", "b"]),
            "no plain NumPy array .* of dtype 'U1', expected floats or integers",
        ),
        (np.zeros(3, dtype=[("x", "f4")]), "no plain NumPy array .* of dtype 'V4'"),
        (
            np.array(["2020-01-01"], dtype="M8[D]"),
            "no plain NumPy array .* of dtype 'M8'",
        ),
        (
            {"features": VALUES, "path": Path("/x")},
            r"it holds pathlib\.\w+\); objects are never unpickled: save",
        ),
    ],
)
def test_arrays_of_anything_else_are_refused(
    tmp_path: Path,
    value: Any,
    message: str,
) -> None:
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
    "value",
    [{"\x1b[31mred\x07": VALUES}, {"features": [len]}, b"\x80\x02garbage", VALUES],
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
    path = save(
        tmp_path / "a.pt",
        {"pooled": torch.ones(1, 8), "layer_0": np.zeros((1, 8))},
    )
    with pytest.raises(
        FeatureFileError,
        match=r"found pooled \(1, 8\), layer_0 \(1, 8\); .*`key: NAME`",
    ):
        read_features(path)
    features = read_features(path, options=ReadOptions(key="pooled"))
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


# -- repacked, damaged and lying files


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("folder", ["a/", "renamed/", ""])
def test_a_repacked_file_reads_the_same(
    tmp_path: Path,
    method: int,
    turned: bool,
    folder: str,
) -> None:
    content = {"features": torch.from_numpy(VALUES), "coords": torch.from_numpy(COORDS)}
    with zipfile.ZipFile(save(tmp_path / "a.pt", content)) as file:
        members = [(name, file.read(name)) for name in file.namelist()]
    with zipfile.ZipFile(tmp_path / "b.pt", "w", method) as file:
        for name, data in reversed(members) if turned else members:
            file.writestr(folder + name.removeprefix("a/"), data)
    features = read_features(tmp_path / "b.pt")
    np.testing.assert_array_equal(features.values, VALUES)
    np.testing.assert_array_equal(features.coords, COORDS)


def test_a_changed_bit_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", torch.from_numpy(VALUES))
    data = bytearray(path.read_bytes())
    data[data.index(VALUES.tobytes()) + 21] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(
        FeatureFileError,
        match=r"Bad CRC-32 .*; copy a damaged file again",
    ):
        read_features(path)


def test_files_that_torch_wrote_without_checksums(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path / "a.pt", torch.from_numpy(VALUES))
    finally:
        torch.serialization.set_crc32_options(True)
    np.testing.assert_array_equal(read_features(path).values, VALUES)


@pytest.mark.parametrize("order", ["little", "big"])
def test_byte_orders(tmp_path: Path, order: str) -> None:
    path = save(tmp_path / "a.pt", torch.from_numpy(VALUES))
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["a/byteorder"] = order.encode()
    members["a/data/0"] = VALUES.astype(">f4" if order == "big" else "<f4").tobytes()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    np.testing.assert_array_equal(read_features(path).values, VALUES)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).reshape(4, 6).t(),
        torch.arange(24.0).reshape(4, 6)[1:3, ::2],
        torch.arange(6.0)[None].expand(1, 6),
        torch.as_strided(torch.arange(26.0), (5, 4), (3, 2), 7),
        torch.nn.Parameter(torch.ones(2, 3)),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_views_of_a_storage(tmp_path: Path, tensor: torch.Tensor, zipped: bool) -> None:
    path = save(tmp_path / "a.pt", tensor, _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(read_features(path).values, tensor.detach().numpy())


def test_whatever_else_a_dict_may_hold_is_not_read(tmp_path: Path) -> None:
    others = {
        "sparse": torch.eye(2).to_sparse(),
        "meta": torch.zeros(2, device="meta"),
        "device": torch.device("cuda:0"),
        "dtype": torch.float16,
        "size": torch.Size([1, 2]),
        "bytes": b"\xff",
        "set": {1, 2},
        "complex": 1j,
        "large": 10**40,
        (1, "a"): [None, True],
    }
    features = read_features(
        save(tmp_path / "a.pt", {"features": torch.from_numpy(VALUES)} | others),
    )
    np.testing.assert_array_equal(features.values, VALUES)


def tensor_of(
    size: tuple[int, ...],
    steps: tuple[int, ...],
    count: int,
    start: int = 0,
) -> bytes:
    """Pickle of a tensor in storage 0, with sizes of our choice."""

    def number(value: int) -> bytes:
        return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    stored = (
        b"("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text("0")
        + text("cpu")
        + number(count)
        + b"tQ"
    )
    shape = (
        b"(" + b"".join(map(number, size)) + b"t(" + b"".join(map(number, steps)) + b"t"
    )
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + stored
        + number(start)
        + shape
        + b"\x89NtR"
    )


def write(path: Path, pickled: bytes, stored: bytes = bytes(64)) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", b"\x80\x02" + pickled + b".")
        file.writestr("a/data/0", stored)
    return path


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (
            tensor_of((10**6, 4096), (0, 0), 16),
            r"claims shape \(1000000, 4096\).*, where 64 are stored; .*clone",
        ),
        (tensor_of((2**40, 2**40), (0, 0), 16), "claims shape"),
        (
            tensor_of((10**6, 1024), (1024, 1), 2**40),
            "a storage claims 4398046511104 bytes where 64 are stored",
        ),
        (
            tensor_of((2, 2), (2, 1), 2**61),
            "a storage claims 9223372036854775808 bytes where 64",
        ),
        (tensor_of((2, 2), (2, 1), -16), "a storage without a count of values"),
        (
            tensor_of((4, 4), (4, 1), 16, start=1),
            "'features' reaches beyond its storage",
        ),
        (tensor_of((2, 2), (2**60, 1), 16), "'features' reaches beyond its storage"),
        (tensor_of((4, 4), (-4, 1), 16), "a shape that is none"),
        (tensor_of((-4, -4), (4, 1), 16), "a shape that is none"),
        (tensor_of((4, 4), (1,), 16), "and strides"),
        (tensor_of((1,) * 9, (1,) * 9, 16), "a shape that is none"),
        (
            b"cbuiltins\nbytearray\n\x8a\x06" + bytes(5) + b"\x10\x85R",
            "is builtins.bytearray, expected a dense",
        ),
        (
            b"ctorch\nFloatTensor\n\x8a\x06" + bytes(5) + b"\x10\x85R",
            "is torch.FloatTensor, expected a dense",
        ),
        (b"ctorch\nFloatStorage\nK\x01\x85R", "not callable"),
        (
            b"cnumpy._core.multiarray\n_reconstruct\n)R(K\x01)NNNtb",
            "is no plain NumPy array",
        ),
    ],
)
def test_tensors_that_lie(tmp_path: Path, pickled: bytes, message: str) -> None:
    with pytest.raises(FeatureFileError, match=rf"a\.pt: .*{message}"):
        read_features(write(tmp_path / "a.pt", pickled))


def test_a_storage_is_read_only_where_it_is_wanted(tmp_path: Path) -> None:
    content = {"features": torch.from_numpy(VALUES), "kept": torch.ones(5)}
    with zipfile.ZipFile(save(tmp_path / "a.pt", content)) as file:
        members = {
            name: file.read(name) for name in file.namelist() if name != "a/data/1"
        }
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    np.testing.assert_array_equal(read_features(tmp_path / "a.pt").values, VALUES)


@pytest.mark.parametrize("change", [8, -4])
def test_an_old_file_that_is_cut_or_longer(tmp_path: Path, change: int) -> None:
    path = save(
        tmp_path / "a.pt",
        torch.from_numpy(VALUES),
        _use_new_zipfile_serialization=False,
    )
    data = path.read_bytes()
    path.write_bytes(data + bytes(change) if change > 0 else data[:change])
    with pytest.raises(FeatureFileError, match=r"bytes expected, \d+ are in the file"):
        read_features(path)


# -- checkpoints


class Vast:
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (10**12,)


@pytest.mark.parametrize("zipped", [True, False])
def test_memory_that_a_checkpoint_does_not_fill_is_not_taken(
    zipped: bool,
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": Vast()}, path, _use_new_zipfile_serialization=zipped)
    saved = read_checkpoint(path, remedy="try")
    assert not isinstance(saved["a"], bytearray | torch.Tensor)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_format_come_back(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.arange(5.0)}, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_checkpoint(path, remedy="try")["a"], torch.arange(5.0))


def test_a_checkpoint_without_checksums_is_read(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.arange(5.0)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(
        read_checkpoint(tmp_path / "a.pt", remedy="try")["a"],
        torch.arange(5.0),
    )


def test_a_checkpoint_holds_tensors_and_arrays_in_any_table(tmp_path: Path) -> None:
    inner: dict[str, Any] = {
        "w": torch.ones(2, 3, dtype=torch.bfloat16).t(),
        "a": VALUES,
    }
    torch.save(
        {"model": inner, "again": inner, "on": torch.tensor(True)},
        tmp_path / "a.pt",
    )
    saved = read_checkpoint(tmp_path / "a.pt", remedy="try")
    assert saved["model"] is saved["again"]
    assert torch.equal(saved["model"]["w"], inner["w"])
    assert saved["model"]["w"].dtype == torch.bfloat16
    np.testing.assert_array_equal(saved["model"]["a"], VALUES)
    assert saved["on"].item() is True


def test_a_checkpoint_of_code_is_refused(tmp_path: Path) -> None:
    torch.save({"a": Path("/x")}, tmp_path / "a.pt")
    with pytest.raises(BundleError, match=r"a\.pt: .*it holds pathlib\.\w+\); try"):
        read_checkpoint(tmp_path / "a.pt", remedy="try", error=BundleError)

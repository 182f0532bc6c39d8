from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from survfuse._errors import InputError
from survfuse._storage import sha256_file
from survfuse.slides.encoders.card import find_card
from survfuse.slides.encoders.encoder import EncoderCard
from survfuse.slides.encoders.encoder_networks import randomise
from survfuse.slides.encoders.weight_files import fill, read_weights

RESNET50 = find_card("resnet50")
RESNET50_TRUNCATED = find_card("resnet50_truncated")


def published(card: EncoderCard) -> dict[str, torch.Tensor]:
    """Random weights under the names that the publisher would use."""
    return {
        name.removeprefix("trunk."): t.clone()
        for name, t in randomise(card, 3).state_dict().items()
    }


@pytest.fixture
def checkpoint(tiny: EncoderCard, tmp_path: Path) -> Path:
    path = tmp_path / "pytorch_model.bin"
    torch.save(published(tiny), path)
    return path


def test_safetensors_and_checkpoints_are_one(
    tiny: EncoderCard,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    save_file(published(tiny), tmp_path / "other.safetensors")
    images = torch.zeros(1, 3, 64, 64)
    expected = randomise(tiny, 3)(images)
    for path in (checkpoint, tmp_path / "other.safetensors"):
        read = read_weights(path, sha256_file(path).upper())
        assert (read.path, read.sha256) == (path, sha256_file(path))
        assert torch.equal(fill(tiny, read)(images), expected)


def test_a_folder_is_searched(tiny: EncoderCard, checkpoint: Path) -> None:
    assert read_weights(checkpoint.parent).path == checkpoint
    save_file(published(tiny), checkpoint.parent / "model.safetensors")
    assert read_weights(checkpoint.parent).path.name == "model.safetensors"


@pytest.mark.parametrize("inside", ["state_dict", "model", "teacher"])
def test_checkpoints_of_training_are_unwrapped(
    tiny: EncoderCard,
    tmp_path: Path,
    inside: str,
) -> None:
    tensors = {
        f"module.{name}": tensor.half() for name, tensor in published(tiny).items()
    }
    torch.save({inside: tensors, "epoch": 3}, tmp_path / "x.pt")
    network = fill(tiny, read_weights(tmp_path / "x.pt"))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_another_checksum_is_refused_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"no weights at all")
    with pytest.raises(
        InputError,
        match=r"x\.bin: sha256 is [0-9a-f]{64}, but 00ff was asked for; the file is another",
    ):
        read_weights(path, "00FF")


def test_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.bin: no such file$"):
        read_weights(tmp_path / "absent.bin")
    with pytest.raises(
        InputError,
        match=r": no model\.safetensors or pytorch_model\.bin in this folder",
    ):
        read_weights(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["EVIL"],)


def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVIL", str(tmp_path / "ran"))
    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(
        InputError,
        match=r"evil\.pt: neither safetensors nor a torch checkpoint that can be read without",
    ) as told:
        read_weights(tmp_path / "evil.pt")
    assert "it holds posix.mkdir" in str(
        told.value,
    )  # and no advice to run it
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "neither safetensors nor"),
        (b"12345678{not json", "expected a whole safetensors file"),
        (b"\x80\x05.", "neither safetensors nor"),
        (b"PK\x03\x04 half a zip", "neither safetensors nor"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "broken.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"broken\.bin: {told}"):
        read_weights(path)


def test_a_truncated_safetensors_file_is_refused(
    tiny: EncoderCard,
    tmp_path: Path,
) -> None:
    save_file(published(tiny), tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        InputError,
        match=r"w\.safetensors: expected a whole safetensors file",
    ):
        read_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        (torch.zeros(3), "expected a table of named tensors, found Tensor"),
        ({}, "expected a table of named tensors, found dict"),
        (
            {"a": torch.zeros(1), "epoch": 3},
            "expected named tensors only, but these are none: epoch",
        ),
    ],
)
def test_other_things_are_refused(tmp_path: Path, thing: object, told: str) -> None:
    torch.save(thing, tmp_path / "x.pt")
    with pytest.raises(InputError, match=rf"x\.pt: {told}$"):
        read_weights(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("hollow", "message"),
    [
        (torch.zeros(1).expand(10**9), "not every value of these tensors is stored: b"),
        (torch.zeros(4, 4).to_sparse(), "named tensors only, but these are none: b"),
        (torch.empty(9, device="meta"), "named tensors only, but these are none: b"),
    ],
    ids=["one value", "sparse", "meta"],
)
def test_tensors_without_their_values_are_refused(
    tmp_path: Path,
    hollow: torch.Tensor,
    message: str,
) -> None:
    torch.save({"a": torch.zeros(1), "b": hollow}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=rf"x\.pt: .*{message}"):
        read_weights(tmp_path / "x.pt")


class Vast:
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (10**12,)


def test_a_checkpoint_that_asks_for_memory_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1), "b": Vast()}, tmp_path / "x.pt")
    with pytest.raises(
        InputError,
        match=r"x\.pt: expected named tensors only, but these are none: b",
    ):
        read_weights(tmp_path / "x.pt")


def test_a_checkpoint_that_was_packed_again_reads_the_same(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, tmp_path / "x.pt")
    with (
        zipfile.ZipFile(tmp_path / "x.pt") as whole,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    assert torch.equal(read_weights(tmp_path / "y.pt").tensors["a"], torch.ones(1000))


def test_a_pipe_holds_no_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: expected a file, got a pipe"):
        read_weights(tmp_path / "x.pt")


def test_a_misfit_names_the_tensors(tiny: EncoderCard, tmp_path: Path) -> None:
    tensors = published(tiny)
    tensors["head.weight"] = tensors.pop("norm.bias")
    tensors["pos_embed"] = tensors["pos_embed"][:, :5].clone()
    torch.save(tensors, tmp_path / "x.pt")
    with pytest.raises(
        InputError,
        match=r"x\.pt: these weights do not fit encoder 'tiny': 1 missing in the file \(norm\.bias\); "
        r"1 unknown to the encoder \(head\.weight\); 1 of another shape "
        r"\(pos_embed: \(1, 5, 32\) in the file, \(1, 17, 32\) in the encoder\); "
        r"expected pytorch_model\.bin from https://huggingface\.co/MahmoodLab/UNI$",
    ):
        fill(tiny, read_weights(tmp_path / "x.pt"))


@pytest.mark.slow
def test_the_encoder_that_would_fit_is_named(tmp_path: Path) -> None:
    save_file(published(RESNET50_TRUNCATED), tmp_path / "x.safetensors")
    with pytest.raises(
        InputError,
        match=r"50 missing in the file .* they fit encoder 'resnet50_truncated'$",
    ):
        fill(RESNET50, read_weights(tmp_path / "x.safetensors"))


def test_old_files_without_counters_of_batch_normalisation_fit(tmp_path: Path) -> None:
    tensors = {
        n: t for n, t in published(RESNET50_TRUNCATED).items() if "num_batches" not in n
    }
    tensors |= {
        "fc.weight": torch.zeros(1000, 2048),
        "layer4.0.conv1.weight": torch.zeros(1),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    network = fill(RESNET50_TRUNCATED, read_weights(tmp_path / "x.safetensors"))
    assert not any(tensor.is_meta for tensor in network.state_dict().values())

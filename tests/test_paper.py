"""The paper's networks, number for number (parity/paper.json)."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from survfuse import paper
from survfuse._errors import BundleError, InputError
from survfuse.models import FusionNetwork, build_network

SMALL = list(paper.VARIANTS)
PAPER_SIZE = [
    pytest.param("paper", variant, marks=() if variant == "pg" else pytest.mark.slow)
    for variant in SMALL
]
READS = {"bag": "slides", "clinical": "clinical", "expression": "expression"}


def golden_weights(shapes: Mapping[str, list[int]]) -> dict[str, torch.Tensor]:
    """Element t of the k-th tensor: scale * sin(0.7 k + 0.013 t + 0.3)."""
    state = {}
    for k, name in enumerate(sorted(shapes)):
        scale = 0.05 if name.endswith("weight") else 0.01
        flat = scale * np.sin(0.7 * k + 0.013 * np.arange(np.prod(shapes[name])) + 0.3)
        state[name] = torch.from_numpy(flat.astype(np.float32).reshape(shapes[name]))
    return state


def golden_inputs(
    network: Mapping[str, Any],
    width: int = 1024,
) -> dict[str, np.ndarray[Any, Any]]:
    i, j = np.arange(network["patches"])[:, None], np.arange(width)[None]
    return {
        "bag": np.sin(0.05 * i + 0.003 * j),
        "clinical": np.cos(0.4 * np.arange(network["clinical_dim"])),
        "expression": 3.7 + 2 * np.abs(np.sin(0.2 * np.arange(network["genes"]))),
    }


def reference_shapes(network: Mapping[str, Any]) -> dict[str, list[int]]:
    """Shapes under the reference's names, as `test_names_are_those_of_the_reference` proves them."""
    variant = network["variant"]
    config = paper.variant_config(
        variant,
        clinical_dim=network["clinical_dim"],
        genes=network["genes"],
    )
    with torch.device("meta"):
        state = paper.state_dict_for(FusionNetwork(config), variant)
    return {name: list(value.shape) for name, value in state.items()}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((shared / "parity" / "paper.json").read_text())
    return content


def entry(golden: Mapping[str, Any], size: str, variant: str) -> dict[str, Any]:
    return next(
        n for n in golden["networks"] if (n["size"], n["variant"]) == (size, variant)
    )


def tiny_state(variant: str = "pg", **dims: int) -> dict[str, torch.Tensor]:
    config = paper.variant_config(
        variant,
        **{"bag_dim": 8, "clinical_dim": 3, "genes": 4, **dims},
    )
    return paper.state_dict_for(build_network(config, seed=0), variant)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "variant"),
    [*(("small", variant) for variant in SMALL), *PAPER_SIZE],
)
def test_parity(golden: dict[str, Any], size: str, variant: str) -> None:
    network = entry(golden, size, variant)
    shapes = network["state_dict"] or reference_shapes(network)
    state, given = golden_weights(shapes), golden_inputs(network)
    model = paper.load_checkpoint(state, variant=variant)
    assert model.parameter_count == network["parameters"]
    modalities = paper.VARIANTS[variant][0]
    used = {
        key: value if READS[key] in modalities else None for key, value in given.items()
    }
    log_risk, expected = model.log_risk(**used), network["log_risk"]
    assert abs(log_risk - expected) <= 1e-5 * max(1, abs(expected))
    assert log_risk == pytest.approx(expected, rel=1e-3)
    assert (
        model.log_risk(**given) == log_risk
    )  # what the variant does not use is not looked at
    if network["attention_first5"]:
        attention = model.attention(given["bag"])
        assert attention.shape == (network["patches"],)
        assert attention.sum() == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(
            attention[:5],
            network["attention_first5"],
            rtol=0,
            atol=1e-6,
        )
    else:
        with pytest.raises(InputError, match="'rnacli' reads no slides"):
            model.attention(given["bag"])


@pytest.mark.parametrize("variant", SMALL)
def test_round_trip_and_detection(variant: str) -> None:
    state = tiny_state(variant)
    model = paper.load_checkpoint(state, variant=None)
    assert model.variant == variant
    again = paper.state_dict_for(model.network, variant)
    assert list(again) == list(state)
    assert all(torch.equal(again[key], state[key]) for key in state)


def random_patients(seed: int, count: int) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    patients = []
    for _ in range(count):
        bag = rng.normal(size=(rng.integers(1, 6), 8))
        patients.append((bag, rng.normal(size=3), rng.normal(size=4)))
    return patients


@pytest.mark.parametrize("variant", SMALL)
def test_terms_add_up_to_the_log_risk(variant: str) -> None:
    model = paper.load_checkpoint(tiny_state(variant), variant)
    patients, reference = random_patients(0, 6), random_patients(1, 20)
    found = model.terms(patients, reference)
    risks = [model.log_risk(*patient) for patient in patients]
    np.testing.assert_allclose(found.sum(axis=1), risks, rtol=0, atol=1e-6)
    modalities = paper.VARIANTS[variant][0]
    assert list(found)[: 1 + len(modalities)] == ["constant", *modalities]
    assert ("slides*expression*clinical" in found) == (variant == "pg_res")
    assert found[modalities[0]].std() > 0
    own = model.terms(reference, reference)
    np.testing.assert_allclose(own[list(modalities)].mean(), 0, rtol=0, atol=1e-9)


def test_what_moves_into_a_block_and_out_of_it_changes_no_term() -> None:
    """The raw blocks of two networks of one function differ; their terms do not."""
    state = tiny_state("imgcli")
    moved = {name: value.clone() for name, value in state.items()}
    for name in ("fuse_hc.f1.weight", "fuse_hc.f1.bias"):
        moved[name] *= 4
    moved["fuse_hc.out.weight"] /= 4
    shift = torch.full_like(moved["fuse_hc.out.bias"], 0.5)
    moved["fuse_hc.out.bias"] += shift
    moved["classifier.bias"] -= moved["classifier.weight"] @ shift
    patients, reference = random_patients(0, 6), random_patients(1, 20)
    frames = []
    for weights in (state, moved):
        model = paper.load_checkpoint(weights, "imgcli")
        frames.append(model.terms(patients, reference))
    pd.testing.assert_frame_equal(*frames, rtol=0, atol=1e-6)


def test_terms_refuse_what_a_log_risk_refuses_and_name_the_patient() -> None:
    model = paper.load_checkpoint(tiny_state("pg"), "pg")
    patients = random_patients(0, 3)
    by_name = [
        dict(zip(("bag", "clinical", "expression"), one, strict=True))
        for one in patients
    ]
    pd.testing.assert_frame_equal(
        model.terms(by_name, patients), model.terms(patients, patients)
    )
    with pytest.raises(
        InputError, match=r"^reference\[1\]: clinical: this variant reads"
    ):
        model.terms(patients, [patients[0], (patients[0][0], None, patients[0][2])])
    with pytest.raises(InputError, match=r"^patients: expected at least one patient"):
        model.terms([], patients)
    for wrong in (None, 5, "abc", by_name[0], iter(patients)):
        with pytest.raises(InputError, match=r"^patients: expected a list of patients"):
            model.terms(wrong, patients)
    with pytest.raises(InputError, match=r"^patients\[0\]: expected a tuple"):
        model.terms([patients[0][:2]], patients)
    with pytest.raises(
        InputError, match=r"^patients\[0\]: expected bag, clinical, expression,"
    ):
        model.terms([{"slides": patients[0][0]}], patients)


def test_names_are_those_of_the_reference(golden: dict[str, Any]) -> None:
    for network in golden["networks"]:
        if network["size"] == "small":
            config = paper.variant_config(network["variant"], clinical_dim=5, genes=40)
            state = paper.state_dict_for(
                build_network(config, seed=0),
                network["variant"],
            )
            assert {key: list(value.shape) for key, value in state.items()} == network[
                "state_dict"
            ]


def test_gigapath_shapes_and_odd_widths_are_read_off_the_weights() -> None:
    assert paper.variant_config("img", bag_dim=1536).modalities[0].width == 768  # type: ignore[union-attr]
    assert (
        paper.variant_config("img", bag_dim=1536).modalities[0].attention_width == 384
    )  # type: ignore[union-attr]
    model = paper.load_checkpoint(tiny_state("pg_res", bag_dim=12, genes=6), "pg_res")
    assert [m.input_dim for m in model.network.config.modalities] == [12, 6, 3]


@pytest.mark.parametrize("envelope", [None, "state_dict", "model_state_dict"])
def test_files_prefixes_and_envelopes(tmp_path: Path, envelope: str | None) -> None:
    state = {f"module.{key}": value for key, value in tiny_state("imgrna").items()}
    path = tmp_path / "best.pt"
    torch.save(state if envelope is None else {envelope: state, "epoch": 3}, path)
    assert paper.load_checkpoint(path, variant=None).variant == "imgrna"
    assert paper.load_checkpoint(str(path), variant="imgrna").variant == "imgrna"


class TestRefusals:
    def test_another_variant_is_named(self) -> None:
        with pytest.raises(
            BundleError,
            match=r"not of variant 'pg_res': missing residual_proj.* variant 'pg'$",
        ):
            paper.load_checkpoint(tiny_state("pg"), "pg_res")
        with pytest.raises(BundleError, match="these are the weights of variant 'img'"):
            paper.load_checkpoint(tiny_state("img"))

    def test_missing_and_unexpected_weights_are_named(self) -> None:
        state = tiny_state("pg")
        state["extra.weight"] = state.pop("fuse_hr.f1.bias")
        with pytest.raises(
            BundleError,
            match=r"missing fuse_hr.f1.bias; unexpected extra.weight; the nearest variant is 'pg'",
        ):
            paper.load_checkpoint(state, variant=None)

    def test_misshapen_weights_are_named(self) -> None:
        state = tiny_state("pg")
        state["fuse_rc.f2.weight"] = torch.zeros(64, 9)
        with pytest.raises(
            BundleError,
            match=r"fuse_rc.f2.weight is \(64, 9\), expected \(64, 3\)",
        ):
            paper.load_checkpoint(state)
        state["attention_net.0.weight"] = torch.zeros(4)
        with pytest.raises(
            BundleError,
            match=r"attention_net.0.weight is \(4,\), expected two dimensions",
        ):
            paper.load_checkpoint(state)
        narrow = tiny_state("abmil")
        narrow["classifiers.weight"] = torch.zeros(1, 100)
        with pytest.raises(BundleError, match=r"classifiers\.weight is narrower"):
            paper.load_checkpoint(narrow, "abmil")

    def test_weights_that_are_no_numbers(self) -> None:
        with pytest.raises(BundleError, match=r"classifier\.bias holds NaN"):
            paper.load_checkpoint(
                {**tiny_state("img"), "classifier.bias": torch.tensor([torch.nan])},
                "img",
            )
        with pytest.raises(BundleError, match=r"'classifier\.bias' is a str"):
            paper.load_checkpoint(
                {**tiny_state("img"), "classifier.bias": "zero"},
                "img",
            )

    def test_files_that_are_no_checkpoints(self, tmp_path: Path) -> None:
        path = tmp_path / "best.pt"
        with pytest.raises(BundleError, match="no such file"):
            paper.load_checkpoint(path)
        path.write_bytes(b"")
        with pytest.raises(
            BundleError,
            match=r"expected a checkpoint that is safe to read \(ValueError: pickle exhausted",
        ):
            paper.load_checkpoint(path)
        path.write_bytes(b"not a zip")
        with pytest.raises(
            BundleError,
            match="expected a checkpoint that is safe to read",
        ):
            paper.load_checkpoint(path)
        torch.save(
            {"weights": Path("x")},
            path,
        )  # an object beyond tensors and plain containers
        with pytest.raises(
            BundleError,
            match="expected a checkpoint that is safe to read",
        ):
            paper.load_checkpoint(path)
        torch.save([1, 2], path)
        with pytest.raises(BundleError, match="expected a state dict, got list"):
            paper.load_checkpoint(path)

    def test_unknown_variant_and_foreign_network(self) -> None:
        with pytest.raises(
            InputError,
            match="unknown variant 'pgr' of the paper's network; known: abmil",
        ):
            paper.load_checkpoint(tiny_state(), "pgr")
        network = build_network(paper.variant_config("img", bag_dim=8), seed=0)
        with pytest.raises(
            InputError,
            match=r"this network \(slides; cox head\) is not of variant 'pg'",
        ):
            paper.state_dict_for(network, "pg")
        discrete = replace(paper.variant_config("img", bag_dim=8), head="discrete")
        with pytest.raises(
            InputError,
            match=r"\(slides; discrete head\) is not of variant 'img'",
        ):
            paper.state_dict_for(build_network(discrete, seed=0), "img")

    def test_inputs(self) -> None:
        model = paper.load_checkpoint(tiny_state("imgcli"), "imgcli")
        bag, clinical = np.zeros((5, 8)), np.zeros(3)
        with pytest.raises(
            InputError,
            match="clinical: this variant reads it, got None",
        ):
            model.log_risk(bag)
        with pytest.raises(
            InputError,
            match=r"bag: expected numbers of shape \(tiles >= 1, 8\), got .* \(5, 9\)",
        ):
            model.log_risk(np.zeros((5, 9)), clinical)
        with pytest.raises(InputError, match=r"bag: expected .* \(0, 8\)"):
            model.log_risk(bag[:0], clinical)
        with pytest.raises(
            InputError,
            match=r"clinical: expected numbers of shape \(3\), got .* \(1, 3\)",
        ):
            model.log_risk(bag, clinical[None])
        with pytest.raises(InputError, match="clinical: holds NaN"):
            model.log_risk(bag, np.array([0, np.nan, 1]))
        with pytest.raises(InputError, match="bag: holds NaN"):
            model.attention(np.where(np.arange(40).reshape(5, 8) == 39, np.nan, 0.0))


def test_read_only_and_half_precision_bags_are_taken_as_they_are(
    tmp_path: Path,
) -> None:
    model = paper.load_checkpoint(tiny_state("img"), "img")
    bag = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float16)
    np.save(tmp_path / "bag.npy", bag)
    mapped = np.load(tmp_path / "bag.npy", mmap_mode="r")
    assert model.log_risk(mapped) == model.log_risk(bag.astype(np.float32))
    assert model.log_risk(bag[::-1]) == pytest.approx(model.log_risk(bag), abs=1e-6)


def test_cox_loss(golden: dict[str, Any]) -> None:
    for case in golden["cox_loss"]:
        log_risk = torch.tensor(
            case["log_risk"],
            dtype=torch.float64,
            requires_grad=True,
        )
        loss = paper.cox_loss(
            log_risk,
            torch.tensor(case["time"]),
            torch.tensor(case["event"]),
        )
        assert float(loss.detach()) == pytest.approx(case["loss"], rel=1e-6, abs=1e-12)
        loss.backward()  # type: ignore[no-untyped-call]
        single = paper.cox_loss(
            np.float32(case["log_risk"]),
            case["time"],
            case["event"],
        )
        assert float(single) == pytest.approx(case["loss"], rel=1e-5, abs=1e-7)


def test_cox_loss_without_events_is_zero_with_a_gradient() -> None:
    log_risk = torch.randn(4, requires_grad=True)
    loss = paper.cox_loss(
        log_risk,
        torch.arange(1, 5),
        torch.zeros(4, dtype=torch.bool),
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert log_risk.grad is not None
    assert not log_risk.grad.any()


def test_cox_loss_does_not_overflow() -> None:
    log_risk = torch.tensor([200.0, -200.0, 150.0], requires_grad=True)
    loss = paper.cox_loss(log_risk, [3.0, 2.0, 1.0], [1, 1, 1])
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == pytest.approx((0 + 400 + 50) / 3)
    assert log_risk.grad is not None
    assert torch.isfinite(log_risk.grad).all()


def test_km_rank(golden: dict[str, Any]) -> None:
    case = golden["km_rank"]
    times = paper.km_rank_time(
        case["query_log_risk"],
        train_log_risk=case["train_log_risk"],
        time=case["time"],
        event=case["event"],
    )
    np.testing.assert_array_equal(times, case["predicted_time"])


def saved(path: Path, state: Mapping[str, torch.Tensor]) -> Path:
    torch.save(dict(state), path)
    return path


def test_a_tensor_that_repeats_few_numbers_is_refused(tmp_path: Path) -> None:
    state = tiny_state("img")
    state["attention_net.0.weight"] = torch.zeros(1).expand(10**6, 10**6)
    with pytest.raises(
        BundleError,
        match=r"best\.pt: claims 3\.6 TiB where .* are stored; refused unread",
    ):
        paper.load_checkpoint(saved(tmp_path / "best.pt", state), "img")


def test_an_archive_that_torch_would_misread(tmp_path: Path) -> None:
    path = saved(tmp_path / "best.pt", tiny_state("img"))
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(tmp_path / "new.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    before = paper.load_checkpoint(path, "img").network.state_dict()
    again = paper.load_checkpoint(tmp_path / "new.pt", "img").network.state_dict()
    assert all(torch.equal(again[name], before[name]) for name in before)
    with zipfile.ZipFile(path) as archive:
        (member,) = [
            item for item in archive.infolist() if item.filename.endswith("data/0")
        ]
    content = bytearray(path.read_bytes())
    content[member.header_offset + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        BundleError,
        match=r"best\.pt: expected a checkpoint .*Bad CRC-32 for file .*data/0",
    ):
        paper.load_checkpoint(path, "img")


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "best.pt")
    with pytest.raises(BundleError, match=r"best\.pt: expected a file, got a pipe"):
        paper.load_checkpoint(tmp_path / "best.pt")

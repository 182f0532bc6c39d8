"""One pass or two, whole or in pieces: the same loss and the same gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from running import QUICK, loaded, small
from survfuse._errors import InputError
from survfuse.cohort import BatchSource, Cohort, Transforms
from survfuse.config import FitConfig
from survfuse.losses import discretise
from survfuse.models import FusionNetwork, branches, build_network
from survfuse.models.fusion import FUSIONS
from survfuse.models.network_config import network_config
from survfuse.training import Ranks, Task, steps, train
from survfuse.training.steps import Stepper

Bench = Callable[..., tuple[FusionNetwork, Task, FitConfig]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def bench(cohort: Cohort) -> Bench:
    """Make a network, a task of all 24 patients, and their configuration."""

    def make(**fields: Any) -> tuple[FusionNetwork, Task, FitConfig]:
        config = FitConfig.of(
            **{**QUICK, "dropout": 0.4, "input_dropout": 0.2, **fields},
        )
        transforms = Transforms.fit(cohort, cohort.patients, config)
        assert cohort.outcome is not None
        time, event = (
            cohort.outcome["time"].to_numpy(float),
            cohort.outcome["event"].to_numpy(bool),
        )
        edges = (
            discretise(time, event, 3) if config.network.head == "discrete" else None
        )
        shape = network_config(
            config.model_copy(update={"bins": 3}),
            transforms.dims,
            transforms.kinds,
        )
        rows = np.arange(len(time))
        source = BatchSource(cohort, transforms, cohort.patients)
        task = Task(
            "steps",
            source,
            rows,
            rows[:0],
            time,
            event,
            config.training.epochs,
            seed=5,
            bin_edges=edges,
        )
        return build_network(shape, seed=5).train(), task, config

    return make


def gradients(network: FusionNetwork) -> dict[str, Tensor]:
    return {
        name: p.grad.clone()
        for name, p in network.named_parameters()
        if p.grad is not None
    }


def silent(loss: Tensor) -> None:
    return None


@pytest.mark.parametrize("wide", [True, False], ids=["by chunks", "plain"])
@pytest.mark.parametrize(
    "fields",
    [
        *({"fusion": name} for name in FUSIONS if name != "anchored"),
        {"fusion": "concat", "head": "discrete", "bins": 3},
        {"fusion": "concat", "loss": "breslow", "max_tiles": None},
        {"fusion": "concat", "loss": "paper"},
    ],
    ids=lambda fields: "-".join(str(value) for value in fields.values()),
)
def test_two_passes_give_the_gradient_of_the_whole_graph(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    wide: bool,
) -> None:
    """With dropout on: against one graph over all pieces, each with the random numbers of its piece."""
    monkeypatch.setattr(branches, "SMALL_TILE", 0 if wide else 10**9)
    network, task, config = bench(pieces=4, **fields)
    stepper = Stepper(network, task, config, CPU, Ranks())
    pieces = stepper.pieces(task.train)
    assert len(pieces) == 4
    torch.manual_seed(1)
    loss = stepper.step(task.train, 7, None, silent)
    ours = gradients(network)
    network.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    outputs = []
    for piece, seed in zip(
        pieces,
        np.random.default_rng(7).integers(2**62, size=4).tolist(),
        strict=True,
    ):
        torch.manual_seed(seed)
        outputs.append(stepper._output(piece, 7))
    whole = stepper._loss(torch.cat(outputs), task.train, None)
    whole.backward()  # type: ignore[no-untyped-call]
    assert loss == pytest.approx(float(whole.detach()), abs=1e-6)
    assert ours.keys() == gradients(network).keys()
    for name, gradient in gradients(network).items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-5, msg=name)


def test_without_the_random_numbers_of_the_first_pass_the_gradient_is_another(
    bench: Bench,
) -> None:
    """The test above can fail: dropout drawn anew in the second pass gives something else."""
    network, task, config = bench(pieces=4, fusion="concat")
    stepper = Stepper(network, task, config, CPU, Ranks())
    torch.manual_seed(1)
    stepper.step(task.train, 7, None, silent)
    ours = gradients(network)
    network.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    outputs = torch.cat(
        [stepper._output(piece, 7) for piece in stepper.pieces(task.train)],
    )
    stepper._loss(outputs, task.train, None).backward()  # type: ignore[no-untyped-call]
    assert any(
        (ours[name] - g).abs().max() > 1e-2 for name, g in gradients(network).items()
    )


def test_pieces_fit_the_memory_and_hold_everyone_once(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "MEGABYTE", 2**16)
    network, task, config = bench(
        max_tiles=None,
        fusion="concat",
        bag_width=512,
        attention_width=256,
    )
    counts = task.source.tile_counts(task.train)["slides"]
    branch: Any = network.branches["slides"]
    each = counts * (4 * branch.project.in_features + branch.bytes_per_tile)
    stepper = Stepper(
        network,
        task,
        config.model_copy(update={"memory_mb": 2}),
        CPU,
        Ranks(),
    )
    pieces = stepper.pieces(task.train)
    assert len(pieces) > 5
    assert (
        np.concatenate([piece.rows for piece in pieces]).tolist() == task.train.tolist()
    )
    assert all(piece.fits for piece in pieces)
    assert all(each[piece.rows].sum() <= 2 * 2**16 for piece in pieces)
    generous = Stepper(network, task, config, CPU, Ranks())
    assert len(generous.pieces(task.train)) == 1


@pytest.mark.parametrize("pieces", [1, 2, 5, 24, 100])
def test_pieces_asked_for_are_of_almost_one_size(bench: Bench, pieces: int) -> None:
    network, task, config = bench(pieces=pieces, fusion="concat")
    stepper = Stepper(network, task, config, CPU, Ranks())
    sizes = [stepper._bytes(piece.rows).sum() for piece in stepper.pieces(task.train)]
    assert len(sizes) == min(pieces, 24)
    largest = stepper._bytes(task.train).max()
    assert max(sizes) - min(sizes) <= 2 * largest


def test_a_patient_beyond_the_memory_is_made_again_rather_than_kept(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "MEGABYTE", 2**15)
    network, task, config = bench(
        max_tiles=None,
        fusion="concat",
        bag_width=512,
        attention_width=256,
    )
    stepper = Stepper(
        network,
        task,
        config.model_copy(update={"memory_mb": 1}),
        CPU,
        Ranks(),
    )
    pieces = stepper.pieces(task.train)
    large = [piece for piece in pieces if not piece.fits]
    assert large
    assert len(large) < len(pieces)
    assert all(len(piece.rows) == 1 for piece in large)
    for piece, bytes_kept in ((large[0], 0), (next(p for p in pieces if p.fits), None)):
        stepper._output(piece, 1)
        assert network.branches["slides"].store_bytes == bytes_kept


def test_memory_changes_a_training_by_its_masks_alone(bench: Bench) -> None:
    """Without dropout, a training in many pieces is the training in one, to rounding."""
    still = {"dropout": 0.0, "input_dropout": 0.0, "epochs": 5, "fusion": "concat"}
    runs = []
    for pieces in (1, 5):
        network, task, config = bench(pieces=pieces, **still)
        runs.append((train(network, task, config), network.state_dict()))
    losses = [[epoch.train_loss for epoch in run.history] for run, _ in runs]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for name, weight in runs[0][1].items():
        if name.endswith(("pooling.score.bias", "head.linear.bias")):
            continue  # moves no softmax, and no Cox loss: the gradient is rounding, which Adam makes large
        torch.testing.assert_close(runs[1][1][name], weight, rtol=1e-4, atol=1e-5)


def test_the_doors_hear_of_one_loss_a_step(bench: Bench) -> None:
    network, task, config = bench(pieces=3, fusion="concat")
    heard: list[float] = []
    loss = Stepper(network, task, config, CPU, Ranks()).step(
        task.train,
        7,
        None,
        lambda loss: heard.append(float(loss.detach())),
    )
    assert heard == [loss]


def test_pooled_steps_add_up_to_the_epoch(bench: Bench) -> None:
    """Steps divided by the same number of events: their mean is the sum over steps, by all events."""
    network, task, config = bench(
        dropout=0.0,
        input_dropout=0.0,
        fusion="concat",
        max_tiles=None,
    )
    network.eval()
    stepper = Stepper(network, task, config, CPU, Ranks())
    halves = np.array_split(task.train, 2)
    events = task.event.sum() / 2
    pooled = np.mean([stepper.step(half, 1, float(events), silent) for half in halves])
    own = [stepper.step(half, 1, None, silent) for half in halves]
    weight = np.array([task.event[half].sum() for half in halves])
    assert pooled == pytest.approx(float(np.average(own, weights=weight)), rel=1e-6)


def test_tile_counts_are_those_of_the_batch(bench: Bench) -> None:
    _, task, _ = bench()
    rows = np.array([5, 0, 5])
    for most in (None, 3):
        batch = task.source.batch(rows, max_tiles=most, seed=1)
        told = task.source.tile_counts(rows, most)
        assert told.keys() == batch.offsets.keys()
        for name, counts in told.items():
            assert counts.tolist() == batch.offsets[name].diff().tolist()


def test_a_loop_in_pieces_resumes_to_the_same_bits(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from survfuse.training import loop

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    network, task, config = bench(pieces=3, fusion="concat", epochs=6)
    train(network, task, config)
    other, *_ = bench(pieces=3, fusion="concat", epochs=6)
    train(other, replace(task, epochs=3), config, checkpoint=tmp_path / "c", key="k")
    third, *_ = bench(pieces=3, fusion="concat", epochs=6)
    train(third, task, config, checkpoint=tmp_path / "c", key="k")
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, third.state_dict()[name]), name


def test_bfloat16_cuts_its_first_step_as_all_others(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a run that was killed would go on with other pieces, and other masks."""
    monkeypatch.setattr(steps, "MEGABYTE", 2**13)
    network, task, config = bench(
        fusion="concat",
        precision="bfloat16",
        bag_width=64,
        attention_width=32,
    )
    stepper = Stepper(
        network,
        task,
        config.model_copy(update={"memory_mb": 1}),
        CPU,
        Ranks(),
    )
    first = [piece.rows.tolist() for piece in stepper.pieces(task.train)]
    stepper.step(task.train, 7, None, silent)
    assert [piece.rows.tolist() for piece in stepper.pieces(task.train)] == first
    assert len(first) > 2


def test_fewer_pieces_than_processes_are_refused(bench: Bench) -> None:
    network, task, config = bench(pieces=2)
    with pytest.raises(
        InputError,
        match=r"^3 processes share the pieces of a step, and pieces is 2; set ",
    ):
        Stepper(network, task, config, CPU, Ranks(0, 3))


def test_a_few_patients_with_nearly_all_tiles_leave_no_process_idle(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, task, config = bench(pieces=3, fusion="concat")
    stepper = Stepper(network, task, config, CPU, Ranks())
    monkeypatch.setattr(
        stepper,
        "_bytes",
        lambda rows: np.where(np.arange(len(rows)) == 23, 10**6, 1),
    )
    assert len(stepper.pieces(task.train)) == 3


@pytest.mark.parametrize(
    ("fields", "fits"),
    [({"bag_width": 8}, True), ({"bag_width": 64, "attention_width": 64}, True)],
)
def test_bytes_are_no_fewer_than_what_a_step_keeps(
    bench: Bench,
    fields: dict[str, Any],
    fits: bool,
) -> None:
    """Counted from the tensors that the graph of a bag holds on to."""
    network, task, _ = bench(
        fusion="concat",
        max_tiles=None,
        bag_components=None,
        **fields,
    )
    branch: Any = network.branches["slides"]
    batch = task.source.batch(task.train)
    tiles, offsets = batch.bags["slides"], batch.offsets["slides"]
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if tensor.numel() >= len(tiles):
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        branch.read(tiles, offsets)
    kept = sum(held.values()) / len(tiles)
    assert kept <= 4 * tiles.shape[1] + branch.bytes_per_tile
    assert (
        kept > 0.6 * (4 * tiles.shape[1] + branch.bytes_per_tile)
    ) == fits  # and not far more

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from running import QUICK, Diary, Stopped, fails_with, loaded, small
from survfuse._errors import InputError
from survfuse._storage import read_tensors, write_tensors
from survfuse._types import Batch
from survfuse.cohort import BatchSource, Cohort, Transforms
from survfuse.config import FitConfig
from survfuse.losses import cox, cox_batch, discretise
from survfuse.metrics import harrell_c
from survfuse.models import FusionNetwork, build_network
from survfuse.models.network_config import network_config
from survfuse.training import (
    Epoch,
    Hook,
    Run,
    Target,
    Task,
    batch_sampling,
    loop,
    objective,
    pick_device,
    predict,
    train,
    validation_score,
)

Bench = Callable[..., tuple[FusionNetwork, Task, FitConfig]]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def bench(cohort: Cohort) -> Bench:
    """Make a fresh network, a task of 16 training and 8 validation patients, and their configuration."""

    def make(**fields: Any) -> tuple[FusionNetwork, Task, FitConfig]:
        config = FitConfig.of(**{**QUICK, "patience": 50, **fields})
        transforms = Transforms.fit(cohort, cohort.patients[:16], config)
        assert cohort.outcome is not None
        time, event = (
            cohort.outcome["time"].to_numpy(float),
            cohort.outcome["event"].to_numpy(bool),
        )
        edges = (
            discretise(time[:16], event[:16], config.network.bins)
            if config.network.head == "discrete"
            else None
        )
        shape = network_config(
            config if edges is None else config.model_copy(update={"bins": len(edges)}),
            transforms.dims,
            transforms.kinds,
        )
        task = Task(
            label="a run",
            source=BatchSource(cohort, transforms, cohort.patients),
            train=np.arange(16),
            validation=np.arange(16, 24),
            time=time,
            event=event,
            epochs=config.training.epochs,
            seed=5,
            bin_edges=edges,
        )
        return build_network(shape, seed=5), task, config

    return make


def weights(network: FusionNetwork) -> dict[str, bytes]:
    return {
        name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()
    }


class Doors(Hook):
    """Writes down which door was opened when."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def on_start(self, run: Run) -> None:
        self.opened.append("start")

    def on_epoch_start(self, run: Run, epoch: int) -> None:
        self.opened.append(f"epoch {epoch}")

    def on_loss(self, run: Run, loss: torch.Tensor) -> None:
        self.opened.append("loss")

    def on_gradient(self, run: Run, network: torch.nn.Module) -> None:
        self.opened.append("gradient")

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        self.opened.append(f"end of {epoch.number}")

    def on_checkpoint(self, run: Run, path: Path) -> None:
        self.opened.append(f"saved {path.name}")

    def on_end(self, run: Run) -> None:
        self.opened.append("end")


def test_the_doors_open_in_their_order(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    network, task, config = bench(batch=8)
    doors = Doors()
    run = train(
        network,
        replace(task, epochs=2),
        config,
        hooks=[doors],
        checkpoint=tmp_path / "c",
        key="k",
    )
    steps = ["loss", "gradient"] * 2
    one, two = (
        ["epoch 1", *steps, "end of 1", "saved c"],
        ["epoch 2", *steps, "end of 2", "saved c"],
    )
    assert doors.opened == ["start", *one, *two, "end"]
    assert [epoch.number for epoch in run.history] == [1, 2]
    assert [len(risks) for risks in run.validation_log_risk] == [8, 8]


def test_training_lowers_the_training_loss(bench: Bench) -> None:
    network, task, config = bench(dropout=0.0, input_dropout=0.0)
    run = train(network, replace(task, epochs=50), config)
    assert run.history[-1].train_loss < run.history[0].train_loss - 0.2


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"batch": 2, "loss": "paper", "sampling": "event_balanced", "max_tiles": None},
        {"batch": 5, "loss": "breslow", "optimizer": "adam"},
        {"head": "discrete", "bins": 3},
        {"fusion": "pairwise", "rank": 2, "gradient_clip": None},
        {"bag_pooling": "mean", "max_tiles": None},
    ],
    ids=["default", "paper", "batches", "discrete", "pairwise", "mean"],
)
def test_a_run_that_was_stopped_goes_on_bit_by_bit(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    straight, task, config = bench(**fields)
    task = replace(task, epochs=6, keep_best=True)
    whole = train(straight, task, config)

    class Stop(Hook):
        def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
            if epoch.number == 4:  # epoch 3 is the last in the checkpoint
                raise Stopped

    place = tmp_path / "run.safetensors"
    with pytest.raises(Stopped, match=r"^$"):
        train(
            bench(**fields)[0],
            task,
            config,
            hooks=[Stop()],
            checkpoint=place,
            key="k",
        )
    again, _, _ = bench(**fields)
    diary = Diary()
    resumed = train(again, task, config, hooks=[diary], checkpoint=place, key="k")
    assert [number for _, number in diary.epochs] == [4, 5, 6]
    assert weights(again) == weights(straight)
    assert resumed.best_epoch == whole.best_epoch
    assert [(e.number, e.train_loss, e.score) for e in resumed.history] == [
        (e.number, e.train_loss, e.score) for e in whole.history
    ]
    np.testing.assert_array_equal(
        resumed.validation_log_risk,
        whole.validation_log_risk,
    )


def test_a_checkpoint_of_another_run_is_refused(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    network, task, config = bench()
    place = tmp_path / "c"
    train(network, task, config, checkpoint=place, key="one")
    with pytest.raises(
        InputError,
        match=r"c: a checkpoint of another run \(config, patients or data differ\); delete it$",
    ):
        train(bench()[0], task, config, checkpoint=place, key="two")
    arrays, header = read_tensors(place)
    del header["sha256"]  # the format's first version had none
    write_tensors(place, arrays, {**header, "version": "1"})
    with pytest.raises(
        InputError,
        match=r"c: a checkpoint of another run .*; delete it$",
    ):
        train(bench()[0], task, config, checkpoint=place, key="one")


def test_a_damaged_checkpoint_is_begun_anew_with_a_note(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    network, task, config = bench()
    place = tmp_path / "c"
    straight = train(network, task, config, checkpoint=place, key="one")
    whole = place.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    for damaged in (bytes(flipped), whole[:-100], whole[:5], b""):
        place.write_bytes(damaged)
        caplog.clear()
        diary, again = Diary(), bench()[0]
        run = train(again, task, config, checkpoint=place, key="one", hooks=[diary])
        assert len(diary.epochs) == task.epochs
        assert [epoch.train_loss for epoch in run.history] == [
            e.train_loss for e in straight.history
        ]
        assert weights(again) == weights(network)
        (note,) = caplog.messages
        assert note.startswith("a kept result is damaged and is computed anew: ")
        assert str(place) in note


def test_a_full_disk_ends_a_training_with_an_answer_and_keeps_the_last_checkpoint(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    _, task, config = bench()
    with monkeypatch.context() as full:

        class Full(Diary):
            def on_checkpoint(self, run: Run, path: Path) -> None:
                full.setattr(os, "fsync", fails_with(errno.ENOSPC))

        with pytest.raises(InputError, match=r"c: the disk is full; free some space"):
            train(
                bench()[0],
                task,
                config,
                checkpoint=tmp_path / "c",
                key="one",
                hooks=[Full()],
            )
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    diary = Diary()
    train(bench()[0], task, config, checkpoint=tmp_path / "c", key="one", hooks=[diary])
    assert [number for _, number in diary.epochs] == [2, 3, 4]


def test_the_best_epoch_has_the_smallest_score_and_its_weights_are_kept(
    bench: Bench,
) -> None:
    network, task, config = bench(learning_rate=0.3)
    run = train(network, replace(task, epochs=30, keep_best=True), config)
    scores = [epoch.score for epoch in run.history]
    assert run.best_epoch == int(np.argmin(scores)) + 1
    assert run.best_epoch < 30, (
        "this test says nothing unless an earlier epoch is the best"
    )
    risks = predict(network, task.source, task.validation, torch.device("cpu"))
    np.testing.assert_array_equal(risks, run.validation_log_risk[run.best_epoch - 1])


@pytest.mark.parametrize(("min_epochs", "patience"), [(1, 1), (1, 3), (6, 2), (0, 2)])
def test_patience_counts_from_the_best_epoch_or_the_first_that_counts(
    bench: Bench,
    min_epochs: int,
    patience: int,
) -> None:
    network, task, config = bench(
        learning_rate=0.3,
        min_epochs=min_epochs,
        patience=patience,
    )
    run = train(network, replace(task, epochs=40), config)
    assert len(run.history) == max(run.best_epoch, min_epochs) + patience


def test_without_validation_patients_all_epochs_are_run(bench: Bench) -> None:
    network, task, config = bench(patience=1, min_epochs=1)
    run = train(network, replace(task, validation=np.arange(0), epochs=7), config)
    assert len(run.history) == 7
    assert [epoch.score for epoch in run.history] == [None] * 7
    assert run.best_epoch == 0
    assert run.best_score == float("inf")


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    bench: Bench,
) -> None:
    found = []
    for seed in (5, 5, 6):
        network, task, config = bench()
        torch.manual_seed(3 + len(found))  # the world's own stream has no say
        train(network, replace(task, seed=seed), config)
        found.append(weights(network))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_training_leaves_the_worlds_random_stream_alone(bench: Bench) -> None:
    network, task, config = bench()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(network, task, config)
    assert torch.equal(torch.rand(3), expected)


class Draws:
    """A source that remembers which rows were asked for while training."""

    def __init__(self, source: Any) -> None:
        self.source, self.rows = source, []

    def batch(
        self,
        rows: Any,
        *,
        max_tiles: int | None = None,
        seed: int | None = None,
    ) -> Batch:
        if max_tiles is not None:
            self.rows.append(np.asarray(rows))
        return self.source.batch(rows, max_tiles=max_tiles, seed=seed)

    def tile_counts(self, rows: Any, max_tiles: int | None = None) -> Any:
        return self.source.tile_counts(rows, max_tiles)


def test_an_epoch_passes_over_every_training_patient_once(bench: Bench) -> None:
    network, task, config = bench(batch=5)
    draws = Draws(task.source)
    train(
        network,
        replace(task, source=draws, epochs=2, event=np.ones(24, bool)),
        config,
    )
    assert [len(rows) for rows in draws.rows] == [5, 5, 5, 1] * 2
    first, second = np.concatenate(draws.rows[:4]), np.concatenate(draws.rows[4:])
    assert sorted(first) == sorted(second) == list(range(16))
    assert list(first) != list(second)


def test_event_balanced_sampling_draws_events_half_of_the_time(bench: Bench) -> None:
    network, task, config = bench(sampling="event_balanced", batch="cohort")
    event = task.event.copy()
    event[:16] = np.arange(16) < 2  # one in eight
    draws = Draws(task.source)
    train(network, replace(task, source=draws, epochs=60, event=event), config)
    drawn = np.concatenate(draws.rows)
    assert set(drawn) == set(range(16))
    assert event[drawn].mean() == pytest.approx(0.5, abs=0.08)  # 960 draws: sd 0.016


@pytest.mark.parametrize(
    "event",
    [np.ones(16, bool), np.zeros(16, bool)],
    ids=["all", "none"],
)
def test_event_balanced_sampling_needs_no_two_kinds(
    bench: Bench,
    event: np.ndarray,
) -> None:
    network, task, config = bench(sampling="event_balanced", loss="paper", batch=4)
    whole = np.concatenate([event, task.event[16:]])
    run = train(network, replace(task, event=whole), config)
    assert all(np.isfinite(epoch.train_loss) for epoch in run.history)


def test_prediction_is_one_patient_at_a_time_or_all_together(bench: Bench) -> None:
    network, task, _ = bench()
    rows = np.arange(24)
    together = predict(network, task.source, rows, torch.device("cpu"))
    single = [
        predict(network, task.source, np.array([row]), torch.device("cpu"))[0]
        for row in rows
    ]
    np.testing.assert_allclose(together, single, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(
        predict(network, task.source, rows[:0], torch.device("cpu")),
        [],
    )


def test_prediction_in_parts_is_the_same(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, task, _ = bench()
    whole = predict(network, task.source, np.arange(24), torch.device("cpu"))
    monkeypatch.setattr(batch_sampling, "PREDICT_PATIENTS", 5)
    parts = predict(network, task.source, np.arange(24), torch.device("cpu"))
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6)


def test_scores_are_smaller_when_better() -> None:
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, False, True])
    good, bad = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
    for select_by in ("loss", "harrell_c"):
        config = FitConfig(select_by=select_by)
        better, worse = (
            validation_score(config, time, event, risk) for risk in (good, bad)
        )
        assert better is not None
        assert worse is not None
        assert better < worse
    expected = float(
        cox(torch.from_numpy(good), torch.from_numpy(event), torch.from_numpy(time)),
    )
    assert validation_score(FitConfig(), time, event, good) == expected
    value = harrell_c(time, event, good).value
    assert value is not None
    assert (
        validation_score(FitConfig(select_by="harrell_c"), time, event, good) == -value
    )


@pytest.mark.parametrize("select_by", ["loss", "harrell_c"])
def test_what_cannot_be_scored_is_none_and_a_broken_network_is_worst(
    select_by: str,
) -> None:
    config = FitConfig(select_by=select_by)  # type: ignore[arg-type]
    time = np.array([1.0, 2.0])
    assert (
        validation_score(config, time, np.zeros(2, bool), np.array([0.0, 1.0])) is None
    )
    assert validation_score(
        config,
        time,
        np.ones(2, bool),
        np.array([0.0, np.nan]),
    ) == float("inf")


def test_the_objective_is_the_declared_loss(bench: Bench) -> None:
    network, task, _ = bench()
    network.eval()
    batch = task.source.batch(np.arange(16))
    made, target = network(batch), Target(batch.time, batch.event)
    for loss in ("efron", "breslow"):
        ours = objective(made.output, network.head, target, FitConfig(loss=loss))
        assert ours == cox(made.log_risk, batch.event, batch.time, ties=loss)
        pooled = objective(
            made.output,
            network.head,
            replace(target, events=4.0),
            FitConfig(loss=loss),
        )
        assert (
            pooled
            == cox(made.log_risk, batch.event, batch.time, ties=loss, reduction="sum")
            / 4
        )
    paper = objective(
        made.output,
        network.head,
        target,
        FitConfig(fusion="concat", loss="paper"),
    )
    assert paper == cox_batch(made.log_risk, batch.event, batch.time)
    with pytest.raises(ValueError, match=r"a discrete head needs bin_edges"):
        objective(
            made.output,
            network.head,
            target,
            FitConfig(fusion="concat", head="discrete"),
        )


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(
        InputError,
        match=r"^device: 'cuda' was asked for, but torch sees no GPU; use 'cpu' or 'auto'$",
    ):
        pick_device("cuda")

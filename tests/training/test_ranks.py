"""Several processes train as one, a lost one is told, and the same command goes on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from running import SETTINGS, small
from survfuse._errors import InputError
from survfuse._storage import read_tensors
from survfuse.estimator import load
from survfuse.training import Ranks, ranks_of_launcher

# Trains a network on the cohort given and writes its weights; on request a rank kills itself in the middle.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import survfuse as sf
from survfuse._storage import write_tensors
from survfuse.training import Hook, loop, ranks_of_launcher

loop.CHECKPOINT_SECONDS = 0.0
cohort_file, out, rank, epoch = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

class Die(Hook):
    def on_epoch_end(self, run, done):
        if os.environ.get("RANK") == rank and "refit" in run.label and done.number == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

class Told(Hook):
    def on_start(self, run):
        print(f"{run.label}: from {len(run.history)}", flush=True)

with ranks_of_launcher("cpu") as ranks:
    with ranks.first():
        cohort = sf.load_cohort(cohort_file)
    model = sf.SurvivalFusion(fusion="pairwise", epochs=6, selection="last", selection_folds=2, pieces=3,
        expression_components=4, batch=10, dropout=0.3, bag_rate=1.0, device="cpu")
    model.fit(cohort, hooks=[Die(), Told()], checkpoints=out / "checkpoints")
if ranks.writes:
    weights = {name: tensor.numpy() for name, tensor in model.fitted.model.networks[0].state_dict().items()}
    risks = model.predict(cohort).log_risk
    write_tensors(out / "weights.safetensors", {**weights, "risks": risks}, {"epochs": "x"})
"""


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def launch(program: list[str], count: int) -> list[subprocess.Popen[str]]:
    """Start `count` processes as torchrun would."""
    port = str(free_port())
    alone = {
        key: value
        for key, value in os.environ.items()
        if key not in {"RANK", "WORLD_SIZE"}
    }
    together = {
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    return [
        subprocess.Popen(
            program,
            env={
                **alone,
                "OMP_NUM_THREADS": "1",
                **({**together, "RANK": str(rank)} if count > 1 else {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]


def ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    told = [process.communicate(timeout=300)[0] for process in processes]
    return [
        (process.returncode, text)
        for process, text in zip(processes, told, strict=True)
    ]


@pytest.fixture(scope="module")
def cohort_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("cohort")).write()


def program(cohort_file: Path, out: Path, rank: str = "-", epoch: int = 0) -> list[str]:
    out.mkdir(exist_ok=True)
    return [sys.executable, "-c", PROGRAM, str(cohort_file), str(out), rank, str(epoch)]


@pytest.fixture(scope="module")
def alone(
    cohort_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, np.ndarray]:
    """Weights and risks of one process."""
    out = tmp_path_factory.mktemp("alone")
    ((code, text),) = ends(launch(program(cohort_file, out), 1))
    assert code == 0, text
    return read_tensors(out / "weights.safetensors")[0]


CONSTANT = ("pooling.score.bias", "out.bias", "head.linear.bias")
"""Added to all scores of a softmax, or to all log-risks: their gradient is rounding, made large by Adam."""


def assert_same(out: Path, alone: dict[str, np.ndarray]) -> None:
    found = read_tensors(out / "weights.safetensors")[0]
    assert found.keys() == alone.keys()
    for name, weight in alone.items():
        if name == "risks":
            np.testing.assert_allclose(
                found[name] - found[name].mean(),
                weight - weight.mean(),
                atol=1e-6,
            )
        elif not name.endswith(CONSTANT):
            np.testing.assert_allclose(
                found[name],
                weight,
                rtol=0,
                atol=1e-6,
                err_msg=name,
            )


@pytest.mark.slow
def test_two_processes_train_what_one_trains(
    cohort_file: Path,
    alone: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    for code, text in ends(launch(program(cohort_file, tmp_path), 2)):
        assert code == 0, text
    assert_same(tmp_path, alone)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["0", "1"])
def test_a_lost_process_is_told_and_the_same_command_goes_on(
    cohort_file: Path,
    alone: dict[str, np.ndarray],
    tmp_path: Path,
    lost: str,
) -> None:
    told = ends(launch(program(cohort_file, tmp_path, lost, 3), 2))
    assert told[int(lost)][0] == -9
    code, text = told[1 - int(lost)]
    assert code != 0
    assert "lost touch with the others" in text
    assert "start the same command again: it goes on from the last checkpoint" in text
    assert not (tmp_path / "weights.safetensors").exists()
    for code, text in ends(launch(program(cohort_file, tmp_path), 2)):
        assert code == 0, text
        assert "refit: from 0" not in text  # neither rank began anew
        assert "refit: from " in text
    assert_same(tmp_path, alone)


@pytest.mark.slow
def test_the_command_line_writes_one_bundle(cohort_file: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "survfuse",
        "train",
        str(cohort_file),
        "-o",
        str(tmp_path / "bundle"),
    ]
    told = ends(
        launch([*command, "--quiet", *SETTINGS, "--set=model.training.pieces=2"], 2),
    )
    assert [code for code, _ in told] == [0, 0], told
    assert "bundle: " in told[0][1]
    assert "bundle: " not in told[1][1]
    assert load(tmp_path / "bundle").fitted is not None
    assert not list(tmp_path.glob(".bundle*"))


def test_ranks_alone_add_nothing_up() -> None:
    one, tensor = Ranks(), torch.ones(2)
    assert Ranks.here() == one
    one.add(tensor)
    one.agree(3, "anything")
    with one.first():
        assert tensor.tolist() == [1, 1]
    assert one.writes
    assert not Ranks(1, 2).writes


def test_half_a_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(
            InputError,
            match=r"^WORLD_SIZE is '2', but RANK, MASTER_ADDR, MASTER_PORT is not set",
        ),
        ranks_of_launcher("cpu"),
    ):
        pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    with ranks_of_launcher("cpu") as ranks:
        assert ranks == Ranks()

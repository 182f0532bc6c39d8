"""Training: ours against the loop its paper describes, in one process, taking turns.

The baseline does, patient by patient, what the paper's repository does: a data set
that reads the patient's RNA and clinical JSON and the slide's feature file from disk
each time it is asked, a loader with an event-balanced sampler, one pass through the
network per patient, the Cox loss over a batch of two, torch's Adam as it comes.
`in memory` is the same loop over the same patients without the files. All train the
same network (41.6 million weights) on the same simulated cohort, shaped like CHIMERA
task 3, with files in the page cache.

    python benchmarks/training.py [--turns 3] [--steps 20] [--patients 176] [--tiles 1500] [--quick]

Ours: `whole cohort` is how we train, one Cox step over all patients an epoch, in
float32 and bfloat16, and in two passes where 256 MB are all it may take; `batches of
two` is preset `paper`, to the letter.

First the two are checked to be the same: same weights, same batch, same loss, to 1e-5
in float64; the float32 kernels that are timed, to 1e-5 of the largest log-risk (about
ten here, and float32 rounds in proportion to it). Then all take turns in fresh
networks. Printed: medians over turns of the seconds per epoch (scaled up where
`--steps` cuts the baseline short) and of the most memory beyond what was resident
before. What ours does once (loading, transforms) has columns of its own.

An epoch of one step is not an epoch of 88, so before that: seconds until the same training
likelihood. The baseline (in memory) trains `--chase` epochs; ours trains, from the same
weights, with whole cohorts until the Cox likelihood of the training patients (Efron,
evaluation mode) is as good. Pairs of patients say how risks are ordered, hardly how far apart they
are: told as they are, the baseline's risks lie so far apart that its likelihood is worse than that
of the untrained network for epochs. So each is compared at the multiple of its risks that suits it
best. Genes are standardised and nothing decays there: otherwise the baseline overflows, or,
with the paper's decay, learns nothing.

Threads that wait for each other spin by default; where other programs want the cores
too, that alone can cost fifty times the work (both loops alike). So the process starts
itself again with OMP_WAIT_POLICY=passive, unless the variable is set.

Exits 1 when the losses differ, or at full size when ours is not twice as fast.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from measuring import Peak
from preparing import prepared
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from survfuse._types import IntArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.config import FitConfig
from survfuse.datasets.simulate import simulate
from survfuse.models import FusionNetwork
from survfuse.survival.cox import fit_cox, partial_log_likelihood
from survfuse.training import Epoch, Hook, Run, Target, Task, objective, predict, train

Item = tuple[Tensor, Tensor, Tensor, float, float]
Paired = tuple[list[Tensor], list[Tensor], list[Tensor], Tensor, Tensor]
TOLERANCE = 1e-5
FASTER = 2.0
BASELINE = "baseline"
# Raw VST values and no decay send the baseline to infinity, the paper's decay of 0.3 to a constant. A whole
# cohort's gradient has less noise than two patients': ten times the paper's step.
CHASE = {"expression_scaling": "standard", "weight_decay": 0.0, "learning_rate": 1e-3}


@dataclass(frozen=True)
class Measured:
    """One turn: seconds per epoch and megabytes at the peak, and the same of what is done once before."""

    epoch: float
    memory: float
    once: float = 0.0
    once_memory: float = 0.0


# -- the baseline: written from the paper's description, plain torch


class Pair(nn.Module):
    """``W_o[(U x + b) * (V y + c)] + d``."""

    def __init__(self, left: int, right: int, rank: int, out: int) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(left, rank), nn.Linear(right, rank)
        self.out = nn.Linear(rank, out)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Combine (1, left) and (1, right) -> (1, out)."""
        return cast(Tensor, self.out(self.left(left) * self.right(right)))


class PlainNetwork(nn.Module):
    """The paper's network for one patient: bag (tiles, dim), clinical (1, c) and expression (1, genes)."""

    def __init__(
        self,
        dim: int,
        clinical: int,
        genes: int,
        pairs: Sequence[str],
    ) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(dim, 512), nn.ReLU(), nn.Dropout(0.25))
        self.signal = nn.Sequential(nn.Linear(512, 256), nn.Tanh(), nn.Dropout(0.25))
        self.gate = nn.Sequential(nn.Linear(512, 256), nn.Sigmoid(), nn.Dropout(0.25))
        self.score = nn.Linear(256, 1)
        first = [nn.Linear(genes, 2048), nn.ReLU(), nn.Dropout(0.25)]
        second = [nn.Linear(2048, 512), nn.ReLU(), nn.Dropout(0.25)]
        self.expression = nn.Sequential(*first, *second, nn.Linear(512, 128), nn.ReLU())
        widths = {"slides": 512, "expression": 128, "clinical": clinical}
        self.pairs = nn.ModuleDict()
        for key in pairs:
            left, right = key.split("*")
            self.pairs[key] = Pair(
                widths[left],
                widths[right],
                64,
                32 if "clinical" in key else 64,
            )
        self.head = nn.Linear(128, 1)

    def forward(self, bag: Tensor, clinical: Tensor, expression: Tensor) -> Tensor:
        """Log-risk, (1, 1)."""
        tiles = self.project(bag)
        attention = torch.softmax(
            self.score(self.signal(tiles) * self.gate(tiles)).T,
            dim=1,
        )
        read = {
            "slides": attention @ tiles,
            "clinical": clinical,
            "expression": self.expression(expression),
        }
        blocks = [
            pair(*(read[name] for name in key.split("*")))
            for key, pair in self.pairs.items()
        ]
        return cast(Tensor, self.head(torch.cat(blocks, dim=1)))


def names_of(ours: str) -> str:
    """Name a weight of our network as the plain one does."""
    for mine, plain in {
        "branches.slides.project": "project.0",
        "branches.slides.pooling.signal": "signal.0",
        "branches.slides.pooling.gate": "gate.0",
        "branches.slides.pooling.score": "score",
        "branches.expression.layers.0": "expression.0",
        "branches.expression.layers.1": "expression.3",
        "branches.expression.layers.2": "expression.6",
        "fusion.pairs": "pairs",
        "head.linear": "head",
    }.items():
        if ours.startswith(f"{mine}."):
            return plain + ours.removeprefix(mine)
    raise KeyError(ours)


def plain_network(network: FusionNetwork) -> PlainNetwork:
    """Make a plain network of the same shape, with weights of its own."""
    dims = {m.name: m.input_dim for m in network.config.modalities}
    pairs = [
        name.split(".")[2]
        for name in network.state_dict()
        if name.startswith("fusion.pairs.")
    ]
    return PlainNetwork(
        dims["slides"],
        dims["clinical"],
        dims["expression"],
        list(dict.fromkeys(pairs)),
    )


class Files(Dataset[Item]):
    """Patients, read from their files each time they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcome = json.loads((folder / "outcome.json").read_text())
        self.patients = sorted(self.outcome)
        self.genes = json.loads((folder / "gene_order.json").read_text())

    def __len__(self) -> int:
        return len(self.patients)

    def __getitem__(self, row: int) -> Item:
        patient = self.patients[row]
        with (self.folder / f"{patient}_RNA.json").open() as file:
            values = json.load(file)
        expression = torch.tensor(
            [values[gene] for gene in self.genes],
            dtype=torch.float32,
        )
        with (self.folder / f"{patient}_CD.json").open() as file:
            clinical = torch.tensor(list(json.load(file).values()), dtype=torch.float32)
        bag = torch.load(self.folder / f"{patient}_HE.pt", weights_only=True)
        return bag, clinical[None], expression[None], *self.outcome[patient]


def side_by_side(items: list[Item]) -> Paired:
    bags, clinical, expression, times, events = zip(*items, strict=True)
    return (
        list(bags),
        list(clinical),
        list(expression),
        torch.tensor(times),
        torch.tensor(events),
    )


def cox_of_batch(risk: Tensor, times: Tensor, events: Tensor) -> Tensor:
    order = torch.argsort(times, descending=True)
    risk, events = risk[order], events[order]
    if events.sum() == 0:
        return risk.sum() * 0.0
    return (
        -(events * (risk - torch.log(torch.cumsum(torch.exp(risk), 0) + 1e-8))).sum()
        / events.sum()
    )


def plain_loss(network: PlainNetwork, batch: Paired) -> Tensor:
    bags, clinical, expression, times, events = batch
    risks = [network(bags[i], clinical[i], expression[i]) for i in range(len(bags))]
    return cox_of_batch(torch.cat(risks).squeeze(1), times, events)


class InMemory(Dataset[Item]):
    """Patients that are at hand."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    @classmethod
    def of(cls, task: Task) -> InMemory:
        """Patients as ours sees them."""
        items = []
        for row in range(len(task.time)):
            batch = task.source.batch(np.array([row]))
            vectors = batch.vectors["clinical"], batch.vectors["expression"]
            outcome = float(task.time[row]), float(task.event[row])
            items.append((batch.bags["slides"].float().clone(), *vectors, *outcome))
        return cls(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Item:
        return self.items[row]


def plain_optimizer(network: PlainNetwork, decay: float = 0.3) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=decay)


def plain_epoch(
    network: PlainNetwork,
    files: Files,
    rows: IntArray,
    items: Dataset[Item],
    optimizer: torch.optim.Optimizer | None = None,
) -> float:
    """Seconds of an epoch over some of the patients."""
    optimizer = optimizer or plain_optimizer(network)
    event = np.array([files.outcome[patient][1] for patient in files.patients])[rows]
    rate = np.zeros(len(files))
    rate[rows] = np.where(event > 0, 1 / event.sum(), 1 / (1 - event).sum())
    sampler = WeightedRandomSampler(rate.tolist(), len(rows), replacement=True)
    loader = DataLoader(items, batch_size=2, sampler=sampler, collate_fn=side_by_side)
    network.train()
    start = time.perf_counter()
    for batch in loader:
        loss = plain_loss(network, batch)
        loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - start


# -- ours


def some(task: Task, count: int) -> IntArray:
    """Rows of the first `count` patients, events and censored in the cohort's proportion."""
    happened, censored = np.flatnonzero(task.event), np.flatnonzero(~task.event)
    events = max(1, round(count * len(happened) / len(task.event)))
    return np.sort(np.concatenate([happened[:events], censored[: count - events]]))


# -- files, memory, and the comparison


def export(
    folder: Path,
    task: Task,
    names: Sequence[str],
    genes: Sequence[str],
) -> None:
    """Write the files that the baseline reads, from the very values that ours trains on."""
    assert isinstance(task.source, BatchSource)
    folder.mkdir()
    (folder / "gene_order.json").write_text(json.dumps(list(genes)))
    outcome = {}
    for row, patient in enumerate(task.source.patients):
        batch = task.source.batch([row])
        torch.save(batch.bags["slides"].float().clone(), folder / f"{patient}_HE.pt")
        values = batch.vectors["expression"][0].tolist()
        (folder / f"{patient}_RNA.json").write_text(
            json.dumps(dict(zip(genes, values, strict=True))),
        )
        encoded = batch.vectors["clinical"][0].tolist()
        (folder / f"{patient}_CD.json").write_text(
            json.dumps(dict(zip(names, encoded, strict=True))),
        )
        outcome[patient] = [float(task.time[row]), float(task.event[row])]
    (folder / "outcome.json").write_text(json.dumps(outcome))


def largest_difference(
    folder: Path,
    files: Files,
    config: FitConfig,
    batches: int,
) -> tuple[float, float]:
    """Largest difference of the two losses, same weights and batch, dropout off.

    In float64 as it is; in float32 relative to the largest log-risk of the batch.
    """
    network, task = prepared(folder, config, epochs=1)
    plain = plain_network(network).eval()
    plain.load_state_dict(
        {names_of(name): weight for name, weight in network.state_dict().items()},
    )
    network.eval()
    happened, worst = (
        np.flatnonzero(task.event),
        {torch.float64: 0.0, torch.float32: 0.0},
    )
    with torch.no_grad():
        for dtype in (torch.float32, torch.float64):
            network.to(dtype)
            plain.to(dtype)
            for number in range(batches):
                early = int(happened[np.argsort(task.time[happened])[number]])
                rows = np.array([early, int(task.time.argmax()) - number])
                batch = task.source.batch(rows)
                vectors = {
                    name: values.to(dtype) for name, values in batch.vectors.items()
                }
                output = network(replace(batch, vectors=vectors))
                read = side_by_side([files[int(row)] for row in rows])
                bags, clinical, expression = (
                    [value.to(dtype) for value in part] for part in read[:3]
                )
                theirs = plain_loss(
                    plain,
                    (bags, clinical, expression, read[3], read[4]),
                )
                unit = (
                    output.log_risk.abs().max().clamp_min(1.0)
                    if dtype == torch.float32
                    else 1.0
                )
                target = Target(batch.time, batch.event)
                mine = objective(output.output, network.head, target, config)
                apart = float(abs(mine - theirs) / unit)
                worst[dtype] = max(worst[dtype], apart)
    return worst[torch.float64], worst[torch.float32]


def arms() -> dict[str, FitConfig]:
    """Ours in its ways, by name."""
    whole = {
        "batch": "cohort",
        "sampling": "shuffle",
        "loss": "efron",
        "device": "cpu",
        "memory_mb": 8192,
    }
    return {
        "whole cohort": FitConfig.of("paper", **whole),
        "whole cohort, bfloat16": FitConfig.of("paper", **whole, precision="bfloat16"),
        "whole cohort, 256 MB": FitConfig.of("paper", **{**whole, "memory_mb": 256}),
        "batches of two": FitConfig.of("paper", device="cpu"),
    }


def take_turns(
    folder: Path,
    files: Files,
    ways: Mapping[str, FitConfig],
    turns: int,
    steps: int,
) -> dict[str, list[Measured]]:
    """Measure the baseline and ours, alternately; batches of two in turns of so many steps."""
    network, task = prepared(folder, ways["batches of two"], epochs=1)
    few, everyone = some(task, min(2 * steps, len(files))), np.arange(len(files))
    empty = network.to("meta")
    del network, task
    held = InMemory([files[row] for row in range(len(files))])

    def baseline(items: Dataset[Item]) -> Measured:
        torch.manual_seed(1)
        peak = Peak()
        seconds = plain_epoch(plain_network(empty), files, few, items)
        return Measured(seconds * len(files) / len(few), peak.so_far())

    def ours(config: FitConfig) -> Measured:
        peak = Peak()
        start = time.perf_counter()
        network, task = prepared(folder, config, epochs=2)
        once, once_memory = time.perf_counter() - start, peak.so_far()
        rows = everyone if config.training.batch == "cohort" else few
        # The first epoch brings tiles from disk to memory that the next ones find there.
        history = train(network, replace(task, train=rows), config).history
        seconds = history[-1].seconds * len(files) / len(rows)
        return Measured(
            seconds,
            peak.so_far(),
            once + history[0].seconds - history[1].seconds,
            once_memory,
        )

    work: dict[str, Callable[[], Measured]] = {
        BASELINE: lambda: baseline(files),
        "baseline, in memory": lambda: baseline(held),
        **{name: (lambda config=config: ours(config)) for name, config in ways.items()},
    }
    each: dict[str, list[Measured]] = {name: [] for name in work}
    for _ in range(turns):
        for name, turn in work.items():
            each[name].append(turn())
            told = each[name][-1]
            print(
                f"  {name:24s}{told.epoch:8.2f} s per epoch {told.memory:6.0f} MB",
                flush=True,
            )
    return each


class Chase(Hook):
    """Looks at the training likelihood between epochs, off the clock, and ends the run at the goal."""

    def __init__(self, network: FusionNetwork, task: Task, goal: float) -> None:
        self.network, self.task, self.goal = network, task, goal
        self.seconds, self.found = 0.0, list[tuple[float, float]]()

    def on_epoch_end(self, run: Run, epoch: Epoch) -> None:
        """Add the epoch's seconds; end the run at the goal."""
        self.seconds += epoch.seconds
        self.found.append(likelihood(self.network, self.task))
        if self.found[-1][1] <= self.goal:
            raise Enough


class Enough(Exception):
    """The goal is reached."""


def likelihood(network: FusionNetwork, task: Task) -> tuple[float, float]:
    """Negative Cox log-likelihood per event of the training patients: as told, and at its best multiple."""
    training = network.training
    risks = predict(
        network,
        task.source,
        np.arange(len(task.time)),
        torch.device("cpu"),
    )
    network.train(training)
    told = partial_log_likelihood(task.time, task.event, risks)
    best = fit_cox(risks, task.time, task.event).log_likelihood
    return -told / task.event.sum(), -best / task.event.sum()


def chase(folder: Path, files: Files, epochs: int, steps: int) -> None:
    """Print seconds until the training likelihood that the baseline reaches in some epochs."""
    ways = {name: config.model_copy(update=CHASE) for name, config in arms().items()}
    network, task = prepared(folder, ways["whole cohort"], epochs=1)
    plain, seconds = plain_network(network), 0.0
    names = {name: names_of(name) for name in network.state_dict()}
    plain.load_state_dict(
        {names[name]: weight for name, weight in network.state_dict().items()},
    )
    held, optimizer = InMemory.of(task), plain_optimizer(plain, decay=0.0)
    torch.manual_seed(1)
    print(
        "\nnegative log-likelihood per event, training patients: as told / at its best multiple",
    )
    print("  untrained: {:.3f} / {:.3f}".format(*likelihood(network, task)))
    goal = np.inf
    for number in range(1, epochs + 1):
        seconds += plain_epoch(plain, files, np.arange(len(files)), held, optimizer)
        network.load_state_dict(
            {name: plain.state_dict()[names[name]] for name in names},
        )
        told, goal = likelihood(network, task)
        print(
            f"  baseline, in memory: {told:.3f} / {goal:.3f} after {number} epochs, {seconds:.1f} s",
        )
    for name in ("whole cohort", "whole cohort, bfloat16"):
        network, task = prepared(folder, ways[name], epochs=steps)
        watcher = Chase(network, task, goal)
        with contextlib.suppress(Enough):
            train(network, task, ways[name], hooks=[watcher])
        told, best = watcher.found[-1]
        how = f"{len(watcher.found)} steps, {watcher.seconds:.1f} s"
        how += (
            f", {seconds / watcher.seconds:.1f}x" if best <= goal else ": not reached"
        )
        print(f"  {name}: {told:.3f} / {best:.3f} after {how}")


def middle(turns: list[Measured]) -> Measured:
    """Median of each number."""
    return Measured(
        *(
            statistics.median(getattr(turn, f.name) for turn in turns)
            for f in fields(Measured)
        ),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--patients", type=int, default=176)
    parser.add_argument(
        "--tiles",
        type=int,
        default=1500,
        help="median tiles of a slide",
    )
    parser.add_argument("--genes", type=int, default=19_359)
    parser.add_argument("--turns", type=int, default=3, help="turns that each takes")
    parser.add_argument(
        "--steps",
        type=int,
        default=20,
        help="steps of a turn of batches of two, of 88",
    )
    parser.add_argument(
        "--chase",
        type=int,
        default=2,
        help="epochs whose likelihood is chased; 0: none",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a small cohort, to see that it runs",
    )
    given = parser.parse_args()
    if given.quick:
        given.patients, given.tiles, given.genes, given.turns, given.steps = (
            24,
            60,
            500,
            1,
            4,
        )
    whole = -(-given.patients // 2)
    steps = min(given.steps, whole)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "cohort"
        simulate(
            folder,
            patients=given.patients,
            tiles=given.tiles,
            genes=given.genes,
            signal="additive",
            seed=0,
        )
        config = FitConfig.of("paper", device="cpu")
        network, task = prepared(folder, config, epochs=1)
        dims = {m.name: m.input_dim for m in network.config.modalities}
        names = [f"clinical_{i}" for i in range(dims["clinical"])]
        export(
            Path(place) / "files",
            task,
            names,
            [f"GENE{i}" for i in range(dims["expression"])],
        )
        print(
            f"{given.patients} patients, {given.tiles} x {dims['slides']} tiles, {given.genes} genes, "
            f"{network.parameter_count():,} weights, {steps} steps a turn, {torch.get_num_threads()} threads",
        )
        del network, task
        files = Files(Path(place) / "files")
        exact, rounded = largest_difference(folder, files, config, batches=4)
        print(
            f"same weights, same batch: losses differ by {exact:.1e} in float64, {rounded:.1e} in float32",
        )
        if given.chase:
            chase(folder, files, given.chase, steps=60)
        if not given.turns:
            return int(max(exact, rounded) > TOLERANCE)
        each = take_turns(folder, files, arms(), given.turns, steps)
        show({name: middle(turns) for name, turns in each.items()})
    slow = middle(each[BASELINE]).epoch < FASTER * middle(each["whole cohort"]).epoch
    return int(max(exact, rounded) > TOLERANCE or (slow and not given.quick))


def show(medians: Mapping[str, Measured]) -> None:
    plain = medians[BASELINE]
    print(
        f"\n{'':24s}{'s per epoch':>12s}{'ratio':>8s}{'peak MB':>9s}{'ratio':>7s}{'once, s':>9s}{'MB':>6s}",
    )
    for name, m in medians.items():
        print(
            f"{name:24s}{m.epoch:12.3f}{plain.epoch / m.epoch:7.1f}x{m.memory:9.0f}"
            f"{plain.memory / m.memory:6.2f}x{m.once:9.2f}{m.once_memory:6.0f}",
        )


if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:  # read once, when torch is loaded
        os.execve(
            sys.executable,
            [sys.executable, *sys.argv],
            {**os.environ, "OMP_WAIT_POLICY": "passive"},
        )
    sys.exit(main())

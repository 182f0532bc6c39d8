"""One fit at work: its patients, their inner folds, and the three ways to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import ConfigError, SurvfuseError
from survfuse._storage import sha256_text, to_json
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse._version import __version__
from survfuse.anchors.model import AttentionAnchor, fit_anchored
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import holdout, inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.fit_summary import effective_size, learned_from, size_told
from survfuse.fitting.choices import choose_epoch, log_risks
from survfuse.losses import discretise
from survfuse.models.network import FusionNetwork, build_network
from survfuse.models.network_config import network_config
from survfuse.survival.calibration import OUT_OF_FOLD, Calibrator, centred_in_folds
from survfuse.survival.conformal import ConformalBound
from survfuse.survival.degrees_of_freedom import by_optimism
from survfuse.survival.stacking import gains
from survfuse.training import Hook, Ranks, Run, Task, train
from survfuse.tuning.search import search, trial_file

REMEMBERED = 8  # attention anchors: models of one fold with and without other modalities share them

_ATTENTION: dict[tuple[str, tuple[str, ...], bytes], AttentionAnchor] = {}


@dataclass(frozen=True)
class Part:
    """Transforms of some training patients, and batches of them and of validation patients."""

    transforms: Transforms
    source: BatchSource
    train: IntArray
    validation: IntArray
    time: FloatArray
    event: BoolArray


@dataclass(frozen=True)
class Made:
    """Networks, the transforms whose vectors they read, and all training patients so transformed."""

    transforms: Transforms
    networks: tuple[FusionNetwork, ...]
    source: BatchSource
    about: Mapping[str, Any] | None = None
    """What an anchored model is made of."""


@dataclass(frozen=True)
class Choice:
    """Epochs of each member, and the risks that calibration reads."""

    epochs: tuple[int, ...]
    out_of_fold: FloatArray | None
    made: Made | None = None
    """Filled where selection already made the final networks (`holdout`)."""


class Bench:
    """One fit: its patients, their inner folds, and where it keeps its place."""

    def __init__(
        self,
        cohort: Cohort,
        ids: tuple[str, ...],
        config: FitConfig,
        hooks: tuple[Hook, ...],
        folder: Path | None,
        *,
        inner: IntArray | None = None,
        word: str = "",
    ) -> None:
        assert cohort.outcome is not None
        outcome = cohort.outcome.loc[list(ids)]
        self.cohort, self.ids, self.config, self.hooks, self.folder = (
            cohort,
            ids,
            config,
            hooks,
            folder,
        )
        self.time = outcome["time"].to_numpy(dtype=np.float64)
        self.event = outcome["event"].to_numpy(dtype=bool)
        self.inner = (
            inner_folds(self.event, config.selection_folds, config.seed)
            if inner is None
            else inner
        )
        self.word = word  # before every label
        self.seeds = range(config.seed, config.seed + config.members)
        self._places: set[Path] = set()
        self._searched: Mapping[str, Any] | None = None
        self.identity = sha256_text(
            to_json([__version__, config.identity(), cohort.fingerprint(), ids]),
        )

    # -- hyper-parameters

    def search(self) -> FitConfig:
        """Choose hyper-parameters, if the configuration asks for it; what is returned is what is fitted."""
        if self.config.search != "none" and Ranks.here().count > 1:
            raise ConfigError(
                f"search: {self.config.search!r} runs on one process, for each has a clock of its own; "
                "search without torchrun, then train with the fields that search.json names",
            )
        if self.config.search == "none":
            return self.config
        names = self.config.modalities or self.cohort.modalities
        kinds = {
            self.cohort.modalities[name].kind
            for name in names
            if name in self.cohort.modalities
        }
        found = search(
            self.config,
            kinds,
            self._score,
            folder=self.folder,
            key=self.identity,
        )
        if self.folder is not None:
            self._places |= {
                trial_file(self.folder, trial["number"])
                for trial in found.log["trials"]
            }
        self.config, self._searched = found.config, found.log
        return self.config

    def _score(self, config: FitConfig, label: str) -> tuple[float, tuple[int, ...]]:
        """Out-of-fold log partial likelihood of a configuration per event, above that of no risk."""
        tried = config.model_copy(
            update={"calibration": "breslow_oof", "conformal": None},
        )
        bench = Bench(
            self.cohort,
            self.ids,
            tried,
            self.hooks,
            self.folder,
            inner=self.inner,
            word=self.word + label,
        )
        try:
            choice = bench.choose()
        except SurvfuseError:
            bench.clear()
            raise
        bench.clear()
        assert choice.out_of_fold is not None
        (gain,) = gains(
            choice.out_of_fold[:, None],
            self.time,
            self.event,
            fold=self.inner,
        )
        return float(gain / self.event.sum()), choice.epochs

    # -- the three ways to choose

    def choose(self) -> Choice:
        """Decide the number of epochs, and make out-of-fold risks if calibration wants them."""
        if self.config.fusion == "anchored":
            return self._by_anchors()
        if self.config.selection == "inner_folds":
            return self._by_inner_folds()
        if self.config.selection == "holdout":
            return self._by_holdout()
        epochs = (self.config.epochs,) * self.config.members
        return Choice(epochs, self._out_of_fold(epochs))

    def _by_inner_folds(self) -> Choice:
        runs = self._inner_runs(
            [self.config.epochs] * self.config.members,
            patient=True,
        )
        epochs = choose_epoch(
            [[epoch.score for epoch in run.history] for fold in runs for run in fold],
        )
        return Choice(
            (epochs,) * self.config.members,
            self._placed(runs, [epochs] * self.config.members),
        )

    def _by_holdout(self) -> Choice:
        held = holdout(self.event, self.config.holdout_fraction, self.config.seed)
        part = self.part(~held, held)
        networks, epochs = [], []
        for member, seed in enumerate(self.seeds):
            label = f"member {member + 1}, inner holdout"
            network, run = self.trained(
                part,
                label,
                self.config.epochs,
                seed,
                keep_best=True,
            )
            networks.append(network)
            epochs.append(run.best_epoch or len(run.history))
        everyone = BatchSource(self.cohort, part.transforms, self.ids)
        made = Made(part.transforms, tuple(networks), everyone)
        return Choice(tuple(epochs), self._out_of_fold(epochs), made)

    def _by_anchors(self) -> Choice:
        offer = (
            self._attention if self.config.anchor_bags != "mean" else lambda bag: None
        )
        model = fit_anchored(
            self.cohort,
            self.ids,
            self.time,
            self.event,
            self.inner,
            self.config,
            attention=offer,
        )
        made = Made(model.transforms, (model.network,), model.source, model.about)
        return Choice((), model.out_of_fold, made)

    def refit(self, epochs: Sequence[int]) -> Made:
        """Train every member on all training patients."""
        whole = np.ones(len(self.ids), dtype=bool)
        part = self.part(whole, ~whole)
        networks = tuple(
            self.trained(part, f"member {member + 1}, refit", epochs[member], seed)[0]
            for member, seed in enumerate(self.seeds)
        )
        return Made(part.transforms, networks, part.source)

    def _out_of_fold(self, epochs: Sequence[int]) -> FloatArray | None:
        if self.config.calibration not in OUT_OF_FOLD and self.config.conformal is None:
            return None
        return self._placed(self._inner_runs(epochs, patient=False), epochs)

    def bound(
        self,
        choice: Choice,
        log_risk: FloatArray,
        calibrator: Calibrator,
    ) -> ConformalBound | None:
        """Make the conformal bound that the configuration asks for, on out-of-fold risks."""
        if self.config.conformal is None or choice.out_of_fold is None:
            return None
        risks = (
            centred_in_folds(choice.out_of_fold, self.inner, len(self.ids))
            + log_risk.mean()
        )
        return ConformalBound.fit(
            self.time,
            self.event,
            risks,
            calibrator,
            self.config.conformal,
        )

    def _attention(self, bag: str) -> AttentionAnchor | None:
        """Train the bag's attention network on the patients who have it, in the same inner folds."""
        has = self.cohort.present.loc[list(self.ids), bag].to_numpy(bool)
        held = np.bincount(
            self.inner[has],
            weights=self.event[has],
            minlength=int(self.inner.max()) + 1,
        )
        if not held.all():
            return None  # an inner fold without an event cannot stop a training
        alone = self.config.model_copy(
            update={
                "fusion": "concat",
                "modalities": (bag,),
                "bag_pooling": "attention",
                "bag_rate": 1.0,
            },
        )
        ids = tuple(self.ids[row] for row in np.flatnonzero(has))
        inner, word = self.inner[has], f"{self.word}{bag}, "
        bench = Bench(
            self.cohort,
            ids,
            alone,
            self.hooks,
            self.folder,
            inner=inner,
            word=word,
        )
        key = (bench.identity, self.ids, self.inner.tobytes())
        if key not in _ATTENTION:
            if len(_ATTENTION) >= REMEMBERED:
                del _ATTENTION[next(iter(_ATTENTION))]
            _ATTENTION[key] = self._anchor(bench, has)
            self._places |= bench._places
        return _ATTENTION[key]

    def _anchor(self, bench: Bench, has: BoolArray) -> AttentionAnchor:
        inner, ids = bench.inner, bench.ids
        choice = bench._by_inner_folds()
        made = bench.refit(choice.epochs)
        assert choice.out_of_fold is not None
        risks = np.zeros(len(self.ids))
        risks[has] = centred_in_folds(choice.out_of_fold, inner, len(ids))
        told = log_risks(made.networks, made.source, bench.config)
        size = by_optimism(
            bench.time,
            bench.event,
            told,
            choice.out_of_fold,
            inner,
            ties=bench.config.loss,
        )
        return AttentionAnchor(made.networks[0].cpu(), risks, float(told.mean()), size)

    # -- pieces

    def part(self, train_mask: BoolArray, validation_mask: BoolArray) -> Part:
        """Fit transforms on some patients, and put them and the validation patients in batches."""
        train_ids = [self.ids[i] for i in np.flatnonzero(train_mask)]
        order = np.concatenate(
            [np.flatnonzero(train_mask), np.flatnonzero(validation_mask)],
        )
        transforms = Transforms.fit(self.cohort, train_ids, self.config)
        source = BatchSource(self.cohort, transforms, [self.ids[i] for i in order])
        cut = len(train_ids)
        rows = np.arange(len(order))
        return Part(
            transforms,
            source,
            rows[:cut],
            rows[cut:],
            self.time[order],
            self.event[order],
        )

    def _inner_runs(self, epochs: Sequence[int], *, patient: bool) -> list[list[Run]]:
        """Train on all inner folds but one, for each; (folds, members)."""
        runs = []
        for fold in range(int(self.inner.max()) + 1):
            part = self.part(self.inner != fold, self.inner == fold)
            labels = [
                f"member {m + 1}, inner fold {fold + 1}"
                for m in range(self.config.members)
            ]
            runs.append(
                [
                    self.trained(part, labels[m], epochs[m], seed, patient=patient)[1]
                    for m, seed in enumerate(self.seeds)
                ],
            )
        return runs

    def _placed(self, runs: list[list[Run]], epochs: Sequence[int]) -> FloatArray:
        """Out-of-fold log-risk of each training patient, mean over members; (patients,)."""
        risks = np.empty(len(self.ids))
        for fold, members in enumerate(runs):
            each = [
                run.validation_log_risk[epochs[m] - 1] for m, run in enumerate(members)
            ]
            risks[self.inner == fold] = np.mean(each, axis=0)
        return risks

    def trained(
        self,
        part: Part,
        label: str,
        epochs: int,
        seed: int,
        *,
        keep_best: bool = False,
        patient: bool = True,
    ) -> tuple[FusionNetwork, Run]:
        """Train one network; it may keep its best epoch, and ends early where nothing gets better."""
        config = (
            self.config
            if patient
            else self.config.model_copy(update={"patience": epochs})
        )
        edges = None
        if config.head == "discrete":
            edges = discretise(
                part.time[part.train],
                part.event[part.train],
                config.bins,
            )
            config = config.model_copy(
                update={"bins": len(edges)},
            )  # tied event times may leave fewer
        shape = network_config(
            config,
            part.transforms.dims,
            part.transforms.kinds,
            part.transforms.gene_sets,
        )
        network = build_network(shape, seed=seed)
        label = self.word + label
        task = Task(
            label=label,
            source=part.source,
            train=part.train,
            validation=part.validation,
            time=part.time,
            event=part.event,
            epochs=epochs,
            seed=seed,
            keep_best=keep_best,
            bin_edges=edges,
        )
        place = (
            None
            if self.folder is None
            else self.folder
            / f"{label.replace(', ', '-').replace(' ', '-')}.safetensors"
        )
        if place is not None:
            self._places.add(place)
        key = sha256_text(f"{self.identity} {label} {epochs}")
        run = train(network, task, config, hooks=self.hooks, checkpoint=place, key=key)
        return network, run

    def summary(
        self,
        made: Made,
        choice: Choice,
        calibrator: Calibrator,
        log_risk: FloatArray,
    ) -> dict[str, Any]:
        """Plain values that tell what was learned from whom."""
        parameters, transforms = made.networks[0].parameter_count(), made.transforms
        size = effective_size(
            self.config,
            made.about,
            self.time,
            self.event,
            log_risk,
            choice.out_of_fold,
            self.inner,
        )
        return {
            **learned_from(
                self.cohort,
                self.ids,
                self.time,
                self.event,
                transforms.dims,
            ),
            "parameters": parameters,
            "events_per_parameter": float(self.event.sum() / parameters),
            **size_told(size, int(self.event.sum())),
            "epochs": list(choice.epochs),
            **({} if made.about is None else {"anchored": made.about}),
            **({} if self._searched is None else {"search": self._searched}),
            "calibration_note": calibrator.note,
            "transform_notes": [str(note) for note in transforms.notes],
        }

    def clear(self) -> None:
        """Drop the checkpoints of a finished fit; of several processes, the one that wrote them does."""
        if not Ranks.here().writes:
            return
        for place in self._places:  # these alone: the folder may hold more than ours
            place.unlink(missing_ok=True)
        if (
            self.folder is not None
            and self.folder.is_dir()
            and not any(self.folder.iterdir())
        ):
            self.folder.rmdir()

"""From training patients to a calibrated model: selection, refit, calibration.

Whatever is chosen (epochs, slope, cut-offs) is chosen inside the training
patients; transforms are fitted anew for every inner fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from survfuse._errors import CohortError, ConfigError, SurvfuseError, listed
from survfuse._storage import sha256_text, to_json
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse._version import __version__
from survfuse.anchors.model import AttentionAnchor, fit_anchored
from survfuse.cohort.batches import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.drift import Drift
from survfuse.cohort.identity import PatientHashes
from survfuse.cohort.splits import holdout, inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.losses import discretise
from survfuse.models.config import network_config
from survfuse.models.network import FusionNetwork, build_network
from survfuse.summaries import learned_from, size_of_fit
from survfuse.survival.calibration import OUT_OF_FOLD, Calibrator, centred_in_folds, fit_calibrator
from survfuse.survival.conformal import ConformalBound
from survfuse.survival.effective import by_optimism
from survfuse.survival.trust import gains
from survfuse.training import Hook, Ranks, Run, Source, Task, pick_device, predict, train
from survfuse.tuning.search import search, trial_file

RISK_GROUPS = 3
REMEMBERED = 8  # attention anchors: models of one fold with and without other modalities share them

_ATTENTION: dict[tuple[str, tuple[str, ...], bytes], AttentionAnchor] = {}


@dataclass(frozen=True)
class Fitted:
    """Everything that was learned from the training patients.

    Attributes
    ----------
    config : FitConfig
    transforms : Transforms
    networks : tuple of FusionNetwork, (members,)
    calibrator : Calibrator
    risk_cuts : array, (groups - 1,)
        Tertiles of the training risks, out of fold where they were made.
    summary : mapping
        Patients, events, unit, epochs, versions: plain values for people and JSON.
    trained : PatientHashes or None
        Who was trained on; None in bundles that older versions wrote.
    drift : Drift or None
        What training patients look like; None in bundles that older versions wrote.
    bound : ConformalBound or None
        Where the configuration asks for one.
    """

    config: FitConfig
    transforms: Transforms
    networks: tuple[FusionNetwork, ...]
    calibrator: Calibrator
    risk_cuts: FloatArray
    summary: Mapping[str, Any]
    trained: PatientHashes | None = None
    drift: Drift | None = None
    bound: ConformalBound | None = None


def fit_model(
    cohort: Cohort,
    patients: Sequence[str] | None,
    config: FitConfig,
    *,
    hooks: tuple[Hook, ...] = (),
    folder: Path | None = None,
) -> Fitted:
    """Fit transforms, networks and calibration on `patients` of `cohort`.

    Parameters
    ----------
    cohort : Cohort
    patients : sequence of str, optional
        Training patients; everyone with an outcome by default.
    config : FitConfig
    hooks : tuple of Hook
        Watchers of every training run.
    folder : path, optional
        Where checkpoints are kept while fitting, to be resumed from.

    Raises
    ------
    CohortError
        Without outcome, with unknown patients, or with too few events to select on.
    """
    bench = _Bench(cohort, training_patients(cohort, patients), config, hooks, folder)
    config = bench.search()
    choice = bench.choose()
    made = choice.made or bench.refit(choice.epochs)
    log_risk = log_risks(made.networks, made.source, config)
    calibrator = fit_calibrator(
        config.calibration,
        bench.time,
        bench.event,
        log_risk,
        out_of_fold=choice.out_of_fold,
        fold=None if choice.out_of_fold is None else bench.inner,
    )
    fitted = Fitted(
        config=config,
        transforms=made.transforms,
        networks=made.networks,
        calibrator=calibrator,
        risk_cuts=risk_cuts(log_risk, choice.out_of_fold, bench.inner),
        summary=bench.summary(made, choice, calibrator, log_risk),
        trained=PatientHashes.of(bench.ids, cohort.fingerprint()),
        drift=Drift.fit(made.source),
        bound=bench.bound(choice, log_risk, calibrator),
    )
    bench.clear()
    return fitted


def watched_log_risks(
    cohort: Cohort,
    train: Sequence[str],
    watched: Sequence[str],
    config: FitConfig,
    *,
    hooks: tuple[Hook, ...] = (),
    folder: Path | None = None,
) -> FloatArray:
    """Log-risk of other patients after each epoch of a training on `train`, to its last epoch.

    Parameters
    ----------
    cohort : Cohort
    train, watched : sequence of str
        Nobody may be both.
    config : FitConfig
        All of its `epochs` are trained; nothing stops early.
    hooks, folder
        As in :func:`fit_model`.

    Returns
    -------
    array, (epochs, watched)
        Mean over members, in the order of `watched`.

    Raises
    ------
    CohortError
        As :func:`fit_model`.
    """
    training_patients(cohort, train)
    bench = _Bench(cohort, training_patients(cohort, [*train, *watched]), config, hooks, folder)
    bench._identity = sha256_text(to_json([bench._identity, sorted(watched)]))  # ids alone do not tell who
    seen = np.isin(np.array(bench.ids, dtype=object), np.array(watched, dtype=object))
    part = bench._part(~seen, seen)
    runs = [
        bench._train(part, f"member {member + 1}, watched", config.epochs, seed, patient=False)[1]
        for member, seed in enumerate(bench.seeds)
    ]
    bench.clear()
    risks = np.mean([run.validation_log_risk for run in runs], axis=0)  # (epochs, watched sorted by id)
    place = {patient: row for row, patient in enumerate(sorted(watched))}
    return np.asarray(risks[:, [place[patient] for patient in watched]])


class Patients(Source, Protocol):
    """A source that knows how many patients it has."""

    def __len__(self) -> int: ...


def log_risks(networks: Sequence[FusionNetwork], source: Patients, config: FitConfig) -> FloatArray:
    """Mean log-risk over ensemble members, of every patient of `source`; (patients,)."""
    rows = np.arange(len(source))
    device, ranks = pick_device(config.device), Ranks.here()
    each = np.stack([predict(network, source, rows, device, ranks) for network in networks])
    return np.asarray(each.mean(axis=0))


def training_patients(cohort: Cohort, patients: Sequence[str] | None) -> tuple[str, ...]:
    """Check and return the training patients, sorted, so that the order they are named in never matters.

    Raises
    ------
    CohortError
        Without outcome, for patients that are unknown or given twice, or without any event.
    """
    if cohort.outcome is None:
        raise CohortError(
            f"cohort {cohort.name!r} has no outcome to learn from; declare `outcome` in its file"
        )
    ids = tuple(sorted(cohort.patients if patients is None else patients))
    unknown = sorted(set(ids) - set(cohort.outcome.index[cohort.outcome["time"].notna()]))
    if unknown:
        raise CohortError(f"no outcome for training patients: {listed(unknown)}")
    if len(set(ids)) < len(ids):
        raise CohortError("training patients are given more than once; each may appear once")
    if not cohort.outcome.loc[list(ids), "event"].any():
        raise CohortError(f"none of the {len(ids)} training patients has an event; nothing can be learned")
    return ids


def risk_cuts(log_risk: FloatArray, out_of_fold: FloatArray | None, inner: IntArray) -> FloatArray:
    """Cut-offs that split training patients into equal risk groups; (groups - 1,).

    Out-of-fold risks are used where there are any, each fold centred on its own
    mean and the whole moved to the mean of the final model's risks, because
    in-sample risks of a flexible model are spread too far.
    """
    risks = log_risk
    if out_of_fold is not None:
        risks = out_of_fold - fold_means(out_of_fold, inner)[inner] + log_risk.mean()
    return np.quantile(risks, np.arange(1, RISK_GROUPS) / RISK_GROUPS)


def fold_means(values: FloatArray, fold: IntArray) -> FloatArray:
    """Mean of `values` in each fold; (folds,)."""
    return np.bincount(fold, weights=values) / np.bincount(fold)


def choose_epoch(scores: Sequence[Sequence[float | None]]) -> int:
    """Epoch (1-based) of the smallest mean validation score.

    Parameters
    ----------
    scores : sequence over runs of sequence over epochs
        None where a run could not be scored. Runs stop at different epochs;
        only epochs that every run reached are compared.

    Raises
    ------
    CohortError
        When no run could be scored at any epoch.
    """
    common = min(len(run) for run in scores)
    table = np.array([[np.nan if s is None else s for s in run[:common]] for run in scores])
    scored = ~np.isnan(table).all(axis=1)
    if not scored.any():
        raise CohortError("no inner fold holds an event, so epochs cannot be compared; set selection: last")
    return int(np.nanmean(table[scored], axis=0).argmin()) + 1


@dataclass(frozen=True)
class _Part:
    """Transforms of some training patients, and batches of them and of validation patients."""

    transforms: Transforms
    source: BatchSource
    train: IntArray
    validation: IntArray
    time: FloatArray
    event: BoolArray


@dataclass(frozen=True)
class _Made:
    """Networks, the transforms whose vectors they read, and all training patients so transformed."""

    transforms: Transforms
    networks: tuple[FusionNetwork, ...]
    source: BatchSource
    about: Mapping[str, Any] | None = None
    """What an anchored model is made of."""


@dataclass(frozen=True)
class _Choice:
    epochs: tuple[int, ...]
    out_of_fold: FloatArray | None
    made: _Made | None = None
    """Filled where selection already made the final networks (`holdout`)."""


class _Bench:
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
        self.cohort, self.ids, self.config, self.hooks, self.folder = cohort, ids, config, hooks, folder
        self.time = outcome["time"].to_numpy(dtype=np.float64)
        self.event = outcome["event"].to_numpy(dtype=bool)
        self.inner = inner_folds(self.event, config.selection_folds, config.seed) if inner is None else inner
        self.word = word  # before every label
        self.seeds = range(config.seed, config.seed + config.members)
        self._places: set[Path] = set()
        self._searched: Mapping[str, Any] | None = None
        self._identity = sha256_text(to_json([__version__, config.identity(), cohort.fingerprint(), ids]))

    # -- hyper-parameters

    def search(self) -> FitConfig:
        """Choose hyper-parameters, if the configuration asks for it; what is returned is what is fitted."""
        if self.config.search != "none" and Ranks.here().count > 1:
            raise ConfigError(
                f"search: {self.config.search!r} runs on one process, for each has a clock of its own; "
                "search without torchrun, then train with the fields that search.json names"
            )
        if self.config.search == "none":
            return self.config
        names = self.config.modalities or self.cohort.modalities
        kinds = {self.cohort.modalities[name].kind for name in names if name in self.cohort.modalities}
        found = search(self.config, kinds, self._score, folder=self.folder, key=self._identity)
        if self.folder is not None:
            self._places |= {trial_file(self.folder, trial["number"]) for trial in found.log["trials"]}
        self.config, self._searched = found.config, found.log
        return self.config

    def _score(self, config: FitConfig, label: str) -> tuple[float, tuple[int, ...]]:
        """Out-of-fold log partial likelihood of a configuration per event, above that of no risk."""
        tried = config.model_copy(update={"calibration": "breslow_oof", "conformal": None})
        bench = _Bench(
            self.cohort, self.ids, tried, self.hooks, self.folder, inner=self.inner, word=self.word + label
        )
        try:
            choice = bench.choose()
        except SurvfuseError:
            bench.clear()
            raise
        bench.clear()
        assert choice.out_of_fold is not None
        (gain,) = gains(choice.out_of_fold[:, None], self.time, self.event, fold=self.inner)
        return float(gain / self.event.sum()), choice.epochs

    # -- the three ways to choose

    def choose(self) -> _Choice:
        """Decide the number of epochs, and make out-of-fold risks if calibration wants them."""
        if self.config.fusion == "anchored":
            return self._by_anchors()
        if self.config.selection == "inner_folds":
            return self._by_inner_folds()
        if self.config.selection == "holdout":
            return self._by_holdout()
        epochs = (self.config.epochs,) * self.config.members
        return _Choice(epochs, self._out_of_fold(epochs))

    def _by_inner_folds(self) -> _Choice:
        runs = self._inner_runs([self.config.epochs] * self.config.members, patient=True)
        epochs = choose_epoch([[epoch.score for epoch in run.history] for fold in runs for run in fold])
        return _Choice((epochs,) * self.config.members, self._placed(runs, [epochs] * self.config.members))

    def _by_holdout(self) -> _Choice:
        held = holdout(self.event, self.config.holdout_fraction, self.config.seed)
        part = self._part(~held, held)
        networks, epochs = [], []
        for member, seed in enumerate(self.seeds):
            label = f"member {member + 1}, inner holdout"
            network, run = self._train(part, label, self.config.epochs, seed, keep_best=True)
            networks.append(network)
            epochs.append(run.best_epoch or len(run.history))
        everyone = BatchSource(self.cohort, part.transforms, self.ids)
        made = _Made(part.transforms, tuple(networks), everyone)
        return _Choice(tuple(epochs), self._out_of_fold(epochs), made)

    def _by_anchors(self) -> _Choice:
        offer = self._attention if self.config.anchor_bags != "mean" else lambda bag: None
        model = fit_anchored(
            self.cohort, self.ids, self.time, self.event, self.inner, self.config, attention=offer
        )
        made = _Made(model.transforms, (model.network,), model.source, model.about)
        return _Choice((), model.out_of_fold, made)

    def _attention(self, bag: str) -> AttentionAnchor | None:
        """Train the bag's attention network on the patients who have it, in the same inner folds."""
        has = self.cohort.present.loc[list(self.ids), bag].to_numpy(bool)
        held = np.bincount(self.inner[has], weights=self.event[has], minlength=int(self.inner.max()) + 1)
        if not held.all():
            return None  # an inner fold without an event cannot stop a training
        alone = self.config.model_copy(
            update={"fusion": "concat", "modalities": (bag,), "bag_pooling": "attention", "bag_rate": 1.0}
        )
        ids = tuple(self.ids[row] for row in np.flatnonzero(has))
        inner, word = self.inner[has], f"{self.word}{bag}, "
        bench = _Bench(self.cohort, ids, alone, self.hooks, self.folder, inner=inner, word=word)
        key = (bench._identity, self.ids, self.inner.tobytes())
        if key not in _ATTENTION:
            if len(_ATTENTION) >= REMEMBERED:
                del _ATTENTION[next(iter(_ATTENTION))]
            _ATTENTION[key] = self._trained(bench, has)
            self._places |= bench._places
        return _ATTENTION[key]

    def _trained(self, bench: _Bench, has: BoolArray) -> AttentionAnchor:
        inner, ids = bench.inner, bench.ids
        choice = bench._by_inner_folds()
        made = bench.refit(choice.epochs)
        assert choice.out_of_fold is not None
        risks = np.zeros(len(self.ids))
        risks[has] = centred_in_folds(choice.out_of_fold, inner, len(ids))
        told = log_risks(made.networks, made.source, bench.config)
        size = by_optimism(bench.time, bench.event, told, choice.out_of_fold, inner)
        return AttentionAnchor(made.networks[0].cpu(), risks, float(told.mean()), size)

    def refit(self, epochs: Sequence[int]) -> _Made:
        """Train every member on all training patients."""
        whole = np.ones(len(self.ids), dtype=bool)
        part = self._part(whole, ~whole)
        networks = tuple(
            self._train(part, f"member {member + 1}, refit", epochs[member], seed)[0]
            for member, seed in enumerate(self.seeds)
        )
        return _Made(part.transforms, networks, part.source)

    def _out_of_fold(self, epochs: Sequence[int]) -> FloatArray | None:
        if self.config.calibration not in OUT_OF_FOLD and self.config.conformal is None:
            return None
        return self._placed(self._inner_runs(epochs, patient=False), epochs)

    def bound(self, choice: _Choice, log_risk: FloatArray, calibrator: Calibrator) -> ConformalBound | None:
        """Make the conformal bound that the configuration asks for, on out-of-fold risks."""
        if self.config.conformal is None or choice.out_of_fold is None:
            return None
        risks = centred_in_folds(choice.out_of_fold, self.inner, len(self.ids)) + log_risk.mean()
        return ConformalBound.fit(self.time, self.event, risks, calibrator, self.config.conformal)

    # -- pieces

    def _part(self, train_mask: BoolArray, validation_mask: BoolArray) -> _Part:
        train_ids = [self.ids[i] for i in np.flatnonzero(train_mask)]
        order = np.concatenate([np.flatnonzero(train_mask), np.flatnonzero(validation_mask)])
        transforms = Transforms.fit(self.cohort, train_ids, self.config)
        source = BatchSource(self.cohort, transforms, [self.ids[i] for i in order])
        cut = len(train_ids)
        rows = np.arange(len(order))
        return _Part(transforms, source, rows[:cut], rows[cut:], self.time[order], self.event[order])

    def _inner_runs(self, epochs: Sequence[int], *, patient: bool) -> list[list[Run]]:
        """Train on all inner folds but one, for each; (folds, members)."""
        runs = []
        for fold in range(int(self.inner.max()) + 1):
            part = self._part(self.inner != fold, self.inner == fold)
            labels = [f"member {m + 1}, inner fold {fold + 1}" for m in range(self.config.members)]
            runs.append(
                [
                    self._train(part, labels[m], epochs[m], seed, patient=patient)[1]
                    for m, seed in enumerate(self.seeds)
                ]
            )
        return runs

    def _placed(self, runs: list[list[Run]], epochs: Sequence[int]) -> FloatArray:
        """Out-of-fold log-risk of each training patient, mean over members; (patients,)."""
        risks = np.empty(len(self.ids))
        for fold, members in enumerate(runs):
            each = [run.validation_log_risk[epochs[m] - 1] for m, run in enumerate(members)]
            risks[self.inner == fold] = np.mean(each, axis=0)
        return risks

    def _train(
        self,
        part: _Part,
        label: str,
        epochs: int,
        seed: int,
        *,
        keep_best: bool = False,
        patient: bool = True,
    ) -> tuple[FusionNetwork, Run]:
        config = self.config if patient else self.config.model_copy(update={"patience": epochs})
        edges = None
        if config.head == "discrete":
            edges = discretise(part.time[part.train], part.event[part.train], config.bins)
            config = config.model_copy(update={"bins": len(edges)})  # tied event times may leave fewer
        shape = network_config(config, part.transforms.dims, part.transforms.kinds, part.transforms.gene_sets)
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
            else self.folder / f"{label.replace(', ', '-').replace(' ', '-')}.safetensors"
        )
        if place is not None:
            self._places.add(place)
        key = sha256_text(f"{self._identity} {label} {epochs}")
        run = train(network, task, config, hooks=self.hooks, checkpoint=place, key=key)
        return network, run

    def summary(
        self, made: _Made, choice: _Choice, calibrator: Calibrator, log_risk: FloatArray
    ) -> dict[str, Any]:
        """Plain values that tell what was learned from whom."""
        parameters, transforms = made.networks[0].parameter_count(), made.transforms
        return {
            **learned_from(self.cohort, self.ids, self.time, self.event, transforms.dims),
            "parameters": parameters,
            "events_per_parameter": float(self.event.sum() / parameters),
            **size_of_fit(
                self.config, made.about, self.time, self.event, log_risk, choice.out_of_fold, self.inner
            ),
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
        if self.folder is not None and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

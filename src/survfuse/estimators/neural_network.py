"""Networks as an estimator: the number of epochs chosen, every member trained on everyone.

Whatever is chosen is chosen inside the training patients; transforms are fitted anew for
every inner fold.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from survfuse._errors import CohortError, InputError, listed
from survfuse._storage import sha256_text, to_json
from survfuse._types import BoolArray, FloatArray, State
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.splits import holdout
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators.base import (
    ESTIMATORS,
    NETWORK,
    Estimator,
    Fit,
    Patients,
    RiskModel,
    StoredModel,
    foreign_code,
)
from survfuse.estimators.fold_context import FoldContext
from survfuse.estimators.model_parts import ModelParts
from survfuse.estimators.network_parts import NetworkParts
from survfuse.losses import discretise
from survfuse.models.network import FusionNetwork, build_network, network_of
from survfuse.models.network_config import (
    NetworkConfig,
    VectorConfig,
    network_config,
)
from survfuse.survival.calibration import OUT_OF_FOLD
from survfuse.survival.degrees_of_freedom import Effective, by_optimism
from survfuse.training import Ranks, Run, Task, pick_device, predict, train


@dataclass(frozen=True, eq=False)
class NetworkEnsemble(RiskModel):
    """Networks whose log-risks are averaged.

    Attributes
    ----------
    networks : tuple of FusionNetwork, (members,)
    device : str
        See :class:`survfuse.config.FitConfig`.
    """

    networks: tuple[FusionNetwork, ...]
    device: str

    def log_risk(self, source: Patients) -> FloatArray:
        """Mean log-risk over the members of every patient of `source`; (patients,)."""
        rows = np.arange(len(source))
        device, ranks = pick_device(self.device), Ranks.here()
        members = []
        for network in self.networks:
            members.append(predict(network, source, rows, device, ranks))
        return np.asarray(np.mean(members, axis=0))

    def parts(self, transforms: Transforms) -> ModelParts:
        """Embeddings, fusion and head of each member."""
        return NetworkParts(self.networks, transforms.bag_scaler, self.device)

    def state(self) -> State:
        """Shape of the networks, and their weights as ``member/name``."""
        arrays = {}
        for member, network in enumerate(self.networks):
            for name, tensor in network.state_dict().items():
                arrays[f"{member}/{name}"] = tensor.detach().cpu().numpy()
        return self.networks[0].config.to_dict(), arrays

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make the networks again; their shape is compared with what the transforms give."""
        shape, count = (
            NetworkConfig.from_dict(stored.state),
            stored.config.training.members,
        )
        _check_inputs(shape, stored.transforms)
        members: dict[str, dict[str, torch.Tensor]] = {}
        for name, array in stored.arrays.items():
            member, _, weight = name.partition("/")
            members.setdefault(member, {})[weight] = torch.from_numpy(array)
        if len(members) != count:
            raise InputError(
                f"weights of {len(members)} networks, expected {count} members",
            )
        networks = []
        for number in range(count):
            networks.append(network_of(shape, members.get(str(number), {})))
        return cls(tuple(networks), stored.config.training.device)


def _check_inputs(
    shape: NetworkConfig,
    transforms: Transforms,
) -> None:
    """Refuse a network that does not read what the transforms give."""
    dims = {modality.name: modality.input_dim for modality in shape.modalities}
    bags = {m.name for m in shape.modalities if not isinstance(m, VectorConfig)}
    if dims != transforms.dims or bags != set(transforms.bag_scaler):
        read = listed(f"{name} ({width})" for name, width in dims.items())
        given = listed(f"{name} ({width})" for name, width in transforms.dims.items())
        raise InputError(f"the network reads {read}, the transforms give {given}")


@dataclass(frozen=True, eq=False)
class Trained:
    """The members of an ensemble after training on some patients of a fold.

    Attributes
    ----------
    transforms : Transforms
    source : BatchSource
        Training patients, then validation patients.
    networks : tuple of FusionNetwork, (members,)
    runs : tuple of Run, (members,)
    """

    transforms: Transforms
    source: BatchSource
    networks: tuple[FusionNetwork, ...]
    runs: tuple[Run, ...]


@ESTIMATORS.register(
    NETWORK,
    summary="a branch per modality, a fusion and a head, trained by gradients",
    source="arXiv 2605.13897",
)
class NeuralNetwork(Estimator):
    """Networks of the fusion, head and training that the configuration names."""

    model = NetworkEnsemble
    trains_epochs = True

    def fit(self, fold: FoldContext) -> Fit:
        """Choose the number of epochs, then train every member on all training patients."""
        inner = self.inner(fold)
        epochs, out_of_fold, trained = self._choose(fold)
        if trained is None:
            nobody = np.zeros(len(fold.ids), dtype=bool)
            trained = self.train(fold, nobody, "refit", epochs)
            source = trained.source
        else:
            source = BatchSource(fold.cohort, trained.transforms, fold.ids)
        model = NetworkEnsemble(trained.networks, self.config.training.device)
        in_sample = model.log_risk(source)
        return Fit(
            model,
            trained.transforms,
            source,
            in_sample,
            out_of_fold,
            inner,
            self._effective(fold, in_sample, out_of_fold),
            trained.networks[0].parameter_count(),
            epochs,
        )

    def out_of_fold(self, fold: FoldContext) -> tuple[FloatArray, tuple[int, ...]]:
        """See :meth:`Estimator.out_of_fold`; nothing is trained on everyone."""
        epochs, risks, _ = self._choose(fold)
        assert risks is not None
        return risks, epochs

    def _choose(
        self,
        fold: FoldContext,
    ) -> tuple[tuple[int, ...], FloatArray | None, Trained | None]:
        """Epochs of each member, out-of-fold risks, and networks that are final already."""
        config, inner = self.config, self.inner(fold)
        members, trained = config.training.members, None
        epochs = (config.training.epochs,) * members
        if config.selection.method == "holdout":
            held = holdout(
                fold.event,
                config.selection.holdout_fraction,
                config.training.seed,
            )
            trained = self.train(fold, held, "inner holdout", epochs, keep_best=True)
            epochs = tuple(run.best_epoch or len(run.history) for run in trained.runs)
        compares_epochs = config.selection.method == "inner_folds"
        if not (
            compares_epochs
            or config.calibration.method in OUT_OF_FOLD
            or config.calibration.conformal is not None
        ):
            return epochs, None, trained
        # Each inner fold's patients are predicted by networks trained on all others.
        runs: list[tuple[Run, ...]] = []
        for number in range(int(inner.max()) + 1):
            part = self.train(
                fold,
                inner == number,
                f"inner fold {number + 1}",
                epochs,
                patient=compares_epochs,
            )
            runs.append(part.runs)
        if compares_epochs:
            scores = []
            for run in itertools.chain.from_iterable(runs):
                scores.append([epoch.score for epoch in run.history])
            epochs = (choose_epoch(scores),) * members
        return epochs, self._out_of_fold(fold, runs, epochs), trained

    def _out_of_fold(
        self,
        fold: FoldContext,
        runs: Sequence[Sequence[Run]],
        epochs: Sequence[int],
    ) -> FloatArray:
        """Log-risk of each training patient after these epochs, mean over members; (patients,)."""
        inner, risks = self.inner(fold), np.empty(len(fold.ids))
        for number, members in enumerate(runs):
            values = []
            for run, epoch in zip(members, epochs, strict=True):
                values.append(run.validation_log_risk[epoch - 1])
            risks[inner == number] = np.mean(values, axis=0)
        return risks

    def train(
        self,
        fold: FoldContext,
        held: BoolArray,
        name: str,
        epochs: Sequence[int],
        *,
        keep_best: bool = False,
        patient: bool = True,
        key: str = "",
    ) -> Trained:
        """Train every member, with transforms of its own, on the patients that are not `held`.

        Parameters
        ----------
        fold : FoldContext
        held : array of bool, (patients,)
            Validation patients; may be none.
        name : str
            Of the training, for people and checkpoints.
        epochs : sequence of int
            Most epochs of each member.
        keep_best : bool
            End with the weights of the best validation epoch.
        patient : bool
            Stop after `patience` epochs without improvement; otherwise all epochs are trained.
        key : str
            What the training depends on besides configuration and patients.
        """
        order = np.concatenate([np.flatnonzero(~held), np.flatnonzero(held)])
        rows, cut = np.arange(len(order)), int((~held).sum())
        transforms = Transforms.fit(fold.cohort, fold.patients(~held), self.config)
        source = BatchSource(fold.cohort, transforms, [fold.ids[row] for row in order])
        identity = fold.identity(self.config, foreign_code(self.config))
        if key:
            identity = sha256_text(to_json([identity, key]))
        networks, runs = [], []
        for member, most in enumerate(epochs):
            label = f"{fold.label}member {member + 1}, {name}"
            config, edges = self._resolved(fold, held, most, patient)
            seed = config.training.seed + member
            shape = network_config(
                config,
                transforms.dims,
                transforms.kinds,
                transforms.gene_sets,
            )
            network = build_network(shape, seed=seed)
            task = Task(
                label=label,
                source=source,
                train=rows[:cut],
                validation=rows[cut:],
                time=fold.time[order],
                event=fold.event[order],
                epochs=most,
                seed=seed,
                keep_best=keep_best,
                bin_edges=edges,
            )
            run = train(
                network,
                task,
                config,
                hooks=fold.hooks,
                checkpoint=fold.checkpoint(label),
                key=sha256_text(f"{identity} {label} {most}"),
            )
            networks.append(network)
            runs.append(run)
        return Trained(transforms, source, tuple(networks), tuple(runs))

    def _resolved(
        self,
        fold: FoldContext,
        held: BoolArray,
        epochs: int,
        patient: bool,
    ) -> tuple[FitConfig, FloatArray | None]:
        """Configuration of one training, and the time bins of a discrete head."""
        config = self.config
        if not patient:
            config = config.model_copy(update={"patience": epochs})
        if config.network.head != "discrete":
            return config, None
        edges = discretise(fold.time[~held], fold.event[~held], config.network.bins)
        # Tied event times may leave fewer bins than were asked for.
        return config.model_copy(update={"bins": len(edges)}), edges

    def _effective(
        self,
        fold: FoldContext,
        in_sample: FloatArray,
        out_of_fold: FloatArray | None,
    ) -> Effective:
        """Effective parameters, from the optimism of the in-sample risks."""
        config = self.config
        if config.network.head != "cox":
            why = "a discrete head is not fitted by a partial likelihood"
        elif out_of_fold is None:
            why = (
                f"calibration {config.calibration.method} makes no out-of-fold risks; "
            )
            why += "breslow_oof does"
        elif config.selection.method == "holdout":
            why = "the networks never saw the inner holdout, so their risks are no in-sample ones"
        else:
            return by_optimism(
                fold.time,
                fold.event,
                in_sample,
                out_of_fold,
                self.inner(fold),
                ties="breslow"
                if config.training.loss == "paper"
                else config.training.loss,
            )
        return Effective(None, f"not computable: {why}")


def watched_log_risks(
    fold: FoldContext,
    watched: Sequence[str],
    config: FitConfig,
) -> FloatArray:
    """Log-risk of other patients after each epoch of a training, to its last epoch.

    Parameters
    ----------
    fold : FoldContext
        Of the training patients.
    watched : sequence of str
        Patients with an outcome, none of whom is a training patient.
    config : FitConfig
        All of its `epochs` are trained; nothing stops early.

    Returns
    -------
    array, (epochs, watched)
        Mean over members, in the order of `watched`.

    Raises
    ------
    CohortError
        As :meth:`FoldContext.of`.
    """
    both = FoldContext.of(
        fold.cohort,
        [*fold.ids, *watched],
        hooks=fold.hooks,
        folder=fold.folder,
    )
    held = np.isin(np.array(both.ids, dtype=object), np.array(watched, dtype=object))
    trained = NeuralNetwork(config).train(
        both,
        held,
        "watched",
        (config.training.epochs,) * config.training.members,
        patient=False,
        key=to_json(sorted(watched)),  # the ids alone do not say who is watched
    )
    both.clear()
    risks = np.mean([run.validation_log_risk for run in trained.runs], axis=0)
    place = {patient: row for row, patient in enumerate(sorted(watched))}
    return np.asarray(risks[:, [place[patient] for patient in watched]])


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
    table = np.array([run[:common] for run in scores], dtype=np.float64)
    scored = ~np.isnan(table).all(axis=1)
    if not scored.any():
        raise CohortError(
            "no inner fold holds an event, so epochs cannot be compared; set selection: last",
        )
    return int(np.nanmean(table[scored], axis=0).argmin()) + 1

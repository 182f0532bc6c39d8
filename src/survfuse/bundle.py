"""A fitted model as a folder that can be read without us: safetensors and JSON.

::

    bundle/
    ├── bundle.json           format, version, sha256 of every other file
    ├── config.json           the resolved FitConfig
    ├── transforms.json       what the transforms learned: columns, genes, categories
    ├── transforms.safetensors
    ├── model.json            which estimator, and what describes its model
    ├── model.safetensors     the model's arrays: coefficients, or weights of networks
    ├── calibration.json      risk -> curve, groups, lower bound
    ├── drift.json            what training patients look like
    ├── drift.safetensors
    ├── reference.json        what explanations compare with: who it is, and how far they agree
    ├── reference.safetensors what the model reads of training patients; centres of tile clusters
    ├── patients.json         salted hashes of the training patients' ids and data
    ├── summary.json          training patients, events, epochs, versions
    └── search.json           every trial, where hyper-parameters were searched

Version 3 had no reference. Versions 1 and 2 had networks only, as `network.json` and a file of
weights per member (``network-0.safetensors``); the default model was written as one too. Version 1
had no drift, no patients and no lower bound. All are read as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._bundle_place import FORMAT, check_target
from survfuse._errors import BundleError, InputError, SurvfuseError
from survfuse._gate import boundary, refuse_claim, regular_file
from survfuse._places import staged_folder
from survfuse._storage import (
    JSON_SIZE_LIMIT,
    read_json,
    read_tensors,
    sha256_file,
    stored_texts,
    write_json,
    write_tensors,
)
from survfuse._types import AnyArray, Arrays, FloatArray, State
from survfuse.cohort.drift import Drift
from survfuse.cohort.patient_hashes import PatientHashes
from survfuse.cohort.tile_clusters import TileClusters
from survfuse.cohort.transform_inputs import input_sizes
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig, build
from survfuse.decomposition import Agreement, Reference
from survfuse.estimators.base import (
    RiskModel,
    StoredModel,
    estimator_name,
    model_class,
)
from survfuse.estimators.fitted import Fitted
from survfuse.estimators.neural_network import NetworkEnsemble
from survfuse.estimators.old_stack_bundles import stack_of_network
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.calibration import Calibrator, calibrator_from_dict
from survfuse.survival.conformal import ConformalBound

VERSION = 4

_PARTS = re.compile(
    r"(config|transforms|model|network|calibration|drift|reference|patients|summary|search)\.json"
    r"|(transforms|model|drift|reference|network-\d{1,4})\.safetensors",
)
_REMEDY = "copy or train the bundle again"
_UNITS = ("days", "months", "years")


def save_fitted(
    fitted: Fitted,
    folder: Path | str,
    *,
    force: bool = False,
) -> Path:
    """Write a bundle; the folder appears whole or not at all.

    Parameters
    ----------
    fitted : Fitted
    folder : path
        A new folder; its parents are created.
    force : bool
        Replace a bundle that is there already. Anything else is never replaced.

    Raises
    ------
    BundleError
        As :func:`check_target`.
    """
    target = check_target(folder, force=force)
    with staged_folder(target, error=BundleError) as temporary:
        _write_parts(fitted, temporary)
        hashes = {file.name: sha256_file(file) for file in sorted(temporary.iterdir())}
        write_json(
            temporary / "bundle.json",
            {"format": FORMAT, "version": VERSION, "sha256": hashes},
        )
    return target


def _write_parts(fitted: Fitted, folder: Path) -> None:
    header = {"format": FORMAT, "version": str(VERSION)}
    described, tensors = fitted.transforms.state()
    write_json(folder / "config.json", fitted.config.model_dump(mode="json"))
    write_json(folder / "transforms.json", described)
    write_tensors(folder / "transforms.safetensors", tensors, header)
    described, tensors = fitted.model.state()
    model = {"estimator": estimator_name(fitted.config), "model": described}
    write_json(folder / "model.json", model)
    write_tensors(folder / "model.safetensors", tensors, header)
    bound = None if fitted.bound is None else fitted.bound.to_dict()
    calibration = {
        "calibrator": fitted.calibrator.to_dict(),
        "risk_cuts": fitted.risk_cuts,
        "bound": bound,
    }
    write_json(folder / "calibration.json", calibration)
    about, arrays = (fitted.drift or Drift({})).state()
    write_json(folder / "drift.json", about)
    write_tensors(folder / "drift.safetensors", arrays, header)
    about, arrays = _reference_state(fitted)
    write_json(folder / "reference.json", about)
    write_tensors(folder / "reference.safetensors", arrays, header)
    write_json(
        folder / "patients.json",
        None if fitted.trained is None else fitted.trained.to_dict(),
    )
    write_json(folder / "summary.json", dict(fitted.summary))
    if "search" in fitted.summary:
        write_json(folder / "search.json", fitted.summary["search"])


def _reference_state(fitted: Fitted) -> State:
    """Reference, clusters and agreement, as JSON and arrays."""
    state: dict[str, Any] = {"reference": None}
    agreement = None if fitted.agreement is None else fitted.agreement.to_dict()
    state |= {"clusters": list(fitted.clusters), "agreement": agreement}
    arrays: Arrays = {}
    if fitted.reference is not None:
        state["reference"], arrays = fitted.reference.state()
    for name, clusters in fitted.clusters.items():
        for part, array in clusters.arrays().items():
            arrays[f"clusters/{name}/{part}"] = array
    return state, arrays


def load_fitted(folder: Path | str) -> Fitted:
    """Read a bundle and check every byte of it.

    The hashes detect damage, not forgery: whoever writes a bundle can write its hashes. Every size
    that a file states is therefore compared with what the other files hold before memory is taken.

    Raises
    ------
    BundleError
        When the folder is not a bundle, was written by a newer version, misses a
        file, or holds a file whose bytes have changed or whose content does not fit the others.
    """
    return _Parts.of(Path(folder)).fitted()


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn whatever the content of one file leads to into a BundleError that names the file."""
    try:
        with boundary(
            file,
            "what survfuse writes there",
            error=BundleError,
            remedy=_REMEDY,
        ):
            yield
    except SurvfuseError as error:
        what = str(error).removeprefix(f"{file}: ")
        if isinstance(error, BundleError) and what != str(error):
            raise
        raise BundleError(f"{file}: {what}; {_REMEDY}") from error


def _json(file: Path) -> Any:
    regular_file(
        file,
        limit=JSON_SIZE_LIMIT,
        error=BundleError,
    )
    return read_json(file)


@dataclass(frozen=True)
class _Parts:
    """The files of a bundle whose bytes are those that its list names.

    Attributes
    ----------
    source : path
        The folder.
    names : frozenset of str
        The files on its list.
    version : int
    """

    source: Path
    names: frozenset[str]
    version: int

    @classmethod
    def of(cls, source: Path) -> _Parts:
        """Check the list of a bundle and every file on it."""
        if source.exists() and not source.is_dir():
            raise BundleError(
                f"{source}: not a survfuse bundle (a file; expected the folder that `train` wrote)",
            )
        file = source / "bundle.json"
        try:
            with _reading(file):
                manifest = _json(file)
        except BundleError as error:
            raise BundleError(f"{source}: not a survfuse bundle ({error})") from None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise BundleError(f"{source}: bundle.json does not say format {FORMAT!r}")
        version = manifest.get("version")
        if type(version) is not int or not 1 <= version <= VERSION:
            raise BundleError(
                f"{source}: bundle format version {version}, this survfuse reads up to {VERSION}; "
                "update survfuse",
            )
        hashes = manifest.get("sha256")
        if not isinstance(hashes, dict) or not hashes:
            raise BundleError(f"{source}: bundle.json lists no files")
        for name, expected in hashes.items():
            _require_unchanged(source, name, expected)
        return cls(source, frozenset(hashes), version)

    def file(self, name: str) -> Path:
        """Name one file that must be there."""
        if name not in self.names:
            raise BundleError(
                f"{self.source}: bundle.json does not list {name}, so nobody can tell "
                "if it changed",
            )
        return self.source / name

    def described(
        self,
        name: str,
        read: Callable[[Any], Any],
    ) -> Any:
        """Read what one JSON file describes."""
        file = self.file(name)
        with _reading(file):
            return read(_json(file))

    def tensors(self, name: str) -> dict[str, AnyArray]:
        """Read the arrays of one file, which are no larger than it is."""
        file = self.file(name)
        with _reading(file):
            return read_tensors(file)[0]

    def fitted(self) -> Fitted:
        """Put the model together, the small files before the large."""
        where = str(self.source / "config.json")
        config = self.described(
            "config.json",
            lambda d: build(FitConfig, d, where=where),
        )
        summary = self.described("summary.json", _summary)
        calibrator, cuts, bound = self.described("calibration.json", _calibration)
        arrays = self.tensors("transforms.safetensors")
        transforms = self.described(
            "transforms.json",
            lambda d: Transforms.from_state(d, arrays),
        )
        trained = drift = None
        if self.version > 1:
            trained = self.described(
                "patients.json",
                lambda d: None if d is None else PatientHashes.from_dict(d),
            )
            usual = self.tensors("drift.safetensors")
            drift = self.described("drift.json", lambda d: _drift(d, usual, transforms))
        model = self.model(transforms, config)
        explained: dict[str, Any] = {}
        if self.version > 3:
            arrays = self.tensors("reference.safetensors")
            explained = self.described(
                "reference.json",
                lambda d: _explained(d, arrays, model, transforms),
            )
        return Fitted(
            config=config,
            transforms=transforms,
            model=model,
            calibrator=calibrator,
            risk_cuts=cuts,
            summary=summary,
            trained=trained,
            drift=drift,
            bound=bound,
            **explained,
        )

    def model(
        self,
        transforms: Transforms,
        config: FitConfig,
    ) -> RiskModel:
        """Read the model, as this version wrote it."""
        if self.version > 2:
            arrays = self.tensors("model.safetensors")
            model: RiskModel = self.described(
                "model.json",
                lambda d: _model(StoredModel(d, arrays, transforms, config)),
            )
            return model
        arrays = {}
        for member in range(config.training.members):
            for name, array in self.tensors(f"network-{member}.safetensors").items():
                arrays[f"{member}/{name}"] = array
        anchored = config.fusion == "anchored"
        read = stack_of_network if anchored else NetworkEnsemble.from_state
        network: RiskModel = self.described(
            "network.json",
            lambda d: read(StoredModel(d, arrays, transforms, config)),
        )
        return network


def _explained(
    state: Any,
    arrays: Arrays,
    model: RiskModel,
    transforms: Transforms,
) -> dict[str, Any]:
    """Reference, clusters and agreement of a model."""
    reference = None
    if state["reference"] is not None:
        widths = model.parts(transforms).widths
        sizes = input_sizes(transforms)
        reference = Reference.from_state(state["reference"], arrays, widths, sizes)
    clusters = {}
    for name in stored_texts(state["clusters"], "clusters"):
        if name not in transforms.bag_scaler:
            raise InputError(f"clusters: {name!r} is no bag of the transforms")
        width = transforms.bag_scaler[name].width
        clusters[name] = TileClusters.from_arrays(arrays, f"clusters/{name}/", width)
    agreement = None
    if state["agreement"] is not None:
        agreement = Agreement.from_dict(state["agreement"])
    return {"reference": reference, "clusters": clusters, "agreement": agreement}


def _model(stored: StoredModel) -> RiskModel:
    name, written = estimator_name(stored.config), stored.state["estimator"]
    if written != name:
        raise InputError(f"a model of {written!r}, but config.json says {name!r}")
    return model_class(stored.config).from_state(
        replace(stored, state=stored.state["model"]),
    )


def _require_unchanged(
    source: Path,
    name: str,
    expected: Any,
) -> None:
    if not _PARTS.fullmatch(name):
        raise BundleError(
            f"{source}: bundle.json lists {name!r}, which is no file of a bundle; {_REMEDY}",
        )
    file = source / name
    if not file.exists():
        raise BundleError(f"{source}: {name} is listed in bundle.json but is not there")
    refuse_claim(file, regular_file(file, error=BundleError), error=BundleError)
    with _reading(file):
        actual = sha256_file(file)
    if actual != expected:
        raise BundleError(
            f"{file}: its bytes changed since the bundle was written; copy or train it again",
        )


def _summary(summary: Any) -> Mapping[str, Any]:
    """Check what prediction reads of a summary."""
    about = summary.get("calibration_cohort", summary)
    longest = about["longest_time"]
    if (
        summary["unit"] not in _UNITS
        or type(longest) not in (int, float)
        or not 0 < longest < np.inf
    ):
        raise InputError(
            f"expected a unit of {', '.join(_UNITS)} and a longest_time > 0",
        )
    checked: Mapping[str, Any] = summary
    return checked


def _calibration(state: Any) -> tuple[Calibrator, FloatArray, ConformalBound | None]:
    calibrator = calibrator_from_dict(state["calibrator"])
    cuts = as_log_risk(state["risk_cuts"], name="risk_cuts")
    if (np.diff(cuts) < 0).any():
        raise InputError("risk_cuts: expected risks in increasing order")
    bound = state.get("bound")
    return (
        calibrator,
        cuts,
        None if bound is None else ConformalBound.from_dict(bound, calibrator),
    )


def _drift(
    state: Any,
    arrays: Mapping[str, AnyArray],
    transforms: Transforms,
) -> Drift:
    """Read what training patients look like; a bag has its number of tiles as a feature too."""
    drift = Drift.from_state(state, arrays)
    for name, usual in drift.usual.items():
        features = transforms.dims.get(name, -1) + (name in transforms.bag_scaler)
        if len(usual.frame.center) != features:
            raise InputError(
                f"{name!r}: {len(usual.frame.center)} features, expected {features}",
            )
    return drift

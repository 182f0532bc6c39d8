"""A fitted model as a folder that can be read without us: safetensors and JSON.

::

    bundle/
    ├── bundle.json           format, version, sha256 of every other file
    ├── config.json           the resolved FitConfig
    ├── transforms.json       what the transforms learned: columns, genes, categories
    ├── transforms.safetensors
    ├── network.json          shape of the network
    ├── network-0.safetensors weights, one file per member
    ├── calibration.json      risk -> curve, groups, lower bound
    ├── drift.json            what training patients look like
    ├── drift.safetensors
    ├── patients.json         salted hashes of the training patients' ids and data
    ├── summary.json          training patients, events, epochs, versions
    └── search.json           every trial, where hyper-parameters were searched

Version 1 had no drift, no patients and no lower bound; it is read as before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from survfuse._errors import BundleError, InputError, listed
from survfuse._places import staged_folder, sweep_stage
from survfuse._storage import read_json, read_tensors, sha256_file, write_json, write_tensors
from survfuse.cohort.drift import Drift
from survfuse.cohort.identity import PatientHashes
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig, build
from survfuse.fitting import Fitted
from survfuse.models.config import NetworkConfig
from survfuse.models.network import FusionNetwork, build_network
from survfuse.survival.calibration import calibrator_from_dict
from survfuse.survival.conformal import ConformalBound

FORMAT = "survfuse-bundle"
VERSION = 2


def save_fitted(fitted: Fitted, folder: Path | str, *, force: bool = False) -> Path:
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
        write_json(temporary / "bundle.json", {"format": FORMAT, "version": VERSION, "sha256": hashes})
    return target


def check_target(folder: Path | str, *, force: bool = False) -> Path:
    """Refuse, before any work is done, a place where no bundle may or can be written.

    Parameters
    ----------
    folder : path
    force : bool
        Whether a bundle that is there already may be replaced.

    Raises
    ------
    BundleError
        When `folder` holds something that is not a bundle, or a bundle and `force` is not
        given, or when nothing can be written beside it.
    """
    target = Path(folder)
    try:
        sweep_stage(target, error=BundleError)
        if target.exists() or target.is_symlink():
            _refuse_taken(target, force)
        _try_to_write_beside(target)
    except OSError as error:
        raise BundleError(
            f"{target}: no bundle can be written there ({error}); choose another place, or mend its rights"
        ) from None
    return target


def _refuse_taken(target: Path, force: bool) -> None:
    """Let nothing be replaced but a bundle, with all of its files and no others, and only when asked to."""
    listed_files = _files_of_bundle(target)
    if listed_files is None:
        raise BundleError(f"{target}: exists and is not a survfuse bundle; choose another folder")
    if not force:
        raise BundleError(
            f"{target}: a bundle is there already; choose another folder, or replace it with --force "
            "(in Python: force=True)"
        )
    others = sorted(file.name for file in target.iterdir() if file.name not in listed_files)
    if others:
        raise BundleError(
            f"{target}: holds more than a bundle ({listed(others)}), which would be lost; move it away, or "
            "choose another folder"
        )


def _files_of_bundle(folder: Path) -> set[str] | None:
    """Names of the files that belong to the bundle in `folder`; None where there is no bundle."""
    try:
        manifest: Any = read_json(folder / "bundle.json")
        return {"bundle.json", *manifest["sha256"]} if manifest["format"] == FORMAT else None
    except (InputError, OSError, KeyError, TypeError):
        return None


def _try_to_write_beside(target: Path) -> None:
    """Make a folder where saving will make one, or in the nearest folder above that exists, and remove it."""
    parents = target.absolute().parents
    nearest = next(parent for parent in parents if parent.exists())
    Path(tempfile.mkdtemp(dir=nearest, prefix=f".{target.name}.old.")).rmdir()


def _write_parts(fitted: Fitted, folder: Path) -> None:
    header = {"format": FORMAT, "version": str(VERSION)}
    described, tensors = fitted.transforms.state()
    write_json(folder / "config.json", fitted.config.model_dump(mode="json"))
    write_json(folder / "transforms.json", described)
    write_tensors(folder / "transforms.safetensors", tensors, header)
    write_json(folder / "network.json", fitted.networks[0].config.to_dict())
    for index, network in enumerate(fitted.networks):
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
        write_tensors(folder / f"network-{index}.safetensors", weights, header)
    bound = None if fitted.bound is None else fitted.bound.to_dict()
    calibration = {"calibrator": fitted.calibrator.to_dict(), "risk_cuts": fitted.risk_cuts, "bound": bound}
    write_json(folder / "calibration.json", calibration)
    about, arrays = (fitted.drift or Drift({})).state()
    write_json(folder / "drift.json", about)
    write_tensors(folder / "drift.safetensors", arrays, header)
    write_json(folder / "patients.json", None if fitted.trained is None else fitted.trained.to_dict())
    write_json(folder / "summary.json", dict(fitted.summary))
    if "search" in fitted.summary:
        write_json(folder / "search.json", fitted.summary["search"])


def load_fitted(folder: Path | str) -> Fitted:
    """Read a bundle and check every byte of it.

    Raises
    ------
    BundleError
        When the folder is not a bundle, was written by a newer version, misses a
        file, or holds a file whose bytes have changed.
    """
    source = Path(folder)
    names, version = _verify(source)
    try:
        return _read_parts(source, names, version)
    except BundleError:
        raise
    except (InputError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BundleError(f"{source}: does not hold together: {error}") from error


def _verify(source: Path) -> tuple[Collection[str], int]:
    """Check the bundle's list and every file on it; return their names and the version."""
    if source.exists() and not source.is_dir():
        raise BundleError(f"{source}: not a survfuse bundle (a file; expected the folder that `train` wrote)")
    try:
        manifest: Any = read_json(source / "bundle.json")
    except InputError as error:
        raise BundleError(f"{source}: not a survfuse bundle ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{source}: bundle.json does not say format {FORMAT!r}")
    version = manifest.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise BundleError(
            f"{source}: bundle format version {version}, this survfuse reads up to {VERSION}; update survfuse"
        )
    hashes = manifest.get("sha256")
    if not isinstance(hashes, dict) or not hashes:
        raise BundleError(f"{source}: bundle.json lists no files")
    for name, expected in hashes.items():
        file = source / name
        if Path(name).name != name or not file.is_file():
            raise BundleError(f"{source}: {name} is listed in bundle.json but is not there")
        if sha256_file(file) != expected:
            raise BundleError(
                f"{file}: its bytes changed since the bundle was written; copy or train it again"
            )
    return hashes.keys(), version


def _read_parts(source: Path, names: Collection[str], version: int) -> Fitted:
    def part(name: str) -> Path:
        if name not in names:
            raise BundleError(f"{source}: bundle.json does not list {name}, so nobody can tell if it changed")
        return source / name

    config = build(FitConfig, read_json(part("config.json")), where=str(source / "config.json"))
    tensors, _ = read_tensors(part("transforms.safetensors"))
    transforms = Transforms.from_state(read_json(part("transforms.json")), tensors)
    shape = NetworkConfig.from_dict(read_json(part("network.json")))
    networks = tuple(_read_network(part(f"network-{i}.safetensors"), shape) for i in range(config.members))
    calibration = read_json(part("calibration.json"))
    calibrator = calibrator_from_dict(calibration["calibrator"])
    bound = calibration.get("bound")
    hashes = drift = None
    if version > 1:
        hashes = read_json(part("patients.json"))
        drift = Drift.from_state(read_json(part("drift.json")), read_tensors(part("drift.safetensors"))[0])
    return Fitted(
        config=config,
        transforms=transforms,
        networks=networks,
        calibrator=calibrator,
        risk_cuts=np.asarray(calibration["risk_cuts"], dtype=np.float64),
        summary=read_json(part("summary.json")),
        trained=None if hashes is None else PatientHashes.from_dict(hashes),
        drift=drift,
        bound=None if bound is None else ConformalBound.from_dict(bound, calibrator),
    )


def _read_network(path: Path, shape: NetworkConfig) -> FusionNetwork:
    weights, _ = read_tensors(path)
    network = build_network(shape)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network.eval()

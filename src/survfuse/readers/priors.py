"""Priors: weights of genes that other cohorts gave, as a folder that holds no patient.

::

    prior/
    ├── prior.json            format, version, sha256 of the arrays, what is not an array
    └── prior.safetensors     weights, errors
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import LONGEST, InputError, context, listed
from survfuse._places import staged_folder
from survfuse._storage import (
    read_json,
    read_tensors,
    sha256_file,
    sha256_text,
    stored_array,
    stored_texts,
    write_json,
    write_tensors,
)
from survfuse._types import Arrays, FloatArray
from survfuse.readers.genes import GENE_IDS

FORMAT = "survfuse-prior"
VERSION = 1
SHIPPED = Path(__file__).parent / "shipped_priors"
"""Priors that come with the package, a folder each."""
USUAL_SLOPE, USUAL_SPREAD = 0.2, 0.2
"""Of outside risks of which nothing is known: log hazard ratio per deviation, and its spread."""
LIMIT = 2.0
"""Deviations from the mean to which a gene's z-scores are limited, as the tails of a gene differ
from cohort to cohort more than the order of its patients."""
STEEPEST, LEAST_SPREAD = 10.0, 1e-3
"""Largest slope of a prior, and smallest spread: beyond them it is damaged."""
WEIGHTS = 1e-30, 1e30
"""Bounds of the size of the largest weight, within which squares neither vanish nor overflow."""
LEAST_LIMIT, MOST_LIMIT = 0.1, 1e6
AGAIN = "copy the whole folder again, or fit the prior again"
_BARCODE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_AS_HYPHEN = str.maketrans("._", "--")  # R and file names replace the hyphen


@dataclass(frozen=True, eq=False)
class Prior:
    """A risk of gene expression that was learned elsewhere.

    The risk of a patient is the sum of its z-scores, within its own cohort, times `weights`.

    Attributes
    ----------
    name : str
    gene_ids : {"symbol", "ensembl", "entrez"}
    genes : tuple of str
    weights : array, (genes,)
        Log hazard ratio per standard deviation of the gene.
    errors : array, (genes,), or None
        Standard errors of the weights; None of a published signature.
    slope : float
        Log hazard ratio per standard deviation of the risk that is expected in a new cohort.
    slope_spread : float
        Standard deviation of that between cohorts.
    patients : frozenset of str
        SHA-256 of the TCGA barcodes, which are public, of those it was fitted on.
    card : mapping
        Endpoint, source cohorts with patients and events, offsets, penalty: plain values.
    limit : float or None
        Deviations from the mean to which z-scores are limited; they are then z-scored once
        more. None leaves them as they are.
    """

    name: str
    gene_ids: str
    genes: tuple[str, ...]
    weights: FloatArray
    errors: FloatArray | None = None
    slope: float = USUAL_SLOPE
    slope_spread: float = USUAL_SPREAD
    patients: frozenset[str] = frozenset()
    card: Mapping[str, Any] = field(default_factory=dict)
    limit: float | None = None

    def __post_init__(self) -> None:
        for name in ("slope", "slope_spread"):
            value = getattr(self, name)
            if not 0 < value < np.inf:
                raise InputError(f"{name}: expected a number above 0, got {value}")


def write_prior(prior: Prior, folder: Path | str) -> Path:
    """Write a prior as a new folder, whole or not at all.

    Raises
    ------
    InputError
        When the folder exists, or :func:`read_prior` would refuse what is to be written.
    """
    target = Path(folder)
    if target.exists():
        raise InputError(f"{target}: exists already; give a new folder")
    arrays: Arrays = {"weights": prior.weights}
    if prior.errors is not None:
        arrays["errors"] = prior.errors
    if prior.patients:
        wrong = [one for one in sorted(prior.patients) if not _DIGEST.fullmatch(one)]
        if wrong:
            raise InputError(
                f"patients: expected SHA-256 of barcodes in hexadecimal (`barcode_hashes`), got "
                f"{listed(map(repr, wrong))}",
            )
        digests = b"".join(map(bytes.fromhex, sorted(prior.patients)))
        arrays["patients"] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": prior.name,
        "gene_ids": prior.gene_ids,
        "genes": list(prior.genes),
        "slope": prior.slope,
        "slope_spread": prior.slope_spread,
        "limit": prior.limit,
        "card": dict(prior.card),
    }
    _checked(head, arrays)
    with staged_folder(target, error=InputError) as temporary:
        write_tensors(temporary / "prior.safetensors", arrays, {"format": FORMAT})
        head["sha256"] = sha256_file(temporary / "prior.safetensors")
        write_json(temporary / "prior.json", head)
    return target


def read_prior(place: Path | str) -> Prior:
    """Read a prior: a folder, or the name of one that comes with the package.

    Raises
    ------
    InputError
        When there is none, or its files are damaged or of a later version.
    """
    folder = Path(place)
    # os.path takes names that no file can have, of which pathlib raises
    if not os.path.exists(folder) and str(place) in shipped_priors():
        folder = SHIPPED / str(place)
    if not os.path.isfile(folder / "prior.json"):
        known = ", ".join(shipped_priors()) or "none"
        raise InputError(
            f"{str(place)[:LONGEST]}: no prior; expected a folder that `survfuse prior fit` "
            f"wrote, or one of those that come with the package: {known}",
        )
    with context(str(folder)):
        head = read_json(folder / "prior.json")
        if not isinstance(head, Mapping) or head.get("format") != FORMAT:
            raise InputError(f"prior.json: expected format {FORMAT!r}; {AGAIN}")
        if head.get("version") != VERSION:
            raise InputError(
                f"prior.json: expected version {VERSION}, got {head.get('version')!r}; a later "
                "survfuse wrote it: update survfuse",
            )
        if not (folder / "prior.safetensors").is_file():
            raise InputError(f"prior.safetensors: is absent; {AGAIN}")
        if sha256_file(folder / "prior.safetensors") != head.get("sha256"):
            raise InputError(
                f"prior.safetensors: differs from what was written; {AGAIN}"
            )
        return _checked(head, read_tensors(folder / "prior.safetensors")[0])


def _checked(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> Prior:
    name, gene_ids = head.get("name"), head.get("gene_ids")
    if not isinstance(name, str):
        raise InputError(f"name: expected a text, got {name!r}; {AGAIN}")
    if gene_ids not in GENE_IDS:
        raise InputError(
            f"gene_ids: expected {' or '.join(GENE_IDS)}, got {gene_ids!r}; {AGAIN}",
        )
    genes = stored_texts(head.get("genes"), "genes")
    if not genes or len(set(genes)) < len(genes):
        raise InputError(f"genes: expected at least one, each once; {AGAIN}")
    weights = stored_array(arrays, "weights", (len(genes),)).astype(np.float64)
    check_weights(weights)
    errors = None
    if "errors" in arrays:
        errors = stored_array(arrays, "errors", (len(genes),)).astype(np.float64)
        if (errors < 0).any():
            raise InputError(f"array 'errors': expected none below 0; {AGAIN}")
    limit = None
    if head.get("limit") is not None:
        limit = _number(head, "limit", LEAST_LIMIT, MOST_LIMIT)
    card = head.get("card")
    if not isinstance(card, Mapping):
        raise InputError(f"card: expected a mapping, got {card!r}; {AGAIN}")
    _check_card(card)
    return Prior(
        name,
        gene_ids,
        genes,
        weights,
        errors,
        _number(head, "slope", 0.0, STEEPEST),
        _number(head, "slope_spread", LEAST_SPREAD, STEEPEST),
        _patients(arrays),
        dict(card),
        limit,
    )


def check_weights(weights: FloatArray) -> None:
    """Refuse weights that are all 0, or so small or large that their squares cannot be summed.

    Raises
    ------
    InputError
        Says the size of the largest.
    """
    least, most = WEIGHTS
    size = float(np.abs(weights).max())
    if not least <= size <= most:
        raise InputError(
            f"weights: expected the largest of them from {least:g} to {most:g} in size, got "
            f"{size:g}; they are log hazard ratios per deviation of a gene",
        )


def _check_card(card: Mapping[str, Any]) -> None:
    """Refuse a known entry of a card that is not of its type."""
    for key, expected in _CARD.items():
        value = card.get(key)
        if value is not None and not _is_like(value, expected):
            raise InputError(
                f"card: {key}: expected {expected}, got {repr(value)[:60]}; {AGAIN}"
            )
    for row in card.get("cohorts") or ():
        if not isinstance(row.get("name"), str):
            raise InputError(
                f"card: cohorts: expected a name in each, got {repr(row)[:60]}; {AGAIN}",
            )


_CARD = {
    "endpoints": "a list of texts",
    "not_for": "a list of texts",
    "notes": "a list of texts",
    "cohorts": "a list of mappings",
    "held_out": "a list of mappings",
    "patients": "a number",
    "events": "a number",
    "penalty": "a number",
    "judged_by": "a text",
    "provenance": "a text",
    "licence": "a text",
    "citation": "a text",
}
"""Entries of a card that are read, and what each must be."""


def _is_like(value: Any, expected: str) -> bool:
    if expected == "a number":
        return type(value) in (int, float)
    if expected == "a text":
        return isinstance(value, str)
    of = str if expected == "a list of texts" else Mapping
    return isinstance(value, list | tuple) and all(isinstance(one, of) for one in value)


def _patients(arrays: Mapping[str, Any]) -> frozenset[str]:
    """Hexadecimal digests of the array `patients`, (patients, 32) bytes."""
    digests = arrays.get("patients", np.zeros((0, 32), np.uint8))
    if digests.dtype != np.uint8 or digests.shape[1:] != (32,):
        raise InputError(
            f"array 'patients': expected rows of 32 bytes, got {digests.dtype} of shape "
            f"{digests.shape}",
        )
    return frozenset(row.tobytes().hex() for row in digests)


def _number(
    head: Mapping[str, Any],
    key: str,
    least: float,
    most: float,
) -> float:
    value: Any = head.get(key)
    plain = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not plain or not np.isfinite(value) or not least <= value <= most:
        raise InputError(
            f"{key}: expected a finite number from {least:g} to {most:g}, got {value!r}; {AGAIN}",
        )
    return float(value)


def shipped_priors() -> tuple[str, ...]:
    """Names of the priors that come with the package."""
    if not SHIPPED.is_dir():
        return ()
    return tuple(sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir()))


def tcga_barcode(patient: str) -> str | None:
    """Barcode of the patient of a TCGA id of any length and case; None for any other id.

    R writes dots for hyphens in names of columns.

    >>> tcga_barcode("tcga-05-4249-01a-01r"), tcga_barcode("001")
    ('TCGA-05-4249', None)
    """
    match = _BARCODE.match(patient.strip().upper().translate(_AS_HYPHEN))
    return match[0] if match else None


def barcode_hashes(patients: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the TCGA barcodes of those patients that have one, by id."""
    hashes = {}
    for patient in patients:
        barcode = tcga_barcode(patient)
        if barcode is not None:
            hashes[patient] = sha256_text(barcode)
    return hashes

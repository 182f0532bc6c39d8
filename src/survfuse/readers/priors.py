"""Priors: weights of genes that other cohorts gave, as a folder that holds no patient.

::

    prior/
    ├── prior.json            format, version, sha256 of the arrays, what is not an array
    └── prior.safetensors     weights, errors
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import InputError, context
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
_BARCODE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")
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
    """Write a prior as a new folder, whole or not at all; an existing one is refused."""
    target = Path(folder)
    if target.exists():
        raise InputError(f"{target}: exists already; give a new folder")
    arrays: Arrays = {"weights": prior.weights}
    if prior.errors is not None:
        arrays["errors"] = prior.errors
    if prior.patients:
        digests = b"".join(map(bytes.fromhex, sorted(prior.patients)))
        arrays["patients"] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
    with staged_folder(target, error=InputError) as temporary:
        write_tensors(temporary / "prior.safetensors", arrays, {"format": FORMAT})
        head = {
            "format": FORMAT,
            "version": VERSION,
            "sha256": sha256_file(temporary / "prior.safetensors"),
            "name": prior.name,
            "gene_ids": prior.gene_ids,
            "genes": list(prior.genes),
            "slope": prior.slope,
            "slope_spread": prior.slope_spread,
            "limit": prior.limit,
            "card": dict(prior.card),
        }
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
    if not folder.exists() and str(place) in shipped_priors():
        folder = SHIPPED / str(place)
    if not (folder / "prior.json").is_file():
        known = ", ".join(shipped_priors()) or "none"
        raise InputError(
            f"{place}: no prior; expected a folder that `survfuse prior fit` wrote, or one of "
            f"those that come with the package: {known}",
        )
    with context(str(folder)):
        head = read_json(folder / "prior.json")
        if not isinstance(head, Mapping) or head.get("format") != FORMAT:
            raise InputError(f"prior.json: expected format {FORMAT!r}")
        if head.get("version") != VERSION:
            raise InputError(
                f"prior.json: expected version {VERSION}, got {head.get('version')!r}",
            )
        if not (folder / "prior.safetensors").is_file():
            raise InputError(
                "prior.safetensors: is absent; copy the whole folder again"
            )
        if sha256_file(folder / "prior.safetensors") != head.get("sha256"):
            raise InputError(
                "prior.safetensors: differs from what was written; copy it again"
            )
        return _checked(head, read_tensors(folder / "prior.safetensors")[0])


def _checked(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> Prior:
    genes = stored_texts(head.get("genes"), "genes")
    (name,) = stored_texts([head.get("name")], "name")
    if not genes or len(set(genes)) < len(genes):
        raise InputError("genes: expected at least one, each once")
    if head.get("gene_ids") not in GENE_IDS:
        raise InputError(f"gene_ids: expected {' or '.join(GENE_IDS)}")
    slope, spread = (_number(head, key) for key in ("slope", "slope_spread"))
    limit = None if head.get("limit") is None else _number(head, "limit")
    if limit is not None and not limit > 0:
        raise InputError(f"limit: expected a number > 0 or null, got {limit}")
    errors = None
    if "errors" in arrays:
        errors = stored_array(arrays, "errors", (len(genes),)).astype(np.float64)
    weights = stored_array(arrays, "weights", (len(genes),)).astype(np.float64)
    if not isinstance(head.get("card"), Mapping):
        raise InputError("card: expected a mapping")
    return Prior(
        name,
        head["gene_ids"],
        genes,
        weights,
        errors,
        slope,
        spread,
        _patients(arrays),
        dict(head["card"]),
        limit,
    )


def _patients(arrays: Mapping[str, Any]) -> frozenset[str]:
    """Hexadecimal digests of the array `patients`, (patients, 32) bytes."""
    digests = arrays.get("patients", np.zeros((0, 32), np.uint8))
    if digests.dtype != np.uint8 or digests.shape[1:] != (32,):
        raise InputError(
            f"array 'patients': expected rows of 32 bytes, got {digests.dtype} of shape "
            f"{digests.shape}",
        )
    return frozenset(row.tobytes().hex() for row in digests)


def _number(head: Mapping[str, Any], key: str) -> float:
    value = head.get(key)
    if type(value) is not float or not np.isfinite(value):
        raise InputError(f"{key}: expected a finite number, got {value!r}")
    return value


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

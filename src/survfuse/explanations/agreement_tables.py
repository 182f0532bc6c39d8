"""Tables of agreement: what reproduces, what does not, and what a reader is told."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from survfuse.decomposition.measured_agreement import Agreement, AgreementRow

GREY, GOOD = 0.5, 0.8
"""Agreement below which an explanation is grey, and from which it is nearly the same."""

CHECK = "SRV025"
"""Number of the check."""

MEASURE = (
    "not measured: train with --halves 4 (in Python: sf.with_agreement(model, cohort))"
)

NOT_MEASURED = "agreement not measured"

WHAT = {
    "prediction": "log-risks",
    "term": "values of this term",
    "columns": "contributions of columns",
    "column": "contributions of this column",
    "genes": "weights of genes",
    "top genes": "genes",
    "tiles": "maps of tiles",
    "clusters": "risks of clusters",
}
COLUMNS = (
    "level",
    "modality",
    "name",
    "agreement",
    "low",
    "high",
    "expected",
    "splits",
    "status",
    "says",
)


def status(value: float | None) -> str:
    """Judge an agreement: "reproduces", "partly", "grey", or "not used" where there is none.

    Examples
    --------
    >>> status(0.4)
    'grey'
    """
    if value is None:
        return "not used"
    if value < GREY:
        return "grey"
    return "reproduces" if value >= GOOD else "partly"


def sentence(value: float | None, what: str) -> str:
    """Say what an agreement means.

    Parameters
    ----------
    value : float or None
        Agreement of two cohorts of the size of this one; None where nothing was compared.
    what : str
        What is compared, in the plural.

    Examples
    --------
    >>> sentence(0.2, "genes")
    'another cohort of this size would give other genes'
    """
    if value is None:
        return "too few half models use it, so that nothing could be compared"
    likeness = {"grey": "other", "partly": "similar", "reproduces": "nearly the same"}
    return f"another cohort of this size would give {likeness[status(value)]} {what}"


def agreement_frame(agreement: Agreement | None) -> pd.DataFrame:
    """Agreement of everything that was compared; no row where it was not measured.

    Returns
    -------
    DataFrame
        `level, modality, name` of what is compared; `agreement` of models of halves, with the
        smallest and largest of a split (`low, high`) and the number of `splits`; `expected`
        between cohorts of the size of this one; `status` ("reproduces", "partly", "grey", "not
        used") and `says`, a sentence. Both are about `expected` where it is known.
    """
    rows = []
    if agreement is not None:
        rows = [_described(row, agreement.expected(row)) for row in agreement.rows]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("agreement", "low", "high", "expected"), float)
    return table.astype({**numbers, "splits": int})


def _described(row: AgreementRow, expected: float | None) -> dict[str, Any]:
    """One row of :func:`agreement_frame`."""
    value = row.value if expected is None else expected
    return {
        **asdict(row),
        "agreement": row.value,
        "expected": expected,
        "status": status(value),
        "says": sentence(value, WHAT[row.level]),
    }


def growth_frame(
    agreement: Agreement,
    patients: Iterable[float] | None = None,
) -> pd.DataFrame:
    """Agreement that is expected between models of two cohorts of a size.

    Parameters
    ----------
    agreement : Agreement
    patients : iterable of float, optional
        Of each cohort; those of a half, of this cohort, of two and of four such by default.

    Returns
    -------
    DataFrame
        `level, modality, name, patients, expected`; lists and mean correlations are left out.
    """
    n = agreement.patients
    sizes = [agreement.half, n, 2 * n, 4 * n] if patients is None else list(patients)
    rows = []
    for row in agreement.rows:
        for size in sizes:
            expected = agreement.expected(row, size)
            if expected is not None:
                place = {"level": row.level, "modality": row.modality, "name": row.name}
                rows.append({**place, "patients": round(size), "expected": expected})
    return pd.DataFrame(
        rows, columns=["level", "modality", "name", "patients", "expected"]
    )


def selection_frame(agreement: Agreement | None) -> pd.DataFrame:
    """Share of the half models that have a gene among their largest weights, at most 50.

    Returns
    -------
    DataFrame
        `modality, gene, share`; genes of no list are left out.
    """
    rows = []
    for modality, genes in ({} if agreement is None else agreement.selected).items():
        for gene, share in sorted(genes.items(), key=lambda one: (-one[1], one[0])):
            rows.append({"modality": modality, "gene": gene, "share": share})
    return pd.DataFrame(rows, columns=["modality", "gene", "share"])


def check_frame(
    agreement: Agreement | None,
    terms: Iterable[str],
    unread: str = "",
) -> pd.DataFrame:
    """Say of each thing that is shown whether it may be read.

    Parameters
    ----------
    agreement : Agreement or None
        None where it was not measured.
    terms : iterable of str
        Terms that are shown.
    unread : str
        Why none of them is to be read, whatever was measured; empty where they may be.

    Returns
    -------
    DataFrame
        `check` (its number), `level, modality, name`, `status` ("pass", "grey", "not used" or
        "not measured") and `reason`.
    """
    rows: list[dict[str, Any]] = []
    if unread or agreement is None:
        status, reason = ("grey", unread) if unread else ("not measured", MEASURE)
        for name in terms:
            place = {"level": "term", "modality": "", "name": name}
            rows.append({**place, "status": status, "reason": reason})
    else:
        for row in agreement_frame(agreement).to_dict("records"):
            place = {key: row[key] for key in ("level", "modality", "name")}
            rows.append({**place, "status": _passed(row), "reason": _reason(row)})
    table = pd.DataFrame(
        rows, columns=["level", "modality", "name", "status", "reason"]
    )
    table.insert(0, "check", CHECK)
    return table


def _passed(row: Mapping[Hashable, Any]) -> str:
    status = str(row["status"])
    return status if status in ("grey", "not used") else "pass"


def _reason(row: Mapping[Hashable, Any]) -> str:
    """Numbers and words of a row of :func:`agreement_frame`."""
    if row["status"] == "not used":
        return "too few half models use it"
    text = f"agreement of halves {row['agreement']:.2f}"
    if pd.notna(row["expected"]):
        text += f", {row['expected']:.2f} expected at this size"
    return f"{text}: {row['says']}"

"""How far the explanations of models of two halves agree, as a bundle keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from survfuse._errors import InputError
from survfuse._storage import stored_numbers, stored_texts
from survfuse.decomposition.coefficients import spearman_brown

LEVELS = (
    "prediction",
    "term",
    "columns",
    "column",
    "genes",
    "top genes",
    "tiles",
    "clusters",
)
"""What is compared, from the whole log-risk to its smallest parts."""

GROWING = frozenset(LEVELS) - {"column", "top genes"}
"""Levels whose agreement grows with patients as a reliability does. A column of numbers has the
same pattern in any model, so that its agreement is that of signs."""


@dataclass(frozen=True)
class AgreementRow:
    """Agreement of one explanation.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    modality : str
        Empty where it is about several.
    name : str
        Of the term or column; empty where it is about all of them.
    value : float or None
        Mean over splits; None where the models of fewer than half of them use it.
    low, high : float or None
        Smallest and largest of a split.
    splits : int
        Splits on which both models use it.
    """

    level: str
    modality: str
    name: str
    value: float | None
    low: float | None
    high: float | None
    splits: int

    @classmethod
    def of(
        cls,
        key: tuple[str, str, str],
        splits: Sequence[float | None],
        count: int,
    ) -> AgreementRow:
        """Average what each split gave; `key` is level, modality and name.

        Nothing is said of what fewer than half of all `count` splits compare.
        """
        values = [one for one in splits if one is not None]
        if 2 * len(values) < count:
            return cls(*key, None, None, None, len(values))
        value = sum(values) / len(values) if values else None
        low, high = (min(values), max(values)) if values else (None, None)
        return cls(*key, value, low, high, len(values))


@dataclass(frozen=True)
class Agreement:
    """Agreement of everything that a model explains, measured on halves of its patients.

    Attributes
    ----------
    rows : tuple of AgreementRow
    patients : int
        Of the cohort: as many as the model itself was fitted on.
    half : float
        Patients of a half model, on average.
    splits : int
        Pairs of half models.
    lost : int
        Splits on which a half model could not be fitted.
    selected : mapping of modality to mapping of gene to float
        Share of the half models that have a gene among their top genes; genes of none are left
        out.
    notes : tuple of str
        Why splits were lost, and what could not be compared.
    risk_difference : float or None
        Root of the mean squared difference of log(−log S) at the median follow-up time between the
        calibrated models of two halves; None where it was not measured, or there is no curve.
    """

    rows: tuple[AgreementRow, ...]
    patients: int
    half: float
    splits: int
    lost: int = 0
    selected: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    risk_difference: float | None = None

    def row(
        self,
        level: str,
        modality: str = "",
        name: str = "",
    ) -> AgreementRow | None:
        """Find one row; None where it was not measured."""
        for row in self.rows:
            if (row.level, row.modality, row.name) == (level, modality, name):
                return row
        return None

    def expected(
        self,
        row: AgreementRow,
        patients: float | None = None,
    ) -> float | None:
        """Agreement of models of two cohorts of so many patients each, by Spearman and Brown.

        Parameters
        ----------
        row : AgreementRow
        patients : float
            Of each cohort; as many as this one by default.

        Returns
        -------
        float or None
            None where no model uses it, and for single columns and lists, which follow no such
            rule.
        """
        if row.value is None or row.level not in GROWING:
            return None
        count = self.patients if patients is None else patients
        return spearman_brown(row.value, count / self.half)

    @property
    def expected_difference(self) -> float | None:
        """The same between models of two cohorts of the size of this one.

        The variance of what is learned falls as 1 over the patients.
        """
        if self.risk_difference is None:
            return None
        return self.risk_difference * math.sqrt(self.half / self.patients)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "patients": self.patients,
            "half": self.half,
            "splits": self.splits,
            "lost": self.lost,
            "selected": {name: dict(genes) for name, genes in self.selected.items()},
            "notes": list(self.notes),
            "risk_difference": self.risk_difference,
        }

    @classmethod
    def from_dict(cls, state: Any) -> Agreement:
        """Make it again from :meth:`to_dict`.

        Raises
        ------
        InputError
            When a value is absent or impossible.
        """
        if not isinstance(state, Mapping) or not isinstance(state.get("rows"), list):
            raise InputError("agreement: expected a mapping with a list of rows")
        counts = {}
        for name in ("patients", "half", "splits", "lost"):
            counts[name] = state.get(name)
        if state.get("risk_difference") is not None:  # older bundles have none
            counts["risk_difference"] = state["risk_difference"]
        sizes = stored_numbers(counts, "agreement")
        if min(sizes["patients"], sizes["half"], sizes["splits"]) < 1:
            raise InputError("agreement: expected one patient and split or more")
        selected = state.get("selected")
        if not isinstance(selected, Mapping):
            raise InputError("agreement: selected: expected a mapping of modalities")
        difference = sizes.get("risk_difference")
        if difference is not None and difference < 0:
            raise InputError("agreement: risk_difference: expected a number >= 0")
        shares = {}
        for name, genes in selected.items():
            shares[name] = stored_numbers(genes, f"agreement: selected: {name}")
        return cls(
            rows=tuple(map(_row, state["rows"])),
            patients=int(sizes["patients"]),
            half=sizes["half"],
            splits=int(sizes["splits"]),
            lost=int(sizes["lost"]),
            selected=shares,
            notes=stored_texts(state.get("notes"), "agreement: notes"),
            risk_difference=difference,
        )


def _row(state: Any) -> AgreementRow:
    """Check a row: an agreement is in [-1, 1]."""
    if not isinstance(state, Mapping) or set(state) != set(
        AgreementRow.__annotations__
    ):
        wanted = ", ".join(AgreementRow.__annotations__)
        raise InputError(f"agreement: a row: expected the keys {wanted}")
    stored_texts([state[key] for key in ("level", "modality", "name")], "agreement")
    known = {
        key: state[key] for key in ("value", "low", "high") if state[key] is not None
    }
    numbers = stored_numbers({**known, "splits": state["splits"]}, "agreement: a row")
    beyond = [key for key in known if abs(numbers[key]) > 1 + 1e-9]
    if state["level"] not in LEVELS or beyond or numbers["splits"] < 0:
        raise InputError(
            f"agreement: a row: expected a level of {', '.join(LEVELS)} and numbers from -1 to 1, "
            f"got {dict(state)}",
        )
    return AgreementRow(**state)

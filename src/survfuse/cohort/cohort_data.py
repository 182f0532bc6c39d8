"""A cohort in memory: patients, their outcome, and the modalities each of them has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import CohortError, LeakageError, listed
from survfuse._storage import sha256_text, to_json
from survfuse.cohort.cohort_interface import CohortInterface
from survfuse.cohort.leakage import Leak, find_leaks
from survfuse.cohort.members import without
from survfuse.cohort.modalities import ExpressionData, ModalityData, PriorData
from survfuse.cohort.prior_section import check_prior, learned_here, prior_of_genes
from survfuse.cohort.problems import Problem, Problems
from survfuse.cohort.rows import CohortRows
from survfuse.cohort.spec import CohortSpec
from survfuse.readers.priors import Prior, read_prior
from survfuse.survival.curves import follow_up_median


@dataclass(frozen=True)
class FlowStep:
    """One line of the patient flow: how many were left after a step.

    Attributes
    ----------
    step : str
    patients : int
    events : int or None
        None where no outcome is known.
    note : str
        Who was left out, by name.
    """

    step: str
    patients: int
    events: int | None
    note: str = ""


@dataclass(frozen=True, repr=False)
class Cohort(CohortInterface):
    """Patients, sorted by id, with an outcome and whatever modalities each of them has.

    Attributes
    ----------
    name : str
    spec : CohortSpec
        What the cohort file says.
    root : Path
        Folder that the file's paths are relative to.
    patients : tuple of str
        Ids, sorted, so that the order of rows in a file never matters.
    outcome : DataFrame or None
        Columns `time` (float, in ``spec.outcome.unit``) and `event` (bool), indexed
        by ``patient_id``, in the order of `patients`. Loaded without need of an
        outcome, it is NaN and False where not known, and None where nobody has one.
    modalities : mapping of name to TableData, ExpressionData, BagData or PriorData
    folds : Series of str or None
        The fold that the cohort file gives each patient.
    groups : DataFrame of str
        Group names, one column a group; empty text where not known.
    problems : tuple of Problem
        What a person should look at.
    flow : tuple of FlowStep
        How the patients of the files became these.
    """

    name: str
    spec: CohortSpec
    root: Path
    patients: tuple[str, ...]
    outcome: pd.DataFrame | None
    modalities: Mapping[str, ModalityData]
    folds: pd.Series[str] | None = None
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    problems: tuple[Problem, ...] = ()
    flow: tuple[FlowStep, ...] = ()

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of patients and of modalities."""
        return len(self), len(self.modalities)

    def __getitem__(self, rows: Any) -> CohortRows:
        """Patients at some rows, in this order, as scikit-learn's splitters ask for them."""
        return CohortRows(self, self.patients)[rows]

    @property
    def y(self) -> np.ndarray[Any, Any]:
        """Outcomes as scikit-survival writes them, (patients,)."""
        return CohortRows(self, self.patients).y

    @cached_property
    def present(self) -> pd.DataFrame:
        """Who has what: bool, patients by modalities."""
        index = pd.Index(
            self.patients,
            name="patient_id",
            dtype=object,
        )
        present = pd.DataFrame(index=index)
        for name, data in self.modalities.items():
            present[name] = index.isin(data.patients)
        return present

    @property
    def events(self) -> int:
        """Patients with the event."""
        return 0 if self.outcome is None else int(self.outcome["event"].sum())

    @property
    def unit(self) -> str | None:
        """Unit of time, None where there is no outcome."""
        return self.spec.outcome.unit if self.spec.outcome is not None else None

    @property
    def endpoint(self) -> str | None:
        """Name of the endpoint, None where there is no outcome."""
        return self.spec.outcome.label if self.spec.outcome is not None else None

    @cached_property
    def leaks(self) -> tuple[Leak, ...]:
        """Inputs whose content is the outcome, or nearly so; looked for once."""
        return find_leaks(self.modalities, self.outcome)

    def with_outcome(self, outcome: pd.DataFrame) -> Cohort:
        """Give the same patients other outcomes; leaks stay those of their own."""
        other = replace(self, outcome=outcome)
        # a search through all inputs, which takes a minute for 60 million
        vars(other)["leaks"] = self.leaks
        return other

    def with_prior(
        self,
        prior: Prior | str | Path,
        name: str | None = None,
        *,
        expression: str = "expression",
    ) -> Cohort:
        """Add a risk that was learned elsewhere, as a modality of one number.

        Parameters
        ----------
        prior : Prior, str or path
            Also the name of one that comes with the package, or a folder that `survfuse prior fit`
            wrote.
        name : str, optional
            Name of the modality; the prior's own where not given.
        expression : str
            Expression modality that the genes are read from.

        Raises
        ------
        CohortError
            When the name is taken, or the expression modality is absent or has none of the genes.
        LeakageError
            When it was learned from patients of this cohort and their outcomes are known.
        """
        own = prior if isinstance(prior, Prior) else read_prior(prior)
        name = name or own.name
        if not name.isidentifier() or name in self.modalities:
            raise CohortError(
                f"prior {name!r}: expected a name of letters, digits and _ that no modality of "
                f"cohort {self.name!r} has; say another: `name=`",
            )
        problems = Problems()
        data = prior_of_genes(
            name,
            own,
            self.modalities,
            expression,
            problems.at(name),
        )
        if data is not None:
            check_prior(data, "", problems)
        problems.raise_errors(f"cohort {self.name!r}")
        assert data is not None
        learned = learned_here(data, "")
        if learned is not None and self.outcome is not None:
            raise LeakageError(f"cohort {self.name!r}: {learned}")
        return replace(
            self,
            modalities={**self.modalities, name: data},
            problems=(*self.problems, *problems.all()),
        )

    def with_priors_of(self, other: Cohort) -> Cohort:
        """Add the priors of another cohort that read genes, where this one has the genes.

        A prior of this cohort stays, and knows the patients of the other's prior of its name,
        whose weights will be used.
        """
        added = {}
        for name, data in other.modalities.items():
            if not isinstance(data, PriorData) or data.prior is None:
                continue
            source = self.modalities.get(data.source.name)
            if not isinstance(source, ExpressionData):
                continue
            theirs, own = (
                PriorData.of_genes(name, data.prior, source),
                self.modalities.get(name),
            )
            if own is None:
                added[name] = theirs
            elif isinstance(own, PriorData) and theirs.in_training - own.in_training:
                added[name] = replace(
                    own, in_training=own.in_training | theirs.in_training
                )
        return replace(self, modalities={**self.modalities, **added}) if added else self

    def check_patients(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return the ids as a tuple after checking that each is known and appears once.

        Raises
        ------
        CohortError
            Names the ids that are unknown or repeated.
        """
        chosen = tuple(ids)
        unknown = without(chosen, self.patients)
        if unknown:
            raise CohortError(
                f"cohort {self.name!r} has no patient {listed(map(repr, unknown))}; "
                f"its {len(self.patients)} ids look like {listed(map(repr, self.patients), 3)}",
            )
        if len(set(chosen)) < len(chosen):
            counts = Counter(chosen)
            repeated = sorted(patient for patient in counts if counts[patient] > 1)
            raise CohortError(f"patients named more than once: {listed(repeated)}")
        return chosen

    def subset(self, ids: Iterable[str]) -> Cohort:
        """Keep only these patients, sorted by id.

        Raises
        ------
        CohortError
            For ids that are unknown or named twice.
        """
        chosen = sorted(self.check_patients(ids))
        outcome = None if self.outcome is None else self.outcome.loc[chosen]
        events = None if outcome is None else int(outcome["event"].sum())
        modalities = {}
        for name, data in self.modalities.items():
            modalities[name] = data.subset(chosen)
        return replace(
            self,
            patients=tuple(chosen),
            outcome=outcome,
            modalities=modalities,
            folds=None if self.folds is None else self.folds.loc[chosen],
            groups=self.groups.loc[chosen],
            flow=(*self.flow, FlowStep("chosen", len(chosen), events)),
        )

    def summary(self) -> pd.DataFrame:
        """Tabulate modalities: modality, kind, patients, features, missing_share, note."""
        columns = ["modality", "kind", "patients", "features", "missing_share", "note"]
        rows = []
        for name, data in self.modalities.items():
            counts = len(data.patients), data.features
            rows.append((name, data.kind, *counts, data.missing_share(), data.note()))
        return pd.DataFrame(rows, columns=columns)

    def patterns(self) -> pd.DataFrame:
        """Tabulate availability patterns, most frequent first.

        Returns
        -------
        DataFrame
            `modalities, patients, events, follow_up_median` (reverse Kaplan-Meier, in the unit of
            the outcome; NaN where not reached or no outcome is known).
        """
        names = np.array(self.present.columns, dtype=object)
        key = [" + ".join(names[row]) for row in self.present.to_numpy(bool)]
        rows = []
        index = pd.Series(self.patients, dtype=object)
        for pattern, ids in index.groupby(np.array(key, dtype=object), sort=True):
            events = 0
            if self.outcome is not None:
                events = int(self.outcome.loc[list(ids), "event"].sum())
            rows.append((pattern, len(ids), events, self.follow_up(ids)))
        columns = ["modalities", "patients", "events", "follow_up_median"]
        table = pd.DataFrame(rows, columns=columns)
        return table.sort_values(
            "patients",
            ascending=False,
            kind="stable",
            ignore_index=True,
        )

    def follow_up(self, ids: Iterable[str]) -> float:
        """Median follow-up by reverse Kaplan-Meier; NaN where not reached or not known."""
        if self.outcome is None:
            return float("nan")
        own = self.outcome.loc[list(ids)].dropna(subset="time")
        median = follow_up_median(own["time"], own["event"]) if len(own) else None
        return float("nan") if median is None else median

    def fingerprint(self) -> str:
        """Hash the contents: ids, outcome, declared cells, expression values, slide hashes.

        Neither the place of the files nor the order of their rows matters.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        outcome = None
        if self.outcome is not None:
            times = [float(time).hex() for time in self.outcome["time"]]
            outcome = [self.unit, times, self.outcome["event"].astype(bool).tolist()]
        modalities, groups = {}, {}
        for name, data in self.modalities.items():
            modalities[name] = data.fingerprint()
        for group, labels in self.groups.items():
            groups[str(group)] = labels.tolist()
        folds = None if self.folds is None else self.folds.tolist()
        return sha256_text(to_json([self.patients, outcome, modalities, folds, groups]))

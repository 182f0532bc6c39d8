"""How many patients a 0/1 feature needs before anything can be learned from it.

A missing-value indicator or a level that two event-free patients carry separates: its likelihood
has no maximum, and with a small penalty the predicted risk of its carriers is nearly zero. So both
sides of a 0/1 feature, the carriers and the others, need `FEW` patients (a fifth of all where they
are fewer than 50), and a patient with the event and one without. Where one side has nobody with
the event, or nobody without it, a level needs twice as many: none among 20 leaves a share of up to
15 % (rule of three). A blank cell has no meaning of its own, and its indicator is then never used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse._types import BoolArray

FEW = 10
SMALLEST_SHARE = 5  # patients per carrier in a small cohort


@dataclass(frozen=True, eq=False)
class Support:
    """Patients of whom a column is learned.

    Attributes
    ----------
    event : array of bool, (patients,), or None
        None where no outcome is known: patients alone are counted.
    lenient : bool
        Any two patients are enough, for a table of which nothing would be left; a blank never is.
    """

    event: BoolArray | None = None
    lenient: bool = False

    def of(self, rows: BoolArray) -> Support:
        """Some of the patients."""
        return Support(None if self.event is None else self.event[rows], self.lenient)

    def enough(
        self,
        carriers: BoolArray,
        *,
        blank: bool = False,
    ) -> bool:
        """Whether a 0/1 feature can be learned from.

        Parameters
        ----------
        carriers : array of bool, (patients,)
        blank : bool
            The feature says that a cell is missing.
        """
        smaller = int(min(carriers.sum(), (~carriers).sum()))
        if self.lenient:
            return smaller > 0 and not blank
        few = max(1, min(FEW, len(carriers) // SMALLEST_SHARE))
        if self._one_sided(carriers):
            return smaller >= 2 * few and not blank
        return smaller >= few

    def _one_sided(self, carriers: BoolArray) -> bool:
        """Whether one side has no event, or nobody without it, though there are such patients."""
        if self.event is None:
            return False
        carried, others = self.event[carriers], self.event[~carriers]
        of_one_kind = (
            carried.all() or not carried.any() or others.all() or not others.any()
        )
        return bool(of_one_kind and self.event.any() and not self.event.all())

    def counted(self, carriers: BoolArray) -> str:
        """Patients and events behind a feature, in words."""
        count = f"{int(np.sum(carriers))} patients"
        if self.event is not None:
            count += f", {int(self.event[carriers].sum())} with the event"
        return count

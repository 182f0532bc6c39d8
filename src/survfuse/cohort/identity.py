"""Who was trained on, kept so that it can be asked but not read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from survfuse._errors import LeakageError, listed
from survfuse._storage import sha256_text


@dataclass(frozen=True)
class PatientHashes:
    """Salted hashes of patient ids.

    They answer "was this patient among them?". They do not make ids anonymous: whoever
    can list all possible ids can try each of them.

    Attributes
    ----------
    salt : str
        Differs from cohort to cohort, so that two models do not show whom they share.
    hashes : frozenset of str
        Hexadecimal SHA-256 of salt and id.
    """

    salt: str
    hashes: frozenset[str]

    @classmethod
    def of(cls, patients: Iterable[str], salt: str) -> PatientHashes:
        """Hash these ids."""
        return cls(salt, frozenset(_hash(salt, patient) for patient in patients))

    def known(self, patients: Iterable[str]) -> tuple[str, ...]:
        """Which of these ids are among them, in their order."""
        return tuple(patient for patient in patients if _hash(self.salt, patient) in self.hashes)

    def refuse(self, patients: Iterable[str], what: str) -> None:
        """Refuse ids that are among them.

        Raises
        ------
        LeakageError
            Names them.
        """
        seen = self.known(patients)
        if seen:
            raise LeakageError(
                f"{what}: {len(seen)} patient(s) were trained on: {listed(seen)}; calibrate on others "
                "(if these are other people under the same ids, rename them)"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain texts, for JSON."""
        return {"salt": self.salt, "sha256": sorted(self.hashes)}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> PatientHashes:
        """Make it again from :meth:`to_dict`."""
        return cls(str(d["salt"]), frozenset(str(one) for one in d["sha256"]))


def _hash(salt: str, patient: str) -> str:
    return sha256_text(f"{salt}/{patient}")

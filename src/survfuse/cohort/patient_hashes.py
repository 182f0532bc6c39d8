"""Who was trained on, kept so that it can be asked but not read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._errors import LeakageError, listed
from survfuse._storage import sha256_text, stored_texts
from survfuse._types import BoolArray
from survfuse.cohort.cohort_data import Cohort


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
    data : frozenset of str or None
        Hexadecimal SHA-256 of salt, id and what the model read of the patient; None where it was not kept.
    """

    salt: str
    hashes: frozenset[str]
    data: frozenset[str] | None = None

    @classmethod
    def of(cls, patients: Iterable[str], salt: str) -> PatientHashes:
        """Hash these ids."""
        return cls(salt, frozenset(_hash(salt, patient) for patient in patients))

    @classmethod
    def with_data(
        cls,
        cohort: Cohort,
        patients: Sequence[str],
        modalities: Iterable[str],
    ) -> PatientHashes:
        """Hash these ids, and what `modalities` hold of them; the cohort's contents are the salt."""
        salt = cohort.fingerprint()
        data = frozenset(
            _hash(salt, text) for text in _data(cohort, patients, modalities)
        )
        return cls(salt, cls.of(patients, salt).hashes, data)

    def unchanged(
        self,
        cohort: Cohort,
        patients: Sequence[str],
        modalities: Iterable[str],
    ) -> BoolArray:
        """Whether each of these patients is among them with the very data of then, (patients,).

        Where no data were kept, whoever is among them.
        """
        if self.data is None:
            return self.among(patients)
        texts = _data(cohort, patients, modalities)
        return np.array(
            [_hash(self.salt, text) in self.data for text in texts],
            dtype=bool,
        )

    def known(self, patients: Iterable[str]) -> tuple[str, ...]:
        """Which of these ids are among them, in their order."""
        return tuple(
            patient for patient in patients if _hash(self.salt, patient) in self.hashes
        )

    def among(self, patients: Sequence[str]) -> BoolArray:
        """Whether each of these ids is among them, (patients,)."""
        return np.array(
            [_hash(self.salt, patient) in self.hashes for patient in patients],
            dtype=bool,
        )

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
                "(if these are other people under the same ids, rename them)",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain texts, for JSON."""
        data = None if self.data is None else sorted(self.data)
        return {"salt": self.salt, "sha256": sorted(self.hashes), "data_sha256": data}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> PatientHashes:
        """Make it again from :meth:`to_dict`.

        Raises
        ------
        InputError
            When the hashes are no lists of texts, or the salt is no text.
        """
        (salt,) = stored_texts([d["salt"]], "salt")
        salt.encode()  # half a character of UTF-16 would be met at the first question only
        data = d.get("data_sha256")
        kept = None if data is None else frozenset(stored_texts(data, "data_sha256"))
        return cls(salt, frozenset(stored_texts(d["sha256"], "sha256")), kept)


def _hash(salt: str, patient: str) -> str:
    return sha256_text(f"{salt}/{patient}")


def _data(
    cohort: Cohort,
    patients: Sequence[str],
    modalities: Iterable[str],
) -> list[str]:
    """Write for each patient the id and a hash of what each modality holds of the patient."""
    texts = list(patients)
    for name in sorted(modalities):
        held = cohort.modalities[name].contents if name in cohort.modalities else {}
        texts = [
            f"{text}/{held.get(who, '')}"
            for text, who in zip(texts, patients, strict=True)
        ]
    return texts

"""Who was trained on: ids can be compared with them, but not read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
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
        Hexadecimal SHA-256 of salt, id and what the model read of the patient; None where it was
        not recorded.
    """

    salt: str
    hashes: frozenset[str]
    data: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        patients: Iterable[str],
        salt: str,
    ) -> PatientHashes:
        """Hash these ids."""
        return cls(salt, frozenset(_hashes(salt, patients)))

    @classmethod
    def with_data(
        cls,
        cohort: Cohort,
        patients: Sequence[str],
        modalities: Iterable[str],
    ) -> PatientHashes:
        """Hash ids and what `modalities` hold of them; the cohort's contents are the salt."""
        salt = cohort.fingerprint()
        data = frozenset(_hashes(salt, _contents(cohort, patients, modalities)))
        return cls(salt, frozenset(_hashes(salt, patients)), data)

    def unchanged(
        self,
        cohort: Cohort,
        patients: Sequence[str],
        modalities: Iterable[str],
    ) -> BoolArray:
        """Whether each of these patients is among them with the very data of then, (patients,).

        Where no data were recorded, whoever is among them.
        """
        if self.data is None:
            return self.among(patients)
        hashes = _hashes(self.salt, _contents(cohort, patients, modalities))
        return np.isin(np.array(hashes, str), list(self.data))

    def known(self, patients: Iterable[str]) -> tuple[str, ...]:
        """Which of these ids are among them, in their order."""
        ids = list(patients)
        return tuple(compress(ids, self.among(ids)))

    def among(self, patients: Sequence[str]) -> BoolArray:
        """Whether each of these ids is among them, (patients,)."""
        return np.isin(np.array(_hashes(self.salt, patients), str), list(self.hashes))

    def refuse(
        self,
        patients: Iterable[str],
        what: str,
    ) -> None:
        """Refuse ids that are among them.

        Raises
        ------
        LeakageError
            Names them.
        """
        seen = self.known(patients)
        if seen:
            raise LeakageError(
                f"{what}: {len(seen)} patient(s) were trained on: {listed(seen)}; calibrate on "
                "others (if these are other people under the same ids, rename them)",
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
        if data is not None:
            data = frozenset(stored_texts(data, "data_sha256"))
        return cls(salt, frozenset(stored_texts(d["sha256"], "sha256")), data)


def _hashes(salt: str, texts: Iterable[str]) -> list[str]:
    return [sha256_text(f"{salt}/{text}") for text in texts]


def _contents(
    cohort: Cohort,
    patients: Sequence[str],
    modalities: Iterable[str],
) -> list[str]:
    """Id of each patient and a hash of what each modality holds of the patient."""
    held = []
    for name in sorted(modalities):
        if name in cohort.modalities:
            held.append(cohort.modalities[name].contents)
        else:
            held.append({})
    texts = []
    for patient in patients:
        own = [contents.get(patient, "") for contents in held]
        texts.append("/".join([patient, *own]))
    return texts

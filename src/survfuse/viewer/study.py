"""What a viewer shows: patients of a cohort, with what a model or a run says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from survfuse._errors import InputError, listed
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.labels import Labels
from survfuse.cohort.modalities import BagData
from survfuse.cohort.slide_images import AvailableImages
from survfuse.decomposition.readings import CONSTANT
from survfuse.explanations.agreement_tables import NOT_MEASURED
from survfuse.explanations.tile_gallery import images_of_bag
from survfuse.maps import SlideMap
from survfuse.viewer.patient_table import PATIENT, PatientTable
from survfuse.viewer.slide_view import palettes

SlideKey = tuple[str, str]
"""Modality and slide."""
EVERY_SLIDE = ""
"""In the place of a slide: what holds of all of them."""
Maps = tuple[Mapping[str, SlideMap], Mapping[str, str]]
"""Maps by slide, and by slide the reason why it has none."""


@dataclass(frozen=True)
class PatientSlide:
    """A slide of a patient.

    Attributes
    ----------
    modality, slide_id : str
    tiles : int
    image : path or None
        None where no image of it is at hand.
    why_no_image : str
    """

    modality: str
    slide_id: str
    tiles: int
    image: Path | None
    why_no_image: str = ""


class Study(ABC):
    """Patients of a cohort, and what is said of them.

    Parameters
    ----------
    cohort : Cohort
    source : path
        Bundle or folder of a run.
    table : PatientTable
    """

    kind: ClassVar[str]

    def __init__(self, cohort: Cohort, source: Path, table: PatientTable) -> None:
        self.cohort, self.source, self.table = cohort, source, table
        self.labels = Labels.of(cohort.spec)
        self._known = frozenset(table.columns[0].values)

    @property
    def patients(self) -> list[str]:
        """Ids, in the order of the table."""
        assert self.table.columns[0].key == PATIENT
        return list(self.table.columns[0].values)

    @property
    def has_page(self) -> bool:
        """Whether there is a whole page about a patient."""
        return False

    def described(self) -> dict[str, Any]:
        """What is viewed, as JSON."""
        return {
            "kind": self.kind,
            "cohort": self.cohort.name,
            "source": self.source.name,
            "patients": len(self._known),
            **self.table.described(),
        }

    def check(self, patient: str) -> str:
        """A patient who is there.

        Raises
        ------
        InputError
            For one who is not.
        """
        if patient not in self._known:
            raise InputError(f"no such patient: {patient!r}")
        return patient

    def slides(self, patient: str) -> list[PatientSlide]:
        """Slides of a patient, bag by bag; none for one without."""
        slides = []
        for name, data in self.cohort.modalities.items():
            if isinstance(data, BagData) and patient in data.patients:
                available = self._images[name]
                for slide in data.store.slides_of(patient):
                    image = available.images.get(slide.slide_id)
                    path = None if image is None else image.path
                    missing = available.why_absent(slide.slide_id)
                    slides.append(
                        PatientSlide(name, slide.slide_id, slide.tiles, path, missing),
                    )
        return slides

    def slide(self, patient: str, key: SlideKey) -> PatientSlide:
        """A slide of a patient.

        Raises
        ------
        InputError
            For a patient or slide that is not there.
        """
        slides = self.slides(self.check(patient))
        for slide in slides:
            if (slide.modality, slide.slide_id) == key:
                return slide
        names = [f"{slide.modality} {slide.slide_id}" for slide in slides]
        raise InputError(
            f"patient {patient}: no slide {key[1]!r} of {key[0]!r}; there are: "
            f"{listed(names) or 'none'}",
        )

    def map_of(
        self,
        patient: str,
        slide: PatientSlide,
    ) -> tuple[SlideMap | None, str]:
        """The map of a slide, and why there is none or nothing on it."""
        maps, reasons = self.maps(patient, slide.modality)
        one = maps.get(slide.slide_id)
        if one is not None:
            return one, one.why_blank
        return None, reasons.get(slide.slide_id) or reasons.get(EVERY_SLIDE, "")

    def record_of(self, patient: str) -> dict[str, Any]:
        """One patient as JSON: facts, terms, slides.

        Raises
        ------
        InputError
            For one who is not there.
        """
        slides = []
        for slide in self.slides(self.check(patient)):
            slides.append(
                {
                    "modality": slide.modality,
                    "slide": slide.slide_id,
                    "tiles": slide.tiles,
                    "picture": slide.image is not None,
                },
            )
        return {
            "patient": patient,
            "kind": self.kind,
            "cohort": self.cohort.name,
            "source": self.source.name,
            "facts": self.table.facts(patient),
            "notes": self.notes(patient),
            "terms": self.terms(patient),
            "slides": slides,
            "palettes": palettes(),
            "has_page": self.has_page,
        }

    def notes(self, patient: str) -> list[str]:
        """What a reader must know of a patient: what is absent, assumed or out of range."""
        return []

    @abstractmethod
    def terms(self, patient: str) -> dict[str, Any]:
        """Terms of the log-risk of a patient, as `described_terms`; or no `rows`, and `why`."""

    @abstractmethod
    def maps(self, patient: str, modality: str) -> Maps:
        """Maps of the slides of a patient, and why others have none."""

    def neighbours(self, patient: str, key: SlideKey, tile: int) -> dict[str, Any]:
        """Tiles of the patient nearest to one among those of its cluster, as JSON."""
        return {"tiles": [], "why": "neighbours of tiles need a bundle"}

    def page(self, patient: str) -> str:
        """The whole page about a patient, HTML.

        Raises
        ------
        InputError
            Where there is none.
        """
        raise InputError(
            "the page about a patient needs a bundle, which `survfuse train` writes; this is a "
            "run of cross-validation, which keeps no model",
        )

    @cached_property
    def _images(self) -> dict[str, AvailableImages]:
        """Images of each bag."""
        images = {}
        for name, data in self.cohort.modalities.items():
            if isinstance(data, BagData):
                images[name] = images_of_bag(self.cohort, name)
        return images


def described_terms(
    values: Mapping[Any, Any],
    grey: Collection[str],
    says: Mapping[str, str],
    labels: Labels,
) -> dict[str, Any]:
    """Terms of a log-risk as JSON, the largest first; with `constant` they add up to `total`.

    Parameters
    ----------
    values : mapping of term to float
        With the constant, which the training patients have on average.
    grey : collection of str
        Terms that do not reproduce.
    says : mapping of term to str
        What was measured of that.
    labels : Labels
        Of the cohort file.
    """
    rows, constant = [], float(values[CONSTANT])
    terms = {name: value for name, value in values.items() if name != CONSTANT}
    for name, value in sorted(terms.items(), key=lambda item: -abs(item[1])):
        rows.append(
            {
                "name": labels.term(str(name)),
                "value": float(value),
                "grey": name in grey,
                "says": says.get(str(name), NOT_MEASURED),
            },
        )
    total = float(sum(values.values()))
    return {"rows": rows, "constant": constant, "total": total, "why": ""}

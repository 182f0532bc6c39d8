"""The section of slides: feature vectors of the tiles of each patient's slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from survfuse.cohort.spec.base import Label, Section
from survfuse.cohort.spec.patient_column import Patient, PatientColumn
from survfuse.cohort.table_file import Table


class SlidesSpec(Section):
    """A bag modality: feature vectors of the tiles of each patient's slides."""

    table: Table | None = None
    """Table of `slide_id, patient_id[, path, mpp, objective, mask]`; several slides per patient."""
    features: Path | None = None
    """Folder of feature files, packed into one store when first used."""
    images: Path | None = None
    """Folder of the slides themselves, for `survfuse extract`: where the table has no column
    `path`, each is found by its name; where it has one, paths are relative to this folder."""
    masks: Path | None = None
    """Folder of tissue masks, named like the slides, or what the column `mask` is relative to."""
    packed: Path | None = None
    """A packed store (`NAME.bags`) instead of `table` and `features`."""
    encoder: str | None = None
    """Tile encoder, one for the whole cohort."""
    mpp: float | None = Field(default=None, gt=0)
    """Microns per pixel of the tiles."""
    slide: str = "slide_id"
    """Column of slide ids."""
    patient: Patient = PatientColumn(column="patient_id")
    """Column of patient ids."""
    key: str | None = None
    """Name of the array in a feature file that holds the features, where it is none of `features`,
    `feats`, `patch_embeddings` and the names of slide encoders (`slide_embedding`)."""
    tiles: str | None = None
    """Tile grid of wsidata stores, such as `tiles2`, where one encoder was run on several."""
    exclude_slides: tuple[str, ...] = ()
    """Slides to leave out, by id."""
    exclude_features: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Tile features to leave out of every slide, by column, counted from 0."""
    label: Label = ""
    """Name of the modality for tables and figures."""

    @model_validator(mode="after")
    def _check(self) -> SlidesSpec:
        if self.packed is not None:
            own = ("key", "tiles", "exclude_slides", "exclude_features")
            choices = [f"`{name}`" for name in own if getattr(self, name)]
            if choices:
                raise ValueError(
                    f"{', '.join(choices)}: belong to `features`; a packed store is taken whole",
                )
        if (self.features is None) == (self.packed is None):
            raise ValueError(
                "say exactly one of `features: FOLDER` and `packed: NAME.bags`",
            )
        needs = [name for name in ("images", "masks") if getattr(self, name)]
        names = "`images` and `masks` need" if needs else "`features` needs"
        if self.table is None and (needs or self.features is not None):
            raise ValueError(
                f"{names} `table: FILE` with columns slide_id and patient_id",
            )
        return self

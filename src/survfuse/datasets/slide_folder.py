"""Slides of simulated patients: a folder of images, masks and a table, and the planted truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._errors import InputError
from survfuse._types import BoolArray, ByteArray, FloatArray, IntArray
from survfuse.datasets.population import Patients
from survfuse.datasets.rendered_slides import (
    damage,
    write_classes,
    write_mask,
    write_pyramid,
)
from survfuse.datasets.simulated_tissue import CLASSES
from survfuse.datasets.slide_layout import BACKGROUND
from survfuse.datasets.slide_orders import Workshop, order_slides
from survfuse.datasets.slide_painting import Painted
from survfuse.datasets.writing import write_csv

IMAGES, MASKS, TRUTH = "slides", "masks", "truth_tissue"


@dataclass(frozen=True)
class Planted:
    """What is true of one written slide.

    Attributes
    ----------
    slide_id, patient_id : str
    mpp : float
        µm per px at level 0, also where the file does not say so.
    width, height : int, px
        Of level 0.
    chips : int
        Pieces of tissue.
    pen : str or None
        Colour of its pen mark.
    defect : str or None
        ``no_mpp`` (neither file nor table says µm per px) or ``damaged`` (opens, but tiles cannot
        be read).
    tumour_share : float
        Share of the tissue.
    """

    slide_id: str
    patient_id: str
    mpp: float
    width: int
    height: int
    chips: int
    pen: str | None
    defect: str | None
    tumour_share: float


def write_slide_folder(
    folder: Path,
    shop: Workshop,
    patients: Patients,
    present: pd.Series[bool],
    *,
    side: int,
    slides: int,
    defects: bool,
    seed: np.random.SeedSequence,
) -> tuple[FloatArray, list[Planted]]:
    """Paint and write the slides of all patients who have any.

    Parameters
    ----------
    folder : path
        Gets ``slides/``, ``masks/``, ``truth_tissue/`` and ``slides.csv``.
    shop : Workshop
    patients : Patients
    present : Series of bool, indexed by patient id
        Who has slides.
    side : int, px of 0.5 µm
        Longest side of a slide.
    slides : int
        Most slides per patient; each has 1 to `slides`, uniformly.
    defects : bool
        Let one slide lack its µm per px and another be damaged.
    seed : SeedSequence
        Each patient gets a stream of its own.

    Returns
    -------
    shares : ndarray, (patients, classes)
        Of each class in the tissue of all slides of a patient, written or not.
    planted : list of Planted

    Raises
    ------
    InputError
        When nobody has a slide.
    """
    if not present.any():
        raise InputError("no patient has a slide: lower the share of missing slides")
    for name in (IMAGES, MASKS, TRUTH):
        (folder / name).mkdir()
    *streams, last = seed.spawn(len(patients.ids) + 1)
    broken = _choose_defects(present, np.random.default_rng(last)) if defects else {}
    planted = []
    counts = np.zeros((len(patients.ids), len(CLASSES)), dtype=np.int64)
    for row, (patient_id, stream) in enumerate(zip(patients.ids, streams, strict=True)):
        orders = order_slides(
            shop,
            patients,
            row,
            side=side,
            slides=slides,
            seed=stream,
        )
        for number, order in enumerate(orders, start=1):
            if not present[patient_id]:
                counts[row] += _count_tissue(order.classes())
                continue
            painted = order.paint(shop.sheets)
            counts[row] += _count_tissue(painted.classes)
            slide_id = f"{patient_id}_HE{number}"
            defect = broken.get(patient_id) if number == 1 else None
            planted.append(_write_slide(folder, slide_id, patient_id, painted, defect))
    write_csv(folder / "slides.csv", _table(planted))
    return counts / counts.sum(axis=1, keepdims=True), planted


def _count_tissue(classes: ByteArray) -> IntArray:
    """Count the cells of each class of tissue, (classes,); there are none of glass."""
    counts = np.bincount(classes.ravel(), minlength=len(CLASSES))
    counts[BACKGROUND] = 0
    return counts


def _choose_defects(
    present: pd.Series[bool],
    rng: np.random.Generator,
) -> dict[str, str]:
    """Whose first slide has which defect."""
    with_slides = present.index[present.to_numpy()].to_numpy(dtype=object)
    chosen = rng.permutation(with_slides)[:2].tolist()
    return dict(zip(chosen, ("no_mpp", "damaged"), strict=False))


def _write_slide(
    folder: Path,
    slide_id: str,
    patient_id: str,
    painted: Painted,
    defect: str | None,
) -> Planted:
    tissue: BoolArray = painted.classes != BACKGROUND
    image = folder / IMAGES / f"{slide_id}.tif"
    write_pyramid(image, painted.image, None if defect == "no_mpp" else painted.mpp)
    if defect == "damaged":
        damage(image)
    write_mask(folder / MASKS / f"{slide_id}.tif", tissue)
    write_classes(folder / TRUTH / f"{slide_id}.png", painted.classes)
    height, width = painted.image.shape[:2]
    share = float((painted.classes == 0).sum() / tissue.sum())
    return Planted(
        slide_id=slide_id,
        patient_id=patient_id,
        mpp=painted.mpp,
        width=width,
        height=height,
        chips=painted.chips,
        pen=painted.pen,
        defect=defect,
        tumour_share=round(share, 4),
    )


def _table(planted: list[Planted]) -> pd.DataFrame:
    """The slide table: what a hospital's would say."""
    frame = pd.DataFrame(planted)
    return pd.DataFrame(
        {
            "slide_id": frame["slide_id"],
            "patient_id": frame["patient_id"],
            "path": frame["slide_id"] + ".tif",
            "mpp": frame["mpp"]
            .map("{:g}".format)
            .where(frame["defect"] != "no_mpp", ""),
        },
    )


def describe(planted: list[Planted]) -> dict[str, dict[str, object]]:
    """What was planted, by slide id, as it is written down."""
    rows = {}
    for slide in planted:
        row = asdict(slide)
        rows[row.pop("slide_id")] = row
    return rows

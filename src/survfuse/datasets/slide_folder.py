"""Slides of simulated patients: a folder of images, masks and a table, and the planted truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._errors import InputError
from survfuse._types import BoolArray, ByteArray, FloatArray, IntArray
from survfuse.datasets.population import FACTORS, Patients
from survfuse.datasets.rendered_slides import (
    damage,
    write_classes,
    write_mask,
    write_pyramid,
)
from survfuse.datasets.simulated_tissue import CLASSES
from survfuse.datasets.slide_layout import BACKGROUND
from survfuse.datasets.slide_light import LABORATORY, PATIENT, PENS, STANDARD, Stain
from survfuse.datasets.slide_painting import (
    Look,
    Painted,
    cells,
    draw_classes,
    paint,
)
from survfuse.datasets.slide_textures import Sheets, draw_sheets
from survfuse.datasets.writing import write_csv

IMAGES, MASKS, TRUTH = "slides", "masks", "truth_tissue"

_SHARES = 2 * np.array(
    [3.0, 2.5, 3.0, 1.5, 0.7],
)  # of the classes of tissue, without glass
_DECOY_SD = 1.2  # of what immune infiltrate shows and means nothing; a factor's is 1
_FINE = 0.35  # share of slides at half the µm per px
_PENNED = 0.08  # share of slides with a pen mark
_SMALLEST = 0.8  # of the side asked for
_ROUND = 64  # px of 0.5 µm; sides are multiples of it


@dataclass(frozen=True)
class Workshop:
    """What all painted slides of one seed share.

    Attributes
    ----------
    sheets : Sheets
    laboratories : tuple of Stain
        One per site, or one.
    """

    sheets: Sheets
    laboratories: tuple[Stain, ...]


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


@dataclass(frozen=True)
class Order:
    """One slide of a patient, to be painted or only laid out.

    Attributes
    ----------
    look : Look
    height, width : int, px of 0.5 µm
    rng : Generator
        This slide's own.
    finer : int
        Pixels along each axis in place of one.
    pen : str or None
        Colour of its pen mark.
    """

    look: Look
    height: int
    width: int
    rng: np.random.Generator
    finer: int
    pen: str | None

    def paint(self, sheets: Sheets) -> Painted:
        """Paint the slide."""
        return paint(
            sheets,
            self.look,
            self.height,
            self.width,
            self.rng,
            finer=self.finer,
            pen=self.pen,
        )

    def classes(self) -> ByteArray:
        """Class of every cell, as the painted slide would have them but for its turn."""
        return cells(
            draw_classes(self.look.shares, self.height, self.width, self.rng)[0],
        )


def workshop(
    sites: int,
    seed: np.random.SeedSequence,
) -> Workshop:
    """Draw textures, and how each site stains."""
    textures, stains = (np.random.default_rng(child) for child in seed.spawn(2))
    laboratories = tuple(STANDARD.shifted(LABORATORY, stains) for _ in range(sites))
    return Workshop(draw_sheets(textures), laboratories or (STANDARD,))


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
        orders = _order_slides(
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


def _order_slides(
    shop: Workshop,
    patients: Patients,
    row: int,
    *,
    side: int,
    slides: int,
    seed: np.random.SeedSequence,
) -> Iterator[Order]:
    person, *streams = seed.spawn(1 + slides)
    rng = np.random.default_rng(person)
    stain = shop.laboratories[int(patients.site[row])].shifted(PATIENT, rng)
    decoy = _DECOY_SD * rng.standard_normal(FACTORS)
    look = Look(rng.dirichlet(_SHARES), patients.slide_factor[row], decoy, stain)
    for stream in streams[: int(rng.integers(1, slides + 1))]:
        own = np.random.default_rng(stream)
        height, width = _sides(side, own)
        pen = str(own.choice(list(PENS))) if own.random() < _PENNED else None
        finer = 2 if own.random() < _FINE else 1
        yield Order(look, height, width, own, finer, pen)


def _sides(
    longest: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    drawn = longest * rng.uniform(_SMALLEST, 1.0, 2)
    height, width = np.maximum(drawn // _ROUND, 1).astype(int).tolist()
    return height * _ROUND, width * _ROUND


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

"""Twenty-two starting points: files as people have them, and what must be typed to validate them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import layouts
from layouts import DAYS, people


@dataclass(frozen=True)
class StartingPoint:
    """Files as somebody has them, and the way from them to a cohort that validates.

    Attributes
    ----------
    name : str
    write : callable
        Writes the files into a folder.
    init : tuple of str
        Options of `survfuse init STUDY`; those that begin with ``./`` lie in that folder. Empty
        where the cohort file is written by hand.
    by_hand : str
        The cohort file, where it is written by hand.
    endpoint : str
        Endpoint to choose, of several.
    filled : mapping of str to str
        Blanks of the drafted cohort file that are filled by hand, and their values.
    """

    name: str
    write: Callable[[Path], object]
    init: tuple[str, ...] = ()
    by_hand: str = ""
    endpoint: str = ""
    filled: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        """Lines that a person writes."""
        return len(self.by_hand.splitlines()) + len(self.filled)

    def options(self, data: Path) -> list[str]:
        """Options of `init` for files in a folder."""
        return [
            str(data / one[2:]) if one.startswith("./") else one for one in self.init
        ]

    def prepare(self, folder: Path, run: Callable[..., int]) -> Path:
        """Write the files and, by `init` or by hand, the cohort file.

        Parameters
        ----------
        folder : path
            Gets ``data`` and ``study``.
        run : callable
            Runs a command of survfuse; returns its exit code.

        Returns
        -------
        Path
            The cohort file.
        """
        data = folder / "data"
        data.mkdir(parents=True)
        self.write(data)
        if self.by_hand:
            (data / "cohort.yaml").write_text(self.by_hand)
            return data / "cohort.yaml"
        code = run("init", folder / "study", *self.options(data))
        expected = 3 if self.filled else 0
        assert code == expected, f"init of {self.name} ended with {code}"
        file = folder / "study" / "cohort.yaml"
        text = file.read_text()
        for name, value in self.filled.items():
            text = re.sub(rf"\b{name}: \"\?\?\?.*", f"{name}: {value}", text)
        file.write_text(text)
        return file

    def choice(self) -> list[str]:
        """Options of `validate`."""
        return ["--endpoint", self.endpoint] if self.endpoint else []


def patients() -> pd.DataFrame:
    """A hospital's own table."""
    table = people().table
    return pd.DataFrame(
        {
            "patient_id": people().ids,
            "age": table["age"].to_numpy(),
            "sex": table["sex"].to_numpy(),
            "albumin": (30 + table["age"].to_numpy() / 7).round(1),
            "os_months": table["months"].to_numpy(),
            "os_event": table["dead"].to_numpy(),
        },
    )


def _xlsx(folder: Path) -> None:
    patients().to_excel(folder / "hospital.xlsx", sheet_name="Patients", index=False)


def _ods(folder: Path) -> None:
    legend = pd.DataFrame({"column": ["os_event"], "meaning": ["1 = died"]})
    with pd.ExcelWriter(folder / "hospital.ods", engine="odf") as book:
        patients().to_excel(book, sheet_name="Patients", index=False)
        legend.to_excel(book, sheet_name="Legend", index=False)


def _zip(folder: Path) -> None:
    patients().to_csv(folder / "patients.csv.zip", index=False)


def _semicolons(folder: Path) -> None:
    patients().to_csv(folder / "patients.csv", sep=";", decimal=",", index=False)


def _cp1252(folder: Path) -> None:
    table = patients()
    table["Geschlecht"] = np.where(table.pop("sex") == "Male", "männlich", "weiblich")
    table.to_csv(folder / "patients.csv", index=False, encoding="cp1252")


def _comments(folder: Path) -> None:
    text = "# export of 2026-01-15\n# os_event: 1 = died\n"
    (folder / "patients.csv").write_text(text + patients().to_csv(index=False))


def _dates(folder: Path) -> None:
    table = patients().drop(columns=["os_months", "os_event"])
    start = pd.Timestamp("2015-03-01") + pd.to_timedelta(
        np.arange(len(table)) * 9, unit="D"
    )
    days = (people().table["months"] * DAYS).round().to_numpy()
    table["diagnosis"] = start.strftime("%Y-%m-%d")
    table["last_contact"] = (start + pd.to_timedelta(days, unit="D")).strftime(
        "%Y-%m-%d"
    )
    table["status"] = np.where(people().table["dead"], "dead", "alive")
    table.to_csv(folder / "patients.csv", index=False)


def _two_times(folder: Path) -> None:
    table = patients().drop(columns=["os_months", "os_event"])
    days = (people().table["months"] * DAYS).round().astype(int).astype(str).to_numpy()
    dead = people().table["dead"].to_numpy() == 1
    table["days_to_death"] = np.where(dead, days, "")
    table["days_to_last_follow_up"] = np.where(dead, "", days)
    table["vital_status"] = np.where(dead, "Dead", "Alive")
    table.to_csv(folder / "patients.csv", index=False)


def _matrix(columns: list[str], genes: list[str] | None = None) -> pd.DataFrame:
    matrix = people().counts.T
    matrix.columns = columns
    if genes is not None:
        matrix.index = genes
    return matrix.rename_axis("gene")


def _barcodes(folder: Path) -> None:
    patients().to_csv(folder / "patients.csv", index=False)
    matrix = _matrix([f"{one}-01A-11R-1692-07" for one in people().ids])
    matrix.to_csv(folder / "counts.tsv", sep="\t")


def _genes(folder: Path) -> None:
    patients().to_csv(folder / "patients.csv", index=False)
    matrix = _matrix(people().ids)
    pd.concat([matrix, matrix.iloc[3:6]]).to_csv(folder / "counts.tsv", sep="\t")


def _versions(folder: Path) -> None:
    patients().to_csv(folder / "patients.csv", index=False)
    genes = [
        f"ENSG{100000 + place:011d}.{place % 9 + 1}" for place in range(layouts.GENES)
    ]
    _matrix(people().ids, genes).to_csv(folder / "counts.tsv", sep="\t")


def _visits(folder: Path) -> None:
    patients().to_csv(folder / "patients.csv", index=False)
    rng = np.random.default_rng(2)
    blood = pd.DataFrame({"patient_id": np.repeat(people().ids, 3)})
    blood["hb"] = rng.normal(13, 1.5, len(blood)).round(2)
    blood["crp"] = rng.lognormal(1, 1, len(blood)).round(2)
    blood.to_csv(folder / "blood.csv", index=False)


def _embeddings(folder: Path) -> None:
    patients().to_csv(folder / "patients.csv", index=False)
    (folder / "titan").mkdir()
    for slide, features, _ in layouts.bags():
        torch.save(
            torch.from_numpy(features.mean(axis=0)), folder / "titan" / f"{slide}.pt"
        )


_OUTCOME = ("--outcome", "./patients.csv")
_SHEET = """\
name: hospital
outcome: {table: {file: hospital.ods, sheet: Patients}, time: os_months, unit: months, event: os_event}
clinical: {table: {file: hospital.ods, sheet: Patients}, columns: {age: numeric, albumin: numeric, sex: nominal}}
"""
_ENCODING = """\
name: hospital
outcome: {table: {file: patients.csv, encoding: cp1252}, time: os_months, unit: months, event: os_event}
clinical: {table: {file: patients.csv, encoding: cp1252}, columns: {age: numeric, albumin: numeric, Geschlecht: nominal}}
"""

POINTS = (
    StartingPoint(
        "MCAT, PORPOISE, SurvPath",
        layouts.write_mcat,
        ("--format", "mcat", "--outcome", "./"),
    ),
    StartingPoint(
        "STAMP", layouts.write_stamp, ("--format", "stamp", "--outcome", "./")
    ),
    StartingPoint(
        "TRIDENT",
        layouts.write_trident,
        ("--format", "trident", "--outcome", "./outcome.csv", "--features", "./job"),
    ),
    StartingPoint(
        "CLAM",
        layouts.write_clam,
        (
            *("--format", "clam", "--outcome", "./outcome.csv"),
            *(
                "--features",
                "./FEATURES_DIRECTORY",
                "--slides",
                "./dataset_csv/tumor_subtyping.csv",
            ),
        ),
    ),
    StartingPoint(
        "cBioPortal",
        layouts.write_cbioportal,
        ("--format", "cbioportal", "--outcome", "./"),
        endpoint="os",
    ),
    StartingPoint(
        "GDC portal", layouts.write_gdc, ("--format", "gdc", "--outcome", "./")
    ),
    StartingPoint(
        "UCSC Xena",
        layouts.write_xena,
        ("--format", "xena", "--outcome", "./"),
        endpoint="os",
    ),
    StartingPoint(
        "HANCOCK",
        layouts.write_hancock,
        ("--format", "hancock", "--outcome", "./"),
        endpoint="os",
    ),
    StartingPoint(
        "CHIMERA training folder",
        layouts.write_chimera,
        ("--format", "chimera", "--outcome", "./"),
    ),
    StartingPoint("workbook (.xlsx)", _xlsx, ("--outcome", "./hospital.xlsx")),
    StartingPoint("one sheet of two (.ods)", _ods, by_hand=_SHEET),
    StartingPoint("zipped table (.csv.zip)", _zip, ("--outcome", "./patients.csv.zip")),
    StartingPoint("semicolons and decimal commas", _semicolons, _OUTCOME),
    StartingPoint("another encoding (cp1252)", _cp1252, by_hand=_ENCODING),
    StartingPoint("comments above the header", _comments, _OUTCOME),
    StartingPoint("dates of diagnosis and last contact", _dates, _OUTCOME),
    StartingPoint("times in two columns", _two_times, _OUTCOME),
    StartingPoint(
        "TCGA barcodes of samples",
        _barcodes,
        (*_OUTCOME, "--expression", "./counts.tsv"),
    ),
    StartingPoint(
        "gene ids with versions",
        _versions,
        (*_OUTCOME, "--expression", "./counts.tsv"),
    ),
    StartingPoint(
        "symbols that stand twice",
        _genes,
        (*_OUTCOME, "--expression", "./counts.tsv"),
        filled={"duplicates": "sum"},
    ),
    StartingPoint(
        "several rows per patient",
        _visits,
        (*_OUTCOME, "--table", "./blood.csv"),
        filled={"rows": "mean"},
    ),
    StartingPoint(
        "one embedding per slide", _embeddings, (*_OUTCOME, "--features", "./titan")
    ),
)

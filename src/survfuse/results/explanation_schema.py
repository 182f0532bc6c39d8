"""The tables of an explanation's folder: their columns and what they mean, described once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_PATIENT = {"patient_id": "the patient"}
_MODALITY = {"modality": "where the input comes from"}


@dataclass(frozen=True)
class TableFile:
    """A table of an explanation.

    Attributes
    ----------
    name : str
        Of its files, without ``.csv`` and ``.parquet``.
    about : str
        What a row is.
    columns : mapping of str to str
        What each column means; the table has all of them.
    others : str
        What further columns mean, where there can be some.
    csv, parquet : bool
        In which formats it is written.
    """

    name: str
    about: str
    columns: Mapping[str, str]
    others: str = ""
    csv: bool = True
    parquet: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Names of its files."""
        formats = (("csv", self.csv), ("parquet", self.parquet))
        return tuple(f"{self.name}.{ending}" for ending, yes in formats if yes)


TABLES = (
    TableFile(
        "terms",
        "a patient: the log-risk and the terms that add up to it",
        {
            **_PATIENT,
            "log_risk": "what the model predicts",
            "constant": "log-risk of the average training patient",
        },
        "a term each: a modality's main effect, or an interaction as a*b; `se a*b` is the standard "
        "error of a term that is an average over draws, `sd a*b` its spread over the members of "
        "the model",
        parquet=True,
    ),
    TableFile(
        "shares",
        "a term: its share of the variance of the log-risk among these patients",
        {
            "term": "the term",
            "share": "covariance with the log-risk, divided by its variance; adds up to 1",
            "low": "lower end of the 95 % interval over patients",
            "high": "upper end",
        },
    ),
    TableFile(
        "excluded",
        "a term that the model leaves out",
        {
            "term": "the term",
            "reason": "why",
            "alone": "whether the table of that name has what it would say by itself",
        },
    ),
    TableFile(
        "alone",
        "a patient: what modalities that are left out would say by themselves; no part of any "
        "prediction",
        dict(_PATIENT),
        "the log-risk of a modality's own model",
    ),
    TableFile(
        "variables",
        "a column of a clinical or other table, for a patient",
        {
            **_PATIENT,
            **_MODALITY,
            "column": "column of the table; (presence): that the patient has the table at all",
            "value": "the patient's cell",
            "known": "whether the cell could be used; otherwise the training mean was read",
            "contribution": "to the modality's main effect; all rows of a modality add up to it",
        },
        "`label` and `value_label` are the words of the cohort file for the column and the value, "
        "where it has some",
        parquet=True,
    ),
    TableFile(
        "hazard_ratios",
        "a column or a level of it, and what it is compared with; of a penalised fit, so shrunken",
        {
            **_MODALITY,
            "column": "column of the table",
            "level": "level of a category",
            "contrast": "per unit, per SD, or against which level",
            "hazard_ratio": "by which the hazard is multiplied",
            "log_hazard_ratio": "its logarithm",
        },
        "`label` and `level_label` are the words of the cohort file for the column and the level, "
        "where it has some",
    ),
    TableFile(
        "genes",
        "a gene that the model reads, largest weight first",
        {
            **_MODALITY,
            "gene": "the gene",
            "weight": "change of the log-risk when the gene's z-score rises by 1",
            "sd": "standard deviation of its contributions over these patients",
            "mean_abs": "their mean size",
            "largest_share": "its largest part of one patient's contributions",
            "largest_patient": "whose",
            "dominates": "whether that is more than a half",
        },
        "`selected` is the share of the half models that have it among their 50 largest weights",
    ),
    TableFile(
        "gene_sets",
        "a gene set that the model reads, largest mean contribution first",
        {
            **_MODALITY,
            "set": "the set",
            "genes": "its genes that are measured",
            "weight": "change of the log-risk per unit of the set; empty where it has no unit",
            "sd": "standard deviation of its contributions over these patients",
            "mean_abs": "their mean size",
        },
    ),
    TableFile(
        "points",
        "a patient and a horizon",
        {
            **_PATIENT,
            "horizon": "time, in the cohort's unit",
            "risk": "predicted probability of the event by then, in percent",
            "reference": "mean of the training patients, in percent",
        },
        "percentage points of a modality: with the reference they add up to the risk",
    ),
    TableFile(
        "clusters",
        "a cluster of tiles that look alike to the encoder, for a patient",
        {
            **_PATIENT,
            **_MODALITY,
            "cluster": "number of the cluster",
            "share": "of the patient's tiles",
            "contribution": "sum of the contributions of its tiles",
            "tile_risk": "mean log-risk of its tiles",
        },
    ),
    TableFile(
        "tiles",
        "a tile",
        {
            **_PATIENT,
            **_MODALITY,
            "slide": "the slide",
            "tile": "row of the tile in the slide's features",
            "x": "left edge, as the features have it; empty where not known",
            "y": "upper edge",
            "tile_risk": "log-risk of the tile, minus the reference: colour maps by this",
            "share": "weight of the tile in the patient",
            "contribution": "share times tile_risk: adds up to the modality's main effect",
            "removal": "exact change of the term when the tile is removed",
            "cluster": "number of the tile's cluster",
        },
        csv=False,
        parquet=True,
    ),
    TableFile(
        "agreement",
        "a thing that is shown, and how far models of halves of the training patients say the same",
        {
            "level": "what it is: prediction, term, column, genes, tiles, ...",
            "modality": "where it comes from",
            "name": "its name",
            "agreement": "of models of halves; 1: the same; 0: unrelated",
            "low": "smallest of a pair of halves",
            "high": "largest",
            "expected": "between models of two cohorts as large as the training cohort",
            "splits": "pairs of halves",
            "status": "reproduces, partly, grey or not used",
            "says": "the same in a sentence",
        },
    ),
    TableFile(
        "growth",
        "a thing that is shown, and a number of patients",
        {
            "level": "what it is, as in agreement",
            "modality": "where it comes from",
            "name": "its name",
            "patients": "of each of two cohorts",
            "expected": "agreement of their models",
        },
    ),
)
"""Every table that an explanation can have; one that has no row, or cannot be computed, is left
out, and ``explanation.json`` says why."""


def to_markdown() -> str:
    """List of the files and their columns, for the documentation."""
    lines = []
    for table in TABLES:
        names = ", ".join(f"`{name}`" for name in table.columns)
        files = ", ".join(f"`{name}`" for name in table.files)
        line = f"- {files}: a row is {table.about}. Columns: {names}"
        lines.append(line + (f"; and {table.others}." if table.others else "."))
    return "\n".join(lines)

"""What a notebook asks of a cohort: made of DataFrames, written to a folder, shown in short."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from survfuse._errors import CohortError

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort


class CohortInterface:
    """Base of :class:`Cohort`: ways in, out, and onto the screen."""

    @classmethod
    def from_frames(
        cls,
        *,
        outcome: Any = None,
        time: str | Mapping[str, Any] | None = None,
        event: str | Mapping[str, Any] | None = None,
        censored: str | Mapping[str, Any] | None = None,
        unit: Literal["days", "months", "years"] | None = None,
        patient: str | None = None,
        clinical: Any = None,
        columns: Mapping[str, Any] | None = None,
        expression: Any = None,
        expression_unit: str | None = None,
        genes: str = "symbol",
        layer: str | None = None,
        orientation: str = "patients_by_genes",
        tables: Mapping[str, Any] | None = None,
        bags: Mapping[str, Any] | None = None,
        encoder: str | Mapping[str, str] | None = None,
        mpp: float | Mapping[str, float] | None = None,
        groups: Any = None,
        folds: Any = None,
        followup: Collection[str] = (),
        allow_followup: Collection[str] = (),
        priors: Collection[Path | str] = (),
        missing: Sequence[str] | None = None,
        match: Literal["tcga"] | None = None,
        rows: Literal["refuse", "first", "mean"] = "refuse",
        duplicates: Literal["refuse", "mean", "max", "sum", "first"] = "refuse",
        name: str = "cohort",
        endpoint: str = "",
        horizons: Sequence[float] | None = None,
        event_values: Mapping[str, int] | None = None,
        exclude_invalid: bool = False,
        exclude: Collection[str] = (),
    ) -> Cohort:
        """Make a cohort of tables in memory, with the checks that files get.

        A table is a DataFrame of pandas or polars, or a pyarrow Table, of one row per patient.
        Its cells count as they would in a CSV file of it: the fingerprint of a cohort is the same
        both ways.

        Parameters
        ----------
        outcome : table, AnnData or MuData, optional
            Holds the columns `time` and `event`; of an AnnData its ``obs``. Where it is not given,
            they are looked for in the ``obs`` of `expression`; without `time` the cohort has no
            outcome and can be predicted.
        time : str
            Column of follow-up times, > 0, in `unit`.
        event, censored : str
            Column in which 1 (or true) means that the event happened, or that the patient was
            censored. Exactly one of the two: the polarity is never guessed.
        unit : {"days", "months", "years"}
        patient : str, optional
            Column of patient ids, in each table that has it. Where it is not given, the column
            ``patient_id``, and where a table has none, its index.
        clinical : table, AnnData, or list of str, optional
            Clinical variables; a list names columns of `outcome` or of ``obs``.
        columns : mapping of str to str or dict, optional
            What columns of `clinical` and `tables` are, where that shall not be inferred:
            ``"numeric"``, ``"nominal"``, or a dict of `kind`, `levels` (lowest first), `label`,
            `labels`, `missing`, `known`, `use`, as in a cohort file. Otherwise numbers are
            numeric, ordered categories ordinal, and truths, texts and other categories nominal,
            which is said in `problems` and :meth:`Cohort.summary`. New patients are declared as
            those of training by ``columns=cohort.columns``.
        expression : table, AnnData or MuData, optional
            Patients by genes. Of a MuData, ``rna`` is the expression, and others are `tables`.
        expression_unit : str
            counts, tpm, log2tpm, log2counts, vst, zscore, fpkm or log2fpkm.
        genes : {"symbol", "ensembl", "entrez"}
        layer : str, optional
            Layer of the AnnData in place of X.
        orientation : {"patients_by_genes", "genes_by_patients"}
            Of `expression`.
        tables : mapping of str to table or AnnData, optional
            Further vectors of each patient, by name.
        bags : mapping of str to mapping or path, optional
            Tile features by name (``slides`` by custom) and patient: an array, (tiles, features),
            a feature file of any tool, a list of these (slides), or a dict of them by slide id.
            A path is that of a packed store.
        encoder, mpp : str and float, or mapping by name, optional
            Encoder and scale (µm per pixel) of the tiles.
        groups : str, list of str, Series, or mapping of name to column or Series, optional
            Columns of `outcome` or `clinical`, or Series by patient, that group patients (site).
        folds : str, Series or dict by patient, optional
            Fixed folds.
        followup : collection of str
            Columns that accrue after time zero: kept, and refused as inputs.
        allow_followup, priors, exclude
            As for :func:`~survfuse.load_cohort`.
        missing : sequence of str, optional
            Texts that mean "not known" in all tables, besides NaN, None and NA, which always do.
        match : "tcga", optional
            All ids are TCGA barcodes, cut to the participant.
        rows : {"refuse", "first", "mean"}
            Several rows of one patient in `clinical`, `tables` or `expression`.
        duplicates : {"refuse", "mean", "max", "sum", "first"}
            Several columns of one gene.
        name : str
            Of the cohort.
        endpoint : str
            Name of the endpoint for tables and figures.
        horizons : sequence of float, optional
            Times, in `unit`, at which survival is predicted.
        event_values : mapping of str to 0 or 1, optional
            What each word in the column of `event` or `censored` means, as 0 or 1 of it.
        exclude_invalid : bool
            Leave out patients without a possible time and event, counted, instead of refusing.

        Returns
        -------
        Cohort
            What was inferred, left out or is doubtful is in ``.problems``.

        Raises
        ------
        ConfigError
            When an argument does not fit the others.
        CohortError
            Lists all errors of the data.
        LeakageError
            When the content of an input is the outcome.

        Examples
        --------
        >>> import pandas as pd
        >>> import survfuse as sf
        >>> ids = pd.Index([f"P{n}" for n in range(40)], name="patient_id")
        >>> table = pd.DataFrame({"months": range(1, 41), "dead": [0, 1] * 20}, index=ids)
        >>> clinical = pd.DataFrame({"age": [50 + n * 7 % 30 for n in range(40)]}, index=ids)
        >>> cohort = sf.Cohort.from_frames(
        ...     outcome=table, time="months", event="dead", unit="months", clinical=clinical
        ... )
        >>> len(cohort), cohort.events
        (40, 20)
        """
        from survfuse.cohort.frame_tables import FrameInput
        from survfuse.cohort.from_frames import cohort_of

        options = {
            "endpoint": endpoint,
            "horizons": horizons,
            "event_values": event_values,
            "exclude_invalid": exclude_invalid,
        }
        given = FrameInput(
            outcome=outcome,
            time=time,
            event=event,
            censored=censored,
            unit=unit,
            patient=patient,
            clinical=clinical,
            columns=dict(columns or {}),
            expression=expression,
            expression_unit=expression_unit,
            genes=genes,
            layer=layer,
            orientation=orientation,
            tables=_mapping(tables, "tables", "name to table"),
            bags=_mapping(bags, "bags", "patient to array or path"),
            encoder=encoder,
            mpp=mpp,
            groups=groups,
            folds=folds,
            followup=_names(followup),
            missing=None if missing is None else _names(missing),
            match=match,
            rows=rows,
            duplicates=duplicates,
            name=name,
            options=options,
            exclude=_names(exclude),
        )
        return cohort_of(
            given,
            allow_followup=_names(allow_followup),
            priors=(priors,) if isinstance(priors, str | Path) else priors,
        )

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """What each column of its tables is, as `columns` of :meth:`from_frames` takes it."""
        from survfuse.cohort.from_frames import declared_columns

        return declared_columns(cast("Cohort", self))

    def to_yaml(self, folder: Path | str, *, force: bool = False) -> Path:
        """Write the cohort as a folder: ``cohort.yaml``, its tables, and packed bags.

        Parameters
        ----------
        folder : path
            A new or empty folder; it appears whole or not at all.
        force : bool
            Replace a folder that this method wrote. Anything else there is never touched.

        Returns
        -------
        Path
            ``folder/cohort.yaml``; loaded, it has the fingerprint of this cohort.

        Raises
        ------
        CohortError
            When the folder holds something, or the disk is full.
        """
        from survfuse.cohort.cohort_folder import write_cohort

        return write_cohort(cast("Cohort", self), _path(folder), force=force)

    def __repr__(self) -> str:
        from survfuse.cohort.cohort_display import as_text

        return as_text(cast("Cohort", self))

    def _repr_html_(self) -> str:
        from survfuse.cohort.cohort_display import as_html

        return as_html(cast("Cohort", self))


def _names(given: Collection[str]) -> tuple[str, ...]:
    """Names as a tuple; one text is one name."""
    return (given,) if isinstance(given, str) else tuple(given)


def _mapping(given: Any, name: str, of: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise CohortError(
            f"{name}: expected a mapping of names to a mapping or table ({of}), got "
            f"{type(given).__name__}",
        )
    return dict(given or {})


def _path(folder: Path | str) -> Path:
    if not isinstance(folder, str | Path):
        raise CohortError(f"folder: expected a path, got {type(folder).__name__}")
    return Path(folder)

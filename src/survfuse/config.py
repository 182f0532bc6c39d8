"""One run is one frozen object; YAML, command line and documentation are made from it.

Every field carries its reason. Unknown keys are refused, relations between fields
are checked at birth, and a preset is a diff against the default with a comment.
"""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from survfuse._errors import ConfigError, context
from survfuse._storage import sha256_file
from survfuse._yaml import parse_yaml, read_yaml

C = TypeVar("C", bound="Frozen")
Preset = Literal["default", "paper"]
MOST_TOLD = 20  # faults of one file
LONGEST_TOLD = 200  # characters of a value that is wrong
LONGEST_NAME, LONGEST_PATH = 255, 2048  # bytes of a file's name and path


def _fault_of_path(path: Path) -> str:
    """Say why no file can have this path; empty where one can."""
    try:
        plain = os.fsencode(path)
    except UnicodeEncodeError:
        return "which holds half a character"
    if b"\0" in plain:
        return "which holds the character NUL"
    longest = max(map(len, plain.split(os.fsencode(os.sep))))
    return (
        "which is too long"
        if longest > LONGEST_NAME or len(plain) > LONGEST_PATH
        else ""
    )


class Frozen(BaseModel):
    """Base of every configuration object: immutable, and unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="after")
    def _check_paths(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            fault = _fault_of_path(value) if isinstance(value, Path) else ""
            if fault:
                raise ValueError(
                    f"{name}: expected a path, got {str(value)[:LONGEST_TOLD]!r}, {fault}",
                )
        return self


class SearchRange(Frozen):
    """Values between two ends that a search may try; whole numbers where both ends are."""

    low: int | float
    """Smallest value."""
    high: int | float
    """Largest value."""
    log: bool = False
    """Spread trials evenly over orders of magnitude."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        if not self.low < self.high:
            raise ValueError(
                f"low must be smaller than high, got {self.low} and {self.high}",
            )
        if self.log and not self.low > 0:
            raise ValueError(
                f"log: orders of magnitude begin above 0, got low {self.low}",
            )
        return self


class FitConfig(Frozen):
    """How one model is made from training patients: inputs, network, training, calibration."""

    preset: Preset = "default"
    """The recipe that every field not given is taken from."""

    # -- inputs: what the transforms do, always fitted on training patients only
    modalities: tuple[str, ...] | None = None
    """Modalities to use, by name; null uses every modality of the cohort."""
    allow_followup: tuple[str, ...] = ()
    """Inputs that are known only during follow-up, declared or by their content, and may be used all the
    same (they leak): columns, genes or whole modalities, by name."""
    expression_log: bool = True
    """Take linear units to a log scale: counts to log2(CPM + 1), each sample by its own library size (the sum
    over all genes of the matrix), TPM and FPKM to log2(x + 1). `false` leaves them as they are."""
    expression_scaling: Literal["none", "standard"] = "standard"
    """Per-gene standardisation; `none` feeds the log scale as it is, as the paper does."""
    expression_top: int | None = Field(default=None, ge=1)
    """Keep this many genes of largest training variance; null keeps all."""
    expression_genes: Path | None = None
    """A text file with one gene a line: only these are used."""
    expression_gene_sets: Path | None = None
    """A GMT file: expression becomes one mean z-score per gene set; with `expression_encoder: gene_set` the
    genes of all sets, which the network weighs within each set."""
    expression_components: int | None = Field(default=32, ge=1)
    """Principal components kept after scaling (fewer where patients are few); null: the genes. Gene sets take
    their place unless both are given, which is refused."""
    expression_min_coverage: float = Field(default=0.8, ge=0, le=1)
    """Smallest share of the training genes a new patient must have; below it the patient is refused."""
    bag_scaling: Literal["none", "standard"] = "standard"
    """Standardise each tile feature by its mean and deviation over training tiles."""
    bag_components: int | None = Field(default=64, ge=1)
    """Principal components of the tile features; null keeps the features themselves."""

    # -- network
    fusion: str = "anchored"
    """How modalities meet. `anchored`: a ridge Cox of each modality alone, added by out-of-fold trust, and
    pairs that must earn theirs; nothing is trained by gradients but the attention of `anchor_bags`. Trained
    as networks: `concat`, `late`, `gated`, `pairwise`, `pairwise_residual`, `hierarchical`, `tensor`,
    `lowrank_tensor`, `gated_kronecker` or `coattention` (docs/fusions.md)."""
    rank: int = Field(default=16, ge=1)
    """Rank of each bilinear block W_o[(U x + b) * (V y + c)] + d and of `lowrank_tensor`; hidden width of the
    attention in `gated` and over the tokens of `coattention`."""
    pair_width: int = Field(default=16, ge=1)
    """Output width of a pair of two encoded modalities, a triple of `hierarchical`, and each modality in
    `gated`."""
    raw_pair_width: int | None = Field(default=None, ge=1)
    """Output width of a pair in which one modality has no encoder; null means `pair_width`."""
    residual_width: int = Field(default=32, ge=1)
    """Width of the residual branch of `pairwise_residual`."""
    tensor_width: int = Field(default=8, ge=1)
    """Embeddings are reduced to this before the outer products of `tensor` and `gated_kronecker`, which have
    (tensor_width + 1)^modalities - 1 columns: 728 for three; the papers' 32 would make 35,936."""
    query_tokens: int = Field(default=6, ge=1)
    """Queries that each vector puts to the tiles in `coattention`; six, as MCAT has gene groups."""
    bag_pooling: Literal["attention", "mean"] = "attention"
    """Gated attention (Ilse 2018, the paper's) or the mean of the projected tiles."""
    anchor_bags: Literal["best", "mean"] = "best"
    """Under `anchored`: a bag's anchor reads the mean tile or trained attention, whichever has the larger
    out-of-fold likelihood (`best`), or the mean tile, which takes a fraction of the time (`mean`)."""
    anchor_vectors: Literal["components", "sparse", "best"] = "components"
    """Under `anchored`: an expression's anchor is a ridge Cox of its components, a sparse (elastic-net) Cox
    of its genes, which names those it reads, or whichever has the larger out-of-fold likelihood."""
    bag_width: int = Field(default=8, ge=1)
    """Width of the tile projection and of the slide vector."""
    attention_width: int = Field(default=8, ge=1)
    """Hidden width of the gated attention."""
    clinical_hidden: tuple[int, ...] = ()
    """Layers of the clinical encoder; empty feeds the clinical vector to the fusion as it is."""
    vector_hidden: tuple[int, ...] = ()
    """Layers of the encoder of expression and further tables; ReLU after every layer, the last too."""
    expression_encoder: Literal["mlp", "linear", "gene_set"] = "mlp"
    """How a network reads expression: `mlp` by `vector_hidden`, `linear` by one layer without ReLU,
    `gene_set` by a layer from genes to gene sets that has weights inside sets alone. A sparse choice of
    genes is a convex problem and stands under `anchor_vectors`."""
    expression_width: int = Field(default=8, ge=1)
    """Width of the `linear` expression encoder."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout after the tile projection, on both attention branches and between encoder layers."""
    input_dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout on clinical, expression and table vectors as they enter the network."""
    modality_dropout: float = Field(default=0.0, ge=0, lt=1)
    """While training, each modality of each patient is left out with this chance, never all that a patient
    has, so that the network learns to do without. 0 draws nothing; `anchored` refuses it."""
    head: Literal["cox", "discrete"] = "cox"
    """`cox`: one log-risk. `discrete`: one hazard per time bin."""
    bins: int = Field(default=8, ge=2)
    """Time bins of the discrete head, cut at quantiles of the training event times."""

    # -- training
    loss: Literal["efron", "breslow", "paper"] = "efron"
    """Cox ties; `paper` is the mini-batch form with log(cumsum + 1e-8)."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """`adam` couples weight decay to the gradient (L2), `adamw` does not."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Step size."""
    bag_rate: float = Field(default=0.01, gt=0, le=1)
    """Step size of bag branches relative to the rest. They have most of the weights and, on small cohorts,
    overfit long before the other modalities are learned; slow, they take what the others leave."""
    weight_decay: float = Field(default=1.0, ge=0)
    """L2 strength, coupled or decoupled by `optimizer`."""
    batch: Annotated[int, Field(ge=1)] | Literal["auto", "cohort"] = "auto"
    """Patients per step. `cohort` takes all training patients at once, so that risk sets are whole; `auto`
    does so up to 2,000 patients and takes stratified batches of about 256 above. The Cox losses of batches
    are pooled: their sum is divided by all events, as a mean of means would lean to small risk sets."""
    sampling: Literal["shuffle", "stratified", "event_balanced"] = "shuffle"
    """`stratified` gives every batch the cohort's share of events; `event_balanced` draws with replacement,
    events and censored equally often (bends the risk sets)."""
    memory_mb: int = Field(default=2048, ge=1)
    """Megabytes that the tiles and activations of a training step may take. Beyond it the step goes through
    its patients twice, piece by piece, with the same gradient; dropout masks are drawn piece by piece."""
    pieces: int = Field(default=1, ge=1)
    """Fewest pieces a step is cut into; at least as many as processes that train together (`torchrun`). Part
    of the result, as the memory is, whereas the number of processes is not."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products over wide tiles while training; sums, softmax, weights and all predictions are
    float32. `bfloat16` is several times as fast where the processor has it, and rounds gradients to 1 %."""
    max_tiles: int | None = Field(default=256, ge=1)
    """Tiles drawn anew per patient and epoch while training; null uses all. Prediction always uses all."""
    epochs: int = Field(default=120, ge=1)
    """Most passes over the training patients."""
    min_epochs: int = Field(default=5, ge=0)
    """Epochs before patience starts to count."""
    patience: int = Field(default=15, ge=1)
    """Epochs without improvement on inner validation before a run stops."""
    selection: Literal["inner_folds", "holdout", "last"] = "inner_folds"
    """How the number of epochs is chosen, always inside the training patients: `inner_folds` compares epochs
    out of fold and refits on everyone; `holdout` keeps the best weights on one inner holdout (the paper's
    way, but on patients never reported); `last` trains all epochs."""
    selection_folds: int = Field(default=5, ge=2)
    """Inner folds, for selection and for out-of-fold calibration."""
    holdout_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of training patients in the inner holdout."""
    select_by: Literal["loss", "harrell_c"] = "loss"
    """What is compared between epochs on inner validation patients."""
    gradient_clip: float | None = Field(default=5.0, gt=0)
    """Largest gradient norm; null does not clip."""
    members: int = Field(default=1, ge=1)
    """Networks of different seeds whose log-risks are averaged."""
    seed: int = Field(default=2021, ge=0, lt=2**32)
    """Seed of initialisation, dropout, tile draws and inner folds."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks train; `auto` takes a GPU if there is one. Runs repeat bit by bit on `cpu`."""

    # -- search: hyper-parameters, on the inner folds of the training patients alone (docs/tuning.md)
    search: Literal["none", "grid", "optuna"] = "none"
    """Try other values of some fields before the fit, and keep those with the largest out-of-fold partial
    likelihood on the inner folds: all combinations (`grid`), or where Optuna expects most (extra `tune`)."""
    search_space: dict[str, SearchRange | tuple[Any, ...]] | None = None
    """Field to list of values, or for `optuna` to {low, high, log}; null: a small space that suits the
    fusion."""
    search_trials: int = Field(default=20, ge=1)
    """Most configurations tried, the one given among them; of a larger grid a seeded choice is."""
    search_seconds: float | None = Field(default=None, gt=0)
    """No new trial begins once trials have taken this long. What is found then depends on the machine."""

    # -- from risk to curve
    calibration: Literal["breslow_oof", "isotonic_oof", "breslow", "km_rank", "km"] = (
        "breslow_oof"
    )
    """Slope and baseline on out-of-fold risks; a monotone map of them; in-sample Breslow; the paper's rank
    map; Kaplan-Meier."""
    conformal: float | None = Field(default=None, gt=0, lt=1)
    """Level of a lower bound on each patient's time, such as 0.9, set on out-of-fold risks; null: none."""

    @classmethod
    def of(cls, preset: str = "default", **fields: Any) -> Self:
        """Make a configuration from a preset and the fields that differ from it.

        Raises
        ------
        ConfigError
            For an unknown preset or field, or a value outside its range.
        """
        if preset not in PRESETS:
            raise ConfigError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
        return build(
            cls,
            {**PRESETS[preset], **fields, "preset": preset},
            where="model",
        )

    def identity(self) -> dict[str, Any]:
        """Every field, and a hash of each file that one names: what a result depends on besides data."""
        files = (self.expression_genes, self.expression_gene_sets)
        hashes = {
            str(path): sha256_file(path)
            for path in files
            if path is not None and path.is_file()
        }
        return {**self.model_dump(mode="json"), **({"files": hashes} if hashes else {})}

    @property
    def chosen_by(self) -> str:
        """How choices are made inside the training patients: `selection`, or ``anchored`` without epochs."""
        return "anchored" if self.fusion == "anchored" else self.selection

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("preset", "default") in PRESETS:
            given = {**PRESETS[given.get("preset", "default")], **given}
            if given.get("expression_gene_sets") is not None:
                given.setdefault("expression_components", None)
        return given

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        if self.head == "discrete" and self.loss == "paper":
            raise ValueError(
                "loss: 'paper' is a Cox loss; a discrete head has its own likelihood",
            )
        if self.head == "cox" and self.batch == 1:
            raise ValueError(
                "batch: a risk set of 1 patient has no gradient; take 2 or more, or 'cohort'",
            )
        if self.fusion == "anchored":
            self._check_anchored()
        if self.conformal is not None and self.calibration == "km_rank":
            raise ValueError(
                "conformal: the bound is read from a curve, and km_rank has none; set it to null",
            )
        if (
            self.expression_gene_sets is not None
            and self.expression_components is not None
        ):
            raise ValueError(
                "expression_gene_sets and expression_components exclude each other; set one to null",
            )
        self._check_search()
        if self.expression_encoder == "gene_set" and self.expression_gene_sets is None:
            raise ValueError(
                "expression_encoder: 'gene_set' needs the sets: give a GMT file as expression_gene_sets",
            )
        return self

    def _check_search(self) -> None:
        if self.search_space is None:
            return
        if self.search == "none":
            raise ValueError(
                "search_space is read by a search alone; set search to grid or optuna",
            )
        for name, options in self.search_space.items():
            if name not in type(self).model_fields or name in NOT_SEARCHED:
                near = difflib.get_close_matches(
                    name,
                    set(type(self).model_fields) - NOT_SEARCHED,
                    n=1,
                )
                hint = (
                    f"did you mean {near[0]!r}?"
                    if near
                    else f"not {', '.join(sorted(NOT_SEARCHED))}"
                )
                raise ValueError(
                    f"search_space: {name!r} is no field that can be searched; {hint}",
                )
            if isinstance(options, SearchRange) and self.search == "grid":
                raise ValueError(
                    f"search_space: {name}: a grid needs a list of values, got a range; list them, or set "
                    "search to optuna",
                )
            if not isinstance(options, SearchRange) and not options:
                raise ValueError(
                    f"search_space: {name}: expected one value or more, got an empty list",
                )

    def _check_anchored(self) -> None:
        if self.head != "cox" or self.loss == "paper":
            raise ValueError(
                "fusion: 'anchored' is a Cox model with head 'cox' and loss 'efron' or 'breslow'; got head "
                f"{self.head!r}, loss {self.loss!r}; choose another fusion, such as concat, for these",
            )
        if self.expression_encoder != "mlp":
            raise ValueError(
                f"expression_encoder: 'anchored' trains no encoder, got {self.expression_encoder!r}; choose "
                "another fusion, such as concat, or see anchor_vectors",
            )
        if self.members != 1:
            raise ValueError(
                f"members: 'anchored' has one solution, nothing to average; got {self.members}",
            )
        if self.modality_dropout:
            raise ValueError(
                "modality_dropout: 'anchored' fits each modality alone and adds nothing for a missing one; "
                f"there is no training to drop from; got {self.modality_dropout:g}, set it to 0",
            )


# What decides which patients and risks are compared, or how: trials that differ in it have no common score.
NOT_SEARCHED = frozenset(
    {
        *(
            "preset",
            "modalities",
            "allow_followup",
            "expression_min_coverage",
            "head",
            "selection",
        ),
        *(
            "selection_folds",
            "holdout_fraction",
            "seed",
            "device",
            "calibration",
            "conformal",
        ),
        *("search", "search_space", "search_trials", "search_seconds"),
    },
)

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # arXiv 2605.13897 as coded: every difference from the default is the paper's choice.
    "paper": {
        "expression_scaling": "none",  # raw VST values
        "expression_components": None,  # all genes into the MLP
        "bag_scaling": "none",  # UNI features as they are
        "bag_components": None,
        "fusion": "pairwise",
        "rank": 64,
        "pair_width": 64,  # slide x RNA
        "raw_pair_width": 32,  # slide x clinical, RNA x clinical
        "residual_width": 128,
        "bag_width": 512,
        "attention_width": 256,
        "vector_hidden": (2048, 512, 128),
        "dropout": 0.25,
        "input_dropout": 0.0,
        "loss": "paper",
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "bag_rate": 1.0,
        "weight_decay": 0.3,  # coupled L2
        "batch": 2,
        "sampling": "event_balanced",
        "max_tiles": None,
        "epochs": 500,
        "min_epochs": 50,
        "patience": 30,
        "selection": "holdout",  # theirs was the test set; ours is cut from the training patients
        "select_by": "harrell_c",
        "gradient_clip": None,
        "calibration": "km_rank",
    },
}


class CrossvalConfig(Frozen):
    """How patients are split, what runs beside the model, and how intervals are made."""

    folds: int = Field(default=5, ge=2)
    """Outer folds, by patient, stratified on the event."""
    repeats: int = Field(default=1, ge=1)
    """Independent splits into folds; from two on, intervals see how much a model depends on its patients."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the splits."""
    given_folds: bool = True
    """Use the folds that the cohort file names, for the first repeat."""
    split: Literal["patients", "whole_sites", "leave_one_site_out"] = "patients"
    """`whole_sites`: patients of one site share a fold. `leave_one_site_out`: one fold a site."""
    site: str = "site"
    """The group of the cohort file that names sites, for `split`."""
    splits_file: Path | None = None
    """Fixed splits of CLAM, MMP, MCAT, Patho-Bench or STAMP; overrides folds, repeats and split."""
    networks: bool = True
    """Also train the network on each modality alone and without each; the ridge Cox baselines run always."""
    controls: bool = True
    """Also run what tells chance from finding, on the first repeat: outcomes permuted, epoch chosen on the
    scored fold, other seeds."""
    robustness: bool = True
    """Also let the model predict the test patients with each modality removed, with each alone, and with 25,
    50 and 75 % of the clinical values missing: the same fits, nothing is trained."""
    seeds: int = Field(default=3, ge=1)
    """Trainings of the model that differ by seed alone, with `controls`: their spread is reported apart."""
    interval: Literal["influence", "nadeau_bengio", "bootstrap"] = "influence"
    """How 95 % intervals are made: influence functions widened by how much risks depend on the training
    patients, by n_test/n_train, or by resampling patients (slow)."""
    bootstrap: int = Field(default=200, ge=0)
    """Resamples behind calibration bands, ICI, E50, E90 (0: none); five times as many behind `bootstrap`."""

    @model_validator(mode="after")
    def _one_way_to_split(self) -> Self:
        if self.split == "leave_one_site_out" and self.repeats > 1:
            raise ValueError(
                "split leave_one_site_out has one repeat: there is one way to leave each site out",
            )
        return self


class RunConfig(Frozen):
    """Everything about one run."""

    model: FitConfig = FitConfig()
    """The model."""
    crossval: CrossvalConfig = CrossvalConfig()
    """The splits."""
    horizons: tuple[float, ...] | None = None
    """Times, in the cohort's unit, at which survival is told; null: the cohort file's, or 1, 3, 5 years."""
    tau: float | None = Field(default=None, gt=0)
    """Truncation time of Uno's C; null takes the last horizon."""


def build(cls: type[C], values: Mapping[str, Any], *, where: str) -> C:
    """Validate `values` into a `cls`, telling the user in words what is wrong.

    Raises
    ------
    ConfigError
        Names each offending field and, for an unknown one, the nearest known.
    """
    try:
        with context(where):
            return cls.model_validate(dict(values))
    except ValidationError as error:
        details = error.errors(include_url=False)
        wrong = [_sentence(cls, where, detail) for detail in details[:MOST_TOLD]]
        more = (
            [f"and {len(details) - MOST_TOLD} more"] if len(details) > MOST_TOLD else []
        )
        raise ConfigError("; ".join([*wrong, *more])) from None


def _sentence(cls: type[BaseModel], where: str, detail: Any) -> str:
    path = ".".join([where, *(str(part) for part in detail["loc"])])
    if detail["type"] == "extra_forbidden":
        name = str(detail["loc"][-1])
        for part in detail["loc"][:-1]:  # the section that the field stands in
            kind = (
                cls.model_fields[part].annotation if part in cls.model_fields else None
            )
            cls = next(
                (
                    k
                    for k in (kind, *get_args(kind))
                    if isinstance(k, type) and issubclass(k, BaseModel)
                ),
                cls,
            )
        near = difflib.get_close_matches(name, cls.model_fields, n=1)
        return f"{path}: unknown field" + (
            f"; did you mean {near[0]!r}?" if near else ""
        )
    if detail["type"] == "value_error":  # our own words, which say what came
        return f"{path}: {detail['ctx']['error']}"
    got = repr(detail["input"])
    return f"{path}: {detail['msg']}, got {got if len(got) <= LONGEST_TOLD else got[:LONGEST_TOLD] + '…'}"


def apply_overrides(
    values: Mapping[str, Any],
    overrides: Sequence[str],
) -> dict[str, Any]:
    """Apply ``a.b=c`` overrides (values are YAML) to nested mappings.

    Examples
    --------
    >>> apply_overrides({"model": {"rank": 16}}, ["model.rank=32", "crossval.folds=3"])
    {'model': {'rank': 32}, 'crossval': {'folds': 3}}
    """
    result = copy.deepcopy(dict(values))
    given: set[str] = set()
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path:
            raise ConfigError(
                f"--set {override}: expected KEY=VALUE, such as model.rank=32",
            )
        if path in given:
            raise ConfigError(f"--set {override}: {path} is given twice; give it once")
        given.add(path)
        *parents, name = path.split(".")
        node: dict[str, Any] = result
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(
                    f"--set {override}: {parent!r} is a value, not a section",
                )
            node = child
        node[name] = parse_yaml(text, f"--set {override}")
    return result


def load_config(path: Path | str | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run configuration from YAML (or start from the defaults) and apply overrides.

    Raises
    ------
    ConfigError
        When the file is absent, is not a YAML mapping, or a field is wrong.
    """
    values: Any = {}
    if path is not None:
        values = read_yaml(path) or {}
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"{path}: expected a mapping of sections, got {type(values).__name__}",
            )
    _refuse_lost_preset(values, overrides, str(path))
    return build(
        RunConfig,
        apply_overrides(values, overrides),
        where=str(path or "config"),
    )


def _refuse_lost_preset(
    values: Mapping[str, Any],
    overrides: Sequence[str],
    where: str,
) -> None:
    """Refuse another preset over a file that gives every field: its values would win."""
    wanted = [
        text.removeprefix("model.preset=")
        for text in overrides
        if text.startswith("model.preset=")
    ]
    model = values.get("model")
    if (
        not wanted
        or not isinstance(model, Mapping)
        or model.get("preset", "default") == wanted[-1]
    ):
        return
    shared = sorted(set(PRESETS.get(wanted[-1], {})) & set(model))
    if shared:
        raise ConfigError(
            f"{where}: gives {', '.join(shared[:4])}… itself, so that preset {wanted[-1]!r} "
            "would change the name alone; take those fields out of the file, or start without it",
        )


def to_yaml(config: Frozen) -> str:
    """Render every field, given or not, so that the file alone repeats the run."""
    return yaml.safe_dump(
        config.model_dump(mode="json"),
        sort_keys=False,
        allow_unicode=True,
    )


def to_markdown(cls: type[Frozen] = RunConfig, prefix: str = "") -> str:
    """Write the reference of every field, its default and its reason, as Markdown tables."""
    rows, sections = [], []
    for name, field in cls.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Frozen):
            sections.append(to_markdown(kind, f"{prefix}{name}."))
            continue
        reason = " ".join((field.description or "").split()).replace("|", "\\|")
        default = yaml.safe_dump(_plain(field.default), default_flow_style=True).split(
            "\n",
        )[0]
        presets = [
            f"`{p}`: {_plain(v[name])}"
            for p, v in PRESETS.items()
            if cls is FitConfig and name in v
        ]
        rows.append(
            f"| `{prefix}{name}` | `{default}` | {reason} {'; '.join(presets)} |".replace(
                "  ",
                " ",
            ),
        )
    table = "\n".join(
        ["| field | default | reason; presets that differ |", "|---|---|---|", *rows],
    )
    return "\n\n".join([table, *sections])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

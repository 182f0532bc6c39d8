"""The sections of a model's configuration; every field has its reason below it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from survfuse.config.frozen import Frozen


class InputSettings(Frozen):
    """What the transforms do; they are always fitted on training patients only."""

    modalities: tuple[str, ...] | None = None
    """Modalities to use, by name; null uses every modality of the cohort."""
    allow_followup: tuple[str, ...] = ()
    """Inputs that are known only during follow-up, declared or by their content, and may be used
    all the same (they leak): columns, genes or whole modalities, by name."""
    expression_log: bool = True
    """Take linear units to a log scale: counts to log2(CPM + 1), each sample by its own library
    size (the sum over all genes of the matrix), TPM and FPKM to log2(x + 1). `false` leaves them
    as they are."""
    expression_scaling: Literal["none", "standard"] = "standard"
    """Per-gene standardisation; `none` feeds the log scale as it is, as the paper does."""
    expression_clip: float | None = Field(default=5.0, gt=0)
    """Limit z-scores to this many deviations on either side, so that one gene with an extreme value
    cannot decide a patient's risk; null leaves them. `expression_scaling: none` has no z-scores."""
    expression_top: int | None = Field(default=None, ge=1)
    """Use only this many genes of largest training variance; null uses all."""
    expression_genes: Path | None = None
    """A text file with one gene a line: only these are used."""
    expression_gene_sets: Path | None = None
    """A GMT file: expression becomes one mean z-score per gene set; with
    `network.expression_encoder: gene_set` the genes of all sets, which the network weighs within
    each set."""
    expression_components: int | None = Field(default=32, ge=1)
    """Principal components after scaling (fewer where patients are few); null: the genes. With
    gene sets the default is null; giving both is refused."""
    expression_min_coverage: float = Field(
        default=0.8,
        ge=0,
        le=1,
    )
    """Smallest share of the training genes that a new patient must have; below it the patient is
    refused."""
    bag_scaling: Literal["none", "standard"] = "standard"
    """Standardise each tile feature by its mean and deviation over training tiles."""
    bag_components: int | None = Field(default=64, ge=1)
    """Principal components of the tile features; null uses the features themselves."""

    @model_validator(mode="before")
    @classmethod
    def _gene_sets_replace_components(cls, values: Any) -> Any:
        if (
            isinstance(values, Mapping)
            and values.get("expression_gene_sets") is not None
        ):
            return {"expression_components": None, **values}
        return values

    @model_validator(mode="after")
    def _check_gene_sets(self) -> Self:
        if None not in (self.expression_gene_sets, self.expression_components):
            raise ValueError(
                "expression_gene_sets and expression_components exclude each other; "
                "set one to null",
            )
        return self


class NetworkSettings(Frozen):
    """Shape of a network: encoders, pooling, fusion and head."""

    rank: int = Field(default=16, ge=1)
    """Rank of each bilinear block W_o[(U x + b) * (V y + c)] + d and of `lowrank_tensor`; hidden
    width of the attention in `gated` and over the tokens of `coattention`."""
    pair_width: int = Field(default=16, ge=1)
    """Output width of a pair of two encoded modalities, a triple of `hierarchical`, and each
    modality in `gated`."""
    raw_pair_width: int | None = Field(default=None, ge=1)
    """Output width of a pair in which one modality has no encoder; null means `pair_width`."""
    residual_width: int = Field(default=32, ge=1)
    """Width of the residual branch of `pairwise_residual`."""
    tensor_width: int = Field(default=8, ge=1)
    """Embeddings are reduced to this before the outer products of `tensor` and `gated_kronecker`,
    which have (tensor_width + 1)^modalities - 1 columns: 728 for three; the papers' 32 would make
    35,936."""
    query_tokens: int = Field(default=6, ge=1)
    """Queries that each vector puts to the tiles in `coattention`; six, as MCAT has gene groups."""
    bag_pooling: Literal["attention", "mean"] = "attention"
    """Gated attention (Ilse 2018, as in the paper) or the mean of the projected tiles."""
    bag_width: int = Field(default=8, ge=1)
    """Width of the tile projection and of the slide vector."""
    attention_width: int = Field(default=8, ge=1)
    """Hidden width of the gated attention."""
    clinical_hidden: tuple[int, ...] = ()
    """Layers of the clinical encoder; empty feeds the clinical vector to the fusion as it is."""
    vector_hidden: tuple[int, ...] = ()
    """Layers of the encoder of expression and further tables; ReLU after every layer, the last
    too."""
    expression_encoder: Literal["mlp", "linear", "gene_set"] = "mlp"
    """How a network reads expression: `mlp` by `vector_hidden`, `linear` by one layer without
    ReLU, `gene_set` by a layer from genes to gene sets that has weights inside sets alone. A sparse
    choice of genes is a convex problem: see `stack.vectors`."""
    expression_width: int = Field(default=8, ge=1)
    """Width of the `linear` expression encoder."""
    dropout: float = Field(
        default=0.5,
        ge=0,
        lt=1,
    )
    """Dropout after the tile projection, on both attention branches and between encoder layers."""
    input_dropout: float = Field(
        default=0.5,
        ge=0,
        lt=1,
    )
    """Dropout on clinical, expression and table vectors as they enter the network."""
    modality_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
    )
    """While training, each modality of each patient is left out with this probability, never all
    that a patient has, so that the network learns to do without. 0 draws nothing; `anchored`
    refuses it."""
    head: Literal["cox", "discrete"] = "cox"
    """`cox`: one log-risk. `discrete`: one hazard per time bin."""
    bins: int = Field(default=8, ge=2)
    """Time bins of the discrete head, cut at quantiles of the training event times."""


class TrainingSettings(Frozen):
    """Loss, optimiser, batches and epochs of a network; seed and device of every model."""

    loss: Literal["efron", "breslow", "paper"] = "efron"
    """Cox ties; `paper` is the mini-batch form with log(cumsum + 1e-8)."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """`adam` couples weight decay to the gradient (L2), `adamw` does not."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Step size."""
    bag_rate: float = Field(
        default=0.01,
        gt=0,
        le=1,
    )
    """Step size of bag branches relative to the rest. They have most of the weights and, on small
    cohorts, overfit long before the other modalities are learned; slow, they take what the others
    leave."""
    weight_decay: float = Field(default=1.0, ge=0)
    """L2 strength, coupled or decoupled by `optimizer`."""
    batch: Annotated[int, Field(ge=1)] | Literal["auto", "cohort"] = "auto"
    """Patients per step. `cohort` takes all training patients at once, so that risk sets are whole;
    `auto` does so up to 2,000 patients and takes stratified batches of about 256 above. The Cox
    losses of batches are pooled: their sum is divided by all events, as a mean of means would lean
    to small risk sets."""
    sampling: Literal["shuffle", "stratified", "event_balanced"] = "shuffle"
    """`stratified` gives every batch the cohort's share of events; `event_balanced` draws with
    replacement, events and censored equally often (bends the risk sets)."""
    memory_mb: int = Field(default=2048, ge=1)
    """Megabytes that the tiles and activations of a training step may take. Beyond it the step goes
    through its patients twice, piece by piece, with the same gradient; dropout masks are drawn
    piece by piece."""
    pieces: int = Field(default=1, ge=1)
    """Fewest pieces a step is cut into; at least as many as processes that train together
    (`torchrun`). Part of the result, as the memory is, whereas the number of processes is not."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products over wide tiles while training; sums, softmax, weights and all
    predictions are float32. `bfloat16` is several times as fast where the processor has it, and
    rounds gradients to 1 %."""
    max_tiles: int | None = Field(default=256, ge=1)
    """Tiles drawn anew per patient and epoch while training; null uses all. Prediction always uses
    all."""
    epochs: int = Field(default=120, ge=1)
    """Most passes over the training patients."""
    min_epochs: int = Field(default=5, ge=0)
    """Epochs before patience starts to count."""
    patience: int = Field(default=15, ge=1)
    """Epochs without improvement on inner validation before a run stops."""
    gradient_clip: float | None = Field(default=5.0, gt=0)
    """Largest gradient norm; null does not clip."""
    members: int = Field(default=1, ge=1)
    """Networks of different seeds whose log-risks are averaged."""
    seed: int = Field(
        default=2021,
        ge=0,
        lt=2**32,
    )
    """Seed of initialisation, dropout, tile draws and inner folds."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks train; `auto` takes a GPU if there is one. Runs repeat bit by bit on `cpu`."""


class StackSettings(Frozen):
    """What only `anchored`, a stack of Cox models, reads."""

    bags: Literal["best", "mean"] = "best"
    """The Cox model of a bag reads the mean tile or trained attention, whichever has the larger
    out-of-fold likelihood (`best`), or the mean tile, which takes a fraction of the time
    (`mean`)."""
    terms: dict[str, dict[str, Any]] = Field(default={})
    """Other models that are terms beside those of the modalities, weighted by the same rule: a
    list of fusions, such as `[late_cox]`, or a mapping of names to parameters that differ from
    the stack's, such as `{deep: {fusion: concat, modalities: [slides], rank: 4}}`."""
    vectors: Literal["components", "sparse", "best"] = "components"
    """The Cox model of an expression is a ridge Cox of its components, a sparse (elastic-net) Cox
    of its genes, which names those it reads, or whichever has the larger out-of-fold likelihood."""

    @field_validator("terms", mode="before")
    @classmethod
    def _name_terms(cls, terms: Any) -> Any:
        if isinstance(terms, str):
            return {terms: {}}
        if isinstance(terms, list | tuple):
            if len(set(map(str, terms))) < len(terms):
                raise ValueError(f"terms: a name is listed twice in {list(terms)}")
            return {name: {} for name in map(str, terms)}
        if isinstance(terms, Mapping):
            return {name: {} if own is None else own for name, own in terms.items()}
        return terms

    @field_validator("terms")
    @classmethod
    def _check_names(
        cls, terms: dict[str, dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        for name, own in terms.items():
            if not re.fullmatch(r"[\w.-]+", name):
                raise ValueError(
                    "terms: a name consists of letters, digits, '_', '-' and '.', "
                    f"got {name!r}",
                )
            fixed = sorted(NOT_OF_A_TERM & own.keys())
            if fixed:
                raise ValueError(
                    f"terms: {name}: a term has the {', '.join(fixed)} of its stack; "
                    "leave it out",
                )
        return terms


class SelectionSettings(Frozen):
    """How the number of epochs is chosen, always inside the training patients."""

    method: Literal["inner_folds", "holdout", "last"] = "inner_folds"
    """`inner_folds` compares epochs out of fold and refits on everyone; `holdout` takes the best
    weights on one inner holdout (as the paper does, but on patients never reported); `last` trains
    all epochs."""
    folds: int = Field(default=5, ge=2)
    """Inner folds, for selection and for out-of-fold calibration."""
    holdout_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
    )
    """Share of training patients in the inner holdout."""
    select_by: Literal["loss", "harrell_c"] = "loss"
    """What is compared between epochs on inner validation patients."""


class CalibrationSettings(Frozen):
    """From risks to survival curves."""

    method: Literal["breslow_oof", "isotonic_oof", "breslow", "km_rank", "km"] = (
        "breslow_oof"
    )
    """Slope and baseline on out-of-fold risks; a monotone map of them; in-sample Breslow; the rank
    map of the paper; Kaplan-Meier."""
    conformal: float | None = Field(
        default=None,
        gt=0,
        lt=1,
    )
    """Level of a lower bound on each patient's time, such as 0.9, set on out-of-fold risks; null:
    none."""

    @model_validator(mode="after")
    def _check_conformal(self) -> Self:
        if self.conformal is not None and self.method == "km_rank":
            raise ValueError(
                "conformal: the bound is read from a curve, and km_rank has none; set it to null",
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


class SearchSettings(Frozen):
    """Search of hyper-parameters on the inner folds of the training patients (docs/tuning.md)."""

    method: Literal["none", "grid", "optuna"] = "none"
    """Try other values of some fields before the fit, and take those with the largest out-of-fold
    partial likelihood on the inner folds: all combinations (`grid`), or where Optuna expects most
    (extra `tune`)."""
    space: dict[str, SearchRange | tuple[Any, ...]] | None = None
    """Field (`rank` or `network.rank`) to list of values, or for `optuna` to {low, high, log};
    null: a small space that suits the fusion."""
    trials: int = Field(default=20, ge=1)
    """Most configurations tried, the one given among them; of a larger grid a seeded choice is."""
    seconds: float | None = Field(default=None, gt=0)
    """No new trial begins once trials have taken this long. What is chosen then depends on the
    machine."""

    @field_validator("space", mode="before")
    @classmethod
    def _use_parameter_names(cls, space: Any) -> Any:
        if not isinstance(space, Mapping):
            return space
        return {
            PARAMETER_NAMES.get(name, name): options for name, options in space.items()
        }

    @model_validator(mode="after")
    def _check_space(self) -> Self:
        if self.space is None:
            return self
        if self.method == "none":
            raise ValueError(
                "space is read by a search alone; set search.method to grid or optuna",
            )
        for name, options in self.space.items():
            _check_searched(name)
            if isinstance(options, SearchRange) and self.method == "grid":
                raise ValueError(
                    f"space: {name}: a grid needs a list of values, got a range; list them, or "
                    "set search.method to optuna",
                )
            if not isinstance(options, SearchRange) and not options:
                raise ValueError(
                    f"space: {name}: expected one value or more, got an empty list",
                )
        return self


def _check_searched(name: str) -> None:
    """Refuse a field that does not exist or must be the same in all trials."""
    searched = {"fusion", *PARAMETERS} - NOT_SEARCHED
    if name in searched:
        return
    nearest = difflib.get_close_matches(name, searched, n=1)
    refused = ", ".join(sorted(NOT_SEARCHED))
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"not {refused}"
    raise ValueError(f"space: {name!r} is no field that can be searched; {hint}")


SECTIONS: dict[str, type[Frozen]] = {
    "inputs": InputSettings,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "stack": StackSettings,
    "selection": SelectionSettings,
    "calibration": CalibrationSettings,
    "search": SearchSettings,
}

# Fields whose parameter is not called as the field.
_RENAMED = {
    "stack.bags": "anchor_bags",
    "stack.terms": "stack_terms",
    "stack.vectors": "anchor_vectors",
    "selection.method": "selection",
    "selection.folds": "selection_folds",
    "calibration.method": "calibration",
    "search.method": "search",
    "search.space": "search_space",
    "search.trials": "search_trials",
    "search.seconds": "search_seconds",
}


def _parameter_names() -> dict[str, str]:
    names = {}
    for section, cls in SECTIONS.items():
        for field in cls.model_fields:
            path = f"{section}.{field}"
            names[path] = _RENAMED.get(path, field)
    return names


PARAMETER_NAMES = _parameter_names()
"""Path of each field (``network.rank``) and its parameter: the name in Python, in a search space
and, before there were sections, in files (``rank``)."""

PARAMETERS = {name: path for path, name in PARAMETER_NAMES.items()}
"""Each parameter and the path of its field."""

# These decide which patients and risks are compared, or how: trials that differ in one of them
# have no common score.
NOT_SEARCHED = frozenset(
    {
        "preset",
        "modalities",
        "allow_followup",
        "expression_min_coverage",
        "head",
        "seed",
        "device",
        "stack_terms",
        *(
            name
            for path, name in PARAMETER_NAMES.items()
            if path.startswith("calibration.")
        ),
        *(name for path, name in PARAMETER_NAMES.items() if path.startswith("search.")),
        "selection",
        "selection_folds",
        "holdout_fraction",
    },
)

NOT_OF_A_TERM = frozenset(
    {
        "preset",
        "stack",
        "allow_followup",
        "selection_folds",
        *(name for path, name in PARAMETER_NAMES.items() if path.startswith("stack.")),
        *(
            name
            for path, name in PARAMETER_NAMES.items()
            if path.startswith(("calibration.", "search."))
        ),
    },
)
"""Parameters and sections in which a term cannot differ from its stack."""

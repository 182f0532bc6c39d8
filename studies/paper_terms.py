"""How much of the blocks of `pairwise` is interaction, and whose sign they have.

TCGA-LUAD, five folds, held-out patients. A network of fusion `pairwise` is a sum of one block per pair of
modalities, and blocks are read as interactions. Split into terms (functional ANOVA under the product of
the training patients' modalities), the same log-risks are main effects and pure interactions: how much of the
blocks' variance is main effects, and in how many patients has a block, centred on its mean over the training
patients (or as it is), another sign than the pure interaction of its pair?

    python studies/paper_terms.py -o runs/paper-terms
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import survfuse as sf
from survfuse._types import FloatArray
from survfuse.cohort import Cohort
from survfuse.config import CrossvalConfig, FitConfig
from survfuse.datasets import card
from survfuse.decomposition import Part, Readings, Term
from survfuse.evaluation.crossval_splits import splits_of
from survfuse.explanations import explain
from survfuse.explanations.explained import Explained, read
from survfuse.explanations.shares import shares_of


def blocks(
    members: Sequence[Sequence[Part]],
    readings: Readings,
) -> dict[Term, FloatArray]:
    """Log-risk of each raw block, the mean over the members of an ensemble; (patients,)."""
    values: dict[Term, FloatArray] = {}
    for own in members:
        for part in own:
            if len(part.modalities) == 2:
                value = part.value(readings) / len(members)
                values[part.modalities] = values.get(part.modalities, 0.0) + value
    return values


def compared(
    explained: Explained,
    train: Sequence[str],
    cohort: Cohort,
) -> Iterator[dict[str, object]]:
    """A row per pair, and one for all of them."""
    raw = blocks(explained.parts.members, explained.readings)
    trained = read(explained.fitted, explained.parts, cohort, train)
    centre = {
        pair: v.mean() for pair, v in blocks(explained.parts.members, trained).items()
    }
    pure = explained.terms.effects
    for pair, value in raw.items():
        both = explained.present(pair[0]) & explained.present(pair[1])
        signs = np.sign(pure[pair][both])
        yield {
            "pair": "*".join(pair),
            "patients": int(both.sum()),
            "correlation": float(np.corrcoef(value[both], pure[pair][both])[0, 1]),
            "opposite sign": float(
                (np.sign(value[both] - centre[pair]) != signs).mean()
            ),
            "opposite sign, as it is": float((np.sign(value[both]) != signs).mean()),
        }


def main_share(explained: Explained) -> float:
    """Share of the variance of all blocks together that is main effects."""
    frame = pd.DataFrame(
        {"*".join(t): v for t, v in explained.terms.effects.items() if t}
    )
    shares = shares_of(frame, repeats=0)
    return float(
        shares.loc[~shares["term"].str.contains("*", regex=False), "share"].sum()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--preset", choices=["default", "paper"], default="default")
    given = parser.parse_args()
    folder = given.out / "cohort"
    if not folder.exists():
        card("tcga_luad").convert(folder)
    cohort = sf.load_cohort(folder / "cohort.yaml")
    config = FitConfig.of(
        given.preset, fusion="pairwise", bag_scaling="standard", device="cpu"
    )
    splits, _ = splits_of(cohort, CrossvalConfig())
    rows, shares = [], []
    for split in splits:
        model = sf.SurvivalFusion.from_config(config).fit(cohort, patients=split.train)
        explained = explain(model, cohort, split.test).explained
        shares.append(main_share(explained))
        for row in compared(explained, split.train, cohort):
            rows.append({"fold": split.fold, "main effects": shares[-1], **row})
        print(pd.DataFrame(rows[-3:]).round(3).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(given.out / f"paper_terms-{given.preset}.csv", index=False)
    print(
        f"main effects: median {np.median(shares):.2f}, {min(shares):.2f} to {max(shares):.2f}"
    )
    print(table.groupby("pair").mean(numeric_only=True).round(3).to_string())


if __name__ == "__main__":
    main()

"""Every reader of strangers' files, with small valid files for it to start from.

A reader is given a folder. `write` lays one valid input or several down in folders of their own;
`read` reads one of them through a public door.
"""

from __future__ import annotations

import gzip
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ARCHIVES = Path(__file__).parents[1] / "archives"
GENERATOR = np.random.default_rng(7)
FEATURES = GENERATOR.normal(size=(6, 4)).astype(np.float32)
COORDS = (np.arange(12).reshape(6, 2) * 256).astype(np.int64)
ROWS = [f"P{i},{300 + 7 * i},{i % 2},{40 + i},{'I' * (1 + i % 3)}" for i in range(12)]
TABLE = "\n".join(["patient_id,days,event,age,stage", *ROWS]) + "\n"
MATRIX = GENERATOR.lognormal(size=(12, 5)).round(3)
GENES = ("TP53", "EGFR", "FGFR3", "KRAS", "MYC")


@dataclass(frozen=True)
class Reader:
    """How to make valid input, and how to read it."""

    write: Callable[[Path], None]
    read: Callable[[Path], object]
    alter: Callable[[Path], None] = lambda folder: None
    """Called after a mutation, so that a file gets past a checksum as a liar's would."""
    changed: str = "*"
    """Which files are mutated."""


def _only(folder: Path, pattern: str = "slide*") -> Path:
    return next(iter(sorted(folder.glob(pattern))))


def _folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    return folder


# -- features


def _features(folder: Path) -> object:
    from survfuse.readers import read_features

    return read_features(_only(folder))


def _write_hdf5(root: Path) -> None:
    import h5py

    for name, how in (
        ("plain", {}),
        ("packed", {"compression": "gzip", "shuffle": True, "chunks": (3, 2)}),
    ):
        with h5py.File(_folder(root, name) / "slide.h5", "w") as file:
            features = file.create_dataset("features", data=FEATURES, **how)
            features.attrs["encoder"] = "uni"
            coords = file.create_dataset("coords", data=COORDS, **how)
            coords.attrs.update(
                {"patch_size_level0": 512, "target_magnification": 20, "name": "slide"},
            )
    with h5py.File(_folder(root, "stamp") / "slide.h5", "w") as file:
        file["feats"], file["coords"] = (
            FEATURES.astype(np.float16),
            COORDS.astype(float),
        )
        file.attrs.update(
            {
                "extractor": "virchow",
                "unit": "um",
                "tile_size_um": 256.0,
                "tile_size_px": 224,
            },
        )


def _write_torch(root: Path) -> None:
    import torch

    torch.save(torch.from_numpy(FEATURES), _folder(root, "tensor") / "slide.pt")
    both = {"features": torch.from_numpy(FEATURES), "coords": torch.from_numpy(COORDS)}
    torch.save(both, _folder(root, "dict") / "slide.pt")
    torch.save(FEATURES, _folder(root, "array") / "slide.pt")
    torch.save(
        FEATURES,
        _folder(root, "old") / "slide.pt",
        _use_new_zipfile_serialization=False,
    )


def _write_numpy(root: Path) -> None:
    np.save(_folder(root, "npy") / "slide.npy", FEATURES)
    np.savez(_folder(root, "npz") / "slide.npz", features=FEATURES, coords=COORDS)
    np.savez_compressed(_folder(root, "packed") / "slide.npz", features=FEATURES)
    beside = _folder(root, "beside")
    np.save(beside / "slide.npy", np.rec.fromarrays(COORDS.T, names="x,y"))
    import torch

    torch.save(torch.from_numpy(FEATURES), beside / "slide.pt")


def _read_numpy(folder: Path) -> object:
    from survfuse.readers import read_features

    torch_file = folder / "slide.pt"
    return read_features(torch_file if torch_file.exists() else _only(folder))


def _write_safetensors(root: Path) -> None:
    from safetensors.numpy import save_file

    save_file(
        {"features": FEATURES, "coords": COORDS},
        _folder(root, "both") / "slide.safetensors",
    )


def _write_slideflow(root: Path) -> None:
    import torch

    folder = _folder(root, "bags")
    torch.save(torch.from_numpy(FEATURES), folder / "slide.pt")
    np.savez(folder / "slide.index.npz", COORDS)
    config = {
        "extractor": {"class": "uni", "kwargs": {}},
        "tile_px": 224,
        "tile_um": 256,
        "normalizer": None,
    }
    (folder / "bags_config.json").write_text(json.dumps(config))


def _read_slideflow(folder: Path) -> object:
    from survfuse.readers import read_features

    return read_features(folder / "slide.pt")


def _write_zarr(root: Path) -> None:
    import anndata
    import pandas as pd
    import zarr

    spec = {"width": 256, "height": 256, "mpp": 0.5, "base_downsample": 2.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for version in (2, 3):
            path = _folder(root, f"v{version}") / "slide.zarr"
            store = zarr.open_group(str(path), mode="w", zarr_format=version)
            store.attrs.update(
                {"tile_spec": {"tiles": spec}, "slide_properties": {"mpp": 0.25}},
            )
            store.require_group("tables")
            anndata.settings.zarr_write_format = version
            table = anndata.AnnData(
                X=FEATURES,
                obs=pd.DataFrame({"tile_id": range(6)}, index=list("abcdef")),
            )
            table.obsm["spatial"] = COORDS
            table.write_zarr(str(path / "tables" / "uni_tiles"))


def _write_store(root: Path) -> None:
    from survfuse.readers import BagStore, pack

    folder = _folder(root, "store")
    for slide in "ab":
        np.save(folder / f"{slide}.npy", FEATURES)
    store: BagStore = pack(
        [(slide, slide, folder / f"{slide}.npy") for slide in "ab"],
        folder / "slide.bags",
    )
    store.close() if hasattr(store, "close") else None
    for slide in "ab":
        (folder / f"{slide}.npy").unlink()


def _read_store(folder: Path) -> object:
    from survfuse.readers import BagStore

    store = BagStore.open(folder / "slide.bags")
    return store.gather(["a", "b"]), store.fingerprint()


# -- tables


def _write_tables(root: Path) -> None:
    import pandas as pd

    (_folder(root, "csv") / "slide.csv").write_text(TABLE)
    (_folder(root, "tsv") / "slide.tsv").write_text(TABLE.replace(",", "\t"))
    (_folder(root, "gz") / "slide.csv.gz").write_bytes(
        gzip.compress(TABLE.encode(), mtime=0),
    )
    (_folder(root, "utf16") / "slide.csv").write_bytes(TABLE.encode("utf-16"))
    with zipfile.ZipFile(_folder(root, "zip") / "slide.csv.zip", "w") as archive:
        archive.writestr("slide.csv", TABLE)
    frame = pd.DataFrame(
        [row.split(",") for row in ROWS],
        columns=TABLE.split("\n")[0].split(","),
    )
    frame.to_excel(_folder(root, "xlsx") / "slide.xlsx", index=False)
    frame.to_excel(_folder(root, "ods") / "slide.ods", index=False, engine="odf")
    frame.to_parquet(_folder(root, "texts") / "slide.parquet")
    frame.astype({"days": int, "age": float, "stage": "category"}).to_parquet(
        _folder(root, "types") / "slide.parquet",
    )


def _read_table(folder: Path) -> object:
    from survfuse.readers import read_table

    return read_table(_only(folder))


def _write_matrices(root: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        MATRIX,
        index=[f"P{i}" for i in range(12)],
        columns=list(GENES),
    )
    frame.to_csv(_folder(root, "csv") / "slide.csv")
    frame.T.to_csv(_folder(root, "genes_first") / "slide.tsv.gz", sep="\t")
    frame.to_parquet(_folder(root, "parquet") / "slide.parquet")
    folder = _folder(root, "json")
    (folder / "slides").mkdir()
    for patient, row in frame.head(3).iterrows():
        (folder / "slides" / f"{patient}_RNA.json").write_text(
            json.dumps(row.to_dict()),
        )


def _read_matrix(folder: Path) -> object:
    from survfuse.readers import read_expression

    return read_expression(
        _only(folder),
        unit="tpm",
        genes="symbol",
        orientation="genes_by_patients"
        if folder.name == "genes_first"
        else "patients_by_genes",
    )


def _write_h5ad(root: Path) -> None:
    import anndata
    import pandas as pd
    from scipy import sparse

    shapes = {
        "dense": np.asarray,
        "rows": sparse.csr_matrix,
        "columns": sparse.csc_matrix,
    }
    for name, form in shapes.items():
        obs = pd.DataFrame(
            {"site": pd.Categorical(["a", "b"] * 6)},
            index=[f"P{i}" for i in range(12)],
        )
        data = anndata.AnnData(X=form(np.where(MATRIX > 1, MATRIX, 0)), obs=obs)
        data.var_names = list(GENES)
        data.write_h5ad(_folder(root, name) / "slide.h5ad")


# -- cohorts and settings


def _write_cohort(root: Path) -> None:
    from builders import cohort_files

    cohort_files(
        _folder(root, "whole"),
        patients=20,
        modalities=("clinical", "expression"),
    ).write()


def _read_cohort(folder: Path) -> object:
    from survfuse.cohort import load_cohort

    shutil.rmtree(folder / ".survfuse", ignore_errors=True)
    return load_cohort(folder / "cohort.yaml").fingerprint()


def _write_settings(root: Path) -> None:
    from survfuse.config import RunConfig, to_yaml

    (_folder(root, "all") / "run.yaml").write_text(to_yaml(RunConfig()))
    (_folder(root, "few") / "run.yaml").write_text(
        "model:\n  fusion: concat\n  epochs: 5\ncrossval: {folds: 3}\n",
    )
    (_folder(root, "set") / "set.txt").write_text(
        "model.epochs=3\ncrossval.folds=4\nmodel.fusion=concat\n",
    )


def _read_settings(folder: Path) -> object:
    from survfuse.config import load_config

    words = folder / "set.txt"
    if words.exists():
        lines = words.read_bytes().decode("utf-8", "surrogateescape").split("\n")
        return load_config(None, [line for line in lines if line])
    return load_config(folder / "run.yaml")


def _write_splits(root: Path) -> None:
    _write_cohort(root)
    whole = root / "whole"
    for name in ("table", "json", "folder"):
        shutil.copytree(whole, root / name)
    ids = [f"{i:03d}" for i in range(1, 21)]
    rows = [
        f"{patient},{'test' if i % 3 == 0 else 'train'}"
        for i, patient in enumerate(ids)
    ]
    (root / "table" / "slide.csv").write_text(
        "\n".join(["patient_id,fold_0", *rows]) + "\n",
    )
    split = {"train_patients": ids[:14], "test_patients": ids[14:]}
    (root / "json" / "slide.json").write_text(json.dumps({"folds": [split, split]}))
    (root / "folder" / "slides").mkdir()
    clam = [
        "train,val,test",
        *(
            f"{a},{b},{c}"
            for a, b, c in zip(ids[:6], ids[6:12], ids[12:18], strict=True)
        ),
    ]
    (root / "folder" / "slides" / "splits_0.csv").write_text("\n".join(clam) + "\n")
    shutil.rmtree(whole)


def _read_splits(folder: Path) -> object:
    from survfuse.cohort import load_cohort
    from survfuse.cohort.split_files import read_splits

    cohort = load_cohort(folder / "cohort.yaml")
    return read_splits(
        next(path for path in folder.glob("slide*") if path.name != "slides.csv"),
        cohort,
    )


def _write_genes(root: Path) -> None:
    (_folder(root, "list") / "slide.txt").write_text("\n".join(GENES) + "\n")
    (_folder(root, "sets") / "slide.gmt").write_text(
        "A\tabout\tTP53\tMYC\nB\tabout\tKRAS\tEGFR\tFGFR3\n",
    )


def _read_genes(folder: Path) -> object:
    from survfuse.cohort.gene_choice import read_gene_list, read_gmt

    path = _only(folder)
    return read_gmt(path) if path.suffix == ".gmt" else read_gene_list(path)


# -- results and models


def _write_predictions(root: Path) -> None:
    rows = [
        f"P{i},{i % 2},{300 + 11 * i},{i % 3 != 0:d},{i / 7:.3f},{1 - i / 40:.3f},{0.8 - i / 40:.3f}"
        for i in range(20)
    ]
    lines = ["patient_id,fold,time,event,log_risk,survival_200,survival_400", *rows]
    (_folder(root, "csv") / "slide.csv").write_text("\n".join(lines) + "\n")


def _read_predictions(folder: Path) -> object:
    from survfuse.evaluation.external_predictions import read_external

    return read_external(_only(folder))


def _write_run(root: Path) -> None:
    from running import loaded, quick, small
    from survfuse.config import RunConfig
    from survfuse.evaluation.crossval import run

    settings = RunConfig(
        model=quick().config,
        crossval={"folds": 2, "networks": False, "controls": False},
    )
    cohort = loaded(small(root / "cohort", modalities=("clinical",)))
    run(settings, cohort, out=root / "run").report()
    shutil.rmtree(root / "cohort")
    shutil.rmtree(root / "run" / "cells")


def _read_run(folder: Path) -> object:
    from survfuse.results import Result

    return Result.read(folder)


def _write_bundle(root: Path) -> None:
    from running import loaded, quick, small

    quick().fit(loaded(small(root / "cohort"))).save(root / "bundle")
    shutil.rmtree(root / "cohort")


def _rehash(folder: Path) -> None:
    from survfuse._storage import sha256_file

    try:
        manifest = json.loads((folder / "bundle.json").read_text())
        ours = {path.name for path in folder.iterdir() if path.is_file()}
        for name in ours.intersection(manifest["sha256"]):
            manifest["sha256"][name] = sha256_file(folder / name)
        (folder / "bundle.json").write_text(json.dumps(manifest))
    except (ValueError, KeyError, TypeError, OSError, AttributeError):
        return  # the list itself was changed


def _read_bundle(folder: Path) -> object:
    from survfuse.estimator import SurvivalFusion

    return SurvivalFusion.load(folder)


def _write_checkpoint(root: Path) -> None:
    import torch

    from survfuse import paper
    from survfuse.models.network import build_network

    config = paper.variant_config("pg", bag_dim=8, clinical_dim=3, genes=4)
    torch.save(
        paper.state_dict_for(build_network(config, seed=0), "pg"),
        _folder(root, "pg") / "slide.pth",
    )


def _read_checkpoint(folder: Path) -> object:
    from survfuse.paper import load_checkpoint

    return load_checkpoint(_only(folder))


# -- slides


def _write_slides(root: Path) -> None:
    from slide_files import tiny_slide

    for name, compression in (("jpeg", "jpeg"), ("deflate", "deflate"), ("none", None)):
        tiny_slide(
            _folder(root, name) / "slide.tif",
            128,
            levels=2,
            tile=64,
            compression=compression,
        )


def _read_slide(folder: Path) -> object:
    from survfuse.slides.opening import open_slide
    from survfuse.slides.overviews import overview

    with open_slide(_only(folder)) as reader:
        overview(reader, 0.5)
        return reader.region(0, 0, 0, 64, 64), reader.mpp


def _write_masks(root: Path) -> None:
    from slide_files import tiny_mask, tiny_slide

    folder = _folder(root, "mask")
    tiny_mask(folder / "slide.tif", 1024, [(256, 256, 512, 512)])
    tiny_slide(root.parent / "masked.tif", 1024, levels=2)


def _read_mask(folder: Path) -> object:
    from survfuse.slides.masks import given_mask
    from survfuse.slides.opening import open_slide

    with open_slide(
        next(
            place / "masked.tif"
            for place in folder.parents
            if (place / "masked.tif").exists()
        ),
    ) as slide:
        return given_mask(_only(folder), slide, 0.5)


READERS = {
    "hdf5": Reader(_write_hdf5, _features),
    "torch": Reader(_write_torch, _features),
    "numpy": Reader(_write_numpy, _read_numpy),
    "safetensors": Reader(_write_safetensors, _features),
    "slideflow": Reader(_write_slideflow, _read_slideflow),
    "zarr": Reader(_write_zarr, _features),
    "store": Reader(_write_store, _read_store),
    "table": Reader(_write_tables, _read_table),
    "matrix": Reader(_write_matrices, _read_matrix),
    "h5ad": Reader(_write_h5ad, _read_matrix),
    "cohort": Reader(_write_cohort, _read_cohort),
    "settings": Reader(_write_settings, _read_settings),
    "splits": Reader(_write_splits, _read_splits, changed="s*"),
    "genes": Reader(_write_genes, _read_genes),
    "predictions": Reader(_write_predictions, _read_predictions),
    "run": Reader(_write_run, _read_run),
    "bundle": Reader(_write_bundle, _read_bundle, _rehash),
    "checkpoint": Reader(_write_checkpoint, _read_checkpoint),
    "slide": Reader(_write_slides, _read_slide),
    "mask": Reader(_write_masks, _read_mask),
}

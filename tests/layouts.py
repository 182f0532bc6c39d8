"""Small cohorts in the layouts in which the field ships them, 40 patients each, nobody's data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch

PATIENTS = 40
GENES = 60
DIM = 16
DAYS = 30.4375  # a month


@dataclass(frozen=True)
class People:
    """Patients whose risk follows age and five genes.

    Attributes
    ----------
    table : DataFrame
        `months`, `dead`, `pfi_months`, `progressed`, `age`, `sex`, `stage`, by TCGA participant.
    counts : DataFrame of int, (patients, genes)
        Reads, by gene symbol.
    """

    table: pd.DataFrame
    counts: pd.DataFrame

    @property
    def ids(self) -> list[str]:
        return list(self.table.index)

    def log_tpm(self) -> pd.DataFrame:
        share = self.counts.div(self.counts.sum(axis=1), axis=0)
        return np.log2(share * 1e6 + 1)

    def z_scores(self) -> pd.DataFrame:
        values = self.log_tpm()
        return ((values - values.mean()) / values.std()).round(4)


@cache
def people() -> People:
    """Draw them, the same every time."""
    rng = np.random.default_rng(11)
    sites = rng.choice(["05", "4A", "BR"], PATIENTS)
    ids = [f"TCGA-{site}-{4200 + number}" for number, site in enumerate(sites)]
    risk = rng.standard_normal(PATIENTS)
    death = 40 * rng.weibull(1.2, PATIENTS) * np.exp(-0.7 * risk)
    leaves = rng.uniform(10, 80, PATIENTS)
    relapse = death * rng.uniform(0.3, 1.2, PATIENTS)
    stages = np.array(["Stage I", "Stage II", "Stage IIIA", "Stage IV"])
    table = pd.DataFrame(
        {
            "months": np.minimum(death, leaves).clip(0.5).round(2),
            "dead": (death <= leaves).astype(int),
            "pfi_months": np.minimum(np.minimum(death, relapse), leaves)
            .clip(0.4)
            .round(2),
            "progressed": (np.minimum(death, relapse) <= leaves).astype(int),
            "age": (66 + 6 * risk + 7 * rng.standard_normal(PATIENTS))
            .round()
            .astype(int),
            "sex": rng.choice(["Female", "Male"], PATIENTS),
            "stage": stages[
                np.digitize(risk + rng.standard_normal(PATIENTS), [-1, 0, 1])
            ],
        },
        index=ids,
    )
    names = ["EGFR", "TP53", "KRAS", "ALK", "MET"]
    names += [f"ZNF{number}" for number in range(1, GENES - 4)]
    mean = rng.uniform(3, 8, GENES) + 0.4 * risk[:, None] * (np.arange(GENES) < 5)
    reads = rng.poisson(np.exp(mean + 0.3 * rng.standard_normal((PATIENTS, GENES))))
    return People(table, pd.DataFrame(reads, index=ids, columns=names))


def slide_names() -> dict[str, str]:
    """Slide ids and their patients: every fourth patient has two, as diagnostic slides are named."""
    names = {}
    for row, patient in enumerate(people().ids):
        for number in range(1, 2 + (row % 4 == 0)):
            part = f"{row:04X}{number}-AAAA-4BBB-8CCC-DDDDEEEEFFFF"
            names[f"{patient}-01Z-00-DX{number}.{part}"] = patient
    return names


def bags() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Features (tiles, DIM) and corners (tiles, 2) of each slide, by its id."""
    for row, slide in enumerate(slide_names()):
        rng = np.random.default_rng(row)
        tiles = 6 + row % 5
        corners = 512 * np.argwhere(np.ones((tiles, 1)))
        yield slide, rng.standard_normal((tiles, DIM), dtype=np.float32), corners


# -- features


def write_clam_features(folder: Path) -> Path:
    """Write ``h5_files`` and ``pt_files``, as CLAM's feature extraction does."""
    for name in ("h5_files", "pt_files"):
        (folder / name).mkdir(parents=True)
    for slide, features, corners in bags():
        with h5py.File(folder / "h5_files" / f"{slide}.h5", "w") as file:
            file["features"], file["coords"] = features, corners
        torch.save(torch.from_numpy(features), folder / "pt_files" / f"{slide}.pt")
    return folder


def write_trident_job(folder: Path, encoder: str = "uni_v1") -> Path:
    """Write a job folder of TRIDENT: patches and features of one encoder at one scale."""
    scale = folder / "20x_256px_0px_overlap"
    for name in ("patches", f"features_{encoder}", "visualization"):
        (scale / name).mkdir(parents=True)
    for name in ("contours", "contours_geojson", "thumbnails"):
        (folder / name).mkdir()
    about = {
        "patch_size": 256,
        "patch_size_level0": 512,
        "level0_magnification": 40,
        "target_magnification": 20,
        "overlap": 0,
    }
    for slide, features, corners in bags():
        with h5py.File(scale / f"patches/{slide}_patches.h5", "w") as file:
            file["coords"] = corners
            file["coords"].attrs.update(about)
        with h5py.File(scale / f"features_{encoder}/{slide}.h5", "w") as file:
            file["features"], file["coords"] = features, corners
            file["features"].attrs["encoder"] = encoder
            file["coords"].attrs.update(about)
    (scale / "_config_feats_uni_v1.json").write_text("{}")
    return folder


def write_stamp_features(folder: Path) -> Path:
    """Write feature files of STAMP, in the folder of their extractor."""
    own = folder / "uni2-1f2e3d4c"
    own.mkdir(parents=True)
    for slide, features, corners in bags():
        with h5py.File(own / f"{slide}.h5", "w") as file:
            file["feats"] = features.astype(np.float16)
            file["coords"] = corners * 0.5
            file.attrs.update(
                {
                    "extractor": "uni2",
                    "unit": "um",
                    "tile_size_um": 256.0,
                    "tile_size_px": 224,
                    "feat_type": "tile",
                },
            )
    return folder


# -- whole cohorts


def write_mcat(folder: Path, *, suffix: str = "", zipped: bool = True) -> Path:
    """Write the table of MCAT and PORPOISE (SurvPath with `suffix`), and features of CLAM."""
    own = people()
    table = own.table
    rows = pd.DataFrame({"case_id": list(slide_names().values())})
    rows["slide_id"] = [f"{slide}.svs" for slide in slide_names()]
    of = table.loc[rows["case_id"]].reset_index(drop=True)
    rows["site"] = rows["case_id"].str.split("-").str[1]
    rows["is_female"] = (of["sex"] == "Female").astype(float)
    rows["oncotree_code"] = "LUAD"
    rows["age"] = of["age"]
    rows[f"survival_months{suffix}"] = of["months"]
    rows[f"censorship{suffix}"] = 1.0 - of["dead"]
    rows["train"] = 1.0
    rng = np.random.default_rng(5)
    for gene in ("EGFR", "MYC", "CDKN2A", "ALK"):
        values = pd.Series(rng.integers(-2, 3, PATIENTS), index=own.ids)
        rows[f"{gene}_cnv"] = values.loc[rows["case_id"]].to_numpy(float)
    for gene in ("TP53", "KRAS"):
        values = pd.Series(rng.integers(0, 2, PATIENTS), index=own.ids)
        rows[f"{gene}_mut"] = values.loc[rows["case_id"]].to_numpy(float)
    values = own.z_scores().loc[rows["case_id"]].add_suffix("_rnaseq")
    rows = pd.concat([rows, values.reset_index(drop=True)], axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    name = "tcga_luad_all_clean.csv"
    rows.to_csv(folder / (f"{name}.zip" if zipped else name), index=False)
    write_clam_features(folder / "tcga_luad_20x_features")
    return folder


def write_stamp(folder: Path) -> Path:
    """Write STAMP's clini and slide tables, and its features."""
    table = people().table
    folder.mkdir(parents=True, exist_ok=True)
    clini = pd.DataFrame(
        {
            "PATIENT": people().ids,
            "AGE": table["age"].to_numpy(),
            "GENDER": table["sex"].to_numpy(),
            "STAGE": table["stage"].to_numpy(),
            "OS_days": (table["months"] * DAYS).round().astype(int).to_numpy(),
            "OS_event": table["dead"].to_numpy(),
        },
    )
    clini.to_csv(folder / "clini.csv", index=False)
    slides = pd.DataFrame({"PATIENT": list(slide_names().values())})
    slides["FILENAME"] = [f"{slide}.h5" for slide in slide_names()]
    slides.to_csv(folder / "slide.csv", index=False)
    write_stamp_features(folder / "features")
    return folder


def write_outcome(folder: Path) -> Path:
    """Write a table of outcomes, as a group that extracted features itself would have one."""
    folder.mkdir(parents=True, exist_ok=True)
    table = people().table.rename_axis("case_id")
    file = folder / "outcome.csv"
    columns = {"months": "os_months", "dead": "os_event"}
    table[[*columns, "age", "sex"]].rename(columns=columns).to_csv(file)
    return file


def write_trident(folder: Path) -> Path:
    """Write a job folder of TRIDENT, and a table of outcomes."""
    write_trident_job(folder / "job")
    write_outcome(folder)
    return folder


def write_clam(folder: Path) -> Path:
    """Write features of CLAM, its table of slides, and a table of outcomes."""
    write_clam_features(folder / "FEATURES_DIRECTORY")
    (folder / "dataset_csv").mkdir()
    slides = pd.DataFrame({"case_id": list(slide_names().values())})
    slides["slide_id"] = list(slide_names())
    slides["label"] = "tumor"
    slides.to_csv(folder / "dataset_csv/tumor_subtyping.csv", index=False)
    write_outcome(folder)
    return folder


def write_cbioportal(folder: Path) -> Path:
    """Write a study of cBioPortal: clinical tables under ``#`` lines, and an expression matrix."""
    own = people()
    table = own.table
    folder.mkdir(parents=True, exist_ok=True)
    patients = pd.DataFrame({"PATIENT_ID": own.ids})
    patients["SEX"] = table["sex"].to_numpy()
    patients["AGE"] = table["age"].to_numpy()
    patients["AJCC_PATHOLOGIC_TUMOR_STAGE"] = table["stage"].str.upper().to_numpy()
    patients["OS_STATUS"] = np.where(table["dead"], "1:DECEASED", "0:LIVING")
    patients["OS_MONTHS"] = table["months"].to_numpy()
    patients["PFS_STATUS"] = np.where(
        table["progressed"],
        "1:PROGRESSION",
        "0:CENSORED",
    )
    patients["PFS_MONTHS"] = table["pfi_months"].to_numpy()
    patients.loc[3, "PFS_STATUS"] = ""
    patients.loc[3, "PFS_MONTHS"] = np.nan
    samples = pd.DataFrame({"PATIENT_ID": own.ids})
    samples["SAMPLE_ID"] = [f"{one}-01" for one in own.ids]
    samples["ONCOTREE_CODE"] = "LUAD"
    samples["CANCER_TYPE"] = "Non-Small Cell Lung Cancer"
    for name, frame in (("patient", patients), ("sample", samples)):
        write_cbioportal_table(folder / f"data_clinical_{name}.txt", frame)
    matrix = own.counts.T.astype(float) * 1.25
    matrix.columns = [f"{one}-01" for one in matrix.columns]
    matrix.insert(0, "Entrez_Gene_Id", range(1000, 1000 + GENES))
    matrix.rename_axis("Hugo_Symbol").to_csv(
        folder / "data_mrna_seq_v2_rsem.txt",
        sep="\t",
    )
    (folder / "meta_study.txt").write_text(
        "type_of_cancer: luad\ncancer_study_identifier: luad_tcga\nname: Lung Adenocarcinoma\n",
    )
    return folder


def write_cbioportal_table(file: Path, frame: pd.DataFrame) -> None:
    """Write a clinical table under its four lines of names, descriptions, types and priorities."""
    names = [column.replace("_", " ").title() for column in frame]
    kinds = ["STRING" if kind.kind == "O" else "NUMBER" for kind in frame.dtypes]
    head = [names, names, kinds, ["1"] * len(names)]
    lines = ["#" + "\t".join(cells) for cells in head]
    file.write_text("\n".join(lines) + "\n" + frame.to_csv(sep="\t", index=False))


def write_gdc(folder: Path, *, prefixed: bool = False, counts: bool = True) -> Path:
    """Write what the GDC portal hands out: ``clinical.tsv``, a sample sheet and files of counts."""
    own = people()
    table = own.table
    missing = "'--"
    days = (table["months"] * DAYS).round().astype(int).astype(str)
    case = pd.DataFrame(
        {
            "case_id": [
                f"{row:08x}-0000-4000-8000-000000000000" for row in range(PATIENTS)
            ],
            "case_submitter_id": own.ids,
            "project_id": "TCGA-LUAD",
            "age_at_index": table["age"].to_numpy(),
            "days_to_death": days.where(table["dead"] == 1, missing).to_numpy(),
            "gender": table["sex"].str.lower().to_numpy(),
            "vital_status": np.where(table["dead"], "Dead", "Alive"),
            "ajcc_pathologic_stage": table["stage"].to_numpy(),
            "days_to_last_follow_up": days.where(
                table["dead"] == 0, missing
            ).to_numpy(),
            "tumor_stage": missing,
        },
    )
    case.loc[5, "ajcc_pathologic_stage"] = missing
    twice = case.loc[case.index.repeat(2)].reset_index(drop=True)
    twice["treatment_type"] = [
        "Pharmaceutical Therapy, NOS",
        "Radiation Therapy, NOS",
    ] * PATIENTS
    twice["treatment_or_therapy"] = ["yes", "no"] * PATIENTS
    if prefixed:
        where = {"case_submitter_id": "cases.submitter_id", "case_id": "cases.case_id"}
        for name in ("age_at_index", "days_to_death", "gender", "vital_status"):
            where[name] = f"demographic.{name}"
        for name in ("ajcc_pathologic_stage", "days_to_last_follow_up", "tumor_stage"):
            where[name] = f"diagnoses.{name}"
        for name in ("treatment_type", "treatment_or_therapy"):
            where[name] = f"treatments.{name}"
        twice = twice.rename(columns={**where, "project_id": "project.project_id"})
    folder.mkdir(parents=True, exist_ok=True)
    twice.to_csv(folder / "clinical.tsv", sep="\t", index=False)
    if counts:
        write_gdc_counts(folder)
    return folder


def write_gdc_counts(folder: Path) -> None:
    """Write a sample sheet and a file of counts for each sample; two are of normal tissue."""
    own = people()
    rows = [(patient, "01A", "Primary Tumor") for patient in own.ids]
    rows += [(patient, "11A", "Solid Tissue Normal") for patient in own.ids[:2]]
    sheet = []
    for number, (patient, sample, kind) in enumerate(rows):
        file_id = f"{number:08x}-1111-4111-8111-111111111111"
        name = f"{file_id}.rna_seq.augmented_star_gene_counts.tsv"
        (folder / file_id).mkdir()
        reads = own.counts.loc[patient]
        genes = pd.DataFrame(
            {
                "gene_id": [
                    f"ENSG{100000 + place:011d}.{place % 9 + 1}"
                    for place in range(GENES)
                ],
                "gene_name": list(reads.index),
                "gene_type": "protein_coding",
                "unstranded": reads.to_numpy(),
                "stranded_first": reads.to_numpy() // 2,
                "stranded_second": reads.to_numpy() // 2,
                "tpm_unstranded": reads.to_numpy() / reads.sum() * 1e6,
            },
        )
        summary = "N_unmapped\t\t\t100\t100\t100\t\nN_multimapping\t\t\t50\t50\t50\t\n"
        header = "# gene-model: GENCODE v36\n" + "\t".join(genes) + "\n" + summary
        body = genes.to_csv(sep="\t", index=False, header=False)
        (folder / file_id / name).write_text(header + body)
        sheet.append(
            {
                "File ID": file_id,
                "File Name": name,
                "Data Category": "Transcriptome Profiling",
                "Data Type": "Gene Expression Quantification",
                "Project ID": "TCGA-LUAD",
                "Case ID": patient,
                "Sample ID": f"{patient}-{sample}",
                "Sample Type": kind,
            },
        )
    pd.DataFrame(sheet).to_csv(
        folder / "gdc_sample_sheet.2026-01-15.tsv",
        sep="\t",
        index=False,
    )


def write_xena(folder: Path) -> Path:
    """Write the tables of the TCGA hub of UCSC Xena, with 15-character samples."""
    own = people()
    table = own.table
    folder.mkdir(parents=True, exist_ok=True)
    samples = [f"{one}-01" for one in own.ids]
    survival = pd.DataFrame({"sample": samples, "_PATIENT": own.ids})
    for endpoint, time, event in (
        ("OS", "months", "dead"),
        ("DSS", "months", "dead"),
        ("PFI", "pfi_months", "progressed"),
    ):
        survival[endpoint] = table[event].to_numpy(float)
        days = (table[time] * DAYS).round().astype(int)
        survival[f"{endpoint}.time"] = days.to_numpy()
    survival.loc[7, ["DSS", "DSS.time"]] = np.nan
    survival["Redaction"] = ""
    normal = survival.iloc[:3].assign(sample=[f"{one}-11" for one in own.ids[:3]])
    survival = pd.concat([survival, normal])
    survival.to_csv(folder / "LUAD_survival.txt", sep="\t", index=False)
    clinical = pd.DataFrame({"sampleID": samples, "_PATIENT": own.ids})
    clinical["age_at_initial_pathologic_diagnosis"] = table["age"].to_numpy()
    clinical["gender"] = table["sex"].str.upper().to_numpy()
    clinical["pathologic_stage"] = table["stage"].to_numpy()
    clinical["sample_type"] = "Primary Tumor"
    clinical["days_to_death"] = ""
    clinical["vital_status"] = np.where(table["dead"], "DECEASED", "LIVING")
    clinical.to_csv(folder / "LUAD_clinicalMatrix", sep="\t", index=False)
    matrix = np.log2(own.counts.T + 1.0).round(4)
    matrix.columns = samples
    for one in own.ids[:3]:
        matrix[f"{one}-11"] = matrix[f"{one}-01"] * 0.9
    matrix.rename_axis("sample").to_csv(folder / "HiSeqV2.gz", sep="\t")
    return folder


def write_xena_gdc(folder: Path) -> Path:
    """Write the tables of the GDC hub of UCSC Xena, with 16-character samples."""
    own = people()
    table = own.table
    folder.mkdir(parents=True, exist_ok=True)
    samples = [f"{one}-01A" for one in own.ids]
    survival = pd.DataFrame(
        {
            "sample": samples,
            "OS": table["dead"].to_numpy(),
            "_PATIENT": own.ids,
            "OS.time": (table["months"] * DAYS).round().astype(int).to_numpy(),
        },
    )
    survival.to_csv(folder / "TCGA-LUAD.survival.tsv", sep="\t", index=False)
    matrix = np.log2(own.counts.T + 1.0).round(4)
    matrix.columns = samples
    matrix.index = [
        f"ENSG{100000 + place:011d}.{place % 9 + 1}" for place in range(GENES)
    ]
    matrix.rename_axis("Ensembl_ID").to_csv(
        folder / "TCGA-LUAD.star_counts.tsv.gz",
        sep="\t",
    )
    return folder


def write_chimera(folder: Path, *, flat: bool = False, old: bool = False) -> Path:
    """Write the challenge's training folder, with some of its spellings and one id twice."""
    own = people()
    table = own.table
    doses = np.random.default_rng(3).integers(-1, 20, PATIENTS)
    ids = [f"3A_{number:03d}" for number in range(PATIENTS - 2)] + ["3B_417", "3B_417_"]
    data = folder / "data"
    data.mkdir(parents=True)
    for name in ("features", "coordinates"):
        (folder / "features" / name).mkdir(parents=True)
    for row, patient in enumerate(ids):
        same = row if patient != "3B_417_" else row - 1
        person = table.iloc[same]
        time = "time_to_HG_recur_or_FUend" if old else "Time_to_prog_or_FUend"
        fields = {
            "age": int(person["age"]),
            "sex": person["sex"] if same % 7 else person["sex"].lower(),
            "smoking": ["Yes", "No", "-1"][same % 3],
            "tumor": ["Primary", "Primary", "Recurrence"][same % 3],
            "stage": ["TaHG", "T1HG", "T2HG"][same % 3],
            "substage": ["T1m", "T1e", "-1"][same % 3],
            "grade": ["G3", "G2"][same % 2],
            "reTUR": ["Yes", "No"][same % 2],
            "LVI": ["No", "Yes", "-1"][same % 3],
            "variant": ["UCC", "UCC + Variant"][same % 5 == 0],
            "EORTC": ["High risk", "Highest risk", "Intermediate risk"][same % 3],
            "no_instillations": float(doses[same]),
            "BRS": ["BRS1", "BRS2", "BRS3"][same % 3],
            "progression": int(person["dead"]),
            time: float(person["months"]),
        }
        place = data if flat else data / patient
        place.mkdir(exist_ok=True)
        (place / f"{patient}_CD.json").write_text(json.dumps(fields))
        genes = (own.log_tpm().iloc[same].clip(lower=3.7)).round(3).to_dict()
        (place / f"{patient}_RNA.json").write_text(json.dumps(genes))
        values = np.random.default_rng(same).standard_normal((9, DIM), dtype=np.float32)
        torch.save(
            torch.from_numpy(values),
            folder / f"features/features/{patient}_HE.pt",
        )
        corners = np.zeros(9, [("x", "<i8"), ("y", "<i8"), ("tile_size_lv0", "<i8")])
        corners["x"], corners["tile_size_lv0"] = 448 * np.arange(9), 448
        np.save(folder / f"features/coordinates/{patient}_HE.npy", corners)
    return folder


def write_hancock(folder: Path) -> Path:
    """Write the tables of HANCOCK's folder ``features``, with codes for words."""
    table = people().table
    rng = np.random.default_rng(9)
    ids = [f"{number:03d}" for number in range(1, PATIENTS + 1)]
    days = (table["months"] * DAYS).round().astype(int).to_numpy()
    targets = pd.DataFrame({"patient_id": ids})
    targets["recurrence"] = np.where(table["progressed"], "yes", "no")
    targets["days_to_recurrence"] = ""
    targets["survival_status"] = np.where(table["dead"], "deceased", "living")
    targets["survival_status_with_cause"] = targets["survival_status"]
    targets["days_to_last_information"] = days
    targets["rfs_event"] = table["progressed"].to_numpy()
    relapse = (table["pfi_months"] * DAYS).round().astype(int).to_numpy()
    targets["days_to_rfs_event"] = np.where(np.arange(PATIENTS) == 6, -3, relapse)
    clinical = pd.DataFrame({"patient_id": ids})
    clinical["sex"] = (table["sex"] == "Female").astype(int).to_numpy()
    clinical["primarily_metastasis"] = rng.integers(0, 2, PATIENTS).astype(float)
    clinical["smoking_status"] = rng.integers(0, 4, PATIENTS)
    clinical["age_at_initial_diagnosis"] = table["age"].to_numpy()
    pathological = pd.DataFrame({"patient_id": ids})
    codes = {
        **dict.fromkeys(("perinodal_invasion", "lymphovascular_invasion_L"), 2),
        **dict.fromkeys(("vascular_invasion_V", "perineural_invasion_Pn"), 2),
        **dict.fromkeys(("carcinoma_in_situ", "resection_status_carcinoma_in_situ"), 2),
        **dict.fromkeys(("primary_tumor_site", "grading", "histologic_type"), 4),
        **dict.fromkeys(("hpv_association_p16", "resection_status"), 3),
    }
    for name, levels in codes.items():
        pathological[name] = rng.integers(0, levels, PATIENTS)
    pathological["number_of_positive_lymph_nodes"] = rng.poisson(2, PATIENTS).astype(
        float
    )
    pathological["infiltration_depth_in_mm"] = rng.uniform(1, 30, PATIENTS).round(1)
    pathological["pT_stage"] = rng.integers(0, 9, PATIENTS)
    pathological["pN_stage"] = rng.integers(0, 10, PATIENTS)
    blood = pd.DataFrame({"patient_id": ids[4:]})
    for name in ("Leukocytes [#/volume] in Blood", "Hemoglobin [Mass/volume] in Blood"):
        blood[name] = rng.normal(10, 2, len(blood)).round(3)
    folder.mkdir(parents=True, exist_ok=True)
    frames = {"targets": targets, "clinical": clinical, "pathological": pathological}
    for file, frame in {**frames, "blood": blood}.items():
        frame.to_csv(folder / f"{file}.csv", index=False)
    return folder

"""What `stain_texture` measures, by name and in order, and its card."""

from __future__ import annotations

from survfuse.slides.encoders.encoder import EncoderCard

QUANTILES = (5, 25, 50, 75, 95)  # per cent
DARKNESS = (20, 40, 60, 80, 100)  # haematoxylin above, hundredths of optical density
PINKNESS = (20, 40)  # eosin above, hundredths of optical density
GRAINS = (6, 10, 14, 22, 30, 42)  # px: sides of openings
BANDS = (2, 4, 7, 14, 26, 48)  # px: upper scale of each band
LAGS = (1, 4, 16)  # px
RANK_SCALES = (2, 4)  # px per sample
RANKS = ("peak", "ridge", "valley", "pit")


def _stain(name: str, told: str) -> dict[str, str]:
    found = {
        f"{name}_mean": f"{told}, mean (OD)",
        f"{name}_sd": f"{told}, standard deviation (OD)",
        f"{name}_skewness": f"{told}, skewness",
    }
    return found | {
        f"{name}_q{q:02d}": f"{told}, {q} % quantile (OD)" for q in QUANTILES
    }


POINTWISE: dict[str, str] = {
    **_stain("haematoxylin", "haematoxylin"),
    **_stain("eosin", "eosin"),
    "residual_mean": "colour that neither stain explains, mean (OD); pen, pigment, blood",
    "residual_sd": "colour that neither stain explains, standard deviation (OD)",
    "brightness_mean": "brightness, mean (0 to 1)",
    "brightness_sd": "brightness, standard deviation",
    "brightness_q05": "brightness, 5 % quantile",
    "brightness_q95": "brightness, 95 % quantile",
    "chroma_mean": "largest minus smallest of red, green, blue, mean (0 to 1)",
    "chroma_sd": "chroma, standard deviation",
    "chroma_q95": "chroma, 95 % quantile",
    "blank_share": "share of pixels brighter than 220 of 255",
    **{
        f"haematoxylin_above_{t}": f"share of pixels with haematoxylin above {t / 100} OD"
        for t in DARKNESS
    },
    **{
        f"eosin_above_{t}": f"share of pixels with eosin above {t / 100} OD"
        for t in PINKNESS
    },
    "stain_balance": "haematoxylin mean over the sum of both means",
    "stain_correlation": "correlation of haematoxylin and eosin over pixels",
}
"""Read off histograms: where a pixel lies does not matter."""

NUCLEAR: dict[str, str] = {
    "tissue_share": "share of the tile where both stains together exceed 0.15 OD",
    "nuclei_threshold": "haematoxylin that parts nuclei from the rest (Otsu over tissue, at least 0.2 OD)",
    "nuclei_share": "share of the tile that is nucleus",
    "nuclei_density": "connected nuclei per 10,000 px",
    "nuclei_peaks": "local maxima of smoothed haematoxylin above the threshold, per 10,000 px",
    "nuclei_area_mean": "area of connected nuclei, mean, as side of a square (px)",
    "nuclei_area_sd": "the same, standard deviation (px)",
    "nuclei_area_weighted": "the same, of the nucleus around a random nuclear pixel (px)",
    "nuclei_elongation": "longer over shorter side of the bounding box, mean",
    "nuclei_extent": "area over that of the bounding box, mean",
    "nuclei_haematoxylin": "haematoxylin in nuclei, mean (OD)",
    "nuclei_haematoxylin_sd": "haematoxylin in nuclei, standard deviation (OD)",
    "nuclei_eosin": "eosin in nuclei, mean (OD)",
    "outside_haematoxylin": "haematoxylin of the tissue around them, mean (OD)",
    "outside_eosin": "eosin of the tissue around them, mean (OD)",
}
"""From the haematoxylin mask at half resolution; 0 where there is no nucleus."""

SPATIAL: dict[str, str] = {
    **{
        f"grain_{g:02d}": f"haematoxylin lost when openings grow to {g} px, mean (OD)"
        for g in GRAINS
    },
    **{
        f"haematoxylin_band_{b:02d}": f"haematoxylin, contrast at about {b} px (OD)"
        for b in BANDS
    },
    **{f"eosin_band_{b:02d}": f"eosin, contrast at about {b} px (OD)" for b in BANDS},
    **{
        f"haematoxylin_lag_{g:02d}": f"haematoxylin, correlation of pixels {g} px apart"
        for g in LAGS
    },
    **{
        f"brightness_lag_{g:02d}": f"brightness, correlation of pixels {g} px apart"
        for g in LAGS
    },
    "eosin_gradient": "eosin, root mean square gradient (OD per px)",
    "eosin_coherence_local": "agreement of eosin edges in direction within cells of an 8 x 8 grid (0 to 1)",
    "eosin_coherence": "the same over the whole tile",
    "brightness_gradient": "brightness, root mean square gradient (per px)",
    "brightness_coherence_local": "agreement of edges in direction within cells of an 8 x 8 grid (0 to 1)",
    "brightness_coherence": "the same over the whole tile",
    **{
        f"brightness_{rank}_{scale}": f"share of samples that are a {rank} among 8 neighbours {scale} px away"
        for scale in RANK_SCALES
        for rank in RANKS
    },
    "haematoxylin_patchiness": "haematoxylin, standard deviation over a 4 x 4 grid (OD)",
    "eosin_patchiness": "eosin, standard deviation over a 4 x 4 grid (OD)",
}
"""Texture at stated scales."""

DESCRIPTIONS: dict[str, str] = {**POINTWISE, **NUCLEAR, **SPATIAL}
FEATURES: tuple[str, ...] = tuple(DESCRIPTIONS)
"""Names of the features, in the order of the columns."""

STAIN_TEXTURE = EncoderCard(
    name="stain_texture",
    arch="measured",
    arguments={},
    weights="",
    licence="none needed",
    gated=False,
    px=224,
    px_step=1,
    mpp=0.5,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    dim=len(FEATURES),
    pooling="measured",
    precision="fp32",
    summary="colour deconvolution, nuclear and texture statistics; every column has a name",
    source="Ruifrok & Johnston 2001; Otsu 1979; Matheron 1975; Haralick 1973; Bigun 1987; Ojala 2002",
)

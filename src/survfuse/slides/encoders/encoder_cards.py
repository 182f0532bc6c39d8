"""The cards of the published encoders.

Facts were taken from the publishers' repositories and from public tools that load the
same files; what rests on the latter alone stands under `unverified`. No card carries a
checksum: publishers print none, so the sha256 of the file in use is recorded instead.
"""

from __future__ import annotations

from survfuse.slides.encoders.encoder import EncoderCard

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_OPTIMUS = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
_SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
_NC_ND = "CC-BY-NC-ND-4.0"
_UNI_PAPER = "Chen et al. 2024, doi:10.1038/s41591-024-02857-3"
_SECOND_HAND = (
    "construction as public tools load it; the gated page itself was not read"
)

UNI = EncoderCard(
    name="uni",
    arch="vit_large_patch16_224",
    arguments={
        "img_size": 224,
        "init_values": 1e-5,
        "num_classes": 0,
        "dynamic_img_size": True,
    },
    weights="https://huggingface.co/MahmoodLab/UNI",
    file="pytorch_model.bin",
    licence=_NC_ND,
    gated=True,
    px=224,
    px_step=16,
    mpp=0.5,
    basis="magnification",
    mean=_IMAGENET[0],
    std=_IMAGENET[1],
    dim=1024,
    pooling="cls",
    summary="ViT-L/16, DINOv2 on Mass-100K (100,000 slides)",
    source=_UNI_PAPER,
)

UNI2_H = EncoderCard(
    name="uni2_h",
    arch="vit_giant_patch14_224",
    arguments={
        "img_size": 224,
        "patch_size": 14,
        "depth": 24,
        "num_heads": 24,
        "embed_dim": 1536,
        "mlp_ratio": 2.66667 * 2,
        "init_values": 1e-5,
        "num_classes": 0,
        "no_embed_class": True,
        "reg_tokens": 8,
        "dynamic_img_size": True,
        **_SWIGLU,
    },
    weights="https://huggingface.co/MahmoodLab/UNI2-h",
    file="pytorch_model.bin",
    licence=_NC_ND,
    gated=True,
    px=224,
    px_step=14,
    mpp=0.5,
    mean=_IMAGENET[0],
    std=_IMAGENET[1],
    dim=1536,
    pooling="cls",
    precision="bf16",
    summary="ViT-H/14 with 8 registers, DINOv2 on 350,000 slides, H&E and IHC",
    source=_UNI_PAPER,
)

VIRCHOW2 = EncoderCard(
    name="virchow2",
    arch="vit_huge_patch14_224",
    arguments={
        "img_size": 224,
        "init_values": 1e-5,
        "num_classes": 0,
        "reg_tokens": 4,
        "mlp_ratio": 5.3375,
        "global_pool": "",
        "dynamic_img_size": True,
        **_SWIGLU,
    },
    weights="https://huggingface.co/paige-ai/Virchow2",
    file="pytorch_model.bin",
    licence=_NC_ND,
    gated=True,
    px=224,
    px_step=14,
    mpp=0.5,
    basis="stated",
    mean=_IMAGENET[0],
    std=_IMAGENET[1],
    dim=2560,
    pooling="cls+mean",
    summary="ViT-H/14 with 4 registers, DINOv2 on 3.1 million slides at several magnifications",
    source="Zimmermann et al. 2024, arXiv:2408.00738",
    unverified=(_SECOND_HAND,),
)

_GIANT = {
    "img_size": 224,
    "init_values": 1e-5,
    "num_classes": 0,
    "global_pool": "token",
}

H_OPTIMUS_0 = EncoderCard(
    name="h_optimus_0",
    arch="vit_giant_patch14_reg4_dinov2",
    arguments=_GIANT,
    weights="https://huggingface.co/bioptimus/H-optimus-0",
    file="pytorch_model.bin",
    licence="Apache-2.0",
    gated=True,
    px=224,
    mpp=0.5,
    basis="stated",
    mean=_OPTIMUS[0],
    std=_OPTIMUS[1],
    dim=1536,
    pooling="cls",
    summary="ViT-g/14 with 4 registers, DINOv2 on 500,000 slides",
    source="Saillard et al. 2024, github.com/bioptimus/releases",
    unverified=(
        _SECOND_HAND,
        "public sources disagree on whether access must be requested",
    ),
)

H_OPTIMUS_1 = EncoderCard(
    name="h_optimus_1",
    arch="vit_giant_patch14_reg4_dinov2",
    arguments=_GIANT,
    weights="https://huggingface.co/bioptimus/H-optimus-1",
    file="pytorch_model.bin",
    licence=_NC_ND,
    gated=True,
    px=224,
    mpp=0.5,
    basis="stated",
    mean=_OPTIMUS[0],
    std=_OPTIMUS[1],
    dim=1536,
    pooling="cls",
    summary="ViT-g/14 with 4 registers, trained on over a million slides",
    source="Bioptimus 2025, no paper",
    unverified=(_SECOND_HAND,),
)

PROV_GIGAPATH = EncoderCard(
    name="prov_gigapath",
    arch="vit_giant_patch14_dinov2",
    arguments={
        "img_size": 224,
        "patch_size": 16,
        "init_values": 1e-5,
        "mlp_ratio": 5.33334,
        "num_classes": 0,
        "global_pool": "token",
    },
    weights="https://huggingface.co/prov-gigapath/prov-gigapath",
    file="pytorch_model.bin",
    licence="Apache-2.0, with the publisher's conditions (research only)",
    gated=True,
    px=224,
    mpp=0.5,
    basis="stated",
    mean=_IMAGENET[0],
    std=_IMAGENET[1],
    dim=1536,
    pooling="cls",
    summary="ViT-g/16 tile encoder, DINOv2 on 171,000 slides; upstream crops 224 px out of 256 px tiles",
    source="Xu et al. 2024, doi:10.1038/s41586-024-07441-w",
    unverified=(_SECOND_HAND,),
)

PHIKON_V2 = EncoderCard(
    name="phikon_v2",
    arch="vit_large_patch16_224",
    arguments={
        "img_size": 224,
        "init_values": 1.0,
        "num_classes": 0,
        "dynamic_img_size": True,
    },
    weights="https://huggingface.co/owkin/phikon-v2",
    file="model.safetensors",
    licence="Owkin non-commercial",
    gated=False,
    px=224,
    px_step=16,
    mpp=0.5,
    basis="stated",
    mean=_IMAGENET[0],
    std=_IMAGENET[1],
    dim=1024,
    pooling="cls",
    precision="fp32",
    layout="hf_dinov2",
    summary="ViT-L/16, DINOv2 on public slides (TCGA, CPTAC, GTEx and others)",
    source="Filiot et al. 2024, arXiv:2409.09173",
    unverified=(
        "tensor names follow transformers' Dinov2Model; the published file itself was not read",
    ),
)

CONCH = EncoderCard(
    name="conch",
    arch="vit_base_patch16_224",
    arguments={"img_size": 448, "num_classes": 0, "dynamic_img_size": True},
    weights="https://huggingface.co/MahmoodLab/CONCH",
    file="pytorch_model.bin",
    licence=_NC_ND,
    gated=True,
    px=448,
    px_step=16,
    mpp=0.5,
    mean=_CLIP[0],
    std=_CLIP[1],
    dim=512,
    pooling="attention",
    precision="fp32",
    layout="conch",
    unused=(
        "text.",
        "text_decoder.",
        "logit_scale",
        "visual.proj_contrast",
        "visual.attn_pool_caption.",
        "visual.ln_caption.",
    ),
    summary="image half of a vision-language model: timm builds the ViT-B/16 trunk, we the attention pooler; "
    "the embedding before the contrastive projection, not normalised",
    source="Lu et al. 2024, doi:10.1038/s41591-024-02856-4",
    unverified=(
        "written from the published source code; not run against the published file",
    ),
)

RESNET50 = EncoderCard(
    name="resnet50",
    arch="resnet50",
    arguments={"num_classes": 0},
    weights="https://huggingface.co/timm/resnet50.tv_in1k",
    file="model.safetensors",
    licence="BSD-3-Clause",
    gated=False,
    px=224,
    px_step=32,
    mpp=0.5,
    mean=_IMAGENET[0],
    std=_IMAGENET[1],
    dim=2048,
    pooling="avg",
    unused=("fc.",),
    summary="ResNet-50 on ImageNet photographs: a baseline, not a pathology model",
    source="He et al. 2016, arXiv:1512.03385",
)

RESNET50_TRUNCATED = EncoderCard(
    name="resnet50_truncated",
    arch="resnet50",
    arguments={"features_only": True, "out_indices": (3,)},
    weights=RESNET50.weights,
    file="model.safetensors",
    licence="BSD-3-Clause",
    gated=False,
    px=224,
    px_step=32,
    mpp=0.5,
    mean=_IMAGENET[0],
    std=_IMAGENET[1],
    dim=1024,
    pooling="avg",
    unused=("fc.", "layer4."),
    summary="ResNet-50 up to its third stage, averaged: what CLAM calls resnet50_trunc",
    source="Lu et al. 2021, doi:10.1038/s41551-020-00682-w",
)

PUBLISHED = (
    UNI,
    UNI2_H,
    VIRCHOW2,
    H_OPTIMUS_0,
    H_OPTIMUS_1,
    PROV_GIGAPATH,
    PHIKON_V2,
    CONCH,
    RESNET50,
    RESNET50_TRUNCATED,
)

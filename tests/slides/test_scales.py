"""Every place where a file says its scale."""

from __future__ import annotations

import pytest

from survfuse._errors import SlideError
from survfuse.slides.scales import RESOLUTION_TAGS, Scale, file_scales, ome_lengths

SIZE = (4096, 3072)


def ome(
    attributes: str,
    size: tuple[int, int] = SIZE,
    before: str = "",
    lens: str = "",
) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{before}<Image ID="Image:0">{lens}'
        f'<Pixels SizeX="{size[0]}" SizeY="{size[1]}" {attributes}/></Image></OME>'
    )


def test_an_svs_says_it_in_three_places() -> None:
    found, notes = file_scales(
        {
            "openslide.vendor": "aperio",
            "openslide.mpp-x": "0.499",
            "openslide.mpp-y": "0.499",
            "openslide.objective-power": "20",
            "tiff.XResolution": "200000",
            "tiff.YResolution": "200000",
            "tiff.ResolutionUnit": "centimeter",
            "tiff.ImageDescription": "Aperio Image Library|AppMag = 20|MPP = 0.499",
        },
        SIZE,
    )
    assert [(scale.source, scale.mpp) for scale in found] == [
        ("the file's description (MPP)", 0.499),
        (RESOLUTION_TAGS, pytest.approx(0.05)),
        ("the file's objective", 0.5),
    ]
    assert notes == ()


def test_an_svs_without_mpp_has_that_of_its_tags_but_not_of_a_screen() -> None:
    common = {"openslide.vendor": "aperio", "tiff.ResolutionUnit": "inch"}
    found, _ = file_scales(
        {**common, "tiff.XResolution": "50800", "tiff.YResolution": "50800"},
        SIZE,
    )
    assert found == (Scale(0.5, RESOLUTION_TAGS),)
    assert (
        file_scales(
            {**common, "tiff.XResolution": "72", "tiff.YResolution": "72"},
            SIZE,
        )[0]
        == ()
    )


def test_dicom_says_it_in_pixels_and_in_mm() -> None:
    spacing = {
        "openslide.vendor": "dicom",
        "openslide.mpp-x": "0.25",
        "openslide.mpp-y": "0.25",
    }
    volume = {"dicom.ImagedVolumeWidth": "2.048", "dicom.ImagedVolumeHeight": "1.536"}
    found, _ = file_scales({**spacing, **volume}, SIZE)
    assert [(scale.source, scale.mpp) for scale in found] == [
        ("the file's PixelSpacing", 0.25),
        ("the file's ImagedVolumeWidth", 0.5),
    ]


def test_a_converter_keeps_what_the_scanner_said_in_the_description() -> None:
    vips = (
        "<image><properties><property><name>openslide.mpp-x</name><value type='VipsRefString'>0.5</value>"
        "</property><property><name>openslide.objective-power</name><value>20</value></property>"
        "</properties></image>"
    )
    tags = {
        "openslide.vendor": "generic-tiff",
        "openslide.mpp-x": "0.05",
        "openslide.mpp-y": "0.05",
    }
    for text in (vips, "made from x.svs|AppMag = 20|MPP = 0.5"):
        found, _ = file_scales({**tags, "tiff.ImageDescription": text}, SIZE)
        assert [scale.mpp for scale in found] == [0.05, 0.5, 0.5]
        assert found[2].power == 20


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("", 0.5),
        ('PhysicalSize{}Unit="µm"', 0.5),
        ('PhysicalSize{}Unit="\u03bcm"', 0.5),
        ('PhysicalSize{}Unit="nm"', 500),
        ('PhysicalSize{}Unit="mm"', 0.0005),
        ('PhysicalSize{}Unit="cm"', 0.00005),
        ('PhysicalSize{}Unit="Å"', 5000),
        ('PhysicalSize{}Unit="in"', 0.5 / 25400),
    ],
)
def test_ome_xml_says_it_in_any_unit(unit: str, value: float) -> None:
    attributes = " ".join(
        f'PhysicalSize{axis}="{value}" {unit.format(axis)}' for axis in "XY"
    )
    found, notes = file_scales({"tiff.ImageDescription": ome(attributes)}, SIZE)
    assert [scale.source for scale in found] == ["the file's OME-XML (PhysicalSizeX)"]
    assert found[0].mpp == pytest.approx(0.5)
    assert notes == ()


def test_ome_xml_is_read_of_the_image_of_level_0_alone() -> None:
    label = '<Image ID="Image:1"><Pixels SizeX="300" SizeY="300" PhysicalSizeX="30" PhysicalSizeY="30"/></Image>'
    lens = '<Instrument ID="I"><Objective ID="O:0" NominalMagnification="20"/></Instrument>'
    text = ome(
        'PhysicalSizeX="0.5" PhysicalSizeY="0.5"',
        before=lens + label,
        lens='<ObjectiveSettings ID="O:0"/>',
    )
    found, _ = file_scales({"tiff.ImageDescription": text}, SIZE)
    assert [(scale.mpp, scale.power) for scale in found] == [(0.5, None), (0.5, 20.0)]
    assert ome_lengths(text, (300, 300)) == (30.0, 30.0)
    found, notes = file_scales({"tiff.ImageDescription": text}, (1, 1))
    assert (found, notes) == (
        (),
        ("the file's OME-XML has no image of 1 × 1 px; its scale was not read",),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            ome('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"'),
            "1 in 'pixel', which is no length",
        ),
        (ome('PhysicalSizeX="0.5"'), r"along one axis only \(0.5\)"),
        ("<OME><Image>", "broken and was not read"),
        ("<OME>" + "<a>" * 200_001, "more than 200,000 elements"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><OME></OME>', "declares entities"),
    ],
)
def test_ome_xml_that_says_no_scale_tells_why(text: str, told: str) -> None:
    found, notes = file_scales({"tiff.ImageDescription": text}, SIZE)
    assert found == ()
    with pytest.raises(ValueError, match=told):
        raise ValueError(*notes)


def test_oblong_pixels_are_refused() -> None:
    found, notes = file_scales(
        {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.252"},
        SIZE,
    )
    assert ([scale.mpp for scale in found], notes) == ([0.251], ())
    found, notes = file_scales(
        {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"},
        SIZE,
    )
    assert found[0].mpp == 0.255
    assert "0.25 µm wide and 0.26 µm high; their mean is taken" in notes[0]
    assert file_scales({"openslide.mpp-x": "nan", "openslide.mpp-y": "nan"}, SIZE) == (
        (),
        (),
    )
    with pytest.raises(SlideError, match=r"0\.25 µm wide and 0\.5 µm high"):
        file_scales({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.5"}, SIZE)

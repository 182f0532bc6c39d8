from __future__ import annotations

from pathlib import Path

import pytest

from survfuse._errors import CohortError
from survfuse.cohort import inspect
from survfuse.cohort.slide_images import (
    AvailableImages,
    SlideImages,
    available_images,
    find_images,
)
from survfuse.cohort.spec import load_spec


class Files:
    """A cohort of slides that have no features yet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table = ["slide_id,patient_id", "a,P1", "b,P1", "c,P2"]
        self.images = "images"
        self.section = "table: slides.csv, features: features"

    def image(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"pixels")
        return path

    def write(self) -> Path:
        (self.root / "slides.csv").write_text("\n".join(self.table) + "\n")
        images = f", images: {self.images}" if self.images else ""
        (self.root / "cohort.yaml").write_text(
            f"name: t\nslides: {{{self.section}{images}}}\n",
        )
        return self.root / "cohort.yaml"

    def find(self) -> SlideImages:
        return find_images(self.write())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_by_name(files: Files) -> None:
    for name in (
        "c.NDPI",
        "sub/b.tif",
        "a.svs",
        "a.txt",
        ".a.tif",
        "sub/.hidden/a.tif",
    ):
        files.image(f"images/{name}")
    found = files.find()
    assert [
        (i.slide_id, i.patient_id, i.path.relative_to(files.root).as_posix())
        for i in found.images
    ] == [
        ("a", "P1", "images/a.svs"),
        ("b", "P1", "images/sub/b.tif"),
        ("c", "P2", "images/c.NDPI"),
    ]
    assert (found.name, found.masks, found.features) == (
        "slides",
        None,
        files.root / "features",
    )


def test_the_order_of_rows_and_files_means_nothing(files: Files) -> None:
    for name in "cab":
        files.image(f"images/{name}.tif")
    before = files.find().images
    files.table[1:] = files.table[:0:-1]
    assert files.find().images == before


def test_masks_are_never_slides(files: Files) -> None:
    for name in "abc":
        files.image(f"images/{name}.tif")
        files.image(f"images/masks/{name}.tif")
        files.image(f"images/{name}_mask.tif")
    files.section += ", masks: images/masks"
    found = files.find()
    assert {image.path.parent.name for image in found.images} == {"images"}
    assert found.masks == files.root / "images" / "masks"


def test_a_slide_with_two_images_or_none(files: Files) -> None:
    for name in ("a.svs", "old/a.tif", "b_HE.tif", "c.tif"):
        files.image(f"images/{name}")
    with pytest.raises(CohortError, match=r"2 problems") as told:
        files.find()
    assert (
        "1 of 3 slides have no image of their name: 'b'; the folder has 'a', 'b_HE', 'c'"
        in str(told.value)
    )
    assert "slide 'a' could be" in str(told.value)
    for name in ("images/a.svs", "images/old/a.tif"):
        assert name in str(told.value)


def test_ids_may_have_the_endings_of_features_and_any_letter_case_in_endings(
    files: Files,
) -> None:
    files.table = ["slide_id,patient_id", "a.h5,P1", "b.SVS,P1", "c.ome,P2", "d,P2"]
    for name in ("a.svs", "b.svs", "c.ome.tiff", "d.ome.tif"):
        files.image(f"images/{name}")
    found = {image.slide_id: image.path.name for image in files.find().images}
    assert found == {
        "a.h5": "a.svs",
        "b.SVS": "b.svs",
        "c.ome": "c.ome.tiff",
        "d": "d.ome.tif",
    }


def test_another_letter_case_is_named_as_the_difference(files: Files) -> None:
    for name in ("A.svs", "b.svs", "c.svs"):
        files.image(f"images/{name}")
    with pytest.raises(
        CohortError,
        match=r"no image of their name: 'a'; .*; in another letter case only: 'a' \('A'\)",
    ):
        files.find()


def test_an_id_with_the_ending_names_that_very_file(files: Files) -> None:
    files.table = ["slide_id,patient_id", "a.svs,P1"]
    for name in ("a.svs", "a.tif"):
        files.image(f"images/{name}")
    assert [image.path.name for image in files.find().images] == ["a.svs"]
    (files.root / "images" / "a.svs").unlink()
    with pytest.raises(CohortError, match=r"no image of their name: 'a\.svs'"):
        files.find()


@pytest.mark.parametrize("images", ["", "pool"])
def test_by_path(files: Files, images: str) -> None:
    files.images = images
    for name in ("x/1.tif", "2.tif"):
        files.image(f"{images}/{name}" if images else name)
    absolute = files.image("far/3.svs")
    files.table = [
        "slide_id,patient_id,path",
        "a,P1,x/1.tif",
        "b,P1, 2.tif",
        f"c,P2,{absolute}",
    ]
    assert [image.path.name for image in files.find().images] == [
        "1.tif",
        "2.tif",
        "3.svs",
    ]


def test_a_path_is_found_however_its_letters_are_composed(files: Files) -> None:
    """Reading the table composes them; file systems keep what they were given."""
    names = ["Mu\u0308ller.svs", "M\u00fcller 2.svs", "a\u00a0b.svs"]
    files.table = [
        "slide_id,patient_id,path",
        *(f"s{row},P{row},{name}" for row, name in enumerate(names)),
    ]
    for name in names:
        files.image(f"images/{name}")
    assert [image.path.name for image in files.find().images] == names


def test_paths_that_are_wrong_are_told_together(files: Files) -> None:
    files.images = ""
    files.image("1.tif")
    files.table = [
        "slide_id,patient_id,path,mpp,objective",
        "a,P1,1.tif,0.5,",
        "b,P2,./1.tif,half,20",
        "c,P2,,-1,0",
        "d,P3,gone.tif,nan,inf",
    ]
    with pytest.raises(CohortError, match=r"5 problems") as told:
        files.find()
    for line in (
        "no path for slide 'c'",
        "1 of 4 files are not there: 'd' (",
        "1.tif is listed for slides 'a', 'b'",
        "patient P1, P2",
        "column 'mpp': expected a number > 0, got 'half' (slide 'b'), '-1' (slide 'c')",
        "column 'objective': expected a number > 0, got '0' (slide 'c'), 'inf' (slide 'd')",
    ):
        assert line in str(told.value)


def test_numbers_of_the_table(files: Files) -> None:
    for name in "abc":
        files.image(f"images/{name}.tif")
    files.table = [
        "slide_id,patient_id,mpp,objective",
        "a,P1, 0.25,",
        "b,P1,NA,40",
        "c,P2,,",
    ]
    assert [(image.mpp, image.objective) for image in files.find().images] == [
        (0.25, None),
        (None, 40.0),
        (None, None),
    ]


def test_two_rows_of_one_slide(files: Files) -> None:
    files.image("images/a.tif")
    files.table = ["slide_id,patient_id", "a,P1", "a,P2"]
    with pytest.raises(
        CohortError,
        match=r"patient P1, P2: slide 'a' has 2 rows \(data rows 1, 2\)",
    ):
        files.find()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"images": ""}, r"nothing says where the images lie \(add a column `path`"),
        ({"images": "nowhere"}, r"file nowhere: no such folder of images"),
        ({"section": "packed: x.bags"}, r"`images` and `masks` need `table: FILE`"),
        ({"section": "table: none.csv, features: f"}, r"none\.csv"),
    ],
)
def test_what_cannot_be_found(files: Files, change: dict[str, str], why: str) -> None:
    for name, value in change.items():
        setattr(files, name, value)
    with pytest.raises(Exception, match=why) as told:
        files.find()
    assert told.type.__name__ in ("CohortError", "ConfigError")


def test_a_cohort_without_slides(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "name: t\nclinical: {table: t.csv, columns: [age]}\n",
    )
    with pytest.raises(
        CohortError,
        match=r"no slides to extract: expected a section `slides:` with `table:`",
    ):
        find_images(tmp_path / "c.yaml")


def test_validate_says_that_extraction_comes_first(files: Files) -> None:
    for name in "abc":
        files.image(f"images/{name}.tif")
    path = files.write()
    for _ in range(2):  # without the folder, and with an empty one
        inspection = inspect(path, need_outcome=False)
        assert [
            problem.hint for problem in inspection.problems if problem.where == "slides"
        ] == ["run `survfuse extract` on this cohort file first"]
        (files.root / "features" / "state").mkdir(parents=True, exist_ok=True)
    files.images = ""
    files.table = ["slide_id,patient_id,path", "a,P1,images/a.tif"]
    assert "run `survfuse extract`" in str(
        inspect(files.write(), need_outcome=False).problems[0],
    )


def test_masks_by_path(files: Files) -> None:
    """As CHIMERA lays them out: slide and mask of a patient side by side."""
    files.images = "data"
    files.table = ["slide_id,patient_id,path,mask"]
    for name in ("a", "b"):
        files.image(f"data/{name}/{name}_HE.tif")
        files.table.append(
            f"{name}_HE,{name},{name}/{name}_HE.tif,{name}/{name}_HE_mask.tif",
        )
    files.table[-1] = files.table[-1].rpartition(",")[0] + ","
    mask = files.image("data/a/a_HE_mask.tif")
    assert [image.mask for image in files.find().images] == [mask, None]
    files.table[-1] += "a/a_HE_mask.tif"
    with pytest.raises(
        CohortError,
        match=r"a_HE_mask\.tif is listed for slides 'a_HE', 'b_HE'",
    ):
        files.find()
    files.table[-1] = files.table[-1].replace("a_HE_mask", "gone")
    with pytest.raises(
        CohortError,
        match=r"column 'mask': 1 of 2 files are not there: 'b_HE'",
    ):
        files.find()
    files.table[-1] = files.table[-1].replace("a/gone", "b/b_HE")
    with pytest.raises(
        CohortError,
        match=r"b_HE\.tif is listed for slides 'b_HE', 'b_HE'",
    ):
        files.find()


def test_links_that_lead_round_in_circles_are_followed_once(files: Files) -> None:
    for name in "abc":
        files.image(f"images/{name}.tif")
    for name in "xyz":
        (files.root / "images" / name).symlink_to(files.root / "images")
    assert [image.slide_id for image in files.find().images] == ["a", "b", "c"]


def test_a_path_too_long_for_any_file_is_not_there(files: Files) -> None:
    files.table = ["slide_id,patient_id,path", f"a,P1,{'z' * 300}.tif"]
    with pytest.raises(CohortError, match="1 of 1 files are not there"):
        files.find()


def test_a_number_that_is_none_comes_with_one_that_is(files: Files) -> None:
    files.image("images/a.tif")
    files.table = ["slide_id,patient_id,path,mpp,objective", 'a,P1,a.tif,"0,25",40x']
    with pytest.raises(
        CohortError,
        match=r"got '0,25'[\s\S]*such as 0\.25, with a decimal point",
    ) as told:
        files.find()
    assert "got '40x'" in str(told.value)


def available(files: Files) -> AvailableImages:
    spec = load_spec(files.write())
    return available_images(spec, files.root, modality="slides")


def test_what_is_there_is_found_where_the_rest_is_absent(files: Files) -> None:
    files.images = ""
    files.table = ["slide_id,patient_id,path,mpp"]
    for row in ("a,P1,a.svs,0.5", "b,P1,b.svs,0.5", "c,P2,,", "d,P2,same.svs,"):
        files.table.append(row)
    files.table += ["e,P2,same.svs,", "f,P2,f.svs,?"]
    for name in ("a.svs", "same.svs", "f.svs"):
        files.image(name)
    found = available(files)
    assert list(found.images) == ["a"]
    assert found.images["a"].mpp == 0.5
    assert found.why_absent("a") == ""
    assert found.why_absent("b").endswith("b.svs is not there")
    assert found.why_absent("c") == "the slide table has no `path`"
    assert "same.svs is listed for slides 'd', 'e'" in found.why_absent("e")
    assert found.why_absent("f") == "its `mpp` is no number > 0, but '?'"
    assert found.why_absent("z") == "the slide table names no image"
    assert found.without("ab").startswith("no image of slide 'b' (")
    assert found.without("a") == ""
    assert found.mpp == {"a": 0.5, "b": 0.5}


def test_images_by_name_are_found_where_others_are_absent(files: Files) -> None:
    for name in ("images/a.svs", "images/c.svs", "images/deep/c.svs"):
        files.image(name)
    found = available(files)
    assert list(found.images) == ["a"]
    assert found.why_absent("b").endswith("images has no image of its name")
    assert "its image could be " in found.why_absent("c")


def test_without_any_image_the_reason_is_that_of_all(files: Files) -> None:
    files.images = ""
    assert "nothing says where the images lie" in available(files).why_none()
    files.images = "nowhere"
    assert "no such folder of images" in available(files).why_absent("a")
    files.images, files.section = "", "packed: bags.h5"
    assert "the section needs `table:`" in available(files).why_none()

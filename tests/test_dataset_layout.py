"""Labels and splits from folder names: names of splits, wrapping folders, and errors for ambiguous layouts."""

from __future__ import annotations

import itertools
import unicodedata

import pytest

from featx.dataset import exact_split_name, read_layout
from featx.dataset.splits import read_split_name
from featx.errors import AmbiguousLayoutError


def product(*levels: str) -> list[str]:
    """Return every combination of folders; each level lists folder names separated by commas."""
    return ["/".join(parts) for parts in itertools.product(*(level.split(",") for level in levels))]


def read(*folders: str, label_by: str | None = None) -> dict[str, tuple[str | None, str | None]]:
    """Return label and split of each folder; each contains two images."""
    paths = [f"{folder}/{i}.png" if folder else f"{i}.png" for folder in folders for i in range(2)]
    layout = read_layout(paths, label_by)
    return dict(zip(folders, zip(layout.labels[::2], layout.splits[::2], strict=True), strict=True))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[
            (name, "train")
            for name in ("train", "Training", "TRAIN", "training_set", "train-images", "train_pictures", "train2017")
        ],
        *[(name, "val") for name in ("val", "valid", "Validation", "dev", "eval", "valset", "ValidationData")],
        *[(name, "test") for name in ("test", "Testing", "test_set", "Test Images", "hold-out", "holdout", "testdata")],
        *[(name, None) for name in ("trains", "valley", "contest", "train_val", "seg_train", "test_tube", "", "123")],
    ],
)
def test_names_of_splits(name, split):
    assert exact_split_name(name) == split


def test_other_words_of_a_split_name():
    assert read_split_name("seg_train") == ("train", ("seg",))
    assert read_split_name("TestTube") == ("test", ("tube",))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("Training", "Testing"),
        ("train/images", "test/images"),
        ("train/train_images", "test/test_images"),
        ("archive/train", "archive/test"),
        ("archive/archive/Train", "archive/archive/Valid"),
        ("ISIC_Train_Lesions", "ISIC_Test_Final"),
        ("train_1", "holdout"),
        ("TrainData", "ValData"),
    ],
)
def test_splits_by_any_name_and_depth(train, test):
    """The result does not depend on ``label_by``, which applies below the splits."""
    other = "val" if "val" in test.lower() else "test"
    for label_by in (None, "parent", "top"):
        found = read(*product(f"{train},{test}", "cats,dogs"), label_by=label_by)
        assert found == {
            f"{train}/cats": ("cats", "train"),
            f"{train}/dogs": ("dogs", "train"),
            f"{test}/cats": ("cats", other),
            f"{test}/dogs": ("dogs", other),
        }


def test_unusual_names_of_splits_are_in_the_description():
    paths = [f"{folder}/1.png" for folder in product("train,seg_train,valid,test", "a,b")]
    assert read_layout([path for path in paths if not path.startswith("seg")]).description == (
        "2 classes (by folder): a (3 images), b (3); train (2), val (2, valid), test (2)"
    )


def test_splits_inside_the_class_folders():
    found = read(*product("cat,dog", "train,test"))
    assert found["cat/train"] == ("cat", "train")
    assert found["dog/test"] == ("dog", "test")


@pytest.mark.parametrize(
    "classes",
    [
        ("train", "car", "bus"),
        ("test_tube", "training_shoes"),
        ("test", "control"),
        ("valid", "invalid"),
        ("positive_test", "negative_test"),
        ("train_station", "test_track", "harbour"),
    ],
)
def test_classes_with_names_like_splits(classes):
    assert read(*classes) == {name: (name, None) for name in classes}


def test_unlabelled_images_beside_splits_have_no_label():
    found = read(*product("seg_train,seg_test", "a,b"), "seg_pred/seg_pred")
    assert found["seg_pred/seg_pred"] == (None, None)
    assert found["seg_test/a"] == ("a", "test")


def test_splits_without_class_folders_have_no_labels():
    assert read("train", "test") == {"train": (None, "train"), "test": (None, "test")}
    assert read_layout(["train/1.png", "test/1.png"]).description == (
        "2 images, no labels; train (1), test (1), without class folders inside"
    )


@pytest.mark.parametrize("label_by", [None, "parent", "top"])
@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train", "test", "other"], "test, train look like splits, but other beside them does not.*move other away"),
        ([*product("train,test", "a,b"), "more/a", "more/b"], "test, train look like splits, but more beside them"),
        ([*product("x", "train,test", "a,b"), *product("train,test", "a,b")], "but x beside them does not"),
        (["train", "test_cats"], "test_cats, train look like splits"),
        (product("cats_train,cats_test,dogs_train,dogs_test"), "look like classes and splits at the same time"),
        (
            [*product("data", "train,test", "a,b"), "extra"],
            "data/test, data/train look like splits, but there are images",
        ),
        ([*product("cat", "train,test"), "dog"], "cat/test, cat/train look like splits, but there are images outside"),
    ],
)
def test_folders_that_may_be_splits_are_an_error(folders, message, label_by):
    with pytest.raises(AmbiguousLayoutError, match=message):
        read(*folders, label_by=label_by)


def test_wrapping_folders_are_ignored():
    assert read(*product("PetImages", "Cat,Dog")) == {"PetImages/Cat": ("Cat", None), "PetImages/Dog": ("Dog", None)}
    assert read(*product("a/b", "Cat,Dog"))["a/b/Dog"] == ("Dog", None)
    found = read("", *product("PetImages", "Cat,Dog"))  # a stray image at the root
    assert (found[""], found["PetImages/Cat"]) == ((None, None), ("Cat", None))
    assert read("cat/cat", "dog/dog") == {"cat/cat": ("cat", None), "dog/dog": ("dog", None)}
    layout = read_layout(["PetImages/Cat/1.png", "PetImages/Dog/1.png"])
    assert layout.description == "2 classes (by folder in PetImages): Cat (1 image), Dog (1)"
    assert layout.parents == {"PetImages"}


def test_a_single_class_is_not_a_wrapping_folder():
    assert read("cat/morning") == {"cat/morning": ("cat", None)}


def test_the_parent_of_the_data_folder_stops_and_asks():
    folders = [*product("photos", "cat,dog"), "new"]
    message = (
        r"photos contains folders \(cat, dog\), but new contains only images. Which folders are the classes: "
        r"cat, dog, new \(`label_by=parent`\) or new, photos \(`label_by=top`\)\? To use only the folders in photos, "
        "give that folder."
    )
    with pytest.raises(AmbiguousLayoutError, match=message):
        read(*folders)
    assert {label for label, _ in read(*folders, label_by="parent").values()} == {"cat", "dog", "new"}
    assert {label for label, _ in read(*folders, label_by="top").values()} == {"photos", "new"}


@pytest.mark.parametrize(
    "folders",
    [
        product("plate1,plate2", "control,treated"),
        product("plate1,plate2", "control,treated", "site1,site2"),
        product("train,extra", "cat,dog"),
        product("fold1,fold2", "train,test", "a,b"),
        [*product("photos", "cat,dog"), "new"],
    ],
)
def test_each_choice_gives_the_classes_that_the_error_lists(folders):
    with pytest.raises(AmbiguousLayoutError) as caught:
        read(*folders)
    for label_by in ("parent", "top"):
        classes = sorted({label for label, _ in read(*folders, label_by=label_by).values()})
        assert f"{', '.join(classes)} (`label_by={label_by}`)" in str(caught.value)


def test_the_error_states_what_to_do_if_neither_choice_is_right():
    with pytest.raises(
        AmbiguousLayoutError, match="If control, treated are the classes, list the images in a manifest"
    ):
        read(*product("plate1,plate2", "control,treated", "site1,site2"))
    for splits in ("extra,train", "Testdaten,Trainingsdaten"):
        message = f"If {', '.join(splits.split(','))} are splits, rename them train, val or test"
        with pytest.raises(AmbiguousLayoutError, match=message):
            read(*product(splits, "cat,dog"))
    with pytest.raises(AmbiguousLayoutError, match=r"^((?!are splits).)*$"):  # they are known
        read(*product("train,test", "plate1,plate2", "cat,dog"))


def test_a_folder_that_every_class_has_is_not_ambiguous():
    assert read(*product("cat,dog", "images"))["cat/images"] == ("cat", None)


def test_unicode_forms_of_one_name_are_one_class():
    for outer in ("", "train/"):
        names = [unicodedata.normalize(form, f"{outer}Gänseblümchen") for form in ("NFC", "NFD")]
        assert {label for label, _ in read(*names, f"{outer}Löwenzahn").values()} == {"Gänseblümchen", "Löwenzahn"}
    split = [unicodedata.normalize(form, f"{part}/ä") for part, form in (("train", "NFD"), ("test", "NFC"))]
    assert [found[0] for found in read(*split).values()] == ["ä", "ä"]


@pytest.mark.parametrize(
    ("folders", "remark"),
    [
        (["Cat", "cat", "dog"], "classes 'Cat' and 'cat' differ only in spelling"),
        (["sea lion", "sea_lion"], "classes 'sea lion' and 'sea_lion' differ only in spelling"),
        (["1", "01", "2"], "classes '01' and '1' differ only in spelling"),
        (["nan", "1", "2"], "class 'nan' may stand for a missing value"),
        (["train/a", "train/b", "train/c", "test/a", "test/b"], "in the training part but not in the test part: c"),
        (["train/a", "train/b", "val/c", "val/b"], "in the validation part but not in the training part: c"),
        (
            [*product("animal", "cat,dog"), *product("car", "taxi,van")],
            "class folders are ignored: cat, dog, taxi, van; `label_by=parent`",
        ),
    ],
)
def test_remarks_about_possible_mistakes_in_the_classes(folders, remark):
    layout = read_layout([f"{folder}/1.png" for folder in folders])
    assert any(remark in text for text in layout.remarks)


def test_ordinary_sets_have_no_remarks():
    for folders in (["cat", "dog"], product("train,val,test", "cat,dog"), ["1", "2", "10"]):
        assert read_layout([f"{folder}/1.png" for folder in folders]).remarks == ()


def test_deep_paths_neither_recurse_nor_hang():
    deep = "/".join("ab"[i % 2] for i in range(1500))
    found = read(f"{deep}/x", f"{deep}/y")
    assert [label for label, _ in found.values()] == ["x", "y"]

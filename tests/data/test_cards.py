"""Dataset cards: every card in ``datasets/`` is whole, checked, quick to load and prints well."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from labkit.data import cards
from labkit.data.cards import list_cards, load_card, read_card
from labkit.errors import DataError

COURSE = ("cancer_cells", "cats_vs_dogs", "dog_breeds")
PUBLIC = ("colorectal_histology", "oxford_iiit_pet", "patch_camelyon")


def test_the_cards_that_the_course_and_the_fetcher_need_are_there() -> None:
    assert set(list_cards()) >= {*COURSE, *PUBLIC}


@pytest.mark.parametrize("name", list_cards())
def test_every_card_loads_and_prints(name: str) -> None:
    card = load_card(name)
    text, html = str(card), card._repr_html_()
    for part in (card.title, card.weaknesses[0].split(";")[0][:30], "Do not conclude"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 400  # nothing but a long address breaks the margin
    assert html.count("<tr>") == html.count("</tr>") >= 8
    assert "<script" not in html


@pytest.mark.parametrize("name", COURSE)
def test_the_courses_sets_have_a_real_and_a_simulated_form(name: str) -> None:
    card = load_card(name)
    assert card.real
    assert card.simulated is not None
    assert card.simulated.grouped_by


@pytest.mark.parametrize("name", [name for name in list_cards() if load_card(name).fetch])
def test_counts_name_the_cards_own_classes_and_downloads_carry_checksums(name: str) -> None:
    card = load_card(name)
    classes = {kind.name for kind in card.classes}
    for real in card.real:
        for count in real.counts.values():
            assert isinstance(count, int) or set(count) == classes
    assert card.fetch is not None
    assert all(len(file.sha256) == 64 and file.bytes > 1000 for file in card.fetch.files)
    assert len({file.filename for file in card.fetch.files}) == len(card.fetch.files)


def test_the_simulated_breeds_are_those_that_the_simulator_draws() -> None:
    breeds = pytest.importorskip("labkit.data.simulated.breeds")
    simulated = load_card("dog_breeds").simulated
    assert simulated is not None
    assert {kind.name for kind in simulated.classes} == set(breeds.BREED_SHAPES)


def test_breeds_of_dogs_are_the_lower_case_part_of_the_pets() -> None:
    pets = {kind.name for kind in load_card("oxford_iiit_pet").classes}
    dogs = {kind.name for kind in load_card("dog_breeds").classes}
    assert len(pets) == 37
    assert dogs == {name for name in pets if name.islower()}
    assert len(dogs) == 25


def test_the_card_of_the_cells_says_what_abnormal_means() -> None:
    card = load_card("cancer_cells")
    abnormal = next(kind for kind in card.classes if kind.name == "abnormal")
    assert "pre-cancerous" in abnormal.meaning
    assert "Only SCC" in abnormal.meaning
    assert "CRIC Cervix" in card.origin
    assert card.similar_to_imagenet is False
    assert load_card("cats_vs_dogs").similar_to_imagenet is True


@pytest.mark.real_images
@pytest.mark.parametrize("name", ["cats_vs_dogs", "cancer_cells"])
def test_the_counts_are_those_of_the_real_folder(name: str) -> None:
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set: the real images are not here")
    manifest = Path(os.environ["LABKIT_DATA"]) / name / "manifest.csv"
    with manifest.open(newline="") as stream:
        rows = Counter((row["split"], row["label"]) for row in csv.DictReader(stream))
    counts = load_card(name).real[0].counts
    told = {(s, c): n for s, part in counts.items() for c, n in dict(part).items()}  # type: ignore[call-overload]
    assert told == dict(rows)


def test_an_unknown_name_lists_the_cards() -> None:
    with pytest.raises(DataError, match=r"no dataset card 'cats'.*'cats_vs_dogs'") as error:
        load_card("cats")
    assert "\n" not in str(error.value)


def test_a_name_is_no_path() -> None:
    with pytest.raises(DataError, match="no dataset card"):
        load_card("../datasets/cats_vs_dogs")


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("licence:", "license:", "the card"),
        ("similar_to_imagenet: true", "similar_to_imagenet: maybe", "similar_to_imagenet"),
        ("bytes: 824887076", "bytes: -1", "fetch.files.0.bytes"),
        ("sha256: b7974", "sha256: B7974", "fetch.files.0.sha256"),
        ("name: cats_vs_dogs", "name: other", "its file name says 'cats_vs_dogs'"),
        ("name: cats_vs_dogs", "name: [", "cannot be read"),
    ],
)
def test_a_broken_card_says_where(tmp_path: Path, old: str, new: str, where: str) -> None:
    text = cards.card_path("cats_vs_dogs").read_text()
    assert old in text
    broken = tmp_path / "cats_vs_dogs.yaml"
    broken.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as error:
        read_card(broken)
    assert where in str(error.value)
    assert str(broken) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_measured_similarity_is_shown(tmp_path: Path) -> None:
    text = cards.card_path("cats_vs_dogs").read_text()
    measured = "similarity: {measure: entropy, value: 0.5, interval: [0.4, 0.6]}\n"
    path = tmp_path / "cats_vs_dogs.yaml"
    path.write_text(text + measured)
    assert "entropy, real images: 0.5 (0.4 to 0.6)" in str(read_card(path))


def test_missing_cards_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "__file__", str(tmp_path / "labkit" / "data" / "cards.py"))
    with pytest.raises(DataError, match="runs from its checkout"):
        list_cards()


def test_loading_a_card_needs_no_tensorflow() -> None:
    code = "import sys; from labkit.data.cards import load_card; load_card('dog_breeds'); "
    code += "print([m for m in ('tensorflow', 'keras', 'pandas') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

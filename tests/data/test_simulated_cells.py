"""Simulated cells: the same bytes everywhere, and nothing but biology tells the class."""

from __future__ import annotations

import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labkit.data.images import Pixels
from labkit.data.simulated.cells import CELLS, deal, draw_cell, nucleus_mask, patient
from labkit.data.simulated.cells_biology import Cell, grow_cell
from labkit.data.simulated.cells_patients import SPLITS, TIED_LABORATORY
from labkit.data.simulated.dials import Dials, random_numbers
from labkit.data.simulated.stain import (
    HAEMATOXYLIN,
    LABORATORIES,
    Laboratory,
    dye_vector,
    light_through,
)
from labkit.errors import DataError

EVEN = {"abnormal": 250, "normal": 250}


def draw(number: int, dials: Dials | None = None, kind: str = "", size: int = 64) -> Pixels:
    dials = dials or Dials()
    who = patient(0, "train", number, dials)
    kind = kind or CELLS[number % 2]
    return draw_cell(kind, random_numbers("cell", number), dials, who, size=size)


def grown(kind: str, dials: Dials, count: int = 300) -> list[Cell]:
    people = [patient(0, "train", number, dials) for number in range(30)]
    numbers = random_numbers("grown", kind)
    return [grow_cell(kind, numbers, dials, people[i % 30]) for i in range(count)]


def mean_area(kind: str, dials: Dials) -> float:
    return float(np.mean([cell.nuclear_area for cell in grown(kind, dials)]))


def mean_irregularity(kind: str, dials: Dials) -> float:
    """Roughness of the first nucleus's outline: the spread of its second differences."""
    bends = []
    for cell in grown(kind, dials):
        radii = cell.nuclei[0].radii / cell.nuclei[0].radii.mean()
        waves = np.abs(np.fft.rfft(radii))[3:10] / len(radii)  # beyond the ellipse
        bends.append(np.sqrt((waves**2).sum()))
    return float(np.mean(bends))


# The same picture, always and everywhere


def test_the_same_arguments_give_the_same_bytes() -> None:
    for number in range(4):
        np.random.seed(number)  # the global state must not matter
        assert draw(number).tobytes() == draw(number).tobytes()
    assert draw(0).tobytes() != draw(2).tobytes()


def test_other_processes_draw_the_same_bytes() -> None:
    dials = Dials()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as others:
        elsewhere = []
        for number in range(6):
            lots, who = random_numbers("cell", number), patient(0, "train", number, dials)
            elsewhere.append(others.submit(draw_cell, CELLS[number % 2], lots, dials, who, size=64))
        for number, picture in enumerate(elsewhere):
            assert np.array_equal(picture.result(), draw(number))


@pytest.mark.parametrize("size", [33, 64, 100, 128])
def test_pictures_are_square_rgb_bytes(size: int) -> None:
    picture = draw(1, size=size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 8


def test_a_cell_looks_the_same_at_another_size() -> None:
    dials = Dials(style=0.0)
    small, large = draw(3, dials, size=64), draw(3, dials, size=128)
    halved = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    middle = slice(16, 48)
    alike = np.corrcoef(small[middle, middle].ravel(), halved[middle, middle].ravel())[0, 1]
    assert alike > 0.5


def test_an_unknown_kind_is_refused_with_the_choices() -> None:
    with pytest.raises(DataError, match="'abnormal', 'normal'"):
        draw(0, kind="odd")
    with pytest.raises(DataError, match="'abnormal', 'normal'"):
        deal("train", {"odd": 3}, 0, Dials())


# The slide


def test_light_follows_the_law_of_beer_and_lambert() -> None:
    clear = Laboratory((1.0, 1.0, 1.0), 1.0, 1.0, 0.0, 0.0, 0.0)
    dye = dye_vector(HAEMATOXYLIN, (0.0, 0.0, 0.0))
    once = light_through(np.broadcast_to(dye, (4, 4, 3)), clear, 1.0)
    twice = light_through(np.broadcast_to(2 * dye, (4, 4, 3)), clear, 1.0)
    assert np.allclose(twice, once**2)
    assert np.allclose(-np.log(once[0, 0]), np.array(HAEMATOXYLIN) / np.linalg.norm(HAEMATOXYLIN))


def test_the_nucleus_is_dark_blue_and_near_the_middle() -> None:
    darker = 0
    for number in range(20):
        who = patient(0, "train", number, Dials())
        mask = nucleus_mask("normal", random_numbers("cell", number), Dials(), who, size=64)
        picture = draw(number, kind="normal")
        darker += picture[mask].mean() < picture[~mask].mean()
        place = np.argwhere(mask).mean(axis=0) / 64
        assert np.abs(place - 0.5).max() < 0.2
    assert darker >= 18


# What tells the kinds apart


def test_abnormal_nuclei_are_larger_and_more_irregular() -> None:
    dials = Dials()
    assert mean_area("abnormal", dials) > 1.2 * mean_area("normal", dials)
    assert mean_irregularity("abnormal", dials) > 1.5 * mean_irregularity("normal", dials)
    coarse = {kind: np.mean([c.chromatin.contrast for c in grown(kind, dials)]) for kind in CELLS}
    assert coarse["abnormal"] > 1.5 * coarse["normal"]


def test_the_mask_has_the_area_of_the_nucleus() -> None:
    who = patient(0, "train", 0, Dials())
    for number in range(10):
        mask = nucleus_mask("normal", random_numbers(number), Dials(), who, size=200)
        cell = grow_cell("normal", random_numbers(number), Dials(), who)
        if len(cell.nuclei) == 1:
            assert mask.mean() == pytest.approx(cell.nuclear_area, rel=0.05)


def test_severity_makes_abnormal_nuclei_larger_and_rougher_and_leaves_normal_ones() -> None:
    dials = [Dials(severity=severity) for severity in (0.0, 0.5, 1.0)]
    for measure in (mean_area, mean_irregularity):
        subtle, usual, gross = (measure("abnormal", dial) for dial in dials)
        assert subtle < usual < gross
        assert measure("normal", dials[0]) == measure("normal", dials[2])


def test_difficulty_brings_the_kinds_together() -> None:
    gaps = []
    for difficulty in (0.0, 0.5, 1.0):
        dials = Dials(difficulty=difficulty)
        gaps.append(mean_area("abnormal", dials) - mean_area("normal", dials))
    assert gaps[0] > gaps[1] > gaps[2] > 0


def test_style_goes_from_line_drawing_to_photograph() -> None:
    white = [(draw(5, Dials(style=style)) > 250).all(axis=2).mean() for style in (0.0, 1.0)]
    assert white[0] > 0.5 > white[1]
    colour = [np.ptp(draw(5, Dials(style=style)).astype(int), axis=2).mean() for style in (0, 0.5)]
    assert colour[0] == 0
    assert colour[1] > 1


# Patients and laboratories


def test_a_deal_has_the_counts_asked_for_and_is_repeatable() -> None:
    counts = {"abnormal": 70, "normal": 200}
    dealt = deal("train", counts, 3, Dials())
    assert {kind: sum(k == kind for k, _ in dealt) for kind in CELLS} == counts
    assert dealt == deal("train", counts, 3, Dials())
    assert dealt != deal("train", counts, 4, Dials())
    kinds = [kind for kind, _ in dealt]
    assert kinds != sorted(kinds)


def test_no_patient_is_in_two_splits() -> None:
    people = {split: {who for _, who in deal(split, EVEN, 0, Dials())} for split in SPLITS}
    for field in ("name", "strength", "grain"):
        values = [{getattr(who, field) for who in people[split]} for split in SPLITS]
        assert not (values[0] & values[1] | values[0] & values[2] | values[1] & values[2])
    with pytest.raises(DataError, match="'train', 'validation', 'test'"):
        patient(0, "exam", 0, Dials())


def test_a_patient_gives_twenty_to_forty_cells_mostly_of_one_kind() -> None:
    cells: dict[str, list[str]] = {}
    for kind, who in deal("train", EVEN, 1, Dials()):
        cells.setdefault(who.name, []).append(kind)
    sizes = [len(kinds) for kinds in cells.values()]
    assert 20 <= np.mean(sizes) <= 40
    share = np.mean([max(kinds.count(kind) for kind in CELLS) for kinds in cells.values()])
    assert 0.85 < share / np.mean(sizes) < 1.0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_spurious_ties_the_laboratory_to_the_kind_in_training(split: str) -> None:
    dealt = deal(split, EVEN, 0, Dials(spurious=1.0))
    assert all((who.laboratory == TIED_LABORATORY) == (kind == "abnormal") for kind, who in dealt)


def test_spurious_leaves_the_test_split_alone_and_works_in_between() -> None:
    assert deal("test", EVEN, 0, Dials(spurious=1.0)) == deal("test", EVEN, 0, Dials())
    many = {"abnormal": 6000, "normal": 6000}
    shares = [tied_share(deal("train", many, 0, Dials(spurious=s))) for s in (0.0, 0.5, 1.0)]
    assert shares[0] == pytest.approx(0.25, abs=0.08)
    assert shares[0] + 0.15 < shares[1] < shares[2] - 0.15
    assert shares[2] == 1.0


def tied_share(dealt: list[tuple[str, object]]) -> float:
    """Share of the abnormal cells that come from the tied laboratory."""
    places = [getattr(who, "laboratory", "") for kind, who in dealt if kind == "abnormal"]
    return float(np.mean([place == TIED_LABORATORY for place in places]))


# No shortcut


@pytest.fixture(scope="module")
def splits() -> dict[str, tuple[list[Pixels], NDArray[np.bool_], list[str]]]:
    """Return one picture of each kind of 160 patients a split.

    Each patient gives both kinds, so that only what the drawing leaks is left to be found.
    """
    drawn = {}
    for split in ("train", "test"):
        people = [patient(0, split, number, Dials()) for number in range(160)]
        pairs = [(kind, who) for who in people for kind in CELLS]
        pictures = [
            draw_cell(kind, random_numbers(split, kind, who.name), Dials(), who, size=96)
            for kind, who in pairs
        ]
        kinds = np.array([kind == "abnormal" for kind, _ in pairs])
        drawn[split] = (pictures, kinds, [who.laboratory for _, who in pairs])
    return drawn


def histogram(picture: Pixels) -> NDArray[np.float64]:
    return np.concatenate([np.histogram(picture[..., c], 8, (0, 256))[0] for c in range(3)]) / 96**2


def brightness(picture: Pixels) -> NDArray[np.float64]:
    return picture.mean(axis=(0, 1, 2), keepdims=True).ravel()


def file_size(picture: Pixels) -> NDArray[np.float64]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return np.array([float(file.tell())])


def thumbnail(picture: Pixels) -> NDArray[np.float64]:
    return picture.reshape(8, 12, 8, 12, 3).mean((1, 3)).ravel()


@pytest.mark.parametrize("look", [histogram, brightness, file_size, thumbnail])
def test_a_global_statistic_does_not_tell_the_kind(splits, look) -> None:  # type: ignore[no-untyped-def]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    (pictures, kinds, _), (unseen, answers, _) = splits["train"], splits["test"]
    model.fit([look(picture) for picture in pictures], kinds)
    assert model.score([look(picture) for picture in unseen], answers) <= 0.60


def test_the_laboratory_can_be_told_by_its_colour(splits) -> None:  # type: ignore[no-untyped-def]
    """The shortcut that ``Dials.spurious`` offers is one that a model can take."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    (pictures, _, places), (unseen, _, answers) = splits["train"], splits["test"]
    model.fit([histogram(picture) for picture in pictures], places)
    score = model.score([histogram(picture) for picture in unseen], answers)
    assert score > 1.6 / len(LABORATORIES)

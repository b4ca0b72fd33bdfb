"""The drawn cats and dogs: the same everywhere, told apart by shape and by nothing else."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labkit.data.images import Pixels
from labkit.data.simulated.breeds import BREED_SHAPES, CAT_SHAPES
from labkit.data.simulated.dials import Dials, random_numbers
from labkit.data.simulated.pets import BREEDS, CATS_AND_DOGS, draw_breed, draw_pet
from labkit.errors import DataError


def drawn(kind: str, number: int, size: int = 96, cue: float = 0.0, **dials: float) -> Pixels:
    numbers = random_numbers(kind, "test", number)
    return draw_pet(kind, numbers, Dials(**dials), cue=cue, size=size)


JOBS = [(kind, number) for kind in CATS_AND_DOGS for number in range(4)]


def test_same_numbers_give_same_bytes_and_others_do_not() -> None:
    assert np.array_equal(drawn("cat", 0), drawn("cat", 0))
    assert len({drawn(*job).tobytes() for job in JOBS}) == len(JOBS)


def test_processes_do_not_matter() -> None:
    kinds = [kind for kind, _ in JOBS]
    numbers = [random_numbers(kind, "test", number) for kind, number in JOBS]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        elsewhere = list(pool.map(partial(draw_pet, dials=Dials(), size=96), kinds, numbers))
    assert [p.tobytes() for p in elsewhere] == [drawn(*job).tobytes() for job in JOBS]


def test_the_processor_does_not_matter() -> None:
    """Numpy picks faster instructions where the processor has them; the bytes stay."""
    code = (
        "import hashlib, sys\n"
        "from labkit.data.simulated.dials import Dials, random_numbers\n"
        "from labkit.data.simulated.pets import draw_pet\n"
        "for kind in ('cat', 'dog'):\n"
        "    for n in range(4):\n"
        "        p = draw_pet(kind, random_numbers(kind, 'test', n), Dials(), size=96)\n"
        "        print(hashlib.sha256(p.tobytes()).hexdigest())"
    )
    plain = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": _optional_features()}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | plain,
        capture_output=True,
        text=True,
        check=True,
    )
    here = [hashlib.sha256(drawn(*job).tobytes()).hexdigest() for job in JOBS]
    assert result.stdout.split() == here


def _optional_features() -> str:
    info = np.show_config(mode="dicts")
    return " ".join(info["SIMD Extensions"].get("found", []))  # type: ignore[index]


def test_numbers_of_the_rest_of_the_program_are_left_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    drawn("dog", 1)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]


@pytest.mark.parametrize("size", [32, 97, 160])
def test_pixels(size: int) -> None:
    picture = drawn("dog", 2, size=size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.min() < 90
    assert picture.max() > 140


def test_size_changes_the_grain_and_not_the_picture() -> None:
    for number in range(4):
        small, large = (drawn("cat", number, size=size).astype(float) for size in (80, 160))
        halved = large.reshape(80, 2, 80, 2, 3).mean((1, 3))
        assert np.corrcoef(small.ravel(), halved.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("dial", "value"), [("difficulty", 0.0), ("difficulty", 1.0), ("style", 0.0), ("style", 0.5)]
)
def test_dials_change_the_picture(dial: str, value: float) -> None:
    for kind in CATS_AND_DOGS:
        assert not np.array_equal(drawn(kind, 3), drawn(kind, 3, **{dial: value}))


def test_style_goes_from_pen_to_camera() -> None:
    def colourful(picture: Pixels) -> float:
        return float((picture.max(-1).astype(int) - picture.min(-1)).mean())

    pen = drawn("cat", 4, style=0.0)
    assert colourful(pen) == 0
    assert np.median(pen) == 255
    assert 0.02 < (pen < 128).mean() < 0.3
    middle, photo = drawn("cat", 4, style=0.5), drawn("cat", 4, style=1.0)
    assert 0 < colourful(middle) < colourful(photo)


def test_difficulty_brings_cats_and_dogs_together() -> None:
    """At 0 the two classes are drawn from shapes further apart than at 1."""
    gap = {}
    for difficulty in (0.0, 1.0):
        cats, dogs = (
            np.mean(
                [_edges(drawn(k, i, 32, difficulty=difficulty, style=0.0)) for i in range(100)], 0
            )
            for k in CATS_AND_DOGS
        )
        gap[difficulty] = np.abs(cats - dogs).mean()
    assert gap[0.0] > 1.1 * gap[1.0]


def _edges(picture: Pixels) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("L").resize((6, 6), 4), dtype=float)


def test_cue_is_a_toy_in_a_corner_and_nothing_when_absent() -> None:
    for number in range(4):
        without, with_toy = drawn("dog", number), drawn("dog", number, cue=1.0)
        changed = np.abs(without.astype(int) - with_toy).sum(-1) > 0
        assert 0.01 < changed.mean() < 0.12
        assert not changed[: 96 * 2 // 3].any()
        faint = drawn("dog", number, cue=0.3)
        assert (
            np.abs(without.astype(int) - faint).sum() < np.abs(without.astype(int) - with_toy).sum()
        )


@pytest.fixture(scope="module")
def pets() -> tuple[np.ndarray, np.ndarray]:
    pictures = np.stack([drawn(k, i, size=48) for i in range(300) for k in CATS_AND_DOGS])
    return pictures, np.arange(len(pictures)) % 2


def colours(pictures: np.ndarray) -> np.ndarray:
    return np.stack(
        [np.histogramdd(p.reshape(-1, 3), bins=(4, 4, 4))[0].ravel() for p in pictures // 64]
    )


def brightness(pictures: np.ndarray) -> np.ndarray:
    return np.stack([pictures.mean((1, 2, 3)), pictures.std((1, 2, 3))], axis=1)


def file_size(pictures: np.ndarray) -> np.ndarray:
    sizes = []
    for picture in pictures:
        Image.fromarray(picture).save(buffer := io.BytesIO(), "PNG")
        sizes.append([buffer.tell()])
    return np.array(sizes)


@pytest.mark.parametrize("shortcut", [colours, brightness, file_size])
def test_no_shortcut(pets: tuple[np.ndarray, np.ndarray], shortcut: object) -> None:
    pictures, labels = pets
    values = shortcut(pictures)  # type: ignore[operator]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    model.fit(values[:400], labels[:400])
    # 200 pictures: chance is 0.5 with a standard error of 0.035.
    assert model.score(values[400:], labels[400:]) < 0.61


def test_classes_share_their_means() -> None:
    """A cat and a dog of the same random numbers have the same coat, place and camera."""
    pairs = np.stack(
        [
            [draw_pet(k, random_numbers("pair", i), Dials(), size=48) for k in CATS_AND_DOGS]
            for i in range(150)
        ]
    )
    cats, dogs = pairs[:, 0], pairs[:, 1]
    for look in (brightness, file_size):
        first, second = look(cats), look(dogs)
        spread = np.concatenate([first, second]).std(0)
        assert (np.abs((first - second).mean(0)) < 0.25 * spread).all()


def test_every_breed_can_be_drawn() -> None:
    assert len(BREEDS) == len(set(BREEDS)) == 12
    pictures = [
        draw_breed(breed, random_numbers("breed"), Dials(), size=64).tobytes() for breed in BREEDS
    ]
    assert len(set(pictures)) == 12


def test_a_cat_is_a_cat() -> None:
    """What tells the two apart holds for every cat and every breed."""
    for cat in CAT_SHAPES:
        for dog in BREED_SHAPES.values():
            assert cat.whiskers > dog.whiskers
            assert cat.slit > dog.slit
            assert cat.nose < dog.nose
            assert cat.muzzle * cat.muzzle_width < dog.muzzle * dog.muzzle_width or dog.flews > 0.1
            assert cat.ear_drop < 0.1


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(DataError, match=r"'cat', 'dog'.*Received: 'cow'"):
        draw_pet("cow", random_numbers(0), Dials())
    with pytest.raises(DataError, match=r"'beagle'.*Received: 'cat'"):
        draw_breed("cat", random_numbers(0), Dials())

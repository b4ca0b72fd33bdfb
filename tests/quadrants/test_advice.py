"""Size, measured similarity, quadrant and strategy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labkit
from labkit.errors import DataError, ModelError
from labkit.quadrants.advice import advice_for
from labkit.quadrants.similarity import (
    Similarity,
    activation_moments,
    distance_of,
    late_norms,
    measure_similarity,
    similarity_of,
)


def looked(value: float, spread: float = 0.05) -> Similarity:
    return Similarity(value, value - spread, value + spread, 0.03, "BatchNorm statistics", 500)


@pytest.mark.parametrize(
    ("per_class", "similarity", "quadrant", "strategy"),
    [
        (1000, 0.2, 1, "full"),
        (1000, 0.8, 2, "partial"),
        (999, 0.2, 3, "partial"),
        (999, 0.8, 4, "frozen"),
    ],
)
def test_the_four_quadrants(
    per_class: int, similarity: float, quadrant: int, strategy: str
) -> None:
    advice = advice_for("pets", per_class, looked(similarity))
    assert (advice.quadrant, advice.strategy, advice.borderline) == (quadrant, strategy, False)
    assert advice.size == ("large" if per_class == 1000 else "small")


@pytest.mark.parametrize(
    ("value", "other"), [(0.52, "quadrant 3 (partial)"), (0.48, "quadrant 4 (frozen)")]
)
def test_a_borderline_set_says_so_and_names_the_neighbour(value: float, other: str) -> None:
    advice = advice_for("pets", 10, looked(value))
    assert advice.borderline
    assert f"try {other} as well" in advice.why
    assert "borderline" in str(advice)


def test_advice_prints_as_a_table(golden: Callable[[str, str], None]) -> None:
    advice = advice_for("pets (real images) for EfficientNetLite0", 100, looked(0.8))
    golden("advice.txt", str(advice))
    assert "<caption>pets (real images)" in advice._repr_html_()


def test_similarity_falls_with_distance_and_is_one_half_at_the_border() -> None:
    assert similarity_of(0.0) == 1.0
    assert similarity_of(-0.001) == 1.0  # a distance corrected to below zero
    assert similarity_of(0.05) == 0.5
    assert similarity_of(0.1) == pytest.approx(1 / 9)


class Norm:
    """What ``distance_of`` reads of a BatchNorm layer."""

    def __init__(self, mean: list[float], variance: list[float]) -> None:
        self.moving_mean, self.moving_variance = self.Weight(mean), self.Weight(variance)

    class Weight:
        def __init__(self, values: list[float]) -> None:
            self.values = np.array(values)

        def numpy(self) -> Any:
            return self.values


def test_distance_by_hand() -> None:
    layers = [Norm([0.0], [1.0]), Norm([1.0, 0.0], [4.0, 1.0])]
    same = np.array([0.0, 1.0, 0.0, 1.0, 5.0, 1.0])  # means, then mean squares
    assert distance_of(same, layers) == pytest.approx(0.0, abs=1e-9)
    # the first layer's mean moved by 2: coefficient exp(-4 / (4 * 2)) = 0.606531
    moved = np.array([2.0, 1.0, 0.0, 5.0, 5.0, 1.0])
    assert distance_of(moved, layers) == pytest.approx((1 - 0.606531) / 2, abs=1e-6)
    # its variance 16 for 1: sqrt(2 * 4 / 17) = 0.685994
    wide = np.array([0.0, 1.0, 0.0, 16.0, 5.0, 1.0])
    assert distance_of(wide, layers) == pytest.approx((1 - 0.685994) / 2, abs=1e-6)


def test_a_network_of_ones_own_finds_its_source_similar(
    tiny: Any, small_net: Callable[..., Any]
) -> None:
    net = small_net()
    far = measure_similarity(net, tiny.train)
    for layer in late_norms(net):  # give it the memory of these images
        moments = activation_moments(net, [layer], tiny.train).mean(axis=0)
        mean, square = np.split(moments, 2)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(square - mean**2)
    near = measure_similarity(net, tiny.train)
    assert near.value > 0.95 > 0.5 > far.value
    assert near.images == len(tiny.train) == 80
    assert "small's memory" in near.measure


def test_the_same_seed_gives_the_same_similarity(tiny: Any, small_net: Callable[..., Any]) -> None:
    assert measure_similarity(small_net(), tiny.train) == measure_similarity(
        small_net(), tiny.train
    )


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    """Forty simulated pets and cells a class, as folders of one's own."""
    from labkit.data.simulated.writing import draw_split

    names = ("cats_vs_dogs", "cancer_cells")
    folders = {name: draw_split(name, "train", per_class=40) for name in names}
    return {n: labkit.load_dataset(folder, image_size=64) for n, folder in folders.items()}


@pytest.mark.slow
def test_pets_are_similar_and_cells_are_not(drawn: dict[str, Any], lite0: Any) -> None:
    pets = labkit.advise(drawn["cats_vs_dogs"], lite0)
    cells = labkit.advise(drawn["cancer_cells"], lite0)
    assert (pets.quadrant, pets.strategy, pets.borderline) == (4, "frozen", False)
    assert (cells.quadrant, cells.strategy, cells.borderline) == (3, "partial", False)
    assert pets.similarity - cells.similarity > 0.3
    assert pets.per_class == min(drawn["cats_vs_dogs"].train.counts().values())


@pytest.mark.slow
@pytest.mark.real_images
def test_real_pets_are_similar_and_real_cells_are_not(real_images: Path, lite0: Any) -> None:
    def similarity(name: str) -> float:
        dataset = labkit.load_dataset(name, image_size=64, per_class=50, source="real")
        return labkit.advise(dataset, lite0).similarity

    assert similarity("cats_vs_dogs") > 0.6
    assert similarity("cancer_cells") < 0.4


def test_too_few_images_are_refused(tiny: Any, small_net: Callable[..., Any]) -> None:
    few = tiny.with_train(tiny.train.take(5))
    with pytest.raises(DataError, match="at least 20 images, the train split has 10") as caught:
        labkit.advise(few, small_net())
    assert "\n" not in str(caught.value)


def test_random_weights_are_refused(tiny: Any) -> None:
    backbone = labkit.load_backbone("EfficientNetLite0", weights=None, image_size=32)
    with pytest.raises(ModelError, match=r"random weights.*weights='imagenet'") as caught:
        labkit.advise(tiny, backbone)
    assert "\n" not in str(caught.value)


def test_a_network_of_ones_own_needs_batchnorm(tiny: Any) -> None:
    from labkit.engine import keras

    images = keras.Input((32, 32, 3))
    net = keras.Model(images, keras.layers.Conv2D(4, 3)(images), name="plain")
    with pytest.raises(ModelError, match=r"plain .* has no BatchNorm") as caught:
        labkit.advise(tiny, net)
    assert "\n" not in str(caught.value)


def test_images_of_another_size_are_refused(tiny: Any, lite0: Any) -> None:
    with pytest.raises(DataError, match="64 x 64"):
        labkit.advise(tiny, lite0)

"""The range test: it finds where a model learns and where it runs away, and leaves it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import labkit
from labkit.errors import ModelError
from labkit.finder import RangeTest, range_test

Net = Callable[..., Any]


def classifier(net: Net, strategy: Any) -> Any:
    model = labkit.build_classifier(net(), 2)
    labkit.set_strategy(model, strategy)
    return model


@pytest.mark.parametrize("strategy", ["frozen", "full"])
def test_the_model_is_set_back(small_net: Net, tiny: Any, strategy: Any) -> None:
    model = classifier(small_net, strategy)
    before = model.get_weights()
    found = range_test(model, tiny, lowest=1e-4, highest=10.0, steps=25)
    assert len(found.rates) == len(found.losses) <= 25
    for mine, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)


def test_rates_have_a_constant_ratio_and_the_suggestion_trains(small_net: Net, tiny: Any) -> None:
    model = classifier(small_net, "full")
    found = range_test(model, tiny, lowest=1e-5, highest=1e3, steps=60)
    ratios = found.rates[1:] / found.rates[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    assert found.diverged
    assert found.losses.min() < found.losses[0]
    assert found.suggestion < found.rates[-1]
    history = labkit.train(model, tiny, epochs=4, learning_rate=found.suggestion).history
    assert history["loss"][-1] < history["loss"][0]


def test_too_small_rates_change_nothing(small_net: Net, tiny: Any) -> None:
    """Every batch's loss is then that of the model as it is; nothing runs away."""
    found = range_test(classifier(small_net, "frozen"), tiny, lowest=1e-12, highest=1e-11, steps=6)
    assert not found.diverged
    assert len(found.rates) == 6
    assert np.ptp(found.losses) < 0.2


def test_the_suggestion_is_a_tenth_of_the_lowest() -> None:
    found = RangeTest(np.array([0.01, 0.1, 1.0]), np.array([0.7, 0.2, 0.9]), False)
    assert found.suggestion == pytest.approx(0.01)
    assert "3 rates from 1.0e-02 to 1.0e+00" in str(found)


@pytest.mark.parametrize("options", [
    {"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}, {"steps": 1}, {"steps": 2.5},
])  # fmt: skip
def test_ranges_that_are_none(small_net: Net, tiny: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="A range test goes from"):
        range_test(classifier(small_net, "frozen"), tiny, **options)

"""Frozen means frozen: neither weights nor BatchNorm statistics move, whatever fit does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import labkit
from labkit.anatomy import all_layers, anatomy
from labkit.engine import keras
from labkit.errors import ModelError

layers = keras.layers
BatchNorm = layers.BatchNormalization
Net = Callable[..., Any]

BLOCKS = 6  # of small_net: three convolutions, three BatchNorm layers


def values(model: Any) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy().copy() for weight in model.weights}


def moved(model: Any, before: dict[str, np.ndarray]) -> set[str]:
    """Return which arrays are no longer equal bit by bit."""
    after = values(model)
    return {path for path in before if before[path].tobytes() != after[path].tobytes()}


def is_statistic(path: str) -> bool:
    return "moving_" in path


def data(n: int = 32, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(0)
    labels = numbers.integers(0, 2, n)
    images = numbers.integers(0, 200, (n, size, size, 3)) + 55 * labels[:, None, None, None]
    return images.astype(np.float32), labels


def compiled(model: Any, optimizer: Any = None) -> Any:
    optimizer = keras.optimizers.Adam(1e-3) if optimizer is None else optimizer
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"],
                  jit_compile=False)  # fmt: skip
    return model


def fit(model: Any, epochs: int = 1) -> None:
    model.fit(*data(), batch_size=16, epochs=epochs, verbose=0)


def states(model: Any) -> int:
    """Return for how many weights the optimizer keeps a state."""
    return len(model.optimizer._momentums)


# The trap, and that labkit does not fall into it


def test_keras_s_own_recipe_moves_the_statistics(small_net: Net) -> None:
    """``base(x, training=False)`` does not hold during fit (keras-team/keras#20285).

    The experiment that the course teaches; should a Keras to come behave, this test says so.
    """
    base = small_net()
    images = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(base(images, training=False))
    model = keras.Model(images, layers.Dense(2, activation="softmax")(x))
    base.trainable = True
    before = values(model)
    fit(compiled(model, keras.optimizers.SGD(0.0)), epochs=2)
    assert moved(model, before) == {path for path in before if is_statistic(path)} != set()


@pytest.mark.parametrize("strategy", ["frozen", "partial", "full"])
def test_at_learning_rate_zero_fit_changes_nothing(small_net: Net, strategy: Any) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.set_strategy(model, strategy)
    compiled(model, keras.optimizers.SGD(0.0))
    before, judged = values(model), model.evaluate(*data(), verbose=0)
    fit(model, epochs=2)
    assert moved(model, before) == set()
    assert model.evaluate(*data(), verbose=0) == judged


@pytest.mark.parametrize("strategy", ["partial", "full"])
def test_at_learning_rate_zero_train_changes_nothing(
    small_net: Net, tiny: Any, strategy: Any
) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.set_strategy(model, strategy)
    before, scores = values(model), model.predict(tiny.test.read(), verbose=0)
    result = labkit.train(model, tiny, epochs=2, learning_rate=0.0)
    assert moved(model, before) == set()
    assert result.accuracy == (scores.argmax(axis=1) == tiny.test.labels).mean()
    assert len(set(result.history["val_accuracy"])) == 1


@pytest.mark.slow
def test_lite0_does_not_move_either() -> None:
    model = labkit.build_classifier(labkit.load_backbone("EfficientNetLite0", image_size=32), 2)
    labkit.set_strategy(model, "full")
    before = values(model)
    fit(compiled(model, keras.optimizers.SGD(0.0)))
    assert moved(model, before) == set()


def test_batch_norm_can_be_asked_to_move(small_net: Net) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.unfreeze(model, batch_norm=True)
    before = values(model)
    fit(compiled(model))
    assert moved(model, before) == set(before)


def test_frozen_batch_norm_below_is_frozen_even_when_asked(small_net: Net) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.unfreeze(model, top=2, batch_norm=True)
    before = values(model)
    fit(compiled(model))
    assert {path.split("/")[-2] for path in moved(model, before)} == {
        "conv2", "norm2", "probabilities"
    }  # fmt: skip


# A later call takes effect


@pytest.mark.parametrize("through_backbone", [False, True])
def test_freezing_after_fit_takes_effect_without_a_new_compile(
    small_net: Net, through_backbone: bool
) -> None:
    base = small_net()
    model = labkit.build_classifier(base, 2)
    labkit.unfreeze(model)
    fit(compiled(model))
    labkit.freeze(base if through_backbone else model)
    before = values(model)
    fit(model)
    assert {path.split("/")[-2] for path in moved(model, before)} == {"probabilities"}
    assert states(model) == 2


def test_unfreezing_after_fit_takes_effect_without_a_new_compile(small_net: Net) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.freeze(model)
    fit(compiled(model, keras.optimizers.Adam(0.0123)))
    labkit.unfreeze(model)
    before = values(model)
    fit(model)
    convolutions = {"conv0", "conv1", "conv2", "probabilities"}
    assert {path.split("/")[-2] for path in moved(model, before)} == convolutions
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0123)
    assert states(model) == 5


def test_two_classifiers_on_one_backbone(small_net: Net) -> None:
    base = small_net()
    first, second = labkit.build_classifier(base, 2), labkit.build_classifier(base, 2, seed=1)
    labkit.unfreeze(base)
    fit(compiled(first))
    fit(compiled(second))
    labkit.freeze(first)  # the base is the same: it is frozen in the second as well
    before = values(base)
    fit(second)
    assert moved(base, before) == set()


# Strategies and blocks


def trainable_layers(model: Any) -> list[str]:
    return [x.name for x in all_layers(anatomy(model).base.layers) if x.trainable_weights]


def test_strategies_by_block(small_net: Net) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.set_strategy(model, "frozen")
    assert (trainable_layers(model), labkit.strategy_of(model)) == ([], "frozen")
    labkit.set_strategy(model, "full")
    assert trainable_layers(model) == ["conv0", "conv1", "conv2"]
    assert labkit.strategy_of(model) == "full"
    labkit.set_strategy(model, "partial", top=2)
    assert (trainable_layers(model), labkit.strategy_of(model)) == (["conv2"], "partial")
    labkit.set_strategy(model, "partial")  # 2 of 6 layers with weights are nearest to 40 %
    assert trainable_layers(model) == ["conv2"]


def test_partial_of_lite0_is_about_four_tenths() -> None:
    base = labkit.load_backbone("EfficientNetLite0", weights=None, image_size=32)
    labkit.set_strategy(base, "partial")
    blocks = anatomy(base).blocks
    weighty = [[x for x in block.layers if x.weights] for block in blocks]
    trained = [any(x.trainable_weights for x in block) for block in weighty]
    share = sum(len(b) for b, t in zip(weighty, trained, strict=True) if t)
    assert 0.3 < share / sum(map(len, weighty)) < 0.5
    assert trained == sorted(trained)  # the last blocks


def test_a_flat_model_keeps_its_head_trainable(small_net: Net) -> None:
    base = small_net()
    x = layers.GlobalAveragePooling2D()(base.output)
    flat = keras.Model(base.input, layers.Dense(2, activation="softmax", name="end")(x))
    labkit.freeze(flat)
    before = values(flat)
    fit(compiled(flat))
    assert {path.split("/")[-2] for path in moved(flat, before)} == {"end"}


@pytest.mark.parametrize("top", [-1, 7, 2.0, True, "2", [1]])
def test_top_out_of_range(small_net: Net, top: Any) -> None:
    model = labkit.build_classifier(small_net(), 2)
    with pytest.raises(ModelError, match="from 0 to 6") as error:
        labkit.unfreeze(model, top=top)
    assert "'conv0', 'norm0'" in str(error.value)
    assert repr(top) in str(error.value)


def test_a_refused_call_changes_nothing(small_net: Net) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.freeze(model)
    with pytest.raises(ModelError):
        labkit.unfreeze(model, top=99)
    assert labkit.strategy_of(model) == "frozen"


def test_strategies_that_there_are_not(small_net: Net) -> None:
    base = small_net()
    with pytest.raises(ModelError, match="'full', 'partial', 'frozen'"):
        labkit.set_strategy(base, "fine")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="'partial' only"):
        labkit.set_strategy(base, "full", top=2)


def test_what_is_no_model_is_refused() -> None:
    for call in (labkit.freeze, labkit.unfreeze, labkit.strategy_of):
        with pytest.raises(ModelError, match="A Keras model is needed"):
            call("VGG16")  # type: ignore[operator]
        with pytest.raises(ModelError, match="not built"):
            call(keras.Sequential([layers.Dense(2)]))  # type: ignore[operator]


# Any order of calls

calls = st.lists(
    st.one_of(
        st.just(("freeze", {})),
        st.tuples(
            st.just("unfreeze"),
            st.fixed_dictionaries(
                {"top": st.none() | st.integers(0, BLOCKS), "batch_norm": st.booleans()}
            ),
        ),
        st.tuples(
            st.just("set_strategy"),
            st.fixed_dictionaries({"strategy": st.sampled_from(["full", "partial", "frozen"])}),
        ),
        st.just(("fit", {})),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def house() -> dict[str, Any]:
    """One model for all examples: each goes on from where the one before left it."""
    return {}


@settings(
    max_examples=12, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(sequence=calls, through_backbone=st.booleans())
def test_any_order_of_calls_keeps_the_books(
    house: dict[str, Any], small_net: Net, sequence: list[Any], through_backbone: bool
) -> None:
    if not house:
        house["base"] = small_net()
        house["model"] = compiled(labkit.build_classifier(house["base"], 2))
    model = house["model"]
    for name, arguments in sequence:
        if name == "fit":
            fit(model)
        else:
            getattr(labkit, name)(house["base"] if through_backbone else model, **arguments)
        count = labkit.count_parameters(model)
        assert count.total == count.trainable + count.frozen == model.count_params()
        assert count.statistics == 48 <= count.frozen
    trainable = {weight.path for weight in model.trainable_weights}
    statistics = {
        weight.path
        for layer in all_layers(model.layers)
        if isinstance(layer, BatchNorm) and layer.trainable
        for weight in (layer.moving_mean, layer.moving_variance)
    }
    before = values(model)
    fit(model)
    assert moved(model, before) <= trainable | statistics
    assert {p for p in moved(model, before) if "probabilities" in p}  # and it did train
    assert states(model) == len(trainable)


# Blocks by name


def test_blocks_by_name_train_and_no_others(small_net: Net) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.unfreeze(model, blocks=["conv0", "conv2"])
    base = model.layers[1]
    trains = {layer.name for layer in base.layers if layer.trainable_weights}
    assert trains == {"conv0", "conv2"}
    before = values(model)
    fit(compiled(model))
    assert {path.split("/")[-2] for path in moved(model, before)} == {
        "conv0", "conv2", "probabilities",
    }  # fmt: skip
    labkit.unfreeze(model, blocks=[])
    assert labkit.strategy_of(model) == "frozen"


@pytest.mark.parametrize(
    "arguments", [{"blocks": ["conv9"]}, {"blocks": "conv0"}, {"blocks": ["conv0"], "top": 1}]
)
def test_blocks_that_there_are_not(small_net: Net, arguments: Any) -> None:
    with pytest.raises(ModelError, match=r"blocks is a list of names out of 'conv0'"):
        labkit.unfreeze(small_net(), **arguments)

"""What travels between the examiner and a student's kernel, and what does not."""

import json
import math
import pickle
import struct

import numpy as np
import pytest

import labkit
from labkit.course.grading.exchange import Peer
from labkit.course.grading.wire import ExchangeError, Foreign


@pytest.fixture
def sides():
    """Two peers that call each other in this process."""
    examiner = Peer("examiner", lambda number, data: student.answer(number, data))
    student = Peer("student", lambda number, data: examiner.answer(number, data))
    return examiner, student


def sent(sides, value):
    examiner, student = sides
    return student.loads(examiner.dumps(value))


def remote(sides, function):
    """A function of the student's as the examiner has it."""
    examiner, student = sides
    return examiner.stand_in(student.offer(function), function.__name__)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, -2.5, "ä\n", b"\x00\xff", 2j, [1, (2, {3})], {"a": 1, 2: [None]},
        range(2, 9, 3), frozenset({1, 2}), math.inf,
    ],
)  # fmt: skip
def test_plain_values_arrive_as_they_are(sides, value):
    found = sent(sides, value)
    assert found == value
    assert type(found) is type(value)


def test_arrays_keep_shape_and_type(sides):
    for array in (np.arange(6).reshape(2, 3), np.zeros((0, 4), "float32"), np.array("text")):
        found = sent(sides, array)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
    assert math.isnan(sent(sides, float("nan")))


def test_a_result_arrives_whole(sides):
    scores = np.array([[0.2, 0.8]], "float32")
    result = labkit.TrainingResult("t", ("a", "b"), np.array([1]), scores, {"loss": [1.0]}, 3, 0.1)
    found = sent(sides, result)
    assert str(found) == str(result)


def test_a_split_of_a_dataset_points_to_the_same_pictures(sides, tiny):
    few = tiny.with_train(tiny.train.take(3, seed=1))
    found = sent(sides, few)
    assert found.train.paths == few.train.paths
    np.testing.assert_array_equal(found.train.read(), few.train.read())


def test_objects_that_pretend_equality_do_not_cross(sides):
    class Same:
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 0

    class Number(int):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 0

    assert isinstance(sent(sides, Same()), Foreign)
    assert sent(sides, Same()) != 3
    assert type(sent(sides, Number(4))) is int
    assert sent(sides, Number(4)) != 3


def header(tree, arrays=()):
    text = json.dumps({"tree": tree, "arrays": arrays}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\x00" * 20, pickle.dumps([1]), header({"$": "os.system"}),
        header({"$": "__class__"}), header({"no": 1}), header({"$": "array", "of": 0}),
        header({"$": "array", "of": 0}, [["|O", [1]]]),
        header({"$": "array", "of": 0}, [["<f8", [10**15]]]),
        header({"$": "record", "class": "subprocess.Popen", "of": {"args": "true"}}),
        header({"$": "store", "file": "../../etc/passwd", "image_size": 1, "paths": []}),
        header({"$": "yours", "of": 7}), header({"$": "set", "of": [{"$": "list", "of": []}]}),
        struct.pack("<Q", 200_010) + b"[" * 200_010,
    ],
)  # fmt: skip
def test_a_message_that_is_none_is_refused(sides, message):
    with pytest.raises(ExchangeError):
        sides[0].loads(message)


def test_functions_call_back_and_errors_keep_their_class(sides):
    def twice(function, x):
        return function(function(x))

    def bad(x):
        raise KeyError(x)

    assert remote(sides, twice)(lambda x: x + 3, 1) == 7
    with pytest.raises(KeyError, match="no"):
        remote(sides, bad)("no")


def test_a_student_cannot_stop_the_examiner_with_an_exception(sides):
    class SlyError(BaseException):
        def __str__(self):
            raise SystemExit

    def bad():
        raise SlyError

    with pytest.raises(Exception, match=r"^$") as caught:
        remote(sides, bad)()
    assert type(caught.value).__name__ == "SlyError"


@pytest.mark.parametrize("form", ["nested", "sequential", "flat"])
def test_a_model_built_on_the_examiners_sits_on_the_examiners(sides, small_net, form):
    from labkit.engine import keras

    base = small_net()

    def build(backbone):
        pool, dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")
        if form == "sequential":
            return keras.Sequential([backbone, pool, dense])
        if form == "flat":
            return keras.Model(backbone.input, dense(pool(backbone.output)))
        images = keras.Input((32, 32, 3))
        return keras.Model(images, dense(pool(backbone(images))))

    model = remote(sides, build)(base)
    own = {id(weight) for weight in base.weights}
    assert sum(id(weight) in own for weight in model.weights) == len(own)
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3))
    before = [weight.numpy() for weight in base.weights]
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, np.array([0, 1, 0, 1]), verbose=0)
    assert not all(np.array_equal(w.numpy(), b) for w, b in zip(base.weights, before, strict=True))
    there = remote(sides, lambda m, x: m.predict(x, verbose=0))(model, images)
    np.testing.assert_allclose(there, model.predict(images, verbose=0), atol=1e-5)


def test_what_a_function_does_to_a_model_travels_back(sides, small_net):
    base = small_net()

    def change(model):
        model.layers[2].trainable = False
        model.layers[-2].gamma.assign(model.layers[-2].gamma + 1)
        model.compile("sgd", "mse")
        model.optimizer.learning_rate = 0.5

    before = base.layers[-2].gamma.numpy()
    remote(sides, change)(base)
    assert [layer.trainable for layer in base.layers].count(False) == 1
    np.testing.assert_array_equal(base.layers[-2].gamma.numpy(), before + 1)
    assert float(base.optimizer.learning_rate) == 0.5


def test_a_frozen_model_comes_back_with_the_flag_of_each_layer(sides, small_net):
    """Its own flag is passed on to all layers in Keras; those that did not change stay frozen."""
    base = small_net()
    base.trainable = False

    def unfreeze_the_last(model):
        model.trainable = True
        for layer in model.layers[:-2]:
            layer.trainable = False
        return model

    remote(sides, unfreeze_the_last)(base)
    assert base.trainable
    assert [layer.trainable for layer in base.layers[-2:]] == [True, True]
    assert not any(layer.trainable for layer in base.layers[:-2])


def test_code_in_a_model_does_not_travel(sides):
    from labkit.engine import keras

    def build():
        return keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])

    with pytest.raises(ExchangeError, match="Lambda"):
        remote(sides, build)()


@pytest.mark.parametrize(
    "config",
    [
        {"module": "os", "class_name": "system", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": "keras.layers", "class_name": "Lambda", "config": {}},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/"}},
        {"module": "keras.layers", "class_name": "TextVectorization", "config": {}},
        {"module": "keras.layers", "class_name": "Dense", "registered_name": "x>y", "config": {}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 10**11}},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "__typespec__", "config": []},
        {"module": "keras.layers", "class_name": "Dense", "config": {
            "kernel_initializer": {"module": "os", "class_name": "popen", "config": {}}}},
    ],
)  # fmt: skip
def test_a_forged_configuration_is_refused(sides, config):
    with pytest.raises(ExchangeError):
        sides[0].loads(header({"$": "keras", "of": config}))

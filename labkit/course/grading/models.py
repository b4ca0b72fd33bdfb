"""Carries Keras models: their configuration, their weights, and what they share.

A model is rebuilt from a configuration that names nothing but Keras's own layers. A layer
that belongs to a model known to both sides is not copied: a classifier that was built on
an examiner's backbone comes back sitting on that backbone, so that training it moves it.
Later only what has changed travels: weights, trainable flags, how it is compiled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.course.grading.wire import ExchangeError
from labkit.engine import keras

if TYPE_CHECKING:
    from labkit.course.grading.reading import Reader
    from labkit.course.grading.writing import Writer

Place = tuple[str, str]
"""Where a layer is: the model's reference, and the names of the layers on the way to it."""

_LAYER_NAMES = """
    Activation ActivityRegularization Add AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D BatchNormalization CategoryEncoding CenterCrop Concatenate
    Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Cropping1D Cropping2D Dense
    DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU Embedding Flatten GRU GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity
    InputLayer LSTM LayerNormalization LeakyReLU MaxPooling1D MaxPooling2D MaxPooling3D Maximum
    Minimum MultiHeadAttention Multiply Normalization PReLU Permute RandomBrightness
    RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU
    RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN Softmax
    SpatialDropout1D SpatialDropout2D SpectralNormalization Subtract UnitNormalization
    UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D"""

LAYERS = frozenset(_LAYER_NAMES.split())
"""Layers that a model may have. None of them reads a file or holds code."""

_MODULES = {
    "keras.layers": LAYERS,
    "keras": frozenset({"DTypePolicy", "Functional", "Sequential", "Model"}),
    "keras.models": frozenset({"Functional", "Sequential", "Model"}),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.models.sequential": frozenset({"Sequential"}),
    "keras.dtype_policies": frozenset({"DTypePolicy"}),
}
_PURE = ("keras.initializers", "keras.regularizers", "keras.constraints", "keras.optimizers",
         "keras.optimizers.schedules", "keras.losses", "keras.metrics",
         "keras.src.ops.numpy", "keras.src.ops.nn")  # fmt: skip
"""Modules of which every class may be named: they compute and do nothing else."""

_SIZES = frozenset(
    [
        "units",
        "filters",
        "input_dim",
        "output_dim",
        "num_tokens",
        "key_dim",
        "num_heads",
        "depth_multiplier",
        "shape",
        "batch_shape",
        "batch_input_shape",
        "target_shape",
        "kernel_size",
        "pool_size",
        "padding",
        "cropping",
        "size",
        "n",
        "height",
        "width",
    ]
)
LARGEST_SIZE = 1_000_000
"""Of a layer, in units or pixels: a configuration of more is not built."""

_PLAIN = frozenset({"__keras_tensor__", "__tuple__", "__numpy__", "__slice__", "__ellipsis__"})


class Models:
    """The models that both sides of an exchange know, and what was last said about them."""

    def __init__(self, side: str) -> None:
        """Begin without a model."""
        self._side = side
        self._known: dict[str, Any] = {}
        self._references: dict[int, str] = {}
        self._places: dict[int, Place] = {}
        self._layers: dict[Place, Any] = {}
        self._told: dict[tuple[str, ...], Any] = {}

    def memory(self) -> tuple[dict[Any, Any], ...]:
        """Return what is known and was told, to go back to."""
        return tuple(dict(part) for part in self._parts())

    def forget_since(self, memory: tuple[dict[Any, Any], ...] | None) -> None:
        """Go back to what was known before a message that could not be sent."""
        for part, before in zip(self._parts(), memory or ({},) * 5, strict=True):
            part.clear()
            part.update(before)

    def _parts(self) -> tuple[dict[Any, Any], ...]:
        return (self._known, self._references, self._places, self._layers, self._told)

    # Writing

    def write(self, value: Any, writer: Writer) -> Any:
        """Return the node of a model, a layer of a known model, an optimizer or a loss."""
        if isinstance(value, keras.Model):
            return self._write_model(value, writer)
        place = self._places.get(id(value))
        if place is not None:
            return {"$": "layer", "of": list(place)}
        try:
            return {"$": "keras", "of": _plain_json(keras.saving.serialize_keras_object(value))}
        except ExchangeError:
            return None

    def _write_model(self, model: Any, writer: Writer) -> Any:
        node: dict[str, Any] = {"$": "model"}
        if id(model) not in self._references:
            if not model.built:
                raise ExchangeError("A model that is not built yet cannot be looked at.")
            shared = {path: list(self._places[id(layer)]) for path, layer in walk(model)
                      if id(layer) in self._places}  # fmt: skip
            node |= {"config": _plain_json(keras.saving.serialize_keras_object(model)),
                     "shared": shared}  # fmt: skip
            self._remember(f"{self._side}-{len(self._known)}", model)
        reference = self._references[id(model)]
        changes = {path: self._changes(self._places[id(layer)], layer, writer)
                   for path, layer in walk(model)}  # fmt: skip
        changes = {path: change for path, change in changes.items() if change}
        compiled = _compile_config(model)
        if self._told.get((reference, "compiled")) != compiled:
            self._told[reference, "compiled"] = compiled
            node["compile"] = compiled
        return node | {"ref": reference, "changes": changes}

    def _changes(self, place: Place, layer: Any, writer: Writer) -> dict[str, Any]:
        """Return what the other side does not know about a layer."""
        change: dict[str, Any] = {}
        if self._told.get((*place, "trainable")) != layer.trainable:
            change["trainable"] = self._told[*place, "trainable"] = bool(layer.trainable)
        arrays = [] if isinstance(layer, keras.Model) else [w.numpy() for w in layer.weights]
        digests = [_digest(array) for array in arrays]
        if self._told.get((*place, "weights"), []) != digests:
            self._told[*place, "weights"] = digests
            change["weights"] = [writer.array(array) for array in arrays]
        return change

    def _remember(self, reference: str, model: Any) -> None:
        self._known[reference] = model
        self._references[id(model)] = reference
        for path, layer in walk(model):
            if id(layer) not in self._places:
                self._places[id(layer)] = (reference, path)
                self._layers[reference, path] = layer

    # Reading

    def read(self, node: Any, reader: Reader) -> Any:
        """Return the object of a node; a known model is changed in place."""
        if node["$"] == "keras":
            return _deserialize(node["of"])
        if node["$"] == "layer":
            return self._layer(node["of"])
        reference = str(node["ref"])
        if reference not in self._known:
            model = _deserialize(node["config"])
            if not isinstance(model, keras.Model):
                raise ExchangeError("What is called a model is none.")
            shared = {path: self._layer(place) for path, place in node["shared"].items()}
            self._remember(reference, _Graft(shared).model(model) if shared else model)
        model = self._known[reference]
        layers = dict(walk(model))
        for path, change in node["changes"].items():
            self._apply(self._places[id(layers[path])], layers[path], change, reader)
        for layer in layers.values():
            # A model passes its flag on to its layers, whose own may not have changed.
            flag = self._told.get((*self._places[id(layer)], "trainable"), layer.trainable)
            if layer.trainable != flag:
                layer.trainable = flag
        if "compile" in node:
            self._told[reference, "compiled"] = node["compile"]
            if node["compile"]:
                _check_config(node["compile"])
                model.compile_from_config(node["compile"])
        return model

    def _layer(self, place: Any) -> Any:
        return self._layers[str(place[0]), str(place[1])]

    def _apply(self, place: Place, layer: Any, change: Any, reader: Reader) -> None:
        if "trainable" in change:
            self._told[*place, "trainable"] = bool(change["trainable"])
        if "weights" in change:
            arrays = [reader.array(number) for number in change["weights"]]
            if [a.shape for a in arrays] != [tuple(w.shape) for w in layer.weights]:
                raise ExchangeError(f"The weights of {layer.name} do not fit the layer.")
            for weight, array in zip(layer.weights, arrays, strict=True):
                weight.assign(array)
            self._told[*place, "weights"] = [_digest(weight.numpy()) for weight in layer.weights]


def walk(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a model and all layers inside, by the names on the way; outer ones come first."""
    if not prefix:
        yield "", model
    for layer in model.layers:
        path = f"{prefix}/{layer.name}"
        yield path, layer
        if isinstance(layer, keras.Model):
            yield from walk(layer, path)


class _Graft:
    """Puts layers that exist already in the place of their copies."""

    def __init__(self, shared: dict[str, Any]) -> None:
        self.shared = shared

    def model(self, copy: Any, path: str = "") -> Any:
        """Return a model like ``copy`` in which the shared layers are the existing ones."""
        if not any(place.startswith(f"{path}/") for place in self.shared):
            return copy

        def replaced(layer: Any) -> Any:
            place = f"{path}/{layer.name}"
            if place in self.shared:
                return self.shared[place]
            return self.model(layer, place) if isinstance(layer, keras.Model) else layer

        if isinstance(copy, keras.Sequential):
            return keras.models.clone_model(copy, clone_function=replaced)
        inputs = keras.tree.map_structure(lambda x: self._input(x, path), copy.input)
        return keras.models.clone_model(
            copy, input_tensors=inputs, clone_function=replaced, call_function=_applied
        )

    def _input(self, tensor: Any, path: str) -> Any:
        layer = self.shared.get(f"{path}/{tensor._keras_history.operation.name}")
        return tensor if layer is None else layer.output


def _applied(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Return what a layer gives for some tensors: from its graph where it is there already."""
    tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
    for node in layer._inbound_nodes:
        if [id(x) for x in node.input_tensors] == [id(x) for x in tensors]:
            outputs = node.outputs
            return outputs[0] if len(outputs) == 1 else outputs
    return layer(*args, **kwargs)


def _digest(array: Any) -> bytes:
    data = np.ascontiguousarray(array)
    return hashlib.blake2b(data.reshape(-1).view(np.uint8).data, digest_size=16).digest()


# Configurations


def _plain_json(config: Any) -> Any:
    """Return a configuration as JSON has it, without how it is compiled; checked."""
    try:
        config = json.loads(json.dumps(config))
    except (TypeError, ValueError):
        raise ExchangeError("The object holds what cannot be written down.") from None
    config = _without_compilation(config)
    _check_config(config)
    return config


def _without_compilation(config: Any) -> Any:
    if isinstance(config, list):
        return [_without_compilation(item) for item in config]
    if isinstance(config, dict):
        return {key: _without_compilation(value) for key, value in config.items()
                if key != "compile_config"}  # fmt: skip
    return config


def _compile_config(model: Any) -> Any:
    """Return how a model is compiled; None where that cannot be said in Keras's own names."""
    if not getattr(model, "compiled", False):
        return None
    try:
        return _plain_json(model.get_compile_config())
    except (ExchangeError, AttributeError, TypeError, ValueError):
        return None


def _deserialize(config: Any) -> Any:
    _check_config(config)
    try:
        return keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # Keras raises many types on a damaged configuration
        raise ExchangeError(f"The model cannot be rebuilt: {str(error)[:200]}") from None


def _check_config(config: Any) -> None:
    """Raise ExchangeError unless a configuration names nothing but Keras's own classes."""
    if isinstance(config, list):
        for item in config:
            _check_config(item)
    elif isinstance(config, dict):
        if "class_name" in config or "module" in config:
            _check_class(config)
        if "compile_config" in config:
            raise ExchangeError("A model travels without its compilation.")
        for key, value in config.items():
            _check_config(value)
            if key in _SIZES and _largest(value) > LARGEST_SIZE:
                raise ExchangeError(f"The model has a layer with {key} of over {LARGEST_SIZE:,}.")


def _largest(value: Any) -> float:
    """Return the largest number in a value of a configuration."""
    if isinstance(value, list):
        return max(map(_largest, value), default=0)
    return value if isinstance(value, int | float) else 0


def _check_class(config: dict[str, Any]) -> None:
    name, module = config.get("class_name"), config.get("module")
    registered = config.get("registered_name")
    if module in (None, "builtins") and name in _PLAIN:
        return
    known = (module in _PURE and str(name).isidentifier() and name != "function") or (
        name in _MODULES.get(str(module), ())
    )
    if not known or registered not in (None, name):
        raise ExchangeError(
            f"{str(name)[:60]!r} cannot be looked at from outside: use layers that Keras has, "
            "without functions or classes of your own in them."
        )

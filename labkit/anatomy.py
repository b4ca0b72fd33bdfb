"""Which layers of a model are the convolutional base, which the head, and the base's blocks.

Computed from the model's graph, never from its name, so that it works as well for a
model that a student built by hand. A block ends at a *cut*: a layer whose output is all
that the later layers see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labkit.engine import keras
from labkit.errors import ModelError

# A cut whose name matches ends the block of the captured name; a match that captures
# nothing ends a block that is named by its number. One pattern a family of networks.
_BLOCK_ENDS = (
    r"(block\d)_pool",  # VGG
    r"(block1)_conv2_act|add(?:_\d+)?|(block14)_sepconv2_act",  # Xception
    r"(conv1)_(?:relu|conv)|(conv[2-5])_block\d+_out",  # ResNet, ResNetV2
    r"max_pooling2d(?:_\d+)?|(mixed\d+)",  # InceptionV3
    r"max_pooling2d(?:_\d+)?|(mixed_\d[ab])|(block(?:35|17|8))_\d+_ac|(conv_7b)_ac",
    r"(conv1)_relu|conv_(pw_\d+)_relu",  # MobileNet
    r"(Conv1)_relu|(expanded_conv)_project_BN|(block_\d+)_(?:add|project_BN)|(out)_relu",
    r"(stem)_activation|(block\d)[a-d]_(?:add|project_bn)|(top)_activation",  # EfficientNet
)


@dataclass(frozen=True)
class Block:
    """Some layers of a base between two cuts; ``end`` is the cut that closes it."""

    name: str
    layers: tuple[Any, ...]
    end: Any


@dataclass(frozen=True)
class Anatomy:
    """The parts of a model, input to output.

    Attributes:
        base: the Keras model that is the convolutional base: a model nested in the
            classifier, or for a model built flat, a view on its first layers.
        blocks: the base's blocks, input to output; their layers are all of its layers.
        head: the layers after the base; empty for a bare backbone.
        nested: True when the base is one layer of the model.
    """

    base: Any
    blocks: tuple[Block, ...]
    head: tuple[Any, ...]
    nested: bool


def anatomy(model: keras.Model) -> Anatomy:
    """Take a model apart; ModelError when it is not built or has nothing to take apart."""
    if not isinstance(model, keras.Model):
        raise ModelError(f"A Keras model is needed. Received: {type(model).__name__}.")
    if not model.built or not getattr(model, "inputs", None):
        raise ModelError(
            f"The model {model.name!r} is not built: give it an input shape, for example "
            "keras.Input((128, 128, 3)) as its first layer."
        )
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    bases = [layer for layer in nested if len(layer.output_shape) == 4] or nested
    if bases:
        after = model.layers.index(bases[0]) + 1
        return Anatomy(bases[0], _blocks(bases[0]), tuple(model.layers[after:]), nested=True)
    return _flat_anatomy(model)


def block_names(model: keras.Model) -> list[str]:
    """Return the names of the base's blocks, input to output.

    >>> import labkit
    >>> labkit.block_names(labkit.load_backbone("VGG16", weights=None))
    ['block1', 'block2', 'block3', 'block4', 'block5']
    """
    return [block.name for block in anatomy(model).blocks]


def all_layers(layers: Iterable[Any]) -> Iterable[Any]:
    """Yield layers and the layers inside them, to any depth."""
    for layer in layers:
        yield layer
        yield from all_layers(getattr(layer, "layers", ()))


def holds_weights(layer: Any) -> bool:
    """Tell whether a layer has weights; a plain operation such as ``x + 1`` has none."""
    return bool(getattr(layer, "weights", ()))


def _flat_anatomy(model: keras.Model) -> Anatomy:
    """Split a model without a nested base after its last feature map.

    A model that has no feature maps is split before its last layer with weights.
    """
    if len(model.output_shape) == 4:
        return Anatomy(model, _blocks(model), (), nested=False)
    maps = [c for c in _cuts(model) if len(c.output.shape) == 4 and holds_weights(c)]
    with_weights = [layer for layer in model.layers if holds_weights(layer)]
    last = maps[-1] if maps else with_weights[max(len(with_weights) - 2, 0)]
    order = _order(model)
    end = order.index(last)
    while end + 1 < len(order) and _keeps_map(order[end + 1], order[end]):
        end += 1
    base = keras.Model(model.inputs, order[end].output)
    return Anatomy(base, _blocks(base), tuple(order[end + 1 :]), nested=False)


def _keeps_map(layer: Any, previous: Any) -> bool:
    """Tell whether a weightless layer still belongs to the base (activation, pooling)."""
    maps = len(layer.output.shape) == 4 and len(previous.output.shape) == 4
    return maps and not holds_weights(layer)


def _blocks(base: keras.Model) -> tuple[Block, ...]:
    cuts = _cuts(base)
    matches = [[(cut, m) for cut in cuts if (m := re.fullmatch(p, cut.name))] for p in _BLOCK_ENDS]
    named = max(matches, key=len)
    if len(named) >= 3:
        ends = _named_ends(named)
    else:  # no known family: every layer with weights that is a cut ends a block
        ends = [(cut.name, cut) for cut in cuts if holds_weights(cut)]
    return _cut_at(base, ends)


def _named_ends(matches: list[tuple[Any, re.Match[str]]]) -> list[tuple[str, Any]]:
    """Name the blocks; of several cuts with one name the last one ends the block."""
    ends: dict[str, Any] = {}
    for cut, match in matches:
        name = next((group for group in match.groups() if group), f"block{len(ends) + 1}")
        ends[name] = cut
    return list(ends.items())


def _cut_at(base: keras.Model, ends: list[tuple[str, Any]]) -> tuple[Block, ...]:
    """Deal the layers to blocks; what follows the last end belongs to the last block."""
    order = _order(base)
    if not ends:
        return (Block(base.name, tuple(order), order[-1]),)
    ends[-1] = (ends[-1][0], order[-1])
    blocks, start = [], 0
    for name, end in ends:
        stop = order.index(end) + 1
        blocks.append(Block(name, tuple(order[start:stop]), end))
        start = stop
    return tuple(blocks)


def graph_nodes(model: keras.Model) -> list[Any]:
    """Return the calls of a model's graph, in an order that can be run."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _order(model: keras.Model) -> list[Any]:
    return [node.operation for node in graph_nodes(model)]


def _cuts(model: keras.Model) -> list[Any]:
    """Return the layers through whose output alone everything later is computed."""
    nodes = graph_nodes(model)
    last_use = {id(t): i for i, node in enumerate(nodes) for t in node.input_tensors}
    open_tensors: set[int] = set()
    cuts = []
    for i, node in enumerate(nodes):
        open_tensors |= {id(t) for t in node.output_tensors}
        open_tensors = {t for t in open_tensors if last_use.get(t, len(nodes)) > i}
        if open_tensors == {id(t) for t in node.output_tensors}:
            cuts.append(node.operation)
    return cuts

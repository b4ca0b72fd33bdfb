"""Freezes and unfreezes the base of a model, block by block from the output.

Frozen means that neither weights nor BatchNorm statistics move, whatever ``fit`` does
later. Unfrozen blocks keep their BatchNorm layers frozen unless asked: in Keras 3
``base(x, training=False)`` does not keep them in inference mode during ``fit``
(keras-team/keras#20285), only ``layer.trainable = False`` does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, get_args

from labkit.anatomy import Anatomy, Block, all_layers, anatomy, holds_weights
from labkit.engine import keras
from labkit.errors import ModelError, choices

Strategy = Literal["full", "partial", "frozen"]

PARTIAL_SHARE = 0.4
"""``partial`` without ``top`` trains the blocks nearest to this share of the base's layers."""


def freeze(model: keras.Model) -> None:
    """Freeze the base of a classifier, or all of a bare backbone; the head stays trainable.

    Takes effect at once, for a compiled model as well: it is made ready to compile its
    training step anew, with a fresh optimizer that holds no state of frozen weights.
    """
    _set(model, top=0, batch_norm=False)


def unfreeze(
    model: keras.Model,
    *,
    top: int | None = None,
    batch_norm: bool = False,
    blocks: Collection[str] | None = None,
) -> None:
    """Make blocks trainable, counted from the output or by name; all others are frozen.

    Args:
        model: a classifier or a bare backbone.
        top: the number of blocks that train; None: all of them.
        batch_norm: True also trains the BatchNorm layers of these blocks, and lets their
            statistics move. Right only when training from scratch or on much data.
        blocks: in place of ``top``, the names of the blocks that train, as ``block_names``
            gives them.

    Raises:
        ModelError: ``top`` or ``blocks`` is not what the model has.
    """
    if blocks is None:
        _set(model, top, batch_norm)
    else:
        _set_blocks(model, _numbers_of(model, top, blocks), batch_norm)


def _numbers_of(model: keras.Model, top: int | None, blocks: Collection[str]) -> set[int]:
    names = [block.name for block in anatomy(model).blocks]
    unknown = sorted(set(blocks) - set(names))
    if top is not None or isinstance(blocks, str) or unknown:
        raise ModelError(
            f"blocks is a list of names out of {choices(names)}, and comes in place of top. "
            f"Received: blocks={blocks!r}, top={top!r}."
        )
    return {number for number, name in enumerate(names) if name in blocks}


def set_strategy(
    model: keras.Model, strategy: Strategy, *, top: int | None = None, batch_norm: bool = False
) -> None:
    """Set up one of the three strategies of transfer learning.

    Args:
        model: a classifier or a bare backbone.
        strategy: "frozen" (feature extraction), "partial" (train the last blocks) or
            "full" (train everything).
        top: for "partial", the number of blocks; None: about 40 % of the layers.
        batch_norm: as in unfreeze.

    Raises:
        ModelError: no such strategy, or ``top`` does not fit it.
    """
    if strategy not in get_args(Strategy):
        raise ModelError(
            f"There is no strategy {strategy!r}. Choose one of {choices(get_args(Strategy))}."
        )
    if strategy != "partial" and top is not None:
        raise ModelError(f"top goes with the strategy 'partial' only. Received: {strategy!r}.")
    if strategy == "partial" and top is None:
        top = default_top(anatomy(model).blocks)
    _set(model, 0 if strategy == "frozen" else top, batch_norm)


def strategy_of(model: keras.Model) -> Strategy:
    """Tell which strategy a model is set to, from what is trainable in its base.

    A block counts as trained when any of its weights outside BatchNorm layers is trainable.
    """
    trained = [_is_trained(block) for block in anatomy(model).blocks if _trainable_kind(block)]
    if not any(trained):
        return "frozen"
    return "full" if all(trained) else "partial"


def trained_blocks(parts: Anatomy) -> int:
    """Return how many blocks, counted from the output, hold everything that trains or moves."""
    trained = [any(layer.trainable for layer in _weighty(block)) for block in parts.blocks]
    return len(trained) - trained.index(True) if any(trained) else 0


def default_top(blocks: tuple[Block, ...]) -> int:
    """Return the number of blocks nearest to 40 % of the layers that hold weights."""
    sizes = [len(_weighty(block)) for block in reversed(blocks)]
    shares = [sum(sizes[:top]) / sum(sizes) for top in range(1, len(sizes))]
    distances = [abs(share - PARTIAL_SHARE) for share in shares]
    return distances.index(min(distances)) + 1 if distances else 1


def _weighty(block: Block) -> list[Any]:
    return [layer for layer in all_layers(block.layers) if holds_weights(layer)]


def _trainable_kind(block: Block) -> list[Any]:
    """Return the layers that a strategy trains: those with weights, BatchNorm left out."""
    normal = keras.layers.BatchNormalization
    return [layer for layer in _weighty(block) if not isinstance(layer, normal)]


def _is_trained(block: Block) -> bool:
    return any(layer.trainable_weights for layer in _trainable_kind(block))


def _set(model: keras.Model, top: int | None, batch_norm: bool) -> None:
    blocks = anatomy(model).blocks
    if top is None:
        top = len(blocks)
    if not isinstance(top, int) or isinstance(top, bool) or not 0 <= top <= len(blocks):
        raise ModelError(
            f"top is a number of blocks from 0 to {len(blocks)} "
            f"({choices(block.name for block in blocks)}). Received: {top!r}."
        )
    _set_blocks(model, set(range(len(blocks) - top, len(blocks))), batch_norm)


def _set_blocks(model: keras.Model, trained: set[int], batch_norm: bool) -> None:
    """Make the blocks of these numbers, counted from the input, trainable, and no others."""
    parts = anatomy(model)
    model.trainable = True
    parts.base.trainable = True
    for number, block in enumerate(parts.blocks):
        for layer in block.layers:
            layer.trainable = number in trained
    if not trained and (parts.nested or not parts.head):
        parts.base.trainable = False
    if not batch_norm:
        for layer in all_layers(parts.base.layers):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    for owner in {model, *getattr(parts.base, "classifiers", ())}:
        _forget_training_step(owner)


def _forget_training_step(model: keras.Model) -> None:
    """Make a compiled model notice the change.

    Keras keeps the training step it has traced, and with it the old list of trainable
    weights; and an optimizer keeps a state for each weight it was built for.
    """
    if getattr(model, "compiled", False) and model.optimizer is not None:
        model.train_function = None
        model.optimizer = type(model.optimizer).from_config(model.optimizer.get_config())

"""Learning rates: one for all that trains, or one for each block, smaller for earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.anatomy import anatomy
from labkit.engine import keras
from labkit.errors import ModelError, choices

Rates = float | Mapping[str, float]
"""One learning rate, or one for each block that trains and for the "head"."""

HEAD = "head"
"""What the layers after the base are called where each block has a rate."""


@dataclass(frozen=True)
class Group:
    """Variables that are trained at one learning rate."""

    rate: float
    variables: tuple[Any, ...]


def rate_groups(model: keras.Model, rates: Rates) -> list[Group]:
    """Return what trains, in groups of one learning rate.

    Args:
        model: as it is to be trained; what is frozen is in no group.
        rates: one rate for all, or one for each block that trains, by its name, and one
            for the "head". Rates of frozen blocks are not used.

    Raises:
        ModelError: a rate is below zero, a block that trains has none, or there is no such
            block.
    """
    if not isinstance(rates, Mapping):
        return [Group(_checked(rates), tuple(model.trainable_variables))]
    variables = _variables_by_block(model)
    trained = [name for name, found in variables.items() if found]
    wrong = sorted({*rates} - {*variables}) or [name for name in trained if name not in rates]
    if wrong:
        raise ModelError(
            f"Learning rates by block are given for {choices(trained)}, the parts that train. "
            f"Look at {choices(wrong)}."
        )
    return [Group(_checked(rates[name]), variables[name]) for name in trained]


def discriminative_rates(
    model: keras.Model, rate: float, *, factor: float = 2.6
) -> dict[str, float]:
    """Return a learning rate for each block, divided by ``factor`` with each step to the input.

    Howard & Ruder, "Universal language model fine-tuning for text classification", ACL 2018,
    arXiv 1801.06146, from where 2.6 is.

    Args:
        model: a classifier.
        rate: of the head and of the block nearest to it.
        factor: 1 gives every block the same.
    """
    if not factor >= 1:
        raise ModelError(f"factor is a number from 1 up. Received: {factor!r}.")
    names = [block.name for block in reversed(anatomy(model).blocks)]
    return {HEAD: _checked(rate)} | {n: rate / factor**i for i, n in enumerate(names)}


def _variables_by_block(model: keras.Model) -> dict[str, tuple[Any, ...]]:
    parts = anatomy(model)
    layers = {block.name: block.layers for block in parts.blocks} | {HEAD: parts.head}
    return {
        name: tuple(v for layer in part for v in getattr(layer, "trainable_variables", ()))
        for name, part in layers.items()
    }


def _checked(rate: Any) -> float:
    if not isinstance(rate, (int, float)) or not rate >= 0:
        raise ModelError(f"learning_rate is a number from 0 up. Received: {rate!r}.")
    return float(rate)

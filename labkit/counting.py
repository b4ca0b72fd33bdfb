"""Counts the parameters of a model: all, trainable, frozen, BatchNorm statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.anatomy import all_layers
from labkit.engine import keras
from labkit.errors import ModelError
from labkit.tables import html_table


@dataclass(frozen=True)
class ParameterCount:
    """How many numbers a model holds; prints as a table.

    Attributes:
        total: all of them; always ``trainable + frozen``.
        trainable: those that training changes.
        frozen: those that it does not.
        statistics: moving means and variances of BatchNorm layers, a part of ``frozen``:
            gradient descent never changes them, but a BatchNorm layer that is not frozen
            moves them while it trains.
    """

    total: int
    trainable: int
    frozen: int
    statistics: int

    def _rows(self) -> list[tuple[str, int]]:
        return [
            ("trainable", self.trainable),
            ("frozen", self.frozen),
            ("  of them statistics", self.statistics),
            ("total", self.total),
        ]

    def __str__(self) -> str:
        """Return the table as text."""
        return "\n".join(f"{name:<22}{count:>15,}" for name, count in self._rows())

    def _repr_html_(self) -> str:
        rows = [(name, f"{n:,}", f"{n / max(self.total, 1):.1%}") for name, n in self._rows()]
        return html_table(rows, header=("parameters", "number", "share"))


def count_parameters(model: keras.Model) -> ParameterCount:
    """Count a model's parameters as it stands, frozen layers and all.

    A weight that two layers share is counted once. Raises ModelError when the model is
    not built yet.

    >>> import labkit
    >>> vgg = labkit.load_backbone("VGG16", weights=None, image_size=224)
    >>> model = labkit.build_classifier(vgg, 2, head="flatten")
    >>> labkit.freeze(model)
    >>> print(labkit.count_parameters(model))
    trainable                      50,178
    frozen                     14,714,688
      of them statistics                0
    total                      14,764,866
    """
    if not getattr(model, "built", False):
        raise ModelError("The model is not built yet, so it has no parameters to count.")
    total = numbers_in(model.weights)
    trainable = numbers_in(model.trainable_weights)
    statistics = numbers_in(
        weight
        for layer in all_layers(model.layers)
        if isinstance(layer, keras.layers.BatchNormalization)
        for weight in (layer.moving_mean, layer.moving_variance)
    )
    return ParameterCount(total, trainable, total - trainable, statistics)


def numbers_in(weights: object) -> int:
    """Return how many numbers some weights hold; one that comes twice counts once."""
    unique = {id(weight): weight for weight in weights}  # type: ignore[attr-defined]
    return sum(math.prod(weight.shape) for weight in unique.values())

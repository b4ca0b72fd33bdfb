"""Says roughly how much arithmetic training takes, from the shapes of a model's layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labkit.anatomy import Anatomy, all_layers

BACKWARD = 3
"""A training step costs so many forward passes: there, and back for inputs and weights."""


@dataclass(frozen=True)
class Effort:
    """Multiply-adds for one image, in inference.

    Attributes:
        once: of the blocks below the first that trains; labkit computes them once an image.
        again: of all that comes after, which runs in every epoch.
    """

    once: int
    again: int

    def training(self, images: int, epochs: int) -> int:
        """Return the multiply-adds of training on some images for some epochs."""
        return images * (self.once + epochs * BACKWARD * self.again)


def effort(parts: Anatomy, trained: int) -> Effort:
    """Return the effort of training a model's last blocks and its head.

    Args:
        parts: the model's.
        trained: blocks that train, counted from the output, the lowest that trains included.
    """
    sizes = [multiply_adds(block.layers) for block in parts.blocks]
    first = len(sizes) - trained
    return Effort(sum(sizes[:first]), sum(sizes[first:]) + multiply_adds(parts.head))


def multiply_adds(layers: Iterable[Any]) -> int:
    """Count the multiply-adds of layers for one image, those of convolutions and dense layers.

    >>> import labkit
    >>> vgg = labkit.load_backbone("VGG16", weights=None, image_size=224)
    >>> f"{multiply_adds(vgg.layers) / 1e9:.1f} billion"
    '15.3 billion'
    """
    return sum(
        math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in all_layers(layers)
        for weight in getattr(layer, "weights", ())
        if len(weight.shape) > 1 and not getattr(layer, "layers", ())
    )

"""What is published about each backbone, read from ``catalogue.json``.

Nothing here needs TensorFlow. The numbers are other people's; tests rebuild every
model and compare parameters and depth to the digit.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.errors import ModelError, choices


@dataclass(frozen=True)
class BackboneInfo:
    """Published facts of one pretrained network (ImageNet, 1000 classes).

    Attributes:
        name: what ``load_backbone`` takes.
        family: networks of one family share their way of building.
        input_size: side in pixels of the images it was trained on.
        smallest_size: side in pixels of the smallest image that it takes.
        size_mb: size of the weights in megabytes.
        top1: accuracy in percent on the ImageNet validation set.
        top5: the same, right answer among the first five; None where not published.
        parameters: all parameters, 1000-class top included.
        depth: number of layers that hold weights, top included.
        cpu_ms: published milliseconds an inference step, batch of 32, many-core server.
        gpu_ms: the same on a data-centre GPU.
        offline: True when the weights come with the installation, without a download.
        source: the page that these numbers are from.
    """

    name: str
    family: str
    input_size: int
    smallest_size: int
    size_mb: float
    top1: float
    top5: float | None
    parameters: int
    depth: int
    cpu_ms: float | None
    gpu_ms: float | None
    offline: bool
    source: str
    preprocessing: str = field(repr=False)
    weights: dict[str, Any] = field(repr=False, hash=False)


@functools.cache
def _catalogue() -> dict[str, BackboneInfo]:
    text = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    models = json.loads(text)["models"]
    return {m["name"]: BackboneInfo(offline="package" in m["weights"], **m) for m in models}


def list_backbones() -> list[BackboneInfo]:
    """Return the published facts of every backbone that ``load_backbone`` knows.

    >>> [info.name for info in list_backbones() if info.offline]
    ['EfficientNetLite0']
    """
    return list(_catalogue().values())


def backbone_info(name: str) -> BackboneInfo:
    """Return the facts of one backbone; ModelError lists the names when there is none."""
    try:
        return _catalogue()[name]
    except (KeyError, TypeError):
        raise ModelError(
            f"There is no backbone {name!r}. Choose one of {choices(_catalogue())}."
        ) from None

"""Stained glass: from the amount of each dye to the light that leaves the slide.

Beer-Lambert absorption with one vector a dye, as in colour deconvolution, then the
microscope and its camera: lamp, vignetting, focus, automatic exposure, sensor noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labkit.data.images import Pixels

Field = NDArray[np.float64]
"""Values over a picture. Doubles everywhere: in single precision the last bit, which differs
between processors, would now and then tip the rounding to a byte."""

HAEMATOXYLIN = (0.65, 0.70, 0.29)
COUNTERSTAINS = {
    "green": (0.88, 0.38, 0.28),
    "orange": (0.12, 0.45, 0.88),
    "pink": (0.16, 0.88, 0.45),
}
"""Optical density of the dyes in red, green and blue. Haematoxylin is the value of Ruifrok and
Johnston (2001), as in ``skimage.color.hed_from_rgb``; the Papanicolaou counterstains (light
green, orange G, eosin) are set by eye on the CRIC pictures."""


@dataclass(frozen=True)
class Laboratory:
    """What all slides of one laboratory share.

    Attributes:
        lamp: colour of the empty slide, red, green and blue, 0..1: lamp and white balance.
        haematoxylin: strength of the nuclear stain, 1 is usual.
        counterstain: strength of the cytoplasm's stain, 1 is usual.
        blur: the lens's spread, as a share of the picture's width.
        noise: standard deviation of the sensor's noise in a white pixel, 0..1.
        vignette: loss of light in the corners, 0..1.
    """

    lamp: tuple[float, float, float]
    haematoxylin: float
    counterstain: float
    blur: float
    noise: float
    vignette: float


LABORATORIES = {
    "lab-a": Laboratory((1.00, 0.95, 0.84), 1.10, 0.95, 0.0060, 0.011, 0.14),
    "lab-b": Laboratory((0.86, 0.94, 1.00), 0.95, 1.05, 0.0070, 0.016, 0.08),
    "lab-c": Laboratory((1.00, 0.88, 0.96), 1.00, 1.10, 0.0065, 0.013, 0.18),
    "lab-d": Laboratory((0.91, 1.00, 0.90), 1.05, 0.90, 0.0075, 0.009, 0.05),
}


def dye_vector(density: tuple[float, float, float], hue: tuple[float, float, float]) -> Field:
    """Return a dye's unit vector of optical density, shape (3,), its hue shifted by a batch."""
    vector = np.maximum(np.array(density) + np.array(hue), 0.02)
    return np.asarray(vector / np.sqrt((vector**2).sum()))


def light_through(density: Field, laboratory: Laboratory, style: float) -> Field:
    """Return the light behind a slide of optical density (h, w, 3), in 0..1: lamp x exp(-OD).

    Source: A. C. Ruifrok and D. A. Johnston, "Quantification of histochemical staining by
    color deconvolution", Anal. Quant. Cytol. Histol. 23 (2001); ``skimage.color.separate_stains``
    inverts the same model.
    """
    size = density.shape[0]
    lamp = 1.0 - style * (1.0 - np.array(laboratory.lamp))
    away = (np.arange(size) + 0.5) / size - 0.5
    fall = style * laboratory.vignette * 2.0 * (away[:, None] ** 2 + away[None, :] ** 2)
    return np.asarray(np.exp(-density) * lamp * (1.0 - fall)[:, :, None])


def photograph(
    light: Field,
    laboratory: Laboratory,
    numbers: np.random.Generator,
    *,
    exposure: float,
    focus: float,
    gain: float,
    style: float,
) -> Pixels:
    """Take the picture: focus, automatic exposure and sensor noise; returns (h, w, 3) bytes.

    ``exposure`` is the mean that the camera steers to (0..1), so the brightness of a picture
    says nothing of what is in it. ``focus`` multiplies the laboratory's blur, ``gain`` its noise;
    with a gain that wanders, noise and not chromatin decides how well a picture packs.
    """
    size = light.shape[0]
    spread = laboratory.blur * focus * size * style
    if spread > 0.05:
        light = ndimage.gaussian_filter(light, (spread, spread, 0), truncate=3.0)
    light = light * (1.0 + style * (exposure / light.mean() - 1.0))
    grain = numbers.standard_normal(light.shape) * np.sqrt(np.maximum(light, 0.02))
    light += grain * (laboratory.noise * gain * style)
    return np.asarray((light * 255.0 + 0.5).clip(0, 255), dtype=np.uint8)

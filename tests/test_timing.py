"""Timing counts the steps that it says it does; how long they take is the machine's affair."""

from __future__ import annotations

import time
from typing import Any

import pytest

from labkit.errors import ModelError
from labkit.timing import step_milliseconds


def test_the_median_of_the_later_steps(small_net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 10.0, 10.5, 20.0, 29.0])  # steps of 1, 0.5 and 9 s
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    assert step_milliseconds(small_net(), batch=2, steps=3) == 1000.0
    assert list(ticks) == []


@pytest.mark.parametrize("options", [{"batch": 0}, {"steps": 0}])
def test_numbers_below_one(small_net: Any, options: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="from 1 up"):
        step_milliseconds(small_net(), **options)

"""Errors: one family, and messages that list the choices."""

from __future__ import annotations

import inspect

from labkit import errors


def test_all_are_of_one_family() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(kinds) >= 6
    assert all(issubclass(kind, errors.LabkitError) for kind in kinds)
    assert all(kind.__doc__ for kind in kinds)


def test_a_programmer_s_error_is_not_caught_with_them() -> None:
    assert not issubclass(errors.LabkitError, ValueError | OSError)


def test_choices() -> None:
    assert errors.choices(["a", "b", 3]) == "'a', 'b', 3"
    assert errors.choices([]) == ""
    assert errors.choices({"x": 1}) == "'x'"

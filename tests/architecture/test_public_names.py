"""What `holdfast` offers is listed once, completely, and can be imported."""

from __future__ import annotations

import types

import holdfast
from holdfast import errors

ENTRANCES = {"init", "open", "__version__"}


def our_names() -> set[str]:
    """The public names in the module that are ours: neither modules nor borrowed."""
    return {
        name
        for name, value in vars(holdfast).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and getattr(value, "__module__", "").startswith("holdfast")
    }


def test_every_listed_name_can_be_imported() -> None:
    missing = [name for name in holdfast.__all__ if not hasattr(holdfast, name)]
    assert missing == []


def test_no_name_is_listed_twice() -> None:
    assert len(holdfast.__all__) == len(set(holdfast.__all__))


def test_every_public_name_is_listed() -> None:
    assert "HoldfastError" in our_names()
    assert our_names() - set(holdfast.__all__) == set()


def test_the_entrances_and_every_error_are_listed() -> None:
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.HoldfastError)
    }
    assert (ENTRANCES | raised) - set(holdfast.__all__) == set()


def test_dir_shows_every_listed_name() -> None:
    assert set(holdfast.__all__) - set(dir(holdfast)) == set()


def test_every_listed_class_and_function_says_what_it_is() -> None:
    silent = [
        name
        for name in holdfast.__all__
        if isinstance(value := getattr(holdfast, name), type | types.FunctionType)
        and not value.__doc__
    ]
    assert silent == []

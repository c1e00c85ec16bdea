"""Recipes: pages of configuration, loaded from a file, with typed overrides."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import runpy
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from asr.errors import AsrError
from asr.training.loop import Options, Task

Settings = TypeVar("Settings")


@runtime_checkable
class Recipe(Protocol):
    """A frozen dataclass that can make what is to be trained."""

    @property
    def name(self) -> str: ...

    @property
    def training(self) -> Options: ...

    def task(self, data: Path, run: Path) -> Task[Any, Any]:
        """The task, with data from the folder `data`; whatever it prepares is kept beside the run folder."""
        ...

    def afterwards(self, data: Path, run: Path) -> list[str]:
        """The commands that make use of a finished run and say how good it is."""
        ...


@runtime_checkable
class Comparison(Protocol):
    """A frozen dataclass of several recipes, trained one after the other to be compared."""

    @property
    def name(self) -> str: ...

    @property
    def compared(self) -> Mapping[str, str]:
        """Settings that `members` gives each recipe a value of its own, and the setting that says which."""
        ...

    def members(self) -> Mapping[str, Recipe]:
        """The recipes by name; each is trained in a folder of this name."""
        ...

    def conclude(self, data: Path, run: Path) -> list[str]:
        """Draws the comparison into the run folder, and returns what to tell the user of it."""
        ...


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe | Comparison:
    """The object called `recipe` in a recipe file, with `key=value` overrides applied.

    Raises `AsrError` if there is none, or for a key or value that does not fit.
    """
    if not path.is_file():
        raise AsrError(f"{path}: no such recipe; the recipes are in the folder recipes/ of a checkout")
    try:
        recipe = runpy.run_path(str(path)).get("recipe")
    except Exception as error:
        raise AsrError(f"{path}: cannot be read as a recipe: {type(error).__name__}: {error}") from error
    if not (dataclasses.is_dataclass(recipe) and isinstance(recipe, Recipe | Comparison)):
        raise AsrError(f"{path}: holds no object called `recipe`; see recipes/english_small.py for one")
    for override in overrides:
        recipe = override_setting(recipe, override)
    return recipe


def override_setting(settings: Settings, override: str) -> Settings:
    """The settings with one `key=value` applied, e.g. `training.epochs=3` or, where it is unique, `epochs=3`."""
    key, separator, text = override.partition("=")
    if not separator:
        raise AsrError(f"{override!r} is not of the form key=value")
    paths = _paths(settings)
    matching = [path for path in paths if path == key or path.endswith("." + key)]
    if key in matching:
        matching = [key]
    if not matching:
        names = [*paths, *(path.rpartition(".")[2] for path in paths)]
        near = difflib.get_close_matches(key, names, n=1)
        raise AsrError(f"no setting is called {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    if len(matching) > 1:
        raise AsrError(f"{key!r} could be {' or '.join(matching)}; say which")
    if isinstance(settings, Comparison) and (instead := settings.compared.get(matching[0])):
        advice = f'--set "{instead}={getattr(settings, instead)}"'
        raise AsrError(f"{override}: each network that is compared has its own {key}; set them all: {advice}")
    return _replace(settings, matching[0].split("."), text)


def _paths(settings: Any, prefix: str = "") -> list[str]:
    paths = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            paths += _paths(value, f"{prefix}{field.name}.")
        else:
            paths.append(prefix + field.name)
    return paths


def _replace(settings: Any, path: list[str], text: str) -> Any:
    name = path[0]
    if len(path) > 1:
        return dataclasses.replace(settings, **{name: _replace(getattr(settings, name), path[1:], text)})
    wanted = typing.get_type_hints(type(settings))[name]
    return dataclasses.replace(settings, **{name: _parse(name, text, wanted)})


def _parse(name: str, text: str, wanted: Any) -> Any:
    if wanted is str:
        return text
    words = {"true": True, "false": False, "none": None}
    try:
        value = words[text.lower()] if text.lower() in words else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    fitting = _fit(value, wanted)
    if fitting is _UNFIT:
        raise AsrError(f"{name}={text}: {name} is {_described(wanted)}")
    return fitting


def _described(wanted: Any) -> str:
    if typing.get_origin(wanted) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(wanted)))}"
    return f"of type {wanted.__name__ if isinstance(wanted, type) and not typing.get_args(wanted) else wanted}"


_UNFIT = object()


def _fit(value: Any, wanted: Any) -> Any:
    """The value as an instance of the type, or `_UNFIT`."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Literal:
        return value if value in arguments else _UNFIT
    if origin is tuple:
        items = tuple(value) if isinstance(value, list | tuple) else (value,)
        types = [arguments[0]] * len(items) if arguments[-1] is Ellipsis else list(arguments)
        if len(types) != len(items):
            return _UNFIT
        fitted = tuple(_fit(item, kind) for item, kind in zip(items, types, strict=True))
        return _UNFIT if _UNFIT in fitted else fitted
    if arguments:  # a union
        fitted = tuple(_fit(value, kind) for kind in arguments)
        return next((item for item in fitted if item is not _UNFIT), _UNFIT)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is type(None):
        return value if value is None else _UNFIT
    return value if type(value) is wanted else _UNFIT

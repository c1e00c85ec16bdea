"""The user's `dictation.toml`: replacements, marks, a hook, and how keys are pressed."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from asr.dictation.keyboards import KeyboardOptions
from asr.dictation.spoken import MARKS, Mark, Phrases
from asr.errors import AsrError

EXAMPLE = """\
hook = "hook.py"                       # beside this file: def process(text: str) -> str

[replacements]                         # spoken words = what is written for them
"my address" = "12 Main Street"

[marks]                                # as a comma is set; spaces at the ends say where spaces stand, "" takes one away
"period" = "."
"arrow" = " -> "

[keys]
key_milliseconds = 1                   # between keys
paste_key = "shift+Insert"
"""


class ConfigError(AsrError):
    """A dictation.toml or a hook that cannot be used."""


@dataclass(frozen=True, slots=True)
class Config:
    phrases: Phrases = field(default_factory=Phrases)
    keys: KeyboardOptions = field(default_factory=KeyboardOptions)


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "asr" / "dictation.toml"


def read_config(path: Path) -> Config:
    """What the file says; the defaults where it does not exist. Raises ConfigError with its name."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    if unknown := set(content) - {"hook", "replacements", "marks", "keys"}:
        raise ConfigError(
            f"{path} has unknown entries: {', '.join(sorted(unknown))}; known are hook, replacements, marks, keys."
        )
    replacements = _texts(path, content, "replacements")
    marks = dict(MARKS) | {spoken: Mark.of(text) for spoken, text in _texts(path, content, "marks").items()}
    hook = _hook(path, content["hook"]) if "hook" in content else None
    return Config(Phrases(marks, replacements, hook), _keys(path, content.get("keys", {})))


def _texts(path: Path, content: Mapping[str, object], table: str) -> dict[str, str]:
    found = content.get(table, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ConfigError(f'{path}: [{table}] needs lines of the form "spoken words" = "text".')
    if any(not spoken.split() for spoken in found):
        raise ConfigError(f"{path}: [{table}] has an entry without spoken words.")
    return found


def _keys(path: Path, content: object) -> KeyboardOptions:
    kinds = {option.name: type(option.default) for option in fields(KeyboardOptions)}
    if not isinstance(content, dict) or any(
        not isinstance(value, (int, float) if kinds.get(name) is float else kinds.get(name, ()))
        for name, value in content.items()
    ):
        raise ConfigError(f"{path}: [keys] may hold {', '.join(kinds)}, each with a value of its kind.")
    return KeyboardOptions(**content)


def _hook(path: Path, name: object) -> Callable[[str], str]:
    """The function `process` of the user's Python file, looked for beside the configuration."""
    if not isinstance(name, str):
        raise ConfigError(f'{path}: hook needs the name of a Python file, as in hook = "hook.py".')
    file = path.parent / Path(name).expanduser()
    spec = importlib.util.spec_from_file_location("asr_dictation_hook", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ConfigError(f"{path}: there is no Python file {file} for the hook.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may raise anything
        raise ConfigError(f"The hook {file} cannot be loaded ({type(error).__name__}: {error}).") from error
    process = getattr(module, "process", None)
    if not callable(process):
        raise ConfigError(f"The hook {file} needs a function: def process(text: str) -> str.")

    def call(text: str) -> str:
        try:
            changed = process(text)
        except Exception as error:
            raise ConfigError(f"The hook {file} failed ({type(error).__name__}: {error}).") from error
        if not isinstance(changed, str):
            raise ConfigError(f"The hook {file} gave {type(changed).__name__} back instead of text.")
        return changed

    return call

"""Text that programs read: JSON, YAML, TOML, CSV."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Final

import yaml

from holdfast.platform.formats.verdict import Broken, Limits, Unread

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def read_json(path: Path, limits: Limits) -> None:
    """One JSON document."""
    _parse_json(_content(path, limits))


def read_json_lines(path: Path, limits: Limits) -> None:
    """A JSON document a line."""
    with path.open("rb") as file:
        while line := file.readline(limits.text + 1):
            if len(line) > limits.text:
                raise Unread("a line is too long to be read")
            if line.strip():
                _parse_json(line)


def _parse_json(data: bytes) -> None:
    try:
        json.loads(data, parse_int=str, parse_float=str)
    except RecursionError:
        raise Unread("it is nested too deeply") from None
    except ValueError as error:  # also of what is no Unicode
        raise Broken(str(error)) from error


def read_yaml(path: Path, limits: Limits) -> None:
    """YAML documents, by their events: nothing is built, so no alias can make much of little."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    anchors: set[str] = set()
    try:
        for event in yaml.parse(_content(path, limits), loader):
            if isinstance(event, yaml.DocumentStartEvent):
                anchors.clear()
            elif isinstance(event, yaml.AliasEvent) and event.anchor not in anchors:
                raise Broken(f"it has no anchor {event.anchor!r}")
            elif isinstance(event, yaml.NodeEvent) and event.anchor is not None:
                anchors.add(event.anchor)
    except RecursionError:
        raise Unread("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Broken(" ".join(str(error).split())) from error


def read_toml(path: Path, limits: Limits) -> None:
    """A TOML document."""
    try:
        tomllib.loads(_content(path, limits).decode("utf-8"))
    except RecursionError:
        raise Unread("it is nested too deeply") from None
    except ValueError as error:
        raise Broken(str(error)) from error


def read_csv(path: Path, limits: Limits) -> None:
    """Rows of values, in UTF-8 or marked UTF-16."""
    csv.field_size_limit(limits.text)
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in _UTF16 else "utf-8-sig"
    with path.open(encoding=encoding, newline="") as text:
        try:
            for row in csv.reader(text):
                if any("\0" in value for value in row):
                    raise Broken("it holds bytes of value zero")
        except UnicodeDecodeError:
            raise Unread("it is not in UTF-8, so its encoding is not known") from None
        except csv.Error as error:
            raise Broken(str(error)) from error


def _content(path: Path, limits: Limits) -> bytes:
    with path.open("rb") as file:
        data = file.read(limits.text + 1)
    if len(data) > limits.text:
        raise Unread(f"it is larger than {limits.text:,} bytes")
    return data

"""The notebooks in `examples/`: run, and kept without what only one run has.

`python -m tests.notebooks` (`make notebooks`) runs all of them, and saves those that show something
else than they did. Those that are named are saved in any case, for pictures are not compared.
tests/integration/test_notebooks.py runs them and compares.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

import holdfast

if TYPE_CHECKING:
    from nbformat import NotebookNode

EXAMPLES = Path(__file__).parents[1] / "examples"
TEMPORARY = Path("/tmp")
"""Where they work when they are saved, for what they show to name no other place."""

SECONDS = 120
"""Most that a cell may take."""

KEPT = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}
"""Metadata of a notebook; kernels add the versions of what ran it."""


START = """
from importlib.metadata import entry_points
if "holdfast" not in {each.name for each in entry_points(group="fsspec.specs")}:
    import fsspec
    fsspec.register_implementation("holdfast", "holdfast.engine.protocol.HoldfastFileSystem")
"""
"""Run by each kernel: `holdfast://` is known also where holdfast runs without being installed."""


def notebooks() -> list[Path]:
    return sorted(EXAMPLES.glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


@contextmanager
def sockets() -> Iterator[Config]:
    """How a kernel is to be spoken to: by sockets in a directory of its own.

    Ports are looked for by one process, and taken by the kernel later: by then somebody else may
    have them, and the kernel ends.
    """
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        yield Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


def run(
    notebook: NotebookNode, folder: Path, start: str = "", temporary: Path | None = None
) -> NotebookNode:
    """Run a notebook in a kernel of its own, as somebody in another place at another time would.

    Args:
        notebook: what to run; it gets the outputs.
        folder: an empty directory: home, and where the kernel begins.
        start: Python code that the kernel's process runs first, after `START`.
        temporary: where temporary files are made; in `folder` when None.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    (folder / "start").mkdir()
    (folder / "start/sitecustomize.py").write_text(START + start)
    source = str(Path(holdfast.__file__).parents[1])
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(folder),
        "TMPDIR": str(temporary or folder),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": os.pathsep.join([str(folder / "start"), source]),
        "PYTHONHASHSEED": "0",
    }
    where = {"metadata": {"path": str(folder)}}
    with sockets() as config:
        client = NotebookClient(
            notebook, timeout=SECONDS, kernel_name="python3", resources=where, config=config
        )
        client.execute(env=environment)
    return tidied(notebook)


def tidied(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs between two runs for no reason, and without doubles.

    What a result shows beside a table or a picture is its `repr`, all of it on one line.
    """
    notebook.metadata = nbformat.from_dict(KEPT)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", ()):
            output.get("metadata", {}).clear()
            data = output.get("data", {})
            if data.keys() & {"text/html", "image/png"}:
                data.pop("text/plain", None)
            data.update({kind: settled(text) for kind, text in data.items() if "text" in kind})
            if "text" in output:
                output["text"] = settled(output["text"])
    return notebook


def settled(text: str) -> str:
    """A text with its temporary directories without their random endings."""
    return re.sub(_TEMPORARY, r"\1", text)


def written(notebook: NotebookNode) -> str:
    """What its file has."""
    text: str = nbformat.writes(notebook)
    return text + "\n"


_TEMPORARY = r"\b(holdfast-[a-z]+)-[a-z0-9_]{8}\b"
"""A directory that a notebook makes, as `tempfile.TemporaryDirectory` names it."""

_WHAT_RUNS_DIFFER_IN = (
    (r"<wbr>", ""),
    (r"<(style|script)\b.*?</\1>|<[^>]*>", " "),  # how tables look is tested elsewhere
    (_TEMPORARY, r"\1"),
    (r"(/[^\s\"'<>,&]*?)?/(holdfast-[a-z]+)\b", r"/\2"),  # wherever temporary files are
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"\b(?=[a-f]*[0-9])[0-9a-f]{8}\b", "SHORT"),
    (r"\b[a-f]{8}\b", "SHORT"),
    (r"[0-9][0-9,]*(\.[0-9]+)?( (B|KiB|MiB|s|bytes)\b)?", "N"),
    (r"\s+", " "),
)


def shape(text: str) -> str:
    """What is to be read in a text or a page, without what is random.

    That is ids, and all numbers: sizes in storage depend on keys.
    """
    for pattern, instead in _WHAT_RUNS_DIFFER_IN:
        text = re.sub(pattern, instead, text, flags=re.DOTALL)
    return text


def outputs(notebook: NotebookNode) -> list[list[tuple[str, str]]]:
    """What each cell shows: a kind, and a text without what is random ("" for a picture)."""
    return [
        [shown for output in cell.outputs for shown in sorted(kinds_of(output))]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def kinds_of(output: NotebookNode) -> list[tuple[str, str]]:
    if output.output_type == "stream":
        return [(f"stream {output.name}", shape(output.text))]
    assert output.output_type in {"execute_result", "display_data"}, output
    return [
        (kind, "" if kind.startswith("image/") else shape(text))
        for kind, text in output.data.items()
    ]


def main(names: list[str]) -> None:
    for path in notebooks():
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            done = run(read(path), Path(folder), temporary=TEMPORARY)
        if names or outputs(done) != outputs(read(path)):
            path.write_text(written(done), "utf-8")
        print(path.name, f"{path.stat().st_size:,} bytes")  # noqa: T201 - for whoever runs it


if __name__ == "__main__":
    main(sys.argv[1:])

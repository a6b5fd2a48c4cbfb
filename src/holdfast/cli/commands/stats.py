"""``holdfast stats``: what the snapshots hold and what it takes to store them."""

from __future__ import annotations

from typing import Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import size


@click.command("stats", short_help="How much is stored, and how much that saves.")
@repository_options
@click.pass_obj
def command(connect: Connector, **options: Unpack[RepositoryOptions]) -> None:
    """Count what all snapshots hold and what it takes to store them."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        stats = repo.stats()
    if connect.output.json:
        connect.output.document(stats.dict())
        return
    rows = {
        "snapshots": f"{stats.snapshots:,}",
        "files in all of them": f"{stats.files:,}",
        "size of all of them": size(stats.restore_size),
        "different data": size(stats.raw_size),
        "stored": size(stats.stored_size),
        "deduplication": f"{stats.dedup_ratio:.2f} : 1",
        "compression": f"{stats.compression_ratio:.2f} : 1",
        "together": f"{stats.efficiency:.2f} : 1",
    }
    if stats.missing:
        rows["missing blobs"] = f"{stats.missing:,} (run holdfast validate)"
    for name, value in rows.items():
        print(f"{name:<22}{value}")

"""Three copies on two kinds of media, one of them off-site: one backup, two copies of it.

    python examples/three_two_one.py [CLOUD [OFFSITE]]

CLOUD and OFFSITE are URIs such as s3://bucket/shop and gs://bucket/shop; what their drivers are to
be told stands in the variables CLOUD_OPTIONS and OFFSITE_OPTIONS, as JSON. Without them all is done
on this disk, which shows the same and protects from nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import holdfast
from holdfast import Repository, environment
from holdfast.platform.status import CopyPlace, Home, RuleStatus, three_two_one

PASSWORD = "a long password"


@dataclass(frozen=True)
class Copy:
    """A repository, and where it is."""

    location: str
    home: Home
    tags: tuple[str, ...]
    options: Mapping[str, object] = field(default_factory=dict)

    def open(self) -> Repository:
        """Open it."""
        return holdfast.open(
            self.location, password=PASSWORD, storage_options=self.options, cache=False
        )

    def init(self, like: Repository | None = None) -> Repository:
        """Make it, so that data keeps its form on its way from another one."""
        return holdfast.init(
            self.location, password=PASSWORD, storage_options=self.options, like=like, cache=False
        )


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def options_of(variable: str) -> dict[str, object]:
    """What a store's driver is told."""
    found: dict[str, object] = json.loads(environment.variable(variable) or "{}")
    return found


def look_at(copies: list[Copy]) -> RuleStatus:
    """The same as `holdfast 321 status`."""
    opened: list[Repository] = []

    def opener(copy: Copy) -> Repository:
        opened.append(copy.open())
        return opened[-1]

    places = [CopyPlace(each.location, each.home, partial(opener, each)) for each in copies]
    found = three_two_one(Home("disk", "office"), places)
    for repository in opened:
        repository.close()
    for source in found.sources:
        words = f"{source.number} copies, {len(source.media)} kinds of media"
        print(f"  {words}, {source.offsite} off-site; missing: {', '.join(source.missing) or '-'}")
    for where, problem in found.errors:
        print(f"  {Path(where).name}: {problem}")
    return found


def main(folder: Path, cloud: str, offsite: str) -> None:
    """Do all of it; what has no place of its own is put into the folder."""
    data = folder / "shop"
    data.mkdir()
    (data / "orders.csv").write_text("1,bread\n2,milk\n" * 10_000)
    nas = Copy(str(folder / "nas"), Home("nas", "office"), ("primary", "nas"))
    second = Copy(
        cloud, Home("cloud", "eu-west-1"), ("secondary", "cloud"), options_of("CLOUD_OPTIONS")
    )
    third = Copy(
        offsite, Home("cloud", "us-east1"), ("tertiary", "offsite"), options_of("OFFSITE_OPTIONS")
    )
    copies = [nas, second, third]

    print("1. one backup")
    with nas.init() as primary:
        primary.backup(data, tags=["3-2-1", *nas.tags])
        second.init(like=primary).close()
        third.init(like=primary).close()
        expect("the rule does not hold yet", is_so=not look_at(copies).ok)

        print("2. two copies of it")
        for each in (second, third):
            with each.open() as target:
                sent = primary.copy(target, tags=["3-2-1"])
                expect(f"copied to {'/'.join(each.tags)}", is_so=len(sent.copied) == 1)
                target.tag(tags=["3-2-1"], only=["3-2-1", *each.tags])
        made = primary.snapshot("latest")
    expect("the rule holds", is_so=look_at(copies).ok)

    print("3. the office burns down")
    before = (data / "orders.csv").read_bytes()
    shutil.rmtree(data)
    shutil.rmtree(folder / "nas")
    expect("the NAS does not answer any more", is_so=len(look_at(copies).errors) == 1)
    with third.open() as rescue:
        (found,) = rescue.snapshots(tags=["3-2-1", "offsite"])
        expect("the same snapshot is off-site", is_so=found.original == made.id)
        rescue.restore(f"{found.id}:{data}", data, verify=True)
    expect("nothing is lost", is_so=(data / "orders.csv").read_bytes() == before)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        here = [str(Path(name, "cloud")), str(Path(name, "offsite"))]
        given = sys.argv[1:]
        main(Path(name), *given, *here[len(given) :])

"""Rows 16 to 24 of the fault catalogue, on a real S3 server behind a network that does harm.

For each fault and each n: the n-th request of a backup, restore, check or prune meets it. What
passes by itself must not be noticed; anything else must end in an error of ours. Whatever is said
to be done is there, and what was there before stays: another client, beside the network, looks.

Every run tries some n of each fault, other ones for each; `make soak` tries every n of every fault.
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from tests.length import STRIDES, Stride
from tests.servers.faults import (
    ACCESS_DENIED,
    CLOCK_SKEW,
    CONFLICT,
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    NO_SUCH_BUCKET,
    PRECONDITION_FAILED,
    SLOW_DOWN,
    TOO_MANY_REQUESTS,
    WRONG_REGION,
    Answer,
    Break,
    Fault,
    ShortListing,
    StaleListing,
    Stall,
)
from tests.servers.proxy import Plan, Proxy, only, untouched

from holdfast.backend import Access, Address, Backend, MemoryBackend, Retrying
from holdfast.backend.remote import RemoteBackend, open_remote
from holdfast.clock import SYSTEM_CLOCK, SystemClock
from holdfast.engine.repository import Repository
from holdfast.errors import (
    AccessDenied,
    BackendError,
    HoldfastError,
    StorageUnavailable,
)
from holdfast.overrides import override
from holdfast.testing.content import noise
from holdfast.testing.repositories import attached, new_store

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

Contents: TypeAlias = dict[str, bytes]

NUMBERS = range(1, 1000)
"""Of requests; no operation here needs as many, even on a machine that is slow."""

PASSING: dict[str, Fault] = {
    "409": CONFLICT,
    "429": TOO_MANY_REQUESTS,
    "500": INTERNAL_ERROR,
    "503": SLOW_DOWN,
    "spoilt on its way": Answer(400, "XAmzContentSHA256Mismatch"),
    "reset before": Break.BEFORE_REQUEST,
    "reset in the request": Break.IN_REQUEST,
    "answer lost": Break.LOST_ANSWER,
    "reset in the answer": Break.IN_ANSWER,
    "answer cut short": Break.SHORT_ANSWER,
    "stalled": Stall.IN_ANSWER,
}
"""Faults that are over when the request is sent again."""

LASTING: dict[str, tuple[Fault, type[HoldfastError]]] = {
    "403": (ACCESS_DENIED, AccessDenied),
    "no bucket": (NO_SUCH_BUCKET, BackendError),
    "expired token": (EXPIRED_TOKEN, AccessDenied),
    "clock skew": (CLOCK_SKEW, AccessDenied),
    "412": (PRECONDITION_FAILED, BackendError),
    "404 of a stranger": (Answer(404, "Gone"), BackendError),
    "wrong region": (WRONG_REGION, BackendError),
}
"""Faults that no second try helps."""

TOLD_APART = ("500", "answer lost")
"""Passing faults that the engine could tell apart: a thing was not done, or it was. The others it
never hears of, as they are retried below it, so in a run that is not at length each of them is met
by a third as many requests, other ones for each fault."""

passing = pytest.mark.parametrize("fault", PASSING)
lasting = pytest.mark.parametrize("fault", LASTING)


def sampled(some: Iterable[str], every: Iterable[str]) -> pytest.MarkDecorator:
    """Some faults in a run that is not at length; at length all of them."""
    return pytest.mark.parametrize(
        ("stride", "fault"),
        [
            pytest.param(*stride.values, fault, id=f"{stride.id}-{fault}", marks=stride.marks)
            for stride, faults in zip(STRIDES, (some, every), strict=True)
            for fault in faults
        ],
    )


class Hurried(SystemClock):
    """A clock that does not wait: it is later at once."""

    def __init__(self) -> None:
        self._skipped = 0.0

    @override
    def monotonic(self) -> float:
        return super().monotonic() + self._skipped

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        self._skipped += seconds
        return event.is_set()


class Case:
    """A repository in a bucket, seen through the proxy and beside it.

    Attributes:
        source: what is backed up.
        kept: what its snapshots hold, by id; another one was forgotten, for a prune to clear up.
        origin: all its objects as they are at first, and again after `reset`.
    """

    def __init__(self, proxy: Proxy, folder: Path, location: str, options: Access) -> None:
        self.proxy = proxy
        self.source = folder / "source"
        (self.source / "deep").mkdir(parents=True)
        for number in range(4):
            (self.source / f"deep/{number}").write_bytes(noise(6000, number))
        self._location = location
        self.clean = open_remote(location, "s3", options.options)
        through = {
            **options.options,
            "endpoint_url": proxy.address,
            "config_kwargs": {"read_timeout": 0.5},
        }
        self._through = open_remote(location, "s3", through)
        self.store = new_store(self.clean)
        self.kept: dict[str, Contents] = {}
        for number in range(3):
            contents = self.change(number)
            snapshot = self.beside.backup(self.source).snapshot
            assert snapshot is not None
            self.kept[snapshot.id] = contents
        gone = next(iter(self.kept))
        del self.kept[gone]
        self.beside.forget(gone)
        self.origin = {name: self.clean.get(name) for name in self.names("")}

    def close(self) -> None:
        self.clean.close()
        self._through.close()

    @property
    def beside(self) -> Repository:
        """The repository as a client sees it that meets no harm."""
        return Repository(attached(self.store, self.clean), SYSTEM_CLOCK)

    @property
    def through(self) -> Repository:
        """The repository as a new process sees it through the proxy."""
        return Repository(attached(self.store, self.backend()), SYSTEM_CLOCK)

    def backend(self) -> Backend:
        """The storage of a new process; to save time, with the connections of those before."""
        address = Address(self._location, Access())
        return Retrying(RemoteBackend(self._through._driver, address), Hurried())

    def change(self, number: int) -> Contents:
        """Change the source; returns what is in it."""
        (self.source / "changing").write_bytes(noise(3000, 1000 + number))
        return {str(path): path.read_bytes() for path in self.source.rglob("*") if path.is_file()}

    def expect(self, snapshots: dict[str, Contents]) -> None:
        """These snapshots are there, and whole, and nothing is damaged."""
        stored = MemoryBackend()
        with ThreadPoolExecutor(4) as pool:
            names = sorted(self.names(""))
            for name, data in zip(names, pool.map(self.clean.get, names), strict=True):
                stored.put(name, data)
        repository = Repository(attached(self.store, stored), SYSTEM_CLOCK)
        assert snapshots.keys() <= {snapshot.id for snapshot in repository.snapshots()}
        for snapshot, contents in snapshots.items():
            for path, content in contents.items():
                with repository.open_file(snapshot, path) as stream:
                    assert stream.read() == content
        report = repository.check(read_data=True)
        assert report.valid, report.findings

    def names(self, folder: str) -> set[str]:
        return {info.name for info in self.clean.list(folder)}

    def reset(self) -> None:
        """Put everything back to where it was."""
        self.proxy.plan = untouched
        now = self.names("")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.clean.delete, now - self.origin.keys()))
            missing = self.origin.keys() - now
            list(pool.map(lambda name: self.clean.put(name, self.origin[name]), missing))


@pytest.fixture(scope="module")
def shared(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    location, options = servers.get("versity").place()
    with pytest.MonkeyPatch.context() as patch, Proxy(str(options["endpoint_url"])) as proxy:
        # aiohttp does not notice every stall; this is what does in the end.
        patch.setattr("holdfast.backend.drivers.driver.TIMEOUT", 15.0)
        case = Case(proxy, tmp_path_factory.mktemp("case"), location, Access(options))
        yield case
        case.close()


@pytest.fixture
def case(shared: Case) -> Iterator[Case]:
    """Two snapshots, and something to prune."""
    yield shared
    shared.reset()


def each(case: Case, plan: Callable[[int], Plan], numbers: range) -> Iterator[int]:
    """Numbers of requests, from the same state each, until no request has the number."""
    for number in numbers:
        case.proxy.forget()
        case.proxy.plan = plan(number)
        yield number
        case.proxy.plan = untouched
        if len(case.proxy.requests) < number:
            return
        case.reset()
    raise AssertionError("the work never ends")


def each_once(case: Case, fault: str, stride: Stride, step: int = 1) -> Iterator[int]:
    """Numbers of requests; in each turn the one of that number meets a passing fault."""
    first = list(PASSING).index(fault) % 9 * step
    step *= 3 if fault in TOLD_APART else 9
    numbers = stride(NUMBERS, step, first % step)
    return each(case, lambda n: only(n, PASSING[fault]), numbers)


# A fault that passes is not noticed


@pytest.mark.fault(18, 19, 20, 21)
@passing
def test_a_backup_is_done_whatever_fails_once(case: Case, fault: str, stride: Stride) -> None:
    contents = case.change(7)
    for _ in each_once(case, fault, stride):
        snapshot = case.through.backup(case.source).snapshot
        assert snapshot is not None
        case.expect({snapshot.id: contents})
        assert case.names("sessions/") == case.names("probe/") == set()


@pytest.mark.fault(18, 20, 21)
@passing
def test_a_restore_is_done_whatever_fails_once(
    case: Case, fault: str, stride: Stride, tmp_path: Path
) -> None:
    snapshot, contents = next(iter(case.kept.items()))
    target = tmp_path / "target"
    for _ in each_once(case, fault, stride):
        shutil.rmtree(target, ignore_errors=True)
        result = case.through.restore(snapshot, target)
        assert result.errors == ()
        for path, content in contents.items():
            assert Path(str(target) + path).read_bytes() == content
    assert case.names("") == case.origin.keys()


@pytest.mark.fault(18, 20)
@passing
def test_a_check_is_right_whatever_fails_once(case: Case, fault: str, stride: Stride) -> None:
    """Sampled, each fifteenth request or fewer: they are of few kinds."""
    for _ in each_once(case, fault, stride, 5):
        report = case.through.check(read_data=True)
        assert report.valid, report.findings
    assert case.names("") == case.origin.keys()


@pytest.mark.fault(18, 19)
@sampled(TOLD_APART, PASSING)
def test_a_prune_is_done_whatever_fails_once(case: Case, fault: str, stride: Stride) -> None:
    """Sampled, each thirtieth request: a prune has many of a kind."""
    gone, kept = case.kept
    for _ in each_once(case, fault, stride, 10):
        repository = case.through
        repository.forget(gone, force=True)
        result = repository.prune(max_unused="0", force=True)
        assert result.packs_pending == 0
        assert case.names("gc/") == case.names("forgotten/") == case.names("sessions/") == set()
        case.expect({kept: case.kept[kept]})


# A fault that lasts ends in an error, and harms nothing


def expect_all(case: Case, contents: Contents) -> int:
    """What there was is there, and any other snapshot is a whole one of the source as it is now.

    Returns:
        How many others there are: the answer to a commit may be what was lost.
    """
    ids = {snapshot.id for snapshot in case.beside.snapshots()}
    others = ids - case.kept.keys()
    case.expect({**case.kept, **dict.fromkeys(others, contents)})
    return len(others)


@pytest.mark.fault(18)
@lasting
def test_a_backup_fails_with_an_error_of_ours_and_harms_nothing(
    case: Case, fault: str, stride: Stride
) -> None:
    harm, error = LASTING[fault]
    contents = case.change(8)
    failed = 0
    for _ in each(case, lambda n: only(n, harm), stride(NUMBERS, 7, list(LASTING).index(fault))):
        try:
            result = case.through.backup(case.source)
        except error:
            failed += 1
            assert expect_all(case, contents) in {0, 1}
        else:
            assert result.snapshot is not None
            assert expect_all(case, contents) == 1
    assert failed > 1


@pytest.mark.fault(18, 20)
@lasting
def test_what_is_read_is_right_or_an_error_of_ours(
    case: Case, fault: str, stride: Stride, tmp_path: Path
) -> None:
    harm, error = LASTING[fault]
    place = list(LASTING).index(fault)
    snapshot, contents = next(iter(case.kept.items()))
    target = tmp_path / "target"
    failed = 0
    for _ in each(case, lambda n: only(n, harm), stride(NUMBERS, 3, place % 3)):
        shutil.rmtree(target, ignore_errors=True)
        try:
            result = case.through.restore(snapshot, target)
        except error:
            failed += 1
            continue
        missing = {problem.path for problem in result.errors}
        for path, content in contents.items():
            file = Path(str(target) + path)
            assert path in missing or file.read_bytes() == content
    for _ in each(case, lambda n: only(n, harm), stride(NUMBERS, 17, place * 2)):
        try:
            report = case.through.check(read_data=True)
        except error:
            failed += 1
        else:
            assert report.valid, report.findings  # it was only read ahead
    assert failed > 3
    assert case.names("") == case.origin.keys()


@pytest.mark.fault(18)
@sampled(["403", "no bucket", "412"], LASTING)
def test_a_prune_that_fails_harms_nothing(case: Case, fault: str, stride: Stride) -> None:
    """Sampled, each fortieth request: a prune has many of a kind."""
    harm, _ = LASTING[fault]
    gone, kept = case.kept
    failed = 0
    numbers = stride(NUMBERS, 40, 2 + list(LASTING).index(fault) * 7)
    for _ in each(case, lambda n: only(n, harm), numbers):
        repository = case.through
        try:
            repository.forget(gone, force=True)
            repository.prune(max_unused="0", force=True)
        except HoldfastError:
            failed += 1
        case.expect({kept: case.kept[kept]})
    assert failed


def since(number: int, fault: Fault) -> Plan:
    """That request and all later ones."""
    return lambda now, *_: fault if now >= number else None


@pytest.mark.fault(18, 19)
@pytest.mark.parametrize("fault", [INTERNAL_ERROR, Break.LOST_ANSWER], ids=["500", "answers lost"])
def test_a_storage_that_is_gone_for_good_ends_everything(
    case: Case, fault: Fault, stride: Stride
) -> None:
    contents = case.change(9)
    failed = 0
    for _ in each(case, lambda n: since(n, fault), stride(NUMBERS, 13, 4)):
        try:
            case.through.backup(case.source)
        except StorageUnavailable:
            failed += 1
        case.proxy.plan = untouched
        expect_all(case, contents)
        result = case.through.backup(case.source)
        assert result.snapshot is not None
        case.expect({result.snapshot.id: contents})
    assert failed


# Listings that lie


def nth_listing(number: int, fault: Fault, *, ever: bool) -> Plan:
    """The listing of that number, or all from there on."""
    seen = itertools.count(1)

    def plan(_: int, method: str, path: str) -> Fault | None:
        if method != "GET" or "list-type=" not in path:
            return None
        now = next(seen)
        return fault if now == number or (ever and now > number) else None

    return plan


LIES: dict[str, Fault] = {
    "stale": StaleListing(),
    "empty": ShortListing(0),
    "short": ShortListing(1),
}
lies = pytest.mark.parametrize("lie", LIES)
each_time = pytest.mark.parametrize("ever", [False, True], ids=["once", "for ever"])


@pytest.mark.fault(22)
@lies
@each_time
def test_a_backup_beside_a_listing_that_lies_is_whole_or_fails(
    case: Case, lie: str, stride: Stride, *, ever: bool
) -> None:
    contents = case.change(10)
    for number in stride(range(1, 12), 2, ever):
        case.proxy.plan = nth_listing(number, LIES[lie], ever=ever)
        case.proxy.forget()
        try:
            result = case.through.backup(case.source)
        except HoldfastError:
            assert expect_all(case, contents) == 0
        else:
            assert result.snapshot is not None
            assert expect_all(case, contents) == 1
        if not any(request.fault for request in case.proxy.requests):
            break
        case.reset()
    assert number > 4


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("lie", "ever"), [("stale", True), ("empty", True), ("short", False), ("short", True)]
)
def test_a_prune_beside_a_listing_that_lies_refuses_or_harms_nothing(
    case: Case, lie: str, stride: Stride, *, ever: bool
) -> None:
    """Sampled, each twentieth listing: a prune has many. A stale one lacks the newest snapshot."""
    gone, kept = case.kept
    refused = 0
    for number in stride(range(1, 60), 20):
        backend = case.backend()
        for folder in ("snapshots/", "index/", "data/", "sessions/", "gc/", "forgotten/"):
            list(backend.list(folder))
        contents = case.change(20 + number)
        newest = case.beside.backup(case.source).snapshot
        assert newest is not None
        case.beside.forget(gone, force=True)
        case.proxy.plan = nth_listing(number, LIES[lie], ever=ever)
        case.proxy.forget()
        try:
            case.through.prune(max_unused="0", force=True)
        except HoldfastError:
            refused += 1
        case.proxy.plan = untouched
        case.expect({kept: case.kept[kept], newest.id: contents})
        if not any(request.fault for request in case.proxy.requests):
            break
        case.reset()
    assert refused or not ever


@pytest.mark.fault(22)
@lies
def test_a_forget_beside_a_listing_that_lies_forgets_nothing_else(case: Case, lie: str) -> None:
    gone, kept = case.kept
    for number in range(1, 6):
        case.proxy.plan = nth_listing(number, LIES[lie], ever=True)
        try:
            case.through.forget(gone, force=True)
        except HoldfastError:
            pass
        else:
            assert gone not in {snapshot.id for snapshot in case.beside.snapshots()}
        case.proxy.plan = untouched
        case.expect({kept: case.kept[kept]})
        case.reset()


# Credentials that allow only some requests


def denied(*methods: str, but: str = "no path") -> Plan:
    """Requests by these methods are denied, but to some paths."""
    return lambda _, method, path: ACCESS_DENIED if method in methods and but not in path else None


@pytest.mark.fault(23)
def test_credentials_that_only_read(case: Case, tmp_path: Path) -> None:
    """Row 23."""
    case.proxy.plan = denied("PUT", "POST", "DELETE")
    case.proxy.forget()
    repository = case.through
    assert {snapshot.id for snapshot in repository.snapshots()} == case.kept.keys()
    snapshot, contents = next(iter(case.kept.items()))
    assert repository.listdir(snapshot, case.source)
    assert repository.restore(snapshot, tmp_path).errors == ()
    for path, content in contents.items():
        assert Path(str(tmp_path) + path).read_bytes() == content
    assert repository.check(read_data=True).valid
    assert {request.method for request in case.proxy.requests} <= {"GET", "HEAD"}
    case.proxy.forget()
    with pytest.raises(AccessDenied, match="s3:PutObject"):
        case.through.backup(case.source)
    # Of one object; where the machine is busy, the request may have been sent again.
    assert len({each.path for each in case.proxy.requests if each.method == "PUT"}) == 1
    assert case.names("") == case.origin.keys()


@pytest.mark.fault(24)
def test_credentials_that_delete_nothing(case: Case) -> None:
    """Row 24."""
    contents = case.change(11)
    case.proxy.plan = denied("DELETE")
    result = case.through.backup(case.source)
    assert result.snapshot is not None
    assert case.names("sessions/") == {f"sessions/{result.snapshot.id}"}
    before = case.names("data/"), case.names("index/"), case.names("snapshots/")
    with pytest.raises(AccessDenied, match="permission to delete"):
        case.through.prune(max_unused="0")
    assert before == (case.names("data/"), case.names("index/"), case.names("snapshots/"))
    assert expect_all(case, contents) == 1
    case.proxy.plan = untouched
    case.beside.prune(max_unused="0")
    assert case.names("gc/") == set()


@pytest.mark.fault(24)
def test_credentials_that_delete_only_what_marks_running_work(case: Case) -> None:
    """The policy for a writer that the guide shows."""
    contents = case.change(12)
    case.proxy.plan = denied("DELETE", but="/sessions/")
    result = case.through.backup(case.source)
    assert result.snapshot is not None
    assert case.names("sessions/") == case.names("probe/") == set()
    before = case.names("data/"), case.names("index/")
    with pytest.raises(AccessDenied, match="permission to delete"):
        case.through.prune(max_unused="0")
    assert before == (case.names("data/"), case.names("index/"))
    case.proxy.plan = untouched
    case.beside.prune(max_unused="0")
    assert case.names("gc/") == set()
    assert expect_all(case, contents) == 1

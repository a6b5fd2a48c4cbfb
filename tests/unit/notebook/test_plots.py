"""Plots draw what the results say: their artists are compared with the data, not their pixels."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.dates import date2num
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import holdfast
from holdfast import RetentionPolicy, Snapshot
from holdfast.notebook import plot_calendar, plot_growth, plot_timeline, plot_treemap
from holdfast.notebook.plots.calendar import by_day, fate_of
from holdfast.notebook.plots.canvas import BOX, byte_ticks, drawable, rounded, shortened
from holdfast.notebook.plots.picture import Picture
from holdfast.operations.timeline import Step
from holdfast.primitives.ids import ID_SIZE, BlobId, SnapshotId
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> holdfast.Repository:
    """Twelve nights, and one on which much is encrypted; odd names, and another host."""
    home = tmp_path_factory.mktemp("plots") / "home"
    for number in range(30):
        path = home / ("a$b$", "ünï", "日本", "x\x1b[31m")[number % 4] / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number} words of some kind, and again " * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
        repo = holdfast.init(home.parent / "repo", password="x", cache=False)
    for night in range(12):
        (home / f"a$b$/{night}.new").write_text(f"{night} new " * 300)
        if night == 10:
            for path in sorted(home.rglob("*.txt")):
                path.rename(f"{path}.locked")
                Path(f"{path}.locked").write_bytes(bytes(range(256)) * 8)
        repo.backup(home, time=START + night * DAY, host="one")
    repo.backup(home / "ünï", time=START + 5.5 * DAY, host="two")
    return repo


def rectangles(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def values(data: ArrayLike) -> list[float]:
    return [float(each) for each in np.asarray(data)]


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return found + [axes.get_title(loc="left") for axes in figure.axes]


def drawn(figure: Figure) -> bytes:
    assert isinstance(figure, Picture)
    png = figure._repr_png_()
    assert png.startswith(PNG)
    return png


def steps_of(count: int, gap: timedelta = DAY) -> list[Step]:
    """Steps with numbers that tell which they are."""
    snapshots = [snapshot(START + number * gap, number) for number in range(count)]
    return [
        Step(
            each, snapshots[n - 1] if n else None, n + 1, n, n % 3, 0, 0, 0, 0, 0, 10 * n, 7 * n + 1
        )
        for n, each in enumerate(snapshots)
    ]


def snapshot(when: datetime, number: int = 0, host: str = "one") -> Snapshot:
    nanoseconds = int(when.timestamp()) * 10**9
    return Snapshot(
        id=SnapshotId(f"{number:032x}"),
        tree=BlobId(bytes(ID_SIZE)),
        time_ns=nanoseconds,
        end_ns=nanoseconds,
        host=host,
    )


def test_growth_is_what_the_timeline_says(repo: holdfast.Repository) -> None:
    timeline = repo.timeline()
    figure = plot_growth(repo)
    upper, middle, lower = figure.axes
    stored = list(accumulate(step.new_stored for step in timeline))
    times = [date2num(step.snapshot.time) for step in timeline]
    line, *of_hosts = upper.lines
    assert values(line.get_ydata()) == stored
    assert values(line.get_xdata()) == pytest.approx(times)
    sizes = sorted(size for each in of_hosts for size in values(each.get_ydata()))
    assert sizes == sorted(step.snapshot.summary.bytes_processed for step in timeline)
    assert len(of_hosts) == 2, "a line for each source"
    bars = rectangles(middle)
    assert [bar.get_height() for bar in bars] == [step.new_stored for step in timeline]
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx(times)
    held = accumulate(step.snapshot.summary.bytes_processed for step in timeline)
    ratios = [size / kept for size, kept in zip(held, stored, strict=True)]
    assert values(lower.lines[0].get_ydata()) == pytest.approx(ratios)
    assert any(isinstance(each, FillBetweenPolyCollection) for each in upper.collections)
    drawn(figure)


def test_a_first_backup_that_would_flatten_the_others_is_cut_and_told() -> None:
    first, *others = steps_of(9)
    middle = plot_growth([replace(first, new_stored=5 << 20), *others]).axes[1]
    assert others[-1].new_stored < middle.get_ylim()[1] < 200
    assert [text.get_text() for text in middle.texts if "↑" in text.get_text()] == ["↑ 5.00 MiB"]


def test_the_timeline_is_drawn_with_its_anomalies(repo: holdfast.Repository) -> None:
    timeline, anomalies = repo.timeline(), repo.anomalies()
    assert anomalies
    figure = plot_timeline(timeline, anomalies)
    files, data, below = figure.axes
    bars = rectangles(files)
    count = len(timeline)
    added, changed, removed = bars[:count], bars[count : 2 * count], bars[2 * count :]
    assert [bar.get_height() for bar in added] == [step.added for step in timeline]
    assert [bar.get_height() for bar in changed] == [step.changed for step in timeline]
    assert [bar.get_y() for bar in changed] == [step.added for step in timeline]
    assert [bar.get_height() for bar in removed] == [-step.removed for step in timeline]
    assert [bar.get_height() for bar in rectangles(data)] == [step.new_bytes for step in timeline]
    marks = {line.get_gid(): line.get_xdata() for line in files.lines if line.get_gid()}
    marked = {f"anomaly {each.snapshot.id}": each.snapshot for each in anomalies}
    assert marks.keys() == marked.keys()
    for gid, where in marks.items():
        assert values(where)[0] == pytest.approx(date2num(marked[str(gid)].time))
    told = [text.get_text() for text in below.texts]
    assert len(told) == len(anomalies)
    assert f"{anomalies[0].kind}" in told[0]
    assert f"{anomalies[0].snapshot.time:%Y-%m-%d}" in told[0]
    drawn(figure)


def test_anomalies_of_other_snapshots_are_not_marked(repo: holdfast.Repository) -> None:
    figure = plot_timeline(repo.timeline(host="two"), repo.anomalies(host="one"))
    assert not [line for line in figure.axes[0].lines if line.get_gid()]


def test_the_areas_of_a_treemap_are_what_is_stored(repo: holdfast.Repository) -> None:
    usage = repo.usage("/", depth=12)
    figure = plot_treemap(usage)
    found = rectangles(figure.axes[0])
    whole = 9.0 * 5.0
    assert sum(each.get_width() * each.get_height() for each in found) == pytest.approx(whole)
    for one, other in combinations(found, 2):
        across = min(one.get_x() + one.get_width(), other.get_x() + other.get_width())
        up = min(one.get_y() + one.get_height(), other.get_y() + other.get_height())
        width = across - max(one.get_x(), other.get_x())
        height = up - max(one.get_y(), other.get_y())
        assert min(width, height) < 1e-9, "they lie beside each other"
    areas = {each.get_gid(): each.get_width() * each.get_height() for each in found}
    shares = {name: area / whole * usage.total_stored for name, area in areas.items()}
    of = {Path(each.path).name: each.own for each in usage.directories}
    assert shares["a$b$"] == pytest.approx(of["a$b$"])
    assert shares["keys, index, overhead"] == pytest.approx(usage.overhead.total)
    drawn(figure)


def test_many_small_directories_are_drawn_as_one(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"home/{number:02}").mkdir(parents=True)
        (tmp_path / f"home/{number:02}/file").write_bytes(bytes([number]) * (number + 1))
    (tmp_path / "home/large").mkdir()
    (tmp_path / "home/large/file").write_bytes(bytes(range(256)) * 99)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
        repo = holdfast.init(tmp_path / "repo", password="x", cache=False)
    with repo:
        repo.backup(tmp_path / "home")
        usage = repo.usage(tmp_path / "home")
    found = rectangles(plot_treemap(usage).axes[0])
    assert len(found) <= 27
    assert any(str(each.get_gid()).endswith("smaller ones") for each in found)
    assert sum(each.get_width() * each.get_height() for each in found) == pytest.approx(45.0)


@pytest.mark.parametrize(
    ("count", "gap"), [(1, DAY), (3, DAY), (30, DAY), (400, DAY), (400, DAY / 24), (5, 200 * DAY)]
)
def test_the_cells_of_a_calendar_are_the_decisions(count: int, gap: timedelta) -> None:
    now = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
    known = [snapshot(now - number * gap, number) for number in range(count)]
    policy = RetentionPolicy.parse("keep-last:2,keep-daily:7,keep-weekly:4,keep-monthly:6")
    groups = policy.apply(known, now=now)
    decisions = groups[0].decisions
    figure = plot_calendar(groups)
    cells = {
        str(patch.get_gid()) for axes in figure.axes for patch in axes.patches if patch.get_gid()
    }
    words = {True: "kept", False: "going"}
    assert cells == {f"{each.snapshot.time.date()} {words[each.keep]}" for each in decisions}
    kept = sum(each.keep for each in decisions)
    assert figure.get_suptitle().startswith(f"{kept} snapshot")
    assert figure.get_suptitle().endswith(f"{count - kept} {'goes' if count - kept == 1 else 'go'}")
    drawn(figure)


def test_the_letter_of_a_day_is_that_of_the_reason_that_lasts_longest() -> None:
    now = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
    known = [snapshot(now - number * DAY, number) for number in range(40)]
    (group,) = RetentionPolicy.parse("keep-daily:3,keep-weekly:2,keep-monthly:9").apply(known, now)
    names = {each.snapshot.time.date(): fate_of(each).name for each in group.decisions}
    assert names[date(2026, 11, 22)] == "monthly"
    assert names[date(2026, 11, 21)] == "daily"
    assert names[date(2026, 11, 15)] == "weekly"
    assert names[date(2026, 11, 10)] == "goes"
    days = by_day(group.decisions)
    assert sum(day.fates.total() for day in days.values()) == 40


def test_a_calendar_takes_the_result_of_a_rehearsal(repo: holdfast.Repository) -> None:
    result = repo.forget(policy="keep-daily:3", now=START + 12 * DAY, dry_run=True)
    title = plot_calendar(result).get_suptitle()
    stay = sum(each.keep for group in result.groups for each in group.decisions)
    assert title == f"{stay} snapshots stay, {len(result.removed)} go, in 2 groups"


@pytest.mark.parametrize("count", [1, 3, 30, 400])
def test_labels_do_not_overlap_and_bars_stand_apart(count: int) -> None:
    for plot in (plot_growth, plot_timeline):
        figure = plot(steps_of(count))
        drawn(figure)
        renderer = FigureCanvasAgg(figure).get_renderer()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                boxes = [
                    tick.label1.get_window_extent(renderer)
                    for tick in axis.get_major_ticks()
                    if tick.label1.get_visible()
                    and tick.label1.get_text()
                    and low <= tick.get_loc() <= high
                ]
                assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))
        bars = sorted(rectangles(figure.axes[1]), key=Rectangle.get_x)
        assert len(bars) == count
        for left, right in pairwise(bars):
            assert left.get_x() + left.get_width() <= right.get_x() + 1e-9


def test_nothing_to_draw_is_said() -> None:
    assert "no snapshots yet" in texts(plot_growth([]))
    assert "no snapshots yet" in texts(plot_timeline([]))
    assert "there are no snapshots to decide on" in texts(plot_calendar([]))
    for figure in (plot_growth([]), plot_timeline([]), plot_calendar([])):
        drawn(figure)


def test_a_new_repository_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)
    with holdfast.init(tmp_path / "repo", password="x", cache=False) as repo:
        drawn(plot_treemap(repo.usage()))
        drawn(plot_growth(repo))


def test_figures_stand_on_white_whatever_the_settings_are() -> None:
    with mpl.rc_context({"figure.facecolor": "black", "text.color": "white", "axes.grid": False}):
        figure = plot_growth(steps_of(3))
        before = dict(mpl.rcParams)
        drawn(figure)
        assert dict(mpl.rcParams) == before
    assert figure.get_facecolor() == (1, 1, 1, 1)
    for axes in figure.axes:
        assert axes.get_facecolor() == (1, 1, 1, 1)
        titles = [
            each for each in axes.get_children() if isinstance(each, Text) and each.get_text()
        ]
        assert titles
        assert "white" not in {each.get_color() for each in titles}
        for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
            assert label.get_color() not in {"white", "w"}


def test_plots_do_without_pyplot() -> None:
    code = (
        "import sys; from holdfast import notebook; assert 'matplotlib' not in sys.modules;"
        "notebook.plot_growth([]); notebook.plot_timeline([]); notebook.plot_calendar([]);"
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, repo: holdfast.Repository
) -> None:
    usage = repo.usage()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "squarify", None)
        with pytest.raises(holdfast.UsageError, match=r"pip install 'holdfast\[notebook\]'"):
            plot_treemap(usage)
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "holdfast.notebook.plots.picture")
    with pytest.raises(holdfast.UsageError, match=r"pip install 'holdfast\[notebook\]'"):
        plot_growth([])


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, ["0 B"]),
        (1, ["0 B", "1 B"]),
        (5, ["0 B", "1 B", "2 B", "3 B", "4 B", "5 B"]),
        (1536, ["0 B", "512 B", "1 KiB", "1.5 KiB"]),
        (10_000_000, ["0 B", "2 MiB", "4 MiB", "6 MiB", "8 MiB"]),
        (1 << 60, ["0 B", "256 PiB", "512 PiB", "768 PiB", "1 EiB"]),
    ],
)
def test_sizes_up_the_side_are_round(most: int, ticks: list[str]) -> None:
    assert [rounded(tick) for tick in byte_ticks(most)] == ticks


def test_names_are_drawn_as_far_as_the_font_can() -> None:
    assert drawable("plain $x_1$ ünï") == "plain $x_1$ ünï"
    assert drawable("日本") == BOX * 2
    assert drawable("a\x1b\u202e\udcff") == "a\\x1b\\u202e\\xff"
    assert shortened("a long name of a file.txt", 11) == "a lon…e.txt"
    assert shortened("short", 5) == "short"

"""Results in a real browser, on light and on dark: what is drawn can be read."""

from __future__ import annotations

import subprocess

import pytest
from PIL import Image
from tests.servers.base import NotInstalledError, give_up, on_system
from tests.unit.present.samples import SAMPLES

JUPYTER = """
.out table {table-layout: fixed; margin-left: auto; margin-right: auto; border: none}
.out td, .out th, .out tr {text-align: right; padding: .5em; max-width: none; border: none}
.%s .out tbody tr:nth-child(even) {background: %s}
"""
"""What JupyterLab does to tables."""


THEMES = {"light": ("#ffffff", "#212121", "#f5f5f5"), "dark": ("#111111", "#e0e0e0", "#222222")}
"""Colours of the paper, of text, and of every other row as notebooks have it."""

SHOWN = ["Diff", "CheckReport", "ForgetResult", "BackupResult", "Stats", "StorageReport", "Entry"]
WIDTH, HEIGHT = 1200, 2200


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Image.Image:
    """Results on light, and below on dark."""
    try:
        browser = on_system("chromium")
    except NotInstalledError as error:
        give_up(error)
    folder = tmp_path_factory.mktemp("picture")
    (folder / "page.html").write_text("".join(["<!doctype html>", *map(section, THEMES)]), "utf-8")
    ended = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}", f"--window-size={WIDTH},{2 * HEIGHT}",
            f"--screenshot={folder / 'picture.png'}", (folder / "page.html").as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    with Image.open(folder / "picture.png") as image:
        return image.convert("RGB")


def section(theme: str) -> str:
    """Results in a notebook of that theme."""
    paper, ink, stripe = THEMES[theme]
    body = "".join(f'<div class="out">{SAMPLES[each]._repr_html_()}</div>' for each in SHOWN)
    return (
        f'<meta charset="utf-8"><style>{JUPYTER % (theme, stripe)} body {{margin: 0}}</style>'
        f'<div class="{theme}" style="background: {paper}; color: {ink}; height: {HEIGHT}px; '
        f'overflow: hidden">{body}</div>'
    )


@pytest.mark.parametrize("theme", THEMES)
def test_results_in_a_browser(theme: str, picture: Image.Image) -> None:
    top = HEIGHT * list(THEMES).index(theme)
    part = picture.crop((0, top, WIDTH, top + HEIGHT))
    colours = {
        rgb: number for number, rgb in part.getcolors(1 << 24) or () if isinstance(rgb, tuple)
    }
    paper, ink, stripe = map(parts_of, THEMES[theme])
    assert colours[paper] > 0.85 * WIDTH * HEIGHT, "quiet: it is mostly paper"
    assert colours.get(stripe, 0) < 2000, "the stripes of the notebook are off"
    assert colours[ink] > 3000, "text has the colour of the text around it"
    readable = [each for each in colours if is_red(each) and contrast(each, paper) > 4]
    assert sum(colours[each] for each in readable) > 20, "what is wrong is red, and can be read"


def parts_of(colour: str) -> tuple[int, int, int]:
    """The parts of a colour such as ``#ffffff``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:], 16)


def is_red(colour: tuple[int, ...]) -> bool:
    return colour[0] > 1.8 * max(colour[1:])


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The ratio of WCAG 2: 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: tuple[int, ...]) -> float:
    parts = [each / 255 for each in colour]
    red, green, blue = (
        each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

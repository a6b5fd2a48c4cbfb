"""For notebooks: plots of what a repository holds, a file browser, and a progress bar.

    from holdfast import notebook

    notebook.plot_growth(repo)
    notebook.browse(repo, "latest", "/home/anna")
    repo.restore("latest", "/target", progress=notebook.progress("restore"))

Plots take matplotlib and squarify: ``pip install 'holdfast[notebook]'``. The rest needs neither.
"""

from __future__ import annotations

from holdfast.notebook.browser import Browser, Folder, browse
from holdfast.notebook.plots import plot_calendar, plot_growth, plot_timeline, plot_treemap
from holdfast.notebook.progress import progress

__all__ = [
    "Browser",
    "Folder",
    "browse",
    "plot_calendar",
    "plot_growth",
    "plot_timeline",
    "plot_treemap",
    "progress",
]

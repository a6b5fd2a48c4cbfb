"""How far some work is, as a bar in HTML."""

from __future__ import annotations

_BOX = "display:flex;align-items:center;gap:.8em;font-size:13px;line-height:1.6;max-width:60em"
_TRACK = (
    "flex:0 0 14em;height:.5em;border-radius:.25em;overflow:hidden;background:rgba(128,128,128,.25)"
)
_FILL = "height:100%;border-radius:.25em;background:currentColor"
_TEXT = (
    "white-space:nowrap;overflow:hidden;text-overflow:ellipsis;font-variant-numeric:tabular-nums"
)
_DONE = 100.0


def bar(percent: float | None, what: str, told: str) -> str:
    """A bar and what stands beside it, as one HTML element.

    Args:
        percent: 0 to 100; None while that is not known.
        what: the work in a word or two; may be "".
        told: how far it is, in words.
    """
    from holdfast.present.cell import TONES, plain  # what writes HTML, which nobody else needs
    from holdfast.present.table import Tone

    done = percent is not None and percent >= _DONE
    width = 0 if percent is None else percent
    value = "" if percent is None else f' aria-valuenow="{width:.0f}"'
    label = f"<span>{plain(what).html}</span>" if what else ""
    number = "" if percent is None or done else f"{width:.0f} % · "
    return (
        f'<div style="{_BOX}">{label}'
        f'<div role="progressbar" aria-valuemin="0" aria-valuemax="100"{value} style="{_TRACK};'
        f'{TONES[Tone.GOOD] if done else "opacity:.85"}">'
        f'<div style="{_FILL};width:{width:.1f}%"></div></div>'
        f'<span style="{_TEXT}">{number}{plain(told).html}</span></div>'
    )

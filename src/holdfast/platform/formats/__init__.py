"""Formats of files: telling them, and reading whole files of them safely.

Apart from drills, so that the process that does the reading loads nothing but this.

`sniff` tells a format from a file's name and first bytes. The reading is done by `worker` in a
process of its own, which has little memory, little time and nothing in its environment; `reader`
starts it and asks. `archives`, `databases`, `documents` and `optional` read one kind each. They say
`Broken` of a file that is not what it should be, and `Unread` of one that cannot be judged.
"""

from holdfast.platform.formats.reader import FormatReader
from holdfast.platform.formats.sniff import format_of
from holdfast.platform.formats.verdict import Limits, Verdict

__all__ = ["FormatReader", "Limits", "Verdict", "format_of"]

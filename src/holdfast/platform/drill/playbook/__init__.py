"""Playbooks: drills that are written down step by step in YAML.

`model` is what one says, `load` reads it and finds what makes no sense, `actions` does a step,
`run` all of them.
"""

from holdfast.platform.drill.playbook.load import load_playbook, refuse_nonsense
from holdfast.platform.drill.playbook.model import Playbook
from holdfast.platform.drill.playbook.run import Terms, run_playbook

__all__ = ["Playbook", "Terms", "load_playbook", "refuse_nonsense", "run_playbook"]

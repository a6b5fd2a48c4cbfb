"""The checks of a drill, one module each.

A check is a function that is given a `CheckContext` and returns a `CheckOutcome`. What it could not
evaluate is None and never "passed".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from holdfast.platform.drill.checks.access_permissions import check_access_permissions
from holdfast.platform.drill.checks.context import CheckContext, Restored
from holdfast.platform.drill.checks.data_consistency import check_data_consistency
from holdfast.platform.drill.checks.encryption_status import check_encryption_status
from holdfast.platform.drill.checks.integrity import check_integrity
from holdfast.platform.drill.checks.probe import check_probe
from holdfast.platform.drill.checks.restore_speed import check_restore_speed
from holdfast.platform.drill.report import CheckOutcome

__all__ = ["CheckContext", "Restored", "run_check"]

_CHECKS: Final[Mapping[str, Callable[[CheckContext], CheckOutcome]]] = MappingProxyType(
    {
        "integrity": check_integrity,
        "access_permissions": check_access_permissions,
        "data_consistency": check_data_consistency,
        "service_availability": partial(check_probe, "service_availability"),
        "api_health": partial(check_probe, "api_health"),
        "restore_speed": check_restore_speed,
        "encryption_status": check_encryption_status,
    }
)


def run_check(name: str, context: CheckContext) -> CheckOutcome:
    """Run a check.

    Raises:
        BackendError, RepositoryError: the repository cannot be used any more.
        OutOfTime: the drill is past its time.
    """
    if context.restored is None and name != "encryption_status":
        return CheckOutcome(name, None, "nothing was restored")
    return _CHECKS[name](context)

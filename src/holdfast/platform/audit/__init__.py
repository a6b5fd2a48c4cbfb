"""The audit trail: who did what, when, with what result, in a chain that shows every change."""

from holdfast.platform.audit.chain import AuditProblem, AuditVerification
from holdfast.platform.audit.entry import JSON, AuditEntry
from holdfast.platform.audit.trail import AuditTrail

__all__ = ["JSON", "AuditEntry", "AuditProblem", "AuditTrail", "AuditVerification"]

"""E-mail by a mail server of one's own (SMTP; RFC 5321, STARTTLS by RFC 3207)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlencode

from holdfast.errors import UsageError
from holdfast.platform.notify.channels import AppriseChannel

SUBMISSION = 587
"""The port for mail that is handed in (RFC 6409)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail is handed in.

    Attributes:
        host: of the server.
        port: of it.
        security: ``starttls``, ``tls`` from the first byte, or ``none`` on a trusted network.
        sender: address that mail comes from; the first recipient's when empty.
        user: to log in as; None where no login is asked for.
        password: of the user.
    """

    host: str
    port: int = SUBMISSION
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def channel(self, recipients: Sequence[str]) -> AppriseChannel:
        """Mail to these addresses.

        Raises:
            UsageError: there is none, or one is no address.
        """
        wrong = [each for each in recipients if "@" not in each]
        if wrong or not recipients:
            raise UsageError(f"not an e-mail address: {', '.join(wrong) or '(none is given)'}")
        modes = {"starttls": "starttls", "tls": "ssl", "none": "insecure"}
        login = ""
        if self.user is not None:
            login = f"{quote(self.user, safe='')}:{quote(self.password or '', safe='')}@"
        options = {
            "smtp": self.host,
            "mode": modes[self.security],
            "to": ",".join(recipients),
            "from": self.sender or recipients[0],
            "format": "text",
        }
        scheme = "mailto" if self.security == "none" else "mailtos"
        return AppriseChannel(
            f"{scheme}://{login}{self.host}:{self.port}/?{urlencode(options)}",
            name=f"email:{','.join(recipients)}",
        )

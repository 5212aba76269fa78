"""The only errors that may leave an adapter, grouped by what the hub must do."""

from __future__ import annotations


class AdapterError(Exception):
    """Base. ``code`` is the peer's own code or a stable word of ours; ``detail`` never holds personal data or secrets."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class RetryLater(AdapterError):
    """Nothing happened at the peer; the same message may go again, not before ``retry_after_s`` if given."""

    def __init__(self, code: str, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(AdapterError):
    """The message may have taken effect: a timeout or a broken connection after the first byte was sent."""


class PeerRefused(AdapterError):
    """The peer understood and said no. Never retried."""


class PeerMisconfigured(AdapterError):
    """Nothing can work until somebody mends it: bad credentials, wrong address, TLS failure. The endpoint is paused."""

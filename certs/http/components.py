"""The components of an HTTP message that a signature covers (RFC 9421, 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from certs.errors import MessageRefused

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Message:
    """What the components of RFC 9421, 2.2 are derived from; header names in lower case, values combined."""

    fields: Mapping[str, str]
    body: bytes | None  # None: not read yet
    method: str = ""
    url: SplitResult | None = None
    target: str = ""
    status: int = 0

    def component(self, name: str) -> str | None:
        """The value of a component (RFC 9421, 2.1 and 2.2), or None where the message has none such."""
        if not name.startswith("@"):
            return self.fields.get(name)
        if self.url is None:
            return str(self.status) if name == "@status" else None
        match name:
            case "@method":
                return self.method
            case "@target-uri":
                return self.target
            case "@authority":
                return _authority(self.url)
            case "@scheme":
                return self.url.scheme.lower()
            case "@path":
                return self.url.path or "/"
            case "@query":
                return f"?{self.url.query}"
            case "@request-target":
                return (self.url.path or "/") + (f"?{self.url.query}" if "?" in self.target else "")
            case _:
                return None

    @classmethod
    def request(cls, method: str, url: str, headers: Headers, body: bytes | None) -> Message:
        """A request to an absolute URL; MessageRefused where it is none."""
        try:
            split = urlsplit(url)
            _ = split.port  # raises on what is no port
        except ValueError:
            raise MessageRefused("target-malformed", ("地址不是 URL", "the address is no URL")) from None
        if not split.scheme or not split.netloc:
            raise MessageRefused("target-malformed", ("地址应为绝对地址", "the address must be absolute"))
        return cls(_combine(headers), body, method=method, url=split, target=url)

    @classmethod
    def response(cls, status: int, headers: Headers, body: bytes) -> Message:
        """A response."""
        return cls(_combine(headers), body, status=status)


def _authority(url: SplitResult) -> str:
    """RFC 9421, 2.2.3: host in lower case, the default port left out."""
    host = url.netloc.rpartition("@")[2].lower()
    default = _DEFAULT_PORTS.get(url.scheme.lower())
    return host.removesuffix(f":{default}") if default is not None and url.port == default else host


def _combine(headers: Headers) -> dict[str, str]:
    """RFC 9421, 2.1: several lines of one name joined by a comma, each stripped."""
    fields: dict[str, str] = {}
    for header, line in headers:
        name, value = header.lower(), line.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields

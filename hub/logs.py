"""Logs: one JSON object a line on standard error. What looks like an ID number is masked whoever wrote it, as a last resort."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hub.config import Settings

# 17 digits or more, and the X that may follow: a resident ID number, alone or inside a 学籍号 or a longer text. Nothing that the
# hub logs for its own use (times, counts, ids, digests) has so long a run of digits, and a digest that has is no loss.
# People write gaps into such numbers, and full-width digits. A mobile number is masked where it stands alone, not inside an id.
_NUMBER = (
    r"\d(?:[ \u3000\-－]{0,3}\d){16,}(?:[ \-]?[Xx])?"
    r"|(?<![0-9A-Za-z._])[1１][3-9３-９]\d[ \-]?\d{4}[ \-]?\d{4}(?![0-9A-Za-z]|\.\d)"
)
_ID_NUMBER = re.compile(_NUMBER)
_IN_JSON = re.compile(rf"\\\\|\\u[0-9a-f]{{4}}|({_NUMBER})")
MASK = "******"
_SHORT = 10**10  # a longer number is written as a text, so that the line is still JSON when it is masked


def mask(text: str) -> str:
    """No ID number reaches a log. Code does not log them; this catches what somebody forgot."""
    return _ID_NUMBER.sub(MASK, text)


def mask_json(line: str) -> str:
    """The same for a line of JSON, whose escapes are left whole."""
    return _IN_JSON.sub(lambda found: MASK if found[1] else found[0], line)


def masked(renderer: Processor, mask_line: Callable[[str], str]) -> Processor:
    """The last processor: masks the line as it is written, whatever the event was made of."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return mask_line(str(renderer(logger, method, event)))

    return render


def name_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Of an exception its kind and place, as its text may quote values."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exception() if given is True else given
    if isinstance(error, BaseException):
        event.update(_told(error))
    return event


def long_numbers_as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _as_text(value) for key, value in event.items()}


def _as_text(value: object) -> object:
    match value:
        case int() if abs(value) >= _SHORT:
            return str(value)
        case dict():
            return {key: _as_text(one) for key, one in value.items()}
        case list() | tuple():
            return [_as_text(one) for one in value]
    return value


def _told(error: BaseException) -> dict[str, object]:
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return {"error": type(error).__name__, "place": [f"{frame.filename}:{frame.lineno}" for frame in frames]}


class _OneLine(logging.Formatter):
    """A record of the standard library as one JSON line; of an exception its kind and place, as its text may quote values."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {"level": record.levelname.lower(), "logger": record.name}
        event["event"] = record.getMessage().strip()
        if record.exc_info and record.exc_info[1] is not None:
            event |= _told(record.exc_info[1])
        return mask_json(json.dumps(event, ensure_ascii=False))


class _Stream:
    """A line that cannot be written (a full disk, a closed pipe) is lost; whoever logs goes on with what it was about."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure(settings: Settings) -> None:
    """Call once, at the start of the process."""
    level = getattr(logging, settings.log_level.upper())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    if settings.log_format == "json":
        render = masked(structlog.processors.JSONRenderer(ensure_ascii=False), mask_json)
    else:
        render = masked(structlog.dev.ConsoleRenderer(), mask)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            name_exception,
            long_numbers_as_text,
            render,
        ],
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _hook
    threading.excepthook = lambda args: _hook(args.exc_type, args.exc_value, args.exc_traceback)


def _hook(kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None) -> None:
    """What nobody caught would be printed with its text, which may quote values."""
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    structlog.get_logger(__name__).critical("bug", where="uncaught", **(_told(error) if error else {}))

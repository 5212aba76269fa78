"""Logs: one JSON object a line on standard error. What looks like an ID number is masked whoever wrote it, as a last resort."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback

import structlog
from structlog.typing import EventDict, WrappedLogger

from hub.config import Settings

# 17 digits and a digit or X, not inside a longer run of letters or digits: a resident ID number, or part of a 学籍号
_ID_NUMBER = re.compile(r"(?<![0-9A-Za-z])[GL]?\d{17}[\dXx](?![0-9A-Za-z])")
MASK = "******"


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No ID number reaches a log. Code does not log them; this catches what somebody forgot."""
    return {key: _ID_NUMBER.sub(MASK, value) if isinstance(value, str) else value for key, value in event.items()}


class _MaskFilter(logging.Filter):
    """The same for libraries that log by the standard library."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = _ID_NUMBER.sub(MASK, text)
        if masked != text:
            record.msg, record.args = masked, ()
        return True


class _OneLine(logging.Formatter):
    """A record of the standard library as one JSON line; of an exception its kind and place, as its text may quote values."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {"level": record.levelname.lower(), "logger": record.name}
        event["event"] = record.getMessage().strip()
        if record.exc_info and record.exc_info[1] is not None:
            frames = traceback.extract_tb(record.exc_info[1].__traceback__)[-4:]
            event["error"] = type(record.exc_info[1]).__name__
            event["place"] = [f"{frame.filename}:{frame.lineno}" for frame in frames]
        return json.dumps(event, ensure_ascii=False)


def configure(settings: Settings) -> None:
    """Call once, at the start of the process."""
    level = getattr(logging, settings.log_level.upper())
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_MaskFilter())
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

"""A simulator in a process of its own, started and steered from tests and from the demo."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

START_S = 30.0
ROOT = Path(__file__).resolve().parent.parent  # so that ``python -m adapters.…`` is found from any working directory


class SimulatorFailed(Exception):
    """It did not start, or its control port did not answer as it should."""


class SimulatorProcess:
    """``python -m <module> …``; use it with ``with``, or call :meth:`stop`. ``url`` is the dialect's address."""

    def __init__(self, module: str, arguments: Sequence[str] = (), *, port: int = 0, control_port: int = 0) -> None:
        command = [sys.executable, "-m", module, "--port", str(port), "--control-port", str(control_port), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        timer = threading.Timer(START_S, self._process.kill)
        begun = time.monotonic()
        timer.start()
        words: list[str] = []
        output = cast(Any, self._process.stdout)
        for line in output:  # whatever it prints before
            if line.startswith("listening on "):
                words = line.split()
                break
        timer.cancel()
        if not words:
            self._process.wait()
            output.close()
            if time.monotonic() - begun >= START_S:
                raise SimulatorFailed(f"{module} did not listen within {START_S:g} s")
            raise SimulatorFailed(f"{module} ended with {self._process.returncode} before it listened")
        self.url, self.control_url = words[2], words[4]

    @property
    def pid(self) -> int:
        return self._process.pid

    def fail(self, mode: str, **how: object) -> None:
        """See :mod:`adapters.simulation`: ``times``, ``seconds``, ``path``, ``retryAfter``. ``fail("none")`` ends it."""
        self._control("/_faults", {"mode": mode, **how})

    def effects(self) -> dict[str, int]:
        """Business effects by idempotency key."""
        return cast("dict[str, int]", self._control("/_effects")["effects"])

    def requests(self) -> list[dict[str, str]]:
        """What came: method, path and idempotency key (empty where there is none)."""
        return cast("list[dict[str, str]]", self._control("/_requests")["requests"])

    def forget(self) -> None:
        """All that was counted and handed in, and the fault in force."""
        self._control("/_forget", {})

    def wait_for_request(self, path: str, *, count: int = 1, timeout_s: float = 5.0) -> None:
        """Until ``count`` requests have come for a path that begins so."""
        end = time.monotonic() + timeout_s
        while sum(one["path"].startswith(path) for one in self.requests()) < count:
            if time.monotonic() > end:
                raise SimulatorFailed(f"no request for {path} within {timeout_s} s")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SimulatorFailed("it did not end within 10 s of SIGTERM") from None
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _control(self, path: str, body: object = None) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.control_url + path, data, headers)  # noqa: S310 - our own http:// URL
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return cast("dict[str, Any]", json.load(answer))
        except urllib.error.HTTPError as error:
            raise SimulatorFailed(f"{path}: {error.code} {error.read().decode()}") from None
        except OSError as error:  # it has ended, or hangs
            raise SimulatorFailed(f"{path}: {type(error).__name__}, its control port does not answer") from None

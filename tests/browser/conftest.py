"""A running hub with its simulators and a real Chromium, once for all browser tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from adapters.population import transfer
from hub.demo.callers import RestCaller
from hub.demo.scenario import LIXIA
from hub.demo.stage import Stage, stage

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PASSWORD = "correct horse battery"
ROLES = ("system-administrator", "security-administrator", "audit-administrator")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's; a test without it is skipped, or fails where HUB_REQUIRE_BROWSER=1."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("HUB_REQUIRE_BROWSER") == "1":
            pytest.fail("HUB_REQUIRE_BROWSER=1, but there is no chromium")
        pytest.skip("no chromium: apt-get install chromium, or set HUB_REQUIRE_BROWSER=1 to make this a failure")
    return path


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(chromium: str, playwright: Playwright) -> Iterator[Browser]:
    launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
    yield launched
    launched.close()


@dataclass
class House:
    """The stage, what it is asked to do, and the state of each role's browser once it has signed in."""

    stage: Stage
    links: dict[str, str]
    lixia: RestCaller
    signed_in: dict[str, object] = field(default_factory=dict)
    _students: Iterator[int] = field(
        default_factory=lambda: (n for n in range(300, 900) if n % 20 not in (7, 13, 18) and n % 50 < 40)
    )

    @property
    def url(self) -> str:
        return self.stage.url

    def submit(self, name: str) -> str:
        """One transfer inside a county; gives its case."""
        answer = self.lixia.submit(transfer(f"browser-{name}", LIXIA, next(self._students), LIXIA))
        assert answer.case_id is not None, answer.code
        return answer.case_id


@pytest.fixture(scope="session")
def house(chromium: str) -> Iterator[House]:
    """Two attempts and a delivery is suspended, so that the tests need not wait."""
    kept = os.environ.get("HUB_RETRY_LIMIT")
    os.environ["HUB_RETRY_LIMIT"] = "2"
    try:
        with stage() as built:
            links = dict(line.split(": ", 1) for line in built.links)
            yield House(built, links, RestCaller(built.url, built.cast.parties["lixia"]))
    finally:
        os.environ.pop("HUB_RETRY_LIMIT") if kept is None else os.environ.update(HUB_RETRY_LIMIT=kept)


@dataclass
class Watched:
    """Pages of one context, and what must never happen in them."""

    context: BrowserContext
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, house: House) -> Iterator[Open]:
    """A page in a context of its own, signed in as ``role`` if one is given. At the end: no error, no request to anywhere else."""
    watched: list[Watched] = []
    origin = urlsplit(house.url).netloc

    def open_(role: str | None = None, path: str = "/console", **options: object) -> Page:
        given = {"locale": "zh-CN", "viewport": {"width": 1360, "height": 900}, **options}
        context = browser.new_context(**given)  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        if role is not None:
            _sign_in(context, house, role)
        one = Watched(context)
        watched.append(one)
        context.on(
            "request", lambda asked: one.elsewhere.append(asked.url) if urlsplit(asked.url).netloc != origin else None
        )
        page = context.new_page()
        page.on("pageerror", lambda error: one.errors.append(str(error)))
        # a refusal that a test asks for is logged by the browser as well; everything else is an error
        page.on("console", lambda said: _note(one.errors, said.type, said.text))
        page.goto(house.url + path)
        return page

    yield open_
    for one in watched:
        one.context.close()
        assert one.errors == []
        assert one.elsewhere == []


def _note(errors: list[str], kind: str, text: str) -> None:
    if kind == "error" and "the server responded with a status of 4" not in text:
        errors.append(text)


def _sign_in(context: BrowserContext, house: House, role: str) -> None:
    """By the role's one-time link, once; later tests share its session."""
    if role not in house.signed_in:
        page = context.new_page()
        page.goto(house.links[role])
        page.get_by_role("button", name="使用一次性链接登录").click()
        page.get_by_label("口令").fill(PASSWORD)
        page.get_by_role("button", name="保存").click()
        page.get_by_text("口令已保存").wait_for()
        page.close()
        house.signed_in[role] = context.cookies()
    context.add_cookies(house.signed_in[role])  # type: ignore[arg-type]

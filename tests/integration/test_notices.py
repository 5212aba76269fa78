"""Extension notices: what is deemed valid when, stored on both databases, added and withdrawn from the shell."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.main import get_group
from typer.testing import CliRunner

from hub.commands import notices as command
from hub.db import Database
from hub.ecerts import notices
from hub.ecerts.notices import ExtensionNotices, Notice, NoticeError, deemed_valid

FACTS: dict[str, Any] = {
    "id": "鲁教函〔2026〕1号", "title": "关于疫情期间办学许可证延期的公告", "source": "省教育厅网站", "region": "370000",
    "ecert_type": "private-school-licence", "issued_on": date(2026, 2, 1), "expired_from": date(2026, 1, 20),
    "expired_until": date(2026, 4, 30), "deemed_valid_until": date(2026, 7, 31),
}  # fmt: skip
NOTICE = Notice(**FACTS)


@pytest.mark.parametrize(("ecert_type", "region", "expired_on", "at", "covered"), [
    ("private-school-licence", "370102", date(2026, 1, 20), datetime(2026, 6, 1, tzinfo=UTC), True),
    ("private-school-licence", "370102", date(2026, 4, 30), datetime(2026, 7, 31, 15, 59, tzinfo=UTC), True),
    ("private-school-licence", "370102", date(2026, 4, 30), datetime(2026, 7, 31, 16, 0, tzinfo=UTC), False),  # 1 August there
    ("private-school-licence", "370102", date(2026, 1, 19), datetime(2026, 6, 1, tzinfo=UTC), False),
    ("private-school-licence", "370102", date(2026, 5, 1), datetime(2026, 6, 1, tzinfo=UTC), False),
    ("private-school-licence", "370102", date(2026, 1, 20), datetime(2026, 1, 30, tzinfo=UTC), False),  # not issued yet
    ("business-licence", "370102", date(2026, 1, 20), datetime(2026, 6, 1, tzinfo=UTC), False),
    ("private-school-licence", "990000", date(2026, 1, 20), datetime(2026, 6, 1, tzinfo=UTC), False),
])  # fmt: skip
def test_what_a_notice_covers(ecert_type: str, region: str, expired_on: date, at: datetime, covered: bool) -> None:
    assert deemed_valid([NOTICE], ecert_type, region, expired_on, at) == (NOTICE if covered else None)


def test_a_citys_notice_holds_in_its_parts_and_the_longest_wins() -> None:
    city = Notice(**{**FACTS, "id": "济教函〔2026〕9号", "region": "370100", "deemed_valid_until": date(2026, 12, 31)})
    asked = ("private-school-licence", date(2026, 2, 1), datetime(2026, 6, 1, tzinfo=UTC))
    assert deemed_valid([NOTICE, city], asked[0], "370102", *asked[1:]) == city
    assert deemed_valid([NOTICE, city], asked[0], "370202", *asked[1:]) == NOTICE


@pytest.mark.parametrize("changes", [
    {"ecert_type": "passport"}, {"region": "379999"}, {"expired_until": date(2026, 1, 1)}, {"id": ""}, {"source": ""},
    {"deemed_valid_until": date(2026, 1, 19)}, {"id": "文" * 65},
])  # fmt: skip
def test_a_notice_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Notice(**{**FACTS, **changes})


def test_notices_are_kept_and_withdrawn(database: Database) -> None:
    kept = ExtensionNotices(database)
    asked = ("private-school-licence", "370102", date(2026, 2, 1), datetime(2026, 6, 1, tzinfo=UTC))
    assert kept.deemed_valid(*asked) is None
    database.write(lambda tx: notices.add(tx, "test", NOTICE))
    with pytest.raises(NoticeError):
        database.write(lambda tx: notices.add(tx, "test", NOTICE))
    kept.forget()
    assert kept.deemed_valid(*asked) == NOTICE.id
    database.write(lambda tx: notices.withdraw(tx, "test", NOTICE.id))
    kept.forget()
    assert kept.deemed_valid(*asked) is None
    with pytest.raises(NoticeError):
        database.write(lambda tx: notices.withdraw(tx, "test", NOTICE.id))


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_file: Path) -> None:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path))
    run = CliRunner()
    options = ["--type", "private-school-licence", "--title", "公告", "--source", "省教育厅网站", "--issued-on", "2026-02-01",
               "--expired-from", "2026-01-20", "--expired-until", "2026-04-30", "--deemed-valid-until", "2026-07-31"]  # fmt: skip
    added = run.invoke(command.app, ["add", "公告1号", *options])
    assert added.exit_code == 0, added.output
    assert run.invoke(command.app, ["add", "公告1号", *options]).exit_code == 1
    refused = run.invoke(command.app, ["add", "公告2号", *options, "--region", "379999"])
    assert refused.exit_code == 1
    assert run.invoke(command.app, ["withdraw", "公告1号"]).exit_code == 0
    assert run.invoke(command.app, ["withdraw", "公告1号"]).exit_code == 1
    assert "withdrawn" in run.invoke(command.app, ["list"]).stdout


GIVEN = {"--type": "private-school-licence", "--title": "公告", "--source": "省教育厅网站", "--issued-on": "2026-02-01",
         "--expired-from": "2026-01-20", "--expired-until": "2026-04-30", "--deemed-valid-until": "2026-07-31",
         "--region": "370000"}  # fmt: skip


@pytest.mark.parametrize(
    ("option", "value", "cure"),
    [
        ("NUMBER", "文" * 65, "至多 64 个字符"),
        ("--type", "no-such-type", "private-school-licence"),
        ("--title", "公" * 101, "至多 100 个字符"),
        ("--source", " ", "应为: 文字, 首尾无空白"),
        ("--region", "379999", "使用现行县级以上行政区划代码"),
        ("--expired-until", "2026-01-19", "不早于到期范围的首日"),
        ("--deemed-valid-until", "2026-01-31", "不早于公布日"),
    ],
)
def test_a_fault_names_the_option_as_it_was_given(option: str, value: str, cure: str) -> None:
    options = [word for pair in {**GIVEN, option: value}.items() for word in pair if "NUMBER" not in pair]
    refused = CliRunner().invoke(command.app, ["add", value if option == "NUMBER" else "公告3号", *options])
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"{option}: ")
    assert cure in line
    assert value.strip() == "" or value not in line


def test_every_field_of_a_notice_has_its_option() -> None:
    """So that no fault can name an option that the command does not have."""
    add = get_group(command.app).commands["add"]
    known = {name for parameter in add.params for name in (*parameter.opts, str(parameter.name).upper())}
    assert {command.option(name) for name in Notice.model_fields} <= known

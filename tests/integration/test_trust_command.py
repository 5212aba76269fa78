"""hub trust: add, list, check, remove; each change audited before and after."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from certs.issuing.authority import new_root
from certs.trust import TrustStore
from hub.commands.context import open_hub
from hub.commands.trust import app

RUN = CliRunner()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    now = datetime.now(UTC)
    root = new_root("root", not_before=now - timedelta(days=1), not_after=now + timedelta(days=999))
    path = tmp_path / "root.der"
    path.write_bytes(root.cert.der)
    return path


def audited() -> list[tuple[str, str]]:
    with open_hub() as hub, hub.db.read() as conn:
        rows = conn.execute(text("SELECT action, outcome FROM audit ORDER BY 1, 2")).all()
        return [(row[0], row[1]) for row in rows if row[0].startswith("trust.")]


def test_an_anchor_is_added_listed_and_removed(certificate: Path) -> None:
    added = RUN.invoke(app, ["add", str(certificate), "--purpose", "seal", "--expires", "2099-12-31"], input="y\n")
    assert added.exit_code == 0, added.output
    fingerprint = added.output.split()[-1]
    listed = json.loads(RUN.invoke(app, ["list", "--json"]).output)
    assert [(a["sha256"], a["purposes"], a["trusted_until"]) for a in listed] == [
        (fingerprint, ["seal"], "2099-12-31T15:59:59+00:00")
    ]
    assert fingerprint in TrustStore.load(Path("state/trust")).anchors[0].fingerprint
    assert RUN.invoke(app, ["check"]).exit_code == 0
    assert RUN.invoke(app, ["remove", fingerprint[:12]]).exit_code == 0
    assert json.loads(RUN.invoke(app, ["list", "--json"]).output) == []
    assert audited() == [(f"trust.{act}", word) for act in ("add", "remove") for word in ("done", "intended")]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--purpose", "seal"], "n\n"),
        (["--purpose", "everything", "--fingerprint", "given"], ""),
        (["--purpose", "seal", "--fingerprint", "00" * 32], ""),
    ],
)
def test_what_is_not_confirmed_or_not_known_is_not_trusted(
    certificate: Path, arguments: list[str], answer: str
) -> None:
    from certs.x509.signing_cert import SigningCert

    right = SigningCert.from_der(certificate.read_bytes()).fingerprint
    done = RUN.invoke(app, ["add", str(certificate), *(right if a == "given" else a for a in arguments)], input=answer)
    assert done.exit_code == 1
    assert json.loads(RUN.invoke(app, ["list", "--json"]).output) == []


def test_problems_end_with_one(certificate: Path) -> None:
    folder = Path("state/trust")
    folder.mkdir(parents=True)
    (folder / "stray.pem").write_text("-----BEGIN")
    checked = RUN.invoke(app, ["check", "--json"])
    assert checked.exit_code == 1
    assert [p["kind"] for p in json.loads(checked.output)] == ["stray"]
    (folder / "trust.json").write_text("{")
    assert RUN.invoke(app, ["list"]).exit_code == 1


def test_a_list_for_people_shows_whole_fingerprints(certificate: Path) -> None:
    assert "hub trust add" in RUN.invoke(app, ["list"]).output
    fingerprint = RUN.invoke(app, ["add", str(certificate), "--purpose", "seal"], input="y\n").output.split()[-1]
    listed = RUN.invoke(app, ["list"]).output
    assert listed.splitlines()[0] == fingerprint
    assert "seal" in listed
    short = RUN.invoke(app, ["remove", fingerprint[:2]])
    assert short.exit_code == 1
    assert "8 digits" in short.output

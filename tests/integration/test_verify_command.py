"""hub verify, as a person types it: generated documents, the state folder's anchors, issuers and lists, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from certs.ofd.write import SignOptions, sign_ofd
from certs.trust import TrustStore
from hub.cli import app
from tests.unit.certs.ofd_cases import NOW, unsigned, world

RUN = CliRunner()
AT = "2026-03-02T08:00:00Z"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that knows the test authority: its root, its intermediate, its lists."""
    w, folder = world(), tmp_path / "state"
    monkeypatch.setenv("HUB_STATE_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    TrustStore.of([w.authority.root.cert], ["seal", "seal-maker"], NOW).save(folder / "trust")
    (folder / "issuers").mkdir()
    (folder / "issuers" / "middle.der").write_bytes(w.authority.intermediate.cert.der)
    (folder / "crls").mkdir()
    for number, one in enumerate(w.revocation.crls):
        (folder / "crls" / f"{number}.crl").write_bytes(one)
    (tmp_path / "good.ofd").write_bytes(sign_ofd(unsigned(), w.authority.signer, SignOptions(seal=w.seal()), at=NOW))
    (tmp_path / "unsigned.ofd").write_bytes(unsigned())
    (tmp_path / "junk.ofd").write_bytes(b"PK\x03\x04")
    return folder


def verify(*arguments: str) -> tuple[int, str]:
    done = RUN.invoke(app, ["verify", *arguments])
    return done.exit_code, done.output


def test_issuers_and_lists_of_the_state_folder_count(state: Path) -> None:
    code, output = verify("good.ofd", "--at", AT)
    assert code == 0, output
    assert "结论: 通过" in output
    (state / "crls" / "1.crl").unlink()
    assert verify("good.ofd", "--at", AT)[0] == 2  # revocation cannot be told
    assert verify("good.ofd", "--at", AT, "--policy", "field")[0] == 0
    (state / "issuers" / "middle.der").unlink()
    code, output = verify("good.ofd", "--at", AT, "--lang", "en")
    assert code == 2
    assert "NO_CERTIFICATE_CHAIN_FOUND" in output


def test_times_are_those_of_shanghai_unless_they_say_otherwise(state: Path) -> None:
    for at in (AT, "2026-03-02T16:00:00", "2026-03-02 16:00", "2026-03-02T16:00:00+0800"):
        code, output = verify("good.ofd", "--json", "--at", at)
        assert code == 0, output
        assert json.loads(output)["verified_at"] == "2026-03-02T08:00:00+00:00"


def test_exit_codes_of_many_files(state: Path) -> None:
    assert verify("good.ofd", "unsigned.ofd", "--at", AT)[0] == 2
    code, output = verify("good.ofd", "junk.ofd", "unsigned.ofd", "--json", "--at", AT)
    assert code == 1
    lines = [json.loads(line) for line in output.splitlines()]
    assert [(line["file"], line["indication"]) for line in lines] == [
        ("good.ofd", "PASSED"),
        ("junk.ofd", "FAILED"),
        ("unsigned.ofd", "INDETERMINATE"),
    ]


def test_a_seal_of_somebody_else_counts_only_by_a_rule(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world()
    school = w.authority.intermediate.issue({"C": "CN", "O": "示例学校"})
    document = sign_ofd(unsigned(), school, SignOptions(seal=w.seal(signers=(school,))), at=NOW)
    (tmp_path / "school.ofd").write_bytes(document)
    code, output = verify("school.ofd", "--at", AT)
    assert code == 1
    assert "SEALED_BY_ANOTHER" in output
    assert "✗ 发证机关: 印章属于“示例学校”, 不属于证照所载的发证机关“济南市公安局”" in output

    rule = 'owner = "示例学校"\nissuers = ["济南市公安局"]\nsource = "某文件第三条"\n'
    path = tmp_path / "sealing.toml"
    monkeypatch.setenv("HUB_SEALING", str(path))
    path.write_text(f'version = "1"\n[[delegation]]\n{rule}since = 2026-03-02\n', encoding="utf-8")
    code, output = verify("school.ofd", "--at", AT)
    assert code == 0, output
    assert "依规定代其签章: 某文件第三条" in output
    path.write_text(f'version = "1"\n[[delegation]]\n{rule}since = 2026-03-03\n', encoding="utf-8")
    assert verify("school.ofd", "--at", AT)[0] == 1
    path.write_text(f'version = "1"\n[[delegation]]\n{rule}', encoding="utf-8")
    code, output = verify("school.ofd", "--at", AT)
    assert code == 3
    assert "delegation.0.since" in output


def test_what_cannot_be_done_says_why(state: Path) -> None:
    code, output = verify("good.ofd", "--policy", "nonesuch")
    assert code == 3
    assert "strict, field" in output
    (state / "issuers" / "broken.pem").write_bytes(b"no certificate")
    code, output = verify("good.ofd")
    assert code == 3
    assert "issuers/broken.pem" in output
    assert verify("absent.ofd")[0] == 3  # no verdict: 2 would be INDETERMINATE

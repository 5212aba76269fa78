"""Login assertions: every claim that is wrong is refused under its own word."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

import pytest

from adapters.contract import Deadline, Endpoint, PeerMisconfigured, PeerRefused, RetryLater
from adapters.harness import write_key_pair
from adapters.identity import mapping
from adapters.identity.client import Identity
from adapters.identity.harness import APP_ID, KEY, SECRET, login, setup, token
from adapters.identity.simulator import ISSUER, LOGIN_FAULTS
from adapters.population import family
from adapters.simulator_process import SimulatorProcess
from certs.jws import sign_jws
from certs.keys import PrivateKey, SignatureAlgorithm

NOW = int(time.time())
SOON = Deadline.after(3600)


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    made = setup(tmp_path)
    return Identity(Endpoint("e", "370000", "http://127.0.0.1:9", made.settings, made.secrets))


def refusal(identity: Identity, assertion: str, nonce: str = "n-1") -> str:
    with pytest.raises(PeerRefused) as caught:
        identity.verify_login(assertion, nonce, SOON)
    return caught.value.code


def test_who_has_logged_in(identity: Identity) -> None:
    found = identity.verify_login(token("n-1"), "n-1", SOON)
    assert found.model_copy(update={"asserted_at": login().asserted_at}) == login()


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "urn:somebody-else"}, "assertion-issuer"),
        ({"aud": "another-system"}, "assertion-audience"),
        ({"aud": ["another-system"]}, "assertion-audience"),
        ({"aud": None}, "assertion-audience"),
        ({"exp": NOW - 1}, "assertion-expired"),
        ({"iat": NOW - 400}, "assertion-expired"),
        ({"iat": NOW + 20_000}, "assertion-future"),
        ({"nbf": NOW + 20_000}, "assertion-future"),
        ({"nonce": "n-2"}, "assertion-nonce"),
        ({"nonce": ""}, "assertion-nonce"),
        ({"nonce": None}, "assertion-malformed"),
        ({"sub": ""}, "assertion-malformed"),
        ({"sub": None}, "assertion-malformed"),
        ({"exp": "tomorrow"}, "assertion-malformed"),
        ({"exp": True}, "assertion-malformed"),
        ({"exp": float("inf")}, "assertion-malformed"),
        ({"idNumber": "379802198409170095"}, "assertion-malformed"),
        ({"name": 7}, "assertion-malformed"),
    ],
)
def test_a_claim_that_is_wrong(identity: Identity, claims: dict[str, object], code: str) -> None:
    assert refusal(identity, token("n-1", **claims)) == code


def test_an_audience_among_others(identity: Identity) -> None:
    assert identity.verify_login(token("n-1", aud=["x", APP_ID]), "n-1", SOON).subject == "person-1"


def test_an_empty_nonce_is_never_right(identity: Identity) -> None:
    assert refusal(identity, token("", nonce=""), "") == "assertion-nonce"


def test_a_signature_that_is_wrong(identity: Identity) -> None:
    good = token("n-1")
    head, body, _ = good.split(".")
    other = PrivateKey.generate(SignatureAlgorithm.SM2_SM3)
    assert refusal(identity, sign_jws(b"{}", other, "SM2SM3", headers={})) == "assertion-signature"
    assert refusal(identity, f"{head}.{body}.") == "assertion-signature"
    assert refusal(identity, f"eyJhbGciOiJub25lIn0.{body}.") == "assertion-signature"
    es256 = PrivateKey.generate(SignatureAlgorithm.ECDSA_P256_SHA256)
    assert refusal(identity, sign_jws(b"{}", es256, "ES256", headers={})) == "assertion-signature"
    for malformed in ("", "a.b.c", "x" * 20_000, good + ".x", "é.é.é"):
        assert refusal(identity, malformed) == "assertion-malformed"
    assert refusal(identity, sign_jws(b"[]", KEY, "SM2SM3", headers={})) == "assertion-malformed"


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    def made(**settings: str) -> Identity:
        return Identity(Endpoint("e", "370000", "http://127.0.0.1:9", settings, {"app_secret": SECRET}))

    with pytest.raises(PeerMisconfigured, match="app_id"):
        made()
    with pytest.raises(PeerMisconfigured, match="belong together"):
        made(app_id="a", assertion_issuer="i")
    with pytest.raises(PeerMisconfigured, match="assertion-key"):
        made(app_id="a", assertion_issuer="i", assertion_key_file=str(tmp_path / "none"))
    with pytest.raises(PeerMisconfigured, match="setting-missing"):
        made(app_id="a").verify_login("x", "n", SOON)


@pytest.mark.parametrize("algorithm", [SignatureAlgorithm.SM2_SM3, SignatureAlgorithm.ECDSA_P256_SHA256])
def test_a_login_at_the_simulator(tmp_path: Path, algorithm: SignatureAlgorithm) -> None:
    """The whole way, over the wire: a person of the file logs in, and the assertion holds for this nonce alone."""
    private, public = write_key_pair(tmp_path, "login", algorithm)
    people = tmp_path / "people.csv"
    number = family("370202", 3).guardian.id_number
    people.write_text(f"name,id_number\n王䶮,{number}\n", encoding="utf-8")
    arguments = (
        "--app-id",
        APP_ID,
        "--app-secret",
        SECRET,
        "--assertion-key-file",
        private,
        "--population",
        str(people),
    )
    with SimulatorProcess("adapters.identity.simulator", arguments) as simulator:
        body = json.dumps({"idNumber": number, "audience": APP_ID, "nonce": "n-9"}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{simulator.url}/login", body), timeout=10) as answer:
            assertion = json.load(answer)["assertion"]
        settings = {"app_id": APP_ID, "assertion_key_file": public, "assertion_issuer": ISSUER}
        identity = Identity(Endpoint("e", "370000", simulator.url, settings, {"app_secret": SECRET}))
        found = identity.verify_login(assertion, "n-9", SOON)
        assert (found.name, found.id_number) == ("王䶮", number)
        assert refusal(identity, assertion, "n-10") == "assertion-nonce"
        identity.close()


def posted(url: str, **body: str) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def test_the_service_is_asked_whether_a_login_still_stands(tmp_path: Path) -> None:
    private, public = write_key_pair(tmp_path, "login", SignatureAlgorithm.SM2_SM3)
    number = family("370202", 3).guardian.id_number
    arguments = ("--app-id", APP_ID, "--app-secret", SECRET, "--assertion-key-file", private)
    settings = {"app_id": APP_ID, "assertion_key_file": public, "assertion_issuer": ISSUER, "assertion_status": "ask"}
    with SimulatorProcess("adapters.identity.simulator", arguments) as simulator:
        identity = Identity(Endpoint("e", "370000", simulator.url, settings, {"app_secret": SECRET}))

        def assertion(**more: str) -> str:
            body = {"idNumber": number, "audience": APP_ID, "nonce": "n-9", **more}
            return str(json.loads(posted(f"{simulator.url}/login", **body))["assertion"])

        stands = assertion()
        assert identity.verify_login(stands, "n-9", Deadline.after(5)).id_number == number
        posted(f"{simulator.url}/logout", assertion=stands)
        assert refusal(identity, stands, "n-9") == "assertion-ended"
        own = PrivateKey.from_pem(Path(private).read_bytes())
        now = int(time.time())  # not NOW: the tests may have begun long ago
        claims = {"iss": ISSUER, "aud": APP_ID, "iat": now, "exp": now + 120, "nonce": "n-9"}
        elsewhere = sign_jws(
            json.dumps({**mapping.login_to_claims(login()), **claims}).encode(), own, "SM2SM3", headers={}
        )
        assert refusal(identity, elsewhere, "n-9") == "assertion-ended", "not a login of this service"
        for fault in LOGIN_FAULTS:
            assert refusal(identity, assertion(fault=fault), "n-9") == f"assertion-{fault}"
        for mode in ("down", "reset", "http-500", "fault-in-200", "truncated"):
            fresh = assertion()
            simulator.fail(mode)
            with pytest.raises(RetryLater):
                identity.verify_login(fresh, "n-9", Deadline.after(5))
            simulator.fail("none")
        identity.close()
    with pytest.raises(PeerMisconfigured, match="assertion_status"):
        Identity(
            Endpoint("e", "370000", "http://127.0.0.1:9", {**settings, "assertion_status": "x"}, {"app_secret": SECRET})
        )

"""HTTP Message Signatures: the RFC's own vectors, our strict profile, and another library in both directions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import http_message_signatures as oracle
import http_sf
import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.errors import BadKey, MessageRefused
from certs.http import signatures as hs
from certs.http.signatures import content_digest, sign_request, sign_response, verify_request, verify_response
from certs.keys import PublicKey
from tests.unit.certs.messages import NOW, KeyKind, key_of, raw_key

URL = "https://hub.example.cn/v1/transfers?dry=1&x=%20"
BODY = '{"student":"张"}'.encode()
HEADERS = [("Content-Type", "application/json"), ("Host", "hub.example.cn")]
MAX_AGE = timedelta(minutes=5)
KINDS: tuple[KeyKind, ...] = ("rsa", "p256", "p384", "ed25519", "sm2")


def signed(kind: KeyKind = "p256", **changes: object) -> list[tuple[str, str]]:
    arguments: dict[str, object] = {"key": key_of(kind), "key_id": "k1", "created": NOW, "nonce": "n-1"} | changes
    return [*HEADERS, *sign_request("POST", URL, HEADERS, BODY, **arguments).items()]  # type: ignore[arg-type]


def verify(headers: list[tuple[str, str]], kind: KeyKind = "p256", **changes: object) -> hs.SignedMessage:
    known = {"k1": key_of(kind).public_key}
    arguments: dict[str, object] = {"method": "POST", "url": URL, "body": BODY, "now": NOW} | changes
    return verify_request(headers=headers, max_age=MAX_AGE, resolve_key=known.get, **arguments)  # type: ignore[arg-type]


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(MessageRefused) as caught:
        call()
    return caught.value.reason


def changed(headers: list[tuple[str, str]], name: str, change: Callable[[str], str]) -> list[tuple[str, str]]:
    return [(key, change(value) if key == name else value) for key, value in headers]


# --- RFC 9421, appendix B.2 (the vectors whose components are in our reach; B.2.2 uses a parameter, B.2.5 HMAC) --------

RSA_PSS_KEY = b"""-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----"""
P256_KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----"""
ED25519_KEY = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----"""
REQUEST_DIGEST = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
REQUEST = hs.Message.request(
    "POST",
    "https://example.com/foo?param=Value&Pet=dog",
    [
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", REQUEST_DIGEST),
        ("Content-Length", "18"),
    ],
    b'{"hello": "world"}',
)
RESPONSE = hs.Message(
    {
        "date": "Tue, 20 Apr 2021 02:07:56 GMT",
        "content-type": "application/json",
        "content-digest": "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
        "content-length": "23",
    },
    b'{"message": "good dog"}',
    status=200,
)
VECTORS = {
    "B.2.1": (
        REQUEST,
        RSA_PSS_KEY,
        "rsa-pss-sha512",
        '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG"
        "52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrog"
        "UvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98"
        "Xw9Q==",
    ),
    "B.2.3": (
        REQUEST,
        RSA_PSS_KEY,
        "rsa-pss-sha512",
        '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length")'
        ';created=1618884473;keyid="test-key-rsa-pss"',
        "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fU"
        "xN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1"
        "ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM"
        "4cUA==",
    ),
    "B.2.4": (
        RESPONSE,
        P256_KEY,
        "ecdsa-p256-sha256",
        '("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"',
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
    ),
    "B.2.6": (
        REQUEST,
        ED25519_KEY,
        "ed25519",
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"',
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_rfc_vector(name: str) -> None:
    message, pem, algorithm, parameters, value = VECTORS[name]
    fields = {**message.fields, "signature-input": f"sig={parameters}", "signature": f"sig=:{value}:"}
    _, member, signature = hs._one_signature(fields)
    base = hs._signature_base(message, hs._components(member), member)
    spki = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = PublicKey.from_spki_der(spki)
    assert key.verify(hs.ALGORITHMS[algorithm], base, signature, raw=True)
    assert not key.verify(hs.ALGORITHMS[algorithm], base + b" ", signature, raw=True)


def test_rfc_digest() -> None:
    hs._check_digest(REQUEST)
    hs._check_digest(RESPONSE)


# --- our profile ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["sha-256", "sha-512", "sm3"])
@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind: KeyKind, digest: str) -> None:
    result = verify(signed(kind, digest_algorithm=digest), kind)
    assert (result.key_id, result.nonce, result.created) == ("k1", "n-1", NOW)
    assert result.components == ("@method", "@target-uri", "content-type", "content-digest")


@pytest.mark.parametrize("algorithm", ["rsa-v1_5-sha256", "rsa-pss-sha512"])
def test_both_rsa_algorithms(algorithm: str) -> None:
    assert verify(signed("rsa", algorithm=algorithm), "rsa").algorithm == algorithm


def test_authority_path_and_query_stand_for_the_target() -> None:
    headers = resigned('("@method" "@authority" "@path" "@query" "content-digest")')
    assert verify(headers).components[1] == "@authority"
    assert reason(lambda: verify(resigned('("@method" "@authority" "@path" "content-digest")'))) == "component-missing"


@pytest.mark.parametrize("url", ["https://HUB.example.cn:443/v1", "https://hub.example.cn/v1"])
def test_authority_is_lower_case_without_default_port(url: str) -> None:
    assert hs.Message.request("GET", url, [], b"").component("@authority") == "hub.example.cn"


def test_request_without_body_needs_no_digest() -> None:
    headers = list(sign_request("GET", URL, [], b"", key=key_of("p256"), key_id="k1", created=NOW, nonce="n").items())
    assert verify(headers, method="GET", body=b"").components == ("@method", "@target-uri")


def resigned(
    components: str, parameters: str | None = None, body: bytes = BODY, **fields: str
) -> list[tuple[str, str]]:
    """Headers signed over whatever components and parameters: what a hostile or careless holder of a key can make."""
    parameters = parameters or f';created={int(NOW.timestamp())};keyid="k1";nonce="n-1"'
    extra = {"content-digest": content_digest(body)} | fields
    value = f"x={components}{parameters}"
    member = http_sf.parse(value.encode(), tltype="dictionary")["x"]  # type: ignore[index, call-overload]
    message = hs.Message.request("POST", URL, [*HEADERS, *extra.items()], body)
    lines = [f'"{name}": {message.component(name)}' for name, _ in member[0]]
    base = "\n".join([*lines, f'"@signature-params": {http_sf.ser([member])}'])
    signature = key_of("p256").sign(hs.ALGORITHMS["ecdsa-p256-sha256"], base.encode(), raw=True)
    return [*HEADERS, *extra.items(), ("Signature-Input", value), ("Signature", http_sf.ser({"x": signature}))]


T = int(NOW.timestamp())
ALL = '("@method" "@target-uri" "content-digest")'
REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "no signature": ("signature-missing", lambda: verify(HEADERS)),
    "no signature-input": ("signature-missing", lambda: verify([h for h in signed() if h[0] != "Signature-Input"])),
    "two signatures": (
        "signature-ambiguous",
        lambda: verify(
            changed(
                changed(signed(), "Signature", lambda v: f"{v}, b=:AA==:"),
                "Signature-Input",
                lambda v: f'{v}, b=("@method")',
            )
        ),
    ),
    "labels differ": ("signature-malformed", lambda: verify(changed(signed(), "Signature", lambda v: "other" + v[3:]))),
    "label twice": ("signature-malformed", lambda: verify(changed(signed(), "Signature", lambda v: f"{v}, {v}"))),
    "no structured field": ("signature-malformed", lambda: verify(changed(signed(), "Signature-Input", lambda v: "é"))),
    "not an inner list": (
        "signature-malformed",
        lambda: verify(changed(signed(), "Signature-Input", lambda v: "hub=1")),
    ),
    "signature is a string": (
        "signature-malformed",
        lambda: verify(changed(signed(), "Signature", lambda v: 'hub="x"')),
    ),
    "another method": ("signature-invalid", lambda: verify(signed(), method="PUT")),
    "another address": ("signature-invalid", lambda: verify(signed(), url=URL.replace("dry=1", "dry=0"))),
    "another host": ("signature-invalid", lambda: verify(signed(), url=URL.replace("hub.", "evil."))),
    "another body": ("digest-mismatch", lambda: verify(signed(), body=b"{}")),
    "another body and digest": (
        "signature-invalid",
        lambda: verify(changed(signed(), "Content-Digest", lambda v: content_digest(b"{}")), body=b"{}"),
    ),
    "another nonce": (
        "signature-invalid",
        lambda: verify(changed(signed(), "Signature-Input", lambda v: v.replace("n-1", "n-2"))),
    ),
    "another content type": (
        "signature-invalid",
        lambda: verify(changed(signed(), "Content-Type", lambda v: "text/xml")),
    ),
    "method not covered": ("component-missing", lambda: verify(resigned('("@target-uri" "content-digest")'))),
    "target not covered": ("component-missing", lambda: verify(resigned('("@method" "content-digest")'))),
    "digest not covered": ("component-missing", lambda: verify(resigned('("@method" "@target-uri")'))),
    "nothing covered": ("component-missing", lambda: verify(resigned("()"))),
    "no digest": ("digest-missing", lambda: verify([h for h in signed() if h[0] != "Content-Digest"])),
    "unknown digest only": (
        "digest-unsupported",
        lambda: verify(changed(signed(), "Content-Digest", lambda v: "md5=:AAAA:")),
    ),
    "one digest of two wrong": (
        "digest-mismatch",
        lambda: verify(changed(signed(), "Content-Digest", lambda v: f"{v}, sha-512=:AAAA:")),
    ),
    "covered header absent": ("component-absent", lambda: verify([h for h in signed() if h[0] != "Content-Type"])),
    "component with parameter": (
        "component-unsupported",
        lambda: verify(resigned('("@method" "@target-uri" "content-digest";bs)')),
    ),
    "component twice": (
        "signature-malformed",
        lambda: verify(resigned('("@method" "@method" "@target-uri" "content-digest")')),
    ),
    "component in capitals": (
        "component-unsupported",
        lambda: verify(changed(signed(), "Signature-Input", lambda v: v.replace("content-type", "Content-Type"))),
    ),
    "signature covers itself": (
        "component-unsupported",
        lambda: verify(changed(signed(), "Signature-Input", lambda v: v.replace("content-type", "signature"))),
    ),
    "no created": ("parameter-missing", lambda: verify(resigned(ALL, ';keyid="k1";nonce="n"'))),
    "no keyid": ("parameter-missing", lambda: verify(resigned(ALL, f';created={T};nonce="n"'))),
    "no nonce": ("parameter-missing", lambda: verify(resigned(ALL, f';created={T};keyid="k1"'))),
    "empty nonce": ("signature-malformed", lambda: verify(resigned(ALL, f';created={T};keyid="k1";nonce=""'))),
    "long nonce": ("signature-malformed", lambda: verify(signed(nonce="n" * 129))),
    "created is no integer": (
        "signature-malformed",
        lambda: verify(resigned(ALL, f';created={T}.5;keyid="k1";nonce="n"')),
    ),
    "created before 1970": ("signature-malformed", lambda: verify(resigned(ALL, ';created=-1;keyid="k1";nonce="n"'))),
    "keyid is a token": ("signature-malformed", lambda: verify(resigned(ALL, f';created={T};keyid=k1;nonce="n"'))),
    "unknown parameter": (
        "parameter-unsupported",
        lambda: verify(resigned(ALL, f';created={T};keyid="k1";nonce="n";evil=1')),
    ),
    "stale": ("signature-stale", lambda: verify(signed(), now=NOW + MAX_AGE + timedelta(seconds=1))),
    "expired": (
        "signature-stale",
        lambda: verify(signed(expires=NOW + timedelta(seconds=5)), now=NOW + timedelta(seconds=5)),
    ),
    "from the future": ("signature-future", lambda: verify(signed(), now=NOW - timedelta(seconds=61))),
    "unknown key": ("key-unknown", lambda: verify(signed(key_id="k2"))),
    "another key": (
        "signature-invalid",
        lambda: verify(
            [
                *HEADERS,
                *sign_request(
                    "POST", URL, HEADERS, BODY, key=key_of("p256", 2), key_id="k1", created=NOW, nonce="n"
                ).items(),
            ]
        ),
    ),
    "algorithm of another key": ("algorithm-mismatch", lambda: verify(signed("rsa"), "p256")),
    "unknown algorithm": (
        "algorithm-unsupported",
        lambda: verify(changed(signed(), "Signature-Input", lambda v: v.replace("ecdsa-p256-sha256", "hmac-sha256"))),
    ),
    "relative address": ("target-malformed", lambda: verify(signed(), url="/v1/transfers")),
    "address with a bad port": ("target-malformed", lambda: verify(signed(), url="https://hub:99999/")),
    "line break in a covered header": (
        "signature-malformed",
        lambda: verify(changed(signed(), "Content-Type", lambda v: "a\nb")),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    word, call = REFUSED[name]
    assert reason(call) == word


def test_every_altered_byte_of_the_signature_is_noticed() -> None:
    headers = signed()
    value = dict(headers)["Signature"]
    # the last letter before "==" holds four bits that mean nothing, and a reader of RFC 9651 may not mind them (3.3.5)
    for position in range(value.index(":") + 1, len(value) - 4):
        letter = "A" if value[position] != "A" else "B"
        with pytest.raises(MessageRefused):
            verify(changed(headers, "Signature", lambda v, p=position, c=letter: v[:p] + c + v[p + 1 :]))  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS)
def test_response(kind: KeyKind) -> None:
    known = {"hub": key_of(kind).public_key}
    added = sign_response(201, HEADERS, BODY, key=key_of(kind), key_id="hub", created=NOW, request_nonce="n-1")
    headers = [*HEADERS, *added.items()]

    def check(status: int = 201, body: bytes = BODY, nonce: str = "n-1") -> hs.SignedMessage:
        return verify_response(
            status, headers, body, request_nonce=nonce, now=NOW, max_age=MAX_AGE, resolve_key=known.get
        )

    assert check().components == ("@status", "content-type", "content-digest")
    assert reason(lambda: check(status=200)) == "signature-invalid"
    assert reason(lambda: check(body=b"{}")) == "digest-mismatch"
    assert reason(lambda: check(nonce="n-2")) == "nonce-mismatch"


def test_a_request_signature_is_no_response_signature() -> None:
    known = {"k1": key_of("p256").public_key}
    assert (
        reason(
            lambda: verify_response(
                200, signed(), BODY, request_nonce="n-1", now=NOW, max_age=MAX_AGE, resolve_key=known.get
            )
        )
        == "component-missing"
    )


def test_signing_with_an_algorithm_that_does_not_fit() -> None:
    with pytest.raises(BadKey):
        signed("p256", algorithm="rsa-v1_5-sha256")
    with pytest.raises(BadKey):
        signed("p256", algorithm="hmac-sha256")


# --- http-message-signatures as the other side ------------------------------------------------------------------------

ORACLES = {
    "rsa": ("rsa-v1_5-sha256", oracle.algorithms.RSA_V1_5_SHA256),
    "p256": ("ecdsa-p256-sha256", oracle.algorithms.ECDSA_P256_SHA256),
    "ed25519": ("ed25519", oracle.algorithms.ED25519),
}


class OracleKeys(oracle.HTTPSignatureKeyResolver):
    def __init__(self, kind: KeyKind) -> None:
        self.key = raw_key(kind)

    def resolve_private_key(self, key_id: str) -> object:
        return self.key

    def resolve_public_key(self, key_id: str) -> object:
        return self.key.public_key()  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ORACLES)
def test_oracle_verifies_what_we_sign(kind: KeyKind) -> None:
    now = datetime.now(UTC)
    name, algorithm = ORACLES[kind]
    request = requests.Request("POST", URL, headers=dict(HEADERS), data=BODY).prepare()
    added = sign_request(
        "POST",
        URL,
        request.headers.items(),
        BODY,
        key=key_of(kind),
        key_id="k1",
        created=now,
        nonce="n",
        algorithm=name,
    )
    request.headers.update(added)
    verifier = oracle.HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=OracleKeys(kind))
    assert len(verifier.verify(request, max_age=timedelta(minutes=1))) == 1


@pytest.mark.parametrize("kind", ORACLES)
def test_we_verify_what_the_oracle_signs(kind: KeyKind) -> None:
    _, algorithm = ORACLES[kind]
    request = requests.Request("POST", URL, headers=dict(HEADERS), data=BODY).prepare()
    request.headers["Content-Digest"] = content_digest(BODY)  # the oracle keeps it
    signer = oracle.HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=OracleKeys(kind))
    components = ("@method", "@authority", "@path", "@query", "content-digest", "content-type")
    signer.sign(
        request,
        key_id="k1",
        covered_component_ids=components,
        created=NOW,
        nonce="n",
        label="sig1",
        use_existing_digest=True,
    )
    assert verify(list(request.headers.items()), kind).label == "sig1"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(alphabet=st.characters(codec="latin-1"), max_size=120),
    st.text(alphabet='hub=:("@method");,created 1keyid."\\', max_size=80),
    st.sampled_from(["Signature", "Signature-Input", "Content-Digest"]),
)
def test_only_our_error_leaves(garbage: str, near: str, name: str) -> None:
    for value in (garbage, near):
        with pytest.raises(MessageRefused):
            verify(changed(signed("ed25519"), name, lambda _, v=value: v), "ed25519")  # type: ignore[misc]

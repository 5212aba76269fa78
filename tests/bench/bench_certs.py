"""SM2 and sealed documents, each beside a floor of the same run: OpenSSL's own speed, or the bare operations inside.

``ratio`` is figure over floor: 1 would be no overhead at all. Run it as a script, or ``run()`` from another one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from certs import keys, sm2
from certs.digests import digest
from certs.keys import SignatureAlgorithm
from certs.ofd import seals
from certs.ofd.write import SignOptions, sign_ofd, unpack
from certs.sm2 import BackendName
from certs.x509 import crl, path_checks, signing_cert
from tests.bench.bench_messages import Row, row, show
from tests.unit.certs.ofd_cases import NOW, unsigned, world

MESSAGE = b"m" * 300
SM2 = SignatureAlgorithm.SM2_SM3


def openssl_speed(processes: int = 1) -> float | None:
    """SM2 verifications a second by ``openssl speed`` on so many processes; None without the command."""
    if shutil.which("openssl") is None:
        return None
    done = subprocess.run(
        # alone it counts the time that it was given; with -multi the time that passed
        ["openssl", "speed", "-seconds", "1", *(("-multi", str(processes)) if processes > 1 else ()), "sm2"],
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"SM2.*?([0-9.]+)\s*$", done.stdout.strip())
    return float(match[1]) if match else None


def sm2_rows() -> list[Row]:
    """Verification on one thread and on two beside ``openssl speed``, and signing beside verification.

    ``openssl`` is another process, so runs of one second take turns and the best of each counts.
    """
    rows = []
    names: tuple[BackendName, ...] = ("libcrypto", "gmssl")
    for name in names:
        if name == "libcrypto" and sm2.select_backend() != "libcrypto":
            continue
        sm2.select_backend(name)
        key = sm2.generate()
        public, signature = sm2.public_key(key), sm2.sign(key, MESSAGE)

        def verify(public: bytes = public, signature: bytes = signature) -> None:
            sm2.verify(public, MESSAGE, signature)

        def sign(key: bytes = key) -> None:
            sm2.sign(key, MESSAGE)

        for count in (1, 2) if (os.cpu_count() or 1) > 1 else (1,):
            turns = [(openssl_speed(count), threads(verify, count) if count > 1 else alone(verify)) for _ in range(3)]
            floors, figures = zip(*turns, strict=True)
            floor = max((one for one in floors if one), default=0.0)
            figure = max(figures)
            ratio = figure / floor if floor else 0.0
            rows.append(Row(f"sm2 verify, {name}, {count} thread{'s'[: count - 1]}", figure, "1/s", floor, ratio))
        rows.append(row(f"sm2 sign, {name}; floor: verify", verify, sign))
    sm2.select_backend("auto")
    return rows


def alone(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Calls per second that this thread was given, which is how ``openssl speed`` counts."""
    done, start = 0, time.thread_time()
    while (spent := time.thread_time() - start) < seconds:
        call()
        done += 1
    return done / spent


def threads(call: Callable[[], object], count: int, seconds: float = 1.0) -> float:
    """Calls per second over some threads."""

    def work() -> int:
        done, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            call()
            done += 1
        return done

    with ThreadPoolExecutor(count) as pool:
        return sum(future.result() for future in [pool.submit(work) for _ in range(count)]) / seconds


def forget() -> None:
    """Nothing is known of any issuer, list or seal: neither answers nor what was parsed."""
    keys.forget_answers()
    for cache in (keys._public_key, signing_cert._parse, crl._small_crl, seals._small_seal, path_checks._timeless):
        cache.cache_clear()


def ofd_rows() -> list[Row]:
    """Writing, sealing and verifying a document of about 40 KB with all checks on, in a trusted world with CRLs.

    The floor is the bare SM2 operations and the SM3 digests of the document's files. *first time*: nothing is remembered, and
    seven signatures are verified: the document's, the seal's, three certificates (the intermediate, the signer's, the
    maker's) and two CRLs. *known*: as in a running hub, certificates, CRLs and the seal were verified before. The floor
    then is the two signatures that the document bears, its own and the seal's, though only the first is computed anew;
    the last row has that one alone as its floor.
    """
    w = world()
    options = SignOptions(seal=w.seal("v4"))
    document = sign_ofd(unsigned(34_000), w.authority.signer, options, at=NOW)
    members = unpack(document)
    key = w.authority.signer.key
    value = key.sign(SM2, MESSAGE)

    def bare(signatures: int) -> Callable[[], object]:
        def call() -> None:
            for content in members.values():
                digest("sm3", content)
            for _ in range(signatures):
                key.public_key.verify(SM2, MESSAGE, value)

        return call

    def known() -> None:
        w.verify(document)

    def first_time() -> None:
        forget()
        w.verify(document)

    def write() -> None:
        sign_ofd(unsigned(34_000), w.authority.signer, options, at=NOW)

    size = len(document) // 1000
    return [
        row(f"verify OFD v4 {size} kB, first time; 7 SM2", bare(7), first_time),
        row(f"verify OFD v4 {size} kB, known; 2 SM2", bare(2), known),
        row(f"verify OFD v4 {size} kB, known; 1 SM2", bare(1), known),
        row("write and seal the same; floor: 1 signature", lambda: key.sign(SM2, MESSAGE), write),
    ]


def rows() -> list[Row]:
    """Every row of this module."""
    return [*sm2_rows(), *ofd_rows()]


def run() -> list[dict[str, object]]:
    """All rows as plain values: name, figure, unit, floor, ratio."""
    return [found._asdict() for found in rows()]


if __name__ == "__main__":
    show(rows())

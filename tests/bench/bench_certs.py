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
from certs.ofd_write import SignOptions, sign_ofd, unpack
from certs.sm2 import BackendName
from tests.bench.bench_messages import Row, rate
from tests.unit.certs.ofd_cases import NOW, unsigned, world

MESSAGE = b"m" * 300
SM2 = SignatureAlgorithm.SM2_SM3


def openssl_speed(processes: int = 1) -> float | None:
    """SM2 verifications a second by ``openssl speed`` on so many processes; None without the command."""
    if shutil.which("openssl") is None:
        return None
    done = subprocess.run(
        ["openssl", "speed", "-seconds", "1", "-multi", str(processes), "sm2"],
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"SM2.*?([0-9.]+)\s*$", done.stdout.strip())
    return float(match[1]) if match else None


def sm2_rows() -> list[Row]:
    """Verification on one thread and on two, and the other operations."""
    floor, double = openssl_speed(), openssl_speed(2)
    rows = []
    names: tuple[BackendName, ...] = ("libcrypto", "gmssl")
    for name in names:
        if name == "libcrypto" and sm2.select_backend() != "libcrypto":
            continue
        sm2.select_backend(name)
        key = sm2.generate()
        public, signature = sm2.public_key(key), sm2.sign(key, MESSAGE)
        one = rate(lambda p=public, s=signature: sm2.verify(p, MESSAGE, s))  # type: ignore[misc]
        rows.append(Row(f"sm2 verify, {name}, 1 thread", one, "1/s", floor or 0.0, one / floor if floor else 0.0))
        if (os.cpu_count() or 1) > 1:
            two = threads(lambda p=public, s=signature: sm2.verify(p, MESSAGE, s), 2)  # type: ignore[misc]
            rows.append(Row(f"sm2 verify, {name}, 2 threads", two, "1/s", double or one, two / (double or one)))
        signs = rate(lambda k=key: sm2.sign(k, MESSAGE))  # type: ignore[misc]
        rows.append(Row(f"sm2 sign, {name}", signs, "1/s", one, signs / one))
    sm2.select_backend("auto")
    return rows


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


def ofd_rows() -> list[Row]:
    """Writing, sealing and verifying a document of about 40 KB with all checks on, in a trusted world with CRLs.

    *known issuers*: certificates and CRLs were verified before, as in a running hub, so the two signatures of the
    document remain. *first time*: nothing is remembered, and seven signatures are verified: the document's, the seal's,
    three certificates (the intermediate, the signer's, the maker's) and two CRLs.
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

    def first_time() -> None:
        keys._remembered.cache_clear()
        w.verify(document)

    rows = []
    for name, call, signatures in (
        ("known issuers", lambda: w.verify(document), 2),
        ("first time", first_time, 7),
    ):
        floor, figure = rate(bare(signatures)), rate(call)
        size = len(document) // 1000
        rows.append(Row(f"verify OFD v4 {size} kB, {name}", figure, "1/s", floor, figure / floor))
    made = rate(lambda: sign_ofd(unsigned(34_000), w.authority.signer, options, at=NOW))
    signed = rate(lambda: key.sign(SM2, MESSAGE))
    rows.append(Row("write and seal the same", made, "1/s", signed, made / signed))
    return rows


def run() -> list[dict[str, object]]:
    """All rows as plain values: name, figure, unit, floor, ratio."""
    return [row._asdict() for row in (*sm2_rows(), *ofd_rows())]


if __name__ == "__main__":
    for row in run():
        print(
            f"{row['name']:<48} {row['figure']:>9.0f} {row['unit']}   floor {row['floor']:>9.0f}   ratio {row['ratio']:.2f}"
        )

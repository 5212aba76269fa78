"""HUB_SM2_BACKEND=gmssl or libcrypto runs these tests on that backend; else on the one that the machine offers."""

from __future__ import annotations

import os
from typing import cast

import pytest

from certs import sm2

WANTED = cast(sm2.BackendName, os.environ.get("HUB_SM2_BACKEND", "auto"))
USUAL = sm2.select_backend(WANTED)


@pytest.fixture(autouse=True)
def _sm2_backend() -> None:
    """Whatever another test selected, each one starts with the right backend."""
    if sm2.backend_name() != USUAL:
        sm2.select_backend(WANTED)

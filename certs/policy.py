"""What an administrator decides about verification, as one immutable value, loaded from TOML (``certs/policies``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from certs.errors import BadConfiguration
from certs.keys import SignatureAlgorithm
from certs.report import Indication
from schemas.parsing import validation_faults

NAMED: Final = ("strict", "field")


@dataclass(frozen=True, slots=True)
class Policy:
    """The defaults are those of ``strict``.

    ``revocation``: ``hard`` leaves an unknown status INDETERMINATE, ``soft`` lets it pass with a note, ``off`` does not
    ask. ``max_revocation_age`` bounds the age of CRLs and OCSP responses beyond their own nextUpdate.
    ``accept_claimed_time``: without a timestamp, certificates are judged at the time that the signature claims, else at
    the time of verification. ``uncovered``: the verdict when files lie outside every signature, except those that match a
    pattern of ``uncovered_allowed``. ``require_seal``: whether a signature without an electronic seal is not enough.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str = "strict"
    algorithms: frozenset[SignatureAlgorithm] = frozenset(SignatureAlgorithm) - {SignatureAlgorithm.RSA_PKCS1_SHA1}
    min_rsa_bits: int = 2048
    revocation: Literal["hard", "soft", "off"] = "hard"
    max_revocation_age: timedelta | None = None
    accept_claimed_time: bool = True
    uncovered: Indication = Indication.INDETERMINATE
    uncovered_allowed: tuple[str, ...] = ()
    require_seal: bool = False

    def allows(self, algorithm: SignatureAlgorithm) -> bool:
        """Whether signatures by this algorithm count."""
        return algorithm in self.algorithms

    def may_be_uncovered(self, name: str) -> bool:
        """Whether a file of this name may lie outside every signature."""
        return any(fnmatchcase(name, pattern) for pattern in self.uncovered_allowed)


def load_policy(name: str) -> Policy:
    """One of :data:`NAMED`, or the administrator's own by the path of its ``.toml`` file; else BadConfiguration."""
    if name in NAMED:
        return _named(name)
    if not name.endswith(".toml"):
        raise BadConfiguration(
            f"没有策略 {name[:40]!r}; 可用: {', '.join(NAMED)}, 或 .toml 文件的路径",
            f"no policy of the name {name[:40]!r}: {', '.join(NAMED)}, or the path of a .toml file",
        )
    try:
        return parse_policy(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise BadConfiguration(
            f"{Path(name).name}: 策略文件无法读取", f"{Path(name).name}: the policy cannot be read"
        ) from None


@lru_cache(maxsize=8)
def _named(name: str) -> Policy:
    return parse_policy(resources.files("certs").joinpath("policies", f"{name}.toml").read_text(encoding="utf-8"))


def parse_policy(text: str) -> Policy:
    """A policy from TOML; every key is optional and those that are not named keep the default of ``strict``."""
    try:
        return _ADAPTER.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(f"策略文件不是 TOML: {error}", f"the policy is not TOML: {error}") from None
    except ValidationError as error:
        fault = validation_faults(error)[0]
        raise BadConfiguration(
            f"策略文件 {fault.path}: {fault.reason_zh}, {fault.cure_zh}",
            f"policy: {fault.path}: {fault.reason_en}: {fault.cure_en}",
        ) from None


_ADAPTER: Final = TypeAdapter(Policy)

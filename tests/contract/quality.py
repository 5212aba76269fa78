"""The quality scale of adapters: bronze, silver, gold. Each rule is a function that gives what is missing, or None.

docs/how-to/write-an-adapter.md explains the rules; a test holds the two together. What the contract suite tests of every adapter
(errors, deadlines, private data, one effect for each key) is no rule here: there is no adapter without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adapters.contract import Capability, Manifest
from adapters.harness import Harness
from adapters.manifests import WIRE_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
TIERS = ("bronze", "silver", "gold")
MIN_REFUSALS = 4


@dataclass(frozen=True)
class Rule:
    """``exemptible``: an adapter may do without, if its manifest says why."""

    name: str
    tier: str
    missing: Callable[[Manifest, Harness], str | None]
    exemptible: bool = True


def _files(manifest: Manifest, _: Harness) -> str | None:
    folder = manifest.path.parent
    wanted = ("__init__.py", "mapping.py", "client.py", "simulator.py", "harness.py")
    absent = [name for name in wanted if not (folder / name).is_file()]
    return f"there is no {', '.join(absent)}" if absent else None


def _two_languages(manifest: Manifest, _: Harness) -> str | None:
    if not re.search(r"[\u4e00-\u9fff]", manifest.product_zh):
        return "product_zh is not Chinese"
    return None if manifest.product.isascii() else "product is not English"


def _round_trips(_: Manifest, harness: Harness) -> str | None:
    return None if harness.round_trips else "the harness has no round trip"


def _blanks_filled(manifest: Manifest, _: Harness) -> str | None:
    blank = [path.name for path in sorted(manifest.path.parent.glob("*.*")) if "FILL IN" in path.read_text("utf-8")]
    return f"the template's blanks are left in {', '.join(blank)}" if blank else None


def _rare_characters(_: Manifest, harness: Harness) -> str | None:
    """䶮 is not in GBK, 𠮷 lies outside the BMP."""
    samples = "".join(str(sample) for trip in harness.round_trips for sample in trip.samples)
    return None if "䶮" in samples and "𠮷" in samples else "no sample holds 䶮 and 𠮷"


def _status_query(manifest: Manifest, _: Harness) -> str | None:
    delivers = Capability.DELIVER in manifest.capabilities
    return "it delivers and cannot be asked" if delivers and not manifest.status_query else None


def _no_operator(manifest: Manifest, _: Harness) -> str | None:
    delivers = Capability.DELIVER in manifest.capabilities
    stuck = delivers and not manifest.idempotent and not manifest.status_query
    return "after a timeout an operator must decide" if stuck else None


def _known_to_the_peer(manifest: Manifest, _: Harness) -> str | None:
    own = manifest.settings.keys() - WIRE_SETTINGS.keys()
    if manifest.secrets or any(name.startswith("signing_") for name in own):
        return None
    return "the peer cannot tell the hub from others: no secret and no signing key"


def _refusals(_: Manifest, harness: Harness) -> str | None:
    given = len(harness.refusals)
    return (
        None
        if given >= MIN_REFUSALS
        else f"the harness has {given} of the peer's own refusals, {MIN_REFUSALS} are wanted"
    )


def _guide(manifest: Manifest, _: Harness) -> str | None:
    path = ROOT / "docs" / "adapters" / f"{manifest.id}.md"
    if not path.is_file():
        return f"there is no {path.relative_to(ROOT)}"
    text = path.read_text(encoding="utf-8")
    own = (manifest.settings.keys() - WIRE_SETTINGS.keys()) | manifest.secrets.keys()
    unnamed = sorted(name for name in own if f"`{name}`" not in text)
    return f"the guide does not explain {', '.join(unnamed)}" if unnamed else None


RULES = (
    Rule("files", "bronze", _files, exemptible=False),
    Rule("two-languages", "bronze", _two_languages, exemptible=False),
    Rule("round-trips", "bronze", _round_trips, exemptible=False),
    Rule("blanks-filled", "silver", _blanks_filled, exemptible=False),
    Rule("rare-characters", "silver", _rare_characters),
    Rule("no-operator-after-timeout", "silver", _no_operator),
    Rule("known-to-the-peer", "silver", _known_to_the_peer),
    Rule("status-query", "gold", _status_query),
    Rule("refusals", "gold", _refusals),
    Rule("guide", "gold", _guide),
)


def faults(manifest: Manifest, harness: Harness) -> list[str]:
    """What keeps the adapter from the tier that it declares, and exemptions that stand for nothing."""
    found = []
    owed = TIERS[: TIERS.index(manifest.tier) + 1]
    for rule in RULES:
        missing = rule.missing(manifest, harness)
        exempt = rule.name in manifest.exemptions
        if missing and rule.tier in owed and not (exempt and rule.exemptible):
            found.append(f"{rule.tier} {rule.name}: {missing}")
        if exempt and not (missing and rule.exemptible and rule.tier in owed):
            found.append(f"{rule.name}: this exemption stands for nothing; take it out")
    known = {rule.name for rule in RULES}
    found.extend(f"{name}: there is no such rule" for name in manifest.exemptions if name not in known)
    return found

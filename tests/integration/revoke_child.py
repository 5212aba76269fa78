"""A small process that takes one revocation notice: what the kill tests of it kill.

``revoke_child URL FOLDER MESSAGE``: the notice's JSON; prints the answer's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hub.ecerts.evidence.revoking import Revocations
from hub.intake.operations import digest_of
from schemas.revocations import RevocationNotice
from tests.integration.evidence_child import quiet, world_of


def main() -> None:
    url, folder, text = sys.argv[1:]
    quiet()
    world = world_of(url, Path(folder))
    message = RevocationNotice.model_validate_json(text)
    taken = Revocations(world.db, world.parts.follow_ups).take(
        world.caller("province"), message, digest=digest_of(message)
    )
    print(taken.model_dump_json(), flush=True)
    world.close()
    world.db.close()

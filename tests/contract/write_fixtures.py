"""``python -m tests.contract.write_fixtures <adapter>``: write the wire form of each first sample; look at the diff first."""

from __future__ import annotations

import sys

from adapters.registry import manifest
from tests.contract.conftest import harness_of

if __name__ == "__main__":
    for adapter_id in sys.argv[1:]:
        folder = manifest(adapter_id).path.parent / "fixtures"
        folder.mkdir(exist_ok=True)
        for trip in harness_of(adapter_id).round_trips:
            (folder / trip.fixture).write_bytes(trip.encode(trip.samples[0]))
            print(folder.name, trip.fixture)

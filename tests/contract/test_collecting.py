"""What every adapter that collects owes beside the common suite: one key is one effect, also when the answer is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from adapters.contract import (
    Adapter,
    Capability,
    CollectedAsker,
    CollectedQuery,
    CollectReceipt,
    Deadline,
    EcertCollector,
    OutcomeUnknown,
    RetryLater,
    bucket_digest,
    bucket_of,
)
from adapters.simulation_faults import Mode
from tests.contract.conftest import Subject
from tests.contract.test_adapter_contract import AMPLE_S, LIMIT_S, failure, new_key


@pytest.fixture
def collect(subject: Subject, adapter: Adapter) -> Callable[[str, float], CollectReceipt]:
    make = subject.harness.collection
    if make is None:
        assert Capability.COLLECT not in subject.manifest.capabilities
        pytest.skip("collects nothing")
    assert subject.manifest.idempotent
    return lambda key, limit_s: cast(EcertCollector, adapter).collect(make(key), Deadline.after(limit_s))


def test_one_collection_is_one_effect(subject: Subject, collect: Callable[[str, float], CollectReceipt]) -> None:
    key = new_key()
    assert collect(key, AMPLE_S) == collect(key, AMPLE_S)
    assert subject.simulator.effects()[key] == 1


@pytest.mark.parametrize("mode", [Mode.HANG_BEFORE, Mode.RESET, Mode.HANG_AFTER, Mode.RESET_AFTER, Mode.TRUNCATED])
def test_a_lost_answer_is_an_unknown_outcome(
    subject: Subject, collect: Callable[[str, float], CollectReceipt], mode: Mode
) -> None:
    collect(new_key(), AMPLE_S)  # the adapter has its token: the next thing sent is the collection
    key = new_key()
    subject.simulator.fail(mode, times=1)
    assert type(failure(lambda: collect(key, LIMIT_S))) is OutcomeUnknown
    collect(key, AMPLE_S)
    assert subject.simulator.effects()[key] == 1


def test_told_to_wait_nothing_happened(subject: Subject, collect: Callable[[str, float], CollectReceipt]) -> None:
    collect(new_key(), AMPLE_S)
    key = new_key()
    subject.simulator.fail(Mode.STATUS_503_RETRY_AFTER, times=1, retryAfter=3)
    assert type(failure(lambda: collect(key, AMPLE_S))) is RetryLater
    assert key not in subject.simulator.effects()


def test_what_was_collected_is_told_by_count_and_digest(
    subject: Subject, adapter: Adapter, collect: Callable[[str, float], CollectReceipt]
) -> None:
    make = subject.harness.collection
    assert make is not None
    assert collect(new_key(), AMPLE_S).refused == ()
    sent = make("any").ecerts[-1]
    identifier = str(sent.metadata.identifier)
    asker = cast(CollectedAsker, adapter)
    query = CollectedQuery(type_code=sent.metadata.type_code)
    sums = {one.bucket: one for one in asker.collected(query, Deadline.after(AMPLE_S)).buckets}
    bucket = bucket_of(identifier)
    entries = asker.collected(query.model_copy(update={"bucket": bucket}), Deadline.after(AMPLE_S)).entries
    assert (identifier, sent.digest, "revoked") in {(one.identifier, one.digest, one.standing) for one in entries}
    assert (sums[bucket].count, sums[bucket].digest) == (len(entries), bucket_digest(entries))

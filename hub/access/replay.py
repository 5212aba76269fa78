"""Replay protection: each signature is good for one message, on whichever node it arrives.

The nonce is committed together with what the message does, in one transaction: either both are there or neither, and of two copies
that arrive at once, on two nodes even, one finds the other's nonce. Messages that only read are remembered by the gate before they
are answered. What was refused before it could have an effect (by its shape, or for want of a right) is not remembered: a copy of
it is refused alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.access import store
from hub.access.callers import Nonce
from hub.db import Tx


def used(tx: Tx, messages: Sequence[tuple[Nonce, ...]]) -> list[bool]:
    """A batch operation: remembers the nonces of each message, and says which messages carry one that was seen before."""
    nonces = [(nonce.digest, nonce.expires_at) for message in messages for nonce in message]
    if not nonces:
        return [False] * len(messages)
    fresh = store.remember_nonces(tx.conn, nonces)
    answers, start = [], 0
    for message in messages:
        end = start + len(message)
        answers.append(not all(fresh[start:end]))
        start = end
    return answers


def purge(tx: Tx, requests: Sequence[None]) -> list[None]:
    """A batch operation: forget nonces whose signatures are too old to be taken anyway."""
    store.forget_nonces(tx.conn, tx.now)
    return [None] * len(requests)

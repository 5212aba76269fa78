"""Certificate policies along a path: RFC 5280, 6.1, with the policy *graph* of RFC 9618 in place of the tree.

The tree of RFC 5280 grows exponentially on hostile certificates (CVE-2023-0464); the graph has at most one node for
each policy and depth and gives the same answers. Clause numbers below are those of RFC 5280 as updated by RFC 9618.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from certs.der import Malformed
from certs.x509.extensions import ANY_POLICY, PolicyConstraints

MAX_POLICIES = 256  # policies or mappings that one certificate may name


@dataclass
class _Node:
    """``parents`` are valid_policy values one depth up; the node's own valid_policy is its key in the level."""

    parents: set[str]
    expected: set[str]


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """6.1.1 (c, e, f, g): what the user asks for. ``initial`` empty means any-policy."""

    initial: frozenset[str] = frozenset()
    require_explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False


@dataclass
class PolicyGraph:
    """valid_policy_graph and the three counters, for one path of ``length`` certificates (6.1.2 (a, d, e, f))."""

    inputs: PolicyInputs
    length: int
    levels: list[dict[str, _Node]] | None = field(init=False)
    explicit: int = field(init=False)
    any_policy: int = field(init=False)
    mapping: int = field(init=False)

    def __post_init__(self) -> None:
        self.levels = [{ANY_POLICY: _Node(set(), {ANY_POLICY})}]
        self.explicit = 0 if self.inputs.require_explicit else self.length + 1
        self.any_policy = 0 if self.inputs.inhibit_any else self.length + 1
        self.mapping = 0 if self.inputs.inhibit_mapping else self.length + 1

    def certificate(self, policies: tuple[str, ...] | None, *, self_issued: bool, last: bool) -> None:
        """6.1.3 (d, e): take in the policies of the next certificate; None where the extension is absent."""
        if policies is None:
            self.levels = None  # (e)
        if self.levels is None or policies is None:
            return
        _bounded(policies)
        above = self.levels[-1]
        level: dict[str, _Node] = {}
        for policy in policies:  # (d)(1)
            if policy == ANY_POLICY:
                continue
            parents = {key for key, node in above.items() if policy in node.expected}
            if not parents and ANY_POLICY in above:
                parents = {ANY_POLICY}
            if parents:
                level[policy] = _Node(parents, {policy})
        if ANY_POLICY in policies and (self.any_policy > 0 or (not last and self_issued)):  # (d)(2)
            for policy in set().union(*(node.expected for node in above.values())) - level.keys():
                level[policy] = _Node({key for key, node in above.items() if policy in node.expected}, {policy})
        self.levels.append(level)
        self._prune()  # (d)(3)

    @property
    def refused(self) -> bool:
        """6.1.3 (f): an explicit policy is due and none is left."""
        return self.explicit == 0 and self.levels is None

    def map(self, mappings: Sequence[tuple[str, str]]) -> None:
        """6.1.4 (a, b); a mapping from or to anyPolicy is Malformed."""
        _bounded(mappings)
        targets: dict[str, set[str]] = {}
        for issuer_policy, subject_policy in mappings:
            if ANY_POLICY in {issuer_policy, subject_policy}:
                raise Malformed(
                    "策略映射涉及 anyPolicy（RFC 5280 6.1.4 (a)）",
                    "a policy mapping from or to anyPolicy (RFC 5280, 6.1.4 (a))",
                )
            targets.setdefault(issuer_policy, set()).add(subject_policy)
        if self.levels is None:
            return
        level = self.levels[-1]
        if self.mapping == 0:  # (b)(2)
            for policy in targets:
                level.pop(policy, None)
            self._prune()
            return
        for policy, expected in targets.items():  # (b)(1)
            if policy in level:
                level[policy].expected = expected
            elif ANY_POLICY in level:
                level[policy] = _Node({ANY_POLICY}, expected)

    def next_certificate(
        self, constraints: PolicyConstraints | None, inhibit_any: int | None, *, self_issued: bool
    ) -> None:
        """6.1.4 (h, i, j): count down towards the next certificate and take in its issuer's constraints."""
        if not self_issued:  # (h)
            self.explicit = max(self.explicit - 1, 0)
            self.mapping = max(self.mapping - 1, 0)
            self.any_policy = max(self.any_policy - 1, 0)
        if constraints is not None:  # (i)
            self.explicit = _lower(self.explicit, constraints.require_explicit)
            self.mapping = _lower(self.mapping, constraints.inhibit_mapping)
        self.any_policy = _lower(self.any_policy, inhibit_any)  # (j)

    def wrap_up(self, constraints: PolicyConstraints | None) -> frozenset[str] | None:
        """6.1.5 (a, b, g): the user-constrained policies, or None where a policy was due and there is none."""
        self.explicit = max(self.explicit - 1, 0)
        if constraints is not None and constraints.require_explicit == 0:
            self.explicit = 0
        policies = self._user_constrained()
        return None if self.explicit == 0 and not policies else policies

    def _user_constrained(self) -> frozenset[str]:
        """6.1.5 (g)(1-6)."""
        if self.levels is None:
            return frozenset()
        authorities = {key for level in self.levels[1:] for key, n in level.items() if n.parents == {ANY_POLICY}}
        authorities.discard(ANY_POLICY)
        if ANY_POLICY in self.levels[-1]:
            authorities.add(ANY_POLICY)
        if not self.inputs.initial or ANY_POLICY in self.inputs.initial:
            return frozenset(authorities)
        return self.inputs.initial if ANY_POLICY in authorities else self.inputs.initial & authorities

    def _prune(self) -> None:
        """Delete nodes without children above the last depth; with nothing left at the last depth all is NULL."""
        if self.levels is None:
            return
        for depth in range(len(self.levels) - 2, -1, -1):
            used = set().union(*(node.parents for node in self.levels[depth + 1].values()))
            self.levels[depth] = {key: node for key, node in self.levels[depth].items() if key in used}
        if not self.levels[-1]:
            self.levels = None


def _bounded(found: Sequence[object]) -> None:
    if len(found) > MAX_POLICIES:
        raise Malformed(
            f"一张证书中的证书策略多于 {MAX_POLICIES} 个", f"more than {MAX_POLICIES} policies in one certificate"
        )


def _lower(counter: int, limit: int | None) -> int:
    return counter if limit is None else min(counter, limit)

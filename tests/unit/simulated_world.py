"""Graph, the ledger and the clock as the simulation of the memory has them: reads lag, POSTs land late."""

import random
from dataclasses import dataclass, field, replace

from gateway.assignments.rows import target_of
from gateway.odata.targets import FILTER_ID, FILTER_TYPE, filter_of
from gateway.revision import Change, Revision

LAG, LATE, LEASE = 6, 12, 8
GROUPS = [f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(4)]
BYSTANDER, FOREIGN = (f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in (8, 9))
INCLUDE = {FILTER_ID: "51627384-95a6-4b7c-88d9-eafb0c1d2e34", FILTER_TYPE: "include"}
Rows = tuple[dict, ...]


def row(group: str, filtered: bool = False) -> dict:
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": group, **(INCLUDE if filtered else {})}
    return {"id": f"p_{group}", "source": "direct", "target": target}


def has(rows: Rows, group: str) -> tuple | None:
    """The filter of the group's row; None where there is none. Apart from the code under test."""
    return next((filter_of(target_of(r)) for r in rows if r["target"]["groupId"] == group), None)


@dataclass
class World:
    random: random.Random
    now: int = 1
    versions: list[tuple[int, Rows]] = field(default_factory=lambda: [(0, (row(BYSTANDER),))])
    flying: list[tuple[int, Rows]] = field(default_factory=list)
    ledger: dict[int, tuple[Revision, dict[str, int | None]]] = field(default_factory=dict)
    generation: int = 0
    owner: int | None = None
    until: int = 0
    told: list[tuple[int, int, str, tuple | None]] = field(default_factory=list)  # begun, acknowledged, group, filter or None
    open: list[str] = field(default_factory=list)  # groups of which somebody was told that nobody knows
    again: list[tuple[int, int, str, tuple | None]] = field(default_factory=list)  # revision, begun, group, filter or None
    foreign: list[tuple[int, str]] = field(default_factory=list)
    repairs: int = 0

    @property
    def rows(self) -> Rows:
        return self.versions[-1][1]

    def put(self, rows: Rows) -> None:
        self.versions.append((self.now, rows))

    def read(self) -> Rows:
        """As it was at some moment of the last LAG steps."""
        ends = [since for since, _ in self.versions[1:]] + [self.now + 1]
        fit = [rows for (_, rows), end in zip(self.versions, ends, strict=True) if end > self.now - LAG]
        return self.random.choice(fit) if self.random.random() < 0.5 else self.rows

    def tick(self) -> None:
        self.now += 1
        for landing in [one for one in self.flying if one[0] <= self.now]:
            self.flying.remove(landing)
            self.put(landing[1])

    def revisions(self) -> list[Revision]:
        def ago(moment: int | None) -> float | None:
            return None if moment is None else float(self.now - moment)

        return [
            replace(r, written_s=ago(m["written"]) or 0.0, acked_s=ago(m["acked"]), landed_s=ago(m["landed"]))
            for r, m in self.ledger.values()
            if r.state not in ("settled", "void")
        ]

    def conclude(self, generation: int, changes: list[Change], foreign: list[Revision]) -> list[int] | None:
        unaware = any(self.ledger[one.number][1]["acked"] and not (one.acked or one.answered) for one in changes)
        holds = generation == self.generation and not unaware
        for change in changes:
            if not (holds or change.answered):
                continue
            revision, moments = self.ledger[change.number]
            if revision.state in ("settled", "void"):  # it stays as it is, whatever is found out later
                continue
            for name in ("acked", "landed"):
                if getattr(change, name) and moments[name] is None:
                    moments[name] = self.now
            self.ledger[change.number] = replace(revision, state=change.state), moments
        return [self.write_down(one, self.now) for one in foreign] if holds else None

    def write_down(self, revision: Revision, seen: int | None = None) -> int:
        number = len(self.ledger) + 1
        moments = {"written": self.now, "acked": seen, "landed": seen}
        self.ledger[number] = replace(revision, number=number), moments
        return number

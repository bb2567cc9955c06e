"""The rule of leases: one holder at a time, and who waits gets its turn; and what evidence may say of a revision."""

from dataclasses import dataclass, field
from itertools import product
from typing import get_args

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.ledger.evidence import changed, may_become
from gateway.ledger.leases import FRESH_S, Lease, queue_from, queue_text
from gateway.revision import Change, Revision, State

GATEWAYS = (1, 2, 3, 4)
LENGTH_S = 15.0
STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(GATEWAYS)),
    st.tuples(st.just("release"), st.sampled_from(GATEWAYS)),
    st.tuples(st.just("renew"), st.sampled_from(GATEWAYS)),
    st.tuples(st.just("die"), st.sampled_from(GATEWAYS[2:])),
    st.tuples(st.just("wait"), st.sampled_from((0.1, 0.4, 0.9, 2.0, LENGTH_S))),
)


def never() -> tuple[int, ...]:
    raise AssertionError("nobody else is concerned")


@dataclass
class World:
    """Gateways as they see themselves. asked, overtaken_by: of each that waits, when it asked last, and who was
    granted the lease since it came."""

    lease: Lease = field(default_factory=Lease)
    now: float = 1e9
    living: set[int] = field(default_factory=lambda: set(GATEWAYS))
    generations: dict[int, int] = field(default_factory=dict)
    asked: dict[int, float] = field(default_factory=dict)
    overtaken_by: dict[int, list[int]] = field(default_factory=dict)

    def ask(self, me: int) -> bool:
        if self.now - self.asked.get(me, 0) > FRESH_S:
            self.overtaken_by[me] = []
        before = self.lease
        self.lease, granted = before.asked(me, self.now, LENGTH_S, lambda: self.living)
        self.asked[me] = self.now
        if granted:
            assert before.owner in (0, me) or before.owner not in self.living or self.now >= before.until
            assert self.lease.generation == before.generation + 1
            self.generations[me] = self.lease.generation
            del self.asked[me], self.overtaken_by[me]
            for passed in self.overtaken_by.values():
                passed.append(me)
        return granted

    def waiting(self) -> list[int]:
        return [who for who, at in self.asked.items() if who in self.living and self.now - at <= FRESH_S]

    def take(self, step: str, value: float) -> None:
        if step == "wait":
            self.now += value
        elif step == "die":
            self.living.discard(int(value))
        elif value not in self.living:
            return
        elif step == "ask":
            self.ask(int(value))
        elif step == "release":
            self.lease = self.lease.released(int(value), self.generations.get(int(value), 0))
        else:
            self.lease, _ = self.lease.renewed(int(value), self.generations.get(int(value), 0), self.now, LENGTH_S)


@given(st.lists(STEPS, max_size=60))
@example([("ask", 1), ("ask", 2), ("release", 1), ("ask", 1), ("ask", 2)])
def test_one_holds_it_and_who_waits_is_overtaken_once_at_most(steps: list):
    world = World()
    for step, value in steps:
        world.take(step, value)
        assert sum(world.lease.held_by(who, generation) for who, generation in world.generations.items()) <= 1
        for who in world.waiting():
            passed = world.overtaken_by[who]
            assert all(passed.count(other) <= 1 for other in passed), "whoever had its turn comes after who waits"
        assert queue_from(queue_text(world.lease)) == world.lease.queue


@given(st.lists(STEPS, max_size=60))
def test_what_is_free_goes_to_one_of_those_who_wait(steps: list):
    world = World()
    for step, value in steps:
        world.take(step, value)
    world.ask(1)
    world.lease = world.lease.released(world.lease.owner, world.lease.generation)
    assert sum(world.ask(who) for who in list(dict.fromkeys((1, *world.waiting())))) == 1


@given(st.lists(STEPS, max_size=60))
def test_nobody_keeps_it_for_longer_than_its_length(steps: list):
    world = World()
    for step, value in steps:
        world.take(step, value)
    world.now += LENGTH_S
    assert world.ask(1), "the others are late, and asked too long ago"


def test_who_is_alone_asks_for_no_other():
    lease, granted = Lease().asked(7, 0.0, LENGTH_S, never)
    assert granted
    assert lease.asked(7, 5.0, LENGTH_S, never) == (Lease(7, 2, 5.0 + LENGTH_S), True)


def test_a_late_holder_keeps_it_while_nobody_takes_it():
    lease = Lease(owner=1, generation=3, until=10.0)
    assert lease.renewed(1, 3, 99.0, LENGTH_S) == (Lease(1, 3, 99.0 + LENGTH_S), True)
    assert lease.renewed(1, 2, 5.0, LENGTH_S) == lease.renewed(2, 3, 5.0, LENGTH_S) == (lease, False)
    taken, _ = lease.asked(2, 10.0, LENGTH_S, lambda: (1, 2))
    assert taken.held_by(2, 4)
    assert not taken.held_by(1, 3)


def test_a_clock_that_jumps_back_makes_nobody_wait_for_the_past():
    lease = Lease(queue=((2, 1000.0),))
    assert lease.asked(1, 10.0, LENGTH_S, lambda: (1, 2))[1]


RANK = {"sent": 0, "doubtful": 1, "shown": 2, "void": 2, "settled": 3}


def test_states_go_forward_only_and_what_graph_answered_is_the_senders_to_say():
    forward = {("sent", "shown"), ("sent", "settled"), ("doubtful", "shown"), ("doubtful", "settled"), ("shown", "settled")}
    answered = {("sent", "doubtful"), ("sent", "void")}
    for pair in product(get_args(State), repeat=2):
        again = pair[0] == pair[1] and pair[0] not in ("settled", "void")
        assert may_become(*pair, sender=True) == (pair in forward | answered or again)
        assert may_become(*pair, sender=False) == (pair in forward or again)


def test_what_happened_happened_first():
    once = changed(Revision(number=1, written_s=9.0), Change(1, "shown", acked=True))
    assert (once.state, once.acked_s, once.landed_s) == ("shown", 0.0, None)
    aged = Revision(number=1, state="shown", acked_s=5.0)
    assert changed(aged, Change(1, "shown", acked=True, landed=True)) == Revision(
        number=1, state="shown", acked_s=5.0, landed_s=0.0
    )

/*
 * The heart as a model that spin explores whole: lease and fence, revisions, reads that lag, POSTs that land late, the watch.
 * test_heart_model.py runs it; DESIGN.md, section 6, is the prose; gateway/assignments/memory.py decides as Decide() does here.
 *
 * The promise, asserted whenever the ledger says that nothing is unsettled: no POST of ours can land any more, and on every key Graph
 * has what the edit left there that was acknowledged last, unless others changed that key after our edits of it had landed, or
 * an edit of ours that nobody acknowledged took effect there later. A row that nobody touched is there unless others removed it.
 * Beside it: no write lands that a look found void; nobody else is blamed while nobody else has written; the watch ends, since time
 * cannot run away (HORIZON), nothing gets stuck, and no cycle of steps exists (pan -l).
 *
 * The world: one policy, whose set is a bit vector of three keys: A and B are edited, C is the bystander. Graph replaces the whole set.
 * What happens within one tick has the same time stamp, so a comparison of two times has to be right for both orders.
 * A read shows any version that was current in the LAG ticks before it was asked for, or later, until it is used: it may be as old as
 * the law allows, go back behind an earlier read, and be held for as long as one likes. A POST lands once, at any moment in the LATE
 * ticks after it was written down, or never; its sender hears OK after it landed, or nothing, or that it surely did not happen.
 * Bounds: REVS revisions remembered at once; BAD answers that are lost or refusals; PAUSES gateways that stop in the middle of a round
 * while time passes and the lease goes to the other; KILLS gateways that die; FOREIGN changes by others. A round without a pause takes
 * less than a tick; between rounds anything may pass. To reach REVS or HORIZON is an error, not a silent cut.
 * A POST that is delayed beyond LATE by a pause between commit and send is outside: a sender must not send so late.
 *
 *   here                               in memory.py and round.py
 *   base, sent, touched, written       a revision as the ledger has it; touched: the keys of its edits and repairs,
 *                                      also those that were so already
 *   landed                             when the sender's own 2xx was recorded; NEVER: not known, so it may land until written + LATE
 *   kept, value, by                    what acknowledged revisions left on each key, and the newest of them: `expected`
 *   fresh                              newest moment at which the key was known to be as kept; a read that was asked for
 *                                      within LAG of it may be older
 *   since                              the key was as kept at some moment at or after this one: what landed before has not undone that.
 *                                      The time of writing for a 2xx; the time of asking - LAG for a look
 *   Ask()                              lease taken, read asked for
 *   Decide()                           one transaction: fence, memory as it is then, doubtful revisions, what is settled, the new revision.
 *                                      A read that may be old concludes nothing (Doubt); Judge, Compare and Settle in this order
 *   an idle gateway that asks          the watch; it ends when no revision is left
 *   promised, wanted_last, deed, blamed   the oracle's; no rule reads them
 *
 * Each rule can be removed by a switch, and each removal has a counterexample (test_heart_model.py):
 *   NO_FENCE            a holder that lost its lease writes all the same: its read may be older than what is settled and forgotten
 *   NO_MEMORY           a read is merged into as it comes, and nothing is restored
 *   NO_WAIT             what does not show is never put down to an old read
 *   NO_WATCH            nobody looks after the write
 *   NO_RESTORE          what is missing was always changed by others
 *   VOID_EARLY          void by a look asked for after LATE, not after LATE + LAG
 *   VOID_IS_INNOCENT    what a look found void explains nothing: it may have landed, swept, and been swept
 *   TOUCHED_IS_INNOCENT a revision that touched the key never undoes it: one that was acknowledged because it showed may
 *                       land after the next edit
 *   SHOWN_IS_LANDED     what shows and no other write of ours explains has landed: others may have put it there
 *   SHOWN_IS_CONFIRMED  what was acknowledged by a look that may be older than the write, and then is missing, was changed by others:
 *                       it may never have come, so it is restored
 *   FRESH_IS_ACK        a read may be old only within LAG of the acknowledgement: reads go back behind later looks as well
 *   SINCE_IS_ACK        the key was as kept from LAG before the acknowledgement on: its sender may have slept between answer and record
 *   AFTER_ACK           what landed before the acknowledgement was recorded has undone nothing: likewise
 *   FORGET_AT_END       forgotten by a look asked for after the last moment of landing, not LAG later
 *   FORGET_ON_STATE     another revision counts as over when it is so at the moment of deciding, not of asking
 *   FORGET_THREATENED   forgotten although another revision that is not over would change what it left
 *   FORGET_SUSPECT      forgotten although it may have undone a revision that is still doubtful, and may be acknowledged by its sender
 *   FORGET_SHARED       forgotten although another revision that is not over touched one of its keys
 *   RESTLESS            a look that found nothing is taken again at once: without end
 * And by choice, without harm: ALL_AT_ONCE forgets all revisions together, by one look after the last end;
 *   LATE_EVIDENCE: an OK that its sender records after a look found the write void makes it acknowledged.
 */

#ifndef LAG
#define LAG 1
#endif
#ifndef LATE
#define LATE 2
#endif
#ifndef REVS
#define REVS 5
#endif
#ifndef BAD
#define BAD 1
#endif
#ifndef PAUSES
#define PAUSES 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef FOREIGN
#define FOREIGN 0
#endif
#ifndef HORIZON
#define HORIZON 60
#endif

#define KEYS 3
#define A 1
#define B 2
#define C 4
#define HAS(set, key) (((set) >> (key)) & 1)
#define NEVER 255

/* A revision's state. VOID_SURE does not exist: such a revision is forgotten at once. */
#define FREE 0      /* no revision in this place */
#define SENT 1      /* written down; its sender has not said what became of it */
#define DOUBTFUL 2  /* its sender had no answer */
#define SHOWN 3     /* acknowledged */
#define VOID 4      /* a look after its bound did not show it */
#define KEPT 5      /* acknowledged without a write: what was asked for was already so */
#define FORGOTTEN 6 /* FREE, but its sender still sleeps on it */

/* Where a POST is, which only Graph knows. */
#define NOWHERE 0
#define AIR 1
#define DOWN 2

/* Where a gateway is. */
#define IDLE 0
#define READING 1
#define POSTING 2
#define DEAD 3

/* Who did the last deed on a key: a revision's place + 1, or one of these. */
#define NOBODY 0
#define OTHERS 20
#define OURS_ACKNOWLEDGED 21
#define OURS_OPEN 22

byte graph;             /* the set as it is */
byte versions[LAG + 1]; /* by age in ticks: a bit for each set that was current in that tick */
byte now;

byte base[REVS], sent[REVS], touched[REVS], state[REVS], written[REVS], landed[REVS], flight[REVS];
byte kept, value, fresh[KEYS], since[KEYS], by[KEYS];
byte owner; /* gateway + 1; "my lease's generation is the current one" is "I am still the owner" */

byte at[2], asked[2], sending[2];
byte seen[2];               /* a bit for each set that its read may show */
byte edit[2], next_edit[2]; /* keys | wanted << 3 */
bit paused[2], looked[2];
byte bad = BAD, pauses = PAUSES, kills = KILLS, foreign = FOREIGN;
bit waited, blamed, over;

byte promised, wanted_last, deed[KEYS];
#ifdef AFTER_ACK
#define ACKED
#endif
#ifdef SINCE_IS_ACK
#define ACKED
#endif
#ifdef ACKED
byte acked[KEYS];
#endif

byte rows, restore, wish, touch, i, j, k, x; /* scratch, 0 between steps */
bit hold, yes;

#define LIVE(r) (state[r] >= SENT && state[r] <= KEPT)
#define OPEN(r) (state[r] == SENT || state[r] == DOUBTFUL)
#define LAST_MOMENT(r) (landed[r] != NEVER -> landed[r] : written[r] + LATE) /* of landing */
/* What a look shows that was asked for later than this is not changed by r any more. */
#define END(r) (LAST_MOMENT(r) + LAG)

#ifdef RESTLESS
#define DONE_FOR_THIS_TICK(g) 0
#else
#define DONE_FOR_THIS_TICK(g) (asked[g] == now)
#endif
#define EARLIEST(g) (asked[g] > LAG -> asked[g] - LAG : 0) /* no version that a read shows ended before */

/* ---- the rules that the switches change ---- */

#ifdef NO_FENCE
#define MAY_WRITE(g) true
#else
#define MAY_WRITE(g) (owner == g + 1)
#endif

#ifdef NO_WAIT
#define MAY_BE_OLD(g, k) false
#else
#define MAY_BE_OLD(g, k) (asked[g] <= fresh[k] + LAG)
#endif

#ifdef VOID_EARLY
#define BOUND(r) (written[r] + LATE)
#else
#define BOUND(r) (written[r] + LATE + LAG)
#endif

#ifdef SHOWN_IS_CONFIRMED
#define UNCONFIRMED(r, k) false
#else
#define UNCONFIRMED(r, k) (state[r] == SHOWN && landed[r] == NEVER && since[k] <= written[r])
#endif

#ifdef VOID_IS_INNOCENT
#define SUSPECT(r) (LIVE(r) && state[r] != KEPT && state[r] != VOID)
#else
#define SUSPECT(r) (LIVE(r) && state[r] != KEPT)
#endif

#ifdef TOUCHED_IS_INNOCENT
#define UNINTENDED(r, k) (!HAS(touched[r], k))
#else
#define UNINTENDED(r, k) (!HAS(touched[r], k) || state[r] == SHOWN)
#endif

#ifdef AFTER_ACK
#define LATER_THAN_ACK(r, k) (landed[r] > acked[k])
#else
#define LATER_THAN_ACK(r, k) true
#endif

#ifdef NO_RESTORE
#define MAY_HAVE_UNDONE(r, k) false
#else
#define MAY_HAVE_UNDONE(r, k) (LAST_MOMENT(r) >= since[k] && (landed[r] == NEVER || LATER_THAN_ACK(r, k)))
#endif

#ifdef FORGET_ON_STATE
#define CLEARED(g, r) (landed[r] != NEVER || now > written[r] + LATE)
#else
#ifdef FORGET_AT_END
#define CLEARED(g, r) (asked[g] + LAG > END(r))
#else
#define CLEARED(g, r) (asked[g] > END(r))
#endif
#endif
#ifdef FORGET_AT_END
#define SEEN_LONG_ENOUGH(g, r) (asked[g] + LAG > END(r))
#else
#define SEEN_LONG_ENOUGH(g, r) (asked[g] > END(r))
#endif

/* May r not be forgotten before s is cleared? */
#ifdef ALL_AT_ONCE
#define BOUND_TO(r, s) true
#else
#define BOUND_TO(r, s) (SHARED(r, s) || COULD_UNDO(s, r) || COULD_HAVE_UNDONE(r, s))
#endif
#ifdef FORGET_SHARED
#define SHARED(r, s) 0
#else
#define SHARED(r, s) (touched[r] & touched[s])
#endif
#ifdef FORGET_THREATENED
#define COULD_UNDO(s, r) 0
#else
#define COULD_UNDO(s, r) (SUSPECT(s) && ((sent[s] ^ sent[r]) & touched[r]))
#endif
#ifdef FORGET_SUSPECT
#define COULD_HAVE_UNDONE(r, s) 0
#else
#define COULD_HAVE_UNDONE(r, s) (SUSPECT(r) && OPEN(s) && ((sent[s] ^ sent[r]) & touched[s]) && LAST_MOMENT(r) >= written[s])
#endif

/* ---- Graph ---- */

inline Put(set) {
    graph = set;
    versions[0] = versions[0] | (1 << graph);
    if :: at[0] == READING -> seen[0] = seen[0] | (1 << graph) :: else fi;
    if :: at[1] == READING -> seen[1] = seen[1] | (1 << graph) :: else fi;
    looked[0] = 0; looked[1] = 0
}

inline Land(r) {
    assert(OPEN(r) || state[r] == SHOWN); /* told "not carried out", or forgotten, and yet it lands */
    flight[r] = DOWN;
    Put(sent[r]);
    for (k : 0 .. KEYS - 1) { if :: HAS(touched[r], k) -> deed[k] = r + 1 :: else fi }
    k = 0;
    printf("%d: r%d lands, the set is %d\n", now, r, graph)
}

inline ChangedByOthers(key) {
    foreign--;
    blamed = 1;
    Put(graph ^ (1 << key));
    deed[key] = OTHERS;
    printf("%d: others change key %d, the set is %d\n", now, key, graph)
}

/* ---- memory ---- */

inline Acknowledge(r, sure_since) {
    if :: state[r] != KEPT -> state[r] = SHOWN :: else fi;
    printf("%d: r%d is acknowledged\n", now, r);
    for (k : 0 .. KEYS - 1) {
        if
        :: HAS(touched[r], k) ->
            kept = kept | (1 << k);
            value = (value & ~(1 << k)) | (sent[r] & (1 << k));
            fresh[k] = now; since[k] = sure_since; by[k] = r;
#ifdef ACKED
            acked[k] = now;
#endif
#ifdef SINCE_IS_ACK
            since[k] = (now > LAG -> now - LAG : 0);
#endif
            promised = promised | (1 << k);
            wanted_last = (wanted_last & ~(1 << k)) | (sent[r] & (1 << k))
        :: else
        fi
    }
    k = 0; x = 0; looked[0] = 0; looked[1] = 0
}

inline Forget(r) {
    assert(flight[r] != AIR);
    printf("%d: r%d is forgotten\n", now, r);
    for (k : 0 .. KEYS - 1) {
        if
        :: HAS(kept, k) && by[k] == r ->
            kept = kept & ~(1 << k); value = value & ~(1 << k); fresh[k] = 0; since[k] = 0; by[k] = 0
#ifdef ACKED
            ; acked[k] = 0
#endif
        :: else
        fi;
        if :: deed[k] == r + 1 -> deed[k] = (state[r] == SHOWN || state[r] == KEPT -> OURS_ACKNOWLEDGED : OURS_OPEN) :: else fi
    }
    k = 0; looked[0] = 0; looked[1] = 0;
    state[r] = ((at[0] == POSTING && sending[0] == r) || (at[1] == POSTING && sending[1] == r) -> FORGOTTEN : FREE);
    base[r] = 0; sent[r] = 0; touched[r] = 0; written[r] = 0; landed[r] = 0; flight[r] = NOWHERE
}

/* A read that lacks what was there a moment ago may be older than that: nothing is concluded from it. */
inline Doubt(g) {
    for (k : 0 .. KEYS - 1) {
        if :: HAS(kept, k) && HAS(rows, k) != HAS(value, k) && MAY_BE_OLD(g, k) -> hold = 1 :: else fi
    }
    k = 0
}

/* A doubtful write that shows is acknowledged; one that does not show after its bound is void. */
inline Judge(g) {
    for (i : 0 .. REVS - 1) {
        if
        :: OPEN(i) && ((rows ^ sent[i]) & touched[i]) == 0 ->
            x = EARLIEST(g);
            Acknowledge(i, x);
#ifdef SHOWN_IS_LANDED
            yes = 1;
            for (j : 0 .. REVS - 1) {
                if :: j != i && LIVE(j) && ((sent[j] ^ sent[i]) & touched[i]) != touched[i] && written[j] + LATE >= written[i] -> yes = 0 :: else fi
            }
            j = 0;
            if :: yes -> landed[i] = now :: else fi;
            yes = 0
#endif
        :: OPEN(i) && ((rows ^ sent[i]) & touched[i]) != 0 && asked[g] > BOUND(i) ->
            state[i] = VOID;
            printf("%d: r%d is void by this look\n", now, i);
            assert(flight[i] != AIR)
        :: else
        fi
    }
    i = 0
}

/* What is missing was undone by a write of ours, or has not come yet, or was changed by others. */
inline Compare(g) {
    for (k : 0 .. KEYS - 1) {
        if
        :: HAS(kept, k) && HAS(rows, k) == HAS(value, k) ->
#ifndef FRESH_IS_ACK
            fresh[k] = now;
#endif
            if :: EARLIEST(g) > since[k] -> since[k] = EARLIEST(g) :: else fi
        :: HAS(kept, k) && HAS(rows, k) != HAS(value, k) ->
            for (i : 0 .. REVS - 1) {
                if
                :: SUSPECT(i) && HAS(sent[i], k) == HAS(rows, k) && UNINTENDED(i, k) && MAY_HAVE_UNDONE(i, k) -> yes = 1
                :: else
                fi
            }
            i = 0;
            if
            :: yes || UNCONFIRMED(by[k], k) -> restore = restore | (1 << k)
            :: else ->
                printf("%d: key %d was changed by others\n", now, k);
                assert(blamed);
                value = value ^ (1 << k); fresh[k] = now; since[k] = now
            fi;
            yes = 0
        :: else
        fi
    }
    k = 0
}

/* A revision is forgotten by a look that found nothing to do, was asked for after its end, and after the end of all that could undo it. */
inline Settle(g) {
    for (j : 0 .. REVS - 1) {
        yes = (LIVE(j) && SEEN_LONG_ENOUGH(g, j));
        for (i : 0 .. REVS - 1) {
            if :: i != j && LIVE(i) && !CLEARED(g, i) && BOUND_TO(j, i) -> yes = 0 :: else fi
        }
        i = 0;
        if :: yes -> Forget(j) :: else fi
    }
    j = 0; yes = 0
}

/* ---- a gateway ---- */

inline Finish(g) {
    if :: owner == g + 1 -> owner = 0 :: else fi;
    at[g] = IDLE; asked[g] = 0; seen[g] = 0; sending[g] = 0; paused[g] = 0
}

inline Ask(g) {
    owner = g + 1; at[g] = READING; asked[g] = now;
    for (k : 0 .. LAG) { seen[g] = seen[g] | versions[k] }
    k = 0;
    printf("%d: gateway %d has the lease and asks\n", now, g)
}

inline WriteDown(g) {
    do :: state[i] != FREE -> i++; assert(i < REVS) :: else -> break od;
    base[i] = rows; sent[i] = wish; touched[i] = touch; written[i] = now;
    looked[0] = 0; looked[1] = 0;
    printf("%d: gateway %d writes down r%d: %d becomes %d\n", now, g, i, rows, wish);
    if
    :: wish == rows ->
        state[i] = KEPT; landed[i] = now;
        x = EARLIEST(g);
        Acknowledge(i, x);
        Finish(g)
    :: else ->
        state[i] = SENT; landed[i] = NEVER; flight[i] = AIR;
        at[g] = POSTING; sending[g] = i; asked[g] = 0; seen[g] = 0
    fi;
    i = 0
}

inline Decide(g) {
    if
    :: !MAY_WRITE(g) -> Finish(g)
    :: else ->
        printf("%d: gateway %d decides on %d, asked for at %d\n", now, g, rows, asked[g]);
#ifndef NO_MEMORY
        Doubt(g);
#endif
        if
        :: hold -> printf("%d: gateway %d waits\n", now, g); waited = 1; looked[g] = DONE_FOR_THIS_TICK(g); Finish(g)
        :: else ->
            Judge(g);
#ifndef NO_MEMORY
            Compare(g);
#endif
            wish = (rows & ~restore) | (value & restore);
            wish = (wish & ~(edit[g] & 7)) | ((edit[g] >> 3) & edit[g]);
            touch = restore | (edit[g] & 7);
            edit[g] = next_edit[g]; next_edit[g] = 0;
            if :: !restore -> Settle(g) :: else fi;
            if
            :: touch -> WriteDown(g)
            :: else -> looked[g] = DONE_FOR_THIS_TICK(g); Finish(g)
            fi
        fi
    fi;
    rows = 0; restore = 0; wish = 0; touch = 0; hold = 0
}

#define UNFINISHED(r) (state[r] == SENT || state[r] == DOUBTFUL || state[r] == SHOWN)
#define HEARD(g) (at[g] == POSTING && UNFINISHED(sending[g]))

inline Answered(g) {
    i = sending[g];
    printf("%d: gateway %d has OK for r%d\n", now, g, i);
    if :: state[i] != SHOWN -> x = written[i]; Acknowledge(i, x) :: else fi;
    landed[i] = now; i = 0;
    Finish(g)
}

inline Unanswered(g) {
    i = sending[g];
    printf("%d: gateway %d has no answer for r%d\n", now, g, i);
    if :: state[i] == SENT -> state[i] = DOUBTFUL :: else fi;
    i = 0;
    Finish(g)
}

inline Refused(g) {
    i = sending[g];
    printf("%d: gateway %d knows that r%d did not happen\n", now, g, i);
    flight[i] = NOWHERE;
    Finish(g);
    Forget(i);
    i = 0
}

/* Its sender wakes up when all is said. */
inline Overtaken(g) {
    i = sending[g];
#ifdef LATE_EVIDENCE
    if :: state[i] == VOID && flight[i] == DOWN -> x = written[i]; Acknowledge(i, x); landed[i] = now :: else fi;
#endif
    if :: state[i] == FORGOTTEN -> state[i] = FREE :: else fi;
    i = 0;
    Finish(g)
}

inline Die(g) {
    kills--;
    printf("%d: gateway %d is killed\n", now, g);
    Finish(g);
    edit[g] = 0; next_edit[g] = 0; looked[g] = 0; at[g] = DEAD
}

#define ANY(p) (p(0) || p(1) || p(2) || p(3) OR_5(p) OR_6(p))
#if REVS > 4
#define OR_5(p) || p(4)
#else
#define OR_5(p)
#endif
#if REVS > 5
#define OR_6(p) || p(5)
#else
#define OR_6(p)
#endif
#define FLYING(r) (flight[r] == AIR)
#define YOUNG(r) (LIVE(r) && now <= END(r))
#define RESTS(g) (at[g] == IDLE || at[g] == DEAD)
#define BUSY(g) (!RESTS(g) && !paused[g])

/* While a look is due, time stands still until somebody takes it: a watch that is always late would prove nothing. */
#ifdef NO_WATCH
#define TO_WATCH false
#define AT_REST (!ANY(FLYING))
#define TIME_PASSES (ANY(FLYING) || waited)
#else
#define TO_WATCH ANY(LIVE)
#define AT_REST (!ANY(LIVE))
#define TIME_PASSES (ANY(YOUNG) || waited)
#endif

#define LEASE_TO_HAVE(g) (owner == 0 || owner == g + 1 || at[1 - g] == DEAD || paused[1 - g])
#define Shows(set) :: HAS(seen[g], set) -> rows = set

proctype Gateway(bit g) {
    do
    :: d_step { !over && at[g] == IDLE && !looked[g] && (edit[g] || TO_WATCH) && LEASE_TO_HAVE(g) -> Ask(g) }
    :: atomic {
        at[g] == READING ->
        if Shows(0) Shows(1) Shows(2) Shows(3) Shows(4) Shows(5) Shows(6) Shows(7) fi;
        d_step { Decide(g) } }
    :: d_step { HEARD(g) && flight[sending[g]] == DOWN -> Answered(g) }
    :: d_step { HEARD(g) && flight[sending[g]] == NOWHERE -> Unanswered(g) }
    :: d_step { HEARD(g) && bad && flight[sending[g]] != NOWHERE -> bad--; Unanswered(g) }
    :: d_step { at[g] == POSTING && state[sending[g]] == SENT && bad && flight[sending[g]] == AIR -> bad--; Refused(g) }
    :: d_step { at[g] == POSTING && (state[sending[g]] == VOID || state[sending[g]] == FORGOTTEN) -> Overtaken(g) }
    :: over || at[g] == DEAD -> break
    od
}

/* ---- time, chance and the oracle ---- */

inline Tick() {
    now++;
    assert(now < HORIZON);
    waited = 0; looked[0] = 0; looked[1] = 0;
    for (i : 0 .. LAG - 1) { versions[LAG - i] = versions[LAG - i - 1] }
    versions[0] = 1 << graph;
    for (i : 0 .. REVS - 1) { if :: FLYING(i) && now > written[i] + LATE -> flight[i] = NOWHERE :: else fi }
    i = 0
}

inline Promise() {
    assert(!ANY(FLYING));
    for (k : 0 .. KEYS - 1) {
        if
        :: HAS(promised, k) && HAS(graph, k) != HAS(wanted_last, k) ->
            if
            :: deed[k] > NOBODY && deed[k] <= REVS -> assert(state[deed[k] - 1] != SHOWN) /* only without the watch */
            :: else -> assert(deed[k] == OTHERS || deed[k] == OURS_OPEN)
            fi
        :: else
        fi
    }
    k = 0;
    assert(HAS(graph, 2) || deed[2] == OTHERS)
}

#define Lands(r) :: d_step { FLYING(r) -> Land(r) }

proctype World() {
    do
    Lands(0)
    Lands(1)
    Lands(2)
    Lands(3)
#if REVS > 4
    Lands(4)
#endif
#if REVS > 5
    Lands(5)
#endif
    :: d_step { TIME_PASSES && !BUSY(0) && !BUSY(1) -> Tick() }
    :: d_step { !over && foreign -> ChangedByOthers(0) }
    :: d_step { !over && foreign -> ChangedByOthers(1) }
    :: d_step { !over && foreign -> ChangedByOthers(2) }
    :: d_step { pauses && BUSY(0) -> pauses--; paused[0] = 1; printf("%d: gateway 0 is paused\n", now) }
    :: d_step { pauses && BUSY(1) -> pauses--; paused[1] = 1; printf("%d: gateway 1 is paused\n", now) }
    :: d_step { !over && kills -> Die(0) }
    :: d_step { !over && kills -> Die(1) }
    :: d_step { !over && RESTS(0) && RESTS(1) && !edit[0] && !edit[1] && AT_REST -> Promise(); over = 1 }
    :: over -> break
    od
}

#define ADD(keys) ((keys) | ((keys) << 3))
#define REMOVE(keys) (keys)

/* Gateway 0 adds A; gateway 1 adds or removes B or A. TWO: gateway 0 has a second edit. BOTH: its edit is a batch of two. */
init {
    d_step { graph = C; edit[0] = ADD(A) }
    atomic {
        if
        :: edit[1] = ADD(B)
        :: graph = C | B; edit[1] = REMOVE(B)
        :: edit[1] = REMOVE(A)
        :: edit[1] = ADD(A)
        fi;
#ifdef BOTH
        if :: edit[0] = ADD(A) | ADD(B) :: edit[0] = ADD(A) | REMOVE(B) fi;
#endif
#ifdef TWO
        if :: next_edit[0] = REMOVE(A) :: next_edit[0] = ADD(B) :: next_edit[0] = REMOVE(B) fi;
#endif
        d_step { for (k : 0 .. LAG) { versions[k] = 1 << graph } k = 0 }
        run Gateway(0); run Gateway(1); run World()
    }
}

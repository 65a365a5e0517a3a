#!/usr/bin/env python3
"""Kills the daemon where it hurts, and looks whether anything was lost or came twice.

Crash points one after the other, kills at random times with two daemons on one Redis, Redis
killed, stopped, and rewound, a daemon frozen past its lease. After each: every job finished
exactly once in the databases, artifacts equal to an undisturbed run's, no orphan files, at
most one repeated step a kill.

usage: crash.py [--long] [--seed N]   (the short form is part of make check)"""
import argparse, os, random, re, shutil, signal, time

from lib import *

STEPS = 3
POINTS = ["claimed", "started", "begun", "step", "step_saved", "temp_written", "temp_synced", "renamed",
          "folder_synced", "artifact_row", "variant_visible", "variant_told", "job_stored", "stored",
          "finished", "history_written", "job_visible", "visible"]

# Of a job that is answered from the store: its files lie there already.
ANSWERING = ["answered", "started", "artifact_row", "variant_visible", "variant_told", "job_stored", "stored",
             "finished", "history_written", "job_visible", "visible"]


def submit(redis, jobs):
    """Jobs as a stranger's client would send them."""
    for id, seed, n in jobs:
        assert redis.cli("XADD", "{sumi}:in", "*", "id", id, "modality", "image", "prompt", "ink in water",
                         "seed", seed, "n", n, "steps", STEPS, "width", 64, "height", 64, "lossless", "true", "sampler", "ddim",
                         "max_attempts", 50)


def state_of(redis, id):
    return redis.cli("HGET", f"{{sumi}}:job:{id}", "state")


def all_ended(redis, jobs):
    # Counted, not asked one by one: there may be hundreds.
    counts = [redis.cli("ZCARD", f"{{sumi}}:{state}") for state in ("done", "failed", "cancelled")]
    return all(c.isdigit() for c in counts) and sum(map(int, counts)) >= len(jobs)


def steps_made(*places):
    """Of every variant; and how many variants, of one job or of several, share a step at most."""
    made = [(int(own), int(all)) for p in places if p.log.exists()
            for own, all in re.findall(rb" step.made .* variants=(\d+) together=(\d+)", p.log.read_bytes())]
    return sum(own for own, _ in made), max((all for _, all in made), default=1)


def audit(name, jobs, expected, places, redis, kills=None):
    """The daemons have been stopped and started once more before: what is in limbo is settled."""
    found, twice = {}, []
    for place in places:
        for id, results in visible(place).items():
            for variant, sha256 in results.items():
                if (id, variant) in found:
                    twice.append((id, variant))
                found[id, variant] = sha256
    states = {id: state_of(redis, id) for id, _, _ in jobs}
    bad_states = {i: s for i, s in states.items() if s != "done"}
    check(not bad_states, f"{name}: every job is done in the queue", str(bad_states)[:300])
    # Results of a job may be on two hosts: each of them on exactly one.
    results = [(id, seed, n, variant) for id, seed, n in jobs for variant in range(n)]
    lost = [(id, v) for id, _, _, v in results if (id, v) not in found]
    check(not lost, f"{name}: nothing lost", str(lost)[:300])
    check(not twice, f"{name}: nothing twice", str(twice)[:300])
    wrong = [(id, v) for id, seed, n, v in results
             if (id, v) in found and found[id, v] != expected[seed, n].get(v)]
    check(not wrong, f"{name}: bytes equal to the undisturbed run", str(wrong)[:300])
    limbo = [id for place in places for id in unsettled(place)]
    check(not limbo, f"{name}: no job in limbo", str(limbo)[:300])
    left = [str(p) for place in places for p in orphans(place)]
    check(not left, f"{name}: no orphan files", str(left)[:300])
    if kills is not None:
        needed = sum(n for _, _, n in jobs) * STEPS
        made, together = steps_made(*places)
        check(made - needed <= kills * together, f"{name}: at most one repeated step a kill",
              f"{made} steps for {needed} with {kills} kills, {together} together")


class Ground:
    """One Redis and one or two daemons on it."""

    def __init__(self, daemons=1, **settings):
        self.place = Place("a", parent=None)
        self.redis = Redis(self.place.parent).start()
        self.places = [Place(chr(ord("a") + i), redis=self.redis.url, parent=self.place.parent, lease="1s",
                             **settings) for i in range(daemons)]

    def finish(self, jobs, seconds=120):
        ended = wait_for(lambda: all_ended(self.redis, jobs), seconds, 0.2)
        check(ended, "the queue runs empty", str([state_of(self.redis, j[0]) for j in jobs])[:300])
        # One more start settles what the last kill left, and collects what belongs to nobody.
        for p in self.places:
            if p.daemon:
                p.stop()
            p.start()
            p.stop()

    def close(self):
        for p in self.places:
            if p.daemon:
                p.kill()
        self.redis.stop()
        shutil.rmtree(self.place.parent, ignore_errors=True)


def undisturbed(kinds):
    """{(seed, n): hashes} of a run that nobody disturbs."""
    ground = Ground()
    ground.places[0].start()
    jobs = [(f"ref-{seed}-{n}", seed, n) for seed, n in kinds]
    submit(ground.redis, jobs)
    ground.finish(jobs)
    found = visible(ground.places[0])
    expected = {(seed, n): found.get(id, {}) for id, seed, n in jobs}
    check(all(len(h) == n for (_, n), h in expected.items()), "an undisturbed run makes every result")
    check(steps_made(ground.places[0])[0] == sum(n for _, n in kinds) * STEPS, "and no step too many")
    ground.close()
    return expected


def crash_points(expected):
    for point in POINTS:
        ground = Ground()
        place = ground.places[0]
        once = place.dir / "crashed"
        place.start(SUMI_CRASH_AT=point, SUMI_CRASH_ONCE=str(once))
        jobs = [("one", 1, 2), ("two", 2, 1)]
        submit(ground.redis, jobs)
        check(wait_for(once.exists, 60), f"{point}: is reached")
        ground.finish(jobs)
        audit(point, jobs, expected, ground.places, ground.redis, kills=1)
        ground.close()


def answered(expected):
    """Identical jobs, each killed at another point while it is answered: not one step is made for them."""
    ground = Ground(reuse="30d")
    place = ground.places[0]
    place.start()
    jobs = [("first", 1, 2)]
    submit(ground.redis, jobs)
    check(wait_for(lambda: all_ended(ground.redis, jobs), 60), "the first of identical jobs is made")
    for point in ANSWERING:
        # What the last kill left is taken up by the next daemon, which dies elsewhere.
        place.kill()
        once = place.dir / f"crashed-{point}"
        place.start(SUMI_CRASH_AT=point, SUMI_CRASH_ONCE=str(once))
        jobs.append((f"same-{point}", 1, 2))
        submit(ground.redis, jobs[-1:])
        check(wait_for(once.exists, 60), f"answering, {point}: is reached")
    place.kill()
    place.start()
    ground.finish(jobs)
    audit(f"{len(ANSWERING)} kills while jobs were answered", jobs, expected, ground.places, ground.redis)
    check(steps_made(place)[0] == 2 * STEPS, "and none of them made a step", str(steps_made(place)))
    ground.close()


def random_kills(expected, rng, job_count, kill_count):
    ground = Ground(daemons=2)
    for p in ground.places:
        p.start()
    jobs = [(f"job-{i}", 1 + i % 4, 1 + i % 2) for i in range(job_count)]
    submit(ground.redis, jobs)
    kills = 0
    while kills < kill_count:
        # Mostly in the middle of work: who is only ever killed while he starts tells little.
        if rng.random() < 0.8:
            made = steps_made(*ground.places)
            wait_for(lambda: steps_made(*ground.places) > made, 5, 0.1)
        time.sleep(rng.uniform(0.05, 1.2))
        place = rng.choice(ground.places)
        if rng.random() < 0.3:
            place.kill()
            place.start(wait=False)
        else:
            workers = place.workers()
            if not workers:
                continue
            tell([rng.choice(workers)], signal.SIGKILL)
        kills += 1
        if kills % 50 == 0:
            print(f"# {kills} kills, {len(jobs)} jobs, {steps_made(*ground.places)[0]} steps", flush=True)
        if all_ended(ground.redis, jobs):
            more = [(f"more-{kills}-{i}", 1 + i % 4, 1 + i % 2) for i in range(10)]
            submit(ground.redis, more)
            jobs += more
    ground.finish(jobs, 60 + 3 * len(jobs))
    audit(f"{kill_count} kills over {len(jobs)} jobs", jobs, expected, ground.places, ground.redis, kills=kills)
    ground.close()


def count(redis, name):
    return int(redis.cli("ZCARD", f"{{sumi}}:{name}") or 0)


def redis_killed(expected):
    ground = Ground()
    ground.places[0].start()
    jobs = [(f"r-{i}", 1 + i % 4, 1) for i in range(24)]
    submit(ground.redis, jobs)
    for _ in range(3):
        done = count(ground.redis, "done")
        wait_for(lambda: count(ground.redis, "done") > done and count(ground.redis, "running"), every=0.01)
        check(not all_ended(ground.redis, jobs), "Redis dies in the middle of work")
        ground.redis.kill()
        time.sleep(0.3)
        ground.redis.start()
    ground.finish(jobs)
    audit("Redis killed three times", jobs, expected, ground.places, ground.redis, kills=3)
    ground.close()


def redis_paused(expected):
    ground = Ground(daemons=2)
    for p in ground.places:
        p.start()
    jobs = [(f"p-{i}", 1 + i % 4, 2) for i in range(8)]
    submit(ground.redis, jobs)
    check(wait_for(lambda: count(ground.redis, "running"), every=0.01), "Redis stops in the middle of work")
    ground.redis.kill(signal.SIGSTOP)
    time.sleep(2.5)
    ground.redis.kill(signal.SIGCONT)
    ground.finish(jobs)
    # Each daemon may have lost what it was at.
    audit("Redis stopped for longer than a lease", jobs, expected, ground.places, ground.redis, kills=2)
    ground.close()


def redis_rewound(expected):
    """Redis dies and comes back without its last second: jobs that it forgot were finished are
    told again, those that it thinks are waiting are not rendered into a second result."""
    ground = Ground()
    ground.places[0].start()
    jobs = [(f"w-{i}", 1 + i % 4, 1) for i in range(30)]
    submit(ground.redis, jobs)
    wait_for(lambda: count(ground.redis, "done") >= 2, every=0.01)
    backup = ground.redis.dir.parent / "redis-before"
    shutil.copytree(ground.redis.dir, backup, ignore=shutil.ignore_patterns("*.sock"))
    known = count(ground.redis, "done")
    check(wait_for(lambda: count(ground.redis, "done") >= known + 2, every=0.01), "Redis loses what it was told last")
    ground.redis.kill()
    shutil.rmtree(ground.redis.dir / "appendonlydir")
    shutil.copytree(backup / "appendonlydir", ground.redis.dir / "appendonlydir")
    ground.redis.start()
    ground.finish(jobs)
    audit("Redis loses its last second", jobs, expected, ground.places, ground.redis)
    ground.close()


def frozen(expected):
    ground = Ground(daemons=2)
    ground.places[0].start()
    jobs = [(f"z-{i}", 1 + i % 4, 2) for i in range(6)]
    submit(ground.redis, jobs)
    pids = list(ground.places[0].pids())

    def frozen_at_work():
        tell(pids, signal.SIGSTOP)
        if count(ground.redis, "running"):
            return True
        tell(pids, signal.SIGCONT)
        return False
    check(wait_for(frozen_at_work, every=0.01), "a daemon freezes in the middle of work")
    ground.places[1].start()
    time.sleep(2.5)
    tell(pids, signal.SIGCONT)
    ground.finish(jobs)
    audit("a daemon frozen past its lease", jobs, expected, ground.places, ground.redis, kills=1)
    ground.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    expected = undisturbed([(seed, n) for seed in (1, 2, 3, 4) for n in (1, 2)])
    crash_points(expected)
    answered(expected)
    redis_killed(expected)
    redis_paused(expected)
    redis_rewound(expected)
    frozen(expected)
    random_kills(expected, rng, 100 if args.long else 24, 200 if args.long else 30)
    finish()


main()

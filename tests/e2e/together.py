#!/usr/bin/env python3
"""Variants that are made at once: the same files as one after the other, whatever happens in between."""
import os, re, signal

from lib import *

STEPS, VARIANTS = 16, 3
JOB = ["--steps", STEPS, "--width", 256, "--height", 256, "--sampler", "euler_a", "--seed", 11, "--lossless",
       "-n", VARIANTS]


def detach(place):
    return place.sumi("image", "birches in fog", "--detach", *JOB).stdout.strip()


def reaches(place, id, step):
    return wait_for(lambda: place.json("show", id).get("step", 0) >= step, 60, 0.02)


def steps_of(place, id):
    """How many variants shared each step that was made."""
    return [int(n) for n in re.findall(rf" step\.made .*id={id} .*together=(\d+)", place.log.read_text())]


def files_of(place, id, name):
    code = place.sumi("wait", id, "--timeout", "90s").returncode
    check(code == 0, f"{name}: the job is finished", f"exit {code}")
    return {a["variant"]: a["sha256"] for a in place.json("show", id)["artifacts"]}


def main():
    alone = Place(batch=1).start()
    id = detach(alone)
    expected = files_of(alone, id, "one after the other")
    check(len(expected) == VARIANTS and steps_of(alone, id) == [1] * STEPS * VARIANTS,
          "one after the other: every variant has steps of its own", str(steps_of(alone, id)))
    alone.remove()

    place = Place(batch=2).start()
    id = detach(place)
    check(files_of(place, id, "two at once") == expected, "two at once: the bytes are the same")
    check(steps_of(place, id) == [2] * STEPS + [1] * STEPS, "two share every step, the third is alone",
          str(steps_of(place, id)))

    id = detach(place)
    reaches(place, id, 3)
    os.kill(place.workers()[0], signal.SIGKILL)
    check(files_of(place, id, "killed in the middle") == expected, "killed in the middle: the bytes are the same")
    made = steps_of(place, id)
    check(2 * STEPS <= len(made) <= 2 * STEPS + 1, "killed in the middle: at most one step twice", str(made))
    check(place.json("show", id)["crashes"] == 1, "killed in the middle: a crash")

    id = detach(place)
    reaches(place, id, 3)
    check(place.stop() == 0, "SIGTERM in the middle: exit 0")
    place.start()
    check(files_of(place, id, "after a drain") == expected, "after a drain: the bytes are the same")
    row = place.json("show", id)
    check(len(steps_of(place, id)) == 2 * STEPS and [a["outcome"] for a in row["attempts"]] == ["released", "done"]
          and not row.get("crashes"), "after a drain: no step twice, no attempt lost", str(row["attempts"]))

    # Between the results of variants that were made at once.
    place.stop()
    once = place.dir / "crashed"
    place.start(SUMI_CRASH_AT="variant_told:2", SUMI_CRASH_ONCE=str(once))
    id = detach(place)
    check(files_of(place, id, "killed between two results") == expected and once.exists(),
          "killed between two results: the bytes are the same")
    check(len(steps_of(place, id)) == 2 * STEPS, "killed between two results: no step twice", str(steps_of(place, id)))

    id = detach(place)
    reaches(place, id, 3)
    place.sumi("cancel", id)
    wait_for(lambda: place.json("show", id)["state"] == "cancelled")
    row = place.json("show", id)
    check(row["state"] == "cancelled" and not row.get("artifacts") and len(steps_of(place, id)) < STEPS,
          "cancelled in the middle: it stops, and leaves nothing", str(row))
    place.remove()
    finish()


main()

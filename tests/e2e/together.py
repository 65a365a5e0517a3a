#!/usr/bin/env python3
"""Variants and jobs that are made at once: the same files as one after the other, whatever happens in between."""
import json, os, re, shutil, signal, struct

from lib import *

STEPS, VARIANTS = 16, 3
JOB = ["--steps", STEPS, "--width", 256, "--height", 256, "--sampler", "euler_a", "--seed", 11, "--lossless",
       "-n", VARIANTS]


def detach(place):
    return place.sumi("image", "birches in fog", "--detach", *JOB).stdout.strip()


def steps_of(place, id):
    """How many variants shared each step that was made."""
    return [int(n) for n in re.findall(rf" step\.made .*id={id} .*together=(\d+)", place.log.read_text())]


def files_of(place, id, name):
    code = place.sumi("wait", id, "--timeout", "90s").returncode
    check(code == 0, f"{name}: the job is finished", f"exit {code}")
    return {a["variant"]: a["sha256"] for a in place.json("show", id)["artifacts"]}


PROMPTS = ["birches in fog", "a boat at night", "snow on a roof", "дом у моря"]


def queue_up(place, *more, names=PROMPTS):
    """Jobs of several senders, none of which begins before all wait."""
    place.sumi("pause")
    ids = [place.sumi("image", prompt, "--detach", "--steps", STEPS - 4 * (i % 2 and bool(more)), "--width", 256,
                      "--height", 256, "--sampler", ("euler_a", "dpm++2m")[i % 2], "--seed", 20 + i, "--lossless",
                      "--cfg-scale", 1 + 2 * (i % 3), "--submitter", f"sender{i}", *more).stdout.strip()
           for i, prompt in enumerate(names)]
    wait_for(lambda: place.json("status")["states"]["ready"] >= len(ids))
    place.sumi("resume")
    return ids


def all_files(place, ids, name):
    return [files_of(place, id, f"{name}, job {i + 1}") for i, id in enumerate(ids)]


def shared(place, id):
    """The most jobs with which it shared a step."""
    return max(steps_of(place, id), default=0)


def audit(place, ids, name):
    """Each has ended once, with one result, and nothing is held any more."""
    rows = [place.json("show", id) for id in ids]
    done = [sum(a["outcome"] == "done" for a in r["attempts"]) for r in rows]
    check(all(r["state"] == "done" and len(r["artifacts"]) == 1 for r in rows) and done == [1] * len(ids),
          f"{name}: each is done once", str([(r["state"], r["attempts"]) for r in rows]))
    # A worker whose device gave no numbers is replaced.
    wait_for(lambda: len(place.json("status")["workers"]) == 1)
    status = place.json("status")
    check(status["states"]["running"] == 0 and len(status["workers"]) == 1, f"{name}: nobody holds anything", str(status))


def poison(place, word):
    """A pack of the place's own, whose text encoder makes no number of one word."""
    pack = place.dir / "packs" / PACK
    shutil.copytree(PACKS / PACK, pack)
    file = pack / "text_encoder" / "model.safetensors"
    data = bytearray(file.read_bytes())
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8:begin])["text_model.embeddings.token_embedding.weight"]
    width = table["shape"][1]
    at = begin + table["data_offsets"][0] + json.loads((pack / "tokenizer/vocab.json").read_text())[word + "</w>"] * 2 * width
    data[at:at + 2 * width] = b"\x00\x7e" * width
    file.write_bytes(data)
    place.configure(packs=str(pack.parent))


def failing():
    """One of four jobs spoils the step that it shares, as the first of them and as another one."""
    place = Place(batch=1)
    poison(place, "z")
    expected = all_files(place.start(), queue_up(place), "none of four fails")
    place.stop()
    place.configure(batch=4)
    place.start()
    for bad in (0, 2):
        name = f"job {bad + 1} of four fails"
        parted = place.log.read_text().count("group.parted")
        ids = queue_up(place, names=[p if i != bad else "z" for i, p in enumerate(PROMPTS)])
        rest = [i for i in range(4) if i != bad]
        check([files_of(place, ids[i], name) for i in rest] == [expected[i] for i in rest],
              f"{name}: the others' bytes are the same")
        wait_for(lambda: place.json("show", ids[bad])["state"] in ("failed", "delayed"))
        row = place.json("show", ids[bad])
        check(place.log.read_text().count("group.parted") > parted and not row.get("artifacts") and row["failures"] >= 1,
              f"{name}: only that one does", str(row))
        check(not any(place.json("show", ids[i]).get("failures") for i in rest), f"{name}: it costs the others nothing")
        place.sumi("cancel", ids[bad])
        audit(place, [ids[i] for i in rest], name)
    place.remove()


def jobs():
    alone = Place(batch=1).start()
    ids = queue_up(alone)
    expected = all_files(alone, ids, "jobs alone")
    check([shared(alone, id) for id in ids] == [1] * 4, "jobs alone: nobody shares a step")
    alone.remove()
    failing()

    place = Place(batch=4).start()
    ids = queue_up(place)
    check(all_files(place, ids, "four jobs at once") == expected, "four jobs at once: the bytes are the same")
    check(all(steps_of(place, id) == [4] * STEPS for id in ids), "four jobs at once: they share every step",
          str([steps_of(place, id) for id in ids]))
    audit(place, ids, "four jobs at once")

    ids = queue_up(place)
    place.reaches(ids[0], 3)
    os.kill(place.workers()[0], signal.SIGKILL)
    check(all_files(place, ids, "jobs killed in the middle") == expected, "jobs killed in the middle: the bytes are the same")
    made = [steps_of(place, id) for id in ids]
    check(all(STEPS <= len(m) <= STEPS + 1 and m[-1] == 1 for m in made),
          "jobs killed in the middle: each goes on alone, with at most one step twice", str(made))
    audit(place, ids, "jobs killed in the middle")

    ids = queue_up(place)
    check(place.stop_at(ids[0], 3)[0] == 0, "SIGTERM while jobs share steps: exit 0")
    place.start()
    check(all_files(place, ids, "jobs after a drain") == expected, "jobs after a drain: the bytes are the same")
    rows = [place.json("show", id) for id in ids]
    check(all(len(steps_of(place, id)) == STEPS for id in ids) and not any(r.get("crashes") for r in rows)
          and all([a["outcome"] for a in r["attempts"]] == ["released", "done"] for r in rows),
          "jobs after a drain: no step twice, no attempt lost", str([r["attempts"] for r in rows]))

    for which in (0, 2):
        name = f"job {which + 1} of four is cancelled"
        ids = queue_up(place)
        with place.still(ids[0], 3):
            place.sumi("cancel", ids[which])
        rest = [i for i in range(4) if i != which]
        check([files_of(place, ids[i], name) for i in rest] == [expected[i] for i in rest],
              f"{name}: the others' bytes are the same")
        ends = [place.json("show", id)["finished"] for id in ids]
        check(ends[which] < min(ends[i] for i in rest), f"{name}: that is told while the others are being made", str(ends))
        row = place.json("show", ids[which])
        check(row["state"] == "cancelled" and not row.get("artifacts") and len(steps_of(place, ids[which])) < STEPS,
              f"{name}: it stops and leaves nothing", str(row))
        audit(place, [ids[i] for i in rest], name)

    ids = queue_up(place)
    with place.still(ids[0], 3):
        urgent = place.sumi("image", "now", "--detach", "--steps", 2, "--width", 64, "--height", 64, "--priority",
                            "high").stdout.strip()
    files_of(place, urgent, "an urgent job")
    check(all_files(place, ids, "jobs interrupted") == expected, "jobs interrupted: the bytes are the same")
    first, *others = [place.json("show", id)["finished"] for id in (urgent, *ids)]
    check(first < min(others), "an urgent job is done before the jobs that share steps", str([first, *others]))
    audit(place, ids, "jobs interrupted")

    place.stop()
    for point in ("fellow_claimed", "visible"):
        once = place.dir / point
        place.start(SUMI_CRASH_AT=f"{point}:2", SUMI_CRASH_ONCE=str(once))
        ids = queue_up(place)
        check(all_files(place, ids, f"killed at {point}") == expected and once.exists(),
              f"killed at {point}: the bytes are the same")
        audit(place, ids, f"killed at {point}")
        place.stop()

    place.start()
    ids = queue_up(place, "--tags", "mixed")
    all_files(place, ids, "other numbers of steps")
    check(all(shared(place, id) == 1 for id in ids), "jobs of other numbers of steps are not made together",
          str([steps_of(place, id) for id in ids]))
    place.remove()


def main():
    jobs()
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
    place.reaches(id, 3)
    os.kill(place.workers()[0], signal.SIGKILL)
    check(files_of(place, id, "killed in the middle") == expected, "killed in the middle: the bytes are the same")
    made = steps_of(place, id)
    check(2 * STEPS <= len(made) <= 2 * STEPS + 1, "killed in the middle: at most one step twice", str(made))
    check(place.json("show", id)["crashes"] == 1, "killed in the middle: a crash")

    id = detach(place)
    check(place.stop_at(id, 3)[0] == 0, "SIGTERM in the middle: exit 0")
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
    with place.still(id, 3):
        place.sumi("cancel", id)
    wait_for(lambda: place.json("show", id)["state"] == "cancelled")
    row = place.json("show", id)
    check(row["state"] == "cancelled" and not row.get("artifacts") and len(steps_of(place, id)) < STEPS,
          "cancelled in the middle: it stops, and leaves nothing", str(row))
    place.remove()
    finish()


main()

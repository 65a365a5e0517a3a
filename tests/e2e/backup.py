#!/usr/bin/env python3
"""Backup and restore: database, queue and files as one set, while everything goes on; a damaged database is seen."""
import json, os, shutil, sqlite3, threading, time

from lib import *

QUICK = ["--steps", 2, "--width", 64, "--height", 64, "--sampler", "ddim"]
FAR = ["--not-before", "2099-01-01T00:00:00Z"]


def send(place, count, prefix, *options):
    lines = "".join(json.dumps({"id": f"{prefix}-{k}", "prompt": f"{prefix} {k}", "seed": k}) + "\n" for k in range(count))
    (place.dir / f"{prefix}.jsonl").write_text(lines)
    place.sumi("batch", f"{prefix}.jsonl", *QUICK, *options)
    return [f"{prefix}-{k}" for k in range(count)]


def states(place):
    return {r["id"]: r["state"] for r in place.json("list")}


def made_while_running(place):
    """A set that is made while jobs end, are deleted and wait."""
    done, late = send(place, 6, "done"), send(place, 3, "late", *FAR)
    place.sumi("wait", *done)
    place.sumi("star", done[0])
    busy = send(place, 30, "busy")
    stop = threading.Event()

    def delete():
        for id in busy:
            if stop.is_set():
                return
            place.sumi("wait", id)
            place.sumi("delete", id)
    worker = threading.Thread(target=delete)
    worker.start()
    for k in range(4):
        place.redis_cli("BGREWRITEAOF") # the server changes its files meanwhile
        told = place.sumi("db", "backup", f"set{k}")
        check(told.returncode == 0 and told.stdout.startswith(f"set{k}: "), f"backup {k} while jobs run and are deleted",
              told.stderr)
    stop.set()
    worker.join()
    return done, late


def check_set(place, name, done, late):
    other = Place(name=f"restored-{name}", parent=place.parent)
    told = other.sumi("db", "restore", place.dir / name)
    check(told.returncode == 0 and told.stdout.startswith("restored "), f"restore of {name}", told.stderr)
    check(other.sumi("db", "check").returncode == 0, f"{name}: every row has its file")
    other.start()
    now = states(other)
    check(all(now.get(i) == "done" for i in done) and all(now.get(i) == "delayed" for i in late),
          f"{name}: what was done is done, what waited waits", str(now))
    for id in done:
        check(other.json("show", id)["artifacts"][0]["sha256"] == place.json("show", id)["artifacts"][0]["sha256"],
              f"{name}: {id} has its bytes")
    check(other.json("show", done[0]).get("starred") is True, f"{name}: and its star")
    check(wait_for(lambda: not [s for i, s in states(other).items() if s in ("ready", "running", "blocked")], 120),
          f"{name}: what ran goes on to its end", str(states(other)))
    busy = {i: s for i, s in states(other).items() if i.startswith("busy")}
    check(all(s == "done" for s in busy.values()) and other.sumi("db", "check").returncode == 0,
          f"{name}: and has its result", str(busy))
    return other


def refusals(place, other):
    for words, text in [(["db", "backup", "set0"], "already"), (["db", "backup", "x.tar"], "folder"),
                        (["db", "backup"], "DIR"), (["db", "restore"], "DIR"),
                        (["db", "restore", "."], "backup.json")]:
        told = place.sumi(*words)
        check(told.returncode and text in told.stderr and told.stderr.count("\n") == 1,
              "refused: " + " ".join(words), told.stderr)
    told = other.sumi("db", "restore", place.dir / "set0", "--force")
    check(told.returncode and "sumid" in told.stderr, "restore over a running daemon is refused", told.stderr)
    other.stop()
    before = states(other)
    told = other.sumi("db", "restore", place.dir / "set0")
    check(told.returncode == 2 and "--force" in told.stderr and states(other) == before,
          "restore over a state that is not empty is refused", told.stderr)
    told = other.sumi("db", "restore", place.dir / "set0", "--force")
    aside = list(other.state.glob("before-restore-*"))
    check(told.returncode == 0 and len(aside) == 1 and (aside[0] / "sumi.db").exists(),
          "--force moves aside what is there", told.stderr)
    bad = shutil.copytree(place.dir / "set0", place.dir / "bad")
    victim = sorted((bad / "artifacts").rglob("*.webp"))[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    empty = Place(name="empty", parent=place.parent)
    told = empty.sumi("db", "restore", bad)
    check(told.returncode == 2 and "damaged" in told.stderr and not (empty.state / "sumi.db").exists(),
          "a damaged set is refused, and nothing restored", told.stderr)
    for name, harm in (("lost", lambda set: (set / "sumi.db").unlink()), ("empty", lambda set: os.truncate(set / "sumi.db", 0)),
                       ("mute", lambda set: shutil.rmtree(set / "redis")), ("deaf", lambda set: each_file(set / "redis", os.unlink)),
                       ("cut", lambda set: each_file(set / "redis", lambda p: os.truncate(p, p.stat().st_size // 2))),
                       ("told otherwise", lambda set: each_file(set / "redis", lambda p: p.write_bytes(b"no queue"))),
                       ("forgetful", lambda set: each_file(set / "history", lambda p: os.truncate(p, 0))),
                       ("a folder", lambda set: ((set / "sumi.db").unlink(), (set / "sumi.db").mkdir())),
                       ("half told", lambda set: os.truncate(set / "backup.json", 20))):
        harm(shutil.copytree(place.dir / "set0", place.dir / name))
        told = empty.sumi("db", "restore", place.dir / name)
        check(told.returncode == 2 and f"{place.dir}/{name} is damaged" in told.stderr and "nothing was restored" in told.stderr and
              told.stderr.count("\n") == 1 and not (empty.state / "sumi.db").exists(), f"nor is one taken for a smaller one: {name}", told.stderr)


def each_file(folder, act):
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        act(path)


def other_server(place):
    """A queue on a server that others run: out of it, into a private one, and into another server."""
    redis, second = Redis(place.parent / "first"), Redis(place.parent / "second")
    try:
        redis.start()
        second.start()
        redis.cli("SET", "somebody:else", "theirs")
        there = Place(name="there", redis=redis.url, parent=place.parent)
        there.start()
        done, late = send(there, 2, "done"), send(there, 3, "late", *FAR)
        there.sumi("wait", *done)
        told = there.sumi("db", "backup", "set")
        check(told.returncode == 0, "backup of a queue on another server", told.stderr)
        check({p.name for p in (there.dir / "set").iterdir()} >= {"redis", "sumi.db", "artifacts", "backup.json"} and
              not list((there.dir / "set").glob("*.part")), "the set is whole")
        home = Place(name="home", parent=place.parent)
        told = home.sumi("db", "restore", there.dir / "set")
        home.start()
        now = states(home)
        check(told.returncode == 0 and [now.get(i) for i in done + late] == ["done"] * 2 + ["delayed"] * 3 and
              home.redis_cli("EXISTS", "somebody:else") == "0", "restored with a private Redis, sumi's keys alone",
              f"{told.stderr} {now}")
        home.stop()
        told = there.sumi("db", "restore", "set", "--force")
        check(told.returncode and "sumid" in told.stderr, "not over a running daemon", told.stderr)
        moved = Place(name="moved", redis=second.url, parent=place.parent)
        told = moved.sumi("db", "restore", there.dir / "set")
        check(told.returncode == 0 and second.cli("EXISTS", "{sumi}:job:done-0") == "1" and
              not (moved.state / "redis").exists(), "restored into another server", told.stderr)
        shutil.rmtree(moved.state)
        told = moved.sumi("db", "restore", there.dir / "set")
        check(told.returncode == 2 and "--force" in told.stderr, "keys that are there are not mixed with others", told.stderr)
        shutil.rmtree(moved.state)
        told = moved.sumi("db", "restore", there.dir / "set", "--force")
        moved.start()
        now = states(moved)
        check(told.returncode == 0 and [now.get(i) for i in done + late] == ["done"] * 2 + ["delayed"] * 3,
              "--force replaces them", f"{told.stderr} {now}")
        moved.stop()
        there.stop()
        redis.cli("ACL", "SETUSER", "default", "-sync")
        told = there.sumi("db", "backup", "no")
        check(told.returncode and "--without-queue" in told.stderr and told.stderr.count("\n") == 1,
              "a server that gives no copy is said so", told.stderr)
        shutil.rmtree(there.dir / "no.part")
        told = there.sumi("db", "backup", "no", "--without-queue")
        check(told.returncode == 0 and not (there.dir / "no" / "redis").exists(), "--without-queue", told.stderr)
    finally:
        redis.stop()
        second.stop()


def damage(place):
    """What `doctor` sees of the database and of files."""
    found = lambda: {f["text"]: f["level"] for f in place.json_any("doctor") if f["what"] == "database"}
    fine = found()
    check(list(fine.values()) == ["fine"], "doctor: the database is fine", str(fine))
    file = next((place.state / "artifacts").rglob("*.webp"))
    file.rename(file.with_suffix(".gone"))
    missing = found()
    check(any(l == "broken" and "missing" in t and "db check" in t for t, l in missing.items()),
          "doctor: a file is missing, and what to do", str(missing))
    file.with_suffix(".gone").rename(file)
    with sqlite3.connect(place.state / "sumi.db") as con:
        con.execute("pragma foreign_keys = off")
        con.execute("insert into attempts (job, n, token, outcome, started, ended) values (1, 1, 't', 'done', 1, 1)")
    con.close()
    strays = found()
    check(any(l == "broken" and "db rebuild" in t for t, l in strays.items()), "doctor: rows without their job", str(strays))
    with sqlite3.connect(place.state / "sumi.db") as con:
        con.execute("delete from attempts where job = 1")
    con.close()
    data = bytearray((place.state / "sumi.db").read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096:page * 4096 + 64] = b"\xff" * 64
    (place.state / "sumi.db").write_bytes(data)
    broken = found()
    check(any(l == "broken" and "db rebuild" in t for t, l in broken.items()), "doctor: a damaged database", str(broken))
    told = place.sumi("doctor")
    check(told.returncode == 1, "and its exit status says so")
    check(place.sumi("db", "rebuild").returncode == 0 and list(found().values()) == ["fine"], "what it advises mends it",
          str(found()))


def lost(place):
    """The database is gone, and sumid is started before anybody has noticed: no file goes with it."""
    files = sorted((place.state / "artifacts").rglob("*.webp"))
    before = {r["id"] for r in place.json("list", "-q")}
    for name in ("sumi.db", "sumi.db-journal"):
        (place.state / name).unlink(missing_ok=True)
    told = [f for f in place.json_any("doctor") if f["what"] == "database"]
    check([f["level"] for f in told] == ["broken"] and "sumi db rebuild" in told[0]["text"], "doctor: there is no database, but files", told)
    place.start()
    check(wait_for(lambda: b" store.strays " in place.new_log(), 90), "the log says so when a new one is made", place.new_log()[-800:])
    said = place.sumi("list")
    check("sumi db rebuild" in said.stderr, "list says so", said.stderr)
    told = [f["text"] for f in place.json_any("doctor") if f["what"] == "database" and f["level"] == "broken"]
    check(len(told) == 1 and f"{len(files)} files" in told[0] and "sumi db rebuild" in told[0], "doctor counts them", told)
    place.stop()
    check(sorted((place.state / "artifacts").rglob("*.webp")) == files, "and every file is there")
    done = place.sumi("db", "rebuild")
    said = place.sumi("list", "-q")
    check(done.returncode == 0 and set(said.stdout.split()) >= before and "rebuild" not in said.stderr and place.sumi("db", "check").returncode == 0,
          "db rebuild brings all back", done.stderr + said.stderr)


def json_any(self, *args):
    return json.loads(self.sumi(*args, "--json").stdout)


Place.json_any = json_any
place = Place()
try:
    place.start()
    done, late = made_while_running(place)
    place.sumi("wait", *[i for i, s in states(place).items() if s in ("ready", "running")])
    others = [check_set(place, f"set{k}", done, late) for k in (0, 3)]
    others[1].stop()
    refusals(place, others[0])
    other_server(place)
    place.stop()
    damage(place)
    lost(place)
finally:
    place.remove()
finish()

#!/usr/bin/env python3
"""Whatever refuses writes (the disk, Redis' disk, its memory, a replica, a limit) costs a job nothing, however often it
comes while the job runs; status, list and show say what it waits for, in words; and it goes on when that is mended."""
import resource, shutil, subprocess

from lib import *

STEPS = 300
SLOW = ["--steps", STEPS, "--width", 256, "--height", 256, "--sampler", "ddim", "--seed", 3, "--lossless"]
TIMES = 4  # one more than a job may crash
LONGER = 1.5  # than a lease, seconds


def detach(place, *options):
    return place.sumi("image", "slow one", "--detach", *options).stdout.strip()


def told(place, id, words):
    """status, list and show say "waits: …"; in words, and without Redis' own."""
    texts = {verb[0]: place.sumi(*verb) for verb in (("status",), ("list",), ("show", id))}
    out = "".join(done.stdout + done.stderr for done in texts.values())
    return all("waits: " + words in done.stdout for done in texts.values()) and "MISCONF" not in out and "OOM" not in out, \
        {name: done.stdout[-300:] + done.stderr for name, done in texts.items()}


def says(place, id, words, name):
    wait_for(lambda: told(place, id, words)[0], 300, 0.3)
    fine, texts = told(place, id, words)
    check(fine, f"{name}: status, list and show say what it waits for", str(texts))


def costs_nothing(place, id, name):
    done = place.sumi("wait", id, "--timeout", "5m", timeout=320)
    row = place.json("show", id)
    check(done.returncode == 0 and row["state"] == "done", f"{name}: the job is done", done.stderr + str(row)[:600])
    check(not row.get("crashes") and not row.get("failures") and row["attempts_made"] == 1,
          f"{name}: it has cost nothing", str({k: row.get(k) for k in ("crashes", "failures", "attempts_made", "attempts")}))
    look = lambda: place.sumi("list").stdout + place.sumi("status").stdout
    check("waits" not in row and wait_for(lambda: "waits: " not in look(), 10, 0.3), f"{name}: and nothing waits any more",
          look()[-600:])


def refuses_in_words(place, name, *words):
    done = place.sumi("image", "another", "--detach", "--steps", 2)
    line = done.stderr.strip()
    check(done.returncode != 0 and "\n" not in line and "MISCONF" not in line and "OOM" not in line and
          all(w in line for w in words), f"{name}: who sends a job hears so in one line", line)


def redis_refuses():
    """Redis that takes no writes, by each of its ways to refuse them."""
    place = Place(lease="1s")
    redis = Redis(place.parent, "--appendonly", "no", "--enable-protected-configs", "yes").start()
    place.configure(redis=redis.url)
    gone = redis.dir / "gone"

    def breaks_disk():
        gone.mkdir(exist_ok=True)
        redis.cli("CONFIG", "SET", "dir", gone)
        shutil.rmtree(gone)
        redis.cli("CONFIG", "SET", "save", "3600 1")
        redis.cli("BGSAVE")
        wait_for(lambda: "rdb_last_bgsave_status:err" in redis.cli("INFO", "persistence"), 90)

    def mends_disk():
        redis.cli("CONFIG", "SET", "dir", redis.dir)
        redis.cli("BGSAVE")
        wait_for(lambda: "rdb_last_bgsave_status:ok" in redis.cli("INFO", "persistence"), 90)
        redis.cli("CONFIG", "SET", "save", "")

    ways = [
        ("its disk", breaks_disk, mends_disk, "disk full", ["cannot write to its disk"]),
        ("its memory", lambda: redis.cli("CONFIG", "SET", "maxmemory", 1),
         lambda: redis.cli("CONFIG", "SET", "maxmemory", 0), "memory full", ["memory is full", "maxmemory"]),
        ("a replica", lambda: redis.cli("REPLICAOF", "127.0.0.1", 1), lambda: redis.cli("REPLICAOF", "NO", "ONE"),
         "redis is a replica", ["replica", "master"]),
        ("its user", lambda: redis.cli("ACL", "SETUSER", "default", "-@write", "-@scripting"),
         lambda: redis.cli("ACL", "SETUSER", "default", "+@all"), "redis forbids its user to write", ["ACL SETUSER"]),
    ]
    place.start()
    for name, breaks, mends, words, line in ways:
        id = detach(place, *SLOW, "--id", "refused-" + name.replace(" ", "-"))
        for i in range(TIMES):
            place.reaches(id, 2 * i + 1)
            breaks()
            if i == 0:
                says(place, id, words, name)
                refuses_in_words(place, name, *line)
            time.sleep(LONGER)
            mends()
        costs_nothing(place, id, f"redis refuses: {name}")
    # The daemon is stopped and started meanwhile, as people do.
    id = detach(place, *SLOW, "--id", "restarted")
    for i in range(TIMES):
        place.reaches(id, i + 1)
        breaks_disk()
        time.sleep(0.5)
        check(place.stop() == 0, "stopped while Redis refuses")
        mends_disk()
        place.start()
    costs_nothing(place, id, "restarts while Redis refuses")
    # A user who may add to the stream, but not run scripts: nobody knows that there is no such job.
    redis.cli("ACL", "SETUSER", "default", "-eval", "-evalsha")
    redis.cli("XADD", "{sumi}:in", "*", "id", "unread", "modality", "image", "prompt", "fog", "steps", 2, "width", 64,
              "height", 64)
    done = place.sumi("show", "unread")
    check(done.returncode and "ACL SETUSER" in done.stderr and "no job" not in done.stderr,
          "a job that cannot be taken in is not said to be none", done.stderr)
    redis.cli("ACL", "SETUSER", "default", "+@all")
    check(place.sumi("wait", "unread", "--timeout", "60s").returncode == 0, "and it is made when it can")
    place.stop()
    redis.stop()
    place.remove()


def disk_fills():
    """A real small file system under the state folder, the private Redis on it too."""
    place = Place(lease="1s")
    place.state.mkdir()
    if not shutil.which("mount") or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place.state],
                                                   capture_output=True).returncode:
        print("skip disk full: no right to mount a small file system")
        place.remove()
        return
    filler = place.state / "filler"
    try:
        place.start()
        id = detach(place, *SLOW)
        for i in range(TIMES):
            place.reaches(id, 2 * i + 1)
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)
            if i == 0:
                says(place, id, "disk full", "disk full")
            time.sleep(LONGER)
            filler.unlink()
        costs_nothing(place, id, "disk full")
    finally:
        place.kill()
        subprocess.run(["umount", "-l", place.state])
        place.remove()


def read_only():
    """The folder of the results becomes read-only (EROFS), as after an error of its disk."""
    place = Place(lease="1s")
    place.start()
    folder = place.state / "artifacts"
    bind = lambda *options: subprocess.run(["mount", *options], capture_output=True).returncode == 0
    if not shutil.which("mount") or not bind("--bind", folder, folder):
        print("skip read-only results: no right to mount")
        place.remove()
        return
    try:
        id = detach(place, *SLOW)
        for i in range(TIMES):
            place.reaches(id, 2 * i + 1)
            bind("-o", "remount,ro,bind", folder)
            if i == 0:
                says(place, id, "results cannot be written", "read-only results")
            time.sleep(LONGER)
            bind("-o", "remount,rw,bind", folder)
        costs_nothing(place, id, "read-only results")
    finally:
        place.kill()
        subprocess.run(["umount", "-l", folder])
        place.remove()


def limited():
    """RLIMIT_FSIZE: files may not grow beyond so many bytes (EFBIG, and a signal that kills who does not ignore it)."""
    place = Place(redis="")
    redis = Redis(place.parent).start()
    place.configure(redis=redis.url)
    place.start()
    id = detach(place, *SLOW)
    place.reaches(id, 3)
    worker = place.workers()[0]
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
    says(place, id, "disk full", "a limit on files")
    check(place.workers() == [worker], "a limit on files: the worker lives on", str(place.workers()))
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    done = place.sumi("wait", id, "--timeout", "5m", timeout=320)
    row = place.json("show", id)
    check(done.returncode == 0 and not row.get("crashes") and not row.get("failures"), "a limit on files: it costs nothing",
          done.stderr + str(row)[:600])
    place.stop()
    redis.stop()
    place.remove()


def damaged_at_the_end():
    """Power fails between the store's word and the queue's, and the queue's key of the job is no hash any more."""
    place = Place()
    redis = Redis(place.parent).start()
    place.configure(redis=redis.url)
    place.start(SUMI_CRASH_AT="stored", SUMI_CRASH_ONCE=str(place.dir / "once"))
    id = detach(place, "--steps", 2, "--width", 64, "--height", 64)
    wait_for(lambda: (place.dir / "once").exists(), 60)
    place.kill()
    key = "{sumi}:job:" + id
    redis.cli("DEL", key)
    redis.cli("SET", key, "text")
    place.start()
    check(wait_for(lambda: id in visible(place), 90), "a damaged key of a job that is stored: its result is shown, and work goes on",
          place.log.read_text()[-600:])
    check(place.sumi("image", "next", "--steps", 2, "-o", "next.webp").returncode == 0, "and the next job is made")
    place.stop()
    redis.stop()
    place.remove()


def nobody_sent():
    """A job that waits for one that nobody has sent: said when it is sent, and by show."""
    place = Place()
    place.start()
    job = {"id": "waiter", "modality": "image", "prompt": "x", "steps": 2, "after": ["never-sent"]}
    done = place.sumi("submit", json.dumps(job))
    check(done.returncode == 0 and "waiter waits for job never-sent, which nobody has sent" in done.stderr,
          "submit warns of an unknown id", done.stderr)
    check("waits: for job never-sent, which nobody has sent" in place.sumi("show", "waiter").stdout, "and show says so")
    jobs = [{"id": "b2", "modality": "image", "prompt": "x", "steps": 2, "after": ["b1"]},
            {"id": "b1", "modality": "image", "prompt": "x", "steps": 2}]
    done = place.sumi("submit", "-", input="".join(json.dumps(j) + "\n" for j in jobs))
    check(done.returncode == 0 and "nobody" not in done.stderr, "one that comes later in the same file is no unknown one", done.stderr)
    place.redis_cli("ZADD", "{sumi}:awaiting", "XX", 1, "waiter")
    done = place.sumi("wait", "waiter", "--timeout", "20s")
    check(done.returncode != 0 and "never-sent" in done.stderr, "after a day it fails, and names the id", done.stderr)
    place.sumi("submit", json.dumps({"id": "nightly", "modality": "image", "prompt": "x", "steps": 2, "every": "24h"}))
    place.sumi("wait", "nightly", "--timeout", "60s")
    wait_for(lambda: place.json("list", "--state", "delayed"), 90)
    done = place.sumi("cancel", "nightly")
    check(done.returncode == 0 and "its series ends" in done.stdout and not place.json("list", "--state", "delayed"),
          "cancel of a recurring job ends the series, and says so", done.stdout + done.stderr)
    place.stop()
    place.remove()


if __name__ == "__main__":
    for part in (nobody_sent, damaged_at_the_end, redis_refuses, disk_fills, read_only, limited):
        part()
    finish()

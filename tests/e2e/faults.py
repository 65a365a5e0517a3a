#!/usr/bin/env python3
"""The daemon in bad days: stopped, hung, killed, misconfigured, without disk; and what it says."""
import os, re, signal, socket, struct, subprocess, time

from lib import *

STEPS = 24
SLOW = ["--steps", STEPS, "--width", 256, "--height", 256, "--sampler", "ddim", "--seed", 3, "--lossless"]
QUICK = ["--steps", 2, "--width", 64, "--height", 64, "--sampler", "ddim"]


def detach(place, *options):
    return place.sumi("image", "slow one", "--detach", *options).stdout.strip()


def freeze(place):
    """Time for the private Redis to write what it knows, once a second, while the job stays where it is."""
    worker = place.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    time.sleep(1.5)
    return worker


def steps_of(place, id):
    return len(re.findall(rf" step\.made .*id={id} ", place.log.read_text()))


def same_bytes(place, id, expected, name):
    code = place.sumi("wait", id, "--timeout", "90s").returncode
    check(code == 0, f"{name}: the job is finished", f"exit {code}")
    place.sumi("fetch", id, "-o", f"{id}.webp")
    file = place.dir / f"{id}.webp"
    check(file.exists() and sha256(file) == expected, f"{name}: the bytes are the same")


def interruptions():
    place = Place(step_limit="4s")
    place.start()
    alone = place.sumi("image", "slow one", *SLOW, "-o", "alone.webp")
    check(alone.returncode == 0, "undisturbed", alone.stderr)
    expected = sha256(place.dir / "alone.webp")

    id = detach(place, *SLOW)
    status, seconds = place.stop_at(id, 3)
    check(status == 0 and seconds < 10, "SIGTERM: exit 0 within a step", f"{status} {seconds:.1f} s")
    place.start()
    same_bytes(place, id, expected, "after a drain")
    check(steps_of(place, id) == STEPS, "after a drain: no step twice", str(steps_of(place, id)))
    row = place.json("show", id)
    check([a["outcome"] for a in row["attempts"]] == ["released", "done"] and not row.get("crashes") and
          not row.get("failures"), "a drain costs no attempt", str(row["attempts"]))

    id = detach(place, *SLOW)
    place.reaches(id, 3)
    os.kill(place.workers()[0], signal.SIGSTOP)
    same_bytes(place, id, expected, "a hung worker")
    check("worker.hangs" in place.log.read_text(), "the supervisor killed it")

    id = detach(place, *SLOW)
    place.reaches(id, 3)
    os.kill(place.workers()[0], signal.SIGKILL)
    same_bytes(place, id, expected, "a worker killed for want of memory")
    check(steps_of(place, id) <= STEPS + 1, "at most one step twice", str(steps_of(place, id)))
    check(place.json("show", id)["crashes"] == 1, "it counts as a crash")

    id = detach(place, *SLOW)
    place.reaches(id, 3)
    freeze(place)
    place.kill()
    place.start()
    same_bytes(place, id, expected, "a power cut")

    id = detach(place, *SLOW)
    place.reaches(id, 3)
    waiting = subprocess.Popen([BIN / "sumi", "wait", id], env=place.env(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    worker = freeze(place)
    for pid in place.servers():
        os.kill(pid, signal.SIGKILL)
    os.kill(worker, signal.SIGCONT)
    out = waiting.communicate(timeout=120)
    check(waiting.returncode == 0, "who waits for a job outlives that", str(out))
    same_bytes(place, id, expected, "the private Redis killed")
    check("redis.died" in place.log.read_text(), "and the daemon starts it anew")

    id = detach(place, *SLOW)
    place.reaches(id, 3)
    place.configure(idle_unload="5m")
    place.daemon.send_signal(signal.SIGHUP)
    same_bytes(place, id, expected, "SIGHUP in the middle")
    place.conf.write_text(place.conf.read_text() + "nonsense = 1\n")
    place.daemon.send_signal(signal.SIGHUP)
    check(wait_for(lambda: "reload.refused" in place.log.read_text(), 90) and place.daemon.poll() is None,
          "SIGHUP with a wrong file: refused, and it goes on")
    place.configure()
    place.remove()


def unwanted():
    """A step that goes on for longer than anybody waits: its thread stalls, the heartbeat lives."""
    place = Place(lease="30s")
    place.start(SUMI_CRASH_AT="begun", SUMI_CRASH_ONCE=str(place.dir / "once"), SUMI_CRASH_STALL="1")
    id = detach(place, *QUICK)
    wait_for(lambda: "run.begins" in place.log.read_text())
    place.sumi("cancel", id)
    done = place.sumi("wait", id, "--timeout", "60s")
    log = place.log.read_text()
    check(done.returncode == 6 and "was cancelled" in done.stderr,
          "a cancelled job ends although its step does not", f"{done} {log[-500:]}")
    check("worker.died" not in log and "cache.damaged" not in log and " job.left " in log, "nothing has died of that")
    row = place.json("show", id)
    check(row["state"] == "cancelled" and not row.get("crashes"), "it is cancelled, not crashed", row)
    done = place.sumi("image", "the next", *QUICK, "-o", "next.webp")
    check(done.returncode == 0, "the next one is made", done.stderr)
    place.remove()


def set_clock(folder, hour):
    """A time zone, Test/Clock, in which it is the given hour now (RFC 8536; the offset in its footer)."""
    east = (hour - time.gmtime().tm_hour + 12) % 24 - 12
    block = struct.pack(">4sc15x6L", b"TZif", b"2", 0, 0, 0, 0, 1, 1) + struct.pack(">lbB", east * 3600, 0, 0) + b"\0"
    (folder / "Test").mkdir(exist_ok=True)
    fresh = folder / "Test" / "fresh"
    fresh.write_bytes(block * 2 + f"\n<TST>{-east}\n".encode())
    fresh.rename(folder / "Test" / "Clock")


def window_closes():
    """A daily window that closes in the middle of a job: no waiting for a clock, the zone's time is set."""
    place = Place()
    zones = place.dir / "zones"
    zones.mkdir()
    set_clock(zones, 12)
    os.environ["TZDIR"] = str(zones)
    place.start()
    done = place.sumi("image", "slow one", *SLOW, "-o", "alone.webp")
    check(done.returncode == 0, "undisturbed", done.stderr)
    id = detach(place, *SLOW, "--window", "10:00-14:00", "--tz", "Test/Clock")
    with place.still(id, 3):
        set_clock(zones, 18)
    check(wait_for(lambda: place.json("show", id)["state"] == "ready", 90), "the window closes: the job waits",
          str(place.json("show", id)))
    made = steps_of(place, id)
    time.sleep(2.5)
    row = place.json("show", id)
    check(row["state"] == "ready" and 3 <= steps_of(place, id) == made < STEPS, "and nothing is done for it", str(row))
    set_clock(zones, 12)
    same_bytes(place, id, sha256(place.dir / "alone.webp"), "the window opens again")
    row = place.json("show", id)
    check(steps_of(place, id) == STEPS, "no step twice", str(steps_of(place, id)))
    check(row["attempts_made"] == 1 and not row.get("crashes") and not row.get("failures") and
          [(a["outcome"], a.get("error")) for a in row["attempts"]] == [("released", "window"), ("done", None)],
          "and it has cost no attempt", str(row))
    del os.environ["TZDIR"]
    place.remove()


def crashing_job():
    place = Place()
    place.start(SUMI_CRASH_AT="begun")
    id = detach(place, *QUICK, "--max-attempts", 2)
    code = place.sumi("wait", id, "--timeout", "60s").returncode
    row = place.json("show", id)
    check(code == 5 and row["state"] == "failed" and row["crashes"] == 2,
          "a job that kills its worker is put aside after max_attempts", f"exit {code} {row}")
    check(row.get("error"), "with a reason", str(row))
    place.stop()
    place.start()
    check(id in [r["id"] for r in place.json("list", "--state", "failed")], "and is listed as failed")
    check(place.sumi("retry", id).returncode == 0 and place.sumi("wait", id).returncode == 0,
          "retry, when the cause is gone")
    place.remove()


def strangers():
    """Jobs by plain commands and by redis-py, and what cannot be read."""
    place = Place()
    place.start()
    redis = Redis(place.parent)
    redis.socket = place.state / "redis" / "redis.sock"
    check(oct(redis.socket.parent.stat().st_mode & 0o777) == "0o700", "the private Redis is private")
    redis.cli("XADD", "{sumi}:in", "*", "id", "cli-1", "modality", "image", "prompt", "туман", "seed", 7, "steps", 2,
              "width", 64, "height", 64)
    check(place.sumi("wait", "cli-1").returncode == 0, "a job by one command")
    try:
        import redis as redis_py
        client = redis_py.Redis(unix_socket_path=str(redis.socket), decode_responses=True)
        client.xadd("{sumi}:in", {"job": json.dumps({"id": "py-1", "modality": "image", "prompt": "fog", "seed": 7,
                                                     "steps": 2, "width": 64, "height": 64})})
        done = wait_for(lambda: client.hget("{sumi}:job:py-1", "state") == "done", 90)
        check(done and json.loads(client.hget("{sumi}:job:py-1", "v0"))[0]["sha256"], "a job by redis-py")
    except ImportError:
        # Debian's python3-redis belongs to Debian's python3.
        code = ("import json,sys,redis\nc=redis.Redis(unix_socket_path=sys.argv[1])\n"
                "c.xadd('{sumi}:in',{'job':json.dumps({'id':'py-1','modality':'image','prompt':'fog','steps':2,"
                "'width':64,'height':64})})")
        python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
        done = subprocess.run([python, "-c", code, redis.socket], capture_output=True, text=True)
        if "No module" in done.stderr:
            print("skip a job by redis-py: it is not installed")
        else:
            check(done.returncode == 0 and place.sumi("wait", "py-1").returncode == 0, "a job by redis-py", done.stderr)
    redis.cli("XADD", "{sumi}:in", "*", "id", "bad-1", "modality", "image", "prompt", "x", "stepps", 3)
    redis.cli("XADD", "{sumi}:in", "*", "complete", "nonsense")
    check(wait_for(lambda: place.json("status")["dead_letters"] == 2, 90), "what cannot be read is a dead letter")
    letters = redis.cli("XRANGE", "{sumi}:dead", "-", "+")
    check("stepps" in letters and "bad-1" in letters, "with the reason", letters)
    redis.cli("XADD", "{sumi}:in", "*", "op", "cancel", "id", "nobody")
    check(place.sumi("image", "still alive", *QUICK).returncode == 0, "and the daemon goes on")
    place.remove()


def refuses(place, name, *words, status=(1,), **env):
    """Starts a daemon that must end by itself with one clear line."""
    done = subprocess.run([BIN / "sumid"], env=place.env(**env), capture_output=True, text=True, timeout=60,
                          cwd=place.dir)
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    check(done.returncode in status and all(w in last for w in words), name, f"exit {done.returncode}: {last}")


def refusals():
    place = Place()
    place.start()
    refuses(place, "a second daemon on one state directory", "another sumid serves", str(place.state))
    place.stop()
    place.configure(leese="3s")
    refuses(place, "a wrong key", "sumi.conf:", "leese", status=(2,))
    done = subprocess.run([BIN / "sumid", "--check"], env=place.env(), capture_output=True, text=True)
    check(done.returncode == 2 and "leese" in done.stderr, "sumid --check finds it", done.stderr)
    done = place.sumi("list")
    check(done.returncode == 2 and "leese" in done.stderr, "and sumi says so too", done.stderr)
    del place.settings["leese"]
    place.configure(lease="soon")
    refuses(place, "a wrong value", "sumi.conf:", "lease", "soon", status=(2,))
    place.configure(lease="2s")
    refuses(place, "a folder as configuration", str(place.dir), "directory", status=(1, 2), SUMI_CONFIG=str(place.dir))
    place.configure(max_attempts=0)
    refuses(place, "a value that is too small", "sumi.conf:", "max_attempts", status=(2,))
    place.configure(max_attempts=3)
    refuses(place, "a configuration that is not there", "nowhere.conf", status=(1, 2), SUMI_CONFIG="/nowhere.conf")
    refuses(place, "no redis-server", "apt-get install redis-server", "valkey", PATH="/nowhere")
    found = [f["text"] for f in json.loads(place.sumi("doctor", "--json", PATH="/nowhere").stdout) if f["what"] == "Redis"]
    check("apt-get install redis-server" in found[0], "doctor says so too", str(found))
    place.configure(devices="opencl:77")
    place.start(wait=False)
    check(wait_for(lambda: re.search(rb" error .*opencl:77", place.new_log()), 90) and place.daemon.poll() is None,
          "a device that is not there is named, and tried again", place.new_log().decode()[-500:])
    place.stop()
    for key, value, word in (("devices", ",", "auto"), ("redis", "http://x", "unix://")):
        before = place.settings[key]
        place.configure(**{key: value})
        done = subprocess.run([BIN / "sumid", "--check"], env=place.env(), capture_output=True, text=True)
        check(done.returncode == 2 and "sumi.conf" in done.stderr and word in done.stderr,
              f"sumid --check: {key} = {value}", done.stderr)
        place.configure(**{key: before})
    place.configure(devices="reference , no such card")
    done = subprocess.run([BIN / "sumid", "--check"], env=place.env(), capture_output=True, text=True)
    check(done.returncode == 2 and "'no such card'" in done.stderr and "there is" in done.stderr and
          "reference (" in done.stderr, "sumid --check names it and what there is", done.stderr)
    found = [f["text"] for f in json.loads(place.sumi("doctor", "--json").stdout) if f["what"] == "devices"]
    check(len(found) == 1 and "no such card" in found[0], "doctor too", str(found))
    place.start()
    warned = re.findall(r" warn devices\.unknown .*", place.new_log().decode())
    check(len(warned) == 1 and "no such card" in warned[0] and "reference" in warned[0],
          "the daemon warns of one that means nothing, and serves with the others", str(warned))
    place.stop()
    place.start(wait=False)
    wait_for(lambda: b"redis.private" in place.new_log(), 90)
    status = place.stop()
    check(status == 0 and not place.servers(),
          "SIGTERM while it starts: it stops in order", f"{status} {place.pids()}")
    place.configure(devices="reference")
    place.start(wait=False)
    wait_for(lambda: b"worker.started" in place.new_log(), 90)
    status = place.stop()
    check(status == 0 and b" error " not in place.new_log(), "SIGTERM while its worker starts",
          f"{status} {place.new_log()[-300:]}")
    place.configure(devices="auto", redis=f"unix://{place.parent}/none.sock")
    refuses(place, "a Redis that is not there", "none.sock")
    evicting = Redis(place.parent, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru").start()
    place.configure(redis=evicting.url)
    refuses(place, "a Redis that may throw jobs away", "noeviction", status=(1, 2))
    evicting.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    place.start()
    check("redis.settings" in place.log.read_text() and "appendonly" in place.log.read_text(),
          "a Redis that keeps nothing on disk: a warning")
    done = place.json("doctor")
    check(any(f["what"] == "Redis" and f["level"] == "warning" for f in done), "doctor warns too", str(done))
    place.stop()
    id = detach(place, *QUICK)
    check([r["state"] for r in place.json("list") if r["id"] == id] == ["ready"], "what was just sent is listed")
    done = place.sumi("wait", id, "--timeout", "2s")
    check(done.returncode == 1 and f"{id} ready" in done.stderr, "who waits for a job while no daemon is there sees it waiting",
          done.stderr)
    place.remove()
    evicting.stop()


def secrets():
    """The password of a Redis is not for whoever looks at processes, logs or messages."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    place = Place(redis=f"redis://:geheim@127.0.0.1:{port}/0")
    redis = Redis(place.parent, "--port", str(port)).start()
    redis.cli("CONFIG", "SET", "requirepass", "geheim")
    place.start()
    check(place.sumi("image", "behind a password", *QUICK).returncode == 0, "a Redis with a password")
    args = " ".join(place.pids().values())
    check("--worker" in args and "geheim" not in args, "the password is no argument", args)
    place.stop()
    redis.stop()
    done = place.sumi("status")
    check(done.returncode == 4 and str(port) in done.stderr and "geheim" not in done.stderr + place.log.read_text(),
          "nor in messages and the log", done.stderr)
    place.remove()


def folders():
    """State directories as people write them."""
    place = Place("odd %41 ? name").start()
    check(place.sumi("image", "in a folder with an odd name", *QUICK).returncode == 0, "a folder with an odd name")
    place.stop()
    place.configure(state_dir="relative")
    refuses(place, "a relative state_dir in a file", "sumi.conf", "'relative'", status=(2,))
    place.configure(state_dir="")
    with open(place.log, "wb") as log:
        daemon = subprocess.Popen([BIN / "sumid", "--state-dir", "./here"], env=place.env(), cwd=place.dir, stderr=log)
    up = wait_for(lambda: b"worker.ready" in place.log.read_bytes(), 60)
    done = place.sumi("image", "here", "--state-dir", "./here", *QUICK, "-o", "here.webp")
    check(up and done.returncode == 0 and (place.dir / "here" / "sumi.db").exists(), "a relative --state-dir", done.stderr)
    daemon.terminate()
    check(daemon.wait(60) == 0, "and it stops in order")
    place.remove()


def damaged():
    place = Place()
    place.start()
    made = place.json("image", "to be damaged", *QUICK)
    artifact = place.json("show", made["id"])["artifacts"][0]
    path = pathlib.Path(artifact["path"])
    hidden = path.read_bytes()
    path.unlink()
    done = place.sumi("fetch", made["id"], "-o", "gone.webp")
    check(done.returncode != 0 and artifact["sha256"] in done.stderr and not (place.dir / "gone.webp").exists(),
          "a missing artifact is named", done.stderr)
    done = place.sumi("db", "check")
    check(done.returncode != 0 and artifact["sha256"] in done.stderr, "db check finds it", done.stderr)
    check(place.sumi("image", "another", *QUICK).returncode == 0, "and the daemon goes on")
    path.write_bytes(hidden + b"more")
    done = place.sumi("fetch", made["id"], "-o", "gone.webp")
    check(done.returncode == 2 and artifact["sha256"] in done.stderr and not (place.dir / "gone.webp").exists(),
          "a damaged artifact is not handed out", done.stderr)
    path.write_bytes(hidden)
    # As when the folder is on a disk that is not mounted.
    artifacts, away = place.state / "artifacts", place.state / "away"
    artifacts.rename(away)
    artifacts.symlink_to("nowhere")
    waits = detach(place, *QUICK, "--max-attempts", 1)
    check(wait_for(lambda: b" error store.broken " in place.new_log(), 90), "a folder for files that is away: said",
          place.new_log().decode()[-500:])
    artifacts.unlink()
    away.rename(artifacts)
    check(place.sumi("wait", waits, "--timeout", "60s").returncode == 0, "its job is made when it is back")
    # Done for the queue is not yet done for the store, whose last words would mend what follows.
    check(wait_for(lambda: f" job.done process=worker.0 id={waits}" in place.log.read_text(), 90), "and settled")
    broken = place.new_log().count(b" error store.broken ")
    with open(place.state / "sumi.db", "r+b") as f:
        f.write(b"not a database" * 100)
    kept = detach(place, *QUICK, "--max-attempts", 1)
    check(wait_for(lambda: place.new_log().count(b" error store.broken ") > broken, 90), "a database that breaks while it runs: said",
          place.new_log().decode()[-500:])
    row = place.json("show", kept)
    check(row["state"] in ("ready", "running") and not row.get("failures"), "and its jobs wait, at no cost", str(row))
    place.stop()
    refuses(place, "a damaged database", "sumi db rebuild")
    done = place.sumi("list")
    check(done.returncode != 0 and "sumi db rebuild" in done.stderr, "sumi list says how to mend it", done.stderr)
    done = place.sumi("db", "rebuild")
    check(done.returncode == 0, "db rebuild", done.stderr)
    place.start()
    check(made["id"] in [r["id"] for r in place.json("list")], "the job is back")
    check(place.sumi("wait", kept, "--timeout", "60s").returncode == 0, "and what waited is made")
    check(place.sumi("again", path, "-o", "again.webp").returncode == 0 and
          (place.dir / "again.webp").read_bytes() == hidden, "and can be made again")
    place.remove()


def disk_full():
    place = Place(reserve="8M")
    place.state.mkdir(parents=True)
    if not at_hand("disk full", "mount", "umount"):
        return place.remove()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", place.state], capture_output=True)
    if mounted.returncode:
        print("skip disk full: no right to mount a small file system")
        place.remove()
        return
    try:
        place.start()
        check(place.sumi("image", "before", *QUICK).returncode == 0, "with room")
        fill = place.state / "fill"
        free = os.statvfs(place.state).f_bavail * os.statvfs(place.state).f_frsize
        fill.write_bytes(b"x" * (free - (4 << 20)))
        time.sleep(1)
        id = detach(place, *QUICK)
        check(wait_for(lambda: "disk.full" in place.log.read_text(), 90), "disk full: said in the log")
        check(place.json("show", id)["state"] in ("ready", "delayed"), "the job waits", place.json("show", id)["state"])
        check(any(f["what"] == "disk" and f["level"] == "broken" for f in json.loads(place.sumi("doctor", "--json").stdout)),
              "doctor says so")
        fill.unlink()
        check(place.sumi("wait", id, "--timeout", "30s").returncode == 0, "and goes on when there is room")
        place.stop()
        subprocess.run(["mount", "-o", "remount,ro", place.state], check=True)
        refuses(place, "a read-only state directory", "Read-only")
        check(place.sumi("list").returncode == 0, "what is there can still be listed", place.sumi("list").stderr)
    finally:
        if place.daemon:
            place.kill()
        time.sleep(0.3)
        subprocess.run(["umount", "-l", place.state])
        place.remove()


def main():
    for part in (refusals, secrets, folders, strangers, damaged, crashing_job, disk_full, interruptions, unwanted, window_closes):
        part()
    finish()


main()

#!/usr/bin/env python3
"""Every verb and every state of a job, typed as a person types them."""
import hashlib, json, os, pathlib, re, time

from lib import *

QUICK = ["--steps", 3, "--width", 64, "--height", 64, "--sampler", "ddim"]
STEPS = 16
SLOW = ["--steps", STEPS, "--width", 256, "--height", 256, "--sampler", "ddim"]


def state(place, id):
    return place.json("show", id)["state"]


def becomes(place, id, *states, seconds=60):
    return wait_for(lambda: state(place, id) in states, seconds, 0.1)


def detach(place, prompt, *options):
    done = place.sumi("image", prompt, "--detach", *options)
    check(done.returncode == 0 and re.fullmatch(r"\S+\n", done.stdout), f"image --detach prints the id: {prompt}",
          done.stderr)
    return done.stdout.strip()


def pictures(place):
    done = place.sumi("image", "fog over a lake", "--seed", 7, *QUICK, "-o", "lake.webp", "--lossless")
    check(done.returncode == 0, "image", done.stderr)
    first = (place.dir / "lake.webp").read_bytes()
    check(first[:4] == b"RIFF" and first[8:12] == b"WEBP", "it is a WebP file")
    check(done.stdout == "lake.webp\n", "and its path is on stdout", done.stdout)
    done = place.sumi("again", "lake.webp", "-o", "again.webp")
    check(done.returncode == 0 and (place.dir / "again.webp").read_bytes() == first, "again FILE: the same bytes",
          done.stderr)
    done = place.sumi("render", "fog over a lake", "--seed", 7, *QUICK, "-o", "render.webp", "--lossless",
                      "--pack", PACKS / PACK)
    check(done.returncode == 0 and (place.dir / "render.webp").read_bytes() == first,
          "render makes the daemon's bytes", done.stderr)
    done = place.sumi("image", "ночной город", "-n", 3, "--seed", 1, *QUICK, "-o", "out/")
    files = sorted(p.name for p in (place.dir / "out").glob("*.webp"))
    check(done.returncode == 0 and len(files) == 3 and len(done.stdout.splitlines()) == 3, "three variants",
          done.stderr)
    check(len({sha256(place.dir / "out" / f) for f in files}) == 3, "and they differ")
    done = place.sumi("image", "as PNG", *QUICK, "-o", "x.png")
    check(done.returncode == 0 and (place.dir / "x.png").read_bytes()[:4] == b"\x89PNG", "PNG by the file's ending",
          done.stderr)
    made = place.json("image", "told in JSON", *QUICK)
    check(made["state"] == "done" and len(made["files"]) == 1 and (place.dir / made["files"][0]["path"]).exists(),
          "image --json names its files", str(made))
    done = place.sumi("image", "a copy", "--id", "mine-1", *QUICK, "--detach")
    place.sumi("image", "a copy", "--id", "mine-1", *QUICK, "--detach")
    place.sumi("wait", "mine-1")
    rows = [r for r in place.json("list") if r["id"] == "mine-1"]
    check(len(rows) == 1, "an id that is sent twice makes one job", str(rows))
    return made["id"]


def looking(place, id):
    rows = place.json("list")
    check(isinstance(rows, list) and all({"id", "state", "modality", "prompt"} <= set(r) for r in rows),
          "list --json: one array of jobs")
    check(place.sumi("list").stdout.count("\n") == len(rows), "list: a line a job")
    found = [r["id"] for r in place.json("search", "told json")]
    check(found == [id], "search by words", str(found))
    check(len(place.json("search", "город")) == 1, "search in Russian")
    check(place.json("search", "nowherefound") == [], "search for nothing")
    shown = place.json("show", id)
    check(shown["id"] == id and shown["artifacts"][0]["sha256"] and shown["attempts"][0]["outcome"] == "done",
          "show --json has artifacts and attempts")
    check("told in JSON" in place.sumi("show", id).stdout, "show for people")
    check(place.sumi("show", "nobody").returncode == 3, "show of an unknown job: exit 3")
    done = place.sumi("fetch", id, "-o", "fetched.webp")
    check(done.returncode == 0 and sha256(place.dir / "fetched.webp") == shown["artifacts"][0]["sha256"], "fetch")
    check(place.sumi("fetch", "nobody").returncode == 3, "fetch of an unknown job: exit 3")
    opener = place.dir / "xdg-open"
    opener.write_text(f"#!/bin/sh\necho \"$1\" > {place.dir}/opened\n")
    opener.chmod(0o755)
    done = place.sumi("open", id, PATH=f"{place.dir}:{os.environ['PATH']}")
    check(done.returncode == 0 and pathlib.Path((place.dir / "opened").read_text().strip()).exists(),
          "open starts the desktop's viewer", done.stderr)
    models = place.json("models")
    check(PACK in [m["name"] for m in models], "models")
    devices = place.json("devices")
    check(any(d["selector"].startswith(("opencl", "reference")) for d in devices), "devices")
    status = place.json("status")
    check(len(status["workers"]) == 1 and not status["paused"] and status["states"]["done"] >= 5, "status",
          str(status))
    findings = place.json("doctor")
    check({f["what"] for f in findings} >= {"OpenCL", "Redis", "disk", "models"}, "doctor")
    for verb in ["status", "models", "devices", "doctor"]:
        done = place.sumi(verb)
        check(done.returncode == 0 and done.stdout.strip(), f"{verb} for people", done.stderr)


def states(place):
    far = detach(place, "far away", *QUICK, "--not-before", "2099-01-01T00:00:00Z")
    check(becomes(place, far, "delayed"), "a job with not_before is delayed")
    blocked = detach(place, "after far", *QUICK, "--after", far)
    check(becomes(place, blocked, "blocked"), "a job with after is blocked")
    # A window that does not open soon, also when the hour changes meanwhile.
    hour = (time.gmtime().tm_hour + 2) % 24
    closed = detach(place, "in its window", *QUICK, "--window", f"{hour:02}:00-{(hour + 3) % 24:02}:00", "--tz",
                    "UTC")
    time.sleep(1.5)
    check(state(place, closed) in ("ready", "delayed"), "a job inside a closed window waits", state(place, closed))
    rows = {r["id"]: r["state"] for r in place.json("list")}
    check(rows.get(far) == "delayed" and rows.get(blocked) == "blocked" and closed in rows,
          "list shows what waits", str(rows)[:300])
    for word, id in [("delayed", far), ("blocked", blocked)]:
        check([r["id"] for r in place.json("list", "--state", word)] == [id], f"list --state {word}")
    tagged = detach(place, "tagged", *QUICK, "--not-before", "2099-01-02", "--tags", "later")
    check(becomes(place, tagged, "delayed") and
          [r["id"] for r in place.json("list", "--tag", "later")] == [tagged], "list --tag: of what waits too")
    check([r["id"] for r in place.json("list", "--tag", "later", "--limit", "1")] == [tagged],
          "--limit counts what the filter wants, not what comes before it")
    check(place.sumi("cancel", tagged).returncode == 0 and
          [r["id"] for r in place.json("list", "--tag", "later")] == [tagged], "and of what never began")
    check(place.sumi("retry", far).returncode == 0 and becomes(place, far, "done"), "retry makes a delayed job due")
    check(becomes(place, blocked, "done"), "and the job behind it follows")
    done = place.sumi("wait", "nobody", blocked)
    check(done.returncode == 3 and done.stdout == f"{blocked} done\n", "wait tells of one that nobody knows and waits for the others",
          done.stdout + done.stderr)
    done = place.sumi("cancel", closed)
    check(done.returncode == 0 and becomes(place, closed, "cancelled"), "cancel of a waiting job", done.stderr)
    check(closed in [r["id"] for r in place.json("list", "--state", "cancelled")], "list --state cancelled")
    check(place.sumi("cancel", closed).returncode == 2, "a second cancel is too late")
    check(place.sumi("wait", closed).returncode == 6, "wait: a cancelled job is exit 6")
    check(place.sumi("cancel", "nobody").returncode == 3, "cancel of an unknown job: exit 3")
    running = detach(place, "long one", *SLOW)
    with place.still(running, 3):
        check(state(place, running) == "running", "running")
        check([r["id"] for r in place.json("list", "--state", "running")] == [running], "list --state running")
        check(place.sumi("cancel", running).returncode == 0, "cancel of a running job")
    check(becomes(place, running, "cancelled", seconds=10), "within a step")
    failed, sha = "from-no-picture", hashlib.sha256(b"no picture").hexdigest()
    place.redis_cli("SET", f"{{sumi}}:input:{sha}", b"no picture")
    place.redis_cli("XADD", "{sumi}:in", "*", "id", failed, "modality", "image", "prompt", "ink", "init", sha)
    check(becomes(place, failed, "failed"), "failed", state(place, failed))
    reason = place.json("show", failed).get("error", "")
    check(reason.startswith("init ") and "is neither a WebP" in reason, "with the reason", reason)
    check(place.sumi("wait", failed).returncode == 5, "wait: a failed job is exit 5")
    check(failed in [r["id"] for r in place.json("list", "--state", "failed")], "list --state failed")
    check(place.sumi("retry", failed).returncode == 0 and becomes(place, failed, "failed"), "retry of a failed job")
    follower = detach(place, "after the failed", *QUICK, "--after", failed)
    check(becomes(place, follower, "failed"), "a job after a failed one fails")


def pausing(place):
    check(place.sumi("pause", "moving the machine").returncode == 0, "pause")
    id = detach(place, "while paused", *QUICK)
    time.sleep(1.5)
    check(state(place, id) == "ready", "paused: it waits as ready")
    check([r["id"] for r in place.json("list", "--state", "ready")] == [id], "list --state ready")
    check("moving the machine" in place.sumi("status").stdout, "status says why")
    check(place.json("status")["paused"] is True, "status --json says so")
    check(place.sumi("wait", id, "--timeout", "1s").returncode == 1, "wait --timeout gives up with exit 1")
    check(place.sumi("resume").returncode == 0 and place.sumi("wait", id).returncode == 0, "resume; wait: exit 0")
    rows = place.json("wait", id)
    check(isinstance(rows, list) and rows[0]["state"] == "done", "wait --json")
    check(place.sumi("watch", id).returncode == 0, "watch of a finished job")


def nobody_has_the_model(place):
    """A job whose model is nowhere waits, and whoever looks is told why."""
    done = place.sumi("submit", '{"modality":"image","prompt":"elsewhere","model":"nowhere","id":"lost-1"}')
    check(done.returncode == 0 and done.stdout == "lost-1\n" and "'nowhere'" in done.stderr,
          "submit warns of a model that no worker has", done.stderr)
    check(becomes(place, "lost-1", "ready", seconds=10), "and the job waits", state(place, "lost-1"))
    check("no living worker has its model" in place.sumi("show", "lost-1").stdout, "show says why")
    check("image/nowhere" in place.sumi("status").stdout, "status says so")
    check(place.json("status")["unserved"] == [{"class": "image/nowhere", "jobs": 1}], "status --json says so")
    done = place.sumi("wait", "lost-1", "--timeout", "6s")
    check(done.returncode == 1 and "no living worker has its model" in done.stderr, "wait says so", done.stderr)
    (place.dir / "lost.jsonl").write_text('{"prompt":"a","model":"nowhere","id":"lost-2"}\n'
                                          '{"prompt":"b","model":"nowhere","id":"lost-3"}\n')
    done = place.sumi("batch", "lost.jsonl")
    check(done.stderr.count("warning") == 1, "batch warns once", done.stderr)
    done = place.sumi("image", "not here", "--model", "nowhere", "--detach")
    check(done.returncode == 3 and "nowhere" in done.stderr, "image refuses what the own daemon cannot do", done.stderr)
    place.sumi("cancel", "lost-1", "lost-2", "lost-3")
    check(place.json("status")["unserved"] == [], "nobody waits any more")


def dead_letters(place):
    """What could not be read is there to be looked at."""
    redis = Redis(place.parent)
    redis.socket = place.state / "redis" / "redis.sock"
    before = place.json("dead-letters", "--limit", 1000)
    redis.cli("XADD", "{sumi}:in", "*", "id", "torn", "modality", "image", "prompt", "x", "stepps", 3)
    check(wait_for(lambda: len(place.json("dead-letters", "--limit", 1000)) > len(before), 90), "a dead letter")
    letter = place.json("dead-letters", "--limit", 1)[0]
    check(letter["id"] == "torn" and letter["kind"] == "rejected" and "stepps" in letter["reason"] and
          letter["text"]["prompt"] == "x", "dead-letters --json: id, kind, reason, what was sent", str(letter))
    check(re.fullmatch(r"20\d\d-\d\d-\d\dT.*Z", letter["time"]), "and when", letter["time"])
    line = place.sumi("dead-letters", "--limit", 1).stdout
    check("rejected  torn" in line and "stepps" in line, "dead-letters for people", line)
    check({x["kind"] for x in before} == {"failed"}, "jobs that were put aside are among them", str(before)[:300])
    redis.cli("XADD", "{sumi}:in", "*", "id", "esc", "modality", "image", "prompt", "x\x1b[31m", "co\x1blour", 3)
    wait_for(lambda: place.json("dead-letters", "--limit", 1)[0]["id"] == "esc", 90)
    check("\x1b" not in place.sumi("dead-letters").stdout, "what a terminal would obey is not printed")
    check("dead-letters" in place.sumi("status").stdout, "status points there")


def by_the_clock(place):
    place.sumi("pause")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    late = detach(place, "too late", *QUICK, "--deadline", soon)
    check(becomes(place, late, "failed", seconds=20), "a job past its deadline fails", state(place, late))
    check("deadline" in place.json("show", late).get("error", ""), "and says so", str(place.json("show", late)))
    place.sumi("resume")
    detach(place, "again and again", *QUICK, "--every", "1h", "--id", "ever")

    def next_of():
        return [r["id"] for r in place.json("list", "--state", "delayed") if r["id"].startswith("ever.")]
    check(place.sumi("wait", "ever").returncode == 0 and wait_for(next_of, 10, 0.2),
          "a recurring job: its next occurrence is waiting")
    place.sumi("cancel", *next_of())
    time.sleep(2.5)
    check(not next_of(), "until that is cancelled")


def urgent(place):
    """An urgent job interrupts a batch job, which goes on from its saved step."""
    options = ["--seed", 3, *SLOW, "--lossless"]
    alone = place.sumi("image", "slow one", *options, "-o", "alone.webp")
    check(alone.returncode == 0, "the slow one alone", alone.stderr)
    slow = detach(place, "slow one", *options, "--priority", "batch")
    with place.still(slow, 3):
        now = detach(place, "urgent", *QUICK, "--priority", "high")
        check(state(place, now) == "ready", "an urgent one waits")
    check(place.sumi("wait", now).returncode == 0, "it is made")
    check(place.sumi("wait", slow).returncode == 0, "the batch job goes on")
    first, second = (place.json("show", id)["finished"] for id in (now, slow))
    check(first < second, "the urgent one is done first", f"{first} {second}")
    place.sumi("fetch", slow, "-o", "interrupted.webp")
    check(sha256(place.dir / "interrupted.webp") == sha256(place.dir / "alone.webp"), "and its bytes are the same")
    made = len(re.findall(rf" step\.made .*id={slow} ", place.log.read_text()))
    check(made == STEPS, "no step was made twice", str(made))
    outcomes = [a["outcome"] for a in place.json("show", slow)["attempts"]]
    check(outcomes == ["released", "done"], "its attempts: released, done", str(outcomes))


def many(place):
    (place.dir / "jobs.jsonl").write_text(
        "".join(json.dumps({"id": f"b-{i}", "prompt": f"batch {i}", "seed": i, "steps": 2, "tags": ["evening"]}) + "\n"
                for i in range(3)))
    (place.dir / "jobs.csv").write_text('prompt,seed,id\n"mountains, fog",7,c-1\nпорт,8,c-2\n')
    size = ["--width", 64, "--height", 64]
    done = place.sumi("batch", "jobs.jsonl", *size)
    check(done.stdout.split() == ["b-0", "b-1", "b-2"], "batch FILE.jsonl prints ids", done.stdout + done.stderr)
    done = place.sumi("batch", "jobs.csv", "--steps", 2, *size)
    check(done.stdout.split() == ["c-1", "c-2"], "batch FILE.csv", done.stdout + done.stderr)
    (place.dir / "sheet.CSV").write_bytes(b"\xef\xbb\xbfid,prompt,steps\r\nc-3,spreadsheet,2\r\n")
    done = place.sumi("batch", "sheet.CSV", *size)
    check(done.stdout.split() == ["c-3"], "CSV as spreadsheets write it: byte order mark, CRLF", done.stdout + done.stderr)
    (place.dir / "nothing.csv").write_text("")
    done = place.sumi("batch", "nothing.csv")
    check(done.returncode == 2 and "nothing.csv: is empty" in done.stderr, "an empty CSV is called empty", done.stderr)
    check(place.sumi("wait", "b-0", "b-1", "b-2", "c-1", "c-2").returncode == 0, "wait for several")
    check(place.json("show", "c-1")["prompt"] == "mountains, fog", "a quoted comma in CSV")
    check(len(place.json("search", "--tag", "evening")) == 3, "search by tag")
    (place.dir / "night").mkdir()
    (place.dir / "night" / "a.jsonl").write_text('{"prompt":"from the folder","steps":2,"id":"n-1"}\n')
    done = place.sumi("batch", "--folder", "night", *size)
    check(done.returncode == 0 and (place.dir / "night" / "a.jsonl.queued").exists(), "batch --folder", done.stderr)
    check(place.sumi("batch", "--folder", "night", *size).stdout == "", "and a second time nothing is new")
    done = place.sumi("submit", '{"modality":"image","prompt":"as JSON","steps":2,"id":"s-1"}', *size)
    check(done.stdout == "s-1\n", "submit", done.stderr)
    done = place.sumi("submit", "-", *size, input='{"prompt":"piped","steps":2,"id":"s-2"}\n')
    check(done.stdout == "s-2\n", "submit -", done.stderr)
    check(place.sumi("wait", "s-1", "s-2", "n-1").returncode == 0, "they are made")
    (place.dir / "bad.jsonl").write_text('{"prompt":"fine","id":"x-1"}\n{"prompt":"wrong","stepps":3}\n')
    done = place.sumi("batch", "bad.jsonl")
    check(done.returncode == 2 and "bad.jsonl:2" in done.stderr and "stepps" in done.stderr,
          "a wrong line is named", done.stderr)
    check(place.sumi("show", "x-1").returncode == 3, "and nothing of the file is sent")
    for verb in ("cancel", "retry", "fetch", "delete", "star", "wait"):
        said = [place.sumi(verb, "s-1", *bad) for bad in [("\udcff",), ("",), ("x" * 65,)]]
        check(all(d.returncode == 2 and "cannot be the id of a job" in d.stderr and not d.stdout for d in said),
              f"{verb}: what can be no id is told so before anything is done", said)


def variants(place):
    """They can be fetched while the job runs: the first four come together."""
    id = detach(place, "five of them", "-n", 5, "--seed", 1, *SLOW)
    with place.still(id, 3, variant=4):
        done = place.sumi("fetch", id, "-o", "early/")
        check(done.returncode == 0 and len(done.stdout.split()) == 4 and state(place, id) == "running",
              "variants can be fetched while the others are made", done.stdout + done.stderr)
        place.sumi("cancel", id)
    check(becomes(place, id, "cancelled"), "cancel keeps what is there")
    check(place.sumi("fetch", id, "-o", "late/").returncode == 0, "and it can still be fetched")


def database(place):
    done = place.sumi("db", "check")
    check(done.returncode == 0 and done.stdout.startswith("fine:"), "db check", done.stderr)
    check(place.json("db", "check")["fine"] is True, "db check --json")
    check(place.json("db", "backup", "copy.db") == {"path": "copy.db"}, "db backup while the daemon runs")
    check(place.sumi("db", "backup", "copy.db").returncode != 0, "a backup overwrites nothing")
    done = place.sumi("db", "rebuild")
    check(done.returncode != 0 and "sumid" in done.stderr, "db rebuild is refused while it runs", done.stderr)
    before = sorted(r["id"] for r in place.json("list", "--limit", 1000) if r["state"] == "done")
    place.stop()
    check(place.json("db", "vacuum") == {}, "db vacuum")
    (place.state / "sumi.db").unlink()
    done = place.sumi("db", "rebuild", "--json")
    check(json.loads(done.stdout)["jobs"] > 0, "db rebuild --json", done.stdout)
    after = sorted(r["id"] for r in place.json("list", "--limit", 1000) if r["state"] == "done")
    check(done.returncode == 0 and before == after, "db rebuild of a lost database", done.stderr)
    check(place.sumi("db", "check").returncode == 0, "and it is whole")


def main():
    place = Place()
    try:
        done = place.sumi("list")
        check(done.returncode == 0, "list before there was a daemon", done.stderr)
        done = place.sumi("status")
        check(done.returncode == 4 and "sumid" in done.stderr, "status without a daemon: exit 4", done.stderr)
        place.start()
        id = pictures(place)
        looking(place, id)
        states(place)
        pausing(place)
        nobody_has_the_model(place)
        dead_letters(place)
        by_the_clock(place)
        urgent(place)
        many(place)
        variants(place)
        database(place)
    finally:
        place.remove()
    finish()


main()

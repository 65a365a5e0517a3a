#!/usr/bin/env python3
"""Many jobs at once: chosen by tag, state, age and from standard input; listed page by page; kept and deleted."""
import json, os, sqlite3, time

from lib import *

QUICK = ["--steps", 1, "--width", 64, "--height", 64, "--sampler", "ddim"]
FAR = ["--not-before", "2099-01-01T00:00:00Z"]


def send(place, count, *options, prefix="job"):
    """Ids of so many jobs, sent with one batch."""
    lines = "".join(json.dumps({"id": f"{prefix}-{k}", "prompt": f"{prefix} {k}"}) + "\n" for k in range(count))
    (place.dir / f"{prefix}.jsonl").write_text(lines)
    done = place.sumi("batch", f"{prefix}.jsonl", *options)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [f"{prefix}-{k}" for k in range(count)]


def states(place):
    return {r["id"]: r["state"] for r in place.json("list", "--limit", 1000)}


def made(place, prompt, *options):
    """A finished picture: its id."""
    return place.json("image", prompt, *QUICK, *options, "-o", "made/")["id"]


def choosing(place):
    red = send(place, 5, *FAR, "--tags", "red", *QUICK, prefix="red")
    blue = send(place, 4, *FAR, "--tags", "blue,big", *QUICK, prefix="blue")
    done = place.sumi("cancel", "--tag", "red", "--dry-run", "-q")
    check(sorted(done.stdout.split()) == sorted(red), "--dry-run -q says the ids alone", done.stdout)
    done = place.sumi("cancel", "--tag", "red", "--dry-run")
    check(done.returncode == 0 and done.stdout.count("would be done") == 5 and
          set(states(place).values()) == {"delayed"}, "--dry-run says which and does nothing", done.stdout)
    done = place.sumi("cancel", "--tag", "red")
    now = states(place)
    check(done.returncode == 0 and done.stdout.count("cancelled") == 5 and
          all(now[i] == "cancelled" for i in red) and all(now[i] == "delayed" for i in blue), "cancel --tag",
          done.stdout + done.stderr)
    done = place.sumi("retry", "--tag", "red")
    # A list that is read while an ended job is taken up again may miss it.
    waits = lambda: all(states(place).get(i, "cancelled") != "cancelled" for i in red)
    check(done.returncode == 0 and wait_for(waits, 90), "retry --tag", done.stderr)
    place.sumi("wait", *red)
    done = place.sumi("cancel", "-", input="\n".join(blue[:2]) + "\n" + blue[0] + "\n")
    check(done.returncode == 0 and done.stdout.splitlines() == [f"{i} cancelled" for i in blue[:2]],
          "cancel -: ids from standard input, each once", done.stdout + done.stderr)
    done = place.sumi("cancel", "-", input="two words/x\n")
    check(done.returncode == 2 and "standard input:1" in done.stderr and done.stderr.count("\n") == 1,
          "what is no id is refused with its line", done.stderr)
    done = place.sumi("cancel", "--older", "1h")
    check(done.returncode == 0 and states(place)[blue[3]] == "delayed", "--older: nothing is that old", done.stdout)
    time.sleep(0.2)
    done = place.sumi("cancel", "--older", "100ms")
    check(done.returncode == 0 and states(place)[blue[3]] == "cancelled", "cancel --older", done.stdout + done.stderr)
    for words, text in [(["cancel"], "--all"), (["cancel", "--state", "done"], "ready"), (["delete"], "--all"),
                        (["cancel", "--all", "x"], "both"), (["retry", "--state", "running"], "failed"),
                        (["cancel", "--older", "soon"], "--older"), (["fetch", "--all", "-o", "one.webp"], "folder")]:
        done = place.sumi(*words)
        check(done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1,
              "refused: " + " ".join(words), done.stderr)
    done = place.sumi("fetch", "--tag", "red", "-o", "all/")
    check(done.returncode == 0 and len(list((place.dir / "all").iterdir())) == 5, "fetch --tag", done.stderr)
    more = send(place, 3, *FAR, prefix="late")
    check(place.sumi("cancel", "--all").returncode == 0 and
          not [s for s in states(place).values() if s not in ("done", "cancelled")], "cancel --all")
    done = place.sumi("cancel", "--all")
    check(done.returncode == 0 and "nothing there" in done.stderr, "and nothing is left", done.stderr)


def pages(place, *options):
    """All ids, page by page, and what the first page says."""
    ids, after, said = [], [], None
    while True:
        done = place.sumi("list", "-q", *options, *after)
        told = place.sumi("list", *options, *after).stderr
        said = told if said is None else said
        page = done.stdout.split()
        if not page:
            return ids, said
        ids += page
        after = ["--after", page[-1]]


def listing(place):
    send(place, 130, *FAR, prefix="many")
    first = [made(place, f"page {k}", "--seed", k) for k in range(3)]
    whole = [r["id"] for r in place.json("list")]
    check(len(whole) == len(set(whole)) and len([i for i in whole if i.startswith("many")]) == 130,
          "list prints everything where it is piped", str(len(whole)))
    ids, said = pages(place, "--limit", 50)
    check(ids == whole, "and page by page the same", f"{len(ids)} {len(whole)}")
    check(f"50 of {len(whole)} shown; --after " in said, "a page says how much is left", said)
    ids, said = pages(place, "--limit", 3, "--state", "cancelled")
    check(ids == [r["id"] for r in place.json("list", "--state", "cancelled")] and len(ids) > 3,
          "pages of what never began", str(ids))
    ids, said = pages(place, "--limit", 40, "--tag", "none")
    check(ids == [], "a page of nothing")
    ids, said = pages(place, "--limit", 2, "--state", "done")
    check(ids == [r["id"] for r in place.json("list", "--state", "done")] and "2 of" in said, "pages of what is done", said)
    found, after = [], []
    while page := place.sumi("search", "page", "-q", "--limit", 2, *after).stdout.split():
        found, after = found + page, ["--after", page[-1]]
    check(found == first[::-1], "pages of a search", str(found))
    done = place.sumi("list", "--limit", 5, "--since", "2020-01-01")
    check("5 shown, there are more; --after" in done.stderr, "with a filter too", done.stderr)
    check(place.sumi("list", "--after", "nobody").returncode == 3, "--after an unknown id: exit 3")
    check(place.sumi("list", "--state", "delayed", "--after", first[0]).returncode == 3,
          "--after a job that has left the state is no empty page")
    for words in (["list"], ["list", "--json"], ["list", "-q"]):
        for ignoring in (False, True):
            far, near = os.pipe()
            os.close(far)
            done = subprocess.run([BIN / "sumi", *words], env=place.env(), stdout=near, stderr=subprocess.PIPE,
                                  restore_signals=not ignoring)
            os.close(near)
            check(done.returncode in (0, 141, -13) and done.stderr == b"", f"a closed pipe ends {words} quietly",
                  f"{done.returncode} {done.stderr}")
    far, near = os.openpty()
    done = subprocess.run([BIN / "sumi", "list"], env=place.env(), stdout=near, stderr=subprocess.PIPE, text=True)
    os.close(near), os.close(far)
    check(f"50 of {len(whole)} shown" in done.stderr, "on a terminal a page of 50", done.stderr)
    place.sumi("cancel", "--state", "delayed")


def pairs(place):
    """Rows without files, files without rows."""
    with contextlib.closing(place.db()) as con:
        rows = {r["sha256"] for r in con.execute("select sha256 from artifacts")}
    files = {p.name.split(".")[0] for p in (place.state / "artifacts").rglob("*.webp")}
    return rows - files, files - rows


def deleting(place):
    one, twin, other = made(place, "a boat", "--seed", 1), made(place, "a boat", "--seed", 1), made(place, "owl", "--seed", 2)
    before = len(list((place.state / "artifacts").rglob("*.webp")))
    done = place.sumi("delete", one)
    check(done.returncode == 0 and done.stdout == f"{one} deleted\n", "delete", done.stdout + done.stderr)
    check(len(list((place.state / "artifacts").rglob("*.webp"))) == before and pairs(place) == (set(), set()),
          "a file that another job has too stays")
    check(place.sumi("show", one).returncode == 3 and one not in states(place) and
          [r["id"] for r in place.json("search", "boat")] == [twin], "it is gone from show, list and search")
    check(place.sumi("delete", twin).returncode == 0 and
          len(list((place.state / "artifacts").rglob("*.webp"))) == before - 1, "the file goes with the last")
    check(place.sumi("delete", one).returncode == 3, "a second delete: exit 3")
    place.sumi("image", "a boat", "--id", one, *QUICK, "--detach")
    check(place.sumi("show", one).returncode == 3, "its id stays taken")
    wait = send(place, 1, *FAR, prefix="waits")[0]
    check(place.sumi("delete", wait).returncode == 0 and wait not in states(place), "a waiting job is cancelled first")
    run = place.sumi("image", "slow", "--steps", 16, "--width", 256, "--height", 256, "--detach").stdout.strip()
    with place.still(run, 2):
        done = place.sumi("delete", run)
        check(done.returncode != 0 and f"sumi cancel {run}" in done.stderr, "a running one is refused", done.stderr)
    place.sumi("wait", run)
    check(place.sumi("star", other).stdout == f"{other} starred\n" and place.json("show", other)["starred"] is True,
          "star")
    check([r["id"] for r in place.json("list", "--starred")] == [other], "list --starred")
    done = place.sumi("delete", "--all")
    check(done.returncode == 0 and set(states(place)) == {other} and "1 starred" in done.stderr,
          "delete --all leaves the starred one", f"{done.stderr} {states(place)}")
    check(pairs(place) == (set(), set()) and place.sumi("db", "check").returncode == 0, "rows and files are a match")
    check(place.sumi("star", "nobody").returncode == 3, "star of an unknown job: exit 3")
    check(place.sumi("unstar", other).returncode == 0 and place.sumi("delete", other).returncode == 0 and
          states(place) == {}, "unstar, delete: nothing is left")


def keeping(place):
    ids = [made(place, f"kept {k}", "--seed", 10 + k) for k in range(4)]
    place.sumi("star", ids[0])
    size = sum(max(p.stat().st_size for p in (place.state / f).rglob("*.webp")) for f in ("artifacts", "thumbs"))
    place.stop()
    place.configure(keep_results=f"90d {size * 2 / 1024:.3f}K")
    place.start()
    gone = lambda: set(states(place)) == {ids[0], ids[3]}
    check(wait_for(gone, 90), "keep_results: the oldest go, the starred one stays", str(states(place)))
    check(pairs(place) == (set(), set()), "with their files, and no others")
    check(place.log.read_bytes().count(b"keep.deleted") == 2, "and the log says so")
    place.stop()
    with sqlite3.connect(place.state / "sumi.db") as con:
        con.execute("update jobs set finished = finished - 91 * 86400000 where id in (?, ?)", (ids[0], ids[3]))
    con.close()
    place.start()
    check(wait_for(lambda: set(states(place)) == {ids[0]}, 90), "and what is too old", str(states(place)))
    place.stop()
    place.configure(keep_results="1K")
    place.start()
    check(wait_for(lambda: b"keep.full" in place.new_log(), 90) and set(states(place)) == {ids[0]},
          "a starred one stays beyond the limit, and the log says so")
    place.stop()
    place.configure(keep_results="0")
    place.start()
    named, whole, hashed, idle = (made(place, f"from {k}", "--seed", 20 + k) for k in range(4))
    sha = place.json("show", hashed)["artifacts"][0]["sha256"]
    for k, init in enumerate([f"{named}-1", whole, sha]):
        place.redis_cli("XADD", "{sumi}:in", "*", "id", f"holds-{k}", "modality", "image", "prompt", "x", "init", init,
                        "not_before", "2099-01-01T00:00:00Z")
    check(wait_for(lambda: list(states(place).values()).count("delayed") == 3, 90), "three jobs wait to start from results")
    place.stop()
    place.configure(keep_results="1K")
    place.start()
    left = {ids[0], named, whole, hashed}
    done = lambda: {i for i, s in states(place).items() if s == "done"} == left
    check(wait_for(done, 90), "what waiting jobs start from stays beyond the limit, whatever it is called",
          str(states(place)))
    place.sumi("cancel", "holds-0", "holds-1", "holds-2")
    place.stop()
    place.start()
    check(wait_for(lambda: {i for i, s in states(place).items() if s == "done"} == {ids[0]}, 90),
          "until they have ended", str(states(place)))
    place.stop()
    for text in ["soon", "90d 80d", "5X", "-1d", "1G 2G"]:
        place.configure(keep_results=text)
        done = place.sumi("list")
        check(done.returncode == 2 and "keep_results" in done.stderr, f"keep_results = {text} is refused", done.stderr)


def full_disk():
    """Deleting is what makes room: it works where neither the database nor Redis has any left."""
    place = Place(name="full")
    place.state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", place.state], capture_output=True).returncode:
        place.remove()
        return print("skip deleting on a full disk: mounting is not allowed here")
    try:
        place.start()
        ids = [made(place, f"full {k}") for k in range(3)]
        with contextlib.suppress(OSError), open(place.state / "fill", "wb", 0) as fill:
            while fill.write(b"x" * (1 << 16)):
                pass
        wait_for(lambda: "MISCONF" in place.redis_cli("SET", "x", "y" * 5000), 90)
        place.redis_cli("XADD", "{sumi}:in", "*", "id", "unheard", "modality", "image", "prompt", "x")
        check(set(states(place)) == set(ids), "list reads a queue that cannot write")
        done = place.sumi("delete", ids[0])
        check(done.returncode == 0 and ids[0] not in states(place), "delete on a full disk", done.stderr)
        done = place.sumi("delete", "--all")
        check(done.returncode == 0 and states(place) == {}, "and the rest", done.stderr)
    finally:
        place.kill()
        subprocess.run(["umount", "-l", place.state])
        place.remove()


place = Place()
try:
    place.start()
    choosing(place)
    listing(place)
    deleting(place)
    keeping(place)
finally:
    place.remove()
full_disk()
finish()

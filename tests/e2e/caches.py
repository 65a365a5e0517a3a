#!/usr/bin/env python3
"""Caches of compiled kernels that are damaged, belong to others, or cannot be written: whatever stands there, the
device works, and what it costs is said."""
import json, os, pathlib, shutil, signal, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lib import PACKS, Place, check, finish, sha256, wait_for

PICTURE = ["render", "fog", "--pack", PACKS / "sd1-tiny", "--seed", 7, "--steps", 1, "--width", 64, "--height", 64]


def empty(path):
    os.truncate(path, 0)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def garbage(path):
    path.write_bytes(os.urandom(path.stat().st_size))


def files(cache, pattern):
    return [p for p in cache.rglob(pattern) if p.is_file() and not {"guard", "weights"} & set(p.parts)]


def opencl(place, **env):
    """What doctor finds of the devices, and its warnings of caches; without other settings nothing else is asked."""
    done = place.sumi("doctor", "--json", **env)
    rows = json.loads(done.stdout)
    devices = [r for r in rows if r["what"] == "OpenCL"]
    return devices, [r["text"] for r in rows if r["what"] == "cache" and r["level"] == "warning"], done.stderr


def works(devices):
    return bool(devices) and all(r["level"] == "fine" and "computes as it should" in r["text"] for r in devices)


def damaged(place, cache):
    """Every kind of damage, of every kind of file: doctor runs a kernel nevertheless, and says what it met."""
    good = cache.with_name("good")
    works_at_first = works(opencl(place)[0])
    check(works_at_first and files(cache, "*.so"), "doctor runs kernels; the driver's cache lies in sumi's")
    shutil.copytree(cache, good)
    for pattern, harms in ("*.so", (empty, cut)), ("program.bc", (garbage,)), ("*.bin", (cut,)), ("*", (empty, garbage)):
        for harm in harms:
            shutil.rmtree(cache)
            shutil.copytree(good, cache)
            for path in files(cache, pattern):
                harm(path)
            devices, warnings, _ = opencl(place)
            again = opencl(place)
            check(works(devices) and works(again[0]) and not again[1],
                  f"{pattern} {harm.__name__}: set aside, and good the next time", (devices, warnings, again))
    shutil.rmtree(cache)
    shutil.copytree(good, cache)


def render_heals(place, cache):
    made = place.sumi(*PICTURE, "-o", "a.png")
    one = max(files(cache, "*.so"), key=lambda p: p.stat().st_size)
    for path in files(cache, "*.so"):
        empty(path)
    healed = place.sumi(*PICTURE, "-o", "b.png")
    check(made.returncode == 0 and healed.returncode == 0 and "set aside" in healed.stderr and
          sha256(place.dir / "a.png") == sha256(place.dir / "b.png"),
          "render sets a damaged cache aside and makes the same picture", healed.stderr)
    quiet = place.sumi(*PICTURE, "-o", "c.png")
    check(quiet.returncode == 0 and "warning" not in quiet.stderr, "and says nothing the next time", quiet.stderr)
    check(not one.exists() and len(list(cache.glob("drivers-*"))) == 1, "what was set aside is gone when nobody uses it")


def leftovers(place, cache):
    for folder in ("programs", "tuning"):
        (cache / folder).mkdir(exist_ok=True)
        (cache / folder / "0123.bin.tmp.abcdef").write_bytes(b"x")
    opencl(place)
    check(not list(cache.rglob("*.tmp.*")), "what interrupted writes left is removed")


def submitted(place, *more):
    return place.json("image", "fog", "--detach", "--seed", 7, "--width", 64, "--height", 64, *more)["id"]


def ended(place, id):
    state = lambda: place.json("show", id)["state"]
    return wait_for(lambda: state() in ("done", "failed"), 120) and place.json("show", id)


def workers_heal(place, cache):
    """A worker that dies of a damaged cache: no job pays for it."""
    place.start()
    row = ended(place, submitted(place, "--steps", 1, "--max-attempts", 1))
    check(row["state"] == "done" and not place.json("status")["workers"][0]["trouble"], "a job before", row)
    place.stop()
    for harm, pattern in (empty, "*.so"), (garbage, "program.bc"):
        for path in files(cache, pattern):
            harm(path)
        place.start()
        row = ended(place, submitted(place, "--steps", 1, "--max-attempts", 1))
        check(row["state"] == "done" and row["attempts_made"] == 1 and not row.get("crashes"),
              f"{pattern} {harm.__name__}: the worker's death costs the job nothing", row)
        log = place.new_log().decode()
        check("cache.damaged" in log and "spared=1" in log, "and is told in the log", log[-2000:])
        place.stop()


def comes_back_at_once(place):
    """The supervisor saw its worker die: the job does not wait for the end of its lease."""
    place.configure(lease="1h")
    place.start()
    id = submitted(place, "--steps", 30)
    place.reaches(id, 3)
    os.kill(place.workers()[0], signal.SIGKILL)
    row = ended(place, id)
    check(row["state"] == "done" and row["crashes"] == 1, "a killed worker's job is taken over before its lease ends",
          row)
    check("run.resumed" in place.new_log().decode(), "and goes on from the last saved step")
    place.stop()


def main():
    place = Place(lease="1h")
    cache = place.dir / "cache"
    place.cache = cache
    if not opencl(place)[0]:
        print("skip caches there is no OpenCL device")
        return
    damaged(place, cache)
    render_heals(place, cache)
    leftovers(place, cache)
    workers_heal(place, cache)
    comes_back_at_once(place)
    place.remove()


main()
finish()

#!/usr/bin/env python3
"""Caches of compiled kernels that are damaged, belong to others, or cannot be written: whatever stands there, the
device works, and what it costs is said."""
import os, pathlib, shutil, stat, subprocess, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lib import BIN, PACKS, Place, check, finish, sha256

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
    import json
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
    for pattern in ("*.so", "program.bc", "*.bin", "*"):
        for harm in (empty, cut, garbage):
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


def main():
    place = Place()
    cache = place.dir / "cache"
    place.cache = cache
    if not opencl(place)[0]:
        print("skip caches there is no OpenCL device")
        return
    damaged(place, cache)
    render_heals(place, cache)
    leftovers(place, cache)
    place.remove()


main()
finish()

#!/usr/bin/env python3
"""Videos through the daemon: animations open elsewhere with the right count, loops, and what is refused."""
import json, subprocess, tempfile

from lib import *

PACK = "motion-tiny"
SMALL = ["--width", 32, "--height", 48, "--steps", 2, "--seed", 3]


def frames_of(path):
    out = subprocess.run(["webpmux", "-info", path], capture_output=True, text=True).stdout
    for line in out.splitlines():
        if line.startswith("Number of frames:"):
            return int(line.split(":")[1])
    return 0


def videos(place):
    for name, options, count in (("plain", ["--frames", 8], 8), ("there", ["--frames", 8, "--boomerang"], 14),
                                 ("loop", ["--frames", 8, "--loop"], 8), ("long", ["--frames", 20], 20)):
        path = place.dir / f"{name}.webp"
        done = place.sumi("video", "birds", *options, "--fps", 8, *SMALL, "-o", path)
        check(done.returncode == 0 and frames_of(path) == count, f"{name}: {count} frames", done.stderr)
    check(sha256(place.dir / "loop.webp") != sha256(place.dir / "plain.webp"), "a loop is another video")
    done = place.sumi("render", "birds", "--pack", PACKS / PACK, "--frames", 8, "--fps", 8, *SMALL, "-o", "render.webp")
    check(done.returncode == 0 and sha256(place.dir / "render.webp") == sha256(place.dir / "plain.webp"),
          "render makes the daemon's bytes", done.stderr)


def refusals(redis):
    for number, (fields, word) in enumerate((({"frames": 1}, "frames"), ({"frames": 4000}, "frames"),
                                             ({"fps": 1000}, "fps"), ({"init": "/none.png", "strength": 0.5}, "none.png"))):
        id = f"bad-{number}"
        job = {"id": id, "modality": "video", "prompt": "x", "model": PACK, "max_attempts": 1, **fields}
        redis.cli("XADD", "{sumi}:in", "*", "job", json.dumps(job))
        events = lambda: redis.cli("XRANGE", f"{{sumi}}:ev:{id}", "-", "+")
        wait_for(lambda: redis.cli("HGET", f"{{sumi}}:job:{id}", "state") == "failed" or "rejected" in events(), 30)
        said = redis.cli("HGET", f"{{sumi}}:job:{id}", "error") + events()
        check(word in said, f"refused: {fields}", said)


def main():
    parent = tempfile.mkdtemp(prefix="sumi-e2e-")
    redis = Redis(parent).start()
    place = Place(redis=redis.url, parent=pathlib.Path(parent), model_video=PACK).start()
    try:
        videos(place)
        refusals(redis)
    finally:
        place.stop()
        redis.stop()
        place.remove()
    finish()


main()

#!/usr/bin/env python3
"""A list that is read while jobs move on: each is there, and once."""
import json, select

from lib import *

COUNT = 1200  # more than two pages of the queue, more text than a pipe holds


def moved(place, key):
    """Begins `sumi list`, and moves the last job behind its back before that one is read."""
    process = subprocess.Popen([BIN / "sumi", "list", "--json"], env=place.env(), stdout=subprocess.PIPE, text=True)
    select.select([process.stdout], [], [], 60)  # what runs has been read, and the first of the ready ones
    cli = place.redis_cli
    cli("ZREM", "{sumi}:ready", key)
    cli("ZADD", "{sumi}:running", "4000000000000", key)
    rows = json.loads(process.stdout.read())
    process.wait(60)
    cli("ZREM", "{sumi}:running", key)
    cli("ZADD", "{sumi}:ready", "9e15", key)
    return [r["id"] for r in rows]


place = Place()
try:
    place.start()
    place.sumi("pause")
    (place.dir / "many.jsonl").write_text("".join(
        json.dumps({"prompt": f"{i} " + "fog " * 60, "id": f"job{i}", "width": 64, "height": 64}) + "\n" for i in range(COUNT)))
    done = place.sumi("batch", "many.jsonl")
    check(len(done.stdout.split()) == COUNT, "jobs are sent", done.stderr)
    whole = [r["id"] for r in place.json("list")]
    check(len(whole) == len(set(whole)) == COUNT, "all are listed", str(len(whole)))
    ids = moved(place, whole[-1])
    check(len(ids) == len(set(ids)) == COUNT and ids[-1] == whole[-1], "one that begins to run meanwhile is there, once",
          f"{len(ids)} {len(set(ids))}")
finally:
    place.remove()
finish()

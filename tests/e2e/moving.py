#!/usr/bin/env python3
"""A list that is read while jobs move on: each is there, and once."""
import json, select

from lib import *

COUNT = 1200  # more than two pages of the queue, more text than a pipe holds


def meanwhile(place, act):
    """The ids of a list, behind whose back something is done when it has read what runs, and the first of the ready ones."""
    process = subprocess.Popen([BIN / "sumi", "list", "--json"], env=place.env(), stdout=subprocess.PIPE, text=True)
    select.select([process.stdout], [], [], 60)
    act()
    rows = json.loads(process.stdout.read())
    process.wait(60)
    return [r["id"] for r in rows]


def begins(place, id):
    """The last of the ready ones runs before it is read."""
    place.redis_cli("ZREM", "{sumi}:ready", id)
    place.redis_cli("ZADD", "{sumi}:running", "4000000000000", id)


def returns(place, id):
    """One that had ended is ready again, and stands before those that were read."""
    place.sumi("retry", id)
    place.redis_cli("ZADD", "{sumi}:ready", "XX", "-1", id)


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
    last, ended = whole[-1], whole[-2]
    ids = meanwhile(place, lambda: begins(place, last))
    check(len(ids) == len(set(ids)) == COUNT and ids[-1] == last, "one that begins to run meanwhile is there, once",
          f"{len(ids)} {len(set(ids))}")
    place.redis_cli("ZREM", "{sumi}:running", last)
    place.redis_cli("ZADD", "{sumi}:ready", "9e15", last)
    place.sumi("cancel", ended)
    ids = meanwhile(place, lambda: returns(place, ended))
    check(len(ids) == len(set(ids)) == COUNT and ids[-1] == ended, "one that is retried meanwhile is there, once",
          f"{len(ids)} {len(set(ids))} {place.json('show', ended)['state']}")
finally:
    place.remove()
finish()

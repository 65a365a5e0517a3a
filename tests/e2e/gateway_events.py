#!/usr/bin/env python3
"""Listings page by page, the search, the queue, and streams of events."""
import base64, threading

from gateway_lib import *


class Stream(threading.Thread):
    """Server-sent events as they come."""

    def __init__(self, g, path="/events", **headers):
        super().__init__(daemon=True)
        self.events, self.alive, self.head = [], True, b""
        self.socket = socket.create_connection(("127.0.0.1", g.port), timeout=90)
        lines = [f"GET {path} HTTP/1.0", "Host: localhost"] + [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode())
        self.start()

    def run(self):
        try:
            with self.socket.makefile("rb") as f:
                while (line := f.readline().strip()):
                    self.head += line + b"\n"
                event = {}
                for line in f:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name in ("id", "event", "data"):
                        event[name] = json.loads(value) if name == "data" else value
                    elif not name and event:
                        self.events.append(event)
                        event = {}
        except (OSError, ValueError):
            pass
        self.alive = False

    def has(self, event, id):
        return wait_for(lambda: [e for e in self.events if e["event"] == event and e["data"]["id"] == id], 90)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join(10)


def pages(g, path, limit):
    """Ids of all pages."""
    ids, after = [], ""
    while True:
        status, _, page = g.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after and '&after=' + after}")
        if status != 200 or len(page["jobs"]) > limit or len(ids) > 500:
            return f"{status} {page}"
        ids += [j["id"] for j in page["jobs"]]
        if not page.get("next"):
            return ids
        after = page["next"]


def listings(g):
    later = [{"prompt": "later", "id": f"later-{i}", "not_before": f"2099-01-0{i + 1}"} for i in range(5)]
    made = [{"prompt": f"mountain {i}", "id": f"made-{i}", "tags": ["even"] if i % 2 == 0 else [], **QUICK} for i in range(7)]
    check(g.ask("POST", "/jobs", later + made)[0] == 201 and all(g.becomes(j["id"], "done") for j in made), "twelve jobs")
    for i in (3, 4):
        g.ask("DELETE", f"/jobs/later-{i}")
    wait_for(lambda: len(visible(g.place)) == 7, 90)  # until then they are the queue's, and in its order
    whole = pages(g, "/jobs", 100)
    wanted = ["later-0", "later-1", "later-2"], {"later-3", "later-4", *(j["id"] for j in made)}
    check(whole[:3] == wanted[0] and set(whole[3:]) == wanted[1] and len(whole) == 12, "GET /jobs: what waits, then what has ended", str(whole))
    for limit in (1, 2, 3, 5, 11, 12):
        check(pages(g, "/jobs", limit) == whole, f"the same in pages of {limit}", str(pages(g, "/jobs", limit)))
    done = pages(g, "/jobs?state=done", 3)
    check(done == [f"made-{i}" for i in range(6, -1, -1)], "done ones, the newest first", str(done))
    check(pages(g, "/jobs?state=cancelled", 1) == ["later-4", "later-3"], "cancelled ones, which the database never had")
    check(pages(g, "/jobs?state=delayed", 2) == ["later-0", "later-1", "later-2"], "delayed ones")
    check(pages(g, "/jobs?tag=even", 3) == [f"made-{i}" for i in (6, 4, 2, 0)], "by tag")
    check(pages(g, "/jobs?modality=audio", 3) == [] and pages(g, "/jobs?since=2099-01-01", 3) == [], "by modality and time")
    check(pages(g, "/search?q=mountain", 2) == done and pages(g, "/search?q=mountain+3", 5) == ["made-3"], "the search")
    check(len(g.get("/jobs?state=done")[2]["jobs"][0]["files"]) == 1, "rows have their files")
    for path, field in [("/jobs?state=odd", "state"), ("/jobs?limit=0", "limit"), ("/jobs?limit=x", "limit"), ("/jobs?after=x", "after"), ("/jobs?after=l9.a", "after"),
                        ("/jobs?after=s1", "after"), ("/jobs?since=now", "since"), ("/jobs?modality=x", "modality"), ("/search", "q"), ("/jobs?tag=a&tag=b", "tag"),
                        ("/events?after=x", "after"), ("/events?job=a/b", "job")]:
        status, _, bad = g.get(path)
        check(status == 400 and bad["error"]["field"] == field, f"wrong: {path}", f"{status} {bad}")
    status, _, models = g.get("/models")
    check(status == 200 and (PACK, "image", True) in [(m["name"], m["modality"], m["default"]) for m in models["models"]], "GET /models", str(models))


def queue(g):
    status, _, told = g.ask("POST", "/queue/pause", {"reason": "moving"})
    check(status == 200 and told == {"paused": True}, "pause", str(told))
    status, _, queue = g.get("/queue")
    check(queue["paused"] and queue["reason"] == "moving" and queue["workers"] == 1 and queue["jobs"]["delayed"] == 3, "GET /queue", str(queue))
    g.ask("POST", "/jobs", {"prompt": "waits", "id": "waits", **QUICK})
    check(g.becomes("waits", "ready"), "what is sent waits")
    check(g.ask("POST", "/queue/resume")[0] == 200 and g.becomes("waits", "done"), "resume")


def moving(g):
    """Jobs that become ready while lists are read stand in each list, once."""
    g.ask("POST", "/queue/pause")
    ids = [f"moves-{i:03}" for i in range(120)]
    g.ask("POST", "/jobs", [{"prompt": "moves", "id": id, "not_before": "2099-01-01"} for id in ids])
    check(g.becomes(ids[-1], "delayed"), "jobs that wait for their time")
    ready = "redis.call('ZREM', '{sumi}:delayed', ARGV[1]) redis.call('ZADD', '{sumi}:ready', 1, ARGV[1]) redis.call('HSET', '{sumi}:job:' .. ARGV[1], 'state', 'ready')"
    mover = threading.Thread(target=lambda: [g.place.redis_cli("EVAL", ready, 0, id) for id in ids])
    mover.start()
    lists = []
    while mover.is_alive() or not lists:
        lists.append(sorted(j["id"] for j in g.get("/jobs?limit=400")[2]["jobs"] if j["prompt"] == "moves"))
    mover.join()
    check(all(l == ids for l in lists), "jobs that become ready meanwhile", [set(ids) ^ set(l) or len(l) for l in lists if l != ids])
    for id in ids:
        g.ask("DELETE", f"/jobs/{id}")
    g.ask("POST", "/queue/resume")


def events(g):
    all, one, quiet = Stream(g), Stream(g, "/events?job=ev-2"), Stream(g, "/events?previews=false")
    check(wait_for(lambda: b"text/event-stream" in all.head), "a stream", str(all.head))
    slow = {**QUICK, "steps": 60, "width": 256, "height": 256}
    g.ask("POST", "/jobs", [{"prompt": "a", "id": "ev-1", **slow}, {"prompt": "b", "id": "ev-2", **QUICK}])
    check(all.has("done", "ev-1") and all.has("done", "ev-2"), "the ends of two jobs")
    order = [e["event"] for e in all.events if e["data"]["id"] == "ev-1" and e["event"] in ("ready", "running", "variant", "done")]
    check(order == ["ready", "running", "variant", "done"], "in their order", str(order))
    steps = [e["data"]["step"] for e in all.events if e["event"] == "progress" and e["data"]["id"] == "ev-1"]
    check(steps and steps == sorted(steps) and all.events[-1]["data"]["id"] == "ev-2", "progress", str(steps))
    pictures = [e["data"]["webp"] for e in all.events if e["event"] == "preview" and e["data"]["id"] == "ev-1"]
    check(pictures and base64.b64decode(pictures[0])[:4] == b"RIFF", "previews are pictures", str(len(pictures)))
    variant = all.has("variant", "ev-1")[0]["data"]
    check("lease" not in json.dumps(variant) and "worker" not in json.dumps(all.has("running", "ev-1")[0]), "no word of leases and workers", str(variant))
    check(one.has("done", "ev-2") and {e["data"]["id"] for e in one.events} == {"ev-2"}, "one job's alone")
    check(quiet.has("done", "ev-2") and not [e for e in quiet.events if e["event"] in ("progress", "preview")], "without progress")
    running = all.has("running", "ev-1")[0]["id"]
    again = Stream(g, Last_Event_ID=running)
    check(again.has("done", "ev-2"), "it goes on behind an event")
    want = [(e["event"], e["data"]["id"]) for e in all.events if "id" in e]
    got = [(e["event"], e["data"]["id"]) for e in again.events if "id" in e]
    check(got == want[want.index(("running", "ev-1")) + 1:], "with what came behind it, each once", f"{got} {want}")
    check(Stream(g, f"/events?after={running}").has("done", "ev-1"), "the same by the address")
    for s in (one, quiet, again):
        s.close()
    g.ask("POST", "/jobs", {"prompt": "c", "id": "ev-3", **QUICK})
    check(all.has("done", "ev-3"), "others that go away take nothing along")
    return all


place = Place(preview="1ms")
try:
    place.start()
    g = Gateway(place)
    listings(g)
    queue(g)
    moving(g)
    all = events(g)
    check(g.stop() == 0, "it stops while somebody looks")
    all.join(10)
    check(not all.alive, "whose stream ends")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()

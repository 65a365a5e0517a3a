#!/usr/bin/env python3
"""Figures of the gateway: streams of events that wait, small requests a second, from sent to queued, and a good client
beside 200 that send and read slowly."""
import http.client, pathlib, sys, threading, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
from gateway_lib import *


def memory(g):
    status = pathlib.Path(f"/proc/{g.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def connect(g):
    return socket.create_connection(("127.0.0.1", g.port), timeout=60)


def streams(g, count=1000):
    before, open_ones = memory(g), []
    for _ in range(count):
        s = connect(g)
        s.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        open_ones.append(s)
    for s in open_ones:
        s.recv(1000)
    g.ask("POST", "/jobs", {"prompt": "x", "id": "told", **QUICK})
    for s in open_ones:
        got = b""
        while b"event: done" not in got:
            got += s.recv(65536)
    print(f"{count} streams of events: {memory(g):.1f} MiB in all ({before:.1f} before), each told of a job's end")
    for s in open_ones:
        s.close()


def cpu(pid, field=0):
    """Seconds of processor of all its threads, to the nanosecond; field 1: seconds that they waited for one."""
    return sum(int(t.joinpath("schedstat").read_text().split()[field]) for t in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def small(g, path, count=4000, depth=50):
    """Requests in a row on one connection, some at a time, so that the client costs little."""
    s, one = connect(g), f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    start, used, done, rest = time.monotonic(), cpu(g.process.pid), 0, b""
    while done < count:
        s.sendall(one * depth)
        answers = 0
        while answers < depth:
            rest += s.recv(1 << 20)
            answers += rest.count(b"HTTP/1.1 200")
            rest = rest[rest.rfind(b"HTTP/1.1 200") + 12:] if b"HTTP/1.1 200" in rest else rest
        done += depth
    wall, used = time.monotonic() - start, cpu(g.process.pid) - used
    print(f"GET {path}: {count / wall:.0f} a second on one connection, {count / used:.0f} a second of processor")


def timed(request, count, *pids):
    """Milliseconds of each call; of processor that it took of these processes; and of those calls in which neither they nor this one
    waited half a millisecond for a processor: what it takes where nobody else is."""
    whole, own, alone = [], [], []
    waited = lambda: sum(cpu(p, 1) for p in (*pids, "self"))
    for i in range(count):
        idle, used, start = waited(), sum(map(cpu, pids)), time.monotonic()
        request(i)
        whole.append((time.monotonic() - start) * 1000)
        own.append((sum(map(cpu, pids)) - used) * 1000)
        if (waited() - idle) * 1000 < 0.5:
            alone.append(whole[-1])
    at = lambda times, part: sorted(times)[int(len(times) * part)]
    return (f"{at(whole, 0):.2f} ms at least, {at(whole, 0.5):.2f} ms in the middle, {at(whole, 0.99):.2f} ms at 99 of 100; of processor "
            f"{at(own, 0.5):.2f} and {at(own, 0.99):.2f} ms; the {len(alone)} that had one at once "
            + (f"{at(alone, 0.5):.2f} and {at(alone, 0.99):.2f} ms" if alone else "are too few"))


def submit(g, count=1000):
    c, redis = http.client.HTTPConnection("127.0.0.1", g.port), g.place.servers()[0]
    g.ask("POST", "/queue/pause")

    def one(i):
        c.request("POST", "/jobs", json.dumps({"prompt": f"p {i}", **QUICK}))
        c.getresponse().read()
    print(f"POST /jobs: {timed(one, count, g.process.pid, redis)} of the gateway and Redis")


def slow(g, count=200):
    stop, bad = threading.Event(), []
    for i in range(count):
        s = connect(g)
        s.sendall(b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{" if i % 2 else b"GET /healthz HTTP/1.1\r\nHost: loc")
        bad.append(s)

    def dribble():
        while not stop.wait(0.05):
            for s in bad:
                with contextlib.suppress(OSError):
                    s.sendall(b" ")
    thread = threading.Thread(target=dribble)
    thread.start()
    c = http.client.HTTPConnection("127.0.0.1", g.port)

    def one(_):
        c.request("GET", "/healthz")
        c.getresponse().read()
    told = timed(one, 1000, g.process.pid)
    stop.set()
    thread.join()
    print(f"beside {count} that send a byte at a time: {told} of the gateway")


place = Place()
try:
    place.start()
    g = Gateway(place)
    streams(g)
    small(g, "/healthz")
    small(g, "/jobs/told")
    slow(g)
    submit(g)
    g.kill()
finally:
    place.stop()
    place.remove()

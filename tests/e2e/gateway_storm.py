#!/usr/bin/env python3
"""Clients that send anything, in pieces, mangled, several at once, and go away at any time: the gateway lives on, answers others,
and stops in order. With a gateway built with sanitizers it finds what it frees twice or forgets."""
import random, threading

from gateway_lib import *

CLIENTS, EACH = 16, 60


def post(path, body, kind="application/json"):
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def as_json(o):
    return json.dumps(o).encode()


TINY = {"steps": 2, "size": "64x64", "sampler": "ddim"}
FORM = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhi\r\n--x--\r\n'
TOOL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "generate", "arguments": {"prompt": "m", "width": 64, "height": 64, "steps": 2}}}
SEEDS = [f"{line}\r\nHost: localhost\r\n\r\n".encode() for line in [
    "GET /healthz HTTP/1.1", "GET /events HTTP/1.1", "GET /events?after=1-0 HTTP/1.1", "GET /events?after=1-0&previews=false HTTP/1.0", "GET /jobs?limit=3 HTTP/1.1",
    "GET /jobs/a/files/1.webp HTTP/1.1\r\nRange: bytes=0-9", "HEAD /jobs/a/files/1.webp HTTP/1.1", "OPTIONS /jobs HTTP/1.1", "GET /metrics HTTP/1.1", "DELETE /jobs/a HTTP/1.1",
    "POST /jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"prompt\": \"abc\"\r\n1\r\n}\r\n0"]]
SEEDS += [post("/jobs", as_json({"prompt": "x", **QUICK})), post("/jobs", as_json([{"prompt": "x", "not_before": "2099-01-01"}] * 3)),
          post("/v1/images/generations", as_json({"prompt": "s", **TINY})), post("/v1/images/generations", as_json({"prompt": "s", **TINY, "stream": True, "partial_images": 3})),
          post("/sdapi/v1/txt2img", as_json({"prompt": "s", "steps": 2, "width": 64, "height": 64})), post("/sdapi/v1/interrupt", b"{}"), post("/mcp", as_json(TOOL)),
          post("/v1/images/edits", FORM, "multipart/form-data; boundary=x")]


def mangled(r, data):
    b = bytearray(data)
    for _ in range(r.randint(1, 4)):
        i, how = r.randrange(len(b)), r.randrange(3)
        if how == 0:
            b[i] = r.randrange(256)
        elif how == 1:
            del b[i:i + r.randint(1, 20)]
        else:
            b[i:i] = bytes(r.randrange(256) for _ in range(r.randint(1, 8)))
        b = b or bytearray(b"x")
    return bytes(b)


def visit(g, r):
    data = b"".join(r.choice(SEEDS) for _ in range(r.choice([1, 1, 1, 2, 5])))
    data = mangled(r, data) if r.random() < 0.5 else data
    with socket.create_connection(("127.0.0.1", g.port), timeout=5) as s:
        while data:
            k = r.randint(1, len(data))
            s.sendall(data[:k])
            data = data[k:]
            if r.random() < 0.05:
                return
        how = r.random()
        if how < 0.2:
            s.shutdown(socket.SHUT_WR)
            s.recv(65536)
        elif how < 0.3:  # a reset instead of an end
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif how < 0.7:
            s.settimeout(r.choice([0.02, 0.2]))
            for _ in range(r.randint(1, 5)):
                s.recv(r.choice([10, 65536]))


def storm(g, seed):
    r = random.Random(seed)
    for _ in range(EACH):
        with contextlib.suppress(OSError):
            visit(g, r)


place = Place(preview="1ms")
try:
    place.start()
    g = Gateway(place)
    g.ask("POST", "/jobs", {"prompt": "a", "id": "a", **QUICK})
    g.becomes("a", "done")
    threads = [threading.Thread(target=storm, args=(g, i)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    place.redis_cli("CLIENT", "KILL", "TYPE", "normal")  # its connections to the queue break in between
    for t in threads:
        t.join()
    check(g.process.poll() is None and g.get("/healthz")[0] == 200, f"it lives behind {CLIENTS * EACH} such clients")
    status, _, sent = g.ask("POST", "/jobs", {"prompt": "good", "id": "good", "priority": "high", **QUICK})
    check(status == 201 and g.becomes("good", "done"), "and serves others", f"{status} {sent}")
    check(g.stop() == 0, "and stops in order", g.log.read_text()[-1500:])
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()

#!/usr/bin/env python3
"""Jobs over HTTP: sending, looking, fetching, steering; and requests that are none."""
import threading, time

from gateway_lib import *


def jobs(g):
    status, headers, sent = g.ask("POST", "/jobs", {"prompt": "fog over a lake", "seed": 7, **QUICK})
    check(status == 201 and sent["state"] == "queued" and headers["Location"] == f"/jobs/{sent['id']}", "POST /jobs", str(sent))
    check(g.get(f"/jobs/{sent['id']}")[0] == 200, "the job can be asked for at once")
    job = g.becomes(sent["id"], "done")
    check(job and job["modality"] == "image" and len(job["files"]) == 1, "GET /jobs/ID: it is done, with its file", str(job))
    file = job["files"][0]
    status, headers, data = g.get(f"/jobs/{sent['id']}/files/{file['name']}")
    check(status == 200 and data[:4] == b"RIFF" and len(data) == file["bytes"] and headers["Content-Type"] == "image/webp"
          and headers["ETag"] == f'"{file["sha256"]}"', "its file", f"{status} {headers}")
    check(headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in headers["Content-Security-Policy"],
          "a browser runs nothing in it", str(headers))
    check(file["url"] == f"http://127.0.0.1:{g.port}/jobs/{sent['id']}/files/1.webp", "its address is whole", file["url"])
    path = f"/jobs/{sent['id']}/files/1.webp"
    status, headers, part = g.get(path, Range="bytes=8-11")
    check(status == 206 and part == b"WEBP" and headers["Content-Range"] == f"bytes 8-11/{len(data)}", "a range of it",
          f"{status} {part} {headers}")
    check(g.get(path, Range="bytes=-4")[2] == data[-4:] and g.get(path, Range="bytes=4-")[2] == data[4:], "open ranges")
    status, headers, _ = g.get(path, Range=f"bytes={len(data)}-")
    check(status == 416 and headers["Content-Range"] == f"bytes */{len(data)}", "a range behind its end", str(status))
    check(g.get(path, If_None_Match=headers["ETag"] or f'"{file["sha256"]}"')[0] == 304, "not modified")
    tag = f'"{file["sha256"]}"'
    got = [g.get(path, Range="bytes=0-1", If_Range=t)[0] for t in (tag, "W/" + tag, tag[:-1], '"other"', "*")]
    check(got == [206, 200, 200, 200, 200], "If-Range: this very tag alone", str(got))
    got = [g.get(path, If_None_Match=t)[0] for t in ("W/" + tag, f'"other", {tag}', "*", tag[:-1] + '-thumb"', tag[1:-1], '"other"')]
    check(got == [304, 304, 304, 200, 200, 200], "If-None-Match: among others", str(got))
    status, headers, none = g.ask("HEAD", "/events", timeout=10)
    check(status == 200 and none == b"" and headers["Content-Type"] == "text/event-stream", "HEAD of a stream ends", f"{status} {headers}")
    status, headers, none = g.ask("HEAD", path)
    check(status == 200 and none == b"" and int(headers["Content-Length"]) == len(data), "HEAD", f"{status} {headers}")
    status, headers, small = g.get(file["thumb"].removeprefix(f"http://127.0.0.1:{g.port}"))
    check(status == 200 and small[8:12] == b"WEBP" and headers["ETag"] != f'"{file["sha256"]}"' and headers["Content-Type"] == "image/webp",
          "its thumbnail, made when it was stored", f"{status} {headers}")
    for name in ["2.webp", "..%2f..%2fsumi.db", "%2e%2e", ".", "1.webp/x", "1.webp%00"]:
        status = g.get(f"/jobs/{sent['id']}/files/{name}")[0]
        check(status in (400, 404), f"no file {name}", str(status))
        status = g.get(f"/jobs/{sent['id']}/thumbs/{name}")[0]
        check(status in (400, 404), f"no thumbnail {name}", str(status))
    check(g.place.json("show", sent["id"])["state"] == "done", "sumi show knows it too")
    g.ask("POST", "/jobs", {"prompt": "fog", "id": "small", "format": "jpeg", "quality": 50, **QUICK})
    file = g.becomes("small", "done")["files"][0]
    status, headers, data = g.get("/jobs/small/files/1.jpeg")
    check(status == 200 and data[:3] == b"\xff\xd8\xff" and headers["Content-Type"] == file["mime"] == "image/jpeg" and g.get("/jobs/small/thumbs/1.jpeg")[2][8:12] == b"WEBP", "a JPEG, with its thumbnail",
          f"{status} {headers} {file}")


def lists(g):
    status, _, sent = g.ask("POST", "/jobs", [{"prompt": "one", **QUICK}, {"prompt": "two", "n": 2, "id": "own-2", **QUICK}])
    ids = [j["id"] for j in sent.get("jobs", [])]
    check(status == 201 and len(ids) == 2 and ids[1] == "own-2", "POST /jobs with a list", str(sent))
    check(all(g.becomes(i, "done") for i in ids) and len(g.becomes("own-2", "done")["files"]) == 2, "both are made")
    status, _, again = g.ask("POST", "/jobs", {"prompt": "other", "id": "own-2"})
    check(status == 200 and again["prompt"] == "two", "an id that is there: its job, not a second one", f"{status} {again}")
    status, _, bad = g.ask("POST", "/jobs", [{"prompt": "fine"}, {"prompt": "x", "steps": 0}])
    check(status == 400 and bad["error"]["field"] == "steps" and "entry 2" in bad["error"]["message"],
          "a list with a mistake: nothing is sent, and the field is named", str(bad))
    cases = [({"prompt": "x", "step": 3}, "step"), ({"prompt": "x", "seed": "abc"}, "seed"), ({"prompt": ""}, "prompt"),
             ({"prompt": "x", "width": 1}, "width"), ({"prompt": "x", "size": "big"}, "size"),
             ({"prompt": "x", "frames": 3, "modality": "image"}, "frames"), ({"prompt": "x", "id": "a/b"}, "id")]
    for job, field in cases:
        status, _, bad = g.ask("POST", "/jobs", job)
        check(status == 400 and bad["error"]["field"] == field, f"wrong {field}", f"{status} {bad}")
    for body in [b"", b"{", b"7", b'"x"', b"[]", b"[7]", b"\xff", b'{"prompt":"x","prompt":"y"}']:
        status, _, bad = g.ask("POST", "/jobs", body)
        check(status == 400 and bad["error"]["message"], f"body {body[:12]!r}", f"{status} {bad}")
    # What its model cannot do is told at once, in the words of the command line.
    for job, options, field in [({"width": 65}, ["--width", 65], "width"), ({"sampler": "no-such"}, ["--sampler", "no-such"], "sampler"), ({"model": "absent"}, ["--model", "absent"], None),
                                ({"loras": [{"name": "absent"}]}, ["--loras", "absent"], None), ({"fast": True}, ["--fast"], None), ({"clip_skip": 9}, ["--clip-skip", 9], None),
                                ({"style": "absent"}, ["--style", "absent"], None)]:
        status, _, bad = g.ask("POST", "/jobs", {"prompt": "x", "id": "unmade", **job})
        told = bad["error"]["message"] if status == 400 else ""
        own = g.place.sumi("image", "x", "--detach", *options).stderr.strip().split("sumi: ", 1)[-1] 
        check(status == 400 and told.endswith(own) and (field is None or bad["error"].get("field") == field), f"its model cannot: {job}", f"{status} {bad} {own}")
    check(g.ask("POST", "/jobs", [{"prompt": "one", "id": "first-of-two"}, {"prompt": "x", "height": 65}])[0] == 400 and g.get("/jobs/first-of-two")[0] == 404 and g.get("/jobs/unmade")[0] == 404,
          "and nothing of it is in the queue")


def steer(g):
    status, _, sent = g.ask("POST", "/jobs", {"prompt": "never", "not_before": "2099-01-01", "id": "later"})
    check(status == 201 and g.becomes("later", "delayed"), "a job for later", str(sent))
    status, _, told = g.ask("DELETE", "/jobs/later")
    check(status == 200 and told == {"id": "later", "state": "cancelled"}, "DELETE cancels", str(told))
    check(g.ask("POST", "/jobs/later/cancel")[0] == 409, "which can be done once")
    status, _, job = g.ask("POST", "/jobs/later/retry")
    check(status == 200 and job["state"] in ("delayed", "ready", "running"), "retry", str(job))
    g.ask("DELETE", "/jobs/later")
    for path in ["/jobs/none", "/jobs/none/files/1.webp", "/nothing", "/jobs/a/b/c/d/e/f/g/h/i/j"]:
        status, _, bad = g.get(path)
        check(status == 404 and bad["error"]["code"] == "not_found", f"404 for {path}", f"{status} {bad}")
    status, headers, _ = g.ask("PUT", "/jobs/later", {})
    check(status == 405 and set(headers["Allow"].split(", ")) == {"GET", "PATCH", "DELETE"}, "405 says what there is", str(headers))
    check(g.get("/healthz")[0] == 200 and g.get("/readyz")[0] == 200, "healthz and readyz")


def marks(g):
    """Stars, tags and deleting: the gateway asks, the daemon does."""
    shown = lambda: g.get("/jobs/own-2")[2]
    status, _, told = g.ask("PATCH", "/jobs/own-2", {"starred": True, "tags": ["beach", "two words"]})
    check(status == 202 and told["id"] == "own-2", "PATCH marks a job", f"{status} {told}")
    check(wait_for(lambda: shown().get("starred") and shown()["tags"] == ["beach", "two words"], 90), "it has its star and tags", str(shown()))
    found = lambda query: [j["id"] for j in g.get(f"/jobs?{query}")[2]["jobs"]]
    check(found("starred=true") == ["own-2"] == found("tag=beach"), "and is found by them")
    g.ask("PATCH", "/jobs/own-2", {"tags": []})
    check(wait_for(lambda: not shown()["tags"], 90) and shown()["starred"] and found("tag=beach") == [], "no tags: the star stays", str(shown()))
    g.ask("PATCH", "/jobs/own-2", {"starred": False})
    check(wait_for(lambda: "starred" not in shown(), 90), "and goes")
    for body, field in [({"starred": 1}, "starred"), ({"tags": "a"}, "tags"), ({"tags": [7]}, "tags"), ({"tags": ["x"] * 17}, "tags"),
                        ({"tags": ["a\nb"]}, "tags"), ({"prompt": "other"}, "prompt"), ({}, None)]:
        status, _, bad = g.ask("PATCH", "/jobs/own-2", body)
        check(status == 400 and bad["error"].get("field") == field, f"no change: {body}", f"{status} {bad}")
    check(g.ask("PATCH", "/jobs/none", {"starred": True})[0] == 404, "a job that is none")
    g.ask("POST", "/jobs", {"prompt": "x", "id": "yet", "not_before": "2099-01-01", **QUICK})
    check(g.ask("PATCH", "/jobs/yet", {"starred": True})[0] == 409 and g.ask("POST", "/jobs/yet/delete")[0] == 409, "one that has not ended")
    g.ask("DELETE", "/jobs/yet")
    check(g.ask("PATCH", "/jobs/yet", {"starred": True})[0] == 409, "one that has made nothing has no star")
    check(g.ask("POST", "/jobs/yet/delete")[0] == 202 and wait_for(lambda: g.get("/jobs/yet")[0] == 404, 90), "but goes")
    files = [p for p in (g.place.state / "artifacts").rglob("*.webp")] + list((g.place.state / "thumbs").rglob("*.webp"))
    status, _, told = g.ask("POST", "/jobs/own-2/delete")
    check(status == 202 and told == {"id": "own-2", "state": "deleted"}, "a job is deleted", f"{status} {told}")
    check(wait_for(lambda: g.get("/jobs/own-2")[0] == 404 and "own-2" not in found("limit=100"), 90), "it is gone")
    check(wait_for(lambda: sum(p.exists() for p in files) == len(files) - 4, 90), "with its two files and their thumbnails")
    check(g.ask("POST", "/jobs/own-2/delete")[0] == 404, "once")
    check(g.place.sumi("db", "check").returncode == 0, "nothing is missing then")


def strict(g):
    """What two parsers could read in two ways is refused, and the connection closed."""
    def status(data):
        got = g.raw(data)
        return int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1.1 ") else got[:60]

    host = b"Host: localhost\r\n"
    get = b"GET /healthz HTTP/1.1\r\n"
    check(status(get + host + b"Connection: close\r\n\r\n") == 200, "a plain request")
    post = b"POST /jobs HTTP/1.1\r\n" + host
    cases = {
        "no Host": get + b"\r\n", "two Hosts": get + host + host + b"\r\n", "an empty Host": get + b"Host:\r\n\r\n",
        "a Host with a path": get + b"Host: a/b\r\n\r\n", "a Host with a user": get + b"Host: a@b\r\n\r\n",
        "two lengths": post + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "a length with a sign": post + b"Content-Length: +2\r\n\r\n{}", "a hexadecimal length": post + b"Content-Length: 0x2\r\n\r\n{}",
        "a list of lengths": post + b"Content-Length: 2, 2\r\n\r\n{}", "an empty length": post + b"Content-Length: \r\n\r\n",
        "a negative length": post + b"Content-Length: -1\r\n\r\n", "an endless length": post + b"Content-Length: 99999999999999999999\r\n\r\n",
        "length and chunks": post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "another encoding": post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "an encoding with a tab": post + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "two encodings": post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunks in HTTP/1.0": b"POST /jobs HTTP/1.0\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a space before the colon": get + host + b"X-A : b\r\n\r\n", "a space in a name": get + host + b"X A: b\r\n\r\n",
        "a name that is none": get + host + b"X(a): b\r\n\r\n", "no name": get + host + b": b\r\n\r\n",
        "no colon": get + host + b"nothing\r\n\r\n", "a folded line": get + host + b"X-A: b\r\n c\r\n\r\n",
        "a folded first line": get + b" Host: localhost\r\n\r\n", "a NUL": get + host + b"X-A: b\0c\r\n\r\n",
        "a bare LF": get + host + b"X-A: b\nX-B: c\r\n\r\n", "bare LFs alone": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
        "a bare CR": get + host + b"X-A: b\rc\r\n\r\n", "an empty line first": b"\r\n" + get + host + b"\r\n",
        "two spaces": b"GET  /healthz HTTP/1.1\r\n" + host + b"\r\n", "no version": b"GET /healthz\r\n" + host + b"\r\n",
        "a whole URL": b"GET http://localhost/healthz HTTP/1.1\r\n" + host + b"\r\n", "an asterisk": b"GET * HTTP/1.1\r\n" + host + b"\r\n",
        "a method that is none": b"GE(T /healthz HTTP/1.1\r\n" + host + b"\r\n", "a path that climbs": b"GET /../x HTTP/1.1\r\n" + host + b"\r\n",
        "a path that climbs, escaped": b"GET /%2e%2e/x HTTP/1.1\r\n" + host + b"\r\n", "half an escape": b"GET /%4 HTTP/1.1\r\n" + host + b"\r\n",
        "an escaped NUL": b"GET /a%00 HTTP/1.1\r\n" + host + b"\r\n", "what is not UTF-8": b"GET /%ff HTTP/1.1\r\n" + host + b"\r\n",
        "a fragment": b"GET /a#b HTTP/1.1\r\n" + host + b"\r\n", "a byte beyond ASCII": b"GET /\xc3\xa4 HTTP/1.1\r\n" + host + b"\r\n",
        "two keys": get + host + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
        "a chunk with a sign": post + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
        "a chunk with 0x": post + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        "a chunk with an extension": post + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
        "a chunk that is too long": post + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
        "a chunk of too many digits": post + b"Transfer-Encoding: chunked\r\n\r\n000000002\r\n{}\r\n0\r\n\r\n",
        "a chunk with a bare LF": post + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
        "a trailer": post + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100,
    }
    for name, data in cases.items():
        got = status(data)
        check(got == 400, f"refused: {name}", str(got))
    check(status(b"GET / HTTP/2.0\r\n" + host + b"\r\n") == 505, "HTTP/2.0")
    check(status(get + host + b"X-A: " + b"a" * 20000 + b"\r\n\r\n") == 431, "a head of 20 KB")
    check(status(get + host + b"X-A: b\r\n" * 70 + b"\r\n") == 431, "seventy headers")
    check(status(post + b"Expect: the-unexpected\r\nContent-Length: 2\r\n\r\n{}") == 417, "another expectation")
    check(status(post + b"Content-Length: 1048577\r\n\r\n") == 413, "more than a megabyte of JSON, before it is sent")
    chunks = b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(17))
    check(status(post + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) == 413, "and in chunks")
    check(status(b"GET /healthz HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhello") == 413, "a body where none is taken")
    body = b'{"prompt":"x","steps":0}'
    split = b"".join(b"1\r\n%c\r\n" % b for b in body) + b"0\r\n\r\n"
    got = g.raw(post + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + split)
    check(got.startswith(b"HTTP/1.1 400") and b"steps" in got, "a body in chunks of one byte is read", str(got[:80]))
    two = get + host + b"\r\n" + get + host + b"Connection: close\r\n\r\n"
    check(g.raw(two).count(b"HTTP/1.1 200") == 2, "two requests at once, two answers")
    smuggled = post + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n" + host + b"\r\n"
    check(g.raw(smuggled).count(b"HTTP/1.1 ") == 1, "nothing is read behind a request that was refused")
    with socket.create_connection(("127.0.0.1", g.port), timeout=30) as s:
        s.sendall(post + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        check(s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n", "100 Continue")
        s.sendall(b"{}")
        check(s.recv(2000).startswith(b"HTTP/1.1 400"), "and the answer")


def slow(g):
    """A head has ten seconds, however busily it comes."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", g.port), timeout=30) as s:
        s.settimeout(1)
        got, sent = b"", 0
        while time.monotonic() - start < 20 and not got:
            try:
                s.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: "[sent:sent + 1] or b"a")
                got = s.recv(1000)
            except TimeoutError:
                sent += 1
            except OSError:
                break
    took = time.monotonic() - start
    check(got.startswith(b"HTTP/1.1 408") and 9 < took < 15, "a head byte by byte: 408 after ten seconds", f"{took:.1f} s {got[:40]}")


def doors(g):
    """Without a key: this machine only, under its own name, and for no other site's pages."""
    for name, headers, wanted in [
            ("localhost", {"Host": f"localhost:{g.port}"}, 200), ("a name that DNS may give", {"Host": f"evil.example:{g.port}"}, 403),
            ("a name that begins like it", {"Host": "localhost.evil.example"}, 403),
            ("its own page", {"Origin": f"http://127.0.0.1:{g.port}"}, 200), ("another page", {"Origin": "https://evil.example"}, 403),
            ("a page without an origin", {"Origin": "null"}, 403), ("an image of another page", {"Sec-Fetch-Site": "cross-site"}, 403),
            ("a listed page", {"Origin": "https://friend.example"}, 200),
            ("a key that nobody needs", {"Authorization": "Bearer sk-anything"}, 200)]:
        status, got, _ = g.ask("GET", "/jobs?limit=1", headers=headers)
        check(status == wanted, f"{name}: {wanted}", f"{status}")
    status, got, _ = g.ask("OPTIONS", "/jobs", headers={"Origin": "https://friend.example"})
    check(status == 204 and got["Access-Control-Allow-Origin"] == "https://friend.example", "preflight of a listed page", str(got))
    wants = {"Origin": "https://friend.example", "Access-Control-Request-Headers": "authorization,x-stainless-os"}
    check("x-stainless-os" in g.ask("OPTIONS", "/v1/models", headers=wants)[1]["Access-Control-Allow-Headers"], "with headers of a client's library")
    status, got, _ = g.ask("GET", "/jobs/nothing", headers={"Origin": "https://friend.example"})
    check(status == 404 and got["Access-Control-Allow-Origin"], "it reads why it gets nothing", str(got))
    status, got, _ = g.ask("GET", "/no/such/path", headers={"Origin": "https://friend.example"})
    check(status == 404 and got["Access-Control-Allow-Origin"], "also before anybody has looked at the request", str(got))
    status, got, _ = g.ask("OPTIONS", "/jobs", headers={"Origin": "https://evil.example"})
    check(status == 204 and "Access-Control-Allow-Origin" not in got, "and of another")
    open_to_all = Gateway(g.place, listen="0.0.0.0:0")
    check(open_to_all.process.wait(20) == 2 and b"sumi keys add" in g.log.read_bytes(), "no listening to the world without a key")
    sock = g.place.dir / "gw.sock"
    both = Gateway(g.place, listen=f"127.0.0.1:0,unix:{sock}")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(sock))
        s.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        check(s.recv(1000).startswith(b"HTTP/1.1 200"), "a Unix socket")
    check(both.stop() == 0, "SIGTERM ends it")
    # One that may not look where the daemon finds its packs.
    conf = g.place.dir / "blind.conf"
    conf.write_text(g.place.conf.read_text().replace(f"packs = {PACKS}", f"packs = {g.place.dir}/none"))
    blind = Gateway(g.place, "--config", str(conf))
    status, _, sent = blind.ask("POST", "/jobs", {"prompt": "unseen", "id": "unseen", "model": PACK, **QUICK})
    check(status == 201 and blind.becomes("unseen", "done"), "what it does not see is the daemon's to say", f"{status} {sent}")
    status, _, bad = blind.ask("POST", "/jobs", {"prompt": "x", "model": "absent"})
    check(status == 400 and "absent" in bad["error"]["message"], "but a model that no worker has is none", f"{status} {bad}")
    blind.stop()


place = Place(origins="https://friend.example")
try:
    place.start()
    g = Gateway(place)
    beside = threading.Thread(target=slow, args=(g,))  # ten seconds in which others are answered
    beside.start()
    for part in [jobs, lists, steer, marks, strict, doors]:
        part(g)
    beside.join()
    check(g.process.poll() is None, "it lives")
    check(g.stop() == 0, "and stops")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()

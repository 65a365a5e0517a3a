#!/usr/bin/env python3
"""Keys: who gets in, with what, and that nobody sees another's."""
import base64

from gateway_lib import *


def ways(g, key, id):
    basic = lambda text: "Basic " + base64.b64encode(text.encode()).decode()
    for name, headers, wanted in [
            ("none", {}, 401), ("Bearer", {"Authorization": f"Bearer {key}"}, 200), ("bearer", {"Authorization": f"bearer {key}"}, 200),
            ("Basic", {"Authorization": basic(f"anybody:{key}")}, 200), ("Basic without a user", {"Authorization": basic(key)}, 200),
            ("Basic with nothing", {"Authorization": "Basic "}, 401), ("Basic that is none", {"Authorization": "Basic !!!"}, 401),
            ("xi-api-key", {"xi-api-key": key}, 200), ("cookie", {"Cookie": f"a=b; sumi_key={key}; c=d"}, 200),
            ("another cookie", {"Cookie": f"xsumi_key={key}"}, 401), ("half of it", {"Authorization": f"Bearer {key[:-1]}"}, 401),
            ("more than it", {"Authorization": f"Bearer {key}0"}, 401), ("its hash", {"Authorization": "Bearer " + hashlib.sha256(key.encode()).hexdigest()}, 401),
            ("a foreign page with the cookie", {"Cookie": f"sumi_key={key}", "Origin": "https://evil.example"}, 403),
            ("its own page with the cookie", {"Cookie": f"sumi_key={key}", "Origin": f"http://127.0.0.1:{g.port}"}, 200),
            ("any name of the host", {"Authorization": f"Bearer {key}", "Host": "sumi.example.org"}, 200)]:
        status, answer, body = g.ask("GET", f"/jobs/{id}", headers=headers)
        check(status == wanted and (wanted != 401 or "WWW-Authenticate" in answer), f"{name}: {wanted}", f"{status} {str(body)[:300]}")
    check(g.get(f"/jobs/{id}?key={key}")[0] == 401, "not in the address")
    check(g.get("/healthz")[0] == 200, "healthz is open")


def own(g, anna, bert, admin):
    ask = lambda who, method, path, body=None: g.ask(method, path, body, {"Authorization": f"Bearer {who}"})
    status, _, sent = ask(anna, "POST", "/jobs", {"prompt": "anna's", "id": "secret-1", **QUICK})
    bearer = {"Authorization": f"Bearer {anna}"}
    check(status == 201 and g.becomes("secret-1", "done", **bearer)["submitter"] == "anna", "a key's job is its owner's", str(sent))
    url = "/jobs/secret-1/files/1.webp"
    check(ask(anna, "GET", url)[0] == 200 and ask(admin, "GET", url)[0] == 200, "the owner and an admin fetch it")
    star = {"PATCH": {"starred": True}}
    unknown = [ask(bert, m, p.replace("secret-1", "nothing"), star.get(m))[0::2] for m, p in OTHERS]
    for (method, path), (wanted, said) in zip(OTHERS, unknown):
        status, _, body = ask(bert, method, path, star.get(method))
        check(status == wanted == 404 and body["error"]["message"].replace("secret-1", "nothing") == said["error"]["message"],
              f"{method} {path} of another: as if there were none", f"{status} {str(body)[:300]}")
    sha = g.get("/jobs/secret-1", **bearer)[2]["files"][0]["sha256"]
    for field, value in [("init", "secret-1"), ("init", "secret-1-1"), ("init", "/etc/passwd"), ("after", ["secret-1"]),
                         ("notify", "http://127.0.0.1:1/"), ("submitter", "anna")]:
        status, _, body = ask(bert, "POST", "/jobs", {"prompt": "x", field: value, **QUICK})
        check(status in (400, 403) and body["error"]["field"] == field, f"{field} of another's", f"{status} {str(body)[:300]}")
    status, _, body = ask(bert, "POST", "/jobs", {"prompt": "x", "id": "secret-1", **QUICK})
    check(status == 409 and body["error"]["field"] == "id", "an id that another has", f"{status} {str(body)[:300]}")
    status, _, body = ask(anna, "POST", "/jobs", {"prompt": "again", "init": "secret-1", "strength": 0.5, "id": "secret-2", **QUICK})
    check(status == 201 and g.becomes("secret-2", "done", **bearer), "its owner starts from it", f"{status} {str(body)[:300]}")
    status, _, body = ask(anna, "POST", "/jobs", {"prompt": "x", "model": "nobody-has-it", "id": "bad-1"})
    check(status == 400 and "nobody-has-it" in body["error"]["message"] and PACK in body["error"]["message"], "a model that is not there", str(body))
    g.place.sumi("image", "by hand", "--id", "by-hand", "--detach", *sum((["--" + k, v] for k, v in QUICK.items()), []))
    check(ask(anna, "GET", "/jobs/by-hand")[0] == 404 and wait_for(lambda: ask(admin, "GET", "/jobs/by-hand")[0] == 200),
          "what was sent otherwise is the admin's to see")


OTHERS = [("GET", "/jobs/secret-1"), ("DELETE", "/jobs/secret-1"), ("POST", "/jobs/secret-1/cancel"), ("POST", "/jobs/secret-1/retry"),
          ("GET", "/jobs/secret-1/files/1.webp"), ("GET", "/jobs/secret-1/thumbs/1.webp"), ("POST", "/jobs/secret-1/delete"),
          ("PATCH", "/jobs/secret-1")]


def limits(g, place):
    reader, slow, few = (key(place, n, *o) for n, o in [("reader", ["--scope", "read"]), ("slow", ["--rate", "6/m"]), ("few", ["--jobs", 2])])
    known(g, few)
    ask = lambda who, method, path, body=None: g.ask(method, path, body, {"Authorization": f"Bearer {who}"})
    check(ask(reader, "POST", "/jobs", {"prompt": "x"})[0] == 403 and ask(reader, "GET", "/jobs/x")[0] == 404, "a key to read sends nothing")
    first, second = ask(slow, "DELETE", "/jobs/x"), ask(slow, "DELETE", "/jobs/x")
    check(first[0] == 404 and second[0] == 429 and 1 <= int(second[1]["Retry-After"]) <= 10, "six a minute: the second waits", f"{first} {second}")
    check(ask(slow, "GET", "/jobs/x")[0] == 404, "looking is not counted")
    later = {"prompt": "x", "not_before": "2099-01-01"}
    check(ask(few, "POST", "/jobs", [later] * 3)[0] == 429, "three jobs are more than two")
    got = [ask(few, "POST", "/jobs", {**later, "id": f"few-{i}"}) for i in range(3)]
    check([s for s, _, _ in got] == [201, 201, 429] and int(got[2][1]["Retry-After"]) <= 60, "and so is the third", str(got))
    ask(few, "DELETE", "/jobs/few-0")
    check(ask(few, "POST", "/jobs", {**later, "id": "few-3"})[0] == 201, "one that has ended makes room")


def waiting(g, key, admin):
    """A stream of events and a request for a picture that are open."""
    g.ask("POST", "/queue/pause", headers={"Authorization": f"Bearer {admin}"})
    body = json.dumps({"prompt": "still there", "steps": 2, "size": "64x64"})
    sockets = []
    for head, data in [("GET /events", ""), ("POST /v1/images/generations", body)]:
        s = socket.create_connection(("127.0.0.1", g.port), timeout=20)
        s.sendall(f"{head} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(data)}\r\n\r\n{data}".encode())
        sockets.append(s)
    wait_for(lambda: [j for j in g.get("/jobs", Authorization=f"Bearer {key}")[2]["jobs"] if j["prompt"] == "still there"], 90)
    return sockets


def revoked(g, sockets, admin):
    stream, picture = sockets
    while stream.recv(65536):  # until it ends
        pass
    check(True, "its stream of events ends")
    got = picture.recv(4000)
    check(got.startswith(b"HTTP/1.1 401") and b"revoked" in got, "and who waits for a picture is told", str(got[:200]))
    root = {"Authorization": f"Bearer {admin}"}
    job = [j for j in g.get("/jobs", **root)[2]["jobs"] if j["prompt"] == "still there"][0]
    g.ask("POST", "/queue/resume", headers=root)
    check(g.becomes(job["id"], "done", **root), "the job goes on")
    for s in sockets:
        s.close()


def key(place, name, *options):
    done = place.sumi("keys", "add", name, *options)
    check(done.returncode == 0 and re.fullmatch(r"sumi_[0-9a-f]{64}\n", done.stdout), f"keys add {name}", done.stderr)
    return done.stdout.strip()


def known(g, key):
    wait_for(lambda: g.get("/jobs/x")[0] == 401 and g.get("/jobs/x", Authorization=f"Bearer {key}")[0] == 404, 90)


place = Place()
try:
    place.start()
    g = Gateway(place)
    check(g.get("/jobs/x")[0] == 404, "without keys this machine may ask")
    anna, bert, admin = key(place, "anna"), key(place, "bert"), key(place, "root", "--scope", "admin")
    known(g, admin)
    own(g, anna, bert, admin)
    ways(g, anna, "secret-1")
    limits(g, place)
    stored = place.redis_cli("HGETALL", "{sumi}:keys")
    check("anna" in stored and anna not in stored and anna[5:] not in stored, "only hashes are kept")
    listed = place.json("keys", "list")
    check([k["name"] for k in listed] == sorted(["anna", "bert", "root", "reader", "slow", "few"]) and anna not in str(listed), "keys list")
    for words, wanted in [(["add", "anna"], 1), (["add"], 2), (["add", "a b"], 2), (["add", "anonymous"], 2), (["add", "x", "--rate", "fast"], 2),
                          (["add", "x", "--scope", "god"], 2), (["add", "x", "--jobs", "0"], 2), (["revoke", "nobody"], 3), (["give", "x"], 2)]:
        check(place.sumi("keys", *words).returncode == wanted, f"keys {' '.join(words)}: exit {wanted}", place.sumi("keys", *words).stderr)
    waits = waiting(g, bert, admin)
    check(place.sumi("keys", "revoke", "bert").returncode == 0, "keys revoke")
    revoked(g, waits, admin)
    check(wait_for(lambda: g.get("/jobs/x", Authorization=f"Bearer {bert}")[0] == 401, 90), "and it opens nothing any more")
    check(g.get("/jobs/secret-1", Authorization=f"Bearer {anna}")[0] == 200, "the others do")
    log = g.log.read_text()
    check(anna not in log and "anna" not in log, "no key in the log")
    wide = Gateway(place, listen="127.0.0.1:0,0.0.0.0:0")
    check(wide.port > 0, "with keys it may listen to all")
    check(wide.stop() == 0 and g.stop() == 0, "both stop")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()

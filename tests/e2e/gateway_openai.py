#!/usr/bin/env python3
"""OpenAI's pictures, and that one request makes one picture however often it is sent."""
import base64, threading

from gateway_lib import *

TINY = {"steps": 3, "size": "64x64", "sampler": "ddim"}
PATH = "/v1/images/generations"


def jobs_with(g, prompt):
    return [j for j in g.get("/jobs?limit=500")[2]["jobs"] if j.get("prompt") == prompt]


def pictures(g):
    status, _, got = g.ask("POST", PATH, {"prompt": "a lake", **TINY})
    data = base64.b64decode(got["data"][0]["b64_json"])
    check(status == 200 and data[:4] == b"\x89PNG" and len(got["data"]) == 1 and got["output_format"] == "png" and got["created"] > 1e9, "a picture", str(got)[:300])
    check(int.from_bytes(data[16:20], "big") == 64 and int.from_bytes(data[20:24], "big") == 64, "of the size")
    again = g.ask("POST", PATH, {"prompt": "a lake", "seed": got["data"][0]["seed"], **TINY})[2]
    check(base64.b64decode(again["data"][0]["b64_json"]) == data, "its seed makes it again")
    other = g.ask("POST", PATH, {"prompt": "a lake", **TINY})[2]
    check(other["data"][0]["b64_json"] != got["data"][0]["b64_json"], "asked for again it is another")
    status, _, got = g.ask("POST", PATH, {"prompt": "two lakes", "n": 2, "output_format": "webp", "model": "gpt-image-2", "user": "x", "moderation": "low", "style": "vivid",
                                          "num_inference_steps": 2, "size": "64x64", "sampler": "ddim", "quality": "low"})
    check(status == 200 and len({d["b64_json"] for d in got["data"]}) == 2 and all(base64.b64decode(d["b64_json"])[:4] == b"RIFF" for d in got["data"]),
          "two, as WebP, of a model that nobody has", str(got)[:300])
    check(jobs_with(g, "two lakes")[0]["steps"] == 2 and jobs_with(g, "two lakes")[0].get("model") in (None, PACK), "by its usual name and steps that were asked for")
    for extra in [{"response_format": "url"}, {"model": "dall-e-2"}]:
        status, _, got = g.ask("POST", PATH, {"prompt": "an address", **TINY, **extra})
        url = got["data"][0].get("url", "")
        check(status == 200 and url.startswith(f"http://127.0.0.1:{g.port}/jobs/") and "b64_json" not in got["data"][0], f"an address: {extra}", str(got)[:300])
        check(g.get(url.split(str(g.port), 1)[1])[2][:4] == b"\x89PNG", "where it is")
    for body, param in [({}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": 7}, "prompt"), ({"prompt": "x", "n": 0}, "n"), ({"prompt": "x", "n": 11}, "n"), ({"prompt": "x", "n": "a"}, "n"),
                        ({"prompt": "x", "size": "big"}, "size"), ({"prompt": "x", "size": "9999x9999"}, "width"), ({"prompt": "x", "quality": "best"}, "quality"),
                        ({"prompt": "x", "output_format": "svg"}, "output_format"), ({"prompt": "x", "response_format": "bytes"}, "response_format"), ({"prompt": "x", "steps": 0}, "steps")]:
        status, _, got = g.ask("POST", PATH, body)
        check(status == 400 and got["error"]["param"] == param and got["error"]["type"] == "invalid_request_error" and got["error"]["message"], f"wrong: {body}", f"{status} {got}")
    status, headers, got = g.ask("POST", PATH, {"prompt": "x", "size": "65x65", "steps": 2})
    check(status == 400 and "65" in got["error"]["message"] and not g.get("/jobs?state=failed")[2]["jobs"], "what the model cannot do is refused at once", f"{status} {got}")
    sizes = []
    for quality in (20, 95):
        status, _, got = g.ask("POST", PATH, {"prompt": "x", **TINY, "output_format": "jpeg", "output_compression": quality})
        data = base64.b64decode(got["data"][0]["b64_json"]) if status == 200 else b""
        sizes.append(len(data))
        check(data[:3] == b"\xff\xd8\xff" and got["output_format"] == "jpeg" and b"Steps: 3".decode().encode("utf-16-be") in data, f"a JPEG of quality {quality}", str(got)[:300])
    check(sizes[0] < sizes[1], "compression counts", str(sizes))
    check(g.ask("POST", PATH, {"prompt": "x", **TINY, "output_format": "jpeg", "output_compression": 101})[0] == 400, "to 100")
    status, _, got = g.get("/v1/models")
    check(got["object"] == "list" and {"id": PACK, "object": "model", "created": 0, "owned_by": "sumi"} in got["data"], "models", str(got))
    check(g.get(f"/v1/models/{PACK}")[2]["id"] == PACK and g.get("/v1/models/none")[0] == 404, "one of them")


def streamed(g):
    body = {"prompt": "a stream", "stream": True, "partial_images": 2, **TINY, "steps": 300, "size": "256x256"}
    status, headers, got = g.ask("POST", PATH, body)
    events = [dict(l.split(": ", 1) for l in e.split("\n")) for e in got.decode().split("\n\n") if e and e[0] != ":"]
    kinds, data = [e["event"] for e in events], [json.loads(e["data"]) for e in events]
    check(status == 200 and headers["Content-Type"] == "text/event-stream" and kinds[-1] == "image_generation.completed" and
          set(kinds[:-1]) == {"image_generation.partial_image"} and len(kinds) <= 3, "a stream with partial pictures", f"{kinds}")
    check(all(d["type"] == k for d, k in zip(data, kinds)) and [d["partial_image_index"] for d in data[:-1]] == list(range(len(data) - 1)) and
          base64.b64decode(data[0]["b64_json"])[:4] == b"RIFF" and base64.b64decode(data[-1]["b64_json"])[:4] == b"\x89PNG", "small ones first, then the picture", str(kinds))
    ended = {}
    thread = threading.Thread(target=lambda: ended.update(got=g.ask("POST", PATH, {"prompt": "cut", "stream": True, "size": "256x256", "steps": 400})))
    thread.start()
    job = wait_for(lambda: [j["id"] for j in g.get("/jobs")[2]["jobs"] if j["prompt"] == "cut" and j["state"] == "running"], 90)
    g.ask("DELETE", f"/jobs/{job[0]}")
    thread.join(30)
    status, headers, got = ended["got"]
    check(status == 200 and b"event: error" in got and b'"error":{' in got, "what ends without a picture ends with an error", str(got)[:300])
    check(g.ask("POST", PATH, {"prompt": "x", "stream": True, "partial_images": 4})[0] == 400, "four are too many")


def send(g, body, **headers):
    """A request whose answer nobody waits for yet: its socket."""
    data = json.dumps(body).encode()
    s = socket.create_connection(("127.0.0.1", g.port), timeout=90)
    lines = [f"POST {PATH} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}"] + [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
    s.sendall("\r\n".join(lines + ["", ""]).encode() + data)
    return s


def answer(s):
    r = http.client.HTTPResponse(s)
    r.begin()
    data = r.read()
    s.close()
    return r.status, json.loads(data)


def once(g):
    """The queue is paused, so that nothing is answered before it shall be."""
    body = lambda prompt: {"prompt": prompt, "seed": 1, **TINY}
    sent = lambda prompt, n: wait_for(lambda: len(jobs_with(g, prompt)) == n and jobs_with(g, prompt), 90)
    g.ask("POST", "/queue/pause")
    s = send(g, body("broken"))
    check(sent("broken", 1), "a request becomes a job")
    s.close()
    time.sleep(0.3)
    retry = send(g, body("broken"))
    time.sleep(0.3)
    check(len(jobs_with(g, "broken")) == 1, "its connection broke: sent again it is the same job")
    tried = send(g, body("broken"), x_stainless_retry_count=1)
    time.sleep(0.3)
    check(len(jobs_with(g, "broken")) == 1, "one that says that it is tried again is the same, too")
    two = [send(g, body("equal")) for _ in range(2)]
    check(sent("equal", 2), "two equal ones at once are two jobs", str(len(jobs_with(g, "equal"))))
    named = [send(g, body("named"), Idempotency_Key="abc") for _ in range(3)]
    check(sent("named", 1), "three of one name are one job")
    time.sleep(0.3)
    check(len(jobs_with(g, "named")) == 1, "and stay one")
    status, got = answer(send(g, body("other"), Idempotency_Key="abc"))
    check(status == 422 and got["error"]["message"], "its name for another request", f"{status} {got}")
    status, _, got = g.ask("POST", "/jobs", {"prompt": "native", **QUICK}, {"Idempotency-Key": "k"})
    again = g.ask("POST", "/jobs", {"prompt": "native", **QUICK}, {"Idempotency-Key": "k"})
    check(status == 201 and again[0] == 200 and again[2]["id"] == got["id"] and sent("native", 1), "POST /jobs with a name", f"{got} {again}")
    check(g.ask("POST", "/jobs", {"prompt": "else", **QUICK}, {"Idempotency-Key": "k"})[0] == 422, "and its other use")
    lists = [g.ask("POST", "/jobs", [{"prompt": "listed", **QUICK}] * 2, {"Idempotency-Key": "l"})[2] for _ in range(2)]
    check(lists[0] == lists[1] and sent("listed", 2), "a list with a name", str(lists))
    killed = send(g, body("killed"))
    check(sent("killed", 1), "a job whose gateway is killed")
    g.kill()
    g2 = Gateway(g.place)
    g.process, g.port = g2.process, g2.port
    after = send(g, body("killed"), x_stainless_retry_count=0)
    time.sleep(0.5)
    check(len(jobs_with(g, "killed")) == 1, "sent again to the next one it is that job")
    left = send(g, body("left"))
    check(sent("left", 1), "a client that will have left when its picture is there")
    left.close()
    back = [send(g, body("broken")), send(g, body("named"), Idempotency_Key="abc")]
    g.ask("POST", "/queue/resume")
    check(answer(after)[0] == 200, "which answers")
    first, second = (answer(s) for s in back)
    check(first[0] == second[0] == 200 and len(jobs_with(g, "broken")) == len(jobs_with(g, "named")) == 1, "and so do the others, one job each", f"{first}"[:200])
    for s in [retry, tried, killed, *two, *named]:
        s.close()
    done = wait_for(lambda: jobs_with(g, "left")[0]["state"] == "done", 90)
    check(done and answer(send(g, body("left")))[0] == 200 and len(jobs_with(g, "left")) == 1, "asked for again it is that one")
    last = answer(send(g, body("broken")))
    check(last[0] == 200 and len(jobs_with(g, "broken")) == 2, "what was answered is a new job when it is sent again", f"{last[1].get('job')} {[j['id'] for j in jobs_with(g, 'broken')]}")


def slow(g, place, result):
    """An answer that takes long: its head and spaces after 45 seconds."""
    s = send(g, {"prompt": "slow", **TINY})
    start = time.monotonic()
    head = s.recv(4000)
    result.update(waited=time.monotonic() - start, head=head)
    place.start()
    data = b""
    while part := s.recv(65536):
        data += part
        if b"\r\n0\r\n\r\n" in data:
            break
    result["body"] = head + data


def slowly(g, place):
    """Where no daemon runs yet."""
    result = {}
    lying = [g.ask("POST", "/jobs", {"prompt": p, "id": p, **QUICK})[2]["id"] for p in ("lies-1", "lies-2")]
    rows = lambda path: {j["id"]: j["state"] for j in g.get(path)[2]["jobs"]}
    check(rows("/jobs") == dict.fromkeys(lying, "queued") and rows("/jobs?modality=audio") == {} and len(rows("/jobs?limit=1")) == 0, "what no daemon has taken in yet is listed", str(rows("/jobs")))
    check(g.ask("DELETE", "/jobs/lies-1")[2]["state"] == "cancelled" and g.ask("DELETE", "/jobs/lies-2")[0] == 200, "and can be cancelled")
    broken = send(g, {"prompt": "to be cancelled", **TINY})
    thread = threading.Thread(target=slow, args=(g, place, result))
    thread.start()
    head = broken.recv(4000)
    check(head.startswith(b"HTTP/1.1 200"), "after 45 s it begins", str(head[:60]))
    sent = re.search(r'"id":"(\w+)"[^\n]*to be cancelled', place.redis_cli("XRANGE", "{sumi}:in", "-", "+"))
    if sent:
        place.redis_cli("XADD", "{sumi}:in", "*", "op", "cancel", "id", sent[1])
    rest = b""
    while part := broken.recv(4000):
        rest += part
    check(b"\r\n0\r\n\r\n" not in rest, "what fails then breaks off", str(rest))
    again = send(g, {"prompt": "to be cancelled", **TINY}, x_stainless_retry_count=1)
    r = http.client.HTTPResponse(again)
    r.begin()
    check(r.status == 409 and r.getheader("x-should-retry") == "false" and "cancelled" in r.read().decode() and len(jobs_with(g, "to be cancelled")) == 1,
          "who asks again hears why, of the same job", f"{r.status} {r.headers}")
    check(answer(send(g, {"prompt": "to be cancelled", **TINY}))[0] == 200 and len(jobs_with(g, "to be cancelled")) == 2, "and has been told then: an equal one is new")
    thread.join(60)
    check(44 < result["waited"] < 60 and result["head"].startswith(b"HTTP/1.1 200") and b"Transfer-Encoding: chunked" in result["head"], "the head and a space after 45 s", str(result["head"]))
    chunks, rest, text = [], result["body"].split(b"\r\n\r\n", 1)[1], b""
    while rest:
        size, rest = rest.split(b"\r\n", 1)
        chunks.append(rest[:int(size, 16)])
        rest = rest[int(size, 16) + 2:]
    check(chunks[0] == b" " and json.loads(b"".join(chunks))["data"][0]["b64_json"], "and then the picture", str(chunks)[:100])


place = Place(preview="1ms")
redis = Redis(place.parent / "other").start()
patient = Place("patient", parent=place.parent, redis=redis.url)
try:
    waiting = Gateway(patient)
    beside = threading.Thread(target=slowly, args=(waiting, patient))  # it waits most of the time
    beside.start()
    place.start()
    g = Gateway(place)
    pictures(g)
    streamed(g)
    once(g)
    beside.join()
    check(g.stop() == 0 and waiting.stop() == 0, "it stops")
finally:
    for one in (patient, place):
        if one.daemon:
            one.stop()
    redis.stop()
    place.remove()
finish()

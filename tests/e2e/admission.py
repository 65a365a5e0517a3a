#!/usr/bin/env python3
"""What can be known of a job when it comes is said then: rejected by the queue with the reason, before any step."""
from gateway_lib import Gateway
from lib import *

BASE = {"modality": "image", "prompt": "ink", "width": 64, "height": 64, "steps": 1}
MOST = 2**64 - 1


def send(place, id, **fields):
    place.redis_cli("XADD", "{sumi}:in", "*", "job", json.dumps({"id": id, **BASE, **fields}))
    return place.sumi("wait", id, timeout=240)


def refusals(place):
    """Every sender hears it, also one that speaks to Redis alone."""
    cases = [("a hidden id", {"id": ".dot"}, "id"),
             ("a sampler that nobody knows", {"sampler": "magic"}, "magic"),
             ("a schedule that nobody knows", {"scheduler": "lunar"}, "lunar"),
             ("a size that the pack cannot make", {"width": 68}, "multiple of"),
             ("a field of videos", {"fps": 8}, "fps"),
             ("a format of sounds", {"format": "ogg"}, "ogg"),
             ("a mood for a picture", {"mood": "calm"}, "mood"),
             ("a model of another modality", {"model": "sound-tiny"}, "audio"),
             ("a fast model where there is none", {"fast": True}, "fast"),
             ("a mood that the pack has not", {"modality": "audio", "model": "sound-tiny", "mood": "furious",
                                               "width": None, "height": None}, "furious"),
             ("a beginning behind the end", {"guidance_start": 0.6, "guidance_end": 0.5}, "guidance"),
             ("nothing made anew", {"init": "other", "strength": 0}, "strength"),
             ("a schedule that the sampler does not take", {"sampler": "ddim", "scheduler": "karras"}, "ddim"),
             ("no step left for a picture", {"init": "other", "strength": 0.01, "steps": 5}, "strength"),
             ("layers that the text encoder has not", {"clip_skip": 11}, "clip_skip"),
             ("skips that the model has not", {"deep_cache": 2, "deep_cache_level": 60}, "deep_cache_level"),
             ("a cache for sounds", {"modality": "audio", "model": "sound-tiny", "deep_cache": 2, "width": None, "height": None},
              "deep_cache"),
             ("more steps than the sampler has", {"sampler": "lcm", "steps": 900}, "steps"),
             ("a seed of 65 bits", {"seed": MOST + 1}, "seed"),
             ("a tag that a terminal would obey", {"tags": ["\u001b[2J"]}, "tags")]
    for i, (name, fields, word) in enumerate(cases):
        id = fields.pop("id", f"bad-{i}")
        place.redis_cli("XADD", "{sumi}:in", "*", "job", json.dumps({"id": id, **BASE, **fields}))
        reason = wait_for(lambda: next((e for e in place.redis_cli("XREVRANGE", "{sumi}:dead", "+", "-", "COUNT", 1).split("\n")
                                        if word in e), ""), 30)
        check(reason and "rejected" in place.redis_cli("XREVRANGE", "{sumi}:dead", "+", "-", "COUNT", 1),
              f"refused at admission: {name}", place.redis_cli("XREVRANGE", "{sumi}:dead", "+", "-", "COUNT", 1))
    check(place.redis_cli("HGET", "{sumi}:counters", "rejected") == str(len(cases)), "none of them was begun",
          place.redis_cli("HGETALL", "{sumi}:counters"))


def seeds(place):
    """All 64 bits, in every form, to the file and back."""
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "flat", "modality", "image", "prompt", "ink", "seed", MOST,
                    "width", 64, "height", 64, "steps", 1, "n", 2)
    place.sumi("wait", "flat")
    row = place.json("show", "flat")
    got = sorted(str(a["seed"]) for a in row["artifacts"])
    check(got == ["0", str(MOST)], "variants of the last seed go on with 0", str(row))
    check(str(MOST) in place.sumi("show", "flat").stdout, "show prints it")
    send(place, "number", seed=2**63)
    out = place.sumi("fetch", "number", "-o", "number.webp")
    check(out.returncode == 0, "a seed as a JSON number", out.stderr)
    again = place.sumi("again", "number.webp", "-o", "again.webp")
    check(again.returncode == 0 and sha256(place.dir / "again.webp") == sha256(place.dir / "number.webp"),
          "again makes it from the file", again.stderr)
    send(place, "text", seed=str(2**63))
    place.sumi("fetch", "text", "-o", "text.webp")
    check(sha256(place.dir / "text.webp") == sha256(place.dir / "number.webp"), "a seed as a JSON text is the same one")
    done = place.sumi("image", "ink", "--seed", 2**63, "--width", 64, "--height", 64, "--steps", 1, "-o", "cli.webp")
    check(done.returncode == 0 and sha256(place.dir / "cli.webp") == sha256(place.dir / "number.webp"),
          "and on the command line", done.stderr)
    data = (place.dir / "number.webp").read_bytes()
    old = data.replace(b'"seed":"9223372036854775808"', b'"seed":-9223372036854775808 ')
    (place.dir / "old.webp").write_bytes(old)
    again = place.sumi("again", "old.webp", "-o", "mended.webp")
    check(old != data and again.returncode == 0 and sha256(place.dir / "mended.webp") == sha256(place.dir / "number.webp"),
          "again mends what older versions wrote", again.stderr)
    low = place.sumi("render", "ink", "--pack", PACKS / PACK, "--seed", 2**63 - 1, "-n", 2, "--width", 64, "--height", 64,
                     "--steps", 1, "-o", "low.webp")
    high = place.dir / "low-2.webp"
    check(low.returncode == 0 and sha256(high) == sha256(place.dir / "number.webp"), "a seed beside the border of 63 bits",
          low.stderr)
    with contextlib.closing(place.db()) as con:
        stored = {r["id"]: r["seed"] % 2**64 for r in
                  con.execute("select j.id as id, a.seed as seed from artifacts a join jobs j on j.key = a.job")}
    check(stored["number"] == 2**63, "the store keeps it", str(stored))


# Fields that name a file to start from, as a job has them.
NAMING = {"init": lambda x: {"init": x},
          "mask": lambda x: {"init": "web-0", "mask": x},
          "controls, entry 1, image": lambda x: {"controls": [{"model": "my-canny", "image": x}]},
          "scenes, entry 1, video": lambda x: {"modality": "film", "width": None, "height": None, "steps": None,
                                               "scenes": [{"video": x}]},
          "music, entry 1, sound": lambda x: {"modality": "film", "width": None, "height": None, "steps": None,
                                              "scenes": [{"video": "web-0"}], "music": [{"sound": x}]}}


def sources(place):
    """What a job starts from and that will not come is known at once; what may come is waited for, as `after` is."""
    place.sumi("models", "add", PACKS / "steering" / "sd1-a", "--name", "my-canny")
    place.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: place.new_log().count(b"worker.ready") >= 2, 60)
    place.redis_cli("XADD", "{sumi}:in", "*", "op", "pause")
    send_only(place, "web-0", seed=2)
    for number, (field, fields) in enumerate(NAMING.items()):
        for kind, name in (("result", "nobody-1"), ("file", "ab" * 32)):
            error = refused_job(place, f"{kind}-{number}", BASE, fields(name))
            check(error.startswith(field) and name in error and ("nobody has sent" in error or "neither in the queue" in error),
                  f"{field}: a {kind} that nobody sent", error)
    gone = place.redis_cli("HGET", "{sumi}:job:result-0", "error")
    check("'nobody-1'" in gone and "'after'" in gone and gone.startswith("init: "), "it says what to do", gone)
    said = place.sumi("image", "x", "--width", 64, "--height", 64, "--init", "nobody-1", "--detach")
    check(said.returncode == 3 and said.stderr == f"sumi: {gone}\n", "the command line says the same", said.stderr)
    gateway = Gateway(place)
    for body, why in (({"init": "nobody-1"}, gone), ({"init": "ab" * 32}, "neither in the queue")):
        status, _, answer = gateway.ask("POST", "/jobs", {**BASE, **body})
        check(status == 400 and why in answer["error"]["message"], "so does the gateway", (status, answer))
    # On its way, or being made: it is waited for, whatever the order.
    status, _, answer = gateway.ask("POST", "/jobs", [{**BASE, "id": "web-2", "init": "web-1", "strength": 1}, {**BASE, "id": "web-1", "seed": 3}])
    gateway.stop()
    check(status == 201, "a list may name what stands behind", answer)
    send_only(place, "late", init="first-1", strength=1, after=["first"])
    send_only(place, "web-3", init="web-1-1", strength=1)
    (place.dir / "turned.jsonl").write_text("".join(json.dumps({**BASE, **f}) + "\n" for f in (
        {"id": "turned-2", "init": "turned-1", "strength": 1}, {"id": "turned-1", "seed": 3})))
    done = place.sumi("batch", "turned.jsonl")
    check(done.returncode == 0 and "warning" not in done.stderr, "a list in the other order", done.stderr)
    (place.dir / "wrong.jsonl").write_text(json.dumps({**BASE, "seed": 1}) + "\n" + json.dumps({**BASE, "init": "turned-9"}) + "\n")
    done = place.sumi("batch", "wrong.jsonl")
    check(done.returncode == 3 and "wrong.jsonl:2" in done.stderr and "turned-9" in done.stderr and not done.stdout,
          "a list that names what nobody sends is told of before a line is sent", done.stderr)
    waits = {id: wait_for(lambda: place.redis_cli("HGET", f"{{sumi}}:job:{id}", "after"), 90) for id in ("late", "web-3", "turned-2", "web-2")}
    check(waits == {"late": "first", "web-3": "web-1", "turned-2": "turned-1", "web-2": "web-1"}, "each waits for whom it names", waits)
    check("nobody has sent" in place.sumi("show", "late").stdout, "and says so of one that nobody has sent")
    place.sumi("resume")
    place.sumi("wait", "web-0", "web-1", "web-3", "turned-1", "turned-2", "web-2")
    states = {id: place.redis_cli("HGET", f"{{sumi}}:job:{id}", "state") for id in ("web-1", "web-2", "web-3", "turned-2", "late")}
    check(states == {"web-1": "done", "web-2": "done", "web-3": "done", "turned-2": "done", "late": "blocked"}, "and they are made", [states, place.redis_cli("HGET", "{sumi}:job:web-2", "error")])
    # A strength that is left open leaves no step either.
    few = refused_job(place, "few", BASE, {"init": "web-1-1"})
    said = place.sumi("image", "x", "--steps", 1, "--init", "web-1-1", "--detach")
    check("leaves none" in few and said.returncode == 2 and "leaves none" in said.stderr,
          "too few steps for the usual strength: told before a job waits for it", (few, said.stderr))
    (place.dir / "few.jsonl").write_text(json.dumps({**BASE, "init": "web-1-1"}) + "\n")
    done = place.sumi("batch", "few.jsonl")
    check(done.returncode == 2 and "few.jsonl:1" in done.stderr and "leaves none" in done.stderr, "in a list", done.stderr)
    gateway = Gateway(place)
    status, _, answer = gateway.ask("POST", "/jobs", {**BASE, "init": "web-1-1"})
    gateway.stop()
    check(status == 400 and "leaves none" in answer["error"]["message"], "and over HTTP", (status, answer))
    # Sent in one breath, either first: the first rings, and the other lies there before anybody has looked.
    for k in range(4):
        place.redis_cli("EVAL", "for _, job in ipairs(ARGV) do redis.call('XADD', KEYS[1], '*', 'job', job) end", 1, "{sumi}:in",
                        *[json.dumps({**BASE, "id": f"breath-{k}-{i}", **({"init": f"breath-{k}-1", "strength": 1} if i == 0 else {})})
                          for i in (0, 1)])
    ids = [f"breath-{k}-{i}" for k in range(4) for i in (0, 1)]
    done = place.sumi("wait", *ids)
    check(done.returncode == 0, "sent in one breath: it is waited for", done.stderr)
    error = refused_job(place, "fifth", BASE, {"init": "web-1-5", "strength": 1})
    check(error == "init: job web-1 is done and has no result 'web-1-5'", "a result that an ended job has not", error)
    send_only(place, "first", seed=4)
    check(place.sumi("wait", "late").returncode == 0, "what was waited for has come")


def send_only(place, id, **fields):
    place.redis_cli("XADD", "{sumi}:in", "*", "job", json.dumps({"id": id, **BASE, **fields}))


def attempts(place):
    """max_attempts of sumi.conf is for jobs that do not say."""
    place.stop()
    place.configure(max_attempts=1)
    place.start()
    send(place, "one")
    send(place, "own", max_attempts=4)
    have = [place.redis_cli("HGET", f"{{sumi}}:job:{id}", "max_attempts") for id in ("one", "own")]
    check(have == ["1", "4"], "max_attempts of sumi.conf holds where the job does not say", str(have))
    place.configure(max_attempts=2)
    place.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: place.new_log().count(b"worker.ready") >= 2, 60)
    send(place, "two")
    check(place.redis_cli("HGET", "{sumi}:job:two", "max_attempts") == "2", "also after a reload")


def main():
    place = Place()
    try:
        place.start()
        refusals(place)
        seeds(place)
        sources(place)
        attempts(place)
    finally:
        place.remove()
    finish()


main()

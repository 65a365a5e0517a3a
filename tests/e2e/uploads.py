#!/usr/bin/env python3
"""What jobs start from: sent as content, found by its SHA-256, kept as long as it is needed; paths only where the
settings allow them."""
import os, shutil, stat, struct, subprocess, zlib

from lib import *

QUICK = ["--width", 64, "--height", 64, "--steps", 2, "--strength", 0.6]
JOB = {"modality": "image", "prompt": "ink", "width": 64, "height": 64, "steps": 2, "strength": 0.6}
DAY = 86400
jpegs = iter(range(1000))


def jpeg(path):
    """A small JPEG of its own bytes: a comment makes each another file."""
    data = (ROOT / "tests/vectors/start.jpg").read_bytes()
    note = f"file {next(jpegs)} of {os.getpid()}".encode()
    path.write_bytes(data[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + data[2:])
    return path


def key(sha):
    return f"{{sumi}}:input:{sha}"


def send(place, path, *options):
    sha = sha256(path)
    assert place.redis_cli("SET", key(sha), path.read_bytes(), *options) == "OK"
    return sha


def submit(place, id, **fields):
    flat = [str(x) for pair in {**JOB, **fields, "id": id}.items() for x in pair]
    place.redis_cli("XADD", "{sumi}:in", "*", *flat)
    wait_for(lambda: place.redis_cli("HGET", f"{{sumi}}:job:{id}", "state") in ("done", "failed"), 60)
    return place.redis_cli("HGET", f"{{sumi}}:job:{id}", "error")


def ttl(place, sha):
    return int(place.redis_cli("TTL", key(sha)))


def metadata(path):
    """sumi's JSON inside a WebP, without the tool under test."""
    text = pathlib.Path(path).read_bytes()
    begin = text.index(b"<sumi:json>") + len(b"<sumi:json>")
    return json.loads(text[begin:text.index(b"</sumi:json>")].replace(b"&quot;", b'"').replace(b"&amp;", b"&"))


def png(width, height, stream):
    """Sound to its headers and checksums; what is in it is found when it is decoded."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", stream) + chunk(b"IEND", b""))


def sent_by_sumi(place):
    photo = jpeg(place.dir / "photo.jpg")
    done = place.sumi("image", "ink", *QUICK, "--init", "photo.jpg", "--seed", 5, "--id", "from-photo", "-o", "a.webp")
    check(done.returncode == 0, "a picture from a JPEG", done.stderr)
    sha = sha256(photo)
    check(metadata(place.dir / "a.webp").get("init") == sha, "its metadata name the file by its SHA-256")
    check(place.json("show", "from-photo")["init"] == sha, "and so does the job")
    check(0 < ttl(place, sha) <= DAY, "a day after its job the queue forgets the file", ttl(place, sha))
    place.redis_cli("DEL", key(sha))
    photo.unlink()
    done = place.sumi("again", "a.webp", "-o", "b.webp")
    check(done.returncode == 0 and sha256(place.dir / "a.webp") == sha256(place.dir / "b.webp"),
          "again makes the same bytes when queue and folder have forgotten it", done.stderr)
    done = place.sumi("image", "ink", *QUICK, "--init", "from-photo", "-o", "c.webp")
    again = place.sumi("image", "ink", *QUICK, "--init", "from-photo-1", "-o", "d.webp")
    check(done.returncode == 0 and again.returncode == 0 and
          metadata(place.dir / "c.webp")["init"] == metadata(place.dir / "d.webp")["init"] == sha256(place.dir / "a.webp"),
          "a result by its job's id, and by its file's name", done.stderr + again.stderr)
    done = place.sumi("image", "ink", *QUICK, "--init", sha256(place.dir / "a.webp"), "-o", "e.webp")
    check(done.returncode == 0, "a result by its SHA-256", done.stderr)
    twice = place.json("image", "ink", *QUICK, "-n", 2, "--id", "pair", "-o", "pair.webp")
    done = place.sumi("image", "ink", *QUICK, "--init", "pair-2", "-o", "f.webp")
    check(done.returncode == 0 and metadata(place.dir / "f.webp")["init"] == sha256(place.dir / "pair-2.webp"),
          "the second of two results", done.stderr + str(twice))
    done = place.sumi("image", "ink", *QUICK, "--init", "pair-3", "-o", "g.webp")
    check(done.returncode == 3 and "pair-3" in done.stderr, "a result that is not there", done.stderr)
    shutil.copy(place.dir / "c.webp", place.dir / "shown.webp")
    done = place.sumi("render", "ink", *QUICK, "--pack", PACKS / PACK, "--seed", 5, "--init", "shown.webp", "-o", "r.webp")
    check(done.returncode == 0 and metadata(place.dir / "r.webp")["init"] == sha256(place.dir / "shown.webp"),
          "render reads the file itself", done.stderr)


def refused_by_sumi(place):
    (place.dir / "text.png").write_text("no picture at all")
    (place.dir / "half.jpg").write_bytes(jpeg(place.dir / "whole.jpg").read_bytes()[:60])
    (place.dir / "flat.png").write_bytes(png(64, 64, b"no zlib stream"))
    with open(place.dir / "huge.png", "wb") as f:
        f.truncate((32 << 20) + 1)
    for name, word in [("text.png", "JPEG"), ("half.jpg", "cut off"), ("flat.png", "flat.png"), ("huge.png", "32 MiB"),
                       ("none.png", "no file"), ("no/none.png", "no file"), (".", "folder")]:
        done = place.sumi("image", "ink", *QUICK, "--init", name)
        check(done.returncode in (1, 2, 3) and word in done.stderr and done.stderr.count("\n") == 1,
              f"{name} is refused before anything is sent", f"{done.returncode} {done.stderr}")
    check(place.redis_cli("EXISTS", key(sha256(place.dir / "text.png"))) == "0", "and nothing of it lies in the queue")
    done = place.sumi("render", "ink", *QUICK, "--pack", PACKS / PACK, "--init", "flat.png", "-o", "no.webp")
    check(done.returncode == 2 and "flat.png" in done.stderr and done.stderr.count("\n") == 1, "render names it too", done.stderr)


def example(place):
    """The one of PROTOCOL.md, word for word."""
    client = shutil.which("redis-cli") or shutil.which("valkey-cli")
    if not client:
        print("skip PROTOCOL.md's two commands: no redis-cli")
        return
    text = (ROOT / "queue" / "PROTOCOL.md").read_text()
    script = next(part.split("```")[0] for part in text.split("```sh\n")[1:] if "photo.jpg" in part.split("```")[0])
    bin, photo = place.dir / "bin", jpeg(place.dir / "photo.jpg")
    bin.mkdir()
    (bin / "redis-cli").write_text(f"#!/bin/sh\nexec {client} -s {place.state}/redis/redis.sock \"$@\"\n")
    (bin / "redis-cli").chmod(0o755)
    done = subprocess.run(["sh", "-c", script], cwd=place.dir, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"})
    check(done.returncode == 0 and place.sumi("wait", "hello-4").returncode == 0, "PROTOCOL.md's two commands", done.stderr)
    check(place.json("show", "hello-4")["init"] == sha256(photo), "start from the file")


def plain_commands(place):
    photo = jpeg(place.dir / "plain.jpg")
    sha = send(place, photo)
    check(submit(place, "plain", init=sha) == "", "two plain commands: SET and XADD")
    sha = send(place, jpeg(place.dir / "plain2.jpg"))
    check(submit(place, "prefixed", init="sha256:" + sha.upper()) == "", "sha256: and capitals are as good")
    sha = sha256(jpeg(place.dir / "other.jpg"))
    place.redis_cli("SET", key(sha), "something else")
    error = submit(place, "swapped", init=sha)
    check(sha in error and sha256_of("something else") in error, "other bytes under a file's name are told", error)
    error = submit(place, "missing", init="0" * 64)
    check("0" * 64 in error and "send the file" in error, "a file that nobody has sent", error)
    send(place, place.dir / "other.jpg")
    place.sumi("retry", "swapped")
    check(place.sumi("wait", "swapped").returncode == 0, "and the job goes when it is mended")
    place.redis_cli("LPUSH", key("1" * 64), "a list")
    check("1" * 64 in submit(place, "list", init="1" * 64), "what is no string holds up nobody")
    place.redis_cli("DEL", key("1" * 64))
    sha = send(place, jpeg(place.dir / "odd.jpg"))
    odd = ["{sumi}:inputs", "{sumi}:inputs:bytes", f"{{sumi}}:uses:{sha}"]
    for name in odd:
        place.redis_cli("DEL", name)
        place.redis_cli("SET", name, "no such thing")
    check(submit(place, "odd", init=sha) == "", "nor do keys of another shape in the account of files")
    for name in odd:
        place.redis_cli("DEL", name)
    with open(place.dir / "fat.bin", "wb") as f:
        f.truncate((32 << 20) + 1)
    error = submit(place, "fat", init=send(place, place.dir / "fat.bin"))
    check(str((32 << 20) + 1) in error, "a file that is too large fails its job", error)
    check(place.redis_cli("EXISTS", key(sha256(place.dir / "fat.bin"))) == "0", "and is dropped")
    for kind in ("text.png", "half.jpg", "flat.png"):
        error = submit(place, "bad-" + kind, init=send(place, place.dir / kind))
        check(error.startswith("init ") and "\n" not in error, f"{kind} is refused by the worker too", error)


def sha256_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def kept_while_needed(place):
    place.sumi("pause")
    photo = jpeg(place.dir / "kept.jpg")
    sha = sha256(photo)
    for id in ("wait-1", "wait-2"):
        place.sumi("image", "ink", *QUICK, "--init", photo, "--id", id, "--detach", "--not-before", "2099-01-01")
    place.sumi("list")
    check(ttl(place, sha) == -1 and place.redis_cli("ZSCORE", "{sumi}:inputs", sha) == "inf",
          "a delayed job's file does not expire", ttl(place, sha))
    total = lambda: int(place.redis_cli("HGET", "{sumi}:inputs:bytes", "total") or 0)
    before = total()
    told = place.json("status")
    check(told["input_bytes"] == before > 0 and told["inputs"] > 0 and "to start from" in place.sumi("status").stdout,
          "status says how much waits in the queue", told)
    check(int(place.redis_cli("HGET", "{sumi}:inputs:bytes", sha)) == photo.stat().st_size, "it is counted once")
    place.sumi("cancel", "wait-1")
    check(ttl(place, sha) == -1, "one of two jobs is cancelled: it stays")
    place.sumi("cancel", "wait-2")
    check(0 < ttl(place, sha) <= DAY and place.redis_cli("EXISTS", f"{{sumi}}:uses:{sha}") == "0",
          "both are: it goes in a day")
    place.sumi("retry", "wait-2")
    check(ttl(place, sha) == -1, "retry keeps it again")
    place.sumi("cancel", "wait-2")
    place.redis_cli("DEL", key(sha))
    place.redis_cli("ZADD", "{sumi}:inputs", 1, sha)
    stray = send(place, jpeg(place.dir / "stray.jpg"))
    check(ttl(place, stray) == -1, "somebody leaves a file and never sends a job")
    gone = sha256(jpeg(place.dir / "gone.jpg"))
    place.redis_cli("SADD", f"{{sumi}}:uses:{gone}", "never-was")
    place.redis_cli("ZADD", "{sumi}:inputs", "inf", gone)
    orphan = place.state / "blobs" / "00" / "00" / ("0" * 64 + ".input")
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"nobody's")
    place.stop()
    place.start()
    check(wait_for(lambda: 0 < ttl(place, stray) <= 3600, 90), "which gets an hour", ttl(place, stray))
    check(place.redis_cli("ZSCORE", "{sumi}:inputs", sha) == "" and total() < before + 100000, "the count follows what expires")
    check(place.redis_cli("ZSCORE", "{sumi}:inputs", gone) not in ("inf",), "jobs that were deleted by hand hold nothing")
    check(not orphan.exists(), "a blob that no result was made from goes")
    place.sumi("resume")
    sha = sha256(place.dir / "a.webp")
    check(place.sumi("again", "c.webp", "-o", "again-c.webp").returncode == 0 and
          sha256(place.dir / "c.webp") == sha256(place.dir / "again-c.webp"), "others stay")


def lists(place):
    folder = place.dir / "lists"
    folder.mkdir()
    photo = jpeg(folder / "near.jpg")
    rows = [{**JOB, "id": f"row-{i}", "init": "near.jpg", "seed": i} for i in range(3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = place.sumi("batch", "lists/rows.jsonl")
    check(done.returncode == 0 and done.stdout.split() == ["row-0", "row-1", "row-2"], "paths count from the list's folder",
          done.stderr)
    check(place.sumi("wait", "row-0", "row-1", "row-2").returncode == 0 and
          {place.json("show", f"row-{i}")["init"] for i in range(3)} == {sha256(photo)}, "one file for three jobs")
    rows[2]["init"] = "far.jpg"
    rows[1]["init"] = "none/far.jpg"
    (folder / "bad.jsonl").write_text("".join(json.dumps({**r, "id": r["id"] + "-bad"}) + "\n" for r in rows))
    done = place.sumi("batch", "lists/bad.jsonl")
    check(done.returncode in (2, 3) and "bad.jsonl:2" in done.stderr and "none/far.jpg" in done.stderr and not done.stdout,
          "a file that is not there is told with its line, and nothing is sent", done.stderr)


def paths(place):
    inside, outside = place.dir / "inputs", place.dir / "outside"
    inside.mkdir()
    outside.mkdir()
    photo, secret = jpeg(inside / "ok.jpg"), jpeg(outside / "secret.jpg")
    (inside / "link.jpg").symlink_to(secret)
    (inside / "dangling.jpg").symlink_to(outside / "none.jpg")
    (inside / "own.jpg").symlink_to("ok.jpg")
    (inside / "folder").symlink_to(outside)
    os.mkfifo(inside / "pipe.jpg")
    before = submit(place, "path-0", init=photo)
    check("input_dirs" in before, "no path is read where the settings name no folder", before)
    place.stop()
    place.configure(input_dirs=f"/nowhere:{inside}")
    place.start()
    doctor = {f["text"].split(":")[0]: f["level"] for f in json.loads(place.sumi("doctor", "--json").stdout) if f["what"] == "inputs"}
    check(doctor == {"/nowhere": "warning", str(inside): "fine"}, "doctor looks at the folders", doctor)
    check(submit(place, "path-1", init=photo) == "", "a path below a folder of input_dirs")
    check(submit(place, "path-2", init=inside / "own.jpg") == "", "a link within it")
    shown = place.json("show", "path-1")
    check(metadata([a["path"] for a in shown["artifacts"]][0])["init"] == sha256(photo), "metadata have no path")
    refused = {name: submit(place, f"path-x{i}", init=name) for i, name in enumerate(
        [secret, outside / "none.jpg", inside / "link.jpg", inside / "dangling.jpg", inside / ".." / "outside" / "secret.jpg",
         inside / ".." / "outside" / "none.jpg", inside / "folder" / "secret.jpg", inside / "folder" / "none.jpg",
         inside / "none.jpg", inside, inside / "pipe.jpg", f"{inside}-other/x.jpg", "inputs/ok.jpg", "/etc/passwd", "/etc/none"])}
    said = {error.replace(str(name), "X") for name, error in refused.items()}
    check(len(said) == 1 and "" not in said, "whatever is not allowed gets one and the same answer", said)


def limits(place):
    place.stop()
    place.configure(input_memory="100K")
    place.start()
    place.sumi("pause")
    files = [jpeg(place.dir / f"many-{i}.jpg") for i in range(3)]
    for f in files:
        f.write_bytes(f.read_bytes() + bytes(40000))
    for i in (0, 1):
        place.sumi("image", "ink", *QUICK, "--init", files[i], "--id", f"many-{i}", "--detach")
    place.sumi("list")
    done = place.sumi("image", "ink", *QUICK, "--init", files[2], "--detach")
    check(done.returncode != 0 and "input_memory" in done.stderr and done.stderr.count("\n") == 1,
          "more than all may take is refused", done.stderr)
    error = submit(place, "many-2", init=send(place, files[2]))
    check("input_memory" in error, "and by hand too", error)
    place.sumi("cancel", "many-0")
    done = place.sumi("image", "ink", *QUICK, "--init", files[2], "--detach", "--id", "many-3")
    check(done.returncode == 0, "what no job needs makes way", done.stderr)
    place.sumi("resume")
    check(place.sumi("wait", "many-1", "many-3").returncode == 0, "and they are made")


def other_hosts(parent):
    redis = Redis(parent).start()
    here = Place("here", redis=redis.url, parent=parent)
    there = Place("there", redis=redis.url, parent=parent)
    try:
        photo = jpeg(here.dir / "photo.jpg")
        done = here.sumi("image", "ink", *QUICK, "--init", "photo.jpg", "--id", "far", "--detach")
        check(redis.cli("TTL", key(sha256(photo))) == "-1", "without a daemon a file does not expire: its job has not come in")
        redis.cli("ZADD", "{sumi}:inputs", 1, sha256(photo))
        there.start()
        check(here.sumi("wait", "far").returncode == 0, "a worker that does not see the file's folder has the file", done.stderr)
        blob = there.state / "blobs" / sha256(photo)[:2] / sha256(photo)[2:4] / (sha256(photo) + ".input")
        here.start()
        there.stop()
        made = here.sumi("image", "ink", *QUICK, "--seed", 3, "--id", "mine", "-n", 2, "-o", "mine.webp")
        check(made.returncode == 0, "another host makes pictures", made.stderr)
        wait_for(lambda: "job.done id=mine" in here.log.read_text().replace("process=worker.0 ", ""))
        wait_for(lambda: len(visible(here).get("mine", {})) == 2)
        os.kill(here.workers()[0], signal.SIGSTOP) # idle: it holds no lock of the database
        there.start()
        redis.cli("XADD", "{sumi}:in", "*", *[str(x) for p in {**JOB, "id": "second", "init": "mine-2"}.items() for x in p])
        done = there.sumi("wait", "second")
        check(done.returncode == 0, "a result of another host, by its name", done.stderr)
        shown = [a["path"] for a in there.json("show", "second").get("artifacts", [])]
        check(shown and metadata(shown[0])["init"] == sha256(here.dir / "mine-2.webp"), "it is the one that was named")
        os.kill(here.workers()[0], signal.SIGCONT)
        check(blob.exists() and stat.S_IMODE(blob.stat().st_mode) == 0o640, "and keeps it for those who make it again")
    finally:
        here.kill()
        there.remove()
        redis.stop()


def modes(place):
    """Prompts and pictures are for the daemon's user and group, whatever the shell's mask."""
    old = os.umask(0)
    try:
        loose = Place("loose", parent=place.parent)
        (loose.dir / "state").mkdir()
        (loose.dir / "state" / "sumi.db").touch(0o666)
        loose.start()
        photo = jpeg(loose.dir / "photo.jpg")
        done = loose.sumi("image", "ink", *QUICK, "--init", photo, "-o", "x.webp")
        check(done.returncode == 0, "a job with a mask of 0", done.stderr)
        wrong = [str(p) for p in loose.state.rglob("*")
                 if "redis" not in p.parts and stat.S_IMODE(p.lstat().st_mode) & 0o027 and not p.is_symlink()]
        check(not wrong, "nothing in the state folder is for others", wrong)
        check(stat.S_IMODE((loose.state / "redis").stat().st_mode) == 0o700, "the private Redis has a folder of its own")
        check(stat.S_IMODE((loose.state / "sumi.db").stat().st_mode) == 0o640, "sumi.db is 0640, also an older one")
        check(stat.S_IMODE((loose.dir / "x.webp").stat().st_mode) == 0o666, "what the user saves has the user's mask")
        loose.kill()
    finally:
        os.umask(old)


def main():
    place = Place(input_dirs="")
    try:
        place.start()
        sent_by_sumi(place)
        refused_by_sumi(place)
        example(place)
        plain_commands(place)
        kept_while_needed(place)
        lists(place)
        paths(place)
        limits(place)
        place.kill()
        other_hosts(place.parent)
        modes(place)
    finally:
        place.remove()
    finish()


main()

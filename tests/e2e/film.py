#!/usr/bin/env python3
"""Films: a story becomes jobs and a WebM with sound, the same bytes after kills in the middle, backwards and without sound."""
from lib import *

SMALL = ["--width", 32, "--height", 48, "--steps", 2]
STORY = """title: two scenes
fps: 8
seconds: 1
mood: calm

A bird.

transition: fade
blend: 0.5
Капля туши.
"""


def elements(data, at=0, end=None):
    """[(id, begin, end)] of EBML."""
    out, end = [], len(data) if end is None else end
    while at < end:
        n = next(k for k in range(1, 5) if data[at] & 0x100 >> k)
        id, at = int.from_bytes(data[at:at + n], "big"), at + n
        n = next(k for k in range(1, 9) if data[at] & 0x100 >> k)
        size, at = int.from_bytes(data[at:at + n], "big") & (1 << 7 * n) - 1, at + n
        out.append((id, at, at + size))
        at += size
    return out


def look(path):
    """(milliseconds, codecs, pictures) of a WebM."""
    import struct
    data = path.read_bytes()
    segment = dict((id, (a, b)) for id, a, b in elements(data))[0x18538067]
    parts, codecs, pictures, ms = elements(data, *segment), [], 0, 0
    for id, a, b in parts:
        if id == 0x1549A966:
            ms = next(struct.unpack(">d", data[x:y])[0] for i, x, y in elements(data, a, b) if i == 0x4489)
        if id == 0x1654AE6B:
            codecs = [data[x:y].decode() for _, p, q in elements(data, a, b) for i, x, y in elements(data, p, q) if i == 0x86]
        if id == 0x1F43B675:
            pictures += sum(i == 0xA3 and data[x] == 0x81 for i, x, _ in elements(data, a, b))
    return ms, codecs, pictures


def made(place, story):
    done = place.sumi("film", story, *SMALL, "-o", "film.webm")
    check(done.returncode == 0 and done.stdout.strip() == "film.webm", "a story becomes a film", done.stderr[-400:])
    ms, codecs, pictures = look(place.dir / "film.webm")
    check((ms, codecs, pictures) == (2000, ["V_VP9", "A_VORBIS"], 16), "as long as its scenes, with sound", f"{ms} {codecs} {pictures}")
    shown = json.loads(place.sumi("show", "film.webm", "--json").stdout or "{}")
    check(shown.get("prompt") == "two scenes" and [s.get("fade") for s in shown.get("scenes", [])] == [0, 4] and "seed" not in shown,
          "it says what it is joined of", str(shown)[:300])
    done = place.sumi("again", "film.webm", "-o", "again.webm")
    check(done.returncode == 0 and (place.dir / "again.webm").read_bytes() == (place.dir / "film.webm").read_bytes(), "again: the same bytes",
          done.stderr[-400:])
    done = place.sumi("again", "film.webm", "--format", "webp", "-o", "mute.webp")
    check(done.returncode == 0 and (place.dir / "mute.webp").read_bytes()[8:12] == b"WEBP", "again as a WebP: the same scenes without sound", done.stderr[-400:])
    for words in [["--full"], ["--no-fast"], ["--fast"]]:
        done = place.sumi("again", "film.webm", *words, "-o", "none.webm")
        check(done.returncode == 2 and "sumi film STORY" in done.stderr, f"again {words[0]} of what is joined", done.stderr)
    done = place.sumi("film", story, *SMALL, "--reverse", "-o", "back.webm")
    check(done.returncode == 0 and look(place.dir / "back.webm") == (2000, ["V_VP9", "A_VORBIS"], 16) and
          (place.dir / "back.webm").read_bytes() != (place.dir / "film.webm").read_bytes(), "backwards", done.stderr[-400:])
    done = place.sumi("film", "-", *SMALL, "-o", "film.webp", input=STORY)
    check(done.returncode == 0 and (place.dir / "film.webp").read_bytes()[8:12] == b"WEBP", "without sound, from standard input", done.stderr[-400:])


def probed(place):
    """What another program reads of a film: its streams, every picture, and where one can jump to."""
    if not at_hand("what ffprobe says of a film", "ffprobe"):
        return
    ask = ["ffprobe", "-v", "warning", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames:format=duration:packet=stream_index,pts_time,flags", "-of", "json"]
    done = subprocess.run([*ask, place.dir / "film.webm"], capture_output=True, text=True)
    said = json.loads(done.stdout or "{}")
    streams = said.get("streams", [{}])
    jumps = [float(p["pts_time"]) for p in said.get("packets", []) if p["stream_index"] == 0 and "K" in p["flags"]]
    check(done.returncode == 0 and not done.stderr and [s.get("codec_name") for s in streams] == ["vp9", "vorbis"] and
          streams[0].get("nb_read_frames") == "16" and abs(float(said["format"]["duration"]) - 2) < 0.001, "ffprobe reads it without a warning",
          done.stderr + str(streams))
    check(jumps == [0, 1], "one can jump to where scenes begin", str(jumps))


def killed(place, story):
    """The daemon dies while scenes are made, and the film is the same."""
    whole = sha256(place.dir / "film.webm")
    id = place.sumi("film", story, *SMALL, "--id", "killed", "--detach").stdout.strip()
    wait_for(lambda: b"id=killed.s1" in place.log.read_bytes() and b"job.claimed" in place.log.read_bytes(), 60)
    place.kill()
    place.start()
    done = place.sumi("wait", id, "--timeout", "120s")
    check(done.returncode == 0, "the film is made after a kill in the middle", done.stderr[-400:])
    done = place.sumi("fetch", id, "-o", "killed.webm")
    check(done.returncode == 0 and sha256(place.dir / "killed.webm") == whole, "and has the same bytes", done.stderr[-400:])


def stopped(place, story):
    """A film that is cancelled takes its own scenes and music along; retried, they begin anew, and it is the same."""
    state = lambda *ids: [json.loads(place.sumi("show", i, "--json").stdout or "{}").get("state") for i in ids]
    parts = [f"stopped.{p}" for p in ("s1", "s2", "m1")]
    place.sumi("pause")
    place.sumi("submit", json.dumps({"id": "stopped.other", "modality": "video", "prompt": "A bird.", "frames": 2, "width": 32, "height": 48, "steps": 2}))
    place.sumi("film", story, *SMALL, "--id", "stopped", "--detach")
    place.sumi("cancel", "stopped")
    check(wait_for(lambda: state(*parts) == ["cancelled"] * 3, 90), "a film that is cancelled takes its parts along", str(state("stopped", *parts)))
    check(state("stopped", "stopped.other") == ["cancelled", "ready"], "and nothing else", str(state("stopped.other")))
    done = place.sumi("retry", "stopped")
    check(done.returncode == 0 and state("stopped") == ["blocked"], "begun anew it waits for them", done.stdout + done.stderr)
    place.sumi("resume")
    done = place.sumi("wait", "stopped", "--timeout", "120s")
    place.sumi("fetch", "stopped", "-o", "stopped.webm")
    check(done.returncode == 0 and sha256(place.dir / "stopped.webm") == sha256(place.dir / "film.webm"), "and is the same film", done.stderr[-400:])


def deleted(place, story):
    """A scene that is deleted before it is made takes the film with it, which cannot begin anew: it would wait for ever."""
    place.sumi("pause")
    place.sumi("film", story, *SMALL, "--steps", 3, "--id", "torn", "--detach")
    place.sumi("delete", "torn.s2")
    state = lambda: json.loads(place.sumi("show", "torn", "--json").stdout or "{}").get("state")
    check(wait_for(lambda: state() == "failed", 90), "a film fails with a scene that is deleted", str(state()))
    done = place.sumi("retry", "torn")
    check(done.returncode == 3 and "torn.s2 was deleted" in done.stderr and state() == "failed", "and does not begin anew without it", done.stdout + done.stderr)
    place.sumi("delete", "torn.s1", "torn.m1")
    place.sumi("resume")


def refused(place):
    def bad(name, story, *words, options=(), code=2):
        done = place.sumi("film", "-", *options, input=story)
        check(done.returncode == code and all(w in done.stderr for w in words) and done.stderr.count("\n") == 1, f"refused: {name}", done.stderr)
    bad("a slip", "secnds: 4\na\n", "standard input:1", "seconds")
    bad("a mood that is none", "a\n\nmood: loud\nb\n", "standard input:3", "loud")
    bad("what only the job knows", "size: 32x48\n\na\n\nsteps: 2\nsampler: slow\nb\n", "standard input:6", "sampler 'slow'")
    bad("a file that is not there", "a\n\nsteps: 2\ninit: nofile.webp\nb\n", "standard input:4", "nofile.webp", code=3)
    bad("a job's field", "frames: 5\na\n", "standard input:1", "'frames' is no field of a story")
    bad("a scene that is too long", "seconds: 30\na\n", "standard input:1", "240")
    bad("nothing", "\n", "no scene")
    bad("a format that is none of a film's", "a\n", "webm", options=["--format", "png"])
    bad("several", "a\n", "--n", options=["-n", 2])
    count = len(json.loads(place.sumi("list", "--json").stdout or "[]"))
    done = place.sumi("film", "-", "--dry-run", input=STORY)
    jobs = json.loads(done.stdout or "[]")
    check([j["modality"] for j in jobs] == ["video", "video", "audio", "film"] and
          len(json.loads(place.sumi("list", "--json").stdout or "[]")) == count, "--dry-run prints the jobs and sends none", done.stderr)
    done = place.sumi("submit", json.dumps({"modality": "film", "prompt": "x", "scenes": []}))
    check(done.returncode == 2 and "no" in done.stderr and "scene" in done.stderr, "a film of nothing", done.stderr)


def script(place):
    done = place.sumi("script", "a whale remembers the sea", "--scenes", 3, "--model", "ink-motion", "-o", "written.txt")
    text = (place.dir / "written.txt").read_text() if done.returncode == 0 else ""
    check(text.count("seconds: ") == 3 and '# "whale"' in text, "a script for a theme, and what of it cannot be painted", done.stderr + text)
    done = place.sumi("film", "-", "--model", "ink-motion", "--dry-run", input=text.replace("mood:", "# mood:"))
    check([j["modality"] for j in json.loads(done.stdout or "[]")] == ["video"] * 3 + ["film"], "is a story", done.stderr)
    for theme, says in [("\xa0\u200b", "none that shows"), ("x" * 501, "more"), (os.fsdecode(b"\xff"), "not UTF-8")]:
        done = place.sumi("script", theme, "--model", "ink-motion")
        check(done.returncode == 2 and says in done.stderr, f"no theme: {says}", done.stdout + done.stderr)
    done = place.sumi("script", "the sea", "--seed", -1, "--model", "ink-motion")
    check(done.returncode == 2 and "--seed is '-1'" in done.stderr, "a story is of a number that can be given again", done.stdout[:200] + done.stderr)
    done = place.sumi("script", "the sea")
    check(done.returncode == 3 and "motion-tiny" in done.stderr and "--model" in done.stderr, "of a model that does not say what it can paint", done.stderr)


def main():
    place = Place(model_video="motion-tiny", model_audio="sound-tiny").start()
    story = place.dir / "story.txt"
    story.write_text(STORY)
    try:
        made(place, story)
        probed(place)
        killed(place, story)
        stopped(place, story)
        deleted(place, story)
        refused(place)
        script(place)
    finally:
        place.stop()
        place.remove()
    finish()


main()

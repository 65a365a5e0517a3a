#!/usr/bin/env python3
"""Videos through the daemon: animations open elsewhere with the right count, loops, and what is refused."""
import base64, json, re, struct, subprocess, tempfile, zlib

from lib import *

PACK = "motion-tiny"
SMALL = ["--width", 32, "--height", 48, "--steps", 2, "--seed", 3]


def chunks(data):
    """[(name, content)] of a RIFF container's body."""
    at, out = 0, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4:at + 8], "little")
        out.append((data[at:at + 4], data[at + 8:at + 8 + size]))
        at += 8 + size + size % 2
    return out


def animation(path):
    """Durations of the frames in ms, and the loop count; webpinfo, where it is installed, must find no fault."""
    data = path.read_bytes() if path.exists() else b""
    if shutil.which("webpinfo") and subprocess.run(["webpinfo", "-quiet", path], capture_output=True).returncode:
        return [], -1
    parts = chunks(data[12:])
    durations = [int.from_bytes(body[12:15], "little") for name, body in parts if name == b"ANMF"]
    loops = [int.from_bytes(body[4:6], "little") for name, body in parts if name == b"ANIM"]
    return durations, loops[0] if loops else -1


def ppm(path):
    return subprocess.run(["dwebp", "-quiet", path, "-ppm", "-o", "-"], capture_output=True).stdout


def decode_all(place, path, frames):
    """Every frame taken out and decoded; by anim_dump too, which not every Debian release has."""
    if at_hand("every frame by dwebp", "webpmux", "dwebp"):
        heads = []
        for k in range(1, frames + 1):
            single = place.dir / f"single-{k}.webp"
            subprocess.run(["webpmux", "-get", "frame", str(k), path, "-o", single], capture_output=True)
            heads.append(ppm(single)[:3])
        check(heads == [b"P6\n"] * frames, "dwebp decodes every frame", str(heads))
    if at_hand("every frame by anim_dump", "anim_dump"):
        folder = place.dir / "dump"
        folder.mkdir()
        subprocess.run(["anim_dump", "-folder", folder, path], capture_output=True)
        check(len(list(folder.iterdir())) == frames, "anim_dump decodes every frame")


def videos(place):
    for name, options, count in (("plain", ["--frames", 8], 8), ("there", ["--frames", 8, "--boomerang"], 14),
                                 ("loop", ["--frames", 8, "--loop"], 8), ("long", ["--frames", 20], 20),
                                 ("exact", ["--frames", 8, "--lossless"], 8)):
        path = place.dir / f"{name}.webp"
        done = place.sumi("video", "birds", *options, "--fps", 8, *SMALL, "-o", path)
        found = animation(path)
        check(done.returncode == 0 and found == ([125] * count, 0), f"{name}: {count} frames of 125 ms, for ever",
              f"{found} {done.stderr}")
    decode_all(place, place.dir / "long.webp", 20)
    place.sumi("video", "birds", "--frames", 6, "--fps", 60, *SMALL, "-o", "fast.webp")
    durations, _ = animation(place.dir / "fast.webp")
    check(len(durations) == 6 and sum(durations) == 100, "60 frames a second last as long as they should", str(durations))
    check(sha256(place.dir / "loop.webp") != sha256(place.dir / "plain.webp"), "a loop is another video")
    done = place.sumi("render", "birds", "--frames", 8, "--fps", 8, *SMALL, "-o", "render.webp")
    check(done.returncode == 0 and sha256(place.dir / "render.webp") == sha256(place.dir / "plain.webp"),
          "render takes the pack for videos, and makes the daemon's bytes", done.stderr)
    films(place)
    done = place.sumi("video", "birds", "--init", place.dir / "plain.webp", "--strength", 0.5, "--frames", 4, *SMALL,
                      "-o", "from.webp")
    check(done.returncode == 0 and len(animation(place.dir / "from.webp")[0]) == 4, "a video from a picture", done.stderr)


def films(place):
    done = place.sumi("video", "birds", "--frames", 8, "--fps", 8, *SMALL, "-o", "film.webm")
    film = (place.dir / "film.webm").read_bytes()
    check(done.returncode == 0 and film[:4] == b"\x1aE\xdf\xa3" and b"V_VP9" in film, "the ending makes it a WebM", done.stderr)
    shown = json.loads(place.sumi("show", "film.webm", "--json").stdout or "{}")
    check(shown.get("source") == "sumi" and shown.get("request", shown).get("format") == "webm", "a WebM tells what it was made with", str(shown)[:300])
    done = place.sumi("again", "film.webm", "-o", "again.webm")
    check(done.returncode == 0 and (place.dir / "again.webm").read_bytes() == film, "again: the same bytes", done.stderr)
    done = place.sumi("video", "birds", "--format", "webm", "--loop-count", 3, *SMALL, "-o", "thrice.webm")
    check("loop_count" in done.stderr, "a WebM does not say how often it is played", done.stderr)
    said = place.sumi("image", "birds", "-o", "still.webm")
    check(said.returncode != 0 and ".webp, .png" in said.stderr, "a picture is no film", said.stderr)


def shown_frames(place, *options):
    """The frame events of a new job, as `sumi watch --json` prints them, and the job's id."""
    id = place.sumi("video", "gulls", *options, *SMALL, "--detach").stdout.strip()
    done = place.sumi("watch", id, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
    return [e for e in events if e["event"] == "frame"], id


def events(place, redis):
    frames, id = shown_frames(place, "--frames", 8)
    check([(e["number"], e["count"], e["variant"]) for e in frames] == [(k + 1, 8, 0) for k in range(8)],
          "an event for each frame as it is decoded", str(frames)[:300])
    pictures = [base64.b64decode(e["webp"]) for e in frames]
    path = place.dir / "preview.webp"
    path.write_bytes(pictures[-1] if pictures else b"")
    if at_hand("a picture of it", "dwebp"):
        check(ppm(path).startswith(b"P6\n32 48\n"), "with a picture of it")
    # As large as pictures of noise can be: an event stays small.
    frames, _ = shown_frames(place, "--frames", 2, "--width", 640, "--height", 256)
    sizes = [len(base64.b64decode(e["webp"])) for e in frames]
    check(len(sizes) == 2 and max(sizes) <= 12 * 1024, "events of large frames are small", str(sizes))
    frames, id = shown_frames(place, "--frames", 4, "--format", "png")
    files = json.loads(redis.cli("HGET", f"{{sumi}}:job:{id}", "v0"))
    check([e.get("sha256") for e in frames] == [f["sha256"] for f in files] and len(files) == 4,
          "frames as files: the event names the file", f"{frames} {files}"[:300])
    frames, id = shown_frames(place, "--frames", 64, "-n", 3)
    count = int(redis.cli("XLEN", f"{{sumi}}:ev:{id}"))
    check(len(frames) == 192 and count <= 128, "192 frames are told, and the stream stays bounded", f"{len(frames)} {count}")


def png_bytes(path):
    """The pixels of an 8-bit RGB PNG."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, at + 8)
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    raw, line, out = zlib.decompress(packed), bytearray(width * 3), bytearray()
    for y in range(height):
        row = raw[y * (width * 3 + 1):(y + 1) * (width * 3 + 1)]
        above, line = line, bytearray(row[1:])
        for x in range(width * 3):
            a, b, c = line[x - 3] if x > 2 else 0, above[x], above[x - 3] if x > 2 else 0
            p = a + b - c
            paeth = a if abs(p - a) <= min(abs(p - b), abs(p - c)) else b if abs(p - b) <= abs(p - c) else c
            line[x] = line[x] + (0, a, b, (a + b) // 2, paeth)[row[0]] & 255
        out += line
    return bytes(out)


def seam(place):
    """With the pack in the box: from the last frame to the first it moves as from any frame to the next. One of sixteen is the largest
    by chance, so it is held to the median; this clip without --loop jumps by three times that."""
    pack = ROOT / "models" / "ink-motion"
    if not (pack / "model_index.json").exists():
        print("skip seam of a loop: no models/ink-motion")
        return
    done = place.sumi("render", "sea waves under clouds", "--pack", pack, "--frames", 16, "--loop", "--seed", 5,
                      "-o", "loop.png", timeout=600)
    files = sorted(place.dir.glob("loop-frame-*.png"), key=lambda p: int(p.stem.rsplit("-", 1)[1]))
    frames = [png_bytes(p) for p in files]
    moves = [sum(abs(a - b) for a, b in zip(f, g)) / len(f) for f, g in zip(frames, frames[1:] + frames[:1])]
    check(len(frames) == 16 and moves[-1] <= 1.5 * sorted(moves)[8], "a loop's seam is like its other frames",
          f"{done.stderr} {[round(m, 2) for m in moves]}")


def refusals(place, redis):
    (place.dir / "half.webp").write_bytes((place.dir / "plain.webp").read_bytes()[:2000])
    (place.dir / "text.png").write_text("no picture")
    cases = {
        "one frame": ({"frames": 1}, "frames"),
        "no frames": ({"frames": 0}, "frames"),
        "4000 frames": ({"frames": 4000}, "frames"),
        "1e9 frames": ({"frames": 1e9}, "frames"),
        "1000 fps": ({"fps": 1000}, "fps"),
        "70000 loops": ({"loop_count": 70000}, "loop_count"),
        "a mood": ({"mood": "calm"}, "mood"),
        "a duration": ({"duration": 4}, "frames and fps"),
        "cfg_scale NaN": ('{"id": "ID", "modality": "video", "prompt": "x", "cfg_scale": NaN}', "NaN"),
        "cfg_scale 1e400": ('{"id": "ID", "modality": "video", "prompt": "x", "cfg_scale": 1e400}', "overflow"),
        "an init that is not there": ({"init": "/none.png", "strength": 0.5}, "none.png"),
        "an init that is no picture": ({"init": str(place.dir / "text.png"), "strength": 0.5}, "text.png"),
        "an init that is cut off": ({"init": str(place.dir / "half.webp"), "strength": 0.5}, "half.webp"),
        "strength 7": ({"init": str(place.dir / "plain.webp"), "strength": 7}, "strength"),
    }
    for number, (name, (fields, word)) in enumerate(cases.items()):
        said = refused_job(redis, f"bad-{number}", {"modality": "video", "prompt": "x", "model": PACK}, fields)
        check(word in said, f"refused: {name}", said)


def main():
    parent = tempfile.mkdtemp(prefix="sumi-e2e-")
    redis = Redis(parent).start()
    place = Place(redis=redis.url, parent=pathlib.Path(parent), model_video=PACK, input_dirs=parent).start()
    try:
        videos(place)
        events(place, redis)
        seam(place)
        refusals(place, redis)
    finally:
        place.stop()
        redis.stop()
        place.remove()
    finish()


main()

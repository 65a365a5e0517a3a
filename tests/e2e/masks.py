#!/usr/bin/env python3
"""A part of a picture made anew, from the user's side: what stays keeps its pixels, the queue makes what render makes, the
file says how, a kill changes nothing, and what cannot be is refused."""
import struct, zlib

from lib import *

BASE = ["--steps", 6, "--seed", 7, "--strength", 0.9, "--format", "png"]
SIZE = ["--size", "64x64"]


def png(path, width, height, pixel, channels=3):
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in pixel(x, y)) for y in range(height))
    kind = {1: 0, 3: 2, 4: 6}[channels]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks))


def pixels(path):
    """Of an 8-bit RGB PNG: width, height, rows of bytes."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        if name == b"IHDR":
            width, height = struct.unpack_from(">II", body)
        packed += body if name == b"IDAT" else b""
        at += size + 12
    raw, rows, before = zlib.decompress(packed), [], bytes(width * 3)
    for y in range(height):
        kind, line = raw[y * (width * 3 + 1)], bytearray(raw[y * (width * 3 + 1) + 1:(y + 1) * (width * 3 + 1)])
        for i in range(len(line)):
            a, b, c = line[i - 3] if i > 2 else 0, before[i], before[i - 3] if i > 2 else 0
            p = a + b - c
            near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, near)[kind]) & 255
        rows.append(bytes(line))
        before = rows[-1]
    return width, height, rows


def colour(x, y):
    return (4 * x & 255, 3 * y & 255, (x ^ y) * 2 & 255)


def inside(x, y):
    return 20 <= x < 44 and 16 <= y < 40


def pictures(place):
    png(place.dir / "init.png", 64, 64, colour)
    png(place.dir / "mask.png", 64, 64, lambda x, y: (255 * inside(x, y),), 1)
    png(place.dir / "large.png", 128, 96, colour)
    png(place.dir / "spot.png", 128, 96, lambda x, y: (255 * (60 <= x < 72 and 40 <= y < 50),), 1)
    png(place.dir / "hole.png", 64, 64, lambda x, y: (*colour(x, y), 0 if inside(x, y) else 255), 4)
    png(place.dir / "wide.png", 96, 64, lambda x, y: (255,), 1)
    png(place.dir / "black.png", 64, 64, lambda x, y: (0,), 1)


def render(place, out, *more, size=SIZE):
    return place.sumi("render", "ink", *BASE, *size, "--pack", PACKS / PACK, "-o", place.dir / out, *more)


def changed(place, out, of):
    """The box of what is not as it was."""
    (w, h, a), (w2, h2, b) = pixels(place.dir / out), pixels(place.dir / of)
    if (w, h) != (w2, h2):
        return None
    spots = [(x, y) for y in range(h) for x in range(w) if a[y][3 * x:3 * x + 3] != b[y][3 * x:3 * x + 3]]
    return spots and (min(x for x, _ in spots), min(y for _, y in spots), max(x for x, _ in spots), max(y for _, y in spots))


def results(place):
    done = render(place, "a.png", "--init", "init.png", "--mask", "mask.png", "--mask-blur", 0)
    box = changed(place, "a.png", "init.png")
    check(done.returncode == 0 and box and box[0] >= 20 and box[1] >= 16 and box[2] <= 43 and box[3] <= 39,
          "what the mask leaves out keeps its pixels", f"{box} {done.stderr}")
    render(place, "b.png", "--init", "init.png", "--mask", "mask.png")
    box = changed(place, "b.png", "init.png")
    check(box and 10 <= box[0] < 20 and box[2] < 54, "A1111's blur reaches ten pixels further", str(box))
    render(place, "c.png", "--init", "large.png", "--mask", "spot.png", "--only-masked", "--mask-padding", 8)
    box = changed(place, "c.png", "large.png")
    check(box and box[0] >= 50 and box[1] >= 30 and box[2] < 82 and box[3] < 60, "only the masked part of a large picture",
          str(box))
    render(place, "d.png", "--init", "hole.png", "--mask-from", "alpha", "--mask-blur", 0, "--mask-fill", "original")
    check(sha256(place.dir / "d.png") != sha256(place.dir / "a.png") and
          pixels(place.dir / "d.png") == pixels(place.dir / "a.png"), "transparency is the same mask")
    render(place, "e.png", "--init", "init.png", "--outpaint-left", 32, size=["--size", "96x64"])
    w, h, rows = pixels(place.dir / "e.png")
    _, _, before = pixels(place.dir / "init.png")
    check((w, h) == (96, 64) and all(rows[y][3 * 44:] == before[y][3 * 12:] for y in range(64)),
          "beside a picture more is made, and it stays", f"{w}x{h}")
    for blend in ("comfy", "diffusers", "soft"):
        done = render(place, f"{blend}.png", "--init", "init.png", "--mask", "mask.png", "--mask-blend", blend)
        check(done.returncode == 0, f"mask_blend {blend}", done.stderr)
    check(len({sha256(place.dir / f"{n}.png") for n in ("b", "comfy", "diffusers", "soft")}) == 4, "each is another picture")


def refusals(place):
    for name, words, *more in (
            ("a mask of another shape", ["mask", "96x64", "64x64"], "--init", "init.png", "--mask", "wide.png"),
            ("a mask without white", ["mask", "white"], "--init", "init.png", "--mask", "black.png"),
            ("a mask without init", ["mask", "init"], "--mask", "mask.png"),
            ("outpaint without init", ["outpaint", "init"], "--outpaint-top", 8),
            ("outpaint of all", ["outpaint_left", "64"], "--init", "init.png", "--outpaint-left", 64),
            ("image_cfg_scale", ["image_cfg_scale", "change"], "--image-cfg-scale", 2),
            ("a mask that is no picture", ["mask", "picture"], "--init", "init.png", "--mask", "/etc/passwd")):
        for verb in ("render", "image"):
            extra = ["--pack", PACKS / PACK] if verb == "render" else []
            if verb == "image" and name in ("a mask of another shape", "a mask without white"):
                continue # the worker finds out
            bad = place.sumi(verb, "ink", *BASE, *SIZE, *extra, "-o", place.dir / "bad.png", *more)
            check(bad.returncode != 0 and all(w in bad.stderr for w in words) and bad.stderr.count("\n") == 1,
                  f"{verb}: {name}", bad.stderr)


def left_out(place):
    """What a file says is left out by its name, with what cannot be without it."""
    for option, same in (("--no-mask", ["--init", "init.png"]), ("--no-init", []), ("--no-strength", ["--init", "init.png", "--mask", "mask.png", "--strength", 0.8])):
        done = place.sumi("again", place.dir / "job.png", option, "-o", place.dir / "less.png")
        render(place, "few.png", *same) if same else place.sumi("render", "ink", *BASE[:4], *BASE[6:], *SIZE, "--pack", PACKS / PACK, "-o", place.dir / "few.png")
        check(done.returncode == 0 and pixels(place.dir / "less.png") == pixels(place.dir / "few.png"), f"again {option}", done.stderr)
    done = place.sumi("again", place.dir / "job.png", "--no-nothing", "-o", place.dir / "less.png")
    check(done.returncode == 2 and "--no-nothing" in done.stderr, "of what there is not it is no option", done.stderr)
    done = place.sumi("render", "ink", "--no-mask", "-o", place.dir / "less.png")
    check(done.returncode == 2 and "--no-mask" in done.stderr, "and of no verb to which no file brings it", done.stderr)


def words_alone(place):
    """Of a picture whose own JSON is gone the infotext says what goes with init and mask, where both are brought."""
    more = ["--mask-invert", "--mask-blur", 2.5, "--mask-fill", "noise", "--mask-blend", "comfy", "--only-masked", "--mask-padding", 5]
    render(place, "said.png", "--init", "init.png", "--mask", "mask.png", *more)
    data = (place.dir / "said.png").read_bytes()
    at = data.index(b"tEXtsumi\0") - 4
    (place.dir / "said.png").write_bytes(data[:at] + data[at + 12 + int.from_bytes(data[at:at + 4], "big"):])
    done = place.sumi("again", place.dir / "said.png", "--init", "init.png", "--mask", "mask.png", "-o", place.dir / "made.png")
    check(done.returncode == 0 and "not taken" not in done.stderr and pixels(place.dir / "made.png") == pixels(place.dir / "said.png"),
          "again takes from an infotext what goes with the pictures that are brought", done.stderr)
    done = place.sumi("again", place.dir / "said.png", "-o", place.dir / "made.png")
    check("would take with them: Denoising strength, Mask" in done.stderr and "Mask blur" in done.stderr.split("would")[0],
          "without them it says so", done.stderr)


def jobs(place):
    files = ["--init", "init.png", "--mask", "mask.png"]
    out = place.sumi("image", "ink", *BASE, *SIZE, *files, "-o", place.dir / "job.png")
    check(out.returncode == 0 and sha256(place.dir / "job.png") == sha256(place.dir / "b.png"),
          "a job makes what render makes", out.stderr)
    text = place.sumi("show", place.dir / "job.png").stdout
    check("Mask blur: 4" in text and "Denoising strength: 0.9" in text and "Masked content" not in text, "as A1111 says it", text)
    again = place.sumi("again", place.dir / "job.png", "-o", place.dir / "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "job.png"), "again repeats it",
          again.stderr)
    left_out(place)
    words_alone(place)
    render(place, "whole.png", *files, "--steps", 60, "--sampler", "euler_a")
    out = place.sumi("image", "ink", *BASE, *SIZE, *files, "--steps", 60, "--sampler", "euler_a", "--id", "cut", "--detach")
    check(out.returncode == 0, "it is sent", out.stderr)
    resumed_like(place, "cut", "whole.png")


def second_pass(place):
    more = ["--hires", 1.5, "--hires-steps", 3, "--hires-upscaler", "latent_nearest"]
    base = ["ink", "--steps", 4, "--seed", 7, "--format", "png", *SIZE, *more]
    place.sumi("render", *base, "--pack", PACKS / PACK, "-o", place.dir / "two.png")
    out = place.sumi("image", *base, "-o", place.dir / "two-job.png")
    check(sha256(place.dir / "two.png") == sha256(place.dir / "two-job.png") and pixels(place.dir / "two.png")[0] == 96,
          "a second pass makes it larger, in a job too", out.stderr)
    out = place.sumi("again", place.dir / "two-job.png", "-o", place.dir / "two-again.png")
    check(sha256(place.dir / "two.png") == sha256(place.dir / "two-again.png"), "again repeats both passes", out.stderr)


def refiner(place):
    base = ["ink", "--model", "sdxl-tiny", "--steps", 5, "--seed", 7, "--format", "png", *SIZE]
    out = place.sumi("image", *base, "--refiner", "refiner-tiny", "--refiner-at", 0.6, "-o", place.dir / "fine.png")
    place.sumi("image", *base, "-o", place.dir / "coarse.png")
    check(out.returncode == 0 and sha256(place.dir / "fine.png") != sha256(place.dir / "coarse.png"), "a refiner", out.stderr)
    out = place.sumi("again", place.dir / "fine.png", "-o", place.dir / "fine-again.png")
    check(out.returncode == 0 and sha256(place.dir / "fine.png") == sha256(place.dir / "fine-again.png"), "again repeats both models",
          out.stderr)
    told = place.json("show", place.dir / "fine.png")
    digest = told["made_by"].get("refiner_digest", "")
    check(len(digest) == 64 and f"Refiner: refiner-tiny [{digest[:10]}]," in told["infotext"], "is told by name and digest", str(told))
    (place.dir / "fine.txt").write_text(told["infotext"])
    check(place.json("show", place.dir / "fine.txt")["refiner"] == "refiner-tiny", "and known by the text alone")
    bad = place.sumi("image", *base, "--refiner", PACK, "-o", place.dir / "bad.png")
    check(bad.returncode != 0 and f"model {PACK} does not go on with what sdxl-tiny makes" in bad.stderr, "one whose latents mean other colours is refused", bad.stderr)
    bad = place.sumi("image", *base, "--refiner", "nowhere", "-o", place.dir / "bad.png")
    check(bad.returncode != 0 and "nowhere" in bad.stderr and bad.stderr.count("\n") == 1, "one that is not there is refused", bad.stderr)


def main():
    place = Place()
    try:
        pictures(place)
        results(place)
        place.start()
        refusals(place)
        jobs(place)
        second_pass(place)
        refiner(place)
    finally:
        place.stop()
        place.remove()
    finish()


main()

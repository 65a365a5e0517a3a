#!/usr/bin/env python3
"""Pictures and animations made larger by a network that is a file."""
import struct, zlib

from lib import *

NETWORKS = ROOT / "tests" / "vectors" / "upscalers"
SIZE = ["--width", 64, "--height", 48, "--steps", 2, "--seed", 7]


def png_size(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


def idat(path):
    data = path.read_bytes()
    return data[data.index(b"IDAT"):]


def stills(place):
    done = place.sumi("render", "fog over a lake", *SIZE, "-o", "lake.png", "--pack", PACKS / PACK)
    check(done.returncode == 0, "a picture to begin with", done.stderr)
    done = place.sumi("upscale", "lake.png", "-u", NETWORKS / "compact.safetensors")
    check(done.returncode == 0 and done.stdout == "lake-x2.png\n", "upscale writes beside the file", done.stderr)
    check(png_size(place.dir / "lake-x2.png") == (128, 96), "by the network's own factor")
    text = place.json("show", "lake-x2.png")
    check("fog over a lake" in str(text) and "Postprocess" in (place.dir / "lake-x2.png").read_bytes().decode("latin-1"),
          "what made the picture still stands in it, and what came after", str(text))
    done = place.sumi("upscale", "lake.png", "-u", NETWORKS / "half.pth", "--by", 3, "-o", "three.webp")
    check(done.returncode == 0 and (place.dir / "three.webp").exists(), "by three, as WebP", done.stderr)
    first = (place.dir / "lake-x2.png").read_bytes()
    place.sumi("upscale", "lake.png", "-u", NETWORKS / "compact.safetensors", "-o", "again.png")
    check((place.dir / "again.png").read_bytes() == first, "the same bytes once more")
    data = (NETWORKS / "compact.safetensors").read_bytes()
    size, = struct.unpack_from("<Q", data)
    for front in ("module.", "netG.", "params-ema."):
        names = json.dumps({k if k == "__metadata__" else front + k: v for k, v in json.loads(data[8:8 + size]).items()}).encode()
        (place.dir / "wrapped.safetensors").write_bytes(struct.pack("<Q", len(names)) + names + data[8 + size:])
        done = place.sumi("upscale", "lake.png", "-u", "wrapped.safetensors", "-o", "wrapped.png")
        check(done.returncode == 0 and (place.dir / "wrapped.png").read_bytes().count(b"wrapped") and idat(place.dir / "wrapped.png") == idat(place.dir / "lake-x2.png"),
              f"a network that was saved within another: {front}", done.stderr)
    rows = place.json("upscale", "lake.png", "-u", NETWORKS / "compact.safetensors", "-o", "json.png")
    check(rows["path"] == "json.png" and rows["by"] == 2, "--json says what came of it", str(rows))


def png(path, colour, depth, width, height, pixel):
    """A picture of bytes that pixel(x, y) gives."""
    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(width)) for y in range(height))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks))


def kind(path):
    """Bits a channel and the kind of colour: 0 grey, 2 RGB, 6 RGBA."""
    data = path.read_bytes()
    return data[24], data[25]


def what_pictures_have(place):
    """Transparency and 16 bits stay, or it is said that they do not."""
    network = ["-u", NETWORKS / "compact.safetensors"]
    png(place.dir / "leaf.png", 6, 8, 40, 30, lambda x, y: bytes((200, 30, 30, 255) if x < 20 else (0, 0, 0, 0)))
    png(place.dir / "heights.png", 0, 16, 40, 30, lambda x, y: struct.pack(">H", 900 * x + 37 * y))
    png(place.dir / "deep.png", 2, 16, 40, 30, lambda x, y: struct.pack(">HHH", 900 * x, 0, 37 * y))
    done = place.sumi("upscale", "leaf.png", *network)
    check(done.returncode == 0 and kind(place.dir / "leaf-x2.png") == (8, 6) and not done.stderr, "transparency stays", done.stderr)
    done = place.sumi("upscale", "leaf.png", *network, "-o", "leaf.webp")
    data = (place.dir / "leaf.webp").read_bytes() if done.returncode == 0 else bytes(30)
    check(b"VP8L" in data and data[data.index(b"VP8L") + 12] >> 4 & 1, "in a WebP too", done.stderr)
    done = place.sumi("upscale", "heights.png", *network)
    check(done.returncode == 0 and kind(place.dir / "heights-x2.png") == (16, 0) and not done.stderr, "16 bits of heights stay", done.stderr)
    for name, ending, says in (("heights", "webp", "a .png keeps them"), ("deep", "png", "only grey")):
        done = place.sumi("upscale", f"{name}.png", *network, "-o", f"{name}-8.{ending}")
        check(done.returncode == 0 and says in done.stderr and len(done.stderr.splitlines()) == 1, f"or it is told: {name}", done.stderr)


def pictures_of(data):
    """Of an animated WebP: where the chunk of each picture begins, and for how many ms it is shown."""
    at, rows = 12, []
    while at < len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"ANMF":
            rows.append((at + 8, int.from_bytes(data[at + 20:at + 23], "little")))
        at += 8 + size + size % 2
    return rows


def animations(place):
    was = bytearray((ROOT / "docs" / "img" / "ink-in-water.webp").read_bytes())
    for i, (at, _) in enumerate(pictures_of(was)):
        was[at + 12:at + 15] = (20 + 37 * (i % 5)).to_bytes(3, "little")
    (place.dir / "drop.webp").write_bytes(was)
    done = place.sumi("upscale", "drop.webp", "-u", NETWORKS / "compact.safetensors", "--by", 1, "-o", "film.webp")
    data = (place.dir / "film.webp").read_bytes() if done.returncode == 0 else b""
    times = [ms for _, ms in pictures_of(data)]
    check(len(times) > 4 and times == [ms for _, ms in pictures_of(was)], "an animation stays one, each picture for its time",
          f"{times} {done.stderr}")
    made = (place.dir / "lake.png").read_bytes()
    chunk = b"acTL" + struct.pack(">II", 1, 0)
    (place.dir / "moving.png").write_bytes(made[:33] + struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk)) + made[33:])
    done = place.sumi("upscale", "moving.png", "-u", NETWORKS / "compact.safetensors", "-o", "first.png")
    check(done.returncode == 0 and "animated PNG, of which the first picture alone" in done.stderr, "an animated PNG is told of", done.stderr)
    done = place.sumi("upscale", ROOT / "docs" / "img" / "ink-in-water.webp", "-u", NETWORKS / "compact.safetensors", "-o",
                      "film.png")
    check(done.returncode == 2 and "is an animation" in done.stderr, "and is no PNG", done.stderr)


def refused(place):
    (place.dir / "text.png").write_text("no picture")
    for name, words, says in (
            ("no such network", ["lake.png", "-u", "absent"], "no upscaler 'absent'"),
            ("no such file", ["none.png", "-u", NETWORKS / "compact.safetensors"], "none.png"),
            ("no picture", ["text.png", "-u", NETWORKS / "compact.safetensors"], "text.png"),
            ("no upscaler", ["lake.png", "-u", ROOT / "tests/vectors/adapters/dora.safetensors"], "not an upscaler"),
            ("a factor of nothing", ["lake.png", "-u", NETWORKS / "compact.safetensors", "--by", "x"], "--by x"),
            ("two files into one", ["lake.png", "again.png", "-u", NETWORKS / "compact.safetensors", "-o", "y.png"],
             "must be a folder"),
            ("another format", ["lake.png", "-u", NETWORKS / "compact.safetensors", "-o", "y.gif"], ".png or .webp")):
        done = place.sumi("upscale", *words)
        check(done.returncode != 0 and says in done.stderr and len(done.stderr.splitlines()) == 1,
              f"refused in a line: {name}", done.stderr)
    check(not (place.dir / "y.png").exists() and not (place.dir / "y.gif").exists(), "and nothing was written")


place = Place("upscale")
try:
    stills(place)
    what_pictures_have(place)
    animations(place)
    refused(place)
finally:
    place.remove()
finish()

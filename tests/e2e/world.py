#!/usr/bin/env python3
"""Landscapes: a mesh, a turntable, heights and colours of one seed; larger ones whose edges fit; the same bytes again."""
import struct
import zlib

from gateway_lib import *
from world_pack import SIDE, world_tiny

STEPS = ["--steps", 2, "--seed", 5]


def world(place, name, *options):
    done = place.sumi("world", "a lake among peaks", *STEPS, *options, "-o", name)
    check(done.returncode == 0, f"world {name}", done.stderr[-400:])
    return (place.dir / name).read_bytes() if done.returncode == 0 else b""


def pixels(png):
    """(width, height, bytes a pixel, rows) of a PNG that is not interlaced."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    size, at, packed = depth // 8 * {0: 1, 2: 3}[colour], 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        packed += png[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    raw, rows, last = zlib.decompress(packed), [], bytes(width * size)
    for y in range(height):
        how, *line = raw[y * (width * size + 1):(y + 1) * (width * size + 1)]
        for x in range(width * size):
            a, b, c = (line[x - size] if x >= size else 0), last[x], (last[x - size] if x >= size else 0)
            near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[x] = (line[x] + (0, a, b, (a + b) // 2, near)[how]) & 255
        rows.append(last := bytes(line))
    return width, height, size, rows


def forms(place):
    mesh = world(place, "lake.glb")
    check(mesh[:4] == b"glTF" and struct.unpack("<I", mesh[8:12])[0] == len(mesh), "a glTF binary")
    root = json.loads(mesh[20:20 + struct.unpack("<I", mesh[12:16])[0]])
    corners = root["accessors"][root["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    check(corners["count"] == SIDE * SIDE and corners["max"][1] > corners["min"][1], "a vertex a cell", str(corners))
    turning = world(place, "lake.webp")
    check(turning[8:12] == b"WEBP" and turning.count(b"ANMF") == 48, "a turntable of 48 pictures", str(turning.count(b"ANMF")))
    width, height, size, rows = pixels(world(place, "lake.height.png"))
    tops = [int.from_bytes(row[x:x + 2], "big") for row in rows for x in range(0, len(row), 2)]
    check((width, height, size) == (SIDE, SIDE, 2) and max(tops) - min(tops) > 6000, "heights of 16 bits", f"{width} {height} {size}")
    # The mesh's highest vertex and the highest pixel are one.
    scale = root["asset"]["extras"]["relief"] * SIDE / 65535
    check(abs(corners["max"][1] - max(tops) * scale) < 2 * scale, "both of one landscape", f"{corners['max'][1]} {max(tops) * scale}")
    check(pixels(world(place, "lake.png"))[:3] == (SIDE, SIDE, 3), "colours from above")
    for name in ("lake.glb", "lake.height.png"):
        done = place.sumi("again", name, "-o", "again." + name.split(".", 1)[1])
        check(done.returncode == 0 and (place.dir / ("again." + name.split(".", 1)[1])).read_bytes() == (place.dir / name).read_bytes(),
              f"again {name}: the same bytes", done.stderr[-300:])
    shown = json.loads(place.sumi("show", "lake.glb", "--json").stdout or "{}")
    check(shown.get("modality") == "world" and shown.get("prompt") == "a lake among peaks", "a mesh says how it was made", str(shown)[:200])


def seams(place):
    width, height, size, rows = pixels(world(place, "wide.png", "--size", "192x160", "--loop"))
    apart = lambda a, b: sum(abs(x - y) for x, y in zip(a, b)) / len(a)
    down = [apart(a, b) for a, b in zip(rows, rows[1:])]
    columns = [b"".join(r[x * size:(x + 1) * size] for r in rows) for x in range(width)]
    across = [apart(a, b) for a, b in zip(columns, columns[1:])]
    check(json.loads(place.sumi("show", "wide.png", "--json").stdout or "{}").get("tile") == "both", "loop joins all edges")
    check((width, height) == (192, 160), "larger than the model's own pictures", f"{width}x{height}")
    check(apart(rows[-1], rows[0]) <= max(down) and apart(columns[-1], columns[0]) <= max(across), "edges that fit together",
          f"{apart(rows[-1], rows[0]):.2f} {max(down):.2f}; {apart(columns[-1], columns[0]):.2f} {max(across):.2f}")
    mesh = world(place, "wide.glb", "--size", "192x160", "--tile", "x")
    root = json.loads(mesh[20:20 + struct.unpack("<I", mesh[12:16])[0]])
    corners = root["accessors"][root["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    sides = [high - low for high, low in zip(corners["max"], corners["min"])]
    check((sides[0], sides[2], corners["count"]) == (192, 159, 193 * 160), "the mesh of one that goes on ends where its copy begins", str(sides))


def lifted(place):
    """A picture's colours stay to the bit, and the heights under them are painted."""
    done = place.sumi("world", "a lake", *STEPS, "--init", "lake.png", "-o", "up.png")
    check(done.returncode == 0 and pixels((place.dir / "up.png").read_bytes())[3] == pixels((place.dir / "lake.png").read_bytes())[3],
          "a picture that is lifted keeps its colours", done.stderr[-300:])
    for name, more in (("up.height.png", []), ("other.height.png", ["--seed", 6])):
        done = place.sumi("world", "a lake", *STEPS, *more, "--init", "lake.png", "-o", name)
    tops = [pixels((place.dir / n).read_bytes())[3] for n in ("up.height.png", "other.height.png", "lake.height.png")]
    check(tops[0] != tops[1] and tops[0] != tops[2], "other heights of another seed", done.stderr[-300:])
    done = place.sumi("again", "up.height.png", "-o", "again.up.height.png")
    check(done.returncode == 0 and (place.dir / "again.up.height.png").read_bytes() == (place.dir / "up.height.png").read_bytes(),
          "again: the same bytes", done.stderr[-300:])
    shown = place.sumi("show", "up.png").stdout
    check("nan" not in shown and "strength" not in shown.lower(), "no strength where there is none", shown)


def found(place):
    """The pack in the box finds a volcano's heights under its colours alone."""
    pack = ROOT / "models" / "ink-world"
    if not pack.exists():
        return print("skip heights that are found: models/ink-world is not there", flush=True)
    for name, more in (("v.png", []), ("v.height.png", []), ("found.height.png", ["--init", "v.png", "--seed", 9])):
        done = place.sumi("render", "a volcano by day", "--pack", pack, "--seed", 3, *more, "-o", name)
        check(done.returncode == 0, f"render {name}", done.stderr[-300:])

    def tops(name):
        rows = pixels((place.dir / name).read_bytes())[3]
        all = [int.from_bytes(row[x:x + 2], "big") for row in rows for x in range(0, len(row), 2)]
        return [v - sum(all) / len(all) for v in all]
    a, b = tops("v.height.png"), tops("found.height.png")
    alike = sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    check(0.6 < alike < 1, "heights that are found are those that were there", f"{alike:.3f}")


def rivers(place):
    """Of the pack in the box the bed of a canyon's river falls all the way; what has none is as it was painted."""
    pack = ROOT / "models" / "ink-world"
    if not pack.exists():
        return print("skip rivers: models/ink-world is not there", flush=True)
    bare = place.dir / "bare"
    bare.mkdir()
    for part in pack.iterdir():
        (bare / part.name).symlink_to(part)
    (bare / "sumi.json").unlink()
    manifest = json.loads((pack / "sumi.json").read_text())
    (bare / "sumi.json").write_text(json.dumps({**manifest, "world": {**manifest["world"], "rivers": False}}))

    def tops(prompt, used, name):
        done = place.sumi("render", prompt, "--pack", used, "--steps", 8, "--seed", 3, "-o", name)
        check(done.returncode == 0, f"render {name}", done.stderr[-300:])
        return [[int.from_bytes(row[x:x + 2], "big") for x in range(0, len(row), 2)] for row in pixels((place.dir / name).read_bytes())[3]]
    check(tops("dunes", pack, "d.height.png") == tops("dunes", bare, "d0.height.png"), "without a river heights stay")
    made, painted = tops("a deep canyon by day", pack, "c.height.png"), tops("a deep canyon by day", bare, "c0.height.png")
    changed = sum(a != b for new, old in zip(made, painted) for a, b in zip(new, old)) / SIDE ** 2
    check(0.01 < changed < 0.5, "a river's bed and its banks are carved", f"{changed:.3f}")
    falls = max(downhill(rows) for rows in (made, list(zip(*made))))
    check(falls > 0.9 > max(downhill(rows) for rows in (painted, list(zip(*painted)))), "rivers run downhill", f"{falls:.3f}")
    (bare / "sumi.json").write_text(json.dumps({**manifest, "world": {"rivers": "no"}}))
    done = place.sumi("render", "dunes", "--pack", bare, "-o", "d.glb")
    check(done.returncode != 0 and "'rivers' must be" in done.stderr, "a wrong field is named", done.stderr)


def downhill(rows, stretch=16, aside=3):
    """In what share of the lowest way through all rows the place a stretch further on lies lower."""
    low, total, back = min(map(min, rows)), [0] * len(rows[0]), []
    for row in rows:
        steps = [min((total[k] + 4e-4 * 65535 ** 2 * abs(k - x), k) for k in range(max(0, x - aside), min(len(row), x + aside + 1))) for x in range(len(row))]
        total = [t + (v - low) ** 2 for (t, _), v in zip(steps, row)]
        back.append([k for _, k in steps])
    x, way = total.index(min(total)), []
    for row, steps in zip(rows[::-1], back[::-1]):
        way.append(row[x])
        x = steps[x]
    falls = [a > b for a, b in zip(way, way[stretch:])]
    return max(sum(falls), len(falls) - sum(falls)) / len(falls)


def wrong(place):
    for args, words in ((["world", "x", "--init", "lake.glb"], "lake.glb: is a landscape"), (["world", "x", "--init", "lake.png", "--strength", "0.5"], "strength"),
                        (["render", "x", "--model", "world-tiny", "--init", "lake.png", "--strength", "0.5", "-o", "x.glb"], "'strength' is for"),
                        (["render", "x", "--model", "world-tiny", "--upscale", "2", "-o", "x.glb"], "'upscale' is for"),
                        (["render", "x", "--model", "world-tiny", "--control", "canny:lake.png", "-o", "x.glb"], "'controls' is for"),
                        (["world", "x", "--loop", "--tile", "x", "--detach"], "tile"), (["world", "x", "-o", "x.ogg"], ".ogg is no format for world"),
                        (["world", "x", "--model", "sd1-tiny"], "sd1-tiny"), (["image", "x", "--model", "world-tiny"], "world-tiny"),
                        (["image", "x", "-o", "x.glb"], ".glb is no format for image"), (["film", "-", "-o", "x.glb"], ".glb is no format for film")):
        done = place.sumi(*args, "--detach") if "-o" not in args else place.sumi(*args)
        check(done.returncode != 0 and words in done.stderr, f"refused: {' '.join(args)}", done.stderr[-200:])


def served(place):
    """Over HTTP: a job of it, the kinds of its files, and the document."""
    g = Gateway(place)
    job = {"modality": "world", "prompt": "dunes", "steps": 1, "seed": 1}
    for form, mime in (("glb", "model/gltf-binary"), ("height.png", "image/png")):
        status, _, sent = g.ask("POST", "/jobs", {**job, "format": form})
        done = status == 201 and g.becomes(sent["id"], "done", "failed", "cancelled")
        files = done["files"] if done else [{}]
        status, headers, data = g.get(f"/jobs/{sent.get('id')}/files/1.{form}")
        check(status == 200 and headers["Content-Type"] == mime and files[0]["mime"] == mime and files[0]["format"] == form,
              f"served: {form}", f"{status} {sent} {done}"[:600])
    listed = g.get("/jobs?modality=world")[2].get("jobs", [])
    check(len(listed) >= 2 and {j["modality"] for j in listed} == {"world"}, "listed by its modality", str(listed)[:200])
    schema = json.dumps(g.get("/openapi.json")[2])
    check('"world"' in schema and '"height.png"' in schema, "in the document")
    rows = g.get("/models")[2]
    check("world-tiny" in json.dumps(rows), "among the models", str(rows)[:200])
    check(g.stop() == 0, "the gateway ends")


def missing(parent):
    """Without such a model one line says so."""
    place = Place("none", parent=parent, model_world="no-such-model")
    done = place.sumi("world", "a lake", "--detach")
    check(done.returncode != 0 and "no-such-model" in done.stderr and "model_world" in done.stderr and done.stderr.count("\n") == 1, "no model for landscapes", done.stderr)


def main():
    parent = pathlib.Path(tempfile.mkdtemp(prefix="sumi-e2e-"))
    (parent / "packs").mkdir()
    world_tiny(parent / "packs" / "world-tiny")
    place = Place(parent=parent, packs=f"{parent / 'packs'}:{PACKS}", model_world="world-tiny").start()
    try:
        for part in (forms, seams, lifted, found, rivers, wrong, served):
            part(place)
        missing(parent)
    finally:
        place.stop()
        place.remove()
    finish()


main()

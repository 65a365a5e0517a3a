#!/usr/bin/env python3
"""Puts the demo's pictures beside each other: the picture in the README.

usage: tools/sheet.py [build/demo/pictures] [docs/img/demo.webp]   (needs Debian's webp)"""
import pathlib, subprocess, sys

COLUMNS, GAP, SIDE = 5, 8, 512


def read(path):
    """Rows of RGB bytes, scaled to SIDE."""
    data = subprocess.run(["dwebp", "-quiet", "-ppm", "-resize", str(SIDE), str(SIDE), path, "-o", "-"], check=True,
                          capture_output=True).stdout
    kind, size, top, body = data.split(b"\n", 3)
    assert kind == b"P6" and size.split() == [b"%d" % SIDE] * 2 and top == b"255", path
    return [body[y * SIDE * 3:(y + 1) * SIDE * 3] for y in range(SIDE)]


def main():
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo/pictures")
    target = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "docs/img/demo.webp")
    names = [f"mountains{k}" for k in ("", "-2", "-3", "-4", "-5")] + ["docks", "city", "tree", "lighthouse", "apple"]
    files = [source / f"{n}.webp" for n in names]
    pictures = [read(f) for f in files if f.exists()]
    if not pictures:
        sys.exit(f"{source}: no pictures; run make demo first")
    width = COLUMNS * SIDE + (COLUMNS - 1) * GAP
    rows = []
    for at in range(0, len(pictures), COLUMNS):
        line = pictures[at:at + COLUMNS]
        if rows:
            rows += [b"\xff" * width * 3] * GAP
        for y in range(SIDE):
            row = (b"\xff" * GAP * 3).join(p[y] for p in line)
            rows.append(row.ljust(width * 3, b"\xff"))
    ppm = b"P6\n%d %d\n255\n" % (width, len(rows)) + b"".join(rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cwebp", "-quiet", "-q", "85", "-o", target, "--", "-"], input=ppm, check=True)
    print(target)


main()

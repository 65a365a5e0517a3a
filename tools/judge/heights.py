# heights.py: whether the heights of generated landscapes are those of their landform: how steep they are, beside landscapes of the corpus
# that training never saw, and in what share of their length rivers run downhill.
#   python tools/judge/heights.py --prompts p.jsonl --pictures FOLDER [--json result.json]
import argparse
import json
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
import domains

STRETCH = 16                                          # cells of a river's course between the heights that are compared
STEPS = 3                                             # columns that it may turn aside from row to row
RIVERS = ("valley", "canyon")                         # landforms with a river from border to border
BAND = (5, 95)                                        # percentiles of the corpus's landform that count as within


def parts(path):
    """Of a landscape in a glTF binary of sumi's: the texture's colours, H x W x 3 bytes, and the vertices' heights in 0..1."""
    import io

    from PIL import Image
    data = open(path, "rb").read()
    size, = struct.unpack_from("<I", data, 12)
    root, body = json.loads(data[20:20 + size]), data[28 + size:]

    def view(i):
        v = root["bufferViews"][i]
        return body[v["byteOffset"]:v["byteOffset"] + v["byteLength"]]
    rgb = np.asarray(Image.open(io.BytesIO(view(root["images"][0]["bufferView"]))).convert("RGB"))
    corners = root["accessors"][root["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]["bufferView"]
    extras, (h, w) = root["asset"]["extras"], rgb.shape[:2]
    x, y = (extras.get("tile") in (side, "both") for side in "xy")        # there the first column or row stands once more at the end
    tall = np.frombuffer(view(corners), "<f4").reshape(h + y, w + x, 3)[:h, :w, 1] / (extras["relief"] * w)
    return rgb, tall


def read(path):
    """Both as H x W x 4 bytes, as the corpus has them."""
    rgb, tall = parts(path)
    return np.dstack([rgb, np.clip(np.rint(tall * 255), 0, 255).astype(np.uint8)])


def slopes(tall):
    """Steepness of heights in 0..1, a side of the landscape as the unit of length: its mean, and what a tenth of the ground passes."""
    dy, dx = np.gradient(tall)
    steep = np.hypot(dy, dx) * tall.shape[1]
    return float(steep.mean()), float(np.percentile(steep, 90))


def lowest_way(tall):
    """Heights along the lowest way from the first row to the last, a step aside of at most STEPS; and its mean height."""
    cost, back = (tall - tall.min()) ** 2, []
    total = cost[0]
    for row in cost[1:]:
        wide = np.pad(total, STEPS, constant_values=np.inf)
        choices = np.stack([wide[k:k + len(total)] + 2e-4 * abs(k - STEPS) for k in range(2 * STEPS + 1)])
        back.append(choices.argmin(0) - STEPS)
        total = row + choices.min(0)
    x = [int(total.argmin())]
    for b in reversed(back):
        x.append(x[-1] + int(b[x[-1]]))
    way = tall[np.arange(len(tall)), x[::-1]]
    return way, float(way.mean())


def downhill(tall):
    """Share of a river's course along which the place a stretch further on lies lower. It runs along the lowest way, from the higher end."""
    way = min((lowest_way(t) for t in (tall, tall.T)), key=lambda w: w[1])[0]
    smooth = np.convolve(np.pad(way, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    if smooth[:STRETCH].mean() < smooth[-STRETCH:].mean():
        smooth = smooth[::-1]
    return float((smooth[STRETCH:] < smooth[:-STRETCH]).mean())


def compare(domain, rows, made, real, codes):
    """{landform: …}: slopes of what was made beside the corpus's, both in the corpus's 255 levels, and rivers as they were delivered."""
    out = {}
    for i, kind in enumerate(domain.A.KINDS):
        known = [x[..., 3] / 255 for x in real[codes[:, 0] == i]]
        mine = [x for r, x in zip(rows, made) if r["attrs"].get("kind") == kind]
        if not mine:
            continue
        steep, there = (np.array([slopes(np.rint(t * 255) / 255) for t in tall]) for tall in (mine, known))
        lo, hi = np.percentile(there, BAND, axis=0)
        out[kind] = {"of": len(mine)}
        for k, name in enumerate(("slope", "steep")):
            inside = (steep[:, k] >= lo[k]) & (steep[:, k] <= hi[k])
            out[kind][name] = {"median": round(float(np.median(steep[:, k])), 3), "corpus": round(float(np.median(there[:, k])), 3),
                               "band": [round(float(lo[k]), 3), round(float(hi[k]), 3)], "within": round(100 * float(inside.mean()), 1)}
        if kind in RIVERS:
            out[kind]["downhill"] = round(100 * float(np.mean([downhill(t) for t in mine])), 1)
            out[kind]["corpus downhill"] = round(100 * float(np.mean([downhill(t) for t in known])), 1)
    return out


def main():
    p = argparse.ArgumentParser(description="heights of generated landscapes beside the corpus's")
    domains.add_arguments(p)
    p.set_defaults(kind="world")
    p.add_argument("--prompts", required=True)
    p.add_argument("--pictures", required=True)
    p.add_argument("--json")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    rows = [json.loads(line) for line in open(a.prompts, encoding="utf-8")]
    made = [parts(os.path.join(a.pictures, os.path.splitext(r["file"])[0] + domain.file_type))[1] for r in rows]
    test = os.path.join(a.out, "corpus-test")
    real, codes = (np.load(os.path.join(test, f), mmap_mode="r") for f in ("pictures.npy", "codes.npy"))
    text = json.dumps(compare(domain, rows, made, real, codes), indent=1)
    print(text)
    if a.json:
        with open(a.json, "w") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()

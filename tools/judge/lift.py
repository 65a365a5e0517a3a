# lift.py: how well heights are found under a picture: corpus pictures that training never saw are lifted through the C core, and the
# heights that come out are held against their own.
#   python tools/judge/lift.py --pictures FOLDER [--count 50] [--sumi build/bin/sumi] [--json result.json] [-- --fast]
import argparse
import json
import os
import subprocess

import numpy as np

import heights
import domains


def alike(a, b):
    """The correlation of two fields."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))


def lift(domain, a, i, picture, text):
    from PIL import Image
    start, made = (os.path.join(a.pictures, f"{i:03d}{end}") for end in (".png", domain.file_type))
    if not os.path.exists(made):
        Image.fromarray(np.ascontiguousarray(picture[..., :3])).save(start)
        subprocess.run([a.sumi, "render", "--modality", domain.modality, "--pack", a.pack or domain.pack, text, "--init", start, "-o", made,
                        "--seed", str(i), *a.extra], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return heights.read(made)[..., 3] / 255


def main():
    p = argparse.ArgumentParser(description="heights found under corpus pictures beside their own")
    domains.add_arguments(p)
    p.set_defaults(kind="world")
    p.add_argument("--pictures", required=True, help="folder for what is made")
    p.add_argument("--count", type=int, default=50)
    p.add_argument("--sumi", default="build/bin/sumi")
    p.add_argument("--pack")
    p.add_argument("--json")
    p.add_argument("extra", nargs="*", help="more arguments for sumi render, after --")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    test = os.path.join(a.out, "corpus-test")
    real, codes = (np.load(os.path.join(test, f), mmap_mode="r") for f in ("pictures.npy", "codes.npy"))
    os.makedirs(a.pictures, exist_ok=True)
    rows = {}
    for i in range(a.count):
        attrs = domain.A.from_codes(codes[i])
        text, _ = domain.captions.caption(attrs, domain.A.rng_for(7, i, 3), "en" if i % 2 else "ru", keep=1.0)
        found, own = lift(domain, a, i, real[i], text), real[i][..., 3] / 255
        rows.setdefault(attrs["kind"], []).append((alike(found, own), float(np.sqrt(((found - own) ** 2).mean())), float(own.std())))
    every = np.array([r for v in rows.values() for r in v])
    result = {"correlation": {"mean": round(float(every[:, 0].mean()), 3), "median": round(float(np.median(every[:, 0])), 3)},
              "rms": round(float(every[:, 1].mean()), 3), "rms of the mean height": round(float(every[:, 2].mean()), 3),
              "kinds": {k: [len(v), round(float(np.mean([r[0] for r in v])), 3)] for k, v in sorted(rows.items())}}
    text = json.dumps(result, indent=1)
    print(text)
    if a.json:
        with open(a.json, "w") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()

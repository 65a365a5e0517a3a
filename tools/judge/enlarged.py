# enlarged.py: how near an upscaler comes to the corpus drawn larger, by style, beside bicubic: PSNR, and how wide edges are beside those
# of the large drawing. The upscaler runs in the C core (sumi upscale).
#   python tools/judge/enlarged.py --pairs build/train/ink-upscale/picture/test [--kind picture] [--upscaler NAME] [--count N]
# The pairs are those of `python tools/train/upscaler.py --measure`.
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
import domains
import edges


def bicubic(small, times):
    h, w = small.shape[:2]
    return np.asarray(Image.fromarray(small).resize((times * w, times * h), Image.BICUBIC))


def psnr(made, real):
    """Over all of them, as PSNR over a set is defined."""
    return round(float(10 * np.log10(255 ** 2 / np.mean([((m.astype(np.float32) - r) ** 2).mean() for m, r in zip(made, real)]))), 2)


def compare(domain, codes, small, large, made):
    """Style -> {psnr of bicubic and made, edges of the two beside the large drawing's}."""
    times, table = large.shape[1] // small.shape[1], {}
    faint = edges.FAINT / times                       # a slope is spread over so many more pixels
    for style, on in {"all": np.ones(len(codes), bool), **domain.groups(codes)}.items():
        if not on.any():
            continue
        real, mine = np.asarray(large)[on], made[on]
        plain = np.stack([bicubic(p, times) for p in np.asarray(small)[on]])
        wide = edges.width(real, faint)
        table[style] = {"bicubic": psnr(plain, real), "made": psnr(mine, real), "edges_bicubic": round(edges.width(plain, faint) / wide, 2),
                        "edges_made": round(edges.width(mine, faint) / wide, 2)}
    return table


def enlarge(sumi, upscaler, small, times):
    """Through `sumi upscale`; upscaler: a file, or the name of one that is installed."""
    upscaler = os.path.abspath(upscaler) if os.path.exists(upscaler) else upscaler
    with tempfile.TemporaryDirectory() as d:
        names = [f"{i:05d}.png" for i in range(len(small))]
        for name, p in zip(names, small):
            Image.fromarray(p).save(os.path.join(d, name))
        os.mkdir(os.path.join(d, "large"))
        subprocess.run([os.path.abspath(sumi), "upscale", "--by", str(times), "-u", upscaler, "-o", "large", "--quiet", *names], cwd=d, check=True,
                       stdout=subprocess.DEVNULL)
        return np.stack([np.asarray(Image.open(os.path.join(d, "large", f"{n[:-4]}-x{times}.png"))) for n in names])


def main():
    p = argparse.ArgumentParser(description="an upscaler beside bicubic and the corpus")
    p.add_argument("--kind", default="picture", choices=list(domains.KINDS))
    p.add_argument("--pairs", required=True)
    p.add_argument("--upscaler", default="ink-upscale")
    p.add_argument("--sumi", default="build/bin/sumi")
    p.add_argument("--count", type=int, default=240)
    a = p.parse_args()
    small, large = (np.load(os.path.join(a.pairs, f), mmap_mode="r")[:a.count] for f in ("copies.npy", os.path.join("large", "pictures.npy")))
    codes = np.load(os.path.join(a.pairs, "small", "codes.npy"))[:a.count]
    made = enlarge(a.sumi, a.upscaler, small, large.shape[1] // small.shape[1])
    print(json.dumps(compare(domains.of(a.kind), codes, small, large, made), indent=1))


if __name__ == "__main__":
    main()

# score.py: how many of the attributes that prompts name are in the pictures made from them, seen and held-out combinations,
# English and Russian apart; and whether any picture is a copy of a corpus picture.
#   python tools/judge/score.py --kind KIND --prompts p.jsonl --pictures FOLDER [--json result.json]
# With --heard clips are judged by what they sound like: the spectrogram of the sound, not the one that it was made of.
import argparse
import json
import os

import numpy as np

import heights
import judge
import common
import domains


def load_heard(domain, rows, folder):
    """Pictures of the sound of each clip."""
    return np.stack([domain.heard(os.path.join(folder, os.path.splitext(r["file"])[0] + domain.file_type)) for r in rows])


def load(rows, folder, size):
    """The pictures that `rows` name, N x H x W x 3; of a clip of sound the spectrogram that lies beside it; of landscapes the height
    is a fourth channel."""
    from PIL import Image
    pics = []
    for r in rows:
        stem = os.path.join(folder, os.path.splitext(r["file"])[0])
        path = next(stem + e for e in (".glb", ".png", "-spectrogram.webp", ".webp") if os.path.exists(stem + e))
        if path.endswith(".glb"):
            pics.append(heights.read(path))
            continue
        pics.append(np.asarray(Image.open(path).convert("RGB").resize(size[::-1])))
    return np.stack(pics)


def attributes_right(domain, rows, said):
    tally = {}
    for r, codes in zip(rows, said):
        right = {}
        for i, (k, names) in enumerate(domain.A.CLASSES.items()):
            if k in r["attrs"]:
                ok = right[k] = names[codes[i]] == r["attrs"][k]
                # What shall be absent says little by itself: most of it is absent from any clip.
                keys = (("all",), (r["kind"],), (r["lang"],), (r["kind"], k))
                for key in (("absent",),) if r["attrs"][k] == "absent" else keys:
                    t = tally.setdefault("/".join(key), [0, 0])
                    t[0] += ok
                    t[1] += 1
        for name, keys in domain.joint.items():
            if all(k in r["attrs"] for k in keys):
                t = tally.setdefault(f"{r['kind']}/{name}", [0, 0])
                t[0] += all(right[k] for k in keys)
                t[1] += 1
    return {k: {"right": round(100 * a / b, 1), "of": b} for k, (a, b) in sorted(tally.items())}


def small(pictures):
    """16 x 16 thumbnails, as rows."""
    p = np.asarray(pictures, np.float32)[..., :3] / 255
    n, h, w, c = p.shape
    p = p.reshape(n, 16, h // 16, 16, w // 16, c).mean((2, 4))
    return np.broadcast_to(p, (n, 16, 16, 3)).reshape(n, -1)


def nearest(made, corpus, chunk=2000):
    """Root mean square distance of each thumbnail to its nearest corpus picture (or that picture's mirror image)."""
    best = np.full(len(made), np.inf, np.float32)
    mirrored = made.reshape(-1, 16, 16, 3)[:, :, ::-1].reshape(len(made), -1)
    for i in range(0, len(corpus), chunk):
        c = small(corpus[i:i + chunk])
        for m in (made, mirrored):
            d = (m ** 2).sum(1)[:, None] + (c ** 2).sum(1)[None] - 2 * m @ c.T
            best = np.minimum(best, d.min(1))
    return np.sqrt(np.maximum(best, 0) / made.shape[1])


def main():
    p = argparse.ArgumentParser(description="score generated pictures")
    domains.add_arguments(p)
    p.add_argument("--prompts", required=True)
    p.add_argument("--pictures", required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--heard", action="store_true", help="judge the sound of clips")
    p.add_argument("--copies", action="store_true", help="also look for copies of corpus pictures")
    p.add_argument("--json")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    common.setup(a.threads)
    dev = common.device()
    rows = [json.loads(line) for line in open(a.prompts, encoding="utf-8")]
    if a.heard and domain.modality != "audio":
        p.error(f"--heard: kind {a.kind} makes no sound")
    pics = load_heard(domain, rows, a.pictures) if a.heard else load(rows, a.pictures, tuple(8 * n for n in domain.latent(domain.profile)))
    result = {"attributes": attributes_right(domain, rows, judge.answers(judge.restore(domain, a.out, dev), pics, dev))}
    if a.copies:
        corpus = np.load(os.path.join(a.out, "corpus", "pictures.npy"), mmap_mode="r")
        real = np.load(os.path.join(a.out, "corpus-test", "pictures.npy"), mmap_mode="r")[:200]
        for name, x in (("generated", pics), ("unseen corpus pictures", real)):
            d = nearest(small(x), corpus)
            result["nearest " + name] = {"min": round(float(d.min()), 4), "p5": round(float(np.percentile(d, 5)), 4),
                                         "median": round(float(np.median(d)), 4)}
    text = json.dumps(result, indent=1)
    print(text)
    if a.json:
        with open(a.json, "w") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()

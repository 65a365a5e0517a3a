# prompts.py: prompts for the proof: half of them combinations that training never saw, each asked in English and in Russian.
#   python tools/judge/prompts.py --count 200 --out prompts.jsonl  lines of {file, prompt, lang, kind, attrs, seed}
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
import domains

SEED = 9001                                           # no corpus uses it


def make(domain, count):
    rows, A = [], domain.A
    for i in range(count):
        kind = "held" if i % 2 else "seen"
        lang = "en" if (i // 2) % 2 else "ru"
        attrs = A.attributes(SEED, i // 4, "held" if kind == "held" else "train")
        text, named = domain.captions.caption(attrs, A.rng_for(SEED, i, 3), lang, keep=1.0)
        wanted = domain.wanted(attrs, named)
        rows.append({"file": f"{i:04d}.png", "prompt": text, "lang": lang, "kind": kind, "attrs": wanted, "seed": 1000 + i // 4})
    return rows


def main():
    p = argparse.ArgumentParser(description="prompts for the proof")
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--kind", default="picture", choices=list(domains.KINDS))
    p.add_argument("--out", required=True)
    a = p.parse_args()
    with open(a.out, "w", encoding="utf-8") as f:
        for row in make(domains.of(a.kind), a.count):
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

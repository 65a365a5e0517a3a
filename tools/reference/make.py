#!/usr/bin/env python3
"""Makes tests/vectors: random packs and what float32 diffusers and transformers compute with them.

    python3 tools/reference/make.py --out tests/vectors [PART or PACK ...]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common
import configs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder that receives everything")
    parser.add_argument("only", nargs="*", help="parts (packs) or names of packs; all by default")
    args = parser.parse_args()
    common.setup()
    parts = {name: (lambda module: lambda: __import__(module).make(args.out))(module)
             for name, module in (("packs", "packs"), ("rng", "rng"), ("tokens", "prompts"), ("samplers", "samplers"),
                                  ("motion", "motion"), ("audio", "audio"), ("stereo", "stereo"), ("formats", "formats"),
                                  ("files", "files"), ("upscalers", "upscalers"))}
    known = set(parts) | set(configs.PACKS)
    unknown = [name for name in args.only if name not in known]
    if unknown:
        parser.error("unknown: " + ", ".join(unknown) + "; known: " + ", ".join(sorted(known)))
    Path(args.out).mkdir(parents=True, exist_ok=True)
    packs = [name for name in args.only if name in configs.PACKS]
    if packs:
        __import__("packs").make(args.out, packs)
    for name, run in parts.items():
        if not args.only or name in args.only:
            run()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A model with two text encoders: no negative prompt and an empty one are two things, also for what is made again,
and what half a pack lacks is told."""
import shutil

from lib import *

XL = "sdxl-tiny"
ASK = ["a lone tree", "--seed", 7, "--steps", 3, "--width", 64, "--height", 64]
NEGATIVE = {"none": [], "empty": ["--negative-prompt", ""], "fog": ["--negative-prompt", "fog"]}


def three(place):
    made = {}
    for name, negative in NEGATIVE.items():
        done = place.sumi("render", *ASK, "-o", f"{name}.png", "--pack", XL, *negative)
        if check(done.returncode == 0, f"{name} is made", done.stderr):
            made[name] = sha256(place.dir / f"{name}.png")
    check(len(set(made.values())) == 3, "three pictures", str(made))
    told = {name: place.json("show", f"{name}.png").get("negative_prompt") for name in NEGATIVE}
    check(told == {"none": None, "empty": "", "fog": "fog"}, "what each was made with stands in it", str(told))
    plain = [place.sumi("render", *ASK, "-o", f"plain{i}.png", "--pack", PACK, *NEGATIVE[name])
             for i, name in enumerate(("none", "empty"))]
    check(all(p.returncode == 0 for p in plain) and
          sha256(place.dir / "plain0.png") == sha256(place.dir / "plain1.png"), "elsewhere an empty one is none")
    return made


def again(place, made):
    place.start()
    for name, digest in made.items():
        done = place.sumi("again", f"{name}.png", "-o", "made.png")
        check(done.returncode == 0 and sha256(place.dir / "made.png") == digest, f"{name} again: the same bytes",
              done.stderr)
    done = place.sumi("image", *ASK, "--model", XL, "-n", 2, "--format", "png", "-o", "two/")
    two = {sha256(file) for file in (place.dir / "two").glob("*.png")}
    check(done.returncode == 0 and len(two) == 2 and made.get("none") in two, "variants that are made together",
          done.stderr)
    place.stop()


def halves(place):
    half = place.dir / "packs" / "half"
    for part, file in (("text_encoder_2", "config.json"), ("tokenizer_2", "merges.txt")):
        shutil.copytree(PACKS / XL, half)
        (half / part / file).unlink()
        done = place.sumi("models")
        check(f"it lacks {part}/{file}" in done.stdout + done.stderr, f"a pack without {part}/{file} is told so",
              done.stdout + done.stderr)
        shutil.rmtree(half)


def main():
    place = Place()
    packs = place.dir / "packs"
    for pack in (PACK, XL):
        shutil.copytree(PACKS / pack, packs / pack)
    place.configure(packs=str(packs))
    try:
        again(place, three(place))
        halves(place)
    finally:
        place.kill()
        place.remove()
    finish()


if __name__ == "__main__":
    main()

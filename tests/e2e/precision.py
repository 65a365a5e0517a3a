#!/usr/bin/env python3
"""Precision: who decides, what files say of it, and that `again` keeps to it."""
import json, os, shutil

from lib import *

ASK = ["fog over a lake", "--seed", 7, "--steps", 3, "--width", 64, "--height", 64]
# Any processor then takes half, and all places take the same kernels.
EMULATED = {"SUMI_KERNELS": "cpu8-emulated"}


def pack(place, name, **manifest):
    at = place.dir / "packs" / name
    shutil.copytree(PACKS / PACK, at)
    (at / "sumi.json").write_text(json.dumps({"modality": "image", "name": name, **manifest}))


def made(place, to, *args, **env):
    done = place.sumi("render", *ASK, "-o", to, *args, **{**EMULATED, **env})
    check(done.returncode == 0, f"{to} is made", done.stderr)
    return sha256(place.dir / to) if done.returncode == 0 else to


def words(place):
    exact = made(place, "exact.webp", "--precision", "exact")
    half = made(place, "half.webp", "--precision", "half")
    check(half == made(place, "open.webp") == made(place, "auto.webp", "--precision", "auto"),
          "open is half where the device has it, and the file says so")
    check(half != exact and half == made(place, "half2.webp", "--precision", "half"), "half is another, the same each time")
    on = ["-d", "reference"]
    check(made(place, "ref-open.webp", *on) == made(place, "ref-auto.webp", *on, "--precision", "auto") ==
          made(place, "ref-exact.webp", *on, "--precision", "exact"), "and exact where it has not, without a word")
    told, other = place.json("show", "half.webp"), place.json("show", "exact.webp")
    check(told.get("precision") == "half" and "Precision: half" in told["infotext"], "half stands in the file", str(told))
    check("precision" not in other and "Precision" not in other["infotext"], "exact does not", str(other))
    rounds, keeps = ["--pack", "rounds"], ["--pack", "keeps"]
    exact_of_pack = made(place, "pack-exact.webp", *rounds, "--precision", "exact")
    half_of_pack = made(place, "pack-half.webp", *rounds, "--precision", "half")
    check(made(place, "pack.webp", *rounds) == half_of_pack != exact_of_pack,
          "the pack's word where the job has none, the job's before it")
    kept = made(place, "keeps-exact.webp", *keeps, "--precision", "exact")
    check(made(place, "keeps.webp", *keeps) == kept, "a pack that says exact is exact")
    place.configure(precision="half")
    check(made(place, "conf.webp") == half, "sumi.conf's word")
    check(made(place, "conf2.webp", "--precision", "exact") == exact, "the job's before sumi.conf's")
    place.configure(precision="exact")
    check(made(place, "conf3.webp", *rounds) == exact_of_pack, "sumi.conf's before the pack's")
    place.configure(precision="auto")


def pixels(place, name):
    """What a PNG says without its words."""
    data, at, found = (place.dir / name).read_bytes(), 8, b""
    while at < len(data):
        size = int.from_bytes(data[at:at + 4])
        if data[at + 4:at + 8] == b"IDAT":
            found += data[at + 8:at + 8 + size]
        at += 12 + size
    return found


def whole_numbers(place):
    """int8 multiplies whole numbers where weights are quantised; the rest is half's."""
    done = place.sumi("models", "quantize", PACK)
    check(done.returncode == 0, "a quantised pack is made", done.stderr)
    seen = {}
    for model in [PACK, f"{PACK}-q8_0"]:
        for word in ["exact", "half", "int8", "int8"]:
            made(place, "q.png", "--model", model, "--width", 256, "--height", 256, "--steps", 1, "--precision", word)
            was, seen[model, word] = seen.get((model, word)), pixels(place, "q.png")
            check(was in (None, seen[model, word]), f"{model} in {word}: the same each time")
    check(seen[PACK, "int8"] == seen[PACK, "half"] != seen[PACK, "exact"], "int8 of a model without such weights is half")
    check(len({seen[f"{PACK}-q8_0", word] for word in ["exact", "half", "int8"]}) == 3, "of one with them it is a third")
    ask = ["--model", f"{PACK}-q8_0", "--width", 256, "--height", 256, "--steps", 1, "--precision", "int8"]
    made(place, "two.png", *ask, "-n", 2)
    made(place, "eight.png", *ask, "--seed", 8)
    two = [path for path in ("two.png", "two-2.png") if (place.dir / path).exists()]
    check(len(two) == 2 and pixels(place, two[0]) == seen[f"{PACK}-q8_0", "int8"] and
          pixels(place, two[1]) == pixels(place, "eight.png"), "two at once: each as it is alone", str(two))
    made(place, "int8.webp", "--model", f"{PACK}-q8_0", "--precision", "int8")
    told = place.json("show", "int8.webp")
    check(told.get("precision") == "int8" and "Precision: int8" in told["infotext"], "int8 stands in the file", str(told))


def refusals(place):
    done = place.sumi("render", *ASK, "-o", "x.webp", "--precision", "half", "-d", "reference")
    check(done.returncode != 0 and "precision" in done.stderr and done.stderr.count("\n") == 1 and
          not (place.dir / "x.webp").exists(), "a device that cannot says so in one line", done.stderr)
    done = place.sumi("render", *ASK, "-o", "x.webp", "--precision", "int8", SUMI_KERNELS="gpu")
    check(done.returncode != 0 and "precision" in done.stderr and done.stderr.count("\n") == 1 and
          not (place.dir / "x.webp").exists(), "so it does of int8", done.stderr)
    done = place.sumi("render", *ASK, "-o", "x.webp", "--precision", "halb")
    check(done.returncode == 2 and "auto, exact, half, int8" in done.stderr, "another word is refused", done.stderr)
    place.configure(precision="double")
    done = place.sumi("render", *ASK, "-o", "x.webp")
    check(done.returncode != 0 and "precision is 'double'" in done.stderr, "in sumi.conf as well", done.stderr)
    place.configure(precision="auto")
    pack(place, "wrong", precision="double")
    done = place.sumi("render", *ASK, "-o", "x.webp", "--pack", place.dir / "packs" / "wrong")
    check(done.returncode != 0 and "field 'precision'" in done.stderr, "and in a pack", done.stderr)
    shutil.rmtree(place.dir / "packs" / "wrong")


def through_the_queue(place):
    """A daemon that takes half for open makes an exact picture again exactly."""
    place.configure(precision="half")
    place.start(**EMULATED)
    for name in ["exact", "half", "int8"]:
        done = place.sumi("again", f"{name}.webp", "-o", "made.webp")
        check(done.returncode == 0 and sha256(place.dir / "made.webp") == sha256(place.dir / f"{name}.webp"),
              f"again of what is {name}: the same bytes", done.stderr)
    done = place.sumi("image", *ASK, "-o", "made.webp")
    check(done.returncode == 0 and sha256(place.dir / "made.webp") == sha256(place.dir / "half.webp"),
          "a job that does not say", done.stderr)
    place.stop()


def resumed(place):
    """What was begun in one precision goes on in it, whatever this host has come to take since."""
    for begun, now in (("exact", "auto"), ("half", "exact")):
        place.configure(precision=begun)
        place.start(**EMULATED)
        id = place.sumi("image", *ASK, "--detach").stdout.strip()
        place.stop_at(id, 1)
        place.configure(precision=now)
        place.start(**EMULATED)
        done = wait_for(lambda: visible(place).get(id, {}).get(0))
        check(done == sha256(place.dir / f"{begun}.webp"), f"begun in {begun}, and so it ends", place.new_log().decode()[-600:])
        place.stop()
    place.configure(precision="auto")


def main():
    place = Place()
    packs = place.dir / "packs"
    shutil.copytree(PACKS / PACK, packs / PACK)
    pack(place, "rounds", precision="half")
    pack(place, "keeps", precision="exact")
    place.configure(packs=str(packs))
    try:
        words(place)
        whole_numbers(place)
        refusals(place)
        through_the_queue(place)
        resumed(place)
    finally:
        place.kill()
        place.remove()
    finish()


if __name__ == "__main__":
    main()

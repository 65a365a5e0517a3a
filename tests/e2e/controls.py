#!/usr/bin/env python3
"""Networks that follow pictures, from the user's side: added, told, found by what a picture is a map of, in jobs and
lists of jobs, recorded and repeated, gone on with after a kill; refused where they are for another model. IP-Adapters,
which see a picture as a whole, and T2I-Adapters likewise, with image encoders that lie beside them or are added."""
from lib import *

BASE = ["--size", "64x64", "--steps", 4, "--seed", 7]
NETS = ROOT / "tests" / "vectors" / "steering"
FIRST, SECOND = NETS / "first.png", NETS / "second.png"
LOOKS, T2I = ROOT / "tests" / "vectors" / "looks", ROOT / "tests" / "vectors" / "t2i"


def pixels(place, name):
    """What is seen, without what the file says of itself."""
    place.sumi("preprocess", "luminance", place.dir / name, "-o", "seen.png")
    return sha256(place.dir / "seen.png")


def shelf(place):
    done = place.sumi("models", "add", NETS / "sd1-a", "--name", "my-canny")
    check(done.returncode == 0 and "/controls/my-canny" in done.stdout, "models add takes a folder", done.stdout + done.stderr)
    done = place.sumi("models", "add", NETS / "sd1-a-original.safetensors", "--name", "original_depth")
    check(done.returncode == 0 and "/controls/original_depth.safetensors" in done.stdout, "and a file", done.stderr)
    place.sumi("models", "add", NETS / "sdxl-a", "--name", "xl-scribble")
    rows = {r["name"]: r["kind"] for r in place.json("models") if r.get("kind") == "control"}
    check(rows == {"my-canny": "control", "original_depth": "control", "xl-scribble": "control"}, "models lists them", str(rows))
    told = place.json("models", "show", NETS / "sd1-a-original.safetensors")
    check(told["kind"] == "ControlNet" and told["context"] == 32 and len(told["sha256"]) == 64, "models show tells of one", str(told))
    check(place.json("models", "show", NETS / "sdxl-a")["kind"] == "ControlNet", "and of a folder")


def shelf_of_looks(place):
    """An adapter that lies with its encoder as it was published, one that does not, and an encoder for that."""
    place.sumi("models", "add", LOOKS / "base.safetensors", "--name", "ip-adapter")
    (place.dir / "alone").mkdir()
    for name, source in (("ip-adapter-full-face.safetensors", "full-face.safetensors"), ("ip-adapter-xl.safetensors", "xl.safetensors")):
        shutil.copy(LOOKS / source, place.dir / "alone" / name)
        place.sumi("models", "add", place.dir / "alone" / name)
    bad = render(place, "bad.png", "--control", f"face:{FIRST}")
    check(bad.returncode == 3 and "wants an image encoder whose tokens have 32 channels" in bad.stderr, "without its encoder it says so", bad.stderr)
    shutil.copytree(LOOKS / "image_encoder", place.dir / "vision")
    done = place.sumi("models", "add", place.dir / "vision")
    check("/image_encoders/vision" in done.stdout, "models add takes an image encoder", done.stdout + done.stderr)
    rows = {r["name"]: r["kind"] for r in place.json("models") if r.get("kind")}
    check(rows["ip-adapter"] == "control" and rows["vision"] == "image encoder", "models lists both", str(rows))
    done = place.sumi("models", "add", T2I / "full-original.safetensors", "--name", "t2i-pose")
    check("/controls/t2i-pose" in done.stdout, "models add takes a T2I-Adapter", done.stdout + done.stderr)
    told = place.json("models", "show", T2I / "xl")
    check(told["kind"] == "T2I-Adapter" and told["family"] == "Stable Diffusion XL", "models show tells of one", str(told))
    told = place.json("models", "show", LOOKS / "full-face.safetensors")
    check(told["kind"] == "IP-Adapter" and told["form"] == "full face" and told["context"] == 32, "models show tells of an adapter", str(told))
    told = place.json("models", "show", LOOKS / "image_encoder")
    check(told["kind"] == "image encoder" and told["pixels"] == 32 and told["tokens"] == 17, "and of an encoder", str(told))


def several_kinds(place):
    """One network for many kinds of maps: found for any of them, told which it is."""
    def large(out, what):
        return place.sumi("render", "a boat", *BASE, "--pack", PACKS / "sdxl-tiny", "-o", place.dir / out, "--control", what)
    place.sumi("models", "add", NETS / "sdxl-union", "--name", "my-union")
    check(place.json("models", "show", NETS / "sdxl-union")["form"] == "union", "models show tells it is one")
    made = []
    for word in ("canny", "pose", "tile"):
        done = large(f"union-{word}.png", f"{word}:{FIRST}:0.8")
        check(done.returncode == 0, f"found for {word}", done.stderr)
        made.append(pixels(place, f"union-{word}.png"))
    check(len(set(made)) == 3, "each kind is another to it")
    bad = large("bad.png", f"none:{FIRST},model=my-union")
    check(bad.returncode == 2 and "preprocess has to say" in bad.stderr, "it wants to know which", bad.stderr)


def looks(place):
    def made(name, *more):
        done = render(place, name, *more)
        check(done.returncode == 0, f"{name} is made", done.stderr)
        return pixels(place, name)
    plain = pixels(place, "plain.png")
    like = made("like.png", "--control", f"like:{FIRST}:0.7")
    face = made("face.png", "--control", f"face:{FIRST}:0.7")
    place.sumi("models", "remove", "vision")
    flat = place.state / "models" / "image_encoders" / "below" / "one-file.safetensors"
    flat.parent.mkdir()
    shutil.copy(LOOKS / "image_encoder" / "model.safetensors", flat)
    flat.with_suffix(".sumi.json").write_text('{"config": {"image_encoder": {"num_attention_heads": 4, "hidden_act": "gelu"}}}')
    check(made("flat.png", "--control", f"face:{FIRST}:0.7") == face, "an image encoder may be one file")
    left = made("left.png", "--control", f"like:{FIRST}:0.7,mask={LOOKS / 'left.png'}")
    two = made("two.png", "--control", f"like:{FIRST}:0.5,mask={LOOKS / 'left.png'}", "--control", f"like:{SECOND}:0.5,mask={LOOKS / 'right.png'}",
               "--control", f"canny:{FIRST}:0.4")
    pose = made("pose.png", "--control", f"pose:{FIRST}:0.4")
    both = made("pose-like.png", "--control", f"pose:{FIRST}:0.4", "--control", f"canny:{FIRST}:0.4", "--control", f"like:{SECOND}:0.4")
    check(len({plain, pose, both, like}) == 4, "a T2I-Adapter is followed, alone and beside the others")
    check(len({plain, like, face, left, two}) == 5, "pictures are seen, by two adapters, in parts, beside maps")
    check(plain == made("none.png", "--control", f"like:{FIRST}:0"), "without strength it says nothing")
    joined = made("joined.png", "--control", f"like:{FIRST}:0.7", "--control", f"like:{SECOND},joined=true")
    check(joined not in (like, made("summed.png", "--control", f"like:{FIRST}:0.7", "--control", f"like:{SECOND}")), "two pictures seen as one")
    for what, code, word in ((f"like:{FIRST},joined=true", 2, "no picture of the same"), (f"like:{FIRST},model=ip-adapter-xl", 2, "another family"), (f"like:{FIRST},guess=true", 2, "no guess"),
                             (f"canny:{FIRST},mask={FIRST}", 2, "no mask"), (f"like:{FIRST},mask=absent.png", 3, "absent.png")):
        bad = render(place, "bad.png", "--control", what)
        check(bad.returncode == code and word in bad.stderr and bad.stderr.count("\n") == 1, f"refused: {word}", f"{bad.returncode} {bad.stderr}")


def render(place, out, *more):
    return place.sumi("render", "a boat", *BASE, "--pack", PACKS / PACK, "-o", place.dir / out, *more)


def results(place):
    def made(name, *more):
        done = render(place, name, *more)
        check(done.returncode == 0 and not done.stderr.count("warning"), f"{name} is made", done.stderr)
        return pixels(place, name)
    plain = made("plain.png")
    canny = made("canny.png", "--control", f"canny:{FIRST}:0.8")
    place.sumi("preprocess", "canny", FIRST, "-o", "map.png")
    check(canny == made("given.png", "--control", f"none:map.png:0.8,model=my-canny") != plain,
          "a map that is made is the one that is given")
    depth = made("depth.png", "--control", f"depth:{FIRST}:0.8")
    check(depth == made("named.png", "--controls", json.dumps([{"image": str(FIRST), "strength": 0.8, "model": "my-canny"}])) != canny,
          "one network, whatever its file calls its tensors")
    both = made("both.png", "--control", f"canny:{FIRST}:0.5", "--control", f"depth:{SECOND}:0.5:0:0.5,guess=true")
    check(len({plain, canny, depth, both}) == 4, "two of them, one for half of the run")
    check(plain == made("none.png", "--control", f"canny:{FIRST}:0"), "without strength it says nothing")
    for what, code, word in ((f"scribble:{FIRST}", 3, "no network for scribble"), (f"none:{FIRST},model=xl-scribble", 2, "another family"),
                             (f"none:{FIRST},model=absent", 3, "there is no control 'absent'"), (f"canny:{FIRST}:2:0.7:0.6", 2, "start before the end"),
                             ("canny:absent.png", 3, "absent.png"), (f"cany:{FIRST}", 2, "preprocess"), (f"none:{FIRST}", 2, "model"),
                             (f"canny:{FIRST},model=../../etc/passwd", 3, "no control"), ("canny", 2, "image"), (f"canny:{NETS / 'sd1-a' / 'config.json'}", 2, "neither")):
        bad = render(place, "bad.png", "--control", what)
        check(bad.returncode == code and word in bad.stderr and bad.stderr.count("\n") == 1, f"refused: {what[-30:]}",
              f"{bad.returncode} {bad.stderr}")


def infotext_alone(png):
    """Without sumi's own chunk."""
    out, at = png[:8], 8
    while at < len(png):
        size = int.from_bytes(png[at:at + 4], "big") + 12
        if not png[at + 8:].startswith(b"sumi\0"):
            out += png[at:at + size]
        at += size
    return out


def jobs(place):
    two = ["--control", f"canny:{FIRST}:0.5", "--control", f"depth:{SECOND}:0.5:0:0.5,guess=true"]
    out = place.sumi("image", "a boat", *BASE, *two, "-o", "job.png")
    check(out.returncode == 0 and sha256(place.dir / "job.png") == sha256(place.dir / "both.png"), "a job makes what render makes", out.stderr)
    meta = json.dumps(place.json("show", "job.png"))
    check('"my-canny"' in meta and '"original_depth"' in meta and sha256(FIRST) in meta and
          sha256(NETS / "sd1-a" / "diffusion_pytorch_model.safetensors") in meta, "the file says what it was", meta)
    again = place.sumi("again", "job.png", "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "job.png"), "again repeats it", again.stderr)
    said = place.json("show", "job.png")["infotext"]
    check('ControlNet 0: "Module: canny, Model: my-canny [' in said and 'ControlNet 1: "Module: none, Model: original_depth [' in said and "ControlNet is more important" in said,
          "and its infotext, as the ControlNet extension does", said)
    (place.dir / "said.png").write_bytes(infotext_alone((place.dir / "job.png").read_bytes()))
    told = place.json("show", "said.png")
    check([c["model"] for c in told["controls"]] == ["my-canny", "original_depth"] and told["controls"][1]["end"] == 0.5 and told["controls"][0]["preprocess"] == "canny" and
          not [k for k in told.get("unknown", {}) if "ControlNet" in k], "which is read", str(told))
    again = place.sumi("again", "said.png", "-o", "again.png")
    check(again.returncode == 0 and "--control canny:FILE,strength=0.5,model=my-canny takes one" in again.stderr and
          "--control none:FILE,strength=0.5,end=0.5,model=original_depth,guess=true takes one" in again.stderr, "what has lost its picture says how it is given one", again.stderr)
    again = place.sumi("again", "said.png", "--control", f"canny:{FIRST},strength=0.5,model=my-canny", "--control", f"none:{SECOND},strength=0.5,end=0.5,model=original_depth,guess=true", "-o", "again.png")
    check(again.returncode == 0 and "FILE" not in again.stderr and pixels(place, "again.png") == pixels(place, "job.png"), "and with it makes the same", again.stderr)
    place.sumi("image", "a boat", *BASE, "-o", "plain-job.png")
    check(sha256(place.dir / "plain-job.png") == sha256(place.dir / "plain.png"), "a job without one after those with")
    out = place.sumi("image", "a boat", *BASE, "--control", f"like:{FIRST}:0.7,mask={LOOKS / 'left.png'}", "-o", "job-like.png")
    check(out.returncode == 0 and pixels(place, "job-like.png") == pixels(place, "left.png"), "a job sees what render sees", out.stderr)
    meta = json.dumps(place.json("show", "job-like.png"))
    check(sha256(LOOKS / "left.png") in meta and sha256(LOOKS / "base.safetensors") in meta and
          sha256(LOOKS / "image_encoder" / "model.safetensors") in meta, "the file says by which adapter and encoder", meta)
    again = place.sumi("again", "job-like.png", "-o", "again-like.png")
    check(again.returncode == 0 and sha256(place.dir / "again-like.png") == sha256(place.dir / "job-like.png"), "again repeats it", again.stderr)
    shutil.copy(FIRST, place.dir / "photo.png")
    (place.dir / "list.csv").write_text('prompt,controls,seed\na boat,canny:photo.png:0.8,7\n"a boat","depth:photo.png:0.8",7\n')
    done = place.sumi("batch", "list.csv", "--size", "64x64", "--steps", 4, "--format", "png")
    for name, i in zip(("canny.png", "depth.png"), done.stdout.split()):
        place.sumi("wait", i)
        place.sumi("fetch", i, "-o", "listed.png")
        check(pixels(place, "listed.png") == pixels(place, name), f"a list of jobs makes {name}", done.stderr)
    for what, word in ((f"scribble:{FIRST}", "xl-scribble is not for it: "), (f"none:{FIRST},model=xl-scribble", "another family"),
                       (f"like:{FIRST};like:{SECOND}:0.5,joined=true", "those of the picture before it"),
                       (f"like:{FIRST},model=ip-adapter-xl", "another family"), (f"canny:{FIRST},mask={FIRST}", "no mask")):
        bad = place.sumi("image", "a boat", *BASE, "--control", what, "-o", "bad.png")
        check(bad.returncode != 0 and word in bad.stderr and bad.stderr.count("\n") == 1, f"refused at once: {word}", bad.stderr)
    place.sumi("models", "add", T2I / "xl", "--name", "t2i-xl")
    shown = ["--steps", 4, "--model", "sdxl-tiny", "--control", f"none:{FIRST},model=t2i-xl", "--detach"]
    for size, fits in (("72x64", False), ("64x80", True)):
        done = place.sumi("image", "a boat", *shown, "--size", size, "--id", f"t2i-{size}")
        check(done.returncode == (0 if fits else 2) and ("multiples of 16, not 72x64" in done.stderr) != fits,
              f"a T2I-Adapter's sizes are known when a job comes: {size}", f"{done.returncode} {done.stderr}")
    place.sumi("cancel", "t2i-64x80")


def resumes(place):
    """Killed between two steps, it goes on to the same bytes."""
    more = ["--steps", 40, "--control", f"canny:{FIRST}:0.5:0.2:0.8", "--control", f"like:{SECOND}:0.6,mask={LOOKS / 'left.png'}"]
    render(place, "whole.png", *more)
    place.sumi("image", "a boat", *BASE, *more, "--id", "cut", "--detach", "--format", "png")
    resumed_like(place, "cut", "whole.png")


def main():
    place = Place()
    try:
        shelf(place)
        results(place)
        shelf_of_looks(place)
        looks(place)
        several_kinds(place)
        place.start()
        jobs(place)
        resumes(place)
    finally:
        place.stop()
        place.remove()
    finish()


main()

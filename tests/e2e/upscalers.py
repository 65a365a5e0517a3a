#!/usr/bin/env python3
"""Networks that make pictures larger, by their names: added, told, listed; in jobs at the end and between two passes, recorded
and repeated, in videos, gone on with after a kill; refused where there is none."""
import struct

from gateway_lib import *

BOX = "ink-upscale"
NETS = ROOT / "tests" / "vectors" / "upscalers"
BASE = ["--size", "64x64", "--steps", 3, "--seed", 7]


def png_size(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


def own(place):
    """Upscalers beside those of the box, which are there whatever a place says: name -> kind."""
    return {r["name"]: r["kind"] for r in place.json("models") if r.get("kind") and r["name"] != BOX}


def box(place):
    """The upscaler of the box is taken where no other is there and none is named: by commands, jobs, batches and over HTTP."""
    file = ROOT / "models" / "upscalers" / f"{BOX}.safetensors"
    told = place.json("models", "show", BOX)
    check((told["kind"], told["network"], told["enlarges"]) == ("upscaler", "SRVGG", 4.0) and file.stat().st_size < 1500000, "models show tells it",
          str(told))
    large = ["--upscale", 4]
    done = place.sumi("image", "a boat", *BASE, *large, "-o", "box.png")
    told = json.dumps(place.json("show", "box.png"))
    check(done.returncode == 0 and png_size(place.dir / "box.png") == (256, 256) and f'"upscaler": "{BOX}"' in told and sha256(file) in told,
          "a job that names none, and what its file says", done.stderr + told)
    plain = place.sumi("show", "box.png").stdout
    check(re.search(rf"^upscaler\s+{BOX}$", plain, re.M) and re.search(r"^upscale\s+4(\.0)?$", plain, re.M), "show says it", plain)
    again = place.sumi("again", "box.png", "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "box.png"), "again repeats it", again.stderr)
    (place.dir / "batch.txt").write_text("a boat\n")
    done = place.sumi("batch", "batch.txt", *BASE, *large, "--format", "png", "--quiet")
    batch = done.stdout.split()[-1]
    place.sumi("wait", batch)
    gateway = Gateway(place)
    try:
        status, _, made = gateway.ask("POST", "/jobs", {"id": "over-http", "prompt": "a boat", "width": 64, "height": 64, "steps": 3, "seed": 7,
                                                        "upscale": 4, "format": "png"})
        check(status in (200, 201, 202) and gateway.becomes("over-http", "done"), "over HTTP", str(made))
    finally:
        gateway.stop()
    for job in (batch, "over-http"):
        place.sumi("fetch", job, "-o", f"{job}.png")
        check(sha256(place.dir / f"{job}.png") == sha256(place.dir / "box.png"), "the same bytes", job)


def setting(place):
    """sumi.conf names the usual one, for jobs and files; what it names is never replaced by another."""
    place.configure(upscaler="HALF")
    done = place.sumi("render", "a boat", *BASE, "--pack", PACKS / PACK, "--upscale", 2, "-o", "usual.png")
    told = json.dumps(place.json("show", "usual.png"))
    check('"upscaler": "half"' in told, "the setting's network in a job", done.stderr + told)
    place.sumi("upscale", "boat.png", "-o", "usual.png")
    check("Postprocess upscaler: half" in (place.dir / "usual.png").read_text("latin-1"), "and for a file")
    render(place, "named.png", "--upscale", 2, "--upscaler", "4x-plain")
    check('"upscaler": "4x-plain"' in json.dumps(place.json("show", "named.png")), "one that is named goes before it")
    place.configure(upscaler="absent")
    for words in (["upscale", "boat.png"], ["render", "a boat", *BASE, "--pack", PACKS / PACK, "--upscale", 2, "-o", "bad.png"],
                  ["image", "a boat", "--upscale", 2, "-o", "bad.png"]):
        bad = place.sumi(*words)
        check(bad.returncode == 3 and "setting 'upscaler': there is no upscaler 'absent'; there are: RealESRGAN_x4plus" in bad.stderr,
              f"one that is not there: {words[0]}", f"{bad.returncode} {bad.stderr}")
    place.configure(upscaler="")


def shelf(place):
    other = place.dir / "other" / "upscale_models"
    other.mkdir(parents=True)
    shutil.copy(NETS / "plain.safetensors", other / "4x-plain.safetensors")
    place.configure(packs=f"{place.packs}:{other.parent}")
    done = place.sumi("upscale", "box.png", "--by", 1, "-o", "first.png")
    check(done.returncode == 0 and "Postprocess upscaler: 4x-plain" in (place.dir / "first.png").read_text("latin-1"),
          "one's own goes before that of the box", done.stderr)
    for file, name in (("compact.safetensors", "RealESRGAN_x4plus"), ("half.pth", "half")):
        done = place.sumi("models", "add", NETS / file, "--name", name)
        check(done.returncode == 0 and f"/upscalers/{name}." in done.stdout, f"models add {file}", done.stdout + done.stderr)
    rows = own(place)
    check(rows == {"RealESRGAN_x4plus": "upscaler", "half": "upscaler", "4x-plain": "upscaler"},
          "models lists them, and those in other programs' folders", str(rows))
    for what in (NETS / "half.pth", "half"):
        told = place.json("models", "show", what)
        check((told["kind"], told["network"], told["enlarges"], len(told["sha256"])) == ("upscaler", "RRDB", 2.0, 64), f"models show {what}",
              str(told))
    bad = place.sumi("models", "remove", "upscalers")
    check(bad.returncode == 2, "its folder is no model", bad.stderr)


def by_name(place):
    place.sumi("render", "a boat", *BASE, "-o", "boat.png", "--pack", PACKS / PACK)
    made = {}
    for name in ("half", "HALF.pth", "RealESRGAN_x4plus.pth", "R-ESRGAN 4x+"):
        done = place.sumi("upscale", "boat.png", "-u", name, "-o", "large.png")
        made[name] = sha256(place.dir / "large.png") if done.returncode == 0 else done.stderr
    check(made["R-ESRGAN 4x+"] == made["RealESRGAN_x4plus.pth"] and "Postprocess upscaler: R-ESRGAN 4x+" in
          (place.dir / "large.png").read_text("latin-1"), "A1111's name and a file's", str(made))
    check(made["half"] == made["HALF.pth"], "with an ending or without", str(made))
    done = place.sumi("upscale", "boat.png")
    check(done.returncode == 0 and png_size(place.dir / "boat-x2.png") == (128, 128), "the first that there is", done.stderr)
    bad = place.sumi("upscale", "boat.png", "-u", "absent")
    check(bad.returncode == 3 and re.search("no upscaler 'absent'; there are: RealESRGAN_x4plus, half, .*4x-plain", bad.stderr), "refused with what there is",
          bad.stderr)


def render(place, out, *more):
    done = place.sumi("render", "a boat", *BASE, "--pack", PACKS / PACK, "-o", place.dir / out, *more)
    check(done.returncode == 0, f"{out} is made", done.stderr)


def jobs(place):
    large = ["--upscale", 4, "--upscaler", "half"]
    render(place, "large.png", *large)
    place.sumi("upscale", "boat.png", "-u", "half", "--by", 4, "-o", "after.png")
    check(png_size(place.dir / "large.png") == (256, 256), "four times as large", str(png_size(place.dir / "large.png")))
    for name in ("large", "after"):
        place.sumi("preprocess", "luminance", f"{name}.png", "-o", f"{name}-seen.png")
    check(sha256(place.dir / "large-seen.png") == sha256(place.dir / "after-seen.png"), "as sumi upscale makes it of the finished file")
    done = place.sumi("image", "a boat", *BASE, *large, "-o", "job.png")
    check(done.returncode == 0 and sha256(place.dir / "job.png") == sha256(place.dir / "large.png"), "a job makes what render makes", done.stderr)
    told = json.dumps(place.json("show", "job.png"))
    check('"upscale": 4' in told and '"upscaler": "half"' in told and sha256(NETS / "half.pth") in told, "the file says how", told)
    again = place.sumi("again", "job.png", "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "job.png"), "again repeats it", again.stderr)
    place.sumi("image", "a boat", *BASE, "-o", "small.png")
    check(sha256(place.dir / "small.png") == sha256(place.dir / "boat.png"), "a job without one after that")
    hires = ["--hires", 1.5, "--hires-steps", 2, "--hires-upscaler"]
    render(place, "network.png", *hires, "r-esrgan 4x+")
    check(png_size(place.dir / "network.png") == (96, 96), "a network between two passes")
    text = (place.dir / "network.png").read_text("latin-1")
    check("Hires upscaler: R-ESRGAN 4x+" in text and '"hires_upscaler":"RealESRGAN_x4plus"' in text, "said as A1111 says it")
    again = place.sumi("again", "network.png", "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "network.png"), "again repeats it", again.stderr)
    for what, code, word in ((["--upscale", 4, "--upscaler", "absent"], 3, "there are: RealESRGAN_x4plus"), (["--upscale", 0.5], 2, "upscale"),
                             (["--upscale", 16, "--size", "2048x2048"], 1, "larger than a picture may be"),
                             (["--hires", 2, "--hires-upscaler", "absent"], 3, "hires_upscaler"),
                             (["--upscale", 2, "--upscaler", "../../etc/passwd"], 3, "no upscaler")):
        bad = place.sumi("image", "a boat", *what, "-o", "bad.png")
        check(bad.returncode != 0 and word in bad.stderr and bad.stderr.count("\n") == 1, f"refused at once: {what}", f"{bad.returncode} {bad.stderr}")


def films(place):
    done = place.sumi("video", "a boat", "--size", "32x32", "--steps", 2, "--frames", 4, "--upscale", 2, "--boomerang", "--model", "motion-tiny",
                      "-o", "film.webp")
    data = (place.dir / "film.webp").read_bytes() if done.returncode == 0 else b""
    check(data.count(b"ANMF") == 6 and data[24:30] == bytes((63, 0, 0, 63, 0, 0)), "a whole video, each frame", done.stderr)
    place.sumi("video", "a boat", "--size", "32x32", "--steps", 2, "--frames", 4, "--fps", 5, "--model", "motion-tiny", "-o", "film.webm")
    done = place.sumi("upscale", "film.webm", "-u", "half")
    told = json.dumps(place.json("show", "film-x2.webm"))
    data = (place.dir / "film-x2.webm").read_bytes() if done.returncode == 0 else b""
    check(b"\xb0\x81\x40\xba\x81\x40" in data and "a boat" in told and "half" in told, "a film's file, of 64x64 then", done.stderr + told)
    bad = place.sumi("upscale", "film.webm", "-u", "half", "-o", "film-large.webp")
    check(bad.returncode == 2 and "film.webm is a film: its result is a .webm" in bad.stderr, "a film becomes a film", bad.stderr)


def textures(place):
    """Edges that are one: said in a file as A1111 says it, and repeated from that alone."""
    render(place, "both.png", "--tile", "both")
    text = (place.dir / "both.png").read_text("latin-1")
    check("Tiling: True" in text and '"tile":"both"' in text, "both directions", text[:300])
    place.sumi("upscale", "both.png", "-u", "half", "-o", "told.png")  # leaves A1111's text
    done = place.sumi("again", "told.png", "-o", "again.png")
    text = (place.dir / "again.png").read_text("latin-1") if done.returncode == 0 else done.stderr
    check('"tile":"both"' in text and '"upscale":2' in text and '"upscaler":"half"' in text, "again by the text alone", text[:600])


def resumes(place):
    """Killed between two steps, it goes on to the same bytes."""
    more = ["--steps", 40, "--upscale", 4, "--upscaler", "4x-plain", "--tile", "x"]
    render(place, "whole.png", *more)
    place.sumi("image", "a boat", *BASE, *more, "--id", "cut", "--detach", "--format", "png")
    resumed_like(place, "cut", "whole.png")
    place.sumi("models", "remove", "half")
    check("half" not in str(place.json("models")), "one is removed")


place = Place()
place.packs = place.dir / "packs"
place.packs.mkdir()
for pack in (PACK, "motion-tiny"):
    (place.packs / pack).symlink_to(PACKS / pack)
place.configure(packs=place.packs)
try:
    place.start()
    box(place)
    place.stop()
    shelf(place)
    by_name(place)
    setting(place)
    place.start()
    jobs(place)
    films(place)
    textures(place)
    resumes(place)
finally:
    place.stop()
    place.remove()
finish()

#!/usr/bin/env python3
"""What JPEG files of other programs say of their making: EXIF and comments, read whole or refused."""
import json, struct
from pathlib import Path

from lib import *

TEXT = "a cat, тихо\nNegative prompt: rain\nSteps: 3, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x64"
PLAIN = TEXT.replace("тихо", "fog")
REAL = Path(__file__).resolve().parents[3] / "shared" / "real" / "pictures"


def exif(comment, order=">"):
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8)
    ifd0 = struct.pack(order + "HHHIII", 1, 0x8769, 4, 1, 26, 0)
    ifd = struct.pack(order + "HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    return b"\xff\xe1", b"Exif\0\0" + head + ifd0 + ifd + comment


def jpeg(*segments):
    return b"\xff\xd8" + b"".join(m + struct.pack(">H", len(b) + 2) + b for m, b in segments) + b"\xff\xd9"


def told(place, data):
    (place.dir / "x.jpg").write_bytes(data)
    done = place.sumi("show", "x.jpg", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {}, done


def made(place):
    app0, com = (b"\xff\xe0", b"JFIF\0\1\1\0\0\1\0\1\0\0"), b"\xff\xfe"
    for name, prompt, segments in [
            ("UTF-16, big end first", "тихо", [app0, exif(b"UNICODE\0" + TEXT.encode("utf-16-be"))]),
            ("UTF-16, little end first", "тихо", [app0, exif(b"UNICODE\0" + TEXT.encode("utf-16-le"), "<")]),
            ("UTF-16, each its own way", "тихо", [exif(b"UNICODE\0" + TEXT.encode("utf-16-le"))]),
            ("UTF-16 with a byte order mark", "тихо", [exif(b"UNICODE\0" + TEXT.encode("utf-16"))]),
            ("ASCII", "fog", [app0, exif(b"ASCII\0\0\0" + PLAIN.encode())]),
            ("a comment", "тихо", [app0, (com, TEXT.encode())]),
            ("a comment that ends in NUL", "тихо", [(com, b"made with a pencil"), (com, TEXT.encode() + b"\0")]),
            ("a comment, and EXIF of a camera", "fog", [exif(b"ASCII\0\0\0" + b" " * 40), (com, PLAIN.encode())])]:
        got, done = told(place, jpeg(*segments))
        check((got.get("prompt"), got.get("negative_prompt"), got.get("seed"), got.get("steps"), got.get("width")) ==
              (f"a cat, {prompt}", "rain", 7, 3, 64) and got.get("modality") == "image" and "format" not in got, name,
              f"{got} {done.stderr}")
    for name, data, words in [
            ("nothing in it", jpeg(app0), ["x.jpg", "holds no parameters"]),
            ("a comment of an editor", jpeg((com, b"Created with GIMP")), ["holds no parameters"]),
            ("a camera's", jpeg(exif(b"ASCII\0\0\0" + b" " * 40)), ["holds no parameters"]),
            ("a cut segment", jpeg((com, TEXT.encode()))[:60], ["x.jpg", "byte 2"]),
            ("a length of none", b"\xff\xd8\xff\xfe\0\1xx", ["byte 2"]),
            ("no marker", b"\xff\xd8\xff\xfe\0\2abcd", ["marker", "byte 6"]),
            ("its beginning alone", b"\xff\xd8\xff", ["cut off"]),
            ("EXIF that is none", jpeg((b"\xff\xe1", b"Exif\0\0" + b"x" * 40)), ["EXIF"]),
            ("a comment outside EXIF", jpeg((exif(b"")[0], exif(b"ASCII\0\0\0" + b"x" * 40)[1][:-20])), ["EXIF", "outside"])]:
        _, done = told(place, data)
        check(done.returncode in (2, 3) and all(w in done.stderr for w in words) and done.stderr.count("\n") == 1, name,
              f"{done.returncode} {done.stderr}")


def again(place):
    data = jpeg(exif(b"UNICODE\0" + TEXT.encode("utf-16-le"), "<"))
    (place.dir / "a.jpg").write_bytes(data)
    done = place.sumi("again", "a.jpg", "-o", "made.png")
    got = place.json("show", "made.png") if done.returncode == 0 else {}
    check((got.get("prompt"), got.get("seed"), got.get("sampler")) == ("a cat, тихо", 7, "euler_a") and
          "infotext alone" in done.stderr, "again from a JPEG", f"{got} {done.stderr}")
    done = subprocess.run(f"cat a.jpg | '{BIN / 'sumi'}' again - --detach", shell=True, env=place.env(), cwd=place.dir,
                          capture_output=True, text=True)
    check(done.returncode == 0 and done.stdout.strip(), "and through a pipe", done.stderr)


def own(place):
    """Made as JPEG, read by others, made again."""
    made = place.sumi("render", "a \"cat\" & тихо", "--steps", 2, "--size", "64x64", "--seed", 5, "-o", "own.jpg")
    got = place.json("show", "own.jpg") if made.returncode == 0 else {}
    check(got.get("format") == "jpeg" and got.get("quality") == 90 and got["prompt"] == "a \"cat\" & тихо", "a JPEG is made", made.stderr)
    again = place.sumi("again", "own.jpg", "-o", "again.jpeg")
    check(again.returncode == 0 and (place.dir / "again.jpeg").read_bytes() == (place.dir / "own.jpg").read_bytes(), "and again, to the byte", again.stderr)
    for args, word in [(["x", "--lossless"], "lossless"), (["y" * 8000, "--negative-prompt", "n" * 4000], "webp or png")]:
        bad = place.sumi("render", *args, "--steps", 2, "--size", "64x64", "-o", "bad.jpg")
        check(bad.returncode == 2 and word in bad.stderr and bad.stderr.count("\n") == 1, f"refused: {word}", bad.stderr)
    if not shutil.which("exiftool"):
        print("skip exiftool reads it: exiftool is not installed")
        return
    for name in ("own.jpg", "own.png", "own.webp"):
        if name != "own.jpg":
            place.sumi("again", "own.jpg", "--format", name[4:], "-o", name)
        said = json.loads(subprocess.run(["exiftool", "-json", "-charset", "UTF8", place.dir / name], capture_output=True, text=True).stdout)[0]
        text = said.get("UserComment") or said.get("Parameters") or ""
        check(text.startswith("a \"cat\" & тихо") and "Seed: 5" in text and "Warning" not in said, f"exiftool reads {name}", str(said)[:500])


def real(place):
    if not (REAL / "EXPECTED.json").exists():
        print("skip real no pictures of other programs here")
        return
    for name, want in json.loads((REAL / "EXPECTED.json").read_text()).items():
        if not name.endswith((".jpg", ".jpeg")):
            continue
        done = place.sumi("show", REAL / name, "--json")
        if "infotext" not in want:
            check(done.returncode == 0 or "holds no parameters" in done.stderr, f"{name} holds nothing, or no infotext",
                  done.stderr)
            continue
        got, want = json.loads(done.stdout or "{}"), want["infotext"]
        fields = want["fields"]
        check(" ".join(got.get("prompt", "").split()) == " ".join(want["prompt"].split()) and
              str(got.get("seed")) == fields["Seed"] and str(got.get("steps")) == fields["Steps"] and
              f"{got.get('width')}x{got.get('height')}" == fields["Size"], name, f"{got} {done.stderr}")


place = Place()
try:
    made(place)
    real(place)
    place.start()
    own(place)
    again(place)
finally:
    place.remove()
finish()

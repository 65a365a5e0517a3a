#!/usr/bin/env python3
"""Prompts from the user's side: their syntax, shown, recorded and repeated; embeddings of every layout, named in any case, refused
where they fit no model."""
import shutil
import struct
import zlib

from lib import *

BASE = ["--size", "64x64", "--steps", 4, "--seed", 7]


def write(path, tensors):
    """Safetensors of F32: {name: rows of numbers, or one row}."""
    header, data = {}, b""
    for name, rows in sorted(tensors.items()):
        shape = [len(rows), len(rows[0])] if isinstance(rows[0], list) else [len(rows)]
        numbers = [x for row in rows for x in row] if len(shape) == 2 else rows
        body = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def vectors(count, width, seed=1):
    return [[((7 * i + 3 * k + seed) % 11 - 5) / 8 for i in range(width)] for k in range(count)]


def render(place, prompt, out, *more):
    return place.sumi("render", prompt, *BASE, "--pack", PACKS / PACK, "-o", out, *more)


def pixels(path):
    """Of a PNG: the file says how it was made, too."""
    data, at, body = path.read_bytes(), 8, b""
    while at < len(data):
        size, = struct.unpack(">I", data[at:at + 4])
        body += data[at + 8:at + 8 + size] if data[at + 4:at + 8] == b"IDAT" else b""
        at += size + 12
    return zlib.decompress(body)


def made(place, prompt, *more):
    out = place.dir / "made.png"
    done = render(place, prompt, out, *more)
    check(done.returncode == 0, f"made: {prompt}", done.stderr)
    return pixels(out)


def metadata(place, path):
    return json.dumps(place.json("show", path))


def syntaxes(place):
    plain = made(place, "a cat in fog")
    check("prompt_syntax" not in metadata(place, "made.png"), "the file of a plain prompt names no syntax")
    three = {}
    for syntax in ("a1111", "comfy", "diffusers"):
        render(place, "a (cat:1.4) in ((fog)) [x|y]", place.dir / f"{syntax}.png", "--prompt-syntax", syntax)
        three[syntax] = pixels(place.dir / f"{syntax}.png")
    check(len({plain, *three.values()}) == 4, "weights and changes by syntax")
    seen = {plain, *three.values()}
    for text in ("a cat++ in fog", "a (cat)0.5 in fog", '("a cat", "in fog").blend(1, 2)', '("a cat", "in fog").and()'):
        render(place, text, place.dir / "compel.png", "--prompt-syntax", "compel")
        seen.add(pixels(place.dir / "compel.png"))
    check(len(seen) == 8, "and compel's", str(len(seen)))
    bad = render(place, "a cat.swap(dog)", place.dir / "bad.png", "--prompt-syntax", "compel")
    check(bad.returncode == 2 and ".swap()" in bad.stderr and bad.stderr.count("\n") == 1, "what it has and sumi has not is refused", bad.stderr)
    check(made(place, "a (cat:1.4) in ((fog)) [x|y]") == three["a1111"], "a1111 where nobody says")
    bad = render(place, "a (cat:1.2.3)", place.dir / "bad.png")
    check(bad.returncode == 2 and "1.2.3" in bad.stderr and bad.stderr.count("\n") == 1, "what cannot be read is refused", bad.stderr)


def explained(place):
    told = place.json("prompt", "--explain", "a (cat:1.3) [fog:dusk:2] AND lake :0.5", "--steps", 4, "--sampler", "euler")
    first, second = told["prompt"]
    check(second["weight"] == 0.5 and [t["evaluations"] for t in first["texts"]] == [[[1, 2]], [[3, 4]]], "steps of each text", str(told))
    weights = [t["weight"] for t in first["texts"][0]["chunks"][0]["tokens"]]
    check(1 in weights and any(abs(w - 1.3) < 1e-6 for w in weights), "weights of tokens", str(weights))
    texts = "".join(t["text"] for t in first["texts"][0]["chunks"][0]["tokens"])
    check(texts == "a cat fog ", "tokens spell the words", texts)
    said = place.sumi("prompt", "16:9 [x:y:99]", "--steps", 5).stdout
    check("never comes" in said, "what never comes is told", said)
    said = place.sumi("prompt", "fog <hypernet:x:1> <b", "--negative-prompt", "<lora:y:1>").stdout
    check("'<hypernet:x:1>' is words" in said and "'<lora:y:1>' is words: in a negative" in said and "'<b'" not in said, "tags that are none", said)
    said = place.sumi("prompt", "mountains 16:9").stdout
    check("weight 9" in said and "not a word" in said, "so is a weight that nobody meant", said)
    said = place.sumi("prompt", "(a)", "--prompt-syntax", "diffusers").stdout
    check("are words" in said, "and what is a word", said)
    none = place.sumi("prompt", "a", "--model", "nobody")
    check(none.returncode == 3, "of a model that is not there", none.stderr)


def embeddings(place):
    folder = place.state / "models" / "embeddings"
    write(place.dir / "Some-Thing.safetensors", {"emb_params": vectors(2, 32)})
    done = place.sumi("models", "add", "Some-Thing.safetensors")
    check(done.returncode == 0 and "/embeddings/Some-Thing.safetensors" in done.stdout, "models add", done.stdout + done.stderr)
    (folder / "sorted").mkdir()
    write(folder / "sorted" / "concept.safetensors", {"<birb>": vectors(1, 32)[0]})
    write(folder / "pair.safetensors", {"clip_l": vectors(3, 32), "clip_g": vectors(3, 40)})
    write(folder / "other.safetensors", {"text_encoders_0": vectors(1, 32), "text_encoders_1": vectors(1, 40, 2)})
    write(folder / "wide.safetensors", {"emb_params": vectors(1, 24)})
    shutil.copy(ROOT / "tests/vectors/embedding.pt", folder / "web.pt")
    (folder / "broken.pt").write_bytes(b"nothing")
    listed = place.sumi("models").stdout
    check(all(f"{n} " in listed for n in ("Some-Thing", "concept", "pair", "web")), "models lists them", listed)
    told = place.json("models", "show", folder / "sorted" / "concept.safetensors")
    check(told["kind"] == "embedding" and told["vectors"] == 1 and told["trigger_words"] == "concept, <birb>" and len(told["sha256"]) == 64,
          "models show tells of one", str(told))
    file = place.dir / "one.png"
    done = render(place, "a SOME-thing in fog", file)
    check(done.returncode == 0 and pixels(file) != made(place, "a thing in fog"), "its vectors count", done.stderr)
    check(pixels(file) == made(place, "a embedding:some-thing in fog", "--prompt-syntax", "comfy"), "by ComfyUI's mark too")

    def named(prompt, *more, pack=PACK):
        return {e["name"]: e["vectors"] for e in place.json("prompt", prompt, "--model", pack, *more).get("embeddings", [])}
    rows = (("some-THING, (web:1.3)", (), PACK, {"Some-Thing": 2, "web": 2}), ("a <birb> and concept", (), PACK, {"concept": 1, "<birb>": 1}),
            ("a <BIRB>", (), PACK, {"<birb>": 1}), ("a somewebsite, web2", (), PACK, {}), ("fog", ("--negative-prompt", "x web"), PACK, {"web": 2}),
            ("web", ("--prompt-syntax", "comfy"), PACK, {}), ("(embedding:WEB:1.2), x", ("--prompt-syntax", "comfy"), PACK, {"web": 2}),
            ("web", ("--prompt-syntax", "diffusers"), PACK, {"web": 2}), ("a pair and other", (), "sdxl-tiny", {"pair": 3, "other": 1}))
    for prompt, more, pack, want in rows:
        got = named(prompt, *more, pack=pack)
        check(got == want, f"named by {prompt}", str(got))
    for prompt, pack in (("a pair", PACK), ("a wide", PACK), ("a web", "sdxl-tiny"), ("broken", PACK)):
        bad = place.sumi("prompt", prompt, "--model", pack)
        check(bad.returncode != 0 and bad.stderr.count("\n") == 1 and ("is not for model" in bad.stderr or "broken" in bad.stderr),
              f"refused: {prompt}", bad.stderr)
    for name in ("nobody", "../../x", "/etc/passwd"):
        bad = place.sumi("prompt", f"embedding:{name}", "--prompt-syntax", "comfy", "--model", PACK)
        check(bad.returncode == 3 and f"'{name}'" in bad.stderr and "Some-Thing" in bad.stderr, f"a mark of nothing: {name}", bad.stderr)
    check(place.sumi("models", "remove", "other").returncode == 0 and not (folder / "other.safetensors").exists(), "models remove")


def wildcards_of_others(place, folder):
    """As sd-dynamic-prompts has them: a name in whatever folder, Windows' slashes, YAML and JSON."""
    (folder / "tree.yaml").write_bytes("﻿# names\r\ncolours:\r\n- red # not blue\r\n- 'sea green, dark'\r\n\r\nclothes:\r\n  hats: [cap, \"top, \\\"hat\\\"\"]\r\n"
                                       "  shoes:\r\n    - boots\r\n    - \"{high|low} heels\"\r\n".encode())
    (folder / "tree.json").write_text('{"birds": {"small": ["wren"], "large": "crane"}}')
    (folder / "list.json").write_text('["one", "two"]')
    for name, lines in (("place", {"fog", "lake"}), ("deep\\place", {"fog", "lake"}), ("colours", {"red", "sea green, dark"}), ("clothes/hats", {"cap", 'top, "hat"'}),
                        ("clothes/shoes", {"boots", "high heels", "low heels"}), ("shoes", {"boots", "high heels", "low heels"}), ("birds/*", {"wren", "crane"}),
                        ("list", {"one", "two"})):
        texts = {place.json("prompt", f"a __{name}__", "--seed", k)["prompt"][0]["texts"][0]["text"] for k in range(9 if "shoes" in name else 7)}
        check(texts == {f"a {line}" for line in lines}, f"a wildcard {name}", str(texts))
    (folder / "broken.yml").write_text("good:\n  - x\nbad: &a\n  - y\n")
    for name, why in (("bad", "broken.yml:3: anchors, tags and blocks of text are not read"), ("latin", "latin.txt:2: it is not UTF-8")):
        (folder / "latin.txt").write_bytes(b"a\ncaf\xe9\n")
        bad = place.sumi("prompt", f"a __{name}__")
        check(bad.returncode and why in bad.stderr and bad.stderr.count("\n") == 1, f"what cannot be read is told with its line: {name}", bad.stderr)
    for name in ("colours", "animal"): # which stand in files behind it and before it
        check(place.json("prompt", f"a __{name}__")["prompt"], f"and is in nobody's way: {name}")
    for file in ("tree.yaml", "tree.json", "list.json", "broken.yml", "latin.txt"):
        (folder / file).unlink()


def drawn(place):
    models = place.state / "models"
    (models / "wildcards" / "deep").mkdir(parents=True)
    (models / "wildcards" / "animal.txt").write_bytes(b"\xef\xbb\xbf# none\r\ncat\r\n2::{red|blue} dog")
    (models / "wildcards" / "deep" / "place.txt").write_text("fog\nlake\n")
    (place.dir / "secret.txt").write_text("secret\n")
    (models / "wildcards" / "away.txt").symlink_to(place.dir / "secret.txt")
    (models / "wildcards" / "up").symlink_to(place.dir)
    (models / "styles.csv").write_text('name,prompt,negative_prompt\nnoir,"film, {prompt}, (grain:1.2)","colour, ""neon"""\noil,oil on canvas,\n')
    texts = {place.json("prompt", "a __animal__ in __deep/place__", "--seed", k)["prompt"][0]["texts"][0]["text"] for k in range(30)}
    check(texts == {f"a {a} in {p}" for a in ("cat", "red dog", "blue dog") for p in ("fog", "lake")}, "wildcards and choices", str(texts))
    styled = place.json("prompt", "boat", "--style", "noir, OIL", "--negative-prompt", "bad")
    check(styled["prompt"][0]["texts"][0]["text"] == "film, boat, (grain:1.2), oil on canvas", "styles around the prompt", str(styled))
    check(styled["negative_prompt"][0]["texts"][0]["text"] == 'bad, colour, "neon"', "and the negative one")
    wildcards_of_others(place, models / "wildcards")
    kept = (models / "styles.csv").read_bytes()
    for what, table in (("columns in another order, and more of them", "\ufeffid,name,negative_prompt,prompt\r\n1,noir,colour,film\r\n"),
                        ("a text for a prompt", "name,text\nnoir,film\n"), ("no heading", "noir,film,colour\n"),
                        ("the last of a name", "name,prompt,negative_prompt\nnoir,other,\nnoir,film,colour\n")):
        (models / "styles.csv").write_text(table, encoding="utf-8", newline="")
        told = place.json("prompt", "boat", "--style", "noir")
        check(told["prompt"][0]["texts"][0]["text"] == "boat, film" and
              ("colour" not in table or told["negative_prompt"][0]["texts"][0]["text"] == "colour"), f"styles.csv: {what}", str(told))
    (models / "styles.csv").write_bytes(kept)
    for prompt, more, word in (("__nobody__", (), "animal"), ("__away__", (), "animal"), ("__up/secret__", (), "animal"),
                               ("boat", ("--style", "nobody"), "noir")):
        bad = place.sumi("prompt", prompt, *more)
        check(bad.returncode == 3 and word in bad.stderr and bad.stderr.count("\n") == 1, f"refused: {prompt} {more}", bad.stderr)
    literal = place.json("prompt", "{a|b}", "--literal", "--prompt-syntax", "diffusers")
    check(literal["prompt"][0]["texts"][0]["text"] == "{a|b}", "literal takes them as words")


def drawn_jobs(place):
    done = place.sumi("image", "a {cat|dog|bird|fish} in __deep/place__", *BASE, "-n", 3, "--model", PACK, "-o", "drawn.png")
    files = sorted(place.dir.glob("drawn*.png"))
    told = [place.json("show", f) for f in files]
    check(done.returncode == 0 and len(told) == 3 and all(t["prompt_template"] == "a {cat|dog|bird|fish} in __deep/place__" for t in told),
          "each variant says what it was made of", done.stderr)
    want = {place.json("prompt", "a {cat|dog|bird|fish} in __deep/place__", "--seed", 7 + k)["prompt"][0]["texts"][0]["text"] for k in range(3)}
    check({t["prompt"] for t in told} == want, "drawn by its seed", str([t["prompt"] for t in told]))
    (place.state / "models" / "wildcards" / "deep" / "place.txt").unlink()
    again = place.sumi("again", files[-1], "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(files[-1]), "again needs no wildcard", again.stderr)
    bad = place.sumi("image", "in __deep/place__", *BASE, "--model", PACK, "-o", "bad.png")
    check(bad.returncode == 3 and "deep/place" in bad.stderr, "one that is gone is refused at once", bad.stderr)
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "wild", "modality", "image", "prompt", "__nobody__")
    check(wait_for(lambda: "nobody" in place.sumi("dead-letters").stdout), "and where jobs come in")


def jobs(place):
    for syntax in ("a1111", "comfy", "diffusers", "compel"):
        file = place.dir / f"{syntax}.png"
        again = place.sumi("again", file, "-o", "again.png", "--model", PACK)
        check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(file), f"again repeats {syntax}", again.stderr)
    done = place.sumi("image", "a (Some-Thing:1.2), [cat|dog]", *BASE, "--model", PACK, "-o", "job.png")
    meta = metadata(place, "job.png")
    check(done.returncode == 0 and sha256(place.dir / "Some-Thing.safetensors") in meta and '"a1111"' in meta, "the file says what it was",
          done.stderr + meta)
    text = place.sumi("show", "job.png").stdout
    check("TI hashes" in text and "Prompt syntax" in text, "so does its infotext", text)
    again = place.sumi("again", "job.png", "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "job.png"), "again repeats it", again.stderr)
    write(place.dir / "Some-Thing.safetensors", {"emb_params": vectors(2, 32, 4)})
    again = place.sumi("again", "job.png", "-o", "again.png")
    check("embedding Some-Thing is another file here" in again.stderr, "again tells of another file of the name", again.stderr)
    for prompt, word in (("a wide", "is not for model"), ("(a:1.2.3)", "no weight"), ("(a" * 9000, "")):
        bad = place.sumi("image", prompt, *BASE, "--model", PACK, "-o", "bad.png")
        check(bad.returncode == 2 and word in bad.stderr, f"refused at once: {prompt[:20]}", bad.stderr[:300])
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "flat", "modality", "image", "prompt", "(a:1.2.3)")
    check(wait_for(lambda: "1.2.3" in place.sumi("dead-letters").stdout), "and where jobs come in")


def main():
    place = Place()
    try:
        syntaxes(place)
        explained(place)
        embeddings(place)
        drawn(place)
        place.start()
        jobs(place)
        drawn_jobs(place)
    finally:
        place.stop()
        place.remove()
    finish()


if __name__ == "__main__":
    main()

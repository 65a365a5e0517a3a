#!/usr/bin/env python3
"""LoRAs from the user's side: added, listed, named in prompts and in lists, recorded and repeated, switched between
jobs, gone on with after a kill; refused where they fit no model."""
import math, struct

from lib import *

BASE = ["--size", "64x64", "--steps", 6, "--seed", 7]


def write(path, tensors):
    """Safetensors of F32: {name: (shape, numbers)}."""
    header, data = {}, b""
    for name, (shape, numbers) in sorted(tensors.items()):
        body = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def adapter(path, amount, width=16, odd=False):
    """A pair of rank 2 on the queries of each of sd1-tiny's first blocks, and on one module of no model."""
    tensors = {}
    names = [f"lora_unet_down_blocks_0_attentions_{i}_transformer_blocks_0_attn{k}_to_q" for i in (0, 1) for k in (1, 2)]
    names += ["lora_unet_nowhere_to_q"] if odd else []
    for n, name in enumerate(names):
        tensors[name + ".lora_down.weight"] = ([2, width], [amount * ((7 * i + n) % 5 - 2) for i in range(2 * width)])
        tensors[name + ".lora_up.weight"] = ([width, 2], [amount * ((5 * i + n) % 7 - 3) for i in range(2 * width)])
        tensors[name + ".alpha"] = ([], [1.0])
    write(path, tensors)


def names_and_files(place):
    adapter(place.dir / "mine.safetensors", 0.3)
    done = place.sumi("models", "add", "mine.safetensors", "--name", "one", "--move")
    check(done.returncode == 0 and "/loras/one.safetensors" in done.stdout, "models add", done.stdout + done.stderr)
    (place.state / "models" / "loras" / "sorted").mkdir()
    adapter(place.state / "models" / "loras" / "sorted" / "two words.safetensors", -0.4)
    adapter(place.dir / "odd.safetensors", 0.3, odd=True)
    place.sumi("models", "add", "odd.safetensors")
    adapter(place.dir / "wide.safetensors", 0.3, width=24)
    place.sumi("models", "add", "wide.safetensors")
    listed = place.sumi("models").stdout
    check(all(f"{n} " in listed for n in ("one", "odd", "wide", "two words")), "models lists them", listed)
    told = place.json("models", "show", "odd.safetensors")
    check(told["adapter"] == "LoRA" and told["modules"] == 5 and told["ranks"] == "2" and len(told["sha256"]) == 64,
          "models show tells of one", str(told))


def unusable(place):
    write(place.dir / "other.safetensors", {"lora_unet_a.oft_blocks": ([2, 2, 2], [0.1] * 8)})
    write(place.dir / "words.safetensors", {"<a>": ([768], [0.1] * 768), "<b>": ([768], [0.1] * 768)})
    for name, kind, why in (("other", "OFT", "'lora_unet_a.oft_blocks' is of no kind of adapter that is read"), ("words", "embedding", "its tensors are not for one word")):
        told = place.json("models", "show", f"{name}.safetensors")
        check(told["kind"] == kind and why in told["unusable"], f"models show says what cannot be used: {kind}", str(told))


def others(place):
    """What PEFT and LyCORIS make besides is told by its kind; and a file's name may be said with its ending."""
    to_q = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q."
    for kind, name in (("OFT", to_q + "oft_R.weight"), ("BOFT", to_q + "boft_R"), ("(IA)3", to_q + "ia3_l"), ("VeRA", to_q + "vera_lambda_b"),
                       ("FourierFT", to_q + "fourierft_spectrum"), ("HRA", to_q + "hra_u"), ("AdaLoRA", to_q + "lora_E"),
                       ("VB-LoRA", "base_model.vblora_vector_bank"), ("(IA)3", "lora_unet_a.on_input")):
        write(place.dir / "kind.safetensors", {name: ([2], [0.1] * 2)})
        told = place.json("models", "show", place.dir / "kind.safetensors")
        check(told["kind"] == kind and "is of no kind of adapter that is read" in told.get("unusable", ""), f"models show tells of {kind}", str(told))
    adapter(place.dir / "ended.safetensors", 0.3)
    place.sumi("models", "add", "ended.safetensors", "--move")
    check(place.json("models", "show", "ended.safetensors")["adapter"] == "LoRA", "models show knows it with its ending")
    done = place.sumi("models", "verify", "ended.safetensors")
    check(done.returncode == 0 and "ended" in done.stdout, "and models verify", done.stderr)
    beside, cousin, theirs = (place.state / "models" / name for name in ("loras/ended.sha256", "loras/ended.ckpt", "ended.sumi.json"))
    for path in (beside, cousin, theirs):
        path.write_text("{}")
    done = place.sumi("models", "remove", "ended.safetensors")
    check(done.returncode == 0 and not (place.state / "models" / "loras" / "ended.safetensors").exists(), "and models remove", done.stderr)
    check(all(path.exists() for path in (beside, cousin, theirs)), "which leaves what is another's too")
    for path in (beside, cousin, theirs):
        path.unlink()
    done = place.sumi("image", "ink", *BASE, "--model", f"{PACK}.safetensors", "-o", "ended.png")
    check(done.returncode == 0 and place.json("show", "ended.png")["model"] == PACK, "and a job", done.stderr)


def render(place, prompt, out, *more):
    return place.sumi("render", prompt, *BASE, "--pack", PACKS / PACK, "-o", out, *more)


def results(place):
    plain, tagged, listed = (place.dir / n for n in ("plain.png", "tagged.png", "listed.png"))
    render(place, "ink", plain)
    done = render(place, "ink<lora:one:0.5:0.8>", tagged)
    check(done.returncode == 0 and not done.stderr.count("warning"), "a LoRA in the prompt", done.stderr)
    render(place, "ink", listed, "--loras", "one,weight=0.8,te_weight=0.5")
    check(sha256(tagged) == sha256(listed) != sha256(plain), "is the one of a list")
    for name, text in (("plain.png", "is a PNG picture, not a model"), ("page.safetensors", "is a page of HTML")):
        (place.dir / "page.safetensors").write_text("<html>no</html>")
        bad = place.sumi("models", "add", name)
        check(bad.returncode != 0 and text in bad.stderr and bad.stderr.count("\n") == 1, f"models add {name} is refused", bad.stderr)
    odd = render(place, "ink<lora:odd>", place.dir / "odd.png")
    check("1 of its 5 modules have no place" in odd.stderr, "what has no place is told", odd.stderr)
    wide = render(place, "ink<lora:wide>", place.dir / "wide.png")
    check(wide.returncode == 2 and "is not for model" in wide.stderr and wide.stderr.count("\n") == 1,
          "one of another model is refused", wide.stderr)
    tensors = {}
    for name in ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", "lora_unet_double_blocks_0_img_attn_proj"):
        for end, shape in ((".lora_down.weight", [2, 32]), (".lora_up.weight", [32, 2])):
            tensors[name + end] = (shape, [0.1] * 64)
    write(place.state / "models" / "loras" / "flux.safetensors", tensors)
    flux = render(place, "ink<lora:flux>", place.dir / "flux.png")
    check(flux.returncode == 2 and "(a LoRA of FLUX." in flux.stderr and
          "none of its 1 modules beside those of text encoders has a place there" in flux.stderr,
          "one of another family that shares a text encoder is refused", flux.stderr)
    none = render(place, "ink<lora:none>", place.dir / "none.png")
    check(none.returncode == 3 and "'none'" in none.stderr and "one" in none.stderr, "one that is not there", none.stderr)
    for path in ("../../x", "/etc/passwd", "a/b"):
        bad = render(place, f"ink<lora:{path}>", place.dir / "none.png")
        check(bad.returncode == 3, f"a path is no name: {path}", bad.stderr)


def not_numbers(place):
    """A file whose numbers are broken is refused by its name and the tensor's, beside the weights and folded into them."""
    loras = place.state / "models" / "loras"
    queries = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    down, up = ([2, 16], [0.1] * 32), ([16, 2], [0.1] * 32)
    for what, number in (("NaN", math.nan), ("inf", -math.inf)):
        for tensors, name in (({".lora_down.weight": ([2, 16], [0.1] * 31 + [number]), ".lora_up.weight": up}, ".lora_down.weight"),
                              ({".lora_down.weight": down, ".lora_up.weight": ([16, 2], [number] * 32)}, ".lora_up.weight"),
                              ({".diff": ([16, 16], [0.0] * 255 + [number])}, ".diff"),
                              ({".lora_down.weight": down, ".lora_up.weight": up, ".dora_scale": ([16, 1], [number] * 16)}, ".dora_scale")):
            write(loras / "broken.safetensors", {queries + n: t for n, t in tensors.items()})
            bad = render(place, "ink<lora:broken>", place.dir / "none.png")
            check(bad.returncode == 2 and "/loras/broken.safetensors: a number of tensor " in bad.stderr and name in bad.stderr and
                  "is NaN or infinite" in bad.stderr and bad.stderr.count("\n") == 1, f"{what} in {name} is refused", bad.stderr)
    (loras / "broken.safetensors").unlink()


def pixels(path):
    """What a PNG of sumi's paints: its image data."""
    data, at, body = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    return body


def folders(place):
    """As PEFT and diffusers save them: one LoRA each, under the folder's name, with what the config says."""
    names = {f"base_model.model.down_blocks.0.attentions.{i}.transformer_blocks.0.attn1.to_q.lora_{ab}.weight":
             (shape, [((7 * k + i) % 5 - 2) * 0.3 for k in range(32)]) for i in (0, 1) for ab, shape in (("A", [2, 16]), ("B", [16, 2]))}
    folder, saved = place.dir / "trained", place.dir / "saved"
    folder.mkdir()
    saved.mkdir()
    write(folder / "adapter_model.safetensors", names)
    write(folder / "optimizer.safetensors", {"state.0": ([1], [0.0])})
    write(saved / "pytorch_lora_weights.safetensors", {n.replace("base_model.model.", "unet."): t for n, t in names.items()})
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["to_q"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    check(place.sumi("models", "add", "saved", "--copy").returncode == 0, "models add of a folder of diffusers'")
    added = place.sumi("models", "add", "trained/adapter_model.safetensors")
    listed = place.sumi("models").stdout
    check("/loras/trained ->" in added.stdout and "\ntrained          lora" in listed and "optimizer" not in listed and "\nsaved            lora" in listed,
          "models add of a folder of PEFT's, by its file too", added.stdout + added.stderr + listed)
    told = place.json("models", "show", "trained")
    check(told["modules"] == 2 and told["config"].endswith("adapter_config.json"), "models show tells of its config", str(told))
    whole = place.sumi("models", "verify", "trained")
    check("its headers are whole" in whole.stdout, "models verify knows LoRAs", whole.stdout + whole.stderr)
    made = {}
    for n, name in enumerate(("trained:0.5", "trained/adapter_model.safetensors:0.5", "saved:1", "saved:0.5", "saved\\pytorch_lora_weights:1")):
        render(place, f"ink<lora:{name}>", place.dir / f"folder{n}.png")
        made[name] = pixels(place.dir / f"folder{n}.png")
    values = list(made.values())
    check(values[0] == values[1] == values[2] == values[4] != values[3], "alpha is that of the config, whatever it is called by")
    (folder / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 2}))
    render(place, "ink<lora:trained:0.5>", place.dir / "folder5.png")
    check(pixels(place.dir / "folder5.png") == values[3], "another config is another LoRA")
    (folder / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "VERA"}))
    bad = render(place, "ink<lora:trained>", place.dir / "none.png")
    check(bad.returncode == 2 and "peft_type 'VERA'" in bad.stderr, "another kind is refused by its name", bad.stderr)
    place.sumi("models", "remove", "trained")
    check("trained" not in place.sumi("models").stdout and folder.exists(), "models remove takes the link")


def spelt(place):
    """By the file's ending, by folders, by what the trainer called it."""
    loras = place.state / "models" / "loras"
    body = (loras / "one.safetensors").read_bytes()
    size = struct.unpack("<Q", body[:8])[0]
    header = json.loads(body[8:8 + size])
    header["__metadata__"] = {"ss_output_name": "ink_wash_v2"}
    text = json.dumps(header).encode()
    (loras / "sorted" / "renamed.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body[8 + size:])
    plain = pixels(place.dir / "tagged.png")
    for n, name in enumerate(("one.safetensors", "renamed", "sorted/renamed", "sorted\\renamed.safetensors", "ink_wash_v2")):
        out = place.dir / f"spelt{n}.png"
        done = render(place, f"ink<lora:{name}:0.5:0.8>", out)
        check(done.returncode == 0 and pixels(out) == plain, f"a LoRA as {name}", done.stderr)
    shown = place.sumi("show", "spelt3.png").stdout
    check("<lora:renamed:0.5:0.8>" in shown, "the infotext has the name that other programs look for", shown)
    done = render(place, "ink", place.dir / "spelt9.png", "--loras", "one.safetensors,weight=0.8,te_weight=0.5")
    check(done.returncode == 0 and pixels(place.dir / "spelt9.png") == plain, "an ending in the list", done.stderr)
    (place.state / "models" / "styles.csv").write_text('name,prompt,negative_prompt\nwash,"{prompt}<lora:one:0.5:0.8>",\nlost,<lora:lost>,\ngrain,grain,\n')
    done = render(place, "ink", place.dir / "spelt8.png", "--style", "wash")
    check(done.returncode == 0 and pixels(place.dir / "spelt8.png") == plain, "a style may bring one", done.stderr)
    near = render(place, "ink<lora:renamd>", place.dir / "none.png")
    check(near.returncode == 3 and "did you mean 'renamed'?" in near.stderr, "a name that is nearly one", near.stderr)
    (loras / "again.safetensors").write_bytes((loras / "sorted" / "renamed.safetensors").read_bytes())
    two = render(place, "ink<lora:ink_wash_v2>", place.dir / "none.png")
    check(two.returncode == 2 and "two LoRAs call themselves 'ink_wash_v2'" in two.stderr, "of two that call themselves so neither is taken", two.stderr)
    for path in (loras / "again.safetensors", loras / "sorted" / "renamed.safetensors"):
        path.unlink()


def jobs(place):
    out = place.sumi("image", "ink<lora:one:0.5:0.8>", *BASE, "-o", "job.png")
    check(out.returncode == 0 and sha256(place.dir / "job.png") == sha256(place.dir / "tagged.png"),
          "a job makes what render makes", out.stderr)
    meta = place.json("show", "job.png")
    text = place.sumi("show", "job.png").stdout
    check('"te_weight":0.5' in json.dumps(meta, separators=(",", ":")) and "<lora:one:0.5:0.8>" in text,
          "the file says what it was", text)
    again = place.sumi("again", "job.png", "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "job.png"), "again repeats it",
          again.stderr)
    place.sumi("image", "ink<lora:two words>", *BASE, "-o", "other.png")
    place.sumi("image", "ink", *BASE, "-o", "plain-job.png")
    place.sumi("image", "ink<lora:one:0.5:0.8>", *BASE, "-o", "back.png")
    check(sha256(place.dir / "plain-job.png") == sha256(place.dir / "plain.png"), "a job without one after those with")
    check(sha256(place.dir / "back.png") == sha256(place.dir / "job.png") != sha256(place.dir / "other.png"),
          "jobs may change between them")
    check(place.sumi("models", "remove", "odd").returncode == 0 and "\nodd " not in place.sumi("models").stdout,
          "models remove")
    log = place.new_log()
    loads, changes = log.count(b"model.loaded"), log.count(b"model.adapted")
    check(loads == 1 and changes == 3, "the model stays loaded while they change", f"{loads} {changes}")
    out = place.sumi("image", "ink", "--style", "wash", *BASE, "-o", "styled.png")
    check(out.returncode == 0 and pixels(place.dir / "styled.png") == pixels(place.dir / "job.png"), "a style of a job brings one", out.stderr)
    again = place.sumi("again", "styled.png", "-o", "again.png")
    check(again.returncode == 0 and sha256(place.dir / "again.png") == sha256(place.dir / "styled.png"), "again repeats that", again.stderr)
    place.sumi("image", "ink", "--style", "grain", *BASE, "-o", "grain.png")
    place.sumi("again", "grain.png", "-o", "again.png")
    check(sha256(place.dir / "again.png") == sha256(place.dir / "grain.png"), "and a style that brings words alone")
    lost = place.sumi("image", "ink", "--style", "lost", *BASE, "-o", "bad.png")
    check(lost.returncode == 3 and "there is no LoRA 'lost'" in lost.stderr, "one that a style names and is not there is refused at once", lost.stderr)
    for prompt, word in (("ink<lora:wide>", "not for model"), ("ink<lora:none>", "none"), ("ink<lora:one:x>", "lora")):
        bad = place.sumi("image", prompt, *BASE, "-o", "bad.png")
        check(bad.returncode != 0 and word in bad.stderr and bad.stderr.count("\n") == 1, f"refused at once: {prompt}",
              bad.stderr)
    flat = place.redis_cli("XADD", "{sumi}:in", "*", "id", "flat", "modality", "image", "prompt", "ink<lora:one:0.5:0.8>",
                           "width", 64, "height", 64, "steps", 6, "seed", 7, "format", "png")
    place.sumi("wait", "flat")
    place.sumi("fetch", "flat", "-o", "flat.png")
    check(sha256(place.dir / "flat.png") == sha256(place.dir / "job.png"), "tags of a plain XADD count too", flat)
    adapter(place.state / "models" / "loras" / "lcm-4step.safetensors", 0.1)
    told = place.json("models", "show", place.state / "models" / "loras" / "lcm-4step.safetensors")
    check(told["proposes"] == "--sampler lcm --steps 4 --cfg-scale 1", "one for few steps proposes them", str(told))
    said = place.sumi("image", "ink<lora:lcm-4step>", "--size", "64x64", "--seed", 7, "-o", "few.png").stderr
    check("--sampler lcm --steps 4 --cfg-scale 1 is taken" in said, "and a job that says none is told", said)
    meta = place.json("show", "few.png")
    text = json.dumps(meta)
    check('"steps": 4' in text and '"sampler": "lcm"' in text and '"cfg_scale": 1' in text and '"proposes": {' in text and
          " lora.proposes " in place.log.read_text() and "lora=lcm-4step sampler=lcm steps=4 cfg_scale=1" in place.log.read_text(),
          "takes them, and file and log say so", text)
    place.sumi("again", "few.png", "-o", "again.png")
    check(sha256(place.dir / "again.png") == sha256(place.dir / "few.png"), "again repeats it")
    place.sumi("image", "ink<lora:lcm-4step>", "--size", "64x64", "--seed", 7, "--steps", 3, "--sampler", "ddim", "-o", "own.png")
    text = json.dumps(place.json("show", "own.png"))
    check('"steps": 3' in text and '"sampler": "ddim"' in text and '"cfg_scale": 1' in text, "what a job says itself stands", text)
    adapter(place.state / "models" / "loras" / "one.safetensors", 0.5)
    changed = place.sumi("again", "job.png", "-o", "changed.png").stderr
    check("LoRA one is another file here" in changed, "again tells of another file of the name", changed)
    adapter(place.state / "models" / "loras" / "one.safetensors", 0.3)


def resumes(place):
    """Killed between two steps, it goes on to the same bytes."""
    render(place, "ink<lora:one>", place.dir / "whole.png", "--steps", 40)
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "cut", "modality", "image", "prompt", "ink<lora:one>", "width", 64,
                    "height", 64, "steps", 40, "seed", 7, "format", "png")
    resumed_like(place, "cut", "whole.png")


def main():
    place = Place()
    try:
        names_and_files(place)
        unusable(place)
        results(place)
        not_numbers(place)
        folders(place)
        spelt(place)
        place.start()
        jobs(place)
        resumes(place)
        others(place)
    finally:
        place.stop()
        place.remove()
    finish()


main()

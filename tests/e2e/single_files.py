#!/usr/bin/env python3
"""Models that are one file: the weights of a pack under their original names, as safetensors, GGUF, a torch archive and split
files, paint what the pack's folder paints. The files are written here, with nothing but Python."""
import io, json, math, pickle, re, struct, sys, types, zipfile, zlib

from lib import *

SIZE = ["--width", 64, "--height", 64, "--steps", 3, "--seed", 7, "--format", "png"]
WIDTH = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}

# ---- what a pack holds ----


def tensors_of(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    data = path.read_bytes()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {name: (row["dtype"], row["shape"], data[8 + n + row["data_offsets"][0]:8 + n + row["data_offsets"][1]])
            for name, row in header.items()}


def weights(pack, part):
    return tensors_of(next((PACKS / pack / part).glob("*.safetensors")))


RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
UNET = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2"}


def original_unet(pack, cut):
    """Names of before diffusers; every level has `cut` residual blocks on the way down."""
    names = weights(pack, "unet")
    out = {}
    for name, tensor in names.items():
        base, _, kind = name.rpartition(".")
        if m := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name):
            down, level, what, layer, rest = m[1] == "down", int(m[2]), m[3], int(m[4]), m[5]
            block = (1 if down else 0) + level * (cut + 1) + layer
            if what == "resnets":
                inner, _, kind = rest.rpartition(".")
                rest = f"{RESNET[inner]}.{kind}"
            new = f"{'input' if down else 'output'}_blocks.{block}.{'01'[what == 'attentions']}.{rest}"
        elif m := re.match(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.*)", name):
            new = f"input_blocks.{(int(m[1]) + 1) * (cut + 1)}.0.op.{m[2]}"
        elif m := re.match(r"up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.*)", name):
            attends = any(n.startswith(f"up_blocks.{m[1]}.attentions.") for n in names)
            new = f"output_blocks.{int(m[1]) * (cut + 1) + cut}.{1 + attends}.conv.{m[2]}"
        elif m := re.match(r"mid_block\.resnets\.(\d)\.(\w+)\.(.*)", name):
            new = f"middle_block.{2 * int(m[1])}.{RESNET[m[2]]}.{m[3]}"
        elif name.startswith("mid_block.attentions.0."):
            new = name.replace("mid_block.attentions.0.", "middle_block.1.")
        else:
            new = f"{UNET[base]}.{kind}"
        out[new] = tensor
    return out


def original_vae(pack):
    names = weights(pack, "vae")
    levels = 1 + max(int(m[1]) for n in names if (m := re.match(r"decoder\.up_blocks\.(\d+)\.", n)))
    out = {}
    for name, (dtype, shape, data) in names.items():
        new = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)\.", r"down.\1.block.\2.", name)
        new = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", new)
        new = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)\.", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}.", new)
        new = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0\.", lambda m: f"up.{levels - 1 - int(m[1])}.upsample.", new)
        new = re.sub(r"mid_block\.resnets\.(\d)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", new)
        new = new.replace("conv_norm_out.", "norm_out.").replace("conv_shortcut.", "nin_shortcut.")
        for ours, theirs in [("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"),
                             ("query", "q"), ("key", "k"), ("value", "v"), ("proj_attn", "proj_out")]:
            new = new.replace(f"mid_block.attentions.0.{ours}.", f"mid.attn_1.{theirs}.")
        if ".attn_1." in new and len(shape) == 2:
            shape = [*shape, 1, 1]
        out[new] = (dtype, shape, data)
    return out


def with_model(name):
    """transformers 5 leaves "text_model." away."""
    return name if name.startswith(("text_model.", "text_projection")) else "text_model." + name


def hf_text(pack, part="text_encoder"):
    return {with_model(name): tensor for name, tensor in weights(pack, part).items()}


def turned(tensor):
    dtype, (rows, columns), data = tensor
    w = WIDTH[dtype]
    cells = [data[(r * columns + c) * w:(r * columns + c + 1) * w] for c in range(columns) for r in range(rows)]
    return dtype, [columns, rows], b"".join(cells)


def open_clip(pack, part, idle_layer=False):
    """q, k and v in one, the projection turned; SD 2's files have a layer more than is used."""
    names, out = hf_text(pack, part), {"logit_scale": ("F32", [], struct.pack("<f", 4.6))}
    simple = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
              "self_attn.out_proj": "attn.out_proj"}
    layers = 0
    for name, tensor in names.items():
        if m := re.match(r"text_model\.encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", name):
            layers = max(layers, int(m[1]) + 1)
            base = f"transformer.resblocks.{m[1]}."
            if m[2] in simple:
                out[f"{base}{simple[m[2]]}.{m[3]}"] = tensor
            elif m[2] == "self_attn.q_proj":
                three = [names[name.replace("q_proj", f"{x}_proj")] for x in "qkv"]
                out[f"{base}attn.in_proj_{m[3]}"] = (tensor[0], [3 * tensor[1][0], *tensor[1][1:]],
                                                     b"".join(t[2] for t in three))
        elif name == "text_projection.weight":
            out["text_projection"] = turned(tensor)
        elif "position_ids" not in name:
            new = name.replace("text_model.embeddings.token_embedding", "token_embedding").replace(
                "text_model.embeddings.position_embedding.weight", "positional_embedding").replace(
                "text_model.final_layer_norm", "ln_final")
            out[new] = tensor
    if idle_layer:
        last = f"transformer.resblocks.{layers - 1}."
        out.update({n.replace(last, f"transformer.resblocks.{layers}."): (d, s, bytes(len(b)))
                    for n, (d, s, b) in list(out.items()) if n.startswith(last)})
    return out


def below(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


# ---- files ----


def write_safetensors(path, tensors):
    header, parts, at = {}, [], 0
    for name, (dtype, shape, data) in sorted(tensors.items()):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def write_gguf(path, tensors):
    """As stable-diffusion.cpp does: no keys, and in no order."""
    types_of, head, body = {"F32": 0, "F16": 1, "BF16": 30, "I64": 27}, [], io.BytesIO()
    for name, (dtype, shape, data) in sorted(tensors.items(), key=lambda row: hashlib.sha256(row[0].encode()).digest()):
        body.write(bytes(-body.tell() % 32))
        head.append(struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(shape)) +
                    struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", types_of[dtype], body.tell()))
        body.write(data)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0) + b"".join(head)
    path.write_bytes(start + bytes(-len(start) % 32) + body.getvalue())


def halves(values):
    return struct.pack(f"<{len(values)}e", *values)


def q8(values):
    """Blocks of 32: a scale, and whole numbers of eight bits."""
    out = []
    for at in range(0, len(values), 32):
        block = values[at:at + 32]
        scale = max(map(abs, block)) / 127
        out.append(halves([scale]) + struct.pack("<32b", *(round(v / scale) if scale else 0 for v in block)))
    return b"".join(out)


def write_q8(path, tensors):
    """As ComfyUI-GGUF writes an original UNet: matrices in blocks, those whose rows are no multiple of 256 flattened into rows of
    256 and their shape beside; the rest as it is."""
    rows, keys, body = [], [], io.BytesIO()
    for name, (dtype, shape, data) in tensors.items():
        kind = {"F32": 0, "F16": 1}[dtype]
        if len(shape) > 1 and math.prod(shape) % 256 == 0:
            if shape[-1] % 256:
                key = f"comfy.gguf.orig_shape.{name}".encode()
                keys.append(struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 5, len(shape)) +
                            struct.pack(f"<{len(shape)}i", *shape))
            shape = [math.prod(shape) // 256, 256]
            data, kind = q8(struct.unpack(f"<{math.prod(shape)}{'ef'[dtype == 'F32']}", data)), 8
        body.write(bytes(-body.tell() % 32))
        rows.append(struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(shape)) +
                    struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, body.tell()))
        body.write(data)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + b"".join(rows)
    path.write_bytes(start + bytes(-len(start) % 32) + body.getvalue())


def write_torch(path, tensors):
    """What torch.save({"state_dict": …}) writes, by a pickler that knows the names of torch's classes."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    storages = {dtype: type(name, (), {"__module__": "torch"}) for dtype, name in
                [("F32", "FloatStorage"), ("F16", "HalfStorage"), ("BF16", "BFloat16Storage"), ("I64", "LongStorage")]}
    for cls in storages.values():
        setattr(torch, cls.__name__, cls)
    torch._utils = utils

    def _rebuild_tensor_v2():
        raise RuntimeError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    sys.modules.update({"torch": torch, "torch._utils": utils})

    class Storage:
        def __init__(self, key, dtype, data):
            self.id = ("storage", storages[dtype], key, "cpu", len(data) // WIDTH[dtype])

    class Tensor:
        def __init__(self, storage, shape):
            self.storage, self.shape = storage, tuple(shape)

        def __reduce__(self):
            strides = tuple(math.prod(self.shape[i + 1:]) for i in range(len(self.shape)))
            return utils._rebuild_tensor_v2, (self.storage, 0, self.shape, strides, False, {})

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return thing.id if isinstance(thing, Storage) else None

    rows = {name: Tensor(Storage(str(i), dtype, data), shape)
            for i, (name, (dtype, shape, data)) in enumerate(tensors.items())}
    text = io.BytesIO()
    Pickler(text, 2).dump({"epoch": 3, "global_step": 470000, "state_dict": rows})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", text.getvalue())
        for i, (_, _, data) in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", data)
        archive.writestr("archive/version", "3\n")


# ---- what is painted ----


def pixels(path):
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        n, = struct.unpack(">I", data[at:at + 4])
        if data[at + 4:at + 8] == b"IDAT":
            packed += data[at + 8:at + 8 + n]
        at += 12 + n
    return zlib.decompress(packed)


def paint(place, pack, *more):
    out = place.dir / "x.png"
    out.unlink(missing_ok=True)
    done = place.sumi("render", "a red boat", "--pack", pack, "-o", out, *SIZE, *more)
    return pixels(out) if done.returncode == 0 else done


def same(place, want, path, name, *more):
    got = paint(place, path, *more)
    check(got == want, name, getattr(got, "stderr", "other pixels"))


SD1 = {"unet": {"attention_head_dim": 8, "norm_num_groups": 8, "sample_size": 16}, "vae": {"norm_num_groups": 8},
       "text_encoder": {"num_attention_heads": 4, "eos_token_id": 2}}


def beside(path, **fields):
    path.with_name(path.stem + ".sumi.json").write_text(json.dumps(fields))


def sd1(place, models):
    want = paint(place, PACKS / "sd1-tiny")
    parts = {"model.diffusion_model.": original_unet("sd1-tiny", 2), "first_stage_model.": original_vae("sd1-tiny"),
             "cond_stage_model.transformer.": hf_text("sd1-tiny")}
    whole = {}
    for prefix, tensors in parts.items():
        whole.update(below(prefix, tensors))
    extra = {"model_ema.decay": ("F32", [], bytes(4)), "alphas_cumprod": ("F32", [10], bytes(40)),
             "model_ema.diffusion_modelinput_blocks00weight": ("F32", [3], bytes(12)),
             "cond_stage_model.transformer.text_model.embeddings.position_ids": ("I64", [1, 2], bytes(16))}
    for name, write in [("plain.safetensors", write_safetensors), ("kernels.gguf", write_gguf), ("old.ckpt", write_torch)]:
        write(models / name, {**whole, **extra} if name.startswith("plain") else whole)
        beside(models / name, tokenizer="sd1-tiny/tokenizer", config=SD1)
        same(place, want, models / name, f"{name} paints what the folder paints")
    (models / "vae").mkdir()
    for name, tensors in [("unet", parts["model.diffusion_model."]), ("vae/alone", parts["first_stage_model."]),
                          ("clip", parts["cond_stage_model.transformer."])]:
        write_safetensors(models / f"{name}.safetensors", tensors)
    beside(models / "vae/alone.safetensors", config={"vae": SD1["vae"]})
    beside(models / "clip.safetensors", config={"text_encoder": SD1["text_encoder"]})
    for words in (["models"], ["render", "fog", "--pack", models / "unet.safetensors", "-o", "half.png"]):
        told = place.sumi(*words).stderr
        check("half a model, it lacks text_encoder, tokenizer, vae" in told, f"a UNet alone is told to be half a model by {words[0]}", told)
    beside(models / "unet.safetensors", tokenizer="sd1-tiny", text_encoder="clip.safetensors", vae="vae/alone.safetensors",
           config={"unet": SD1["unet"]})
    same(place, want, models / "unet.safetensors", "split files paint it")
    write_q8(models / "small.gguf", parts["model.diffusion_model."])
    beside(models / "small.gguf", base="sd1-tiny", config={"unet": SD1["unet"]})
    got = paint(place, models / "small.gguf")
    apart = [abs(a - b) for a, b in zip(got, want)] if isinstance(got, bytes) and len(got) == len(want) else [255]
    check(got != want and sum(apart) / len(apart) < 8, "a UNet in blocks of 8 bits, flattened as ComfyUI-GGUF does, is near",
          f"{sum(apart) / len(apart)} {getattr(got, 'stderr', '')}")
    write_safetensors(models / "nude.safetensors", below("model.diffusion_model.", parts["model.diffusion_model."]))
    beside(models / "nude.safetensors", base="sd1-tiny", config={"unet": SD1["unet"]})
    same(place, want, models / "nude.safetensors", "a file with a base paints it")


def others(place, models):
    """The families with encoders of open_clip."""
    want = paint(place, PACKS / "sd2-tiny", "--sampler", "ddim")
    path = models / "two.safetensors"
    cut = json.loads((PACKS / "sd2-tiny/unet/config.json").read_text())
    text = json.loads((PACKS / "sd2-tiny/text_encoder/config.json").read_text())
    write_safetensors(path, {**below("model.diffusion_model.", original_unet("sd2-tiny", cut["layers_per_block"])),
                             **below("first_stage_model.", original_vae("sd2-tiny")),
                             **below("cond_stage_model.model.", open_clip("sd2-tiny", "text_encoder", True))})
    scheduler = json.loads((PACKS / "sd2-tiny/scheduler/scheduler_config.json").read_text())
    beside(path, tokenizer="sd2-tiny", config={
        "unet": {k: cut[k] for k in ["attention_head_dim", "norm_num_groups", "sample_size"]}, "vae": SD1["vae"],
        "scheduler": scheduler,
        "text_encoder": {k: text[k] for k in ["num_attention_heads", "eos_token_id"]}})
    same(place, want, path, "Stable Diffusion 2 in one file, with the layer that it does not use", "--sampler", "ddim")
    want = paint(place, PACKS / "sdxl-tiny")
    path = models / "xl.safetensors"
    cut = json.loads((PACKS / "sdxl-tiny/unet/config.json").read_text())
    texts = [json.loads((PACKS / f"sdxl-tiny/text_encoder{x}/config.json").read_text()) for x in ("", "_2")]
    whole = {**below("model.diffusion_model.", original_unet("sdxl-tiny", cut["layers_per_block"])),
             **below("first_stage_model.", original_vae("sdxl-tiny")),
             **below("conditioner.embedders.0.transformer.", hf_text("sdxl-tiny")),
             **below("conditioner.embedders.1.model.", open_clip("sdxl-tiny", "text_encoder_2"))}
    write_safetensors(path, whole)
    beside(path, tokenizer="sdxl-tiny", tokenizer_2="sdxl-tiny", config={
        "unet": {k: cut[k] for k in ["attention_head_dim", "norm_num_groups", "sample_size", "addition_time_embed_dim"]},
        "vae": {**SD1["vae"], "scaling_factor": 0.18215},
        **{f"text_encoder{x}": {k: t[k] for k in ["num_attention_heads", "eos_token_id", "hidden_act"]}
           for x, t in zip(("", "_2"), texts)}})
    same(place, want, path, "Stable Diffusion XL in one file")
    for end, write in [("gguf", write_gguf), ("ckpt", write_torch)]:
        write(models / f"xl-{end}.{end}", whole)
        shutil.copy(path.with_name("xl.sumi.json"), models / f"xl-{end}.sumi.json")
        same(place, want, models / f"xl-{end}.{end}", f"and as {end}")
    for part, tensors in [("xl_unet", original_unet("sdxl-tiny", cut["layers_per_block"])), ("xl_vae", original_vae("sdxl-tiny")),
                          ("clip_l", hf_text("sdxl-tiny")), ("clip_g", hf_text("sdxl-tiny", "text_encoder_2"))]:
        write_safetensors(models / f"{part}.safetensors", tensors)
    whole = json.loads(path.with_name("xl.sumi.json").read_text())["config"]
    heads = [whole.pop("text_encoder"), whole.pop("text_encoder_2")]
    for name, part, fields in [("clip_l", "text_encoder", heads[0]), ("clip_g", "text_encoder_2", heads[1]),
                               ("clip_g", "text_encoder", heads[1])]:
        beside(models / f"{name}.safetensors", config={part: fields, **({"text_encoder_2": fields} if name == "clip_g" else {})})
    beside(path, tokenizer="sdxl-tiny", tokenizer_2="sdxl-tiny", config={
        **whole, "vae": SD1["vae"], "text_encoder": heads[0], "text_encoder_2": heads[1]})
    want = paint(place, path)
    whole.pop("vae")
    beside(models / "xl_vae.safetensors", config={"vae": SD1["vae"], "xl/vae": SD1["vae"]})
    beside(models / "xl_unet.safetensors", tokenizer="sdxl-tiny", tokenizer_2="sdxl-tiny", text_encoder="clip_l.safetensors",
           text_encoder_2="clip_g.safetensors", vae="xl_vae.safetensors", config=whole)
    same(place, want, models / "xl_unet.safetensors", "in split files, whose autoencoder does not say for which model it is")


def small(place, models):
    """Networks that are cut: no middle, attentions of unequal lengths; and the refiner, of the second encoder alone."""
    for pack in ["cut-tiny", "plain-tiny"]:
        config = json.loads((PACKS / pack / "unet/config.json").read_text())
        path = models / f"{pack}.safetensors"
        write_safetensors(path, below("model.diffusion_model.", original_unet(pack, config["layers_per_block"])))
        scheduler = json.loads((PACKS / pack / "scheduler/scheduler_config.json").read_text())
        beside(path, base=f"{pack}-folder", config={"scheduler": scheduler, "unet": {
            k: config[k] for k in ["attention_head_dim", "norm_num_groups", "sample_size"]}})
        (models / f"{pack}-folder").symlink_to(PACKS / pack)
        same(place, paint(place, PACKS / pack), path, f"{pack}'s UNet in one file")
    config = json.loads((PACKS / "refiner-tiny/unet/config.json").read_text())
    text = json.loads((PACKS / "refiner-tiny/text_encoder_2/config.json").read_text())
    path = models / "refiner.safetensors"
    write_safetensors(path, {**below("model.diffusion_model.", original_unet("refiner-tiny", config["layers_per_block"])),
                             **below("first_stage_model.", original_vae("refiner-tiny")),
                             **below("conditioner.embedders.0.model.", open_clip("refiner-tiny", "text_encoder_2"))})
    beside(path, tokenizer_2="refiner-tiny", config={
        "unet": {k: config[k] for k in ["attention_head_dim", "norm_num_groups", "sample_size", "addition_time_embed_dim"]},
        "vae": {**SD1["vae"], "scaling_factor": 0.18215},
        "text_encoder_2": {k: text[k] for k in ["num_attention_heads", "eos_token_id"]}})
    (models / "refiner-tiny").symlink_to(PACKS / "refiner-tiny")
    same(place, paint(place, PACKS / "refiner-tiny"), path, "Stable Diffusion XL's refiner in one file")


def wider(tensor, channels):
    """A first convolution that takes so many channels: its own ones again and again."""
    dtype, (rows, own, *kernel), data = tensor
    size = len(data) // rows
    row = [data[r * size:(r + 1) * size] for r in range(rows)]
    return dtype, [rows, channels, *kernel], b"".join((r * channels)[:size * channels // own] for r in row)


def picture(path, pixel):
    """64x64 in grey."""
    rows = b"".join(b"\0" + bytes(pixel(x, y) for x in range(64)) for y in range(64))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks))


def shown_more(place, models):
    """UNets that are shown a picture: with its mask (9 channels), or alone (8, instruct-pix2pix)."""
    picture(place.dir / "init.png", lambda x, y: (4 * x ^ 3 * y) & 255)
    picture(place.dir / "mask.png", lambda x, y: 255 * (16 <= x < 48 and 16 <= y < 48))
    init = ["--init", place.dir / "init.png"]
    for name, channels, more in [("nine", 9, [*init, "--mask", place.dir / "mask.png", "--strength", 0.9]), ("eight", 8, init)]:
        folder = models / f"{name}-folder"
        shutil.copytree(PACKS / "sd1-tiny", folder)
        config = json.loads((folder / "unet/config.json").read_text())
        (folder / "unet/config.json").write_text(json.dumps({**config, "in_channels": channels}))
        unet = weights("sd1-tiny", "unet")
        unet["conv_in.weight"] = wider(unet["conv_in.weight"], channels)
        for old in (folder / "unet").glob("*.safetensors"):
            old.unlink()
        write_safetensors(folder / "unet/diffusion_pytorch_model.safetensors", unet)
        want = paint(place, folder, *more)
        check(isinstance(want, bytes) and want != paint(place, PACKS / "sd1-tiny", *more), f"{name} channels are seen by a folder",
              getattr(want, "stderr", "the same as without"))
        unet = original_unet("sd1-tiny", 2)
        unet["input_blocks.0.0.weight"] = wider(unet["input_blocks.0.0.weight"], channels)
        whole = {**below("model.diffusion_model.", unet), **below("first_stage_model.", original_vae("sd1-tiny")),
                 **below("cond_stage_model.transformer.", hf_text("sd1-tiny"))}
        for end, write in [("safetensors", write_safetensors), ("gguf", write_gguf), ("ckpt", write_torch)]:
            path = models / f"{name}-{end}.{end}"
            write(path, whole)
            beside(path, tokenizer="sd1-tiny/tokenizer", config=SD1)
            same(place, want, path, f"{name} channels in one file: {path.name} paints what the folder paints", *more)


def quantized(place, models):
    """From one file as from a folder, beside each; numbers with scales are multiplied first."""
    boxes = [models / "sd1-tiny", models / "plain.safetensors"]
    for box in boxes:
        done = place.sumi("models", "quantize", box)
        out = models / f"{box.stem}-q8_0.gguf"
        check(done.returncode == 0 and done.stdout.strip() == str(out), f"{box.name} is quantised beside itself", done.stderr)
    check((models / "sd1-tiny-q8_0.gguf").read_bytes() == (models / "plain-q8_0.gguf").read_bytes(), "both to the same blocks")
    want = paint(place, models / "sd1-tiny-q8_0.gguf")
    check(isinstance(want, bytes), "they paint", getattr(want, "stderr", ""))
    device = place.json("models", "show", "plain-q8_0")["devices"][0]
    check("a product" in device["measured"] and device["step_seconds"] > 0, "before any job has finished a product tells", device)
    told = place.json("models", "show", models / "plain.safetensors")
    check(told["kind"] != "UNet" and told["devices"][0]["needs"] > 1000, "of a file that is a model too", told)
    check("devices" not in place.json("models", "show", models / "clip.safetensors"), "and of none that is half a model")
    (place.dir / "far").symlink_to(PACKS / "sd1-tiny")
    check(place.json("models", "show", f"{place.dir}/far/")["parts"]["unet"]["bytes"] > 1000, "a pack elsewhere is shown by its path")
    same(place, want, models / "plain-q8_0.gguf", "and the same picture")
    row = [i % 255 - 127 for i in range(64 * 64)]
    name = next(n for n, t in original_unet("sd1-tiny", 2).items() if t[1] == [64, 64])
    for file, tensors in [("scaled", {name: ("I8", [64, 64], struct.pack("4096b", *row)), name.replace(".weight", ".weight_scale"):
                                      ("F32", [64, 1], struct.pack("<64f", *[2.0 ** -(6 + i % 2) for i in range(64)]))}),
                          ("floats", {name: ("F32", [64, 64], struct.pack("<4096f", *[v * 2.0 ** -(6 + i // 64 % 2)
                                                                                      for i, v in enumerate(row)]))})]:
        write_safetensors(models / f"{file}.safetensors", {**original_unet("sd1-tiny", 2), **tensors})
        beside(models / f"{file}.safetensors", base="sd1-tiny", config={"unet": SD1["unet"]})
        done = place.sumi("models", "quantize", models / f"{file}.safetensors", "--type", "q5_1")
        check(done.returncode == 0, f"{file} are quantised", done.stderr)
    check((models / "scaled-q5_1.gguf").read_bytes() == (models / "floats-q5_1.gguf").read_bytes(), "scales are multiplied in")
    check(isinstance(paint(place, models / "scaled-q5_1.gguf"), bytes), "a model with a base keeps it")
    scales = tensors_of(models / "scaled.safetensors")
    write_safetensors(models / "unscaled.safetensors", {n: t for n, t in scales.items() if not n.endswith("_scale")})
    beside(models / "unscaled.safetensors", base="sd1-tiny", config={"unet": SD1["unet"]})
    done = paint(place, models / "unscaled.safetensors")
    check("no scales of its rows" in getattr(done, "stderr", ""), "whole numbers of eight bits without scales are told", done)
    done = place.sumi("models", "quantize", models / "clip.safetensors")
    check(done.returncode and "not a model" in done.stderr and done.stderr.count("\n") == 1, "half a model is none", done.stderr)


def comfy(place, models):
    """Folders by kind, as ComfyUI and AUTOMATIC1111 have them, in folders of their users' making: models by their files' names,
    whose parts are named below the folder of all kinds."""
    want = paint(place, PACKS / "sd1-tiny")
    root = place.dir / "comfy"
    for folder in ["checkpoints/SD 1.5/mine", "unet", "clip", "vae", "diffusion_models"]:
        (root / folder).mkdir(parents=True)
    shutil.copy(models / "plain.safetensors", root / "checkpoints/SD 1.5/mine/boats.safetensors")
    beside(root / "checkpoints/SD 1.5/mine/boats.safetensors", tokenizer="tokens", config=SD1)
    (root / "tokens").symlink_to(PACKS / "sd1-tiny")
    write_safetensors(root / "unet/split.safetensors", original_unet("sd1-tiny", 2))
    write_safetensors(root / "vae/v.safetensors", original_vae("sd1-tiny"))
    write_safetensors(root / "clip/c.safetensors", hf_text("sd1-tiny"))
    shutil.copy(models / "small.gguf", root / "diffusion_models/alone.gguf")
    beside(root / "vae/v.safetensors", config={"vae": SD1["vae"]})
    beside(root / "clip/c.safetensors", config={"text_encoder": SD1["text_encoder"]})
    beside(root / "unet/split.safetensors", tokenizer="tokens", text_encoder="clip/c.safetensors", vae="vae/v.safetensors",
           config={"unet": SD1["unet"]})
    place.configure(packs=f"{models}:{root}")
    names = {row["name"]: row["path"] for row in place.json("models") if "path" in row}
    check({"boats", "split"} <= names.keys() and "alone" not in names, "models in folders by kind are found", str(names))
    check("alone.gguf: half a model" in place.sumi("models").stderr, "half a model is told there too", place.sumi("models").stderr)
    for name in ("boats", "split"):
        same(place, want, name, f"{name} paints what the folder paints")
    place.configure(packs=str(models))


def brought(place, models):
    """What stands beside a file comes with it, and what that names lies beside the file itself."""
    want = paint(place, models / "unet.safetensors")
    for way in [], ["--copy"], ["--move"]:
        shutil.copy(models / "plain.safetensors", place.dir / "brought.safetensors")
        beside(place.dir / "brought.safetensors", tokenizer="tokens", config=SD1)
        shutil.copytree(PACKS / "sd1-tiny", place.dir / "tokens", dirs_exist_ok=True)
        done = place.sumi("models", "add", place.dir / "brought.safetensors", *way)
        there = place.state / "models" / "brought.safetensors"
        side = there.with_name("brought.sumi.json")
        check(done.returncode == 0 and there.is_symlink() == side.is_symlink() == (not way) and side.exists(),
              f"add {' '.join(way)} brings what stands beside", done.stderr)
        check((place.dir / "brought.safetensors").exists() == (way != ["--move"]), "and leaves the original or not")
        if not way:
            same(place, want, "brought", "a link paints what the file paints")
        place.sumi("models", "remove", "brought")
        check(not there.exists() and not side.exists(), "remove takes both")
    (place.dir / "brought.sumi.json").unlink(missing_ok=True)
    shutil.rmtree(place.dir / "tokens")


def listed(place, models):
    (models / "page.safetensors").write_text("<!DOCTYPE html><html><title>404</title>")
    (models / "pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4265380512\n")
    data = (models / "plain.safetensors").read_bytes()
    (models / "cut.safetensors").write_bytes(data[:len(data) // 2])
    write_safetensors(models / "lora.safetensors", {f"lora_unet_down_blocks_0_attentions_0_x_attn2_to_k.{kind}.weight":
                                                    ("F32", [1, 1], bytes(4)) for kind in ("lora_down", "lora_up")})
    odd = models / "what a model (1).safetensors"
    odd.write_bytes(data)
    beside(odd, tokenizer="sd1-tiny", config=SD1)
    done = place.sumi("models")
    for name, why in [("page", "page of HTML"), ("pointer", "Git LFS pointer"), ("cut", "cut short")]:
        check(f"{name}.safetensors" in done.stderr and why in done.stderr, f"sumi models says what {name} is", done.stderr)
    (models / "plain.ckpt").write_bytes((models / "old.ckpt").read_bytes())
    beside(models / "plain.ckpt", tokenizer="sd1-tiny", config=SD1)
    beside(odd, tokenizer="sd1-tiny", config={**SD1, "unet": {**SD1["unet"], "attention_head_dmi": 4}}, licens="MIT", licence="MIT")
    done = place.sumi("models")
    check("sumi.json: 'licens', 'unet: attention_head_dmi' (did you mean 'attention_head_dim'?) is not known" in done.stderr and
          done.stderr.count("has no effect") == 1, "fields that nobody reads are named", done.stderr)
    check("plain.safetensors: a model of that name is beside it" in done.stderr, "of two files with one name the first is taken",
          done.stderr)
    (models / "plain.ckpt").unlink()
    names = {row["name"]: row for row in place.json("models")}
    check({"plain", "kernels", "old", "two", "xl", "what-a-model--1-"} <= names.keys() and "lora" not in names,
          "files are models by their names", names.keys())
    check("lora" not in done.stderr and "clip" not in done.stderr, "what belongs to models is no problem", done.stderr)
    done = place.sumi("render", "fog", "--model", "what-a-model--1-", "-o", "y.png", *SIZE)
    told = place.json("show", "y.png")
    check(done.returncode == 0 and told["model"] == "what-a-model--1-", "one is rendered by its name", done)
    before = told["made_by"]["model_digest"]
    beside(odd, tokenizer="sd1-tiny", config={**SD1, "scheduler": {"beta_end": 0.013}})
    place.sumi("render", "fog", "--model", "what-a-model--1-", "-o", "y.png", *SIZE)
    check(place.json("show", "y.png")["made_by"]["model_digest"] != before, "what stands beside it is part of its digest")
    twice = models / "twice.ckpt.safetensors"
    twice.write_bytes(data)
    (models / "twice.ckpt.sumi.json").write_bytes(odd.with_suffix(".sumi.json").read_bytes())
    for name in "twice", "twice.ckpt", twice.name:
        done = place.sumi("render", "fog", "--model", name, "-o", "y.png", *SIZE)
        check(done.returncode == 0 and place.json("show", "y.png")["model"] == "twice", f"a file with two endings is {name}", done.stderr)
    for path in sorted(models.glob("twice.*")):
        path.rename(place.state / "models" / path.name)
    done = place.sumi("models", "remove", "twice")
    check(done.returncode == 0 and not list(place.state.glob("models/twice*")), "and is removed with what stands beside it", done.stderr)
    for file, why in [("lora", "is a LoRA of"), ("clip", "is a text encoder of CLIP"), ("vae/alone", "is a VAE")]:
        done = place.sumi("render", "fog", "--pack", models / f"{file}.safetensors", "-o", "z.png", *SIZE)
        check(done.returncode and why in done.stderr and "not a model" in done.stderr, f"{file} in a model's place is told",
              done.stderr)
    beside(odd, tokenizer="sd1-tiny", config={**SD1, "unet": {}})
    done = place.sumi("render", "fog", "--pack", odd, "-o", "z.png", *SIZE)
    check(done.returncode and "NAME.sumi.json" in done.stderr and "32 groups" in done.stderr,
          "a config that was told wrongly names what says otherwise", done.stderr)
    check("attention heads" in place.sumi("models").stderr, "what is a guess is told", place.sumi("models").stderr)
    for fields, why in [({"config": {"nothing": {}}}, "'nothing'"), ({"config": []}, "must be an object"),
                        ({"prediction_type": "v_prediction"}, '"scheduler": {"prediction_type"'), ({"vae": "../x"}, "'../x'"), ({"vae": "no"}, "'no'"),
                        ({"vae": "lora.safetensors"}, "is a LoRA of"), ({"vae": "kernels.gguf/../x"}, "'kernels.gguf/../x'"),
                        ({"vae": "cut.safetensors"}, "cut short"), ({"vae": "unet.safetensors"}, "holds no such part")]:
        beside(odd, tokenizer="sd1-tiny", **fields)
        done = place.sumi("render", "fog", "--pack", odd, "-o", "z.png", *SIZE)
        check(done.returncode and why in done.stderr, f"{json.dumps(fields)} beside a file is refused", done.stderr)


def queued(place, models):
    """By way of the daemon: a file whose neighbour changes is loaded anew."""
    place.start()
    for what, config in [("a file's job", SD1), ("the next one, with another text beside it",
                                                 {**SD1, "scheduler": {"beta_end": 0.02}})]:
        beside(models / "plain.safetensors", tokenizer="sd1-tiny", config=config)
        want = paint(place, models / "plain.safetensors")
        done = place.sumi("image", "a red boat", "--model", "plain", "-o", "q.png", *SIZE)
        check(done.returncode == 0 and pixels(place.dir / "q.png") == want, f"{what} paints what render paints", done.stderr)
    for name, whose in [("plain", "finished jobs of this model"), ("two", "finished jobs of other models")]:
        told = place.json("models", "show", name)
        device = told["devices"][0]
        check(whose in device.get("measured", "") and 0 < device["step_seconds"] < device["seconds"] < 1000,
              f"what is expected of {name}: by {whose}", device)
        check(device["parts"] == "together" and told["step_bytes"] < device["needs"] < device.get("memory", 1 << 60) and
              told["parts"]["unet"]["bytes"] > 1000 and len(told["parts"]) == 3, "and what it takes", told)
    place.stop()


place = Place()
models = place.dir / "models"
models.mkdir()
for pack in ["sd1-tiny", "sd2-tiny", "sdxl-tiny"]:
    (models / pack).symlink_to(PACKS / pack)
place.configure(packs=str(models))
sd1(place, models)
others(place, models)
small(place, models)
shown_more(place, models)
quantized(place, models)
comfy(place, models)
brought(place, models)
listed(place, models)
queued(place, models)
shutil.rmtree(place.parent)
finish()

"""Writes the random packs in the diffusers layout, and the dumps that belong to them."""

import os
import shutil
from pathlib import Path

import torch

import configs
import stages
from common import DTYPES, generator, healthy, state, write_json, write_ppm, write_tensors
from vocab import write_tokenizer


# ---------------------------------------------------------------------------------------------------------------------
# Writing a pack
# ---------------------------------------------------------------------------------------------------------------------

def link(folder, part, other):
    """The part is the same as another pack's: a relative link, as in the hub's own cache."""
    os.symlink(os.path.join("..", other if "/" in other else os.path.join(other, part)), folder / part)


def write_text_encoder(folder, spec, name, key="text", part="text_encoder"):
    """Keys with the prefix text_model., as the published files of SD 1.x and 2.x have them, unless told otherwise."""
    import transformers
    config = spec[key]
    cls = getattr(transformers, config["architectures"][0])
    model = healthy(cls(transformers.CLIPTextConfig(**{k: v for k, v in config.items() if k != "architectures"})),
                    name + "/" + part)
    weights = state(model, spec["dtypes"][1])
    if spec.get("text_prefix", True):
        weights = {k if k.startswith(("text_model.", "text_projection.")) else "text_model." + k: v
                   for k, v in weights.items()}
        if spec.get("position_ids", True):
            weights["text_model.embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    write_json(folder / part / "config.json", config)
    write_tensors(folder / part / "model.safetensors", weights)


def deprecated_names(weights):
    """The attention names of autoencoders saved before diffusers 0.13."""
    table = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    out = {}
    for key, value in weights.items():
        if ".attentions." in key:
            for new, old in table.items():
                key = key.replace("." + new + ".", "." + old + ".")
        out[key] = value
    return out


def tame(model):
    """The tiny autoencoder has no norms, and its decoder writes 0..1: centre the picture there."""
    last = model.decoder.layers[-1]
    last.weight.mul_(0.15)
    last.bias.mul_(0.2).add_(0.5)


def write_model(folder, part, config, dtype, seed, spec):
    """The unet or the vae: config.json and safetensors, in several shards where the spec asks for it."""
    import diffusers
    cls = getattr(diffusers, config["_class_name"])
    model = healthy(cls.from_config(config), seed)
    if config["_class_name"] == "AutoencoderTiny":
        tame(model)
    limit = spec.get("shard", {}).get(part)
    if limit:
        model.to(DTYPES[dtype]).save_pretrained(folder / part, max_shard_size=limit)
    else:
        weights = state(model, dtype)
        if part == "vae" and spec.get("deprecated_vae"):
            weights = deprecated_names(weights)
        write_tensors(folder / part / "diffusion_pytorch_model.safetensors", weights)
    write_json(folder / part / "config.json", config)


def write_pack(root, name, spec):
    folder = Path(root) / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    share = spec.get("share", {})
    for part, other in share.items():
        link(folder, part, other)
    if "text" in spec and "tokenizer" not in share:
        write_tokenizer(folder / "tokenizer", **spec.get("tokenizer", {}))
    if "text" in spec and "text_encoder" not in share:
        write_text_encoder(folder, spec, name)
    if "text_2" in spec and "text_encoder_2" not in share:
        write_text_encoder(folder, spec, name, "text_2", "text_encoder_2")
    if "unet" not in share:
        write_model(folder, "unet", spec["unet"], spec["dtypes"][0], name + "/unet", spec)
    if "vae" not in share:
        write_model(folder, "vae", spec["vae"], spec["dtypes"][2], name + "/vae", spec)
    write_json(folder / "scheduler/scheduler_config.json", spec["scheduler"])
    write_json(folder / "model_index.json", index_of(spec))
    return folder


def index_of(spec):
    if "text_2" in spec:
        return {
            "_class_name": spec["pipeline"], "_diffusers_version": "0.19.0", "force_zeros_for_empty_prompt": True,
            "scheduler": ["diffusers", spec["scheduler"]["_class_name"]],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", spec["vae"]["_class_name"]],
            **spec.get("index", {})}
    return {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0",
        "feature_extractor": [None, None], "image_encoder": [None, None], "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", spec["scheduler"]["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", spec["vae"]["_class_name"]]}


# ---------------------------------------------------------------------------------------------------------------------
# Dumping a pack
# ---------------------------------------------------------------------------------------------------------------------

def load_pipeline(folder, spec):
    """The pack as diffusers reads it, in float32; whatever it could not match is an error."""
    import diffusers
    more = {} if "text_2" in spec else {"safety_checker": None}
    cls = getattr(diffusers, spec.get("pipeline", "StableDiffusionPipeline"))
    pipe = cls.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False, **more)
    pipe.set_progress_bar_config(disable=True)
    for model in (pipe.unet, pipe.vae, pipe.text_encoder, getattr(pipe, "text_encoder_2", None)):
        if model is not None:
            model.eval()
    return pipe


def check_loaded(pipe, spec, name):
    """The pipeline holds the very numbers that healthy() made (rounded to the file's dtype)."""
    parts = {"unet": (pipe.unet.conv_in, "conv_in", 0), "text_encoder": (
        pipe.text_encoder.final_layer_norm, "final_layer_norm", 1)}
    if spec["vae"]["_class_name"] == "AutoencoderKL":
        parts["vae"] = (pipe.vae.decoder.mid_block.attentions[0].to_q, "decoder.mid_block.attentions.0.to_q", 2)
    for part, (module, key, dtype) in parts.items():
        noise = torch.randn(module.weight.shape, generator=generator(
            spec.get("share", {}).get(part, name) + "/" + part, key, "weight"))
        want = 1.0 + 0.1 * noise if noise.dim() == 1 else noise / (noise[0].numel() ** 0.5)
        want = want.to(DTYPES[spec["dtypes"][dtype]]).float()
        assert torch.equal(module.weight, want), f"{name}: the {part} was not loaded"


def check_health(tensors, name):
    for key, value in tensors.items():
        assert torch.isfinite(value).all(), f"{name}: {key} is not finite"
        if key.startswith(("unet.", "vae.", "run.latents", "text.hidden")) and value.numel() > 64 \
                and ".ids" not in key:
            spread = value.std().item()
            assert 0.02 < spread < 50, f"{name}: {key} has standard deviation {spread}"


def dump_pack(root, name, spec):
    spec = {"prompt": configs.PROMPT, "negative": configs.NEGATIVE, "seed": 1000 + sum(name.encode()), **spec,
            "name": name}
    pipe = load_pipeline(Path(root) / name, spec)
    if "text" not in spec:
        dump_refiner(root, name, spec, pipe)
        return
    check_loaded(pipe, spec, name)
    rec = stages.Recorder()
    share = spec.get("share", {})
    if "text_2" in spec:
        stages.unet_stages(rec, pipe, spec, *stages.pair_stages(rec, pipe, spec))
    else:
        stages.text_stages(rec, pipe, spec, full="text_encoder" not in share)
        stages.unet_stages(rec, pipe, spec, rec.tensors["text.last_hidden"])
    if "vae" not in share:
        stages.vae_stages(rec, pipe, spec)
    rgb = stages.whole_run(rec, pipe, spec)
    if spec.get("img2img"):
        stages.image_run(rec, pipe, spec)
    if "text_2" in spec:
        stages.absent_run(rec, pipe, spec)
    check_health(rec.tensors, name)
    write_tensors(Path(root) / (name + ".safetensors"), rec.tensors)
    write_ppm(Path(root) / (name + ".ppm"), rgb)
    scale = pipe.vae_scale_factor
    ids = {k: [int(v) for v in rec.tensors[k + ".ids"]] for k in ("text", "negative")}
    write_json(Path(root) / (name + ".json"), {
        "pack": name, "prompt": spec["prompt"], "negative_prompt": spec["negative"], "seed": spec["seed"],
        "steps": spec["steps"], "guidance_scale": spec["guidance"], "height": spec["run"][0] * scale,
        "width": spec["run"][1] * scale, "scheduler": spec["scheduler"]["_class_name"],
        "strength": spec.get("img2img"), "scaling_factor": pipe.vae.config.scaling_factor,
        "text_ids": ids["text"], "negative_ids": ids["negative"],
        "calls": len(rec.tensors["run.timesteps"]),
        "dtypes": dict(zip(("unet", "text_encoder", "vae"), spec["dtypes"]))}, indent=None)


def dump_refiner(root, name, spec, pipe):
    rec = stages.Recorder()
    stages.refine(rec, pipe, spec)
    check_health(rec.tensors, name)
    write_tensors(Path(root) / (name + ".safetensors"), rec.tensors)
    write_json(Path(root) / (name + ".json"), {
        "pack": name, "prompt": spec["prompt"], "negative_prompt": spec["negative"], "seed": spec["seed"],
        "steps": spec["steps"], "guidance_scale": spec["guidance"], "strength": spec["img2img"],
        "scheduler": spec["scheduler"]["_class_name"],
        "height": spec["run"][0] * pipe.vae_scale_factor, "width": spec["run"][1] * pipe.vae_scale_factor}, indent=None)


def make(root, only=None):
    for name, spec in configs.PACKS.items():
        if only and name not in only:
            continue
        write_pack(root, name, spec)
        dump_pack(root, name, spec)
        print("pack", name)

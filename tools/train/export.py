# export.py: writes the pack: half-precision safetensors in the folder layout of diffusers, and sumi.json.
#   python tools/train/export.py --kind KIND [--out DIR --pack DIR]
import argparse
import json
import os
import shutil

import numpy as np
import torch
from safetensors.torch import save_file

import autoencoder
import common
import diffusion
import domains
import models
import preview_map


def tensors(module, prefix=""):
    """Half precision, plain memory order, without buffers that are no weights."""
    return {prefix + k: v.detach().cpu().half().contiguous() for k, v in module.state_dict().items() if v.is_floating_point()}


def put(folder, name, weights, config):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    save_file(weights, path + ".new", metadata={"format": "pt"})
    os.chmod(path + ".new", 0o644)
    os.replace(path + ".new", path)
    write_json(os.path.join(folder, "config.json"), config)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2, ensure_ascii=False, default=list)
        f.write("\n")


def config_of(model, name):
    c = {k: v for k, v in dict(model.config).items() if not k.startswith("_")}
    return {"_class_name": name, "_diffusers_version": "0.30.0", **c}


def text_config(model):
    keep = ("vocab_size", "hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers", "num_attention_heads",
            "max_position_embeddings", "hidden_act", "layer_norm_eps", "bos_token_id", "eos_token_id", "pad_token_id")
    return {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "torch_dtype": "float16",
            **{k: getattr(model.config, k) for k in keep}}


def text_weights(model):
    """The names that every version of transformers reads: with the prefix text_model."""
    w = tensors(model)
    return {k if k.startswith("text_model.") else "text_model." + k: v for k, v in w.items()}


def corpus_version(domain, out):
    """Of the corpus that lies in `out`, which may be older than the program."""
    done = os.path.join(out, "corpus", "done")
    return open(done).read().split()[0] if os.path.exists(done) else domain.version


def preview(out, vae, count=300):
    """How latents look while they form, fitted on corpus pictures where they lie in `out`."""
    path = os.path.join(out, "corpus", "pictures.npy")
    if not os.path.exists(path):
        return {}
    pictures = np.load(path, mmap_mode="r")[:count]
    found, _, _ = preview_map.fit(lambda x: vae.encoder(x)[0], (common.to_tensor(pictures[i:i + 1], "cpu") for i in range(len(pictures))))
    return {"preview": found}


def sumi_json(domain, profile, state, ae, fast, seed, version, begun_from=None):
    """version: of the corpus. begun_from: the pack whose weights training began with (revive.py --fresh)."""
    own = domain.manifest(profile)
    return {
        "name": own.pop("name"), "modality": own.pop("modality"), "licence": "CC0-1.0", "licence_of_the_code": "MIT",
        "provenance": own.pop("provenance"), "corpus": {"version": version, "seed": seed}, "languages": ["en", "ru"],
        "command": f"python tools/train/chain.py --kind {domain.name} --profile {profile} --seed {seed} --pack {domain.pack}",
        "trained": {"autoencoder_crops": ae["seen"], f"unet_{domain.what}": state["seen"],
                    f"fast_{domain.what}": fast["seen"] if fast else 0, **({"begun_from": begun_from} if begun_from else {})},
        "defaults": own.pop("defaults"),
        **({"fast": {"unet": "unet_fast", "sampler": "ddim", "steps": 4, "cfg_scale": 1.0}} if fast else {}),
        **own,
    }


def export(domain, out, pack, profile="cpu", seed=1):
    dev = torch.device("cpu")
    nets, state = diffusion.restore(out, profile, dev, latent=domain.latent(profile))
    vae, ae = autoencoder.restore(out, 32, dev)
    os.makedirs(pack, exist_ok=True)
    put(os.path.join(pack, "unet"), "diffusion_pytorch_model.safetensors", tensors(nets.unet),
        config_of(nets.unet, "UNet2DConditionModel"))
    put(os.path.join(pack, "vae"), "diffusion_pytorch_model.safetensors", tensors(vae), config_of(vae, "AutoencoderTiny"))
    put(os.path.join(pack, "text_encoder"), "model.safetensors", text_weights(nets.text), text_config(nets.text))
    fast = common.load(os.path.join(out, "fast", "last.pt"))
    if fast:
        nets.unet.load_state_dict({**nets.unet.state_dict(), **fast["average"]})
        put(os.path.join(pack, "unet_fast"), "diffusion_pytorch_model.safetensors", tensors(nets.unet),
            config_of(nets.unet, "UNet2DConditionModel"))
    shutil.copytree(os.path.join(out, "tokenizer"), os.path.join(pack, "tokenizer"), dirs_exist_ok=True)
    os.makedirs(os.path.join(pack, "scheduler"), exist_ok=True)
    write_json(os.path.join(pack, "scheduler", "scheduler_config.json"), models.SCHEDULER)
    write_json(os.path.join(pack, "model_index.json"), {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0", "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderTiny"], "safety_checker": [None, None],
        "feature_extractor": [None, None], "image_encoder": [None, None], "requires_safety_checker": False})
    begun = os.path.join(out, "begun_from")
    begun_from = open(begun).read().strip() if os.path.exists(begun) else None
    manifest = sumi_json(domain, profile, state, ae, fast, seed, corpus_version(domain, out), begun_from)
    write_json(os.path.join(pack, "sumi.json"), {**manifest, **preview(out, vae)})
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(pack) for f in fs)
    print(f"{pack}: {size / 1e6:.1f} MB, UNet after {state['seen']} {domain.what}, fast {fast['seen'] if fast else 'none'}")


def main():
    p = argparse.ArgumentParser(description="write the pack")
    domains.add_arguments(p)
    p.add_argument("--pack")
    p.add_argument("--profile", choices=list(models.SIZES), help="the kind's own when not given")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    domain = domains.from_arguments(a)
    export(domain, a.out, a.pack or domain.pack, a.profile, a.seed)


if __name__ == "__main__":
    main()

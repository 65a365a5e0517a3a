#!/usr/bin/env python3
"""Adapters of every kind and dialect for a few small tensors, and what LyCORIS (lycoris-lora 4.1.3) and
peft make of those tensors, and what diffusers paints with one: tests/vectors/adapters/. Each NAME.safetensors has NAME.merged.safetensors
beside it, the changed tensors at the strength that its metadata names.

    python tools/reference/adapters.py          needs torch, safetensors, lycoris-lora, peft, diffusers
"""
import json
import pathlib

import torch
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/vectors/adapters"
torch.manual_seed(7)

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0."
LINEAR = {BLOCK + "attn1.to_q": (8, 6), BLOCK + "attn1.to_out.0": (6, 8), BLOCK + "ff.net.2": (6, 12),
          "time_embedding.linear_1": (10, 6), "text_model.encoder.layers.0.self_attn.q_proj": (8, 8)}
CONV = {"down_blocks.0.resnets.0.conv1": (6, 4), "down_blocks.0.resnets.1.conv2": (8, 6)}
NORM = {"down_blocks.0.resnets.0.norm1": 4}


def random(*shape):
    return torch.randn(*shape) * 0.5


base = {}
for name, (cout, cin) in LINEAR.items():
    base[name + ".weight"], base[name + ".bias"] = random(cout, cin), random(cout)
for name, (cout, cin) in CONV.items():
    base[name + ".weight"], base[name + ".bias"] = random(cout, cin, 3, 3), random(cout)
for name, c in NORM.items():
    base[name + ".weight"], base[name + ".bias"] = random(c), random(c)


def layer(name):
    w = base[name + ".weight"]
    m = torch.nn.Linear(w.shape[1], w.shape[0]) if w.dim() == 2 else \
        torch.nn.Conv2d(w.shape[1], w.shape[0], 3, padding=1)
    m.weight.data, m.bias.data = w.clone(), base[name + ".bias"].clone()
    return m


def kohya(name):
    return ("lora_te_" if name.startswith("text") else "lora_unet_") + name.replace(".", "_")


def write(case, tensors, merged, strength, **metadata):
    save_file({k: v.contiguous() for k, v in tensors.items()}, OUT / f"{case}.safetensors",
              metadata={"strength": str(strength), **metadata})
    save_file({k: v.detach().contiguous() for k, v in merged.items()}, OUT / f"{case}.merged.safetensors")


def changed(m, weight, strength):
    """What a layer computes with while it is trained. Merging says the same, but of LoHa and LoKr, where
    get_diff_weight() multiplies by alpha / rank once more (4.1.3)."""
    if isinstance(m, (LohaModule, LokrModule)):
        whole = weight + m.get_weight(weight.shape)
        return m.apply_weight_decompose(whole, strength) if m.wd else \
            weight + strength * (whole - weight)
    return m.get_merged_weight(multiplier=strength, shape=weight.shape)[0]


def lycoris(case, kind, names, strength, **how):
    tensors, merged = {}, {}
    for i, name in enumerate(names):
        m = kind("x", layer(name), lora_dim=2 + i % 2, alpha=1 + i, **how)
        for p in m.parameters():
            if not any(p is q for q in m.org_module[0].parameters()):
                p.data = random(*p.shape) if p.dim() else p.data
        if how.get("weight_decompose"):
            m.dora_scale.data = m.dora_scale.abs() + 0.5
        for key, value in m.custom_state_dict().items():
            tensors[f"{kohya(name)}.{key}"] = torch.as_tensor(value).detach().clone().float()
        merged[name + ".weight"] = changed(m, base[name + ".weight"], strength)
    write(case, tensors, merged, strength)


def pair(name, rank=3):
    w = base[name + ".weight"]
    return random(rank, *w.shape[1:]), random(w.shape[0], rank, *(1 for _ in w.shape[2:]))


def product(up, down):
    return (up.flatten(1) @ down.flatten(1)).view(up.shape[0], *down.shape[1:])


def dialect(case, spell, names, strength, alpha=None):
    """Pairs under other names; alpha over rank is the scale, and nothing else."""
    tensors, merged = {}, {}
    for name in names:
        down, up = pair(name)
        low, high, scale = spell(name)
        tensors[low], tensors[high] = down, up
        s = 1.0
        if alpha is not None:
            tensors[scale] = torch.tensor(float(alpha))
            s = alpha / 3 if alpha else 1.0
        merged[name + ".weight"] = base[name + ".weight"] + strength * s * product(up, down)
    write(case, tensors, merged, strength)


def peft_names(name):
    n = ("text_encoder." if name.startswith("text") else "unet.") + name
    return n + ".lora_A.weight", n + ".lora_B.weight", n + ".alpha"


def kohya_names(name):
    return kohya(name) + ".lora_down.weight", kohya(name) + ".lora_up.weight", kohya(name) + ".alpha"


def first_diffusers(name):
    if name.startswith("text"):
        n = "text_encoder." + name.replace("q_proj", "to_q_lora")
    else:
        head, tail = name.split(".attn1.")
        n = f"{head}.attn1.processor.{tail.replace('.0', '')}_lora"
    return n + ".down.weight", n + ".up.weight", n + ".alpha"


ORIGINAL = {BLOCK + "attn1.to_q": "input_blocks_1_1_transformer_blocks_0_attn1_to_q",
            "down_blocks.0.resnets.1.conv2": "input_blocks_2_0_out_layers_3",
            "time_embedding.linear_1": "time_embed_0"}


def original(name):
    n = "lora_unet_" + ORIGINAL[name]
    return n + ".lora_down.weight", n + ".lora_up.weight", n + ".alpha"


def differences():
    tensors, merged = {}, {}
    for name in (BLOCK + "attn1.to_q", "down_blocks.0.resnets.0.conv1", "down_blocks.0.resnets.0.norm1"):
        ends = ("w_norm", "b_norm") if "norm" in name else ("diff", "diff_b")
        for end, what in zip(ends, ("weight", "bias")):
            w = base[f"{name}.{what}"]
            tensors[f"{kohya(name)}.{end}"] = random(*w.shape)
            merged[f"{name}.{what}"] = w + 0.7 * tensors[f"{kohya(name)}.{end}"]
    write("difference", tensors, merged, 0.7)


def peft_dora():
    """By peft itself."""
    import peft

    name = BLOCK + "attn1.to_q"
    model = torch.nn.Sequential(layer(name))
    p = peft.get_peft_model(model, peft.LoraConfig(r=3, lora_alpha=3, target_modules=["0"], use_dora=True))
    lora = p.base_model.model[0]
    lora.lora_A.default.weight.data, lora.lora_B.default.weight.data = pair(name)
    lora.lora_magnitude_vector.default.weight.data = random(8).abs() + 0.5
    n = "base_model.model.unet." + name
    tensors = {n + ".lora_A.weight": lora.lora_A.default.weight.detach().clone(),
               n + ".lora_B.weight": lora.lora_B.default.weight.detach().clone(),
               n + ".lora_magnitude_vector": lora.lora_magnitude_vector.default.weight.detach().clone()}
    write("peft_dora", tensors, {name + ".weight": p.merge_and_unload()[0].weight}, 1.0)


def peft_config():
    """What peft makes of alphas that stand in no tensor, as diffusers has written them into files since 0.34, and of
    biases beside the pairs."""
    import peft

    to_q, ff, conv, text = BLOCK + "attn1.to_q", BLOCK + "ff.net.2", "down_blocks.0.resnets.0.conv1", list(LINEAR)[-1]
    tensors, merged, config = {}, {}, {}
    for part, names, how in (("unet", (to_q, ff, conv), {"lora_alpha": 8, "alpha_pattern": {"ff.net.2": 2}, "lora_bias": True}),
                             ("text_encoder", (text,), {"lora_alpha": 5, "use_rslora": True})):
        model = tree(names)
        p = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules=list(names), **how))
        for name in names:
            lora = p.base_model.model.get_submodule(name)
            lora.lora_A.default.weight.data, lora.lora_B.default.weight.data = pair(name)
            tensors[f"{part}.{name}.lora_A.weight"] = lora.lora_A.default.weight.detach().clone()
            tensors[f"{part}.{name}.lora_B.weight"] = lora.lora_B.default.weight.detach().clone()
            if "lora_bias" in how:
                lora.lora_B.default.bias.data = random(*base[name + ".bias"].shape)
                tensors[f"{part}.{name}.lora_B.bias"] = lora.lora_B.default.bias.detach().clone()
        config |= {f"{part}.{k}": sorted(v) if isinstance(v, set) else v for k, v in p.peft_config["default"].to_dict().items()}
        whole = p.merge_and_unload()
        for name in names:
            merged[name + ".weight"] = whole.get_submodule(name).weight
            if "lora_bias" in how:
                merged[name + ".bias"] = whole.get_submodule(name).bias
    write("peft_config", tensors, merged, 1.0, lora_adapter_metadata=json.dumps(config, default=str))


def tree(names):
    """A model of those layers alone, under their names."""
    model = torch.nn.Module()
    for name in names:
        at = model
        for piece in name.split(".")[:-1]:
            if piece not in at._modules:
                at.add_module(piece, torch.nn.Module())
            at = at._modules[piece]
        at.add_module(name.split(".")[-1], layer(name))
    return model


def peft_folders():
    """What peft itself saves, a folder each, and what it merges."""
    import warnings

    import peft

    warnings.simplefilter("ignore")
    text, drawing = list(LINEAR)[-1], list(LINEAR)[:-1] + list(CONV)
    folders = {
        "peft_lora": (drawing, peft.LoraConfig(r=3, lora_alpha=5, fan_in_fan_out=True, target_modules=drawing,
                                               rank_pattern={r"resnets\.[01]\.conv\d": 2, "attn1.to_q": 4},
                                               alpha_pattern={"^time_embedding.*": 7, r".*attn1\.to_(q|k|v)": 2.5, "ff.net.2": 9})),
        "peft_rslora": ([text], peft.LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules=[text])),
        "peft_dora_folder": (drawing, peft.LoraConfig(r=2, lora_alpha=6, use_dora=True, target_modules=drawing)),
        "peft_loha": (drawing, peft.LoHaConfig(r=2, alpha=6, target_modules=drawing, alpha_pattern={"to_out.0": 1},
                                               rank_pattern={"conv1": 3})),
        "peft_loha_tucker": (list(CONV), peft.LoHaConfig(r=2, alpha=3, target_modules=list(CONV), use_effective_conv2d=True)),
        "peft_lokr": (drawing, peft.LoKrConfig(r=1, alpha=4, decompose_both=True, target_modules=drawing, alpha_pattern={"conv2": 1})),
        "peft_lokr_whole": (drawing, peft.LoKrConfig(r=16, alpha=4, target_modules=drawing, rank_pattern={"linear_1": 32})),
        "peft_lokr_tucker": (list(CONV), peft.LoKrConfig(r=1, alpha=4, target_modules=list(CONV), use_effective_conv2d=True)),
    }
    for case, (names, config) in folders.items():
        p = peft.get_peft_model(tree(names), config)
        for name, value in p.named_parameters():
            if "lora_" in name or "hada_" in name or "lokr_" in name:
                value.data = random(*value.shape).abs() + 0.5 if "magnitude" in name else random(*value.shape)
        p.save_pretrained(OUT / case)
        (OUT / case / "README.md").unlink()
        whole = p.merge_and_unload()
        save_file({name + ".weight": whole.get_submodule(name).weight.detach().contiguous() for name in names},
                  OUT / case / "merged.safetensors")


def peft_saved():
    """Beside their pairs: modules that were trained whole, one of them within what is named, and biases."""
    import warnings

    import peft

    warnings.simplefilter("ignore")
    names, (conv, other) = list(LINEAR)[:-1] + list(CONV), CONV
    folders = {"peft_saved": dict(target_modules=["attn1.to_q", "linear_1"], modules_to_save=["resnets.0", "conv2"]),
               "peft_biases": dict(target_modules=["attn1.to_q", "conv1"], bias="all"),
               "peft_own_biases": dict(target_modules=["attn1.to_q", "conv1"], bias="lora_only")}
    for case, how in folders.items():
        p = peft.get_peft_model(tree(names), peft.LoraConfig(r=2, lora_alpha=3, **how))
        for name, value in p.named_parameters():
            if value.requires_grad:
                value.data = random(*value.shape)
        p.save_pretrained(OUT / case)
        (OUT / case / "README.md").unlink()
        whole = p.merge_and_unload().state_dict()
        save_file({name: v.contiguous() for name, v in whole.items() if not torch.equal(v, base[name])}, OUT / case / "merged.safetensors")


def whole_alphas():
    """As kohya writes them where nobody names one or a precision: I64; under OneTrainer's names."""
    tensors, merged = {}, {}
    for name in EVERY:
        down, up = pair(name)
        n = ("lora_te1." if name.startswith("text") else "lora_unet.") + name
        tensors |= {n + ".lora_down.weight": down, n + ".lora_up.weight": up, n + ".alpha": torch.tensor(2)}
        merged[name + ".weight"] = base[name + ".weight"] + 2 / 3 * product(up, down)
    tensors["bundle_emb.word.string_to_param.*"] = random(2, 8)
    write("whole_alphas", tensors, merged, 1.0)


def comfy_names(name):
    n = f"text_encoders.clip_l.transformer.{name}" if name.startswith("text") else \
        f"diffusion_model.{ORIGINAL[name]}".replace("_1_1_", ".1.1.").replace("_2_0_", ".2.0.").replace("_blocks_0_attn1_", "_blocks.0.attn1.") \
        .replace("_layers_3", "_layers.3").replace("embed_0", "embed.0")
    return n + ".lora_down.weight", n + ".lora_up.weight", n + ".alpha"


PACK = OUT.parent / "sd1-tiny"


def pipeline():
    """What diffusers makes with a LoRA on denoiser and text encoder, each at a strength of its own:
    latents after the last step and the picture."""
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import load_file

    tensors, wanted = {}, ("attn2.to_k", "attn2.to_out.0", "ff.net.2", "conv1", "time_emb_proj", "proj_in",
                           "self_attn.q_proj", "mlp.fc1")
    for part, file in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        for name, w in load_file(PACK / part / f"{file}.safetensors").items():
            n = name.removesuffix(".weight")
            if name.endswith(".weight") and n.endswith(wanted) and "up_blocks" not in n:
                rest = [1] * (w.dim() - 2)
                tensors[f"{part}.{n}.lora_A.weight"] = torch.randn(1, *w.shape[1:]) * 0.2
                tensors[f"{part}.{n}.lora_B.weight"] = torch.randn(w.shape[0], 1, *rest) * 0.2
    save_file(tensors, OUT / "sd1-tiny.safetensors")
    pipe = StableDiffusionPipeline.from_pretrained(PACK, safety_checker=None)
    pipe.load_lora_weights(str(OUT / "sd1-tiny.safetensors"), adapter_name="a")
    pipe.set_adapters(["a"], adapter_weights=[{"unet": 0.9, "text_encoder": 0.5}])
    how = dict(num_inference_steps=4, guidance_scale=7.5, height=64, width=64)
    latents = pipe("a boat", generator=torch.Generator().manual_seed(7), output_type="latent", **how).images
    picture = pipe("a boat", generator=torch.Generator().manual_seed(7), output_type="pt", **how).images
    save_file({"latents": latents[0].contiguous(), "image": picture[0].contiguous()},
              OUT / "sd1-tiny.run.safetensors")


OUT.mkdir(parents=True, exist_ok=True)
save_file(base, OUT / "base.safetensors")
EVERY = list(LINEAR) + list(CONV)
lycoris("locon", LoConModule, EVERY, 0.8)
lycoris("tucker", LoConModule, CONV, 1.3, use_tucker=True)
lycoris("loha", LohaModule, EVERY, 0.6)
lycoris("loha_tucker", LohaModule, CONV, 1.0, use_tucker=True)
lycoris("lokr", LokrModule, EVERY, 0.9, factor=2)
lycoris("lokr_both", LokrModule, EVERY, 0.9, factor=4, decompose_both=True)
lycoris("lokr_tucker", LokrModule, CONV, 1.0, use_tucker=True, factor=2)
lycoris("dora", LoConModule, EVERY, 1.0, weight_decompose=True, wd_on_out=True)
lycoris("dora_half", LoConModule, EVERY, 0.5, weight_decompose=True, wd_on_out=True)
lycoris("dora_inputs", LoConModule, EVERY, 0.8, weight_decompose=True, wd_on_out=False)
lycoris("doha", LohaModule, EVERY, 1.0, weight_decompose=True, wd_on_out=True)
dialect("peft", peft_names, EVERY, 0.8)
dialect("kohya_alpha_0", kohya_names, EVERY, 1.0, alpha=0)
dialect("kohya_negative", kohya_names, EVERY, -0.4, alpha=2)
dialect("first_diffusers", first_diffusers, [n for n in LINEAR if "self_attn" in n or "attn1" in n], 1.0)
dialect("original_names", original, list(ORIGINAL), 1.0, alpha=1.5)
differences()
peft_dora()
pipeline()
torch.manual_seed(8)
peft_config()
whole_alphas()
dialect("comfy_names", comfy_names, [*ORIGINAL, list(LINEAR)[-1]], 1.0)
dialect("lycoris_names", lambda n: [f"lycoris_{n.replace('.', '_')}.{end}" for end in ("lora_down.weight", "lora_up.weight", "alpha")],
        EVERY, 1.0)
torch.manual_seed(9)
peft_folders()
torch.manual_seed(10)
peft_saved()

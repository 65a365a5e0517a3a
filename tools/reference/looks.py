#!/usr/bin/env python3
"""IP-Adapters made at random for the small packs, with an image encoder, and what diffusers (0.42.1) paints with them in
float32: tests/vectors/looks/. Each run has NAME.run.safetensors, latents after the last step and the picture.

    python tools/reference/looks.py          needs torch, diffusers, transformers, safetensors, pillow
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import common
import torch
from safetensors.torch import save_file

common.setup()
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "tests/vectors"
OUT = VECTORS / "looks"
OUT.mkdir(parents=True, exist_ok=True)

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

SIDE, STEPS, SEEN = 64, 4, 32
WIDTH, PROJECTION, HEAD = 32, 24, 64


def picture(name, seed, side=SEEN):
    """Blobs of colour in the very size that the encoder sees: nothing is scaled on the way."""
    g = common.generator("look picture", seed)
    x = torch.rand((1, 3, 5, 5), generator=g)
    x = torch.nn.functional.interpolate(x, (side, side), mode="bicubic").clamp(0, 1)[0]
    image = Image.fromarray((x.permute(1, 2, 0) * 255).round().byte().numpy())
    image.save(OUT / f"{name}.png")
    return image


def mask(name, left, right):
    """White from one column to another."""
    image = Image.new("L", (SIDE, SIDE), 0)
    image.paste(255, (left, 0, right, SIDE))
    image.save(OUT / f"{name}.png")
    return image


def encoder():
    config = CLIPVisionConfig(hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
                              image_size=SEEN, patch_size=8, projection_dim=PROJECTION, hidden_act="gelu")
    net = common.healthy(CLIPVisionModelWithProjection(config), "image encoder")
    net = net.to(torch.float16).float()
    folder = OUT / "image_encoder"
    folder.mkdir(exist_ok=True)
    net.half().save_pretrained(folder, safe_serialization=True)
    return net.float()


def values(seed, *shape):
    scale = shape[-1] ** -0.5 if len(shape) > 1 else 0.1
    return (torch.randn(shape, generator=common.generator("look", seed)) * scale).half()


def norm(name, width):
    return {f"{name}.weight": (1 + values(name + "w", width).float()).half(), f"{name}.bias": values(name + "b", width)}


def linear(name, out, into, bias=True):
    return {f"{name}.weight": values(name, out, into), **({f"{name}.bias": values(name + "bias", out)} if bias else {})}


def base(context):
    return {**linear("image_proj.proj", 4 * context, PROJECTION), **norm("image_proj.norm", context)}


def plus(context):
    inner = 16
    out = {"image_proj.latents": values("latents", 1, 4, inner), **linear("image_proj.proj_in", inner, WIDTH),
           **linear("image_proj.proj_out", context, inner), **norm("image_proj.norm_out", context)}
    for i in range(4):  # diffusers knows no other depth
        at = f"image_proj.layers.{i}"
        out |= {**norm(f"{at}.0.norm1", inner), **norm(f"{at}.0.norm2", inner), **linear(f"{at}.0.to_q", HEAD, inner, False),
                **linear(f"{at}.0.to_kv", 2 * HEAD, inner, False), **linear(f"{at}.0.to_out", inner, HEAD, False),
                **norm(f"{at}.1.0", inner), **linear(f"{at}.1.1", 4 * inner, inner, False),
                **linear(f"{at}.1.3", inner, 4 * inner, False)}
    return out


def full(context):
    return {**linear("image_proj.proj.0", WIDTH, WIDTH), **linear("image_proj.proj.2", context, WIDTH),
            **norm("image_proj.proj.3", context)}


def adapter(name, pack, projection):
    config = json.loads((VECTORS / pack / "unet/config.json").read_text())
    unet = UNet2DConditionModel.from_config(config)
    context, index, out = config["cross_attention_dim"], 1, projection(config["cross_attention_dim"])
    for at in unet.attn_processors:
        if at.endswith("attn2.processor"):
            width = unet.get_submodule(at.removesuffix(".processor")).to_q.out_features
            for one in ("k", "v"):
                out[f"ip_adapter.{index}.to_{one}_ip.weight"] = values(name + at + one, width, context)
            index += 2
    save_file(out, OUT / f"{name}.safetensors")
    return out


def write_run(name, pipe, seed=7, **how):
    how = dict(num_inference_steps=STEPS, guidance_scale=7.5, height=SIDE, width=SIDE, **how)
    latents = pipe("a boat", generator=torch.Generator().manual_seed(seed), output_type="latent", **how).images
    image = pipe("a boat", generator=torch.Generator().manual_seed(seed), output_type="pt", **how).images
    save_file({"latents": latents[0].contiguous(), "image": image[0].contiguous()}, OUT / f"{name}.run.safetensors")


def load(cls, pack, net, names, scales):
    pipe = cls.from_pretrained(VECTORS / pack, torch_dtype=torch.float32, local_files_only=True, image_encoder=net,
                               **({"safety_checker": None} if "XL" not in cls.__name__ else {}))
    pipe.set_progress_bar_config(disable=True)
    pipe.load_ip_adapter(str(OUT), subfolder="", weight_name=[f"{n}.safetensors" for n in names])
    pipe.set_ip_adapter_scale(scales)
    return pipe


def masks(*images):
    from diffusers.image_processor import IPAdapterMaskProcessor
    return IPAdapterMaskProcessor().preprocess(list(images), height=SIDE, width=SIDE)


def seen():
    """A picture of another size, as CLIPImageProcessor shows it to the encoder."""
    from transformers import CLIPImageProcessor
    wide = picture("wide", 3, 75).resize((75, 50))
    wide.save(OUT / "wide.png")
    how = CLIPImageProcessor(size=SEEN, crop_size=SEEN, do_rescale=False, do_normalize=False)
    pixels = how(wide, return_tensors="pt").pixel_values[0]
    save_file({"seen": pixels.permute(1, 2, 0).float().contiguous()}, OUT / "wide.seen.safetensors")


def main():
    seen()
    net, first, second = encoder(), picture("first", 1), picture("second", 2)
    left, right = mask("left", 0, 40), mask("right", 24, SIDE)
    flat = adapter("base", "sd1-tiny", base)
    tree = {part: {k.removeprefix(part + "."): v for k, v in flat.items() if k.startswith(part + ".")}
            for part in ("image_proj", "ip_adapter")}
    torch.save(tree, OUT / "base-archive.bin")
    adapter("plus", "sd1-tiny", plus)
    adapter("full-face", "sd1-tiny", full)
    adapter("xl", "sdxl-tiny", base)
    adapter("xl-plus", "sdxl-tiny", plus)
    one, xl = StableDiffusionPipeline, StableDiffusionXLPipeline
    write_run("base", load(one, "sd1-tiny", net, ["base"], [0.7]), ip_adapter_image=first)
    write_run("plus", load(one, "sd1-tiny", net, ["plus"], [0.8]), ip_adapter_image=first)
    write_run("full-face", load(one, "sd1-tiny", net, ["full-face"], [0.6]), ip_adapter_image=second)
    write_run("two", load(one, "sd1-tiny", net, ["base", "plus"], [0.6, 0.5]), ip_adapter_image=[first, second])
    write_run("masks", load(one, "sd1-tiny", net, ["plus"], [[0.9, 0.6]]), ip_adapter_image=[[first, second]],
              cross_attention_kwargs={"ip_adapter_masks": [masks(left, right).reshape(1, 2, SIDE, SIDE)]})
    write_run("joined", load(one, "sd1-tiny", net, ["plus"], [0.8]), ip_adapter_image=[[first, second]])
    write_run("xl", load(xl, "sdxl-tiny", net, ["xl"], [0.7]), ip_adapter_image=first, negative_prompt="blurry")
    write_run("xl-plus", load(xl, "sdxl-tiny", net, ["xl-plus"], [0.7]), ip_adapter_image=second, negative_prompt="blurry")


main()

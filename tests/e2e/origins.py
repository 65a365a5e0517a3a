#!/usr/bin/env python3
"""What other programs write, in the ways in which their versions differ: sumi show knows who it was and takes what is said."""
import struct
import zlib

from lib import *


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(texts, raw=b""):
    """One grey pixel with such texts."""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + raw +
            b"".join(chunk(b"iTXt", k.encode() + bytes(5) + v.encode()) for k, v in texts.items()) +
            chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b""))


def told(place, data, what, **want):
    (place.dir / "x.png").write_bytes(data)
    got = place.json("show", "x.png")
    check(all(got.get(k) == v for k, v in want.items()), what, "; ".join(f"{k}: {got.get(k)!r}, not {v!r}" for k, v in want.items() if got.get(k) != v))


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


BASE = {"1": node("CheckpointLoaderSimple", ckpt_name="xl/base.safetensors"), "2": node("CLIPTextEncode", text="a fox", clip=["1", 1]),
        "3": node("CLIPTextEncode", text="blur", clip=["1", 1]), "4": node("EmptyLatentImage", width=512, height=640, batch_size=1)}
SAMPLER = dict(seed=1, steps=20, cfg=7, sampler_name="euler", scheduler="normal", denoise=1, model=["1", 0], positive=["2", 0],
               negative=["3", 0], latent_image=["4", 0])


def graphs(place):
    """A graph is followed from its sampler, through whatever stands between."""
    def graph(what, nodes, want, **sampler):
        told(place, png({"prompt": json.dumps({**BASE, "9": node("KSampler", **{**SAMPLER, **sampler}), **nodes})}), what,
             **{"program": "ComfyUI", "prompt": "a fox", "negative_prompt": "blur", "model": "base", "width": 512, **want})

    graph("links to values", {"5": node("PrimitiveInt", value=768), "6": node("Seed (rgthree)", seed=77), "7": node("Reroute", **{"": ["6", 0]}),
                              "4": node("EmptyLatentImage", width=["5", 0], height=640)}, {"width": 768, "seed": 77}, seed=["7", 0])
    graph("reroutes of texts and models", {"5": node("Reroute", **{"": ["2", 0]}), "6": node("Reroute", **{"": ["1", 0]})}, {},
          positive=["5", 0], model=["6", 0])
    graph("what takes a text away", {"5": node("ConditioningZeroOut", conditioning=["2", 0])}, {"negative_prompt": None}, negative=["5", 0])
    graph("texts that are computed", {"2": node("CLIPTextEncode", text=["5", 0]), "5": node("StringConcatenate", string_a="a", string_b="b"),
                                      "3": node("CLIPTextEncode", text=["6", 0]), "6": node("Text Find and Replace", text="blur", find="b")},
          {"prompt": None, "negative_prompt": None})
    graph("a text that was drawn", {"2": node("CLIPTextEncode", text=["5", 0]),
                                    "5": node("ImpactWildcardProcessor", wildcard_text="{a|b}", populated_text="a fox")}, {})
    graph("LoRAs between sampler and model",
          {"5": node("LoraLoader", lora_name="x.safetensors", strength_model=0.5, strength_clip=1, model=["1", 0]),
           "6": node("LoraLoaderModelOnly", lora_name="y.safetensors", strength_model=0.25, model=["5", 0]),
           "7": node("LoraLoader", lora_name="unused.safetensors", strength_model=1, model=["1", 0])},
          {"loras": [{"name": "x.safetensors", "weight": 0.5, "te_weight": 1.0}, {"name": "y.safetensors", "weight": 0.25}]}, model=["6", 0])
    graph("a loader that holds both texts", {"5": node("Efficient Loader", ckpt_name="own.safetensors", positive="a boat", negative="fog",
                                                       empty_latent_width=320, empty_latent_height=640)},
          {"prompt": "a boat", "negative_prompt": "fog", "model": "own", "width": 320}, model=["5", 0], positive=["5", 1], negative=["5", 2],
          latent_image=["5", 3])
    refined = {"0": node("CheckpointLoaderSimple", ckpt_name="refiner.safetensors"), **BASE,
               "8": node("KSamplerAdvanced", add_noise="disable", noise_seed=0, steps=25, model=["0", 0], positive=["2", 0], latent_image=["9", 0]),
               "9": node("KSamplerAdvanced", add_noise="enable", noise_seed=7, steps=25, cfg=8, sampler_name="euler", model=["1", 0],
                         positive=["2", 0], negative=["3", 0], latent_image=["4", 0])}
    told(place, png({"prompt": json.dumps(refined)}), "a refiner's sampler first", seed=7, steps=25, model="base", prompt="a fox")
    flux = {"10": node("UNETLoader", unet_name="flux1-dev.safetensors"), "11": node("CLIPTextEncode", text=["12", 0]),
            "12": node("PrimitiveStringMultiline", value="a fox"), "13": node("RandomNoise", noise_seed=77), "14": node("KSamplerSelect", sampler_name="euler"),
            "15": node("BasicScheduler", scheduler="simple", steps=20, denoise=1, model=["10", 0]), "16": node("FluxGuidance", guidance=3.5, conditioning=["11", 0]),
            "17": node("BasicGuider", model=["10", 0], conditioning=["16", 0]), "18": node("EmptySD3LatentImage", width=1024, height=768),
            "19": node("SamplerCustomAdvanced", noise=["13", 0], guider=["17", 0], sampler=["14", 0], sigmas=["15", 0], latent_image=["18", 0])}
    want = dict(program="ComfyUI", prompt="a fox", seed=77, steps=20, sampler="euler", width=1024, height=768, model="flux1-dev")
    told(place, png({"prompt": json.dumps(flux)}), "guiders, noise and sigmas of their own nodes", **want)
    flux["17"] = node("CFGGuider", model=["10", 0], positive=["16", 0], negative=["20", 0], cfg=5.5)
    flux["20"] = node("CLIPTextEncode", text="blur")
    inner = lambda v: [f"57:{v[0]}", v[1]] if isinstance(v, list) else v
    within = {f"57:{k}": node(n["class_type"], **{name: inner(v) for name, v in n["inputs"].items()}) for k, n in flux.items()}
    told(place, png({"prompt": json.dumps(within)}), "a guider with both texts, in a subgraph", **want, negative_prompt="blur", cfg_scale=5.5)


def programs(place):
    """Forms of one program's that differ by version."""
    one = lambda name, weight: [{"name": name, "weight": weight}]
    invoke = {"app_version": "3.4.0", "positive_prompt": "a cat", "width": 512, "height": 640, "seed": 3, "steps": 50, "scheduler": "euler_a",
              "model": {"model_name": "dreamshaper-8"}, "loras": [{"lora": {"model_name": "ink"}, "weight": 0.75}]}
    told(place, png({"invokeai_metadata": json.dumps(invoke)}), "InvokeAI 3", program="InvokeAI", model="dreamshaper-8", loras=one("ink", 0.75))
    invoke |= {"app_version": "5.6.0", "model": {"name": "own"}, "loras": [{"model": {"key": "k", "name": "ink"}, "weight": 0.5}]}
    told(place, png({"invokeai_metadata": json.dumps(invoke)}), "InvokeAI 5", program="InvokeAI", model="own", loras=one("ink", 0.5))
    swarm = {"prompt": "a cat", "model": "XL/base", "seed": 1, "steps": 20, "loras": ["a", "b"], "loraweights": ["0.5", "1"]}
    told(place, png({"parameters": json.dumps({"sui_image_params": swarm, "sui_extra_data": {"date": "x"}})}), "SwarmUI", program="SwarmUI", model="base",
         loras=one("a", 0.5) + one("b", 1.0))
    focus = {"metadata_scheme": "fooocus", "prompt": "a cat", "base_model": "jug", "refiner_model": "None", "refiner_switch": 0.5, "seed": "123",
             "resolution": "(1152, 896)", "lora_combined_1": "offset_1.0 : 0.1", "lora_combined_2": "None : 1.0"}
    told(place, png({"parameters": json.dumps(focus), "fooocus_scheme": "fooocus"}), "Fooocus, without a refiner", program="Fooocus", refiner=None, seed=123,
         width=1152, loras=one("offset_1.0", 0.1))
    old = {"Prompt": "a cat", "Fooocus V2 Expansion": "x", "Seed": 77, "Base Model": "jug.safetensors", "LoRA 1": "off.safetensors : 0.5"}
    told(place, png({"Comment": json.dumps(old)}), "an older Fooocus", program="Fooocus", seed=77, loras=one("off.safetensors", 0.5))
    easy = {"Prompt": "a cat", "Seed": "5", "Stable Diffusion model": "sd-v1-5", "Sampler": "euler_a", "Steps": "25", "Negative Prompt": "b", "Width": "512",
            "Height": "640", "LoRA model": "ink", "LoRA alpha": "0.5"}
    told(place, png(easy), "Easy Diffusion by its labels", program="Easy Diffusion", prompt="a cat", negative_prompt="b", steps=25, height=640, model="sd-v1-5",
         loras=one("ink", 0.5))
    novel = {"prompt": "a cat", "uc": "bad", "seed": 9, "noise_schedule": "karras", "v4_prompt": {"caption": {"base_caption": "a cat", "char_captions": [{"char_caption": "girl"}]}}}
    told(place, png({"Description": "a cat", "Software": "NovelAI", "Source": "NovelAI Diffusion V4", "Comment": json.dumps(novel)}), "NovelAI 4 says whom else it drew",
         program="NovelAI", prompt="a cat", unknown={"Characters": '[{"char_caption": "girl"}]'})


WORDS = "a cat\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x640, Model: m"


def exif(value, order=">", kind=7):
    """A comment of such bytes in a TIFF."""
    n = lambda form, *v: struct.pack(order + form, *v)
    return b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*") + n("I", 8) + n("HHHII", 1, 0x8769, 4, 1, 26) + n("I", 0) + \
        n("HHHII", 1, 0x9286, kind, len(value), 44) + n("I", 0) + value


def places(place):
    """Where and how the same words stand."""
    want = dict(prompt="a cat", negative_prompt="bad", seed=5, height=640, model="m")
    for order in "<>":
        for name, value in (("of no named set", WORDS.encode("utf-16-le")), ("of eight zeros", bytes(8) + WORDS.encode("utf-16-be")),
                            ("called ASCII", b"ASCII\0\0\0" + WORDS.encode("utf-16-le")), ("in UTF-8", WORDS.encode())):
            told(place, png({}, chunk(b"eXIf", exif(value, order)[6:])), f"a comment {name}, {order}", **want)
    told(place, png({}, chunk(b"eXIf", exif(WORDS.encode() + b"\0", kind=129)[6:])), "Exif 3.0's UTF-8", **want)
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description " \
          f"xmlns:exif='http://ns.adobe.com/exif/1.0/'><exif:UserComment>{WORDS}</exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>".encode()
    for kind, body in (("exif", exif(WORDS.encode())), ("APP1", exif(WORDS.encode())), ("xmp", xmp), ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + xmp)):
        hexed = "\n".join(body.hex()[i:i + 72] for i in range(0, 2 * len(body), 72))
        profile = f"\n{kind}\n{len(body):8d}\n{hexed}\n".encode()
        told(place, png({}, chunk(b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(profile))), f"a raw profile {kind}", **want)
        (place.dir / "x.png").write_bytes(png({}, chunk(b"tEXt", f"Raw profile type {kind}".encode() + b"\0" + profile[:-9])))
        bad = place.sumi("show", "x.png")
        check(bad.returncode != 0 and "holds no bytes in digits" in bad.stderr and bad.stderr.count("\n") == 1, "and one that is cut", bad.stderr)
    for key in ("Parameters", "UserComment", "metadata"):
        told(place, png({key: WORDS}), f"a text chunk {key}", **want)
    told(place, png({"sumi": '{"prompt": ', "parameters": WORDS}), "sumi's own JSON is damaged, its infotext counts", **want, source="infotext")
    check("damage" in place.json("show", "x.png"), "and that is said")


def main():
    place = Place()
    try:
        graphs(place)
        programs(place)
        places(place)
    finally:
        place.remove()
    finish()


main()

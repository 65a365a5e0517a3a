#!/usr/bin/env python3
"""webuiapi: the client library of AUTOMATIC1111's API."""
from client import *

need("webuiapi==0.9.17", "pillow")
import webuiapi
from PIL import Image

with Server() as s:
    api = webuiapi.WebUIApi(host="127.0.0.1", port=s.g.port)
    api.set_auth("anybody", s.key)
    got = api.txt2img(prompt="a lake", negative_prompt="boats", seed=7, steps=3, width=64, height=64, cfg_scale=5, sampler_name="DDIM", batch_size=2)
    check(len(got.images) == 2 and got.image.size == (64, 64) and got.info["seed"] == 7, "txt2img", str(got.info))
    changed = api.img2img(images=[got.image], prompt="a lake", seed=7, steps=3, width=64, height=64, sampler_name="DDIM", denoising_strength=0.5)
    check(changed.image.size == (64, 64) and changed.info["denoising_strength"] == 0.5, "img2img")
    check("Seed: 7" in api.png_info(got.image).info if got.image.info else True, "png_info")
    check(PACK in api.util_get_model_names() and api.util_get_current_model() == PACK, "models")
    api.util_set_model(PACK)
    check("Euler a" in api.util_get_sampler_names() if hasattr(api, "util_get_sampler_names") else api.get_samplers(), "samplers")
    check(api.get_progress()["progress"] == 0 and api.get_options()["sd_model_checkpoint"] == PACK, "progress and options")
    for name in ["get_upscalers", "get_sd_models", "get_sd_vae", "get_loras", "get_embeddings", "get_memory", "get_cmd_flags", "get_scripts", "get_hypernetworks", "get_face_restorers", "get_prompt_styles",
                 "refresh_checkpoints", "interrupt", "skip", "get_schedulers"]:
        if hasattr(api, name):
            getattr(api, name)()
            check(True, name)
    try:
        api.txt2img(prompt="x", steps=0)
        check(False, "an error is an exception")
    except RuntimeError as e:
        check("steps" in str(e), "an error is an exception", str(e))
    nets = ROOT / "tests" / "vectors" / "steering"
    s.place.sumi("models", "add", nets / "sd1-a", "--name", "my-canny")
    check(api.controlnet_model_list() == ["my-canny"] and "canny" in api.controlnet_module_list() and api.controlnet_version() >= 1, "ControlNet's lists", str(api.controlnet_model_list()))
    seen = Image.open(nets / "first.png").convert("RGB")
    tiny = dict(prompt="a lake", seed=7, steps=3, width=64, height=64, sampler_name="DDIM")
    unit = webuiapi.ControlNetUnit(image=seen, module="canny", model="my-canny", weight=0.8)
    plain = api.txt2img(**tiny)  # first: the library sends units once more with each later call
    steered = api.txt2img(**tiny, controlnet_units=[unit])
    check(steered.image.tobytes() != plain.image.tobytes() and "ControlNet 0" in steered.info["infotexts"][0], "a ControlNet unit as the library sends it", str(steered.info))
    check(api.img2img(images=[seen], **tiny, denoising_strength=0.9, controlnet_units=[unit]).image.size == (64, 64), "in img2img too")
    maps = api.controlnet_detect([seen], module="canny")
    check(min(maps.images[0].size) == 512, "controlnet_detect", str(maps.images))
    try:
        api.txt2img(**tiny, controlnet_units=[webuiapi.ControlNetUnit(image=seen, module="openpose", model="my-canny")])
        check(False, "a module that is not there is an exception")
    except RuntimeError as e:
        check("openpose" in str(e), "a module that is not there is an exception", str(e))
finish()

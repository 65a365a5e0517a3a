#!/usr/bin/env python3
"""AUTOMATIC1111's API as its clients use it."""
import base64, threading

from gateway_lib import *

TINY = {"steps": 3, "width": 64, "height": 64, "sampler_name": "DDIM"}
API = "/sdapi/v1"
png = lambda text: base64.b64decode(text)[:4] == b"\x89PNG"


def pictures(g):
    status, _, got = g.ask("POST", f"{API}/txt2img", {"prompt": "a lake", "negative_prompt": "boats", "seed": 7, "cfg_scale": 5, "batch_size": 2, "n_iter": 1,
                                                      "scheduler": "automatic", "restore_faces": False, "tiling": False, "styles": [], "enable_hr": False,
                                                      "override_settings": {}, "alwayson_scripts": {}, "script_name": None, "auth": "secret:password", **TINY})
    info = json.loads(got["info"])
    check(status == 200 and len(got["images"]) == 2 and all(map(png, got["images"])), "txt2img: two pictures", str(got)[:300])
    check(info["seed"] == 7 and info["all_seeds"] == [7, 8] and info["width"] == 64 and info["steps"] == 3 and info["cfg_scale"] == 5 and info["all_prompts"] == ["a lake"] * 2
          and info["negative_prompt"] == "boats" and info["sd_model_name"] == PACK and info["batch_size"] == 2, "info is JSON in a text", got["info"])
    check(info["infotexts"][1].startswith("a lake\nNegative prompt: boats\nSteps: 3, Sampler: DDIM") and "Seed: 8" in info["infotexts"][1], "with infotexts", str(info["infotexts"]))
    check(got["parameters"]["prompt"] == "a lake" and "secret" not in str(got) and "secret" not in g.log.read_text(), "parameters, without a password that was sent along")
    read = g.ask("POST", f"{API}/png-info", {"image": "data:image/png;base64," + got["images"][0]})[2]
    check(read["info"] == info["infotexts"][0] and read["items"]["parameters"] == read["info"] and read["parameters"]["Seed"] == "7" and read["parameters"]["Prompt"] == "a lake", "png-info", str(read))
    check(g.ask("POST", f"{API}/png-info", {"image": "AAAA"})[0] == 422, "of what is no picture")
    status, _, changed = g.ask("POST", f"{API}/img2img", {"prompt": "a lake", "init_images": ["data:image/png;base64," + got["images"][0]], "denoising_strength": 0.5, "seed": 7, "mask": None, "image_cfg_scale": 1.5, **TINY})
    check(status == 200 and png(changed["images"][0]) and changed["images"][0] != got["images"][0] and json.loads(changed["info"])["denoising_strength"] == 0.5, "img2img", str(changed)[:300])
    picture = {"prompt": "a lake", "init_images": [got["images"][0]], "seed": 7, **TINY}
    status, _, made = g.ask("POST", f"{API}/img2img", {**picture, "mask": got["images"][1], "mask_blur": 2, "inpainting_fill": 1, "inpaint_full_res": False, "inpainting_mask_invert": 1})
    told = json.loads(made["info"])["infotexts"][0] if status == 200 else ""
    check("Mask blur: 2" in told and "Mask mode: Inpaint not masked" in told and "Inpaint area" not in told and "Masked content" not in told, "a mask", str(made)[:300] + told)
    status, _, made = g.ask("POST", f"{API}/img2img", {**picture, "mask": got["images"][1]})
    told = json.loads(made["info"])["infotexts"][0] if status == 200 else ""
    check(all(t in told for t in ("Mask blur: 4", "Masked content: fill", "Inpaint area: Only masked", "Masked area padding: 0")), "and what is taken for granted", str(made)[:300] + told)
    status, _, made = g.ask("POST", f"{API}/txt2img", {"prompt": "a lake", "seed": 7, **TINY, "enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent (nearest)", "hr_second_pass_steps": 2, "denoising_strength": 0.5})
    told = json.loads(made["info"])["infotexts"][0] if status == 200 else ""
    check(all(t in told for t in ("Hires upscale: 1.5", "Hires steps: 2", "Hires upscaler: Latent (nearest)", "Denoising strength: 0.5")), "a second pass", str(made)[:300] + told)
    names = [u["name"] for u in g.get(f"{API}/upscalers")[2]]
    check(names[:3] == ["None", "Lanczos", "Nearest"] and "half" in names, "upscalers that the worker has", str(names))
    status, _, made = g.ask("POST", f"{API}/txt2img", {"prompt": "a lake", "seed": 7, **TINY, "enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Half", "hr_second_pass_steps": 2})
    told = json.loads(made["info"])["infotexts"][0] if status == 200 else ""
    check("Hires upscaler: half" in told, "a network in a second pass", str(made)[:300] + told)
    status, _, made = g.ask("POST", f"{API}/txt2img", {"prompt": "a lake", "seed": 7, **TINY, "tiling": True})
    check(status == 200 and "Tiling: True" in json.loads(made["info"])["infotexts"][0], "a texture", str(made)[:300])
    for body, field in [({"mask": "AAAA"}, "mask"), ({"mask": 7}, "mask"), ({"mask": got["images"][1], "inpainting_fill": 9}, "inpainting_fill")]:
        status, _, bad = g.ask("POST", f"{API}/img2img", {**picture, **body})
        check(status == 422 and field in bad["detail"], f"img2img refuses {field}", f"{status} {bad}")
    for name in [s["name"] for s in g.get(f"{API}/samplers")[2]]:
        status, _, made = g.ask("POST", f"{API}/txt2img", {"prompt": "x", **TINY, "sampler_name": name, "steps": 4})
        check(status == 200 and png(made["images"][0]), f"sampler {name}", str(made)[:200])
    for one in g.get(f"{API}/schedulers")[2]:
        for name in (one["name"], one["label"]):
            status, _, made = g.ask("POST", f"{API}/txt2img", {"prompt": "x", **TINY, "sampler_name": "Euler", "scheduler": name})
            check(status == 200, f"schedule {name}", str(made)[:200])
    for body, field in [({"enable_hr": True, "hr_upscaler": "R-ESRGAN 4x+"}, "hr_upscaler"), ({"hr_resize_x": 512}, "hr_resize_x"), ({"refiner_checkpoint": "nowhere"}, "refiner_checkpoint"), ({"restore_faces": True}, "restore_faces"), ({"mask": "AAAA"}, "mask"), ({"batch_size": 65}, "batch_size"), ({"n_iter": 0}, "batch_size"),
                        ({"steps": 0}, "steps"), ({"styles": ["a, b"]}, "styles"), ({"styles": ["none"]}, "style"), ({"width": "wide"}, "width"), ({"sampler_name": "No Such"}, "sampler")]:
        status, _, bad = g.ask("POST", f"{API}/txt2img", {"prompt": "x", **TINY, **body})
        check(status in (400, 422) and field in bad["detail"], f"refused: {body}", f"{status} {bad}")
    for images in [[], ["AAAA"], ["!"], [7], None]:
        status, _, bad = g.ask("POST", f"{API}/img2img", {"prompt": "x", "init_images": images, **TINY})
        check(status == 422 and "init_images" in bad["detail"], f"init_images {images}", f"{status} {bad}")


def choices(g):
    options = g.get(f"{API}/options")[2]
    check(options["sd_model_checkpoint"] == PACK and options["samples_format"] == "png", "options", str(options))
    models = g.get(f"{API}/sd-models")[2]
    check(PACK in [m["title"] for m in models] and all("model_name" in m for m in models), "sd-models", str(models))
    check(g.ask("POST", f"{API}/options", options)[2] is None and g.get(f"{API}/options")[2] == options, "the whole document sent back")
    other = next((m["title"] for m in models if m["title"] != PACK), None)
    if check(other, "a second model"):
        check(g.ask("POST", f"{API}/options", {"sd_model_checkpoint": other + " [1234abcd]"})[0] == 200, "choosing another")
        check(g.get(f"{API}/options")[2]["sd_model_checkpoint"] == other, "it is the one in use")
    check(g.ask("POST", f"{API}/options", {"sd_model_checkpoint": "none"})[0] == 422, "one that is not there")
    g.ask("POST", f"{API}/options", {"sd_model_checkpoint": PACK})
    for name, kind in [("sd-vae", list), ("upscalers", list), ("latent-upscale-modes", list), ("loras", list), ("embeddings", dict), ("scripts", dict), ("script-info", list),
                       ("memory", dict), ("cmd-flags", dict), ("prompt-styles", list), ("sd-modules", list)]:
        status, _, got = g.get(f"{API}/{name}")
        check(status == 200 and isinstance(got, kind), name, str(got))
    check(g.ask("POST", f"{API}/refresh-checkpoints")[0] == 200, "refresh-checkpoints")


def progress(g):
    idle = g.get(f"{API}/progress")[2]
    check(idle["progress"] == 0 and idle["state"]["job_count"] == 0 and idle["current_image"] is None, "idle", str(idle))
    result = {}
    long = {"prompt": "long", "seed": 1, **TINY, "steps": 200, "width": 256, "height": 256}
    thread = threading.Thread(target=lambda: result.update(got=g.ask("POST", f"{API}/txt2img", long)))
    thread.start()
    seen = wait_for(lambda: (p := g.get(f"{API}/progress")[2]) and p["progress"] > 0 and p["current_image"] and p, 60)
    check(seen and seen["state"]["job_count"] == 1 and seen["state"]["sampling_steps"] == 200 and base64.b64decode(seen["current_image"])[:4] == b"RIFF", "progress, with a picture",
          str(seen)[:300])
    check(g.get(f"{API}/progress?skip_current_image=true")[2]["current_image"] is None, "without one")
    g.ask("POST", "/jobs", {"prompt": "other", "id": "other", "not_before": "2099-01-01"})
    check(g.ask("POST", f"{API}/interrupt")[2] == {}, "interrupt")
    thread.join(30)
    status, headers, got = result["got"]
    check(status == 409 and headers["x-should-retry"] == "false" and "cancelled" in got["detail"], "ends it", f"{status} {got}")
    other = lambda: g.get("/jobs/other")[2]
    check(wait_for(lambda: other()["state"] == "delayed", 90), "and no job of another way", str(other())[:300])
    check(wait_for(lambda: g.get(f"{API}/progress")[2]["state"]["job_count"] == 0, 90), "idle again")


place = Place(preview="1ms")
try:
    place.start()
    g = Gateway(place)
    for part in [pictures, choices, progress]:
        part(g)
    check(g.stop() == 0, "it stops")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()

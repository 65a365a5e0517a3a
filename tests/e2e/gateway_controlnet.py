#!/usr/bin/env python3
"""ControlNet through AUTOMATIC1111's API, and its lists of what lies in models folders."""
import base64

from gateway_lib import *

TINY = {"prompt": "a boat", "seed": 7, "steps": 3, "width": 64, "height": 64, "sampler_name": "DDIM"}
NETS = ROOT / "tests" / "vectors" / "steering"
FIRST = NETS / "first.png"
b64 = lambda data: base64.b64encode(data).decode()
UNIT = {"image": b64(FIRST.read_bytes()), "module": "canny", "model": "my-canny", "weight": 0.8}
# As webuiapi 0.9.17 sends one.
CLIENT = {"mask": None, "resize_mode": "Resize and Fill", "low_vram": False, "processor_res": 512, "threshold_a": 100, "threshold_b": 200, "guidance_start": 0.0, "guidance_end": 1.0,
          "control_mode": "Balanced", "pixel_perfect": False, "hr_option": "Both", "enabled": True}


def shelf(place):
    models = place.state / "models"
    place.sumi("models", "add", NETS / "sd1-a", "--name", "my-canny")
    place.sumi("models", "add", NETS / "sd1-a-original.safetensors", "--name", "original_depth")
    (models / "embeddings").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tests" / "vectors" / "embedding.pt", models / "embeddings" / "charm.pt")
    (models / "embeddings" / "broken.pt").write_bytes(b"PK")
    (models / "loras").mkdir(exist_ok=True)
    shutil.copy(next((ROOT / "tests" / "vectors" / "adapters").rglob("*.safetensors")), models / "loras" / "ink.safetensors")
    (models / "styles.csv").write_text('name,prompt,negative_prompt\nfilm,"{prompt}, grain",blur\nold,faded\n')


def lists(g, place):
    get = lambda path: g.get(path)[2]
    check(get("/sdapi/v1/loras") == [{"name": "ink", "alias": "ink", "path": "ink.safetensors", "metadata": {}}], "loras", str(get("/sdapi/v1/loras")))
    words = get("/sdapi/v1/embeddings")
    check(len(words["loaded"]) == 1 and all(e["vectors"] > 0 and e["shape"] > 0 for e in words["loaded"].values()) and list(words["skipped"]) == ["broken"], "embeddings", str(words))
    check(get("/sdapi/v1/prompt-styles") == [{"name": "film", "prompt": "{prompt}, grain", "negative_prompt": "blur"}, {"name": "old", "prompt": "faded", "negative_prompt": ""}], "prompt-styles",
          str(get("/sdapi/v1/prompt-styles")))
    check(get("/controlnet/model_list") == {"model_list": ["my-canny", "original_depth"]}, "model_list", str(get("/controlnet/model_list")))
    modules = get("/controlnet/module_list")
    check(["none", "canny"] == modules["module_list"][:2] and [s["value"] for s in modules["module_detail"]["canny"]["sliders"]] == [512, 100, 200], "module_list", str(modules))
    both = get("/controlnet/control_types")["control_types"]["All"]
    check(both["model_list"] == ["None", "my-canny", "original_depth"] and both["module_list"] == modules["module_list"], "control_types", str(both))
    check(get("/controlnet/version") == {"version": 3} and get("/controlnet/settings") == {"control_net_unit_count": 8}, "version and settings")
    check([m["name"] for m in get("/sdapi/v1/latent-upscale-modes")][0] == "Latent" and [m["name"] for m in get("/sdapi/v1/upscalers")][:3] == ["None", "Lanczos", "Nearest"], "upscalers",
          str(get("/sdapi/v1/upscalers")))
    check(get("/sdapi/v1/scripts") == {"txt2img": ["controlnet"], "img2img": ["controlnet"]}, "scripts")
    (place.state / "models" / "styles.csv").write_bytes(b'name,prompt\n\xff,x\n')
    check(g.get("/sdapi/v1/prompt-styles")[0] >= 400, "a file that cannot be read is told")
    (place.state / "models" / "styles.csv").unlink()


def make(g, units, **more):
    status, _, got = g.ask("POST", "/sdapi/v1/txt2img", {**TINY, **more, "alwayson_scripts": {"ControlNet": {"args": units}}})
    return (base64.b64decode(got["images"][0]), json.loads(got["info"])["infotexts"][0]) if status == 200 else (status, got["detail"])


def detects(g, place):
    place.sumi("preprocess", "canny", FIRST, "-o", "map.png")
    size = int.from_bytes(FIRST.read_bytes()[16:20], "big")
    ask = lambda **more: g.ask("POST", "/controlnet/detect", {"controlnet_module": "canny", "controlnet_input_images": [UNIT["image"]], "controlnet_processor_res": size, **more})
    status, _, got = ask()
    check(status == 200 and len(got["images"]) == 1 and (size < 64 or base64.b64decode(got["images"][0]) == (place.dir / "map.png").read_bytes()), "detect makes the map of sumi preprocess", str(got)[:200])
    low = ask(controlnet_threshold_a=10, controlnet_threshold_b=20)[2]
    check(low["images"] != got["images"] and ask(controlnet_threshold_a=-1)[2] == got, "with its own thresholds")
    check(int.from_bytes(base64.b64decode(ask(controlnet_processor_res=96, controlnet_module="none")[2]["images"][0])[16:20], "big") == 96, "in its own size")
    for more, word in [({"controlnet_module": "openpose"}, "openpose"), ({"controlnet_input_images": []}, "input_images"), ({"controlnet_input_images": ["!"]}, "input_images"),
                       ({"controlnet_module": "blur_gaussian", "controlnet_threshold_a": 64, "controlnet_processor_res": 2048}, "too long")]:
        status, _, bad = ask(**more)
        check(status == 422 and word in bad["detail"], f"detect refuses {word}", f"{status} {bad}")


def units(g, place):
    plain, _ = make(g, [])
    canny, told = make(g, [UNIT])
    status, _, got = g.ask("POST", "/sdapi/v1/txt2img", {**TINY, "alwayson_scripts": {"controlnet": {"args": [UNIT]}}})
    extras = json.loads(got["info"])["extra_generation_params"] if status == 200 else {}
    check(extras.get("ControlNet 0", "").startswith("Module: canny, Model: my-canny [") and "Seed" not in extras, "info tells it among what is extra", str(extras))
    out = place.sumi("image", "a boat", "--seed", 7, "--steps", 3, "--size", "64x64", "--sampler", "ddim", "--control", f"canny:{FIRST}:0.8,model=my-canny", "-o", "own.png")
    check(out.returncode == 0 and (place.dir / "own.png").read_bytes() == canny != plain, "a unit is a job's control", out.stderr + str(told))
    check(make(g, [{**UNIT, **CLIENT}])[0] == canny, "as a client's library writes one")
    check(make(g, [{**UNIT, **CLIENT, "model": "my-canny [1234abcd]", "threshold_a": -1, "threshold_b": -1, "control_mode": 0, "resize_mode": 1, "pixel_perfect": True}])[0] == canny, "with numbers and a hash")
    check(make(g, [{**UNIT, "image": {"image": UNIT["image"], "mask": None}}])[0] == canny, "its picture in an object")
    check(make(g, [{**{k: v for k, v in UNIT.items() if k != "image"}, "input_image": UNIT["image"], "lowvram": True, "guidance": 1}])[0] == canny, "and under its old name")
    check(make(g, [{**UNIT, "enabled": False}])[0] == plain, "one that is not enabled")
    pixels = lambda png: (place.dir / "seen.png").write_bytes(png) and place.sumi("preprocess", "luminance", "seen.png", "-o", "pixels.png") and sha256(place.dir / "pixels.png")
    seen = {pixels(canny), pixels(plain)}
    for what, more in [("other thresholds", {"threshold_a": 20, "threshold_b": 40}), ("less", {"weight": 0.3}), ("a part", {"guidance_end": 0.5}), ("ControlNet's own", {"control_mode": "ControlNet is more important"}),
                       ("no preprocessor", {"module": "none"})]:
        got = make(g, [{**UNIT, **more}])
        check(isinstance(got[0], bytes) and pixels(got[0]) not in seen, what, str(got[1]))
        seen.add(pixels(got[0]))
    two = make(g, [UNIT, {**UNIT, "module": "none", "model": "original_depth", "guidance_start": 0.2}])
    check(isinstance(two[0], bytes) and pixels(two[0]) not in seen, "two units", str(two[1]))
    wide = [make(g, [{**UNIT, "resize_mode": way}], width=128)[0] for way in ("Just Resize", "Crop and Resize", "Resize and Fill")]
    check(all(isinstance(w, bytes) for w in wide) and len(set(map(pixels, wide))) == 3, "a picture of another shape is stretched, cut or filled up", str([w if isinstance(w, int) else len(w) for w in wide]))
    body = {**TINY, "init_images": [UNIT["image"]], "denoising_strength": 0.9, "alwayson_scripts": {"controlnet": {"args": [{**UNIT, "image": None}]}}}
    status, _, got = g.ask("POST", "/sdapi/v1/img2img", body)
    check(status == 200, "img2img: the picture is that of the job", str(got)[:200])
    status, _, got = g.ask("POST", "/sdapi/v1/img2img", {**body, "mask": UNIT["image"]})
    check(status == 422 and "inpaint_full_res" in got["detail"], "with a part of it alone it is refused", str(got)[:200])


def seen_as_a_whole(g, place):
    """An IP-Adapter's module: its picture is not cut to the result's shape, its region is a mask."""
    looks = NETS.parent / "looks"
    place.sumi("models", "add", looks / "base.safetensors", "--name", "ip-adapter")
    unit = {**UNIT, "module": "ip-adapter_clip_sd15", "model": "ip-adapter"}
    left = looks / "left.png"
    for more, control in (({}, f"like:{FIRST}:0.8"), ({"effective_region_mask": b64(left.read_bytes())}, f"like:{FIRST}:0.8,mask={left}")):
        got, told = make(g, [{**unit, **more, "resize_mode": "Just Resize"}])
        place.sumi("image", "a boat", "--seed", 7, "--steps", 3, "--size", "64x64", "--sampler", "ddim", "--control", control + ",model=ip-adapter", "-o", "own.png")
        check(got == (place.dir / "own.png").read_bytes(), f"an IP-Adapter's unit is a job's control{', with its region' if more else ''}", str(told))
    bad = make(g, [{**unit, "effective_region_mask": "AAAA"}])
    check(bad[0] == 422 and "effective_region_mask" in bad[1], "a region that is no picture is refused", str(bad))


def refused(g):
    for more, word in [({"module": "openpose_full"}, "openpose_full"), ({"module": "depth_midas"}, "module"), ({"image": ""}, "image"), ({"image": "!"}, "image"), ({"weight": "much"}, "weight"),
                       ({"guidance_end": 0}, "guidance_end"), ({"guidance_start": 0.7, "guidance_end": 0.6}, "guidance_end"), ({"control_mode": "My prompt is more important"}, "control_mode"),
                       ({"resize_mode": 3}, "resize_mode"), ({"mask": UNIT["image"]}, "mask"), ({"advanced_weighting": [1, 0.5]}, "advanced_weighting"), ({"effective_region_mask": "AAAA"}, "effective_region_mask"),
                       ({"hr_option": "High res only"}, "hr_option"), ({"module": "tile_resample", "threshold_a": 4}, "threshold_a"), ({"module": "none", "model": "None"}, "model"),
                       ({"model": "absent"}, "absent"), ({"weight": 99}, "strength"), ({"ipadapter_input": ["x"]}, "ipadapter_input")]:
        got = make(g, [{**UNIT, **more}])
        check(got[0] in (400, 422) and word in got[1], f"refused: {more}"[:60], str(got))
    # Whatever stands at a name is read or refused: the second unit is, always.
    odd = [7, -1e308, "x", "\u0000", [], [[]], [{"image": 7}], {}, {"image": {"image": []}}, None, True, [UNIT["image"], UNIT["image"]], "A" * 5000]
    keys = ["enabled", "module", "model", "weight", "image", "input_image", "mask", "resize_mode", "threshold_a", "threshold_b", "guidance_start", "guidance_end", "guidance", "control_mode", "guessmode", "hr_option"]
    answers = {make(g, [{**UNIT, key: value}, {"module": "no such"}], width=value if key == "weight" and isinstance(value, int) else 64)[0] for key in keys for value in odd}
    check(answers <= {400, 422}, "values of other kinds", str(answers))
    for scripts in ({"controlnet": []}, {"controlnet": {}}, {"ControlNet": {"args": [{}]}}, {"controlnet": {"args": {"x": 1}}}, [1], "x", 7, {"controlnet": {"args": [[]]}}):
        status, _, got = g.ask("POST", "/sdapi/v1/txt2img", {**TINY, "steps": 0, "alwayson_scripts": scripts})
        check(status in (400, 422), f"scripts {scripts}", f"{status} {str(got)[:200]}")
    check(make(g, [7])[0] == 422 and make(g, "x")[0] == 422 and make(g, [UNIT] * 9)[0] == 422, "what are no units, and too many")
    status, _, bad = g.ask("POST", "/sdapi/v1/txt2img", {**TINY, "alwayson_scripts": {"ADetailer": {"args": [True, {"ad_model": "face.pt"}]}}})
    check(status == 422 and "ADetailer" in bad["detail"], "other scripts are named", str(bad))
    check(g.ask("POST", "/sdapi/v1/txt2img", {**TINY, "alwayson_scripts": {"ADetailer": {"args": [False]}, "Seed": {}}})[0] == 200, "where they ask for something")


place = Place()
try:
    shelf(place)
    place.start()
    g = Gateway(place)
    for part in [lambda g: lists(g, place), lambda g: detects(g, place), lambda g: units(g, place), lambda g: seen_as_a_whole(g, place), refused]:
        part(g)
    check(g.stop() == 0, "it stops")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()

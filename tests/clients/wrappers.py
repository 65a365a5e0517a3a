#!/usr/bin/env python3
"""litellm and langchain-community, which wrap OpenAI's client; what Open WebUI's backend sends, call by call."""
from client import *

need("litellm==1.110.2", "langchain-community==0.4.2")
import base64, urllib.request

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

with Server() as s:
    got = litellm.image_generation(prompt="a lake", model="openai/gpt-image-2", api_base=s.url + "/v1", api_key=s.key, size="64x64", extra_body={"steps": 3, "sampler": "ddim"})
    check(base64.b64decode(got.data[0].b64_json)[:4] == b"\x89PNG", "litellm: image_generation", str(got)[:200])
    wrapper = DallEAPIWrapper(api_key=s.key, base_url=s.url + "/v1", model="dall-e-2", size="64x64")
    url = wrapper.run("a lake")
    check(urllib.request.urlopen(url).read()[:4] == b"\x89PNG", "langchain-community: an address", url)

    # Open WebUI, engine automatic1111: "Verify", "Save" with another model, a picture.
    basic = {"Authorization": "Basic " + base64.b64encode(f"user:{s.key}".encode()).decode()}
    ask = lambda method, path, body=None: s.g.ask(method, "/sdapi/v1" + path, body, basic)
    status, _, options = ask("GET", "/options")
    check(status == 200 and options["sd_model_checkpoint"] == PACK, "Open WebUI: verify")
    other = [m["title"] for m in ask("GET", "/sd-models")[2] if m["title"] != PACK][0]
    check(ask("POST", "/options", {**options, "sd_model_checkpoint": other})[0] == 200 and ask("GET", "/options")[2]["sd_model_checkpoint"] == other, "save")
    ask("POST", "/options", options)
    status, _, got = ask("POST", "/txt2img", {"prompt": "a lake", "batch_size": 1, "width": 64, "height": 64, "steps": 3})
    check(status == 200 and base64.b64decode(got["images"][0])[:4] == b"\x89PNG" and "infotexts" in got["info"], "generate", str(got)[:200])
    status, _, got = s.g.ask("POST", "/v1/images/generations", {"model": "gpt-image-1", "prompt": "a lake", "n": 1, "size": "64x64", "steps": 3}, {"Authorization": f"Bearer {s.key}", "X-OpenWebUI-User-Name": "x"})
    check(status == 200 and got["data"][0]["b64_json"], "engine openai", str(got)[:200])
finish()

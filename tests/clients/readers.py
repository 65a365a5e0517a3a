#!/usr/bin/env python3
"""sd-parsers: what another program reads in pictures that sumi makes."""
from client import *

need("sd-parsers==0.6", "pillow")
from sd_parsers import ParserManager

place = Place()
try:
    for name, more in [("a.png", []), ("a.webp", []), ("a.jpg", []), ("b.png", ["--negative-prompt", "rain, \"fog\": thick", "--sampler", "dpmpp_2m", "--scheduler", "karras"])]:
        made = place.sumi("render", "a (cat:1.2), \"тихо\"", *more, "--steps", 3, "--size", "64x64", "--seed", 5, "-o", name)
        got = ParserManager().parse(place.dir / name)
        sampler = got.samplers[0] if got and got.samplers else None
        said = sampler and {**sampler.parameters, "name": sampler.name, "model": sampler.model.name, "prompt": sampler.prompts[0].value, "size": got.metadata.get("Size"),
                            "negative": sampler.negative_prompts[0].value if sampler.negative_prompts else None}
        check(said and said["prompt"] == "a (cat:1.2), \"тихо\"" and said["seed"] == "5" and said["steps"] == "3" and said["model"] == PACK and said["size"] == "64x64" and
              said["negative"] == (more[1] if more else None) and (not more or said["name"] == "DPM++ 2M"), f"sd-parsers reads {name}", f"{made.stderr} {said} {got}")
finally:
    place.remove()
finish()

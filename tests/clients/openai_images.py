#!/usr/bin/env python3
"""openai-python: pictures, addresses, errors; a slow request that it sends three times is one picture."""
from client import *

need("openai==3.57.0")
import base64, threading, urllib.request

import openai

TINY = {"size": "64x64", "extra_body": {"steps": 3, "sampler": "ddim"}}

with Server(model_video="motion-tiny", preview="1ms") as s:
    client = openai.OpenAI(api_key=s.key, base_url=s.url + "/v1")
    plain = client.images.generate(prompt="a lake", **TINY)
    check(base64.b64decode(plain.data[0].b64_json)[:4] == b"\x89PNG", "images.generate")
    two = client.images.generate(prompt="two", n=2, model="gpt-image-2", quality="low", output_format="webp", background="auto", moderation="low", user="u", **TINY)
    check(len(two.data) == 2 and two.output_format == "webp" and base64.b64decode(two.data[1].b64_json)[:4] == b"RIFF", "its options")
    video = client.videos.create_and_poll(prompt="an ink drop", seconds="1", size="64x64", extra_body={"steps": "2"}, poll_interval_ms=200)
    check(video.status == "completed" and video.progress == 100 and video.seconds == "1", "videos.create_and_poll", str(video))
    check(client.videos.download_content(video.id).read()[8:12] == b"WEBP" and client.videos.retrieve(video.id).size == "64x64", "videos.download_content, retrieve")
    s.pause(True)
    waits = client.videos.create(prompt="another")
    check(waits.status == "queued" and client.videos.delete(waits.id).deleted and client.videos.retrieve(waits.id).status == "failed", "videos.delete", str(waits))
    s.pause(False)
    events = list(client.images.generate(prompt="stream", stream=True, partial_images=3, size="256x256", extra_body={"steps": 300, "sampler": "ddim"}))
    check(events[-1].type == "image_generation.completed" and base64.b64decode(events[-1].b64_json)[:4] == b"\x89PNG" and
          all(e.type == "image_generation.partial_image" for e in events[:-1]), "stream", str([e.type for e in events]))
    start = base64.b64decode(plain.data[0].b64_json)
    edited = client.images.edit(image=("a.png", start), prompt="the same at night", size="64x64", extra_body={"steps": 3, "sampler": "ddim"})
    check(base64.b64decode(edited.data[0].b64_json)[:4] == b"\x89PNG", "images.edit")
    check(len(client.images.create_variation(image=("a.png", start), n=2, size="64x64", extra_body={"steps": 3, "sampler": "ddim"}).data) == 2, "images.create_variation")
    url = client.images.generate(prompt="url", response_format="url", model="dall-e-3", style="vivid", **TINY).data[0].url
    check(urllib.request.urlopen(url).read()[:4] == b"\x89PNG", "an address that needs no key", url)
    try:
        urllib.request.urlopen(url.replace("signature=", "signature=0"))
        check(False, "but a right signature")
    except urllib.error.HTTPError as e:
        check(e.code == 401, "but a right signature", str(e))
    check(PACK in [m.id for m in client.models.list()] and client.models.retrieve(PACK).id == PACK, "models")
    for wrong, kind in [({"prompt": ""}, openai.BadRequestError), ({"prompt": "x", "size": "65x65"}, openai.BadRequestError)]:
        before = len(s.jobs())
        try:
            client.images.generate(**{**TINY, **wrong})
            check(False, f"wrong: {wrong}")
        except kind as e:
            check(e.status_code == 400 and "Error code: 400" in str(e), f"wrong: {wrong}", str(e))
    for key, kind in [("sumi_" + "0" * 64, openai.AuthenticationError), ("x", openai.AuthenticationError)]:
        try:
            openai.OpenAI(api_key=key, base_url=s.url + "/v1").models.list()
            check(False, "a key that is none")
        except kind as e:
            check(e.status_code == 401, "a key that is none", str(e))

    # It waits 1 second, gives up, and sends the same again, three times in all; then another client asks once more.
    s.pause(True)
    hasty = openai.OpenAI(api_key=s.key, base_url=s.url + "/v1", timeout=1)
    try:
        hasty.images.generate(prompt="slow", **TINY)
        check(False, "a paused queue makes nothing")
    except openai.APITimeoutError:
        check(len(s.jobs("slow")) == 1, "sent three times it is one job", str(len(s.jobs("slow"))))
    result = {}
    thread = threading.Thread(target=lambda: result.update(got=client.images.generate(prompt="slow", **TINY)))
    thread.start()
    time.sleep(1)
    check(len(s.jobs("slow")) == 1, "and still when it is asked for again")

    # The gateway dies while two wait, and comes back on its port: their libraries try again.
    s.g.kill()
    again = Gateway(s.place, listen=f"127.0.0.1:{s.g.port}")
    s.g = again
    s.pause(False)
    thread.join(60)
    check(result.get("got") and len(s.jobs("slow")) == 1, "a gateway that is killed in between: one job, and the picture", str(result)[:100])
finish()

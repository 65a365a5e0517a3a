#!/usr/bin/env python3
"""Music for a mood in one address, pictures from pictures in forms, figures, and the document of it all."""
import base64, struct, zlib

from gateway_lib import *

TINY = [("steps", "3"), ("size", "64x64"), ("sampler", "ddim")]


def moods(g):
    path = "/v1/mood/calm.ogg?duration=1"
    status, headers, clip = g.get(path)
    check(status == 200 and clip[:4] == b"OggS" and headers["Content-Type"] == "audio/ogg" and headers["Accept-Ranges"] == "bytes", "calm.ogg", f"{status} {str(clip)[:200]}")
    check(headers["Cross-Origin-Resource-Policy"] == "cross-origin", "any page may play it")
    count = lambda: len(g.get("/jobs?modality=audio")[2]["jobs"])
    made = count()
    status, headers, part = g.get(path, Range="bytes=4-99")
    check(status == 206 and part == clip[4:100] and g.get(path)[2] == clip and count() == made, "the same address is the same clip, and no other job")
    check(g.get(path + "&seed=2")[2] != clip and count() == made + 1, "another seed is another one")
    check(g.get("/v1/mood/calm.wav?duration=1")[2][:4] == b"RIFF", "calm.wav")
    for bad, wanted in [("/v1/mood/calm", 404), ("/v1/mood/.ogg", 404), ("/v1/mood/calm.mp3", 404), ("/v1/mood/calm.ogg?duration=0.1", 400), ("/v1/mood/calm.ogg?duration=x", 400),
                        ("/v1/mood/a%20b.ogg", 400), ("/v1/mood/no-such-mood.ogg", 400)]:
        status, _, got = g.get(bad)
        check(status == wanted and got["error"]["message"], f"{bad}: {wanted}", f"{status} {got}")
    check(g.get(path, Sec_Fetch_Site="cross-site")[0] == 403, "without keys no other site's page plays it")


def form(*parts, boundary="----x"):
    body = b"".join(b"--%s\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n%s\r\n" %
                    (boundary.encode(), name.encode(), f'; filename="{file}"\r\nContent-Type: image/png'.encode() if file else b"", data) for name, file, data in parts)
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def rgba(width, height, alpha):
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in (9, 9, 9, alpha(x, y))) for y in range(height))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)


def edits(g):
    start = base64.b64decode(g.ask("POST", "/v1/images/generations", {"prompt": "a lake", **dict(TINY), "steps": 3})[2]["data"][0]["b64_json"])
    fields = [(n, None, v.encode()) for n, v in TINY] + [("prompt", None, b"7")]
    for name in ["image", "image[]"]:
        status, _, got = g.ask("POST", "/v1/images/edits", *form((name, "a.png", start), *fields))
        check(status == 200 and base64.b64decode(got["data"][0]["b64_json"])[:4] == b"\x89PNG", f"edits with {name}", str(got)[:300])
    job = [j for j in g.get("/jobs")[2]["jobs"] if j.get("prompt") == "7"][0]
    check(job["init"] == hashlib.sha256(start).hexdigest() and job["steps"] == 3 and job["strength"] == 0.75, "of that picture", str(job))
    status, _, got = g.ask("POST", "/v1/images/variations", *form(("image", "a.png", start), ("n", None, b"2"), *fields[:-1]))
    check(status == 200 and len(got["data"]) == 2, "variations", str(got)[:300])
    for name in ['filename="a; name=mask; b.png"; name="image"', 'name="image"; filename="C:\\dir\\"', f'name="image"; filename="{"я" * 800}.png"']:
        body, headers = form(("image", "a.png", start), *fields)
        status, _, got = g.ask("POST", "/v1/images/edits", body.replace(b'name="image"; filename="a.png"', name.encode()), headers)
        check(status == 200, f"a file called {name[:50]}", str(got)[:300])
    image = ("image", "a.png", start)
    width, height = struct.unpack(">II", start[16:24])
    hole = rgba(width, height, lambda x, y: 0 if x < width // 2 else 255)
    status, _, got = g.ask("POST", "/v1/images/edits", *form(image, ("mask", "m.png", hole), *fields[:-1], ("prompt", None, b"half")))
    job = [j for j in g.get("/jobs")[2]["jobs"] if j.get("prompt") == "half"][0]
    check(status == 200 and job["mask"] == hashlib.sha256(hole).hexdigest() and job["mask_from"] == "alpha" and job["strength"] == 1, "edits with a mask", f"{str(got)[:300]} {job}")
    for name, parts, param in [("no picture", fields, "image"), ("two pictures", [image, image, *fields], "image"), ("what is none", [("image", "a.png", b"text"), *fields], "image"),
                               ("half of one", [("image", "a.png", start[:200]), *fields], "image"), ("a mask that is none", [image, ("mask", "m.png", b"x"), *fields], "mask"), ("two masks", [image, ("mask", "m.png", start), ("mask", "m.png", start), *fields], "mask"), ("no prompt", [image, *fields[:-1]], "prompt"),
                               ("n that is none", [image, *fields, ("n", None, b"many")], "n"),
                               ("a prompt twice", [image, *fields, ("prompt", None, b"8")], "prompt"), ("a text that is no UTF-8", [image, *fields, ("negative_prompt", None, b"\xe9")], "negative_prompt")]:
        status, _, got = g.ask("POST", "/v1/images/edits", *form(*parts))
        check(status == 400 and got["error"]["param"] == param, f"edits with {name}", f"{status} {got}")
    body, headers = form(image, *fields)
    for name, data, type in [("no boundary", body, "multipart/form-data"), ("another boundary", body, "multipart/form-data; boundary=y"), ("no end", body[:-6], headers["Content-Type"]), ("JSON", b"{}", "application/json"),
                             ("nothing", b"", headers["Content-Type"]), ("a boundary that is too long", body, "multipart/form-data; boundary=" + "x" * 71), ("no name", body.replace(b'name="image"', b"x"), headers["Content-Type"])]:
        status, _, got = g.ask("POST", "/v1/images/edits", data, {"Content-Type": type})
        check(status == 400 and "form" in got["error"]["message"], f"a form with {name}", f"{status} {got}")
    got = g.raw(b"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 67108865\r\n\r\n")
    check(got.startswith(b"HTTP/1.1 413"), "more than 64 MiB")


def got_text(answer):
    return json.dumps(answer) if isinstance(answer, dict) else str(answer)


def usual(headers, clip):
    """What those APIs give where nothing is asked for: MP3, or Ogg Vorbis with a word why."""
    if "x-sumi-note" in headers:
        return clip[:4] == b"OggS" and headers["Content-Type"] == "audio/ogg" and "libmp3lame" in headers["x-sumi-note"]
    return clip[0] == 0xff and clip[1] & 0xe0 == 0xe0 and headers["Content-Type"] == "audio/mpeg"


def without_lame(place):
    """A gateway whose machine has no LAME: told in a header where nothing was asked for, refused where MP3 was."""
    (place.dir / "no-lame").mkdir()
    (place.dir / "no-lame" / "libmp3lame.so.0").touch()
    g = Gateway(place, LD_LIBRARY_PATH=str(place.dir / "no-lame"))
    for path, body in (("/v1/music", {"prompt": "calm", "music_length_ms": 1000}), ("/v1/sound-generation", {"text": "rain", "duration_seconds": 1}),
                       ("/v1/audio/speech", {"input": "calm", "duration": 1})):
        status, headers, clip = g.ask("POST", path, body)
        check(status == 200 and "x-sumi-note" in headers and usual(headers, clip), f"without LAME: {path}", f"{status} {headers}")
    status, _, got = g.ask("POST", "/v1/music?output_format=mp3_44100_128", {"prompt": "calm"})
    check(status == 400 and "libmp3lame" in got_text(got), "and MP3 is refused, and says what is missing", str(got))
    g.stop()


def shapes(g):
    """Errors have the shape of the API whose path it nearly is; what has the wrong type is told, not left out; 20.0 is 20."""
    for path, shape in (("/v1/images/nothing", "type"), ("/v1/chat/completions", "type"), ("/sdapi/v1/nothing", "detail"), ("/v1/music/plan", "message"),
                        ("/api/show", "error"), ("/jobs/x/nothing", "code")):
        status, _, got = g.ask("POST", path, {})
        at = got.get("detail", got) if path.startswith("/v1/music") else got["error"] if isinstance(got["error"], dict) else got
        check(status == 404 and shape in at and (path != "/api/show" or isinstance(got["error"], str)), f"nothing under {path}", str(got))
    check(g.ask("PUT", "/v1/images/generations", {})[2]["error"]["type"] == "invalid_request_error", "a method that is none")
    status, _, got = g.ask("POST", "/v1/images/generations", {"prompt": "x" * (1 << 20)})
    check(status == 413 and got["error"]["type"] == "invalid_request_error", "too large", f"{status} {got}")
    for path, body, field in (("/v1/images/generations", {"prompt": ["x"]}, "prompt"), ("/v1/images/generations", {"prompt": "x", "size": 512}, "size"),
                              ("/v1/images/generations", {"prompt": "x", "model": 7}, "model"), ("/v1/images/generations", {"prompt": "x", "n": 1.5}, "n"),
                              ("/v1/audio/speech", {"input": "x", "stream_format": "sse"}, "stream_format")):
        status, _, got = g.ask("POST", path, body)
        check(status == 400 and got["error"]["param"] == field, f"{field} of another type", f"{status} {got}")
    for body, word in (({"prompt": ["x"]}, "prompt"), ({"prompt": "x", "batch_size": "2"}, "batch_size"), ({"prompt": "x", "sampler_name": 3}, "sampler_name"),
                       ({"prompt": "x", "steps": 2.5}, "steps")):
        status, _, got = g.ask("POST", "/sdapi/v1/txt2img", body)
        check(status == 422 and word in got["detail"], f"A1111: {word} of another type", f"{status} {got}")
    status, _, got = g.ask("POST", "/sdapi/v1/txt2img", {"prompt": "x", "steps": 3.0, "width": 64.0, "height": 64, "batch_size": 1.0, "seed": 7.0})
    check(status == 200 and json.loads(got["info"])["seed"] == 7 and "Steps: 3," in got["info"], "numbers with a point that are whole", str(got)[:300])
    status, _, got = g.ask("POST", "/api/generate", {"model": "x", "prompt": "x", "stream": False, "options": {"width": 64, "height": 96, "steps": 3}})
    check(status == 200 and struct.unpack(">II", base64.b64decode(got["image"])[16:24]) == (64, 96), "Ollama: a size among the options", str(got)[:200])
    check(g.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"Origin": "http://elsewhere.example"})[0] == 403, "MCP: a page of another site")


def at_once(g):
    """What has been made already is handed out without waiting for anything to happen: a gateway looks by itself every ten seconds."""
    def quick(ask):
        first, seconds = ask(), 99
        for _ in range(3):  # on a machine that has no time one of them is
            since = time.monotonic()
            again = ask()
            seconds = min(seconds, time.monotonic() - since)
            if seconds < 9:
                break
        return again == first and seconds < 9
    body, named = {"prompt": "once", "steps": 3, "size": "64x64"}, {"Idempotency-Key": "the same"}
    check(quick(lambda: g.ask("POST", "/v1/images/generations", body, named)[2]["data"]), "asked for again under its name")
    check(quick(lambda: g.get("/v1/mood/calm.ogg?duration=1&seed=9")[2]), "a clip that is there")


def others(g):
    status, headers, clip = g.ask("POST", "/v1/music", {"prompt": "calm piano", "music_length_ms": 1000, "model_id": "music_v1"})
    check(status == 200 and usual(headers, clip) and headers["song-id"], "ElevenLabs: music", str(clip)[:200])
    check(g.ask("POST", "/v1/music/stream?output_format=wav", {"prompt": "calm piano", "music_length_ms": 1000})[2][:4] == b"RIFF", "as WAV")
    check(g.ask("POST", "/v1/music/stream?output_format=ogg", {"prompt": "calm piano", "music_length_ms": 1000})[2][:4] == b"OggS", "or Ogg Vorbis")
    status, headers, clip = g.ask("POST", "/v1/sound-generation", {"text": "rain", "duration_seconds": 1.5, "loop": True})
    check(status == 200 and usual(headers, clip), "a sound", str(headers))
    for path, body, wanted in [("/v1/music", {}, 422), ("/v1/music", {"prompt": "x", "music_length_ms": 10}, 422), ("/v1/music?output_format=opus_48000_32", {"prompt": "x"}, 400), ("/v1/music?output_format=mp3_44100_999", {"prompt": "x"}, 400), ("/v1/music?output_format=mp3_44101_128", {"prompt": "x"}, 400),
                               ("/v1/sound-generation", {"prompt": "x"}, 422), ("/v1/sound-generation", {"text": "x", "duration_seconds": "long"}, 422), ("/v1/music", {"prompt": "x", "model_id": 7}, 422)]:
        status, _, got = g.ask("POST", path, body)
        check(status == wanted and got["detail"]["message"], f"{path} {body}: {wanted}", f"{status} {got}")
    status, headers, clip = g.ask("POST", "/v1/music?output_format=mp3_44100_128", {"prompt": "calm piano", "music_length_ms": 2000})
    if status == 200:
        frames, at = 0, 0
        while at + 4 <= len(clip) and clip[at] == 0xff and clip[at + 1] & 0xfe == 0xfa and clip[at + 2] & 0xfc == 0x90:  # MPEG-1 layer 3, 128 kbit/s, 44100
            at, frames = at + 417 + (clip[at + 2] >> 1 & 1), frames + 1
        check(headers["Content-Type"] == "audio/mpeg" and at == len(clip) and 2 * 44100 / 1152 <= frames <= 2 * 44100 / 1152 + 4, "MP3: frames of its rate, as many as the clip is long", f"{at} of {len(clip)}, {frames}")
        check(g.ask("POST", "/v1/music?output_format=mp3_22050_32", {"prompt": "calm piano", "music_length_ms": 2000})[2][:2] in (b"\xff\xf3", b"\xff\xf2"), "of another rate")
    else:
        check(status == 400 and "libmp3lame" in got_text(clip), "without LAME MP3 is refused, and says what is missing", str(clip))
        print("skip MP3: libmp3lame is not installed")
    id = g.ask("POST", "/jobs", {"mood": "calm", "duration": 1, "format": "mp3"})[2]["id"]
    done = g.becomes(id, "done", "failed")
    status, headers, clip = g.get(f"/jobs/{id}/files/1.mp3")
    check(headers["Content-Type"] == "audio/mpeg" and clip[:3] == b"ID3" if done["state"] == "done" else "libmp3lame" in done["error"], "a job of MP3", str(done))
    check(g.ask("POST", "/jobs", {"mood": "calm", "duration": 1, "format": "mp3", "loop": True})[0] == 400, "which is no loop")
    status, headers, got = g.ask("POST", "/api/generate", {"model": f"{PACK}:latest", "prompt": "a lake", "width": 64, "height": 64, "steps": 3, "stream": False, "options": {"seed": 3}})
    check(status == 200 and got["done"] is True and base64.b64decode(got["image"])[:4] == b"\x89PNG" and got["model"] == f"{PACK}:latest", "Ollama: generate", str(got)[:200])
    status, headers, got = g.ask("POST", "/api/generate", {"model": "x", "prompt": "a lake", "width": 64, "height": 64, "steps": 3})
    check(status == 200 and headers["Content-Type"] == "application/x-ndjson" and json.loads(got)["image"], "streamed")
    check(g.ask("POST", "/api/generate", {"model": "x"})[2].keys() == {"error"}, "an error")
    check(PACK in [m["name"] for m in g.get("/api/tags")[2]["models"]] and g.get("/api/version")[2]["version"], "tags and version")


def speech(g):
    """OpenAI's /v1/audio/speech, where it fits music."""
    ask = lambda **more: g.ask("POST", "/v1/audio/speech", {"model": "tts-1", "voice": "alloy", "input": "calm piano", "duration": 1, **more})
    status, headers, clip = ask()
    check(status == 200 and usual(headers, clip), "audio/speech: MP3, where it can be made", f"{status} {str(clip)[:200]}")
    check(ask(response_format="ogg")[2][:4] == b"OggS", "or Ogg Vorbis")
    job = g.get("/jobs?modality=audio&limit=1")[2]["jobs"][0]
    check(job["prompt"] == "calm piano" and job["duration"] == 1 and job.get("model") in (None, "sound-tiny"), "of what the input says, by the usual model", str(job))
    status, headers, clip = ask(response_format="wav")
    check(status == 200 and clip[:4] == b"RIFF" and headers["Content-Type"] == "audio/wav", "or WAV", str(status))
    status, headers, clip = ask(response_format="mp3")
    check(status == 200 and clip[0] == 0xff and headers["Content-Type"] == "audio/mpeg" or status == 400 and "libmp3lame" in got_text(clip), "or MP3, where it can be made", f"{status} {str(clip)[:200]}")
    status, headers, clip = ask(response_format="pcm")
    check(status == 200 and headers["Content-Type"] == "audio/pcm" and abs(len(clip) - 2 * 24000) < 1000 and any(clip), "or bare samples, 24000 a second", f"{status} {len(clip)}")
    clip = g.ask("POST", "/v1/music?output_format=pcm_16000", {"prompt": "calm piano", "music_length_ms": 1000})[2]
    check(abs(len(clip) - 2 * 16000) < 1000, "ElevenLabs' of another rate", str(len(clip)))
    for format in ["opus", "aac", "flac", "pcm_44101", "pcm_24000x"]:
        status, _, got = ask(response_format=format)
        check(status == 400 and "ogg, wav or pcm" in got["error"]["message"], f"{format} is refused, with what there is", f"{status} {got}")
    for body, param in [({"response_format": "opus"}, "response_format"), ({"response_format": 7}, "response_format"), ({"input": ""}, "input"), ({"input": None}, "input"), ({"duration": "x"}, "duration"), ({"duration": 1e9}, "duration"), ({"seed": "x"}, "seed")]:
        status, _, got = ask(**body)
        check(400 <= status < 500 and got["error"]["param"] == param, f"speech with {body}", f"{status} {got}")


def videos(g):
    ask = lambda **body: g.ask("POST", "/v1/videos", {"prompt": "an ink drop", "size": "64x64", "steps": 2, **body})
    status, _, got = ask(seconds="1", cfg_scale=2.5, seed=7, negative_prompt="n" * 3000)
    job = wait_for(lambda: (j := g.get(f"/jobs/{got['id']}")[2]) and "prompt" in j and j, 90)
    check(status == 200 and job["cfg_scale"] == 2.5 and job["seed"] == 7 and job["negative_prompt"] == "n" * 3000, "videos: what JSON says arrives whole", f"{got} {job}"[:600])
    start = base64.b64encode(rgba(64, 64, lambda x, y: 255)).decode()
    for name, more, param in [("a prompt that is too long", {"prompt": "x" * 9000}, "prompt"), ("seconds that are none", {"seconds": 1.5}, "seconds"), ("a prompt that is a number", {"prompt": 7}, "prompt"),
                              ("a picture that lies elsewhere", {"input_reference": {"image_url": "http://127.0.0.1/a.png"}}, "input_reference"), ("a picture by its id", {"input_reference": {"file_id": "f"}}, "input_reference"),
                              ("a picture that is none", {"input_reference": {"image_url": "data:image/png;base64,AAAA"}}, "input_reference"), ("no steps", {"steps": "few"}, "steps")]:
        status, _, got = ask(**more)
        check(status == 400 and got["error"]["param"] == param, f"videos with {name}", f"{status} {got}"[:400])
    status, _, got = g.ask("POST", "/v1/videos", *form(("prompt", None, b"a drop"), ("negative_prompt", None, b"n" * 3000), ("size", None, b"64x64"), ("steps", None, b"2"), ("seconds", None, b"1"), ("cfg_scale", None, b"2.5")))
    check(status == 200 and wait_for(lambda: len(g.get(f"/jobs/{got['id']}")[2].get("negative_prompt", "")) == 3000, 90), "and what a form says", f"{status} {got}"[:300])
    g.ask("POST", "/queue/pause")
    waits = ask(input_reference={"image_url": "data:image/png;base64," + start})[2]["id"]
    status, _, why = g.get(f"/v1/videos/{waits}/content")
    check(status == 404 and "not made yet" in why["error"]["message"], "the content of one that waits", f"{status} {why}")
    g.ask("POST", "/queue/resume")
    video = g.becomes(got["id"], "done")["id"]
    status, headers, thumb = g.get(f"/v1/videos/{video}/content?variant=thumbnail")
    check(status == 200 and headers["Content-Type"] == "image/webp" and len(thumb) < len(g.get(f"/v1/videos/{video}/content")[2]), "its thumbnail", f"{status}")
    check(g.get(f"/v1/videos/{video}/content?variant=spritesheet")[0] == 400, "and what there is not")
    status, _, told = g.ask("DELETE", f"/v1/videos/{video}")
    check(status == 200 and told["deleted"] is True and wait_for(lambda: g.get(f"/v1/videos/{video}")[0] == 404, 90), "one that is made is deleted", f"{status} {told}")
    status, _, why = g.ask("DELETE", f"/v1/videos/{waits}") if g.becomes(waits, "done", "running") else (0, 0, 0)
    check(status == 200, "one that runs is cancelled, one that has ended deleted", f"{status} {why}")


def elsewhere(g):
    """A gateway of another host of the same queue: another folder, other files."""
    job = [g.ask("POST", path, body, {"Idempotency-Key": "far"})[2] for path, body in FAR][0]
    conf = g.place.dir / "far.conf"
    conf.write_text(g.place.conf.read_text().replace(f"state_dir = {g.place.state}", f"state_dir = {g.place.dir}/far") + f"\nredis = unix://{g.place.state}/redis/redis.sock\n")
    far = Gateway(g.place, "--config", str(conf))
    told = [far.ask("POST", path, body, {"Idempotency-Key": "far"}) for path, body in FAR]
    check(all(status == 404 and "another host" in str(got) for status, _, got in told), "results of another host: every API says where they are", str(told)[:600])
    id = job["job"]
    status, _, got = far.get(f"/jobs/{id}/files/1.png")
    check(status == 404 and "another host" in got["error"]["message"] and far.get(f"/jobs/{id}")[2]["state"] == "done", "and the job is no lost one", f"{status} {got}")
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "job", "arguments": {"id": id}}}
    check("another host" in far.ask("POST", "/mcp", call)[2]["result"]["content"][1]["text"], "MCP too")
    far.stop()


FAR = [("/v1/images/generations", {"prompt": "far away", "steps": 2, "size": "64x64"}), ("/v1/music", {"prompt": "far away", "music_length_ms": 1000}),
       ("/sdapi/v1/txt2img", {"prompt": "far away", "steps": 2, "width": 64, "height": 64}), ("/api/generate", {"model": "x", "prompt": "far away", "width": 64, "height": 64, "steps": 2})]


def models(g):
    rows = {m["name"]: m for m in g.get("/models")[2]["models"]}
    image, sound = rows[PACK], rows["sound-tiny"]
    check(image["default"] and image["sizes"][0] == f"{image['defaults']['width']}x{image['defaults']['height']}" and len(image["sizes"]) > 2
          and len(set(image["sizes"])) == len(image["sizes"]) and image["defaults"]["steps"] > 0 and image["defaults"]["sampler"], "models: sizes, defaults", str(image))
    moods = json.loads((PACKS / "sound-tiny" / "sumi.json").read_text()).get("moods", {})
    check(sound["moods"] == list(moods) and sound["defaults"]["duration"] > 0 and "sizes" not in sound, "and moods", str(sound))
    job = g.ask("POST", "/jobs", {"prompt": "as it proposes", "size": image["sizes"][-1], "steps": 2})[2]
    check(g.becomes(job["id"], "done"), "what it proposes can be made")


def figures(g):
    wait_for(lambda: (t := g.get("/metrics")[2]) and b'sumi_job_run_seconds_count{modality="image",model=""}' in t and re.search(rb"sumi_steps_total{.*} [1-9]", t), 90)
    status, headers, text = g.get("/metrics")
    rows = dict(l.rsplit(" ", 1) for l in text.decode().splitlines() if l and not l.startswith("#"))
    done = len(g.get("/jobs?state=done&limit=500")[2]["jobs"])
    check(status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4") and float(rows['sumi_jobs{state="done"}']) == done and float(rows["sumi_workers"]) == 1
          and float(rows["sumi_jobs_done_total"]) == done, "metrics", str(rows)[:500])
    check(float(rows['sumi_job_run_seconds_bucket{modality="image",model="",le="+Inf"}']) == float(rows['sumi_job_run_seconds_count{modality="image",model=""}']) > 0
          and float(rows["sumi_result_bytes"]) > 0 and float(rows["sumi_disk_free_bytes"]) > 0 and float(rows['sumi_gateway_answers_total{status="2xx"}']) > 5, "with times, room and answers", str(rows)[:900])
    worker = lambda name: {r.split("{")[0]: float(v) for r, v in rows.items() if "worker=" in r}[name]
    check(worker("sumi_steps_total") >= 3 and 0 < worker("sumi_device_memory_used_bytes") < worker("sumi_device_memory_bytes"), "steps, and memory of the device", str(rows)[:900])
    told = {r.split("{")[0] for r in rows} | set(re.findall(r"^# TYPE (\S+)", text.decode(), re.M))
    for name in ["dashboard.json", "alerts.yml"]:
        used = set(re.findall(r"\bsumi_[a-z_]+", (ROOT / "packaging" / "grafana" / name).read_text()))
        check(used and used <= told, f"packaging/grafana/{name} asks for what is told", str(used - told))
    status, headers, text = g.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    check(headers["Content-Type"].startswith("application/openmetrics-text") and text.endswith(b"# EOF\n") and b"# TYPE sumi_jobs_done counter\n" in text, "OpenMetrics")


def document(g):
    status, _, api = g.get("/openapi.json")
    names = {p["name"] for o in api["paths"]["/jobs"].values() for p in o["parameters"]}
    check(status == 200 and api["openapi"] == "3.1.0" and {"state", "after"} <= names and {"get", "patch", "delete"} == set(api["paths"]["/jobs/{id}"]), "openapi.json", str(api)[:300])
    job = api["components"]["schemas"]["job"]
    table = json.loads((ROOT / "docs" / "job.schema.json").read_text())
    check(set(table["properties"]) | {"size"} == set(job["properties"]), "with the table of parameters")
    for path, item in api["paths"].items():
        for method in item:
            status = g.ask(method.upper(), re.sub(r"\{\w+\}", "x", path).replace("/events", "/events?job=/"), b"" if method == "post" and "pause" not in path and "resume" not in path else None)[0]
            check(status not in (404, 405) or "{" in path, f"{method} {path} is there", str(status))
    for path in ["/docs", "/jobs/x/files"]:
        check(g.get(path)[0] == 404, f"{path} is not")


place = Place(model_audio="sound-tiny")
try:
    place.start()
    g = Gateway(place)
    for part in [moods, speech, models, edits, others, shapes, at_once, figures, document, videos, elsewhere]:
        part(g)
    without_lame(place)
    check(g.stop() == 0, "it stops")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()

#!/usr/bin/env python3
"""elevenlabs and ollama, as far as sumi has what they ask for."""
from client import *

need("elevenlabs==2.78.0", "ollama==0.6.3")
import base64

import elevenlabs, ollama
from elevenlabs.client import ElevenLabs

with Server(model_audio="sound-tiny") as s:
    client = ElevenLabs(api_key=s.key, base_url=s.url)
    check(b"".join(client.music.compose(prompt="calm piano", music_length_ms=1000))[:2] in (b"\xff\xfb", b"Og"), "elevenlabs: music.compose")
    check(b"".join(client.music.stream(prompt="calm piano", music_length_ms=1000))[:2] in (b"\xff\xfb", b"Og"), "music.stream")
    check(b"".join(client.text_to_sound_effects.convert(text="rain", duration_seconds=1.5))[:2] in (b"\xff\xfb", b"Og"), "text_to_sound_effects")
    try:
        mp3 = b"".join(client.music.compose(prompt="calm piano", music_length_ms=1000, output_format="mp3_44100_128"))
        check(mp3[0] == 0xff and mp3[1] & 0xe0 == 0xe0, "as MP3")
    except elevenlabs.core.api_error.ApiError as e:
        check(e.status_code == 400 and "libmp3lame" in str(e), "MP3 where LAME is", str(e))
    try:
        b"".join(client.music.compose(prompt="x", music_length_ms=10))
        check(False, "an error")
    except elevenlabs.core.api_error.ApiError as e:
        check(e.status_code == 422, "an error", str(e))
    client = ollama.Client(host=s.url, headers={"Authorization": f"Bearer {s.key}"})
    check(PACK in [m.model for m in client.list().models], "ollama: list")
    for stream in (False, True):
        got = client.generate(model=PACK, prompt="a lake", width=64, height=64, steps=3, stream=stream)
        last = list(got)[-1] if stream else got
        check(last.done and base64.b64decode(last.image)[:4] == b"\x89PNG", f"generate, stream {stream}", str(last)[:200])
finish()

# moods.py: the table of moods in the pack: what `{"modality": "audio", "mood": "calm"}` asks for. Owners may edit it in sumi.json.
from . import attributes as A


def _mood(prompt, negative, beats):
    return {"prompt": prompt, "negative_prompt": negative, "tempo": A.tempo(beats)}


# Tempos are those of loops of whole beats in one window.
TABLE = {
    "calm": _mood("calm piano, slow", "energetic music with drums, fast", 6),
    "happy": _mood("happy guitar, fast", "sad music, slow", 12),
    "sad": _mood("sad strings, slow", "happy music, fast", 6),
    "tense": _mood("tense strings, fast", "calm music, slow", 12),
    "epic": _mood("epic strings with drums", "calm music, slow", 8),
    "mysterious": _mood("mysterious bells, slow", "happy music, fast", 6),
    "energetic": _mood("energetic guitar with drums, fast", "calm music, slow", 16),
    "dreamy": _mood("dreamy synth pad, slow", "tense music, fast", 4),
}

"""Prompts in many scripts, and the token ids that transformers gives them; see tokens.jsonl."""

import json
from pathlib import Path

from vocab import write_tokenizer

# ---------------------------------------------------------------------------------------------------------------------
# The prompts
# ---------------------------------------------------------------------------------------------------------------------

LATIN = """a photo of a cat|watercolor mountains in the fog|A PAINTING OF THE RIVER AT NIGHT
Portrait of a Woman, oil on canvas
masterpiece, best quality, highly detailed|blurry, low quality, watermark, text
the quick brown fox jumps over the lazy dog
cat|cats|catcatcat|x|I|antidisestablishmentarianism|mountainsmountains|painting painting painting|ink on paper
Sphinx of black quartz, judge my vow|cinematic lighting; wide shot: close-up|calm piano, slow strings
jazz with a double bass
a house/a tree|foo_bar_baz|snake_case and CamelCase|kebab-case-words|trailing comma,|,leading comma|a,b,c
e.g. this"""

ACCENTS = """un château dans la forêt|für Elise, straße im Regen|niño en la playa, señor|coração de São Paulo
ÉTÉ À LA MONTAGNE
smörgåsbord på svenska|Łódź, żółć, gęślą jaźń|příliš žluťoučký kůň|İstanbul'da bir kedi|IŞIK ığdır|naïve café résumé
Ångström|ﬁne ligatures ﬂow|ǅ titlecase|ẞ großes Eszett|Æsir œuvre|Việt Nam đẹp lắm|Māori whānau"""

CYRILLIC = """туман над рекой|горы в тумане, акварель|Портрет женщины с кошкой|НОЧНАЯ РЕКА И ЛУНА|ёлка, Ёжик
старое дерево в снегу, 4k
спокойное фортепиано|подъезд, объявление|Київ, їжак, ґанок|Беларусь, ўзлёт|Љубљана и Ђоковић|a cat и кошка|кошкаcat
cat-кошка
съешь ещё этих мягких французских булок, да выпей чаю|Щука|ъ|музыка для сна; дождь по крыше"""

OTHERS = """水墨画|一只猫坐在窗台上|東京の夜、雨|桜の木と青い空|한국의 산|고양이 한 마리|猫cat犬|日本語とEnglishの混在|ｆｕｌｌｗｉｄｔｈ　ｔｅｘｔ|カタカナ・ひらがな
αβγ δ ΕΛΛΑΔΑ ΣΊΣΥΦΟΣ|ο ήλιος πάνω από τη θάλασσα|שלום עולם|עִבְרִית|مرحبا بالعالم|قطة جميلة على النافذة
नमस्ते दुनिया|हिन्दी में बिल्ली
ภาษาไทย สวัสดี|தமிழ் மொழி|ქართული ენა|Հայերեն լեզու|ᏣᎳᎩ|አማርኛ|ᚠᚢᚦᚨᚱᚲ|𝔣𝔯𝔞𝔨𝔱𝔲𝔯|𐐀𐐁𐐂 deseret|𠀋𠮷 rare"""

EMOJI = """🐈|a cat 🐈 in the fog 🌫️|👨‍👩‍👧‍👦 family|👍🏽|🇯🇵🇺🇦|❤️|1️⃣2️⃣3️⃣|🐈🐈🐈|cat🐈cat|✨best quality✨|☕︎
:-) (^_^) ¯\\_(ツ)_/¯|→ ← ↑ ↓|★★★☆☆|©®™|𝄞 music"""

DIGITS = """2 cats|1234567890|4k, 8K, 16k|3.14159|1,000,000|f/1.8, 85mm, ISO 100|2024-01-31 23:59|x2 y3 z4|½ ¼ ¾
² ³ ¹|Ⅷ Ⅻ|٣٤٥|१२३|㊿ ①②③|0x1F|-5°C|100%|#1|50€ $20 £3 ¥100"""

PUNCTUATION = """!|!!|!!!|...|…|?!?!|(masterpiece:1.2)|((very detailed))|[low quality]|{a|b}|<lora:name:0.8>|a & b
a&amp;b|a &lt; b|"quoted"|“curly” ‘quotes’|'single'
--ar 16:9|path\\to\\file|http://example.com/a?b=c&d=e|user@example.com|~`@#$%^&*()-=+|a*b**c|¿qué?|¡hola!
«guillemets»|—em—dash–en|a—b|«тест»|、。「」|·•◦|§ 5 ¶|a\u200bb zero width"""

CONTRACTIONS = """it's|It's the cat's house|they're here|we've seen it|I'm here|you'll see|I'd stay|don't
can't won't|'s|'t 're 've|'S 'T 'RE|rock'n'roll|o'clock
it’s curly|y'all'd've|'sound|'llama|'very|'model|''s|'s's's|d'artagnan|l'été|cat's's"""

# Spaces and controls, and what tests the normaliser: written with escapes so that no editor changes them.
ODD = ["", " ", "   ", "\t", "\n", "\r\n", "a\tb", "a\nb", "a\r\nb", "  leading", "trailing  ", "two  spaces", "a \t\n b",
       "a\u00a0b", "a\u2003b", "a\u3000b", "a\u2028b", "a\u0085b", "a\u200bb", "a\ufeffb", "\ufeffstart", "a\u00adb",
       "a\u0001b", "\u0007bell", "a\u007fb", "a\u009fb", "\u001b[31mred", "a\u000bb\u000cc", "a\u001cb\u001fc", "a\u180eb",
       "\ufffd", "a\ufffdb", "\ue000 private", "\U0010ffff", "\u202eright to left", "a\u2060b", "\u1680ogham\u1680space"]

# Decomposed text: the fast tokenizer composes it (NFC) first.
DECOMPOSED = ["cafe\u0301", "e\u0301te\u0301", "A\u030angstro\u0308m", "и\u0306", "Е\u0308жик", "n\u0303", "が vs か\u3099",
              "\u1112\u1161\u11ab", "q\u0307\u0323", "\u212b angstrom sign", "\u2126 ohm", "\u0344", "\u0958",
              "o\u0308\u0304", "a\u0323\u0302", "\uf900 cjk compatibility", "\u0374 \u037e", "i\u0307"]

SPECIAL = ["<|endoftext|>", "<|startoftext|>", "a <|endoftext|> b", "a<|endoftext|>b", "<|startoftext|>a cat<|endoftext|>",
           "<|ENDOFTEXT|>", "<|endoftext|", "<|endoftext|><|endoftext|>", "<|pad|>", "</w>", "a</w> b", "cat</w>"]


def long_prompts():
    """Around the limit of 77 tokens (75 and the two marks), and far beyond."""
    out = [" ".join(["cat"] * n) for n in (74, 75, 76, 77, 150, 151, 300)]
    out += ["кошка " * 40, "🐈" * 30, "a" * 500, ("mountains in the fog, " * 30).strip(), "!" * 90, "1" * 80, "山" * 60]
    return out


def collect():
    groups = {"latin": LATIN, "accents": ACCENTS, "cyrillic": CYRILLIC, "others": OTHERS, "emoji": EMOJI,
              "digits": DIGITS, "punctuation": PUNCTUATION, "contractions": CONTRACTIONS}
    for kind, block in groups.items():
        for line in block.split("\n"):
            for prompt in line.split("|"):
                yield kind, prompt
    for kind, prompts in (("odd", ODD), ("decomposed", DECOMPOSED), ("special", SPECIAL), ("long", long_prompts())):
        for prompt in prompts:
            yield kind, prompt


# ---------------------------------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------------------------------

def make(root):
    """One JSON object a line; `ids` has the marks and no padding, `ids77` is there when truncation changes it."""
    from transformers import CLIPTokenizer
    folder = Path(root) / "sd1-tiny/tokenizer"
    if not folder.exists():
        write_tokenizer(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    lines, seen = [], set()
    for kind, prompt in collect():
        if prompt in seen:
            continue
        seen.add(prompt)
        row = {"kind": kind, "text": prompt, "ids": tokenizer(prompt).input_ids}
        if len(row["ids"]) > 77:
            row["ids77"] = tokenizer(prompt, truncation=True, max_length=77).input_ids
            assert len(row["ids77"]) == 77
        lines.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
    (Path(root) / "tokens.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("tokens", len(lines), "prompts")

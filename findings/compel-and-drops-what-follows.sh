#!/bin/sh
# compel 2.5.1: what stands behind ".and()" is left out of the prompt without a word. Behind ".blend()" the same is
# an error, and a conjunction in the middle of a prompt is no conjunction but words, brackets and ".and()" itself.
#
# So ("a cat", "a dog").and() in the rain paints no rain, and an evening light, ("a cat", "a dog").and() is given to
# the text encoder with its punctuation. Who looks at the picture sees a prompt that was half followed.
#
# Seen: two parts and nothing of the rain; an exception for blend; one text that holds ".and()".
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" 2>/dev/null || {
	echo "skip: python3 makes no virtual environment here"
	exit 0
}
"$dir/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 diffusers==0.42.1 compel==2.5.1 >"$dir/log" 2>&1 || {
	echo "skip: pip does not install compel 2.5.1 here"
	exit 0
}
"$dir/venv/bin/python" - <<'P' 2>/dev/null
import sys
from compel.prompt_parser import PromptParser

def read(text):
    try:
        parts = PromptParser().parse_conjunction(text).prompts
    except Exception as e:
        return type(e).__name__
    return [" ".join(f.text for f in p.children) for p in parts]

seen = [read(t) for t in ('("a cat", "a dog").and() in the rain', '("a cat", "a dog").blend(1, 1) in the rain',
                          'an evening light, ("a cat", "a dog").and()')]
print(*seen, sep="\n")
ok = seen[0] == ["a cat", "a dog"] and seen[1] == "ParseException" and len(seen[2]) == 1 and ".and()" in seen[2][0]
sys.exit(0 if ok else 1)
P

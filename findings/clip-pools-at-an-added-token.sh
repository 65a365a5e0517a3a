#!/bin/sh
# transformers 5.23.0 with torch 2.13.0: CLIPTextModel takes the pooled text at a token that was added to the
# vocabulary, not at the end of the text, where the config says eos_token_id 2. That is what the published configs of
# Stable Diffusion 1.5's and SDXL's encoders say.
#
# For this old value the model looks for the largest id instead of the id of the end mark, 49407, which is the largest
# of the vocabulary as it was published. Textual inversion adds tokens behind it (49408 …), so a prompt with an embedding
# is pooled where the embedding stands, before the model has read the rest of the prompt (its attention is causal).
# SDXL's UNet is conditioned on the second encoder's pooled text. With the id itself in the config the end is found.
# A reader that looks for the first end mark gives other pictures than diffusers for SDXL prompts with embeddings.
#
# Seen: the pooled row is that of the added token at place 2 (eos_token_id 2), that of the end at place 5 (49407).
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" 2>/dev/null || {
	echo "skip: python3 makes no virtual environment here"
	exit 0
}
"$dir/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 >"$dir/log" 2>&1 || {
	echo "skip: pip does not install torch 2.13.0 and transformers 5.23.0 here"
	exit 0
}
"$dir/venv/bin/python" - <<'P' 2>/dev/null
import sys
import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

torch.manual_seed(0)
torch.set_grad_enabled(False)
seen = {}
for eos in (2, 49407):
    model = CLIPTextModelWithProjection(CLIPTextConfig(
        vocab_size=49408, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=16, bos_token_id=49406, eos_token_id=eos)).eval()
    model.resize_token_embeddings(49409)
    text = [49406, 320, 49408, 525, 320, 49407]  # start, two words around the added token, two more, end
    out = model(torch.tensor([text + [49407] * (77 - len(text))]))
    rows = model.text_projection(out.last_hidden_state[0])
    seen[eos] = [i for i in range(len(text)) if torch.allclose(out.text_embeds[0], rows[i], atol=1e-6)]
    print("eos_token_id %d: pooled at place %s" % (eos, seen[eos]))
sys.exit(0 if seen == {2: [2], 49407: [5]} else 1)
P

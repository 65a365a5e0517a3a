#include "networks/clip_layers.h"

#include "networks/blocks.h"

void clip_layer_load(struct loader *l, struct clip_layer *t, const struct clip_shape *s,
		     const char *prefix)
{
	static const char *const qkv[] = {"q_proj", "k_proj", "v_proj"};
	struct stack_part parts[3];
	load_norm(l, &t->norm1, s->width, 0, s->epsilon, "%s.layer_norm1", prefix);
	load_norm(l, &t->norm2, s->width, 0, s->epsilon, "%s.layer_norm2", prefix);
	for (int i = 0; i < 3; i++) {
		weight_name(parts[i].name, "%s.self_attn.%s", prefix, qkv[i]);
		parts[i].cout = s->width;
	}
	load_linear_stack(l, &t->qkv, parts, 3, s->width, 0);
	load_linear(l, &t->out, s->width, s->width, 0, "%s.self_attn.out_proj", prefix);
	load_linear(l, &t->fc1, s->inner, s->width, 0, "%s.mlp.fc1", prefix);
	load_linear(l, &t->fc2, s->width, s->inner, 0, "%s.mlp.fc2", prefix);
}

void clip_layer_forward(struct pass *p, const struct clip_layer *t, const struct clip_shape *s,
			struct map x)
{
	struct map a = pass_new(p, x.n, 1, x.w, s->width);
	self_attention(p, &(struct self_attention){&t->norm1, &t->qkv, &t->out, s->heads, s->causal}, x, a);
	struct map wide = pass_new(p, x.n, 1, x.w, s->inner);
	pass_norm(p, &t->norm2, x, a, ACT_NONE);
	pass_linear(p, &t->fc1, a, wide, (struct linear_args){.act = s->act});
	pass_linear(p, &t->fc2, wide, x, (struct linear_args){.residual = x.t});
	pass_free(p, &wide);
	pass_free(p, &a);
}

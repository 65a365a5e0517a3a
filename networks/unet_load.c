/* Building a UNet from its config. */
#include <stdlib.h>

#include "networks/unet_internal.h"

/* The residual blocks met so far; their time projections become one linear layer. */
struct time_stack {
	struct stack_part *parts;
	int count, capacity;
	int channels;
};

static void add_time(struct loader *l, struct time_stack *stack, struct resnet_block *r,
		     const char *prefix)
{
	if (stack->count == stack->capacity) {
		int capacity = stack->capacity ? 2 * stack->capacity : 32;
		void *larger = realloc(stack->parts, (size_t)capacity * sizeof *stack->parts);
		if (!larger) {
			loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", prefix);
			return;
		}
		stack->parts = larger;
		stack->capacity = capacity;
	}
	struct stack_part *part = &stack->parts[stack->count++];
	weight_name(part->name, "%s.time_emb_proj", prefix);
	part->cout = r->cout;
	r->time_first = stack->channels;
	stack->channels += r->cout;
}

static void build_resnet(struct loader *l, const struct unet_config *c, struct time_stack *times,
			 struct resnet_block *r, int cin, int cout, const char *prefix)
{
	resnet_load(l, r, cin, cout, c->groups, c->epsilon, prefix);
	add_time(l, times, r, prefix);
}

static void build_attention(struct loader *l, struct unet *u, struct transformer_block *t,
			    int level, int layers, const char *prefix)
{
	const struct unet_config *c = &u->config;
	transformer_load(l, t, c->channels[level], c->heads[level], layers,
			 c->context, c->groups, prefix, &u->text_count);
}

static void new_layers(struct loader *l, struct unet_stage *s, int count)
{
	s->layers = calloc((size_t)count, sizeof *s->layers);
	if (s->layers)
		s->count = count;
	else
		loader_fail(l, SUMI_NOMEM, "out of memory while loading a UNet");
}

static void add_skip(struct unet *u, int channels)
{
	u->skips[u->skip_count++] = (struct unet_skip){.skip = channels};
}

static void build_down(struct loader *l, struct unet *u, struct time_stack *times, int level)
{
	const struct unet_config *c = &u->config;
	struct unet_stage *s = &u->down[level];
	char name[WEIGHT_NAME_MAX];
	int cin = c->channels[level > 0 ? level - 1 : 0];
	s->channels = c->channels[level];
	new_layers(l, s, c->layers[level]);
	for (int i = 0; i < s->count; i++) {
		weight_name(name, "down_blocks.%d.resnets.%d", level, i);
		build_resnet(l, c, times, &s->layers[i].resnet, i ? s->channels : cin, s->channels,
			     name);
		weight_name(name, "down_blocks.%d.attentions.%d", level, i);
		if (c->down_attention[level])
			build_attention(l, u, &s->layers[i].attention, level,
					c->down_transformers[level][i], name);
		add_skip(u, s->channels);
	}
	s->resamples = level < c->levels - 1;
	if (s->resamples) {
		load_conv(l, &s->resample, s->channels, s->channels, 3, 0,
			  "down_blocks.%d.downsamplers.0.conv", level);
		add_skip(u, s->channels);
	}
}

/* Each layer of the way up takes the last skip that is left. */
static void build_up(struct loader *l, struct unet *u, struct time_stack *times, int index,
		     int *next_skip)
{
	const struct unet_config *c = &u->config;
	struct unet_stage *s = &u->up[index];
	char name[WEIGHT_NAME_MAX];
	int level = c->levels - 1 - index;
	int below = c->channels[index > 0 ? level + 1 : level];
	s->channels = c->channels[level];
	new_layers(l, s, c->layers[level] + 1);
	for (int i = 0; i < s->count; i++) {
		struct unet_skip *skip = &u->skips[--*next_skip];
		skip->up = i ? s->channels : below;
		weight_name(name, "up_blocks.%d.resnets.%d", index, i);
		build_resnet(l, c, times, &s->layers[i].resnet, skip->up + skip->skip, s->channels,
			     name);
		weight_name(name, "up_blocks.%d.attentions.%d", index, i);
		if (c->up_attention[level])
			build_attention(l, u, &s->layers[i].attention, level,
					c->up_transformers[level][i], name);
	}
	s->resamples = level > 0;
	if (s->resamples)
		load_conv(l, &s->resample, s->channels, s->channels, 3, 0,
			  "up_blocks.%d.upsamplers.0.conv", index);
}

static void build_middle(struct loader *l, struct unet *u, struct time_stack *times)
{
	const struct unet_config *c = &u->config;
	int bottom = c->levels - 1, width = c->channels[bottom];
	if (c->middle == MIDDLE_NONE)
		return;
	build_resnet(l, c, times, &u->mid1, width, width, "mid_block.resnets.0");
	if (c->middle == MIDDLE_PLAIN)
		return;
	build_attention(l, u, &u->mid_attention, bottom, c->mid_transformers,
			"mid_block.attentions.0");
	build_resnet(l, c, times, &u->mid2, width, width, "mid_block.resnets.1");
}

static void build_trunk(struct loader *l, struct unet *u, struct time_stack *times)
{
	const struct unet_config *c = &u->config;
	int top = c->channels[0];
	if (c->time_cond)
		load_linear(l, &u->time_cond, top, c->time_cond, LOAD_NO_BIAS,
			    "time_embedding.cond_proj");
	load_linear(l, &u->time1, c->time_width, top, 0, "time_embedding.linear_1");
	load_linear(l, &u->time2, c->time_width, c->time_width, 0, "time_embedding.linear_2");
	if (c->added) {
		load_linear(l, &u->added1, c->time_width, c->added, 0, "add_embedding.linear_1");
		load_linear(l, &u->added2, c->time_width, c->time_width, 0,
			    "add_embedding.linear_2");
	}
	load_conv(l, &u->conv_in, top, c->in_channels, c->conv_in_kernel, 0, "conv_in");
	add_skip(u, top);
	for (int i = 0; i < c->levels; i++)
		build_down(l, u, times, i);
	build_middle(l, u, times);
}

static void stack_times(struct loader *l, struct unet *u, struct time_stack *times)
{
	load_linear_stack(l, &u->time_all, times->parts, times->count, u->config.time_width, 0);
	free(times->parts);
}

void unet_build_trunk(struct unet *u, struct loader *l)
{
	struct time_stack times = {0};
	build_trunk(l, u, &times);
	stack_times(l, u, &times);
}

int unet_build(struct unet *u, struct weights *files, struct error *err)
{
	const struct unet_config *c = &u->config;
	struct loader l = {.files = files, .set = &u->set, .err = err};
	struct time_stack times = {0};
	int top = c->channels[0];
	build_trunk(&l, u, &times);
	int next_skip = u->skip_count;
	/* After a failure not all skips are there that the way up takes. */
	for (int i = 0; i < c->levels && !l.status; i++)
		build_up(&l, u, &times, i, &next_skip);
	load_norm(&l, &u->norm_out, top, c->groups, c->epsilon, "conv_norm_out");
	load_conv(&l, &u->conv_out, c->out_channels, top, c->conv_out_kernel, 0, "conv_out");
	stack_times(&l, u, &times);
	return loader_end(&l);
}

static void build_stage_motion(struct loader *l, struct unet *u, struct unet_stage *s, int level,
			       const char *prefix)
{
	char name[WEIGHT_NAME_MAX];
	for (int i = 0; i < s->count; i++) {
		weight_name(name, "%s.motion_modules.%d", prefix, i);
		motion_load(l, &s->layers[i].motion, &u->motion, s->channels,
			    u->motion.transformer_layers[level], name);
	}
}

int unet_build_motion(struct unet *u, struct weights *files, struct error *err)
{
	struct loader l = {.files = files, .set = &u->set, .err = err};
	int levels = u->config.levels;
	char name[WEIGHT_NAME_MAX];
	for (int i = 0; i < levels; i++) {
		weight_name(name, "down_blocks.%d", i);
		build_stage_motion(&l, u, &u->down[i], i, name);
		weight_name(name, "up_blocks.%d", i);
		build_stage_motion(&l, u, &u->up[i], levels - 1 - i, name);
	}
	if (u->motion.mid_transformer_layers > 0 && u->config.middle == MIDDLE_ATTENTION)
		motion_load(&l, &u->mid_motion, &u->motion, u->config.channels[levels - 1],
			    u->motion.mid_transformer_layers, "mid_block.motion_modules.0");
	return loader_end(&l);
}

static void clear_stage(struct unet_stage *s)
{
	for (int i = 0; i < s->count; i++) {
		transformer_clear(&s->layers[i].attention);
		motion_clear(&s->layers[i].motion);
	}
	free(s->layers);
}

void unet_clear(struct unet *u)
{
	weight_set_clear(&u->set);
	transformer_clear(&u->mid_attention);
	motion_clear(&u->mid_motion);
	for (int i = 0; i < CONFIG_LEVELS_MAX; i++) {
		clear_stage(&u->down[i]);
		clear_stage(&u->up[i]);
	}
}

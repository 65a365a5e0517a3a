/* The networks that steer a run by pictures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/control.h"
#include "diffusion/run_internal.h"

static double end_of(const struct run_control *c)
{
	return c->end != 0 ? c->end : 1;
}

static int check_numbers(const struct run_params *p, struct error *err)
{
	if (p->control_count < 0 || p->control_count > RUN_CONTROLS_MAX)
		return error_set(err, SUMI_INVALID, "controls: %d of them, allowed are up to %d",
				 p->control_count, RUN_CONTROLS_MAX);
	if (p->control_count > 0 && p->window)
		return error_set(err, SUMI_INVALID, "controls do not go together with windows");
	for (int i = 0; i < p->control_count; i++) {
		const struct run_control *c = &p->controls[i];
		if (!isfinite(c->strength))
			return error_set(err, SUMI_INVALID, "control %d: its strength must be a number",
					 i + 1);
		if (!(c->start >= 0 && end_of(c) <= 1 && c->start < end_of(c)))
			return error_set(err, SUMI_INVALID,
					 "control %d: from %g to %g: start and end are parts of the run, 0 "
					 "to 1, the start before the end",
					 i + 1, c->start, end_of(c));
	}
	return SUMI_OK;
}

/* Of one that is joined to another. */
static int check_joined(const struct run_params *p, const struct control_use *uses, int i, struct error *err)
{
	const struct run_control *c = &p->controls[i];
	if (!c->joined)
		return SUMI_OK;
	if (i == 0 || !uses[i].control->look || strcmp(c->path, c[-1].path) != 0)
		return error_set(err, SUMI_INVALID, "joined: there is no picture of the same IP-Adapter before it");
	if (c->mask || c->strength != 1 || c->start != 0 || end_of(c) != 1)
		return error_set(err, SUMI_INVALID,
				 "joined: strength, start, end and mask are those of the picture before it");
	return SUMI_OK;
}

int run_check_controls(const struct pack_info *info, const struct run_params *p, struct error *err)
{
	struct denoiser *denoiser = NULL;
	struct control_use uses[RUN_CONTROLS_MAX];
	int status = check_numbers(p, err);
	if (status || p->control_count == 0 || (status = run_read_controls(p, uses, err)))
		return status;
	status = denoiser_open(info->family->denoiser, NULL, info, pack_denoiser_part(info, p->fast),
			       &denoiser, err);
	for (int i = 0; i < p->control_count && !status; i++)
		if ((status = denoiser_takes(denoiser, uses[i].control, err)) ||
		    (status = control_check_use(uses[i].control, p->controls[i].guess,
						p->controls[i].mask != NULL, p->controls[i].kind, err)) ||
		    (status = check_joined(p, uses, i, err)))
			error_prefix(err, "%s", p->controls[i].path);
	run_drop_controls(uses, p->control_count);
	denoiser_close(denoiser);
	return status;
}

int run_read_controls(const struct run_params *p, struct control_use uses[RUN_CONTROLS_MAX],
		      struct error *err)
{
	for (int i = 0; i < p->control_count; i++)
		uses[i] = (struct control_use){.strength = p->controls[i].strength,
					       .mask = p->controls[i].mask};
	for (int i = 0; i < p->control_count; i++) {
		int status = control_open(NULL, p->controls[i].path, p->controls[i].encoder,
					  &uses[i].control, err);
		if (status) {
			run_drop_controls(uses, p->control_count);
			return status;
		}
	}
	return SUMI_OK;
}

void run_drop_controls(struct control_use *uses, int count)
{
	for (int i = 0; i < count; i++)
		control_close(uses[i].control);
}

uint64_t run_control_bytes(const struct pack *pack, const struct run_params *p)
{
	struct control_use uses[RUN_CONTROLS_MAX];
	uint64_t bytes = 0;
	if (run_read_controls(p, uses, NULL))
		return 0;
	for (int i = 0; i < p->control_count; i++) {
		const struct look *look = uses[i].control->look;
		bool there = pack && pack_has_control(pack, p->controls[i].path, p->controls[i].encoder);
		bytes += there ? 0 : uses[i].control->bytes;
		bytes += look ? look->encoder_bytes : 0; /* it comes for a new picture, and goes again */
	}
	run_drop_controls(uses, p->control_count);
	return bytes;
}

/* Texts that change prepare the denoiser anew, when what was shown at the beginning is gone. */
static int keep_shown(struct run *run, int index, struct error *err)
{
	struct control_use *use = &run->controls[index];
	size_t values = control_picture_values(use);
	size_t pixels = use->mask ? (size_t)use->height * (size_t)use->width : 0;
	if (!run->telling || !use->picture)
		return SUMI_OK;
	float *copy = run->control_shown[index] = malloc((values + pixels) * sizeof *copy);
	if (!copy)
		return error_set(err, SUMI_NOMEM, "no memory for the pictures of controls");
	memcpy(copy, use->picture, values * sizeof *copy);
	use->picture = copy;
	if (!use->mask)
		return SUMI_OK;
	memcpy(copy + values, use->mask, pixels * sizeof *copy);
	use->mask = copy + values;
	return SUMI_OK;
}

int run_take_controls(struct run *run, const struct run_params *p, struct error *err)
{
	for (int i = 0; i < p->control_count; i++) {
		const struct run_control *c = &p->controls[i];
		struct control_use *use = &run->controls[i];
		*use = (struct control_use){.picture = c->picture,
					    .mask = c->mask,
					    .kind = c->kind,
					    .joined = c->joined,
					    .height = c->height,
					    .width = c->width,
					    .strength = c->strength,
					    .start = c->start,
					    .end = end_of(c),
					    .guess = c->guess};
		int status = pack_control_take(run->pack, c->path, c->encoder, &use->control, err);
		if (status)
			return status;
		run->control_count++;
		if ((status = keep_shown(run, i, err)))
			return status;
	}
	return SUMI_OK;
}

void run_give_controls(struct run *run)
{
	for (int i = 0; i < run->control_count; i++) {
		pack_control_give(run->pack, run->controls[i].control);
		free(run->control_shown[i]);
		run->control_shown[i] = NULL;
	}
	run->control_count = 0;
}

json_t *run_controls_json(const struct run *run)
{
	json_t *list = run->control_count ? json_array() : NULL;
	for (int i = 0; i < run->control_count; i++) {
		const struct control *c = run->controls[i].control;
		json_array_append_new(list, json_pack("{s:s, s:s, s:s*}", "kind", control_word(c), "sha256",
						      c->sha256, "encoder_sha256",
						      c->look ? c->look->encoder_sha256 : NULL));
	}
	return list;
}

void run_controls_identity(const struct run *run, struct bytes_writer *out)
{
	for (int i = 0; i < run->control_count; i++) {
		const struct control_use *c = &run->controls[i];
		size_t count = control_picture_values(c), pixels = (size_t)c->height * (size_t)c->width;
		bytes_put(out, c->control->sha256, SHA256_HEX_SIZE - 1);
		bytes_put_u64(out, bytes_hash(BYTES_HASH_START, c->picture, count * sizeof(float)));
		bytes_put_f64(out, c->strength);
		bytes_put_f64(out, c->start);
		bytes_put_f64(out, c->end);
		bytes_put_u32(out, c->guess);
		if (c->control->look)
			bytes_put(out, c->control->look->encoder_sha256, SHA256_HEX_SIZE - 1);
		if (c->joined)
			bytes_put_u32(out, c->joined);
		if (c->control->net_config.kinds)
			bytes_put_u32(out, (uint32_t)c->kind);
		if (c->mask)
			bytes_put_u64(out, bytes_hash(BYTES_HASH_START, c->mask, pixels * sizeof(float)));
	}
}

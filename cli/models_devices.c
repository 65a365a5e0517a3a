/* What a model takes on each device of this machine, and how fast it is expected to be there. */
#include "cli/models_devices.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/guarded.h"
#include "diffusion/run.h"
#include "hub/plan.h"

enum { DEVICES = 16, JOBS = 48, RATES = 16 };

/* ---- a product on each device ---- */

enum { ROWS = 1024, WIDTH = 1280, PRODUCT_MS = 150 };

/* What a process of its own finds out: drivers may crash. */
struct probe {
	struct device_info info[DEVICES];
	bool wanted[DEVICES];
	double rate[DEVICES]; /* multiplications a second; 0: not known */
	int count;
	struct error err;
};

static int multiply(struct device *d, struct linear_args *a, double *rate, struct error *err)
{
	int status = device_linear(d, a, err);
	if (!status)
		status = device_sync(d, err);
	for (int64_t end = clock_mono_us() + PRODUCT_MS * 1000; !status && clock_mono_us() < end;) {
		int64_t start = clock_mono_us();
		enum { TIMES = 4 };
		for (int i = 0; i < TIMES && !status; i++)
			status = device_linear(d, a, err);
		if (!status)
			status = device_sync(d, err);
		double s = (double)(clock_mono_us() - start) / 1e6;
		double now = s > 0 ? (double)ROWS * WIDTH * WIDTH * TIMES / s : 0;
		*rate = now > *rate ? now : *rate;
	}
	return status;
}

/* A linear layer of usual size, in the precision that is usual there. */
static int try_device(const char *selector, double *rate, struct error *err)
{
	struct device *d = NULL;
	struct buffer *x = NULL, *y = NULL;
	struct weight *w = NULL;
	uint16_t *half = calloc((size_t)WIDTH * WIDTH, sizeof *half);
	int status = half ? device_open(selector, &d, err) : error_set(err, SUMI_NOMEM, "out of memory");
	if (status) {
		free(half);
		return status;
	}
	const struct weight_desc desc = {.data = half, .dtype = DTYPE_F16, .cout = WIDTH, .cin = WIDTH, .kernel = 1};
	enum dtype dtype = d->activation_dtype;
	size_t bytes = (size_t)ROWS * WIDTH * dtype_size(dtype);
	void *zeros = calloc(1, bytes);
	status = zeros ? device_set_precision(d, device_usual_precision(d), err)
		       : error_set(err, SUMI_NOMEM, "out of memory");
	if (!status && !(status = device_weight_new(d, &desc, &w, err)) &&
	    !(status = device_buffer_of(d, zeros, bytes, &x, err)) &&
	    !(status = device_buffer_new(d, bytes, &y, err))) {
		struct tensor in = {.buffer = x, .rows = ROWS, .c = WIDTH, .ld = WIDTH, .dtype = dtype}, out = in;
		out.buffer = y;
		struct linear_args a = {.x = in, .y = out, .n = 1, .weight = w};
		status = multiply(d, &a, rate, err);
	}
	device_buffer_free(d, x);
	device_buffer_free(d, y);
	device_weight_free(d, w);
	device_close(d);
	free(zeros);
	free(half);
	return status;
}

static int list_devices(void *context)
{
	struct probe *p = context;
	p->count = device_list(p->info, DEVICES, &p->err);
	return guarded_again() ? EXIT_FAILED : EXIT_OK;
}

static int try_devices(void *context)
{
	struct probe *p = context;
	for (int i = 0; i < p->count && i < DEVICES; i++)
		if (p->wanted[i] && try_device(p->info[i].selector, &p->rate[i], &p->err))
			p->rate[i] = 0;
	return guarded_again() ? EXIT_FAILED : EXIT_OK;
}

/* ---- jobs that have finished ---- */

/* What jobs of one model told of each device. */
struct history {
	struct rates {
		double rate[RATES], decode[RATES]; /* multiplications a second; seconds a pixel, or 0 */
		int count;
	} of[DEVICES];
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	if (count)
		qsort(values, (size_t)count, sizeof *values, by_value);
	return count ? values[count / 2] : 0;
}

/* How often such a job asked its model; 0: it is none that tells. */
static int calls_of(const struct pack_info *info, const json_t *made, const struct run_params *params)
{
	static const char *const others[] = {"deep_cache", "window", "init", "controls", "hires", "refiner", "frames"};
	int calls = 0;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (json_object_get(made, others[i]))
			return 0;
	return params->steps > 0 && !run_calls(info, params, &calls, NULL) ? calls : 0;
}

/* What one job took: seconds of its steps for so many multiplications. */
static void add_job(struct history *h, const struct probe *p, const struct pack_info *info,
		    const struct store_attempt *attempt, const json_t *made, int variants)
{
	json_t *timings = attempt->timings ? json_loads(attempt->timings, 0, NULL) : NULL;
	double steps = json_number_value(json_object_get(timings, "steps")) / 1000;
	double decode = json_number_value(json_object_get(timings, "decode")) / 1000;
	struct run_params params = {.width = (int)json_integer_value(json_object_get(made, "width")),
				    .height = (int)json_integer_value(json_object_get(made, "height")),
				    .frames = 1,
				    .steps = (int)json_integer_value(json_object_get(made, "steps")),
				    .sampler = json_string_value(json_object_get(made, "sampler")),
				    .cfg_scale = json_number_value(json_object_get(made, "cfg_scale"))};
	double products = (double)run_products(info, &params) * calls_of(info, made, &params) * variants;
	double pixels = (double)params.width * params.height * variants;
	json_decref(timings);
	for (int i = 0; i < p->count && i < DEVICES && steps > 0 && products > 0 && pixels > 0; i++) {
		struct rates *r = &h->of[i];
		if (attempt->device && strcmp(attempt->device, p->info[i].name) == 0 && r->count < RATES) {
			r->decode[r->count] = decode / pixels;
			r->rate[r->count++] = products / steps;
		}
	}
}

/* One attempt made all of it, here. */
static void look_at_job(struct history *h, const struct probe *p, const struct pack_info *info,
			struct store *store, const struct store_job *job)
{
	struct store_attempt *attempts = NULL;
	struct store_artifact *artifacts = NULL;
	size_t count = 0, files = 0, pictures = 0;
	json_t *made = NULL;
	if (store_attempts(store, job->id, &attempts, &count, NULL) || count != 1 ||
	    store_artifacts(store, job->id, false, &artifacts, &files, NULL))
		goto done;
	for (size_t i = 0; i < files; i++)
		if (strcmp(artifacts[i].role, "main") == 0 && pictures++ == 0 && artifacts[i].metadata)
			made = json_loads(artifacts[i].metadata, 0, NULL);
	if (made)
		add_job(h, p, info, attempts, made, (int)pictures);
done:
	json_decref(made);
	store_artifacts_free(artifacts, files);
	store_attempts_free(attempts, count);
}

/* model NULL: those of any model that is still here. */
static void read_history(struct history *h, const struct probe *p, struct store *store,
			 const struct catalogue *c, const struct pack_info *model)
{
	const struct store_filter filter = {.state = "done", .modality = "image",
					    .model = model ? model->name : NULL, .limit = JOBS};
	struct store_page page = {0};
	*h = (struct history){0};
	if (!store || store_list(store, &filter, &page, NULL))
		return;
	for (size_t k = 0; k < page.count; k++)
		for (int i = 0; i < c->count; i++)
			if (page.jobs[k].model && strcmp(page.jobs[k].model, c->packs[i].name) == 0)
				look_at_job(h, p, &c->packs[i], store, &page.jobs[k]);
	store_page_free(&page);
}

/* ---- a device's row ---- */

struct speed {
	double rate, decode; /* as in struct rates */
	char from[80];
};

static json_t *row_of(const struct device_info *d, const struct pack_info *p, const struct run_params *usual,
		      const struct speed *speed)
{
	struct pack_weight w;
	pack_weigh(p, &w);
	uint64_t step = run_memory(p, usual), room = d->memory ? d->memory : UINT64_MAX;
	uint64_t limit = d->is_cpu ? memory_limit() : UINT64_MAX, products = run_products(p, usual);
	uint64_t all = w.texts + w.denoiser + w.codec + step;
	uint64_t turn = w.codec + (w.texts > w.denoiser + step ? w.texts : w.denoiser + step);
	room = room < limit ? room : limit;
	json_t *o = json_pack("{s:s, s:s, s:I, s:s}", "device", d->selector, "name", d->name, "needs",
			      (json_int_t)(all <= room ? all : turn), "parts",
			      all <= room    ? "together"
			      : turn <= room ? "in turn"
					     : "too large");
	if (room < UINT64_MAX)
		json_object_set_new(o, "memory", json_integer((json_int_t)room));
	if (speed->rate <= 0 || products == 0)
		return o;
	double one = (double)products / speed->rate;
	json_object_set_new(o, "step_seconds", json_real(one));
	json_object_set_new(o, "seconds", json_real(one * usual->steps + speed->decode * usual->width * usual->height));
	json_object_set_new(o, "measured", json_string(speed->from));
	return o;
}

static bool speed_of(struct rates *r, const char *what, struct speed *out)
{
	if (!r->count)
		return false;
	*out = (struct speed){median(r->rate, r->count), median(r->decode, r->count), ""};
	snprintf(out->from, sizeof out->from, "%d finished job%s of %s", r->count, r->count == 1 ? "" : "s", what);
	return true;
}

/* This model's jobs, else those of others, else a product. */
static void find_speeds(struct cli *cli, struct probe *p, const struct catalogue *c,
			const struct pack_info *model, struct speed speeds[DEVICES])
{
	struct store *store = NULL;
	struct history own, others;
	if (cli_store(cli, &store, NULL))
		store = NULL;
	read_history(&own, p, store, c, model);
	read_history(&others, p, store, c, NULL);
	store_close(store);
	bool any = false;
	for (int i = 0; i < p->count && i < DEVICES; i++) {
		p->wanted[i] = !speed_of(&own.of[i], "this model", &speeds[i]) &&
			       !speed_of(&others.of[i], "other models", &speeds[i]) &&
			       strcmp(p->info[i].selector, "reference") != 0; /* it takes minutes for anything */
		any |= p->wanted[i];
	}
	if (any)
		guarded_call(try_devices, p, NULL);
	for (int i = 0; i < p->count && i < DEVICES; i++)
		if (p->wanted[i])
			speeds[i] = (struct speed){p->rate[i], 0, "a product made now, without decoding"};
}

json_t *models_devices(struct cli *cli, const struct catalogue *c, const struct pack_info *p)
{
	struct run_params usual = {.width = p->defaults.width, .height = p->defaults.height, .frames = 1,
				   .steps = p->defaults.steps, .cfg_scale = p->defaults.cfg_scale};
	struct speed speeds[DEVICES] = {{0}};
	struct probe *probe = guarded_memory(sizeof *probe);
	json_t *rows = json_array();
	if (!probe || guarded_call(list_devices, probe, NULL) || probe->count < 0)
		return rows;
	find_speeds(cli, probe, c, p, speeds);
	for (int i = 0; i < probe->count && i < DEVICES; i++)
		if (probe->count == 1 || strcmp(probe->info[i].selector, "reference") != 0)
			json_array_append_new(rows, row_of(&probe->info[i], p, &usual, &speeds[i]));
	return rows;
}

void models_devices_print(const json_t *devices)
{
	size_t i;
	json_t *o;
	json_array_foreach((json_t *)devices, i, o)
	{
		char needs[32], has[32];
		const json_t *memory = json_object_get(o, "memory"), *one = json_object_get(o, "step_seconds");
		plan_size_text((uint64_t)json_integer_value(json_object_get(o, "needs")), needs);
		plan_size_text((uint64_t)json_integer_value(memory), has);
		printf("%-12s %s: needs %s%s%s, its parts %s", json_string_value(json_object_get(o, "device")),
		       json_string_value(json_object_get(o, "name")), needs, memory ? " of " : "", memory ? has : "",
		       json_string_value(json_object_get(o, "parts")));
		if (one)
			printf("; about %.3g s a step, %.3g s in all (%s)", json_number_value(one),
			       json_number_value(json_object_get(o, "seconds")),
			       json_string_value(json_object_get(o, "measured")));
		puts("");
	}
}

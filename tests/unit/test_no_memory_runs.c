/* Memory that runs out while any kind of job is made, with all that steers it: an error each time, nothing
 * leaked, no other bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "base/files.h"
#include "base/hash.h"
#include "diffusion/adapters.h"
#include "diffusion/controls.h"
#include "diffusion/pack.h"
#include "modalities/enlarge.h"
#include "modalities/modality.h"
#include "modalities/request.h"
#include "request/files.h"
#include "request/job.h"
#include "tests/unit/failing_memory.h"

#define VECTORS "tests/vectors/"
#define PICTURE VECTORS "steering/first.png"

/* A models folder made of the vectors. */
static char shelf[] = "/tmp/sumi-no-memory-XXXXXX";
static struct device *device;

struct made {
	const char *name, *pack, *json;
	size_t stride;
	struct job job;
	struct pack *open;
	char bytes[SHA256_HEX_SIZE];
};

/* Fails the test where the first file of a job is not what it was the first time. */
static int take(void *context, const struct output *o, struct error *err)
{
	struct made *m = context;
	char hash[SHA256_HEX_SIZE];
	(void)err;
	if (strcmp(o->role, "main") != 0)
		return SUMI_OK;
	sha256_hex(o->data, o->size, hash);
	if (!m->bytes[0])
		memcpy(m->bytes, hash, sizeof hash);
	if (strcmp(m->bytes, hash) != 0)
		fail_msg("%s: a success with other bytes", m->name);
	return SUMI_OK;
}

static int find_files(struct request_places *places, const struct request *r, struct error *err)
{
	int status = request_places_prepare(places, r, err);
	for (size_t i = 0; !status && i < places->count; i++) {
		memset(places->at[i].sha256, '0' + (int)i, SHA256_HEX_SIZE - 1);
		strcpy(places->at[i].path, PICTURE);
	}
	return status;
}

static int make(void *context, struct error *err)
{
	struct made *m = context;
	struct request r = job_request(&m->job, 0);
	const struct modality *modality = modality_find(r.modality);
	struct sink sink = {.context = m, .output = take};
	struct request_places places = {0};
	struct control_list *networks = NULL;
	struct enlargers enlargers = {0};
	struct generation *g = NULL;
	r.host_packs = r.host_state = shelf;
	int status = controls_find(shelf, shelf, m->job.controls, pack_info_of(m->open), &networks, err);
	if (!status)
		status = enlargers_find(shelf, shelf, NULL, &r, &enlargers, err);
	r.networks = networks;
	r.enlargers = &enlargers;
	if (!status)
		status = find_files(&places, &r, err);
	if (!status)
		status = request_places_put(&places, &r, err);
	if (!status)
		status = modality->resolve(pack_info_of(m->open), &r, err);
	if (!status)
		status = modality->begin(m->open, &r, NULL, 0, &g, err);
	while (!status && g->steps_done < g->steps)
		status = modality->step(g, err);
	if (!status)
		status = modality->finish(g, &sink, err);
	modality->free(g);
	request_places_clear(&places);
	controls_free(networks);
	return status;
}

#define SIDES "\"width\":16,\"height\":16,\"steps\":2,\"seed\":7,"
#define CONTROL(kind, more) "\"controls\":[{\"preprocess\":\"" kind "\",\"image\":\"a\",\"strength\":0.7" more "}]"

#define JOB(what, folder, text, every) {.name = what, .pack = folder, .json = text, .stride = every}

static struct made jobs[] = {
    JOB("a video", "motion-tiny",
	"{\"modality\":\"video\",\"prompt\":\"x\"," SIDES "\"frames\":2}", 389),
    JOB("a clip", "sound-tiny",
	"{\"modality\":\"audio\",\"prompt\":\"x\",\"steps\":2,\"seed\":7,\"duration\":1}", 389),
    JOB("a LoRA", "sd1-tiny",
	"{\"modality\":\"image\",\"prompt\":\"x\"," SIDES "\"loras\":[{\"name\":\"sd1-tiny\"}]}", 241),
    JOB("a ControlNet", "sd1-tiny",
	"{\"modality\":\"image\",\"prompt\":\"x\"," SIDES CONTROL("canny", ",\"model\":\"sd1-a\"") "}", 241),
    JOB("an IP-Adapter", "sd1-tiny",
	"{\"modality\":\"image\",\"prompt\":\"x\"," SIDES CONTROL("like", ",\"model\":\"ip-adapter\"") "}", 241),
    JOB("an upscaler", "sd1-tiny",
	"{\"modality\":\"image\",\"prompt\":\"x\"," SIDES "\"upscale\":2,\"upscaler\":\"compact\"}", 241),
    JOB("a second pass", "sd1-tiny",
	"{\"modality\":\"image\",\"prompt\":\"x\"," SIDES "\"hires\":2}", 241),
    JOB("a part of a picture", "sd1-tiny",
	"{\"modality\":\"image\",\"prompt\":\"x\"," SIDES "\"init\":\"a\",\"mask\":\"b\",\"strength\":0.6}", 241),
    JOB("texts that change", "sd1-tiny",
	"{\"modality\":\"image\",\"prompt\":\"[a:b:0.5] AND c:0.5\"," SIDES "\"deep_cache\":2}", 241),
};

static void test_jobs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
		struct made *m = &jobs[i];
		struct error err = {0};
		struct adapter_list *list = NULL;
		char folder[128];
		const char *all = getenv("SUMI_TEST_ALL");
		snprintf(folder, sizeof folder, VECTORS "%s", m->pack);
		if (job_parse_json(m->json, strlen(m->json), &m->job, &err) ||
		    adapters_find(shelf, shelf, m->job.loras, &list, &err) ||
		    pack_open_with(device, folder, list, NULL, &m->open, &err))
			fail_msg("%s: %s", m->name, err.text);
		assert_true(failing_loop(m->name, all && *all ? 1 : m->stride, make, m) > 50);
		assert_int_equal(strlen(m->bytes), SHA256_HEX_SIZE - 1);
		pack_close(m->open);
		free(list);
		job_clear(&m->job);
	}
}

static void lay(const char *folder, const char *name, const char *source)
{
	char place[256], from[512];
	if (!getcwd(from, sizeof from - 128))
		fail();
	snprintf(from + strlen(from), 128, "/" VECTORS "%s", source);
	snprintf(place, sizeof place, "%s/models/%s", shelf, folder);
	assert_int_equal(files_make_dirs(place, 0700, NULL), SUMI_OK);
	snprintf(place + strlen(place), 128, "/%s", name);
	assert_int_equal(symlink(from, place), 0);
}

static int setup(void **state)
{
	struct error err = {0};
	(void)state;
	if (!mkdtemp(shelf) || device_open("reference", &device, &err))
		return 1;
	lay("controls", "sd1-a", "steering/sd1-a");
	lay("controls", "ip-adapter.safetensors", "looks/base.safetensors");
	lay("image_encoders", "vision", "looks/image_encoder");
	lay("loras", "sd1-tiny.safetensors", "adapters/sd1-tiny.safetensors");
	lay("upscalers", "compact.safetensors", "upscalers/compact.safetensors");
	return 0;
}

static int teardown(void **state)
{
	char command[sizeof shelf + 16];
	(void)state;
	device_close(device);
	snprintf(command, sizeof command, "rm -r %s", shelf);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_jobs)};
	return cmocka_run_group_tests(tests, setup, teardown);
}

/* Memory that runs out at any place: an error each time, nothing leaked, no half result. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "base/hash.h"
#include "diffusion/catalogue.h"
#include "diffusion/family.h"
#include "media/webm.h"
#include "modalities/film_plan.h"
#include "modalities/modality.h"
#include "request/story_travel.h"
#include "storage/blobs.h"
#include "storage/keep.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/redis_fixture.h"
#include "tests/unit/store_helper.h"

#define PACK "tests/vectors/sd1-tiny"

static struct device *device;
static struct pack *pack;
static char texts_hash[SHA256_HEX_SIZE];

/* Fails the test where a text is not the one of the first call. */
static void same(char first[SHA256_HEX_SIZE], const void *data, size_t size, const char *what)
{
	char hash[SHA256_HEX_SIZE];
	sha256_hex(data, size, hash);
	if (!*first)
		memcpy(first, hash, sizeof hash);
	if (strcmp(first, hash) != 0)
		fail_msg("%s: a success with other bytes (%s, first %s)", what, hash, first);
}

static int read_info(void *context, struct error *err)
{
	struct pack_info info;
	int status = pack_info_read(PACK, &info, err);
	if (status)
		return status;
	same(context, info.digest, sizeof info.digest, "the pack's digest");
	pack_info_free(&info);
	return SUMI_OK;
}

static int read_catalogue(void *context, struct error *err)
{
	struct catalogue c;
	int status = catalogue_read("tests/vectors", "/nonexistent", &c, err);
	if (status)
		return status;
	/* A pack that could not be read is told as a problem. */
	char counted[32];
	snprintf(counted, sizeof counted, "%d", c.count + c.problem_count);
	same(context, counted, strlen(counted), "the catalogue");
	catalogue_free(&c);
	return SUMI_OK;
}

static int open_pack(void *context, struct error *err)
{
	struct pack *opened;
	(void)context;
	int status = pack_open(device, PACK, &opened, err);
	if (!status)
		pack_close(opened);
	return status;
}

/* Texts of two encoders, which come for it. */
static int encode_texts(void *context, struct error *err)
{
	static const char *const texts[] = {"fog", "a lone tree"};
	struct conditioner_input in = {.texts = texts, .n = 2, .width = 64, .height = 64};
	struct conditioner *c;
	struct conditions said;
	const struct pack_info *info = context;
	int status = conditioner_open(info->family->conditioner, device, info, &c, err);
	if (status)
		return status;
	if (!(status = conditioner_encode(c, &in, &said, err))) {
		const struct condition *tokens = conditions_get(&said, CONDITION_TOKENS);
		same(texts_hash, tokens->values,
		     2 * (size_t)(tokens->rows * tokens->width) * sizeof(float), "tokens");
		conditions_free(&said);
	}
	conditioner_close(c);
	return status;
}

static int take_output(void *context, const struct output *o, struct error *err)
{
	(void)err;
	same(context, o->data, o->size, o->format);
	return SUMI_OK;
}

struct picture {
	const char *format, *init; /* init: a file, or NULL */
	char bytes[SHA256_HEX_SIZE], state[SHA256_HEX_SIZE];
};

static int make_picture(void *context, struct error *err)
{
	struct picture *p = context;
	const struct modality *m = &modality_image;
	struct sink sink = {.context = p->bytes, .output = take_output};
	struct request r = {.modality = "image",
			    .prompt = "a lone tree",
			    .seed = 7,
			    .steps = 2,
			    .width = 16,
			    .height = 16,
			    .cfg_scale = NAN,
			    .quality = NAN,
			    .mask_blur = NAN,
			    .mask_padding = NAN,
			    .strength = p->init ? 0.6 : NAN,
			    .init = p->init,
			    .init_file = p->init,
			    .format = p->format};
	struct generation *g = NULL;
	void *saved = NULL;
	size_t size;
	int status = m->resolve(pack_info_of(pack), &r, err);
	if (!status)
		status = m->begin(pack, &r, NULL, 0, &g, err);
	if (!status)
		status = m->step(g, err);
	if (!status)
		status = m->save(g, &saved, &size, err);
	if (!status) {
		same(p->state, saved, size, "the saved state");
		m->free(g);
		g = NULL;
		status = m->begin(pack, &r, saved, size, &g, err);
	}
	while (!status && g->steps_done < g->steps)
		status = m->step(g, err);
	if (!status)
		status = m->finish(g, &sink, err);
	m->free(g);
	free(saved);
	return status;
}

static int store_job(void *context, struct error *err)
{
	struct store_options options = {
	    .dir = context, .mode = STORE_WRITE, .reserve = -1, .ballast = -1};
	struct store_job job = {.id = "a", .token = "t", .created = STORE_TEST_TIME, .variants = 1};
	struct store_attempt attempt = {.job = "a", .token = "t"};
	struct store_artifact a = {.job = "a", .role = "main", .format = "webp"};
	struct store_page page = {0};
	struct store_filter filter = {.limit = 10};
	enum store_put outcome;
	struct store *s = NULL;
	int status = store_open(&options, &s, err);
	if (status)
		return status;
	if ((status = store_job_put(s, &job, err)) ||
	    (status = store_attempt_begin(s, &attempt, err)) ||
	    (status = store_artifact_put(s, &a, "bytes", 5, &outcome, err)) ||
	    (status = store_job_stored(s, "a", "t", NULL, STORE_TEST_TIME + 1, err)) ||
	    (status = store_job_visible(s, "a", err)))
		goto done;
	status = store_list(s, &filter, &page, err);
	if (!status && page.count != 1)
		fail_msg("%zu jobs are listed", page.count);
	store_page_free(&page);
done:
	store_close(s);
	return status;
}

/* What a job starts from, kept, found, looked at and swept; and what its results are called. */
static int keep_blobs(void *context, struct error *err)
{
	struct store_options options = {
	    .dir = context, .mode = STORE_WRITE, .reserve = -1, .ballast = -1};
	struct store_report report = {0};
	struct store_collected collected;
	char path[FILES_PATH_MAX], sha256[SHA256_HEX_SIZE], **names = NULL;
	size_t count = 0;
	struct store *s = NULL;
	sha256_hex("bytes", 5, sha256);
	int status = store_open(&options, &s, err);
	if (status)
		return status;
	if ((status = store_blob_put(s, sha256, "bytes", 5, path, err)) ||
	    (status = store_blob_find(s, sha256, path, err)) ||
	    (status = store_check(s, true, &report, err)) ||
	    (status = store_result_names(s, "a", &names, &count, err)))
		goto done;
	if (count != 3 || strcmp(names[0], "a") != 0 || strcmp(names[2], "a-1") != 0)
		fail_msg("%zu names", count);
	status = store_collect(s, -1000, NULL, &collected, err);
	if (!status && collected.blobs != 1)
		fail_msg("%d blobs", collected.blobs);
done:
	store_names_free(names, count);
	store_close(s);
	return status;
}

/* A job that was handed over and then given back with a state, so that there is more to read. */
static int claim_job(void *context, struct error *err)
{
	struct queue_worker worker = fixture_worker("w1");
	struct queue_lease lease = {0};
	(void)context;
	int status = queue_claim(q, &worker, 60000, &lease, err);
	if (status)
		return status;
	assert_string_equal(lease.id, "a");
	assert_string_equal(lease.job.prompt, "fog");
	status = queue_release(q, &lease, "paused", "{\"step\": 1}", err);
	if (status) /* as a worker does */
		assert_int_equal(queue_release(q, &lease, "paused", "{\"step\": 1}", NULL), 0);
	queue_lease_clear(&lease);
	return status;
}

static void test_claims(void **state)
{
	struct error err = {0};
	(void)state;
	fixture_setup(state);
	fixture_submit(q, JOB("a", ""));
	assert_int_equal(claim_job(NULL, &err), SUMI_OK);
	assert_true(failing_loop("a claim", 1, claim_job, NULL) > 2);
	/* Whatever failed, the job is there for who has memory. */
	assert_int_equal(claim_job(NULL, &err), SUMI_OK);
	assert_int_equal(fixture_state(q, "a"), JOB_READY);
	fixture_teardown(state);
}

static void test_packs(void **state)
{
	char digest[SHA256_HEX_SIZE] = "", count[SHA256_HEX_SIZE] = "";
	(void)state;
	assert_true(failing_loop("reading a pack's configs", 1, read_info, digest) > 5);
	assert_true(failing_loop("reading the catalogue", 23, read_catalogue, count) > 50);
}

/* Every how many allocations one fails, of what takes minutes under the sanitizers: `make soak` tries all. */
static size_t stride_of(size_t some)
{
	const char *all = getenv("SUMI_TEST_ALL");
	return all && *all ? 1 : some;
}

static void test_opening(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	size_t stride = stride_of(13);
#else
	size_t stride = 1;
#endif
	(void)state;
	assert_true(failing_loop("opening a pack", stride, open_pack, NULL) > 100);
}

static void test_texts(void **state)
{
	struct pack_info info;
	(void)state;
	assert_int_equal(pack_info_read_plain("tests/vectors/sdxl-tiny", &info, NULL), SUMI_OK);
	assert_true(failing_loop("texts of two encoders", 7, encode_texts, &info) > 20);
	pack_info_free(&info);
}

static void test_pictures(void **state)
{
	size_t stride = stride_of(29);
	struct picture webp = {.format = "webp"}, png = {.format = "png"};
	struct picture from = {.format = "png", .init = "tests/vectors/start.jpg"};
	(void)state;
	assert_true(failing_loop("a picture", stride, make_picture, &webp) > 50);
	assert_true(failing_loop("a PNG", stride, make_picture, &png) > 50);
	assert_true(failing_loop("a picture from another", 5 * stride, make_picture, &from) > 50);
}

/* The sound of a film with one picture of it. */
static int take_over(const uint8_t *data, size_t size, struct error *err)
{
	struct webm_reader *film;
	struct webm *w = NULL;
	struct vp9_options options = {.quality = 90, .fps = 10};
	int64_t ms = 0;
	struct webm_taken taken = {.ms = &ms, .end_ms = 500};
	uint8_t *rgb = NULL, *out = NULL;
	int width = 0, height = 0, status = webm_reader_new(data, size, "film", &film, err);
	if (!status)
		status = webm_reader_sound(film, &taken.sound, err);
	if (!status)
		status = webm_reader_next(film, &rgb, &width, &height, &ms, err);
	if (!status)
		status = webm_new(width, height, &options, &w, err);
	if (!status)
		status = webm_add(w, rgb, false, err);
	if (!status)
		status = webm_finish_taken(w, &taken, NULL, &out, &size, err);
	webm_free(w);
	webm_reader_free(film);
	free(rgb);
	free(out);
	return status;
}

/* Coded, with sound, and what is in it read back. */
static int code_film(void *context, struct error *err)
{
	enum { SIDE = 16, PICTURES = 66 };
	static float samples[4000];
	static uint8_t rgb[SIDE * SIDE * 3];
	struct vp9_options options = {.quality = 50, .fps = 8};
	struct sound sound = {.rate = 8000, .channels = 1, .length = 4000, .samples = samples};
	struct metadata meta = {.infotext = "birds", .json = "{}"};
	struct file_texts texts = {0};
	struct webm *film;
	uint8_t *data = NULL, *first = NULL;
	size_t size;
	int width, height, status = webm_new(SIDE, SIDE, &options, &film, err);
	for (int i = 0; i < PICTURES && !status; i++)
		status = webm_add(film, rgb, false, err);
	if (!status)
		status = webm_finish(film, &sound, 50, &meta, &data, &size, err);
	if (film)
		webm_free(film);
	if (!status)
		status = webm_read_texts(data, size, "film", &texts, err);
	if (!status)
		status = webm_first_picture(data, size, "film", &first, &width, &height, err);
	if (!status)
		status = take_over(data, size, err);
	if (!status)
		same(context, data, size, "a film");
	texts_free(&texts);
	free(first);
	free(data);
	return status;
}

/* Other programs' too. */
static int plan_film(void *context, struct error *err)
{
	static const char *const stories[] = {"seconds: 2\nmood: calm\na.\n\ntransition: travel\nmotion: rain\nb\n",
					      "{\"prompt_map\":{\"0\":\"a\",\"8\":\"(b:1.2)\"},\"head_prompt\":\"h\"}"};
	int status = SUMI_OK;
	char *all = NULL;
	for (int i = 0; i < 2 && !status; i++) {
		json_t *story = NULL, *jobs = NULL;
		status = story_read_any(stories[i], strlen(stories[i]), "s", &story, err);
		struct film_order order = {.story = story, .id = "F"};
		if (!status)
			status = film_plan(&order, &jobs, err);
		all = status || i ? NULL : json_dumps(jobs, JSON_COMPACT);
		if (all)
			same(context, all, strlen(all), "a plan");
		free(all);
		json_decref(jobs);
		json_decref(story);
	}
	return status;
}

static void test_films(void **state)
{
	char film[SHA256_HEX_SIZE] = "", plan[SHA256_HEX_SIZE] = "";
	(void)state;
	assert_true(failing_loop("a film", 2, code_film, film) > 20);
	assert_true(failing_loop("a story", 1, plan_film, plan) > 3);
}

static void test_store(void **state)
{
	(void)state;
	assert_true(failing_loop("a job in the store", 1, store_job, store_test_dir) > 5);
	assert_true(failing_loop("what results are made from", 1, keep_blobs, store_test_dir) > 5);
}

static int setup(void **state)
{
	struct error err = {0};
	(void)state;
	if (device_open("reference", &device, &err) || pack_open(device, PACK, &pack, &err)) {
		print_error("%s\n", err.text);
		return 1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pack_close(pack);
	device_close(device);
	return fixture_stop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_packs),
	    cmocka_unit_test(test_opening),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_pictures),
	    cmocka_unit_test(test_films),
	    cmocka_unit_test_setup_teardown(test_store, store_test_setup, store_test_teardown),
	    cmocka_unit_test(test_claims),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

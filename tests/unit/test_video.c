/* The modality "video": requests, animations and single frames read back, their order, and the
 * promise that an interrupted video is the same video. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "media/metadata_file.h"
#include "media/png.h"
#include "media/webp.h"
#include "diffusion/pack.h"
#include "modalities/modality.h"
#include "check.h"

enum { WIDTH = 32, HEIGHT = 48, ONE = WIDTH * HEIGHT * 3, FILES = 32 };

static struct device *device;
static struct pack *pack, *still_pack;

static struct request request(int frames)
{
	return (struct request){
	    .modality = "video",
	    .prompt = "birds",
	    .seed = 3,
	    .steps = 2,
	    .cfg_scale = NAN,
	    .quality = NAN,
	    .mask_blur = NAN,
	    .mask_padding = NAN,
	    .strength = NAN,
	    .width = WIDTH,
	    .height = HEIGHT,
	    .frames = frames,
	};
}

/* ---- requests ---------------------------------------------------------------------- */

static void check_refused(const struct pack *p, struct request r, const char *says)
{
	struct error err = {0};
	int status = modality_video.resolve(pack_info_of(p), &r, &err);
	if (status != SUMI_INVALID || !strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("status %d, '%s', wanted '%s'", status, err.text, says);
}

static void bad_requests_get_a_clear_line(void **state)
{
	(void)state;
	static const int counts[] = {1, -1, 65, 1 << 30};
	struct request r = request(8);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		check_refused(pack, request(counts[i]), "allowed are 2 to 64");
	r.fps = 61;
	check_refused(pack, r, "fps is 61, allowed are 1 to 60");
	r.fps = -1;
	check_refused(pack, r, "fps");
	r = request(8);
	r.loop_count = 65536;
	check_refused(pack, r, "loop_count");
	r = request(8);
	r.duration = 3;
	check_refused(pack, r, "frames and fps");
	r = request(8);
	r.format = "gif";
	check_refused(pack, r, "webp, png");
	r = request(8);
	r.cfg_scale = INFINITY;
	check_refused(pack, r, "cfg_scale");
	r = request(8);
	r.width = 33;
	check_refused(pack, r, "multiple of 8");
	r = request(8);
	r.height = 1 << 30;
	check_refused(pack, r, "height");
	r = request(8);
	r.prompt = NULL;
	check_refused(pack, r, "prompt");
	r = request(8);
	r.init = "x.png";
	r.strength = 0;
	check_refused(pack, r, "strength");
	check_refused(still_pack, request(8), "motion_adapter");
}

static void open_fields_are_filled(void **state)
{
	(void)state;
	struct error err;
	struct request r = request(0);
	assert_int_equal(modality_video.resolve(pack_info_of(pack), &r, &err), 0);
	assert_int_equal(r.frames, 16);
	assert_int_equal(r.fps, 8);
	assert_string_equal(r.format, "webp");
	struct request again = r;
	assert_int_equal(modality_video.resolve(pack_info_of(pack), &again, &err), 0);
	json_t *once = request_json(&r), *twice = request_json(&again);
	assert_non_null(once);
	assert_true(json_equal(once, twice));
	json_decref(once);
	json_decref(twice);
}

/* ---- generations ------------------------------------------------------------------- */

struct collected {
	uint8_t *data[FILES];
	size_t size[FILES];
	double duration[FILES];
	int count;
	uint8_t *shown[FILES]; /* what sink.frame got */
	int shown_count;
};

static int collect(void *context, const struct output *o, struct error *err)
{
	(void)err;
	struct collected *c = context;
	assert_within(c->count, 0, FILES - 1);
	assert_string_equal(o->role, o->number ? "frame" : "main");
	assert_int_equal(o->number, o->number ? c->count + 1 : 0);
	assert_int_equal(o->width, WIDTH);
	assert_int_equal(o->height, HEIGHT);
	c->data[c->count] = malloc(o->size);
	memcpy(c->data[c->count], o->data, o->size);
	c->size[c->count] = o->size;
	c->duration[c->count++] = o->duration;
	return SUMI_OK;
}

static int watch(void *context, const struct frame *f, struct error *err)
{
	(void)err;
	struct collected *c = context;
	assert_int_equal(f->number, ++c->shown_count);
	assert_within(f->number, 1, f->count);
	assert_int_equal(f->width, WIDTH);
	assert_int_equal(f->height, HEIGHT);
	c->shown[f->number - 1] = malloc(ONE);
	memcpy(c->shown[f->number - 1], f->rgb, ONE);
	return SUMI_OK;
}

static void discard(struct collected *c)
{
	for (int i = 0; i < FILES; i++) {
		free(c->data[i]);
		free(c->shown[i]);
	}
}

static void begin(const struct request *r, const void *saved, size_t size, struct generation **g)
{
	struct error err = {0};
	if (modality_video.begin(pack, r, saved, size, g, &err))
		fail_msg("%s", err.text);
}

/* Runs it, saved and begun anew after each step when interrupted is set. */
static struct collected generate(struct request r, bool interrupted)
{
	struct error err = {0};
	struct generation *g;
	struct collected c = {.count = 0};
	struct sink sink = {.context = &c, .output = collect, .frame = watch};
	if (modality_video.resolve(pack_info_of(pack), &r, &err))
		fail_msg("%s", err.text);
	begin(&r, NULL, 0, &g);
	while (g->steps_done < g->steps) {
		void *saved;
		size_t size;
		assert_int_equal(modality_video.step(g, &err), 0);
		if (!interrupted)
			continue;
		assert_int_equal(modality_video.save(g, &saved, &size, &err), 0);
		modality_video.free(g);
		begin(&r, saved, size, &g);
		free(saved);
	}
	if (modality_video.finish(g, &sink, &err))
		fail_msg("%s", err.text);
	assert_int_equal(c.shown_count, r.frames);
	modality_video.free(g);
	return c;
}

static void check_same(const struct collected *a, const struct collected *b)
{
	assert_int_equal(a->count, b->count);
	for (int i = 0; i < a->count; i++) {
		assert_int_equal(a->size[i], b->size[i]);
		assert_memory_equal(a->data[i], b->data[i], a->size[i]);
	}
}

static void interrupted_videos_are_the_same(void **state)
{
	(void)state;
	static const struct {
		int frames;
		bool loop;
	} cases[] = {{4, false}, {20, false}, {6, true}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct request r = request(cases[i].frames);
		r.loop = cases[i].loop;
		struct collected a = generate(r, false), b = generate(r, true);
		assert_int_equal(a.count, 1);
		check_same(&a, &b);
		discard(&a);
		discard(&b);
	}
}

/* ---- files ------------------------------------------------------------------------- */

/* All frames of an animation, [frames, ONE], which the caller frees. */
static uint8_t *read_animation(const struct collected *c, struct webp_info *info, int *ends)
{
	struct webp_reader *reader;
	struct error err = {0};
	assert_int_equal(c->count, 1);
	if (webp_reader_new(c->data[0], c->size[0], "test", &reader, &err))
		fail_msg("%s", err.text);
	*info = *webp_reader_info(reader);
	assert_int_equal(info->width, WIDTH);
	assert_int_equal(info->height, HEIGHT);
	uint8_t *frames = malloc((size_t)info->frames * ONE);
	for (int f = 0; f < info->frames; f++)
		assert_int_equal(webp_reader_next(reader, frames + (size_t)f * ONE, &ends[f], &err),
				 0);
	assert_int_equal(webp_reader_next(reader, frames, NULL, &err), SUMI_NOTFOUND);
	webp_reader_free(reader);
	return frames;
}

static double mean_difference(const uint8_t *a, const uint8_t *b)
{
	double sum = 0;
	for (int i = 0; i < ONE; i++)
		sum += abs(a[i] - b[i]);
	return sum / ONE;
}

/* Lossless and lossy, forwards, backwards, there and back: every frame is the one that was
 * decoded for its place, and stands as long as it should. */
static void animations_hold_their_frames(void **state)
{
	enum { FRAMES = 6 };
	(void)state;
	for (int k = 0; k < 8; k++) {
		struct request r = request(FRAMES);
		struct webp_info info;
		int ends[2 * FRAMES], shown = k & 4 ? 2 * FRAMES - 2 : FRAMES;
		r.lossless = k & 1;
		r.reverse = k & 2;
		r.boomerang = k & 4;
		r.fps = 10;
		r.loop_count = k;
		struct collected c = generate(r, false);
		uint8_t *frames = read_animation(&c, &info, ends);
		assert_int_equal(info.frames, shown);
		assert_int_equal(info.loop_count, k);
		assert_int_equal(info.duration_ms, 100 * shown);
		assert_true(fabs(c.duration[0] - 0.1 * shown) < 1e-9);
		for (int f = 0; f < shown; f++) {
			int same = f < FRAMES ? f : 2 * FRAMES - 2 - f;
			double d = mean_difference(frames + (size_t)f * ONE, c.shown[same]);
			assert_int_equal(ends[f], 100 * (f + 1));
			double other =
			    mean_difference(frames + (size_t)f * ONE, c.shown[(same + 1) % FRAMES]);
			assert_true(r.lossless ? d == 0 : d < other / 2);
		}
		free(frames);
		discard(&c);
	}
}

static void backwards_is_the_other_order(void **state)
{
	enum { FRAMES = 4 };
	(void)state;
	struct request r = request(FRAMES);
	struct collected forwards = generate(r, false);
	r.reverse = true;
	struct collected backwards = generate(r, false);
	for (int f = 0; f < FRAMES; f++)
		assert_memory_equal(forwards.shown[f], backwards.shown[FRAMES - 1 - f], ONE);
	assert_true(mean_difference(forwards.shown[0], forwards.shown[1]) > 1);
	discard(&forwards);
	discard(&backwards);
}

/* Rates that milliseconds do not divide keep the whole video's length. */
static void odd_rates_keep_the_time(void **state)
{
	(void)state;
	static const int rates[] = {1, 7, 24, 30, 60};
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct request r = request(6);
		struct webp_info info;
		int ends[6];
		r.fps = rates[i];
		struct collected c = generate(r, false);
		free(read_animation(&c, &info, ends));
		assert_int_equal(info.frames, 6);
		for (int f = 0; f < 6; f++)
			assert_int_equal(ends[f], lround(1000.0 * (f + 1) / rates[i]));
		discard(&c);
	}
}

/* One PNG a frame, with the pixels that a lossless animation has. */
static void frames_come_as_files(void **state)
{
	enum { FRAMES = 4 };
	(void)state;
	struct request r = request(FRAMES);
	struct error err = {0};
	r.format = "png";
	r.boomerang = true;
	struct collected c = generate(r, false);
	assert_int_equal(c.count, 2 * FRAMES - 2);
	for (int f = 0; f < c.count; f++) {
		int width, height, same = f < FRAMES ? f : 2 * FRAMES - 2 - f;
		struct metadata meta = {NULL, NULL};
		uint8_t *rgb;
		assert_int_equal(
		    png_decode(c.data[f], c.size[f], "test", &rgb, &width, &height, &err), 0);
		assert_memory_equal(rgb, c.shown[same], ONE);
		assert_int_equal(metadata_read(c.data[f], c.size[f], "test", &meta, &err), 0);
		assert_non_null(strstr(meta.json, "\"boomerang\":true"));
		metadata_free(&meta);
		free(rgb);
	}
	discard(&c);
}

/* ---- starting from a picture ------------------------------------------------------- */

static void check_init_refused(const char *path, const char *says)
{
	struct error err = {0};
	struct generation *g = NULL;
	struct request r = request(4);
	r.init = path;
	r.init_file = path;
	r.strength = 0.5;
	assert_int_equal(modality_video.resolve(pack_info_of(pack), &r, &err), 0);
	int status = modality_video.begin(pack, &r, NULL, 0, &g, &err);
	if (status == 0 || !strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("%s: status %d, '%s', wanted '%s'", path, status, err.text, says);
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

static void pictures_to_start_from(void **state)
{
	(void)state;
	char folder[] = "/tmp/sumi-video-XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/a.webp", folder);
	check_init_refused("/none.png", "none.png");
	write_file(path, "no picture at all", 17);
	check_init_refused(path, "a.webp");
	/* A header that says 16383 × 16383: more than is decoded. */
	static const uint8_t huge[] = {'R', 'I', 'F', 'F', 22,   0,    0,  0,    'W',  'E',
				       'B', 'P', 'V', 'P', '8',  'X',  10, 0,    0,    0,
				       0,   0,   0,   0,   0xfe, 0x3f, 0,  0xfe, 0x3f, 0};
	write_file(path, huge, sizeof huge);
	check_init_refused(path, "a.webp");

	struct request r = request(4);
	struct collected plain = generate(r, false);
	write_file(path, plain.data[0], plain.size[0] / 2);
	check_init_refused(path, "a.webp");
	/* The first frame of an animation is a picture to start from. */
	write_file(path, plain.data[0], plain.size[0]);
	r.init = path;
	r.init_file = path;
	r.strength = 0.5;
	struct collected a = generate(r, false), b = generate(r, true);
	check_same(&a, &b);
	assert_true(mean_difference(a.shown[0], plain.shown[0]) > 1);
	discard(&plain);
	discard(&a);
	discard(&b);
	unlink(path);
	rmdir(folder);
}

/* What does not fit is refused before init is opened, and the frames share one picture of it. */
static void sizes_are_checked_before_init_is_read(void **state)
{
	(void)state;
	struct error err = {0};
	struct generation *g = NULL;
	struct request r = request(64);
	uint64_t memory = device->info.memory;
	r.width = r.height = 2048;
	r.init = "the input";
	r.init_file = "/none.png";
	r.strength = 0.5;
	assert_int_equal(modality_video.resolve(pack_info_of(pack), &r, &err), 0);
	device->info.memory = 64 << 20;
	assert_int_equal(modality_video.begin(pack, &r, NULL, 0, &g, &err), SUMI_TOOBIG);
	device->info.memory = memory;
	if (!strstr(err.text, "64 frames of 2048x2048"))
		fail_msg("%s", err.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bad_requests_get_a_clear_line),
	    cmocka_unit_test(open_fields_are_filled),
	    cmocka_unit_test(interrupted_videos_are_the_same),
	    cmocka_unit_test(animations_hold_their_frames),
	    cmocka_unit_test(backwards_is_the_other_order),
	    cmocka_unit_test(odd_rates_keep_the_time),
	    cmocka_unit_test(frames_come_as_files),
	    cmocka_unit_test(pictures_to_start_from),
	    cmocka_unit_test(sizes_are_checked_before_init_is_read),
	};
	struct error err = {0};
	if (device_open("opencl:0", &device, &err) && device_open("reference", &device, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (pack_open(device, "tests/vectors/motion-tiny", &pack, &err) ||
	    pack_open(device, "tests/vectors/sd1-tiny", &still_pack, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pack_close(pack);
	pack_close(still_pack);
	device_close(device);
	return failed;
}

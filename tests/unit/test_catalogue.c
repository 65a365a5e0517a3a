/* Packs as they lie about: half of one, pipes among the files, names that nothing can carry. Each
 * is named with its reason, and none hides the good one. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/utf8.h"
#include "diffusion/catalogue.h"
#include "networks/tokenizer.h"
#include "weights/weights.h"

#define VECTORS "tests/vectors/sd1-tiny"

static const char *const parts[] = {"model_index.json", "unet", "text_encoder",
				    "tokenizer",        "vae",  "scheduler"};
enum { PARTS = sizeof parts / sizeof parts[0] };

static char root[64];

__attribute__((format(printf, 1, 2))) static const char *at(const char *format, ...)
{
	static char paths[4][512];
	static int turn;
	char *path = paths[turn = (turn + 1) % 4];
	va_list ap;
	va_start(ap, format);
	int n = snprintf(path, sizeof paths[0], "%s/", root);
	vsnprintf(path + n, sizeof paths[0] - (size_t)n, format, ap);
	va_end(ap);
	return path;
}

static void write_bytes(const char *path, const char *text, size_t size)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

static void link_to(const char *from, const char *to)
{
	char target[PATH_MAX];
	assert_non_null(realpath(from, target));
	assert_int_equal(symlink(target, to), 0);
}

/* A folder whose parts are links to those of a good pack. */
static void make_pack(const char *name)
{
	assert_int_equal(mkdir(at("%s", name), 0700), 0);
	for (int i = 0; i < PARTS; i++) {
		char from[128];
		snprintf(from, sizeof from, VECTORS "/%s", parts[i]);
		link_to(from, at("%s/%s", name, parts[i]));
	}
}

/* Makes a part the pack's own: a folder of links, in which a file can be replaced. */
static void own_part(const char *name, const char *part)
{
	static const char *const files[] = {
	    "config.json", "scheduler_config.json", "vocab.json",
	    "merges.txt",  "model.safetensors",     "diffusion_pytorch_model.safetensors"};
	assert_int_equal(unlink(at("%s/%s", name, part)), 0);
	assert_int_equal(mkdir(at("%s/%s", name, part), 0700), 0);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		char from[256];
		snprintf(from, sizeof from, VECTORS "/%s/%s", part, files[i]);
		if (access(from, F_OK) == 0)
			link_to(from, at("%s/%s/%s", name, part, files[i]));
	}
}

static void remove_tree(const char *path)
{
	char command[600];
	snprintf(command, sizeof command, "rm -r '%s'", path);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/sumi-catalogue-XXXXXX");
	assert_non_null(mkdtemp(root));
	make_pack("good");
	alarm(60); /* who waits for a pipe waits for ever */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	alarm(0);
	remove_tree(root);
	return 0;
}

/* What the catalogue says of the pack called name; NULL: it is listed. The good one always is. */
static const char *problem_of(const char *name, bool plain)
{
	static char text[512];
	struct catalogue c;
	struct error err = {0};
	char path[FILES_PATH_MAX];
	int status = (plain ? catalogue_list : catalogue_read)(root, NULL, &c, &err);
	const char *found = NULL;
	assert_int_equal(status, SUMI_OK);
	assert_int_equal(catalogue_find(&c, "good", path, &err), SUMI_OK);
	for (int i = 0; i < c.problem_count; i++)
		if (strncmp(c.problems[i], root, strlen(root)) == 0 ||
		    strstr(c.problems[i], at("%s/", name))) {
			assert_true(utf8_valid(c.problems[i], strlen(c.problems[i])));
			found = strcpy(text, c.problems[i]);
		}
	assert_true(found || c.problem_count == 0 || !strstr(c.problems[0], root));
	catalogue_free(&c);
	return found;
}

static void expect(const char *name, bool plain, const char *says)
{
	const char *problem = problem_of(name, plain);
	if (!problem || !strstr(problem, says))
		fail_msg("%s: '%s', not '%s'", name, problem ? problem : "(none)", says);
}

static void a_whole_pack_is_listed(void **state)
{
	(void)state;
	assert_null(problem_of("good", false));
	assert_null(problem_of("good", true));
}

/* Files that everybody reads, and those that only the worker does. */
static const struct {
	const char *part, *file;
	bool early;
} opened[] = {
    {".", "sumi.json", true},
    {".", "model_index.json", true},
    {"unet", "config.json", true},
    {"vae", "config.json", true},
    {"scheduler", "scheduler_config.json", true},
    {"text_encoder", "config.json", false},
    {"tokenizer", "vocab.json", false},
    {"tokenizer", "merges.txt", false},
    {"unet", "diffusion_pytorch_model.safetensors", false},
    {"text_encoder", "model.safetensors", false},
    {"vae", "diffusion_pytorch_model.safetensors", false},
};

static void pipes_and_folders_are_no_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * (sizeof opened / sizeof opened[0]); i++) {
		const char *part = opened[i / 2].part, *file = opened[i / 2].file;
		make_pack("bad");
		if (strcmp(part, ".") != 0)
			own_part("bad", part);
		const char *path = at("bad/%s/%s", part, file);
		unlink(path);
		assert_int_equal(i % 2 ? mkdir(path, 0700) : mkfifo(path, 0600), 0);
		expect("bad", false, "is not a regular file");
		if (opened[i / 2].early)
			expect("bad", true, "is not a regular file");
		remove_tree(at("bad"));
	}
}

static void half_a_pack_says_what_it_lacks(void **state)
{
	(void)state;
	make_pack("half");
	unlink(at("half/model_index.json"));
	expect("half", true, "half a model pack, it lacks model_index.json");
	own_part("half", "unet");
	unlink(at("half/unet/diffusion_pytorch_model.safetensors"));
	unlink(at("half/vae"));
	expect("half", true,
	       "it lacks model_index.json, unet/diffusion_pytorch_model.safetensors, "
	       "vae/config.json, vae/diffusion_pytorch_model.safetensors");
	/* A download that has come to its second file. */
	write_text(at("half/unet/diffusion_pytorch_model.safetensors.index.json"),
		   "{\"weight_map\": {\"a\": \"x-00001-of-00002.safetensors\"}}");
	expect("half", true, "unet/x-00001-of-00002.safetensors");
	write_text(at("half/sumi.json"), "{\"fast\": {}}");
	link_to(VECTORS "/model_index.json", at("half/model_index.json"));
	link_to(VECTORS "/vae", at("half/vae"));
	unlink(at("half/unet/diffusion_pytorch_model.safetensors.index.json"));
	link_to(VECTORS "/unet/diffusion_pytorch_model.safetensors",
		at("half/unet/diffusion_pytorch_model.safetensors"));
	expect("half", true, "it lacks unet_fast/config.json");
	write_text(at("half/sumi.json"), "{}");
	assert_null(problem_of("half", false));
}

static void places_hold_packs(void **state)
{
	struct catalogue c;
	struct error err;
	char places[256], path[FILES_PATH_MAX];
	(void)state;
	snprintf(places, sizeof places, "%s/nowhere:%s/good:%s", root, root, root);
	assert_int_equal(catalogue_list(places, NULL, &c, &err), SUMI_OK);
	assert_int_equal(catalogue_find(&c, "good", path, &err), SUMI_OK);
	assert_int_equal(c.problem_count, 2);
	assert_non_null(strstr(c.problems[0], "nowhere: No such file"));
	assert_non_null(strstr(c.problems[1], "good is a model pack itself"));
	catalogue_free(&c);
}

/* What ends like a file of weights is asked for without that ending, so no model has it in its name. */
static void names_do_not_end_like_files(void **state)
{
	static const char *const asked[] = {"one", "one.ckpt", "one.CKPT", "one.pt.safetensors", "one.ckpt.gguf"};
	struct catalogue c;
	struct config config;
	struct error err;
	const struct pack_info *pack;
	char path[FILES_PATH_MAX];
	(void)state;
	make_pack("one.ckpt");
	make_pack("two");
	write_text(at("two/sumi.json"), "{\"name\": \"second.pt\"}");
	assert_int_equal(catalogue_list(root, NULL, &c, &err), SUMI_OK);
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		assert_int_equal(catalogue_find(&c, asked[i], path, &err), SUMI_OK);
		assert_string_equal(path, at("one.ckpt"));
	}
	assert_int_equal(catalogue_find(&c, "second.pt", path, &err), SUMI_OK);
	assert_string_equal(catalogue_at(&c, path)->name, "second");
	assert_int_equal(catalogue_find(&c, "one.ckp", path, &err), SUMI_NOTFOUND);
	write_text(at("sumi.conf"), "model_image = one.ckpt\n");
	assert_int_equal(config_load(at("sumi.conf"), &config, &err), SUMI_OK);
	assert_int_equal(catalogue_default(&c, &config, "image", &pack, &err), SUMI_OK);
	assert_string_equal(pack->name, "one");
	catalogue_free(&c);
	make_pack("one"); /* which of both a job means nobody could say */
	expect("one.ckpt", true, "one.ckpt: a model of that name is beside it: ");
	expect("one.ckpt", true, "/one is taken");
}

static void a_cut_weights_file_is_named(void **state)
{
	(void)state;
	char *data;
	size_t size;
	struct error err;
	make_pack("cut");
	own_part("cut", "vae");
	const char *name = "cut/vae/diffusion_pytorch_model.safetensors";
	assert_int_equal(files_read(at("%s", name), 64 << 20, &data, &size, &err), SUMI_OK);
	unlink(at("%s", name));
	write_bytes(at("%s", name), data, size - 100);
	free(data);
	expect("cut", false, "cut short");
}

static void names_are_what_jobs_can_say(void **state)
{
	static const struct {
		const char *name;
		bool fine;
	} cases[] = {
	    {"sd-1.5_fp16+ema:2", true},
	    {"7", true},
	    {"two words", false},
	    {"", false},
	    {"-q", false},
	    {".hidden", false},
	    {"a/b", false},
	    {"\\u001b[31mred", false},
	    {"a\\nb", false},
	    {"\xe5\xa2\xa8", false},
	    {"a,b", false},
	    {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiii"
	     "iiii"
	     "ijjjjj",
	     true}, /* 95 */
	    {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiii"
	     "iiii"
	     "ijjjjjj",
	     false},
	};
	(void)state;
	make_pack("named");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[256];
		snprintf(text, sizeof text, "{\"name\": \"%s\"}", cases[i].name);
		write_text(at("named/sumi.json"), text);
		if (cases[i].fine)
			assert_null(problem_of("named", true));
		else
			expect("named", true, "cannot be a model's name: 1 to 95 of A-Z a-z 0-9");
	}
	unlink(at("named/sumi.json"));
	char from[128];
	strcpy(from, at("named"));
	assert_int_equal(rename(from, at("my model")), 0);
	expect("my model", true, "'my model' cannot be a model's name");
	write_text(at("my model/sumi.json"), "{\"name\": \"mine\"}");
	assert_null(problem_of("my model", true));
}

static void defaults_that_nothing_can_run_are_named(void **state)
{
	static const struct {
		const char *block, *says;
	} cases[] = {
	    {"{\"defaults\": {\"sampler\": \"eulre\"}}",
	     "field 'sampler': unknown sampler 'eulre'"},
	    {"{\"fast\": {\"unet\": \"unet\", \"sampler\": \"x\"}}", "unknown sampler 'x'"},
	    {"{\"defaults\": {\"scheduler\": \"y\"}}", "field 'scheduler': unknown schedule 'y'"},
	    {"{\"modality\": \"\"}", "field 'modality'"},
	    {"{\"modality\": \"a picture that moves\"}", "field 'modality'"},
	};
	(void)state;
	make_pack("odd");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		write_text(at("odd/sumi.json"), cases[i].block);
		expect("odd", true, cases[i].says);
	}
	write_text(at("odd/sumi.json"), "{\"defaults\": {\"sampler\": \"DPM++ 2M Karras\"}}");
	struct pack_info info;
	struct error err;
	assert_int_equal(pack_info_read_plain(at("odd"), &info, &err), SUMI_OK);
	assert_string_equal(info.defaults.sampler, "dpmpp_2m");
	assert_string_equal(info.defaults.schedule, "karras");
	pack_info_free(&info);
}

/* ---- what is not as a pack says ---------------------------------------------------- */

static void schedulers_that_nobody_knows_are_noted(void **state)
{
	static const struct {
		const char *file, *manifest, *note, *sampler;
	} cases[] = {
	    {"{\"_class_name\": \"SASolverScheduler\", \"tau_func\": 1}", "{}",
	     "scheduler class 'SASolverScheduler' is not known: sampler euler is taken instead",
	     "euler"},
	    {"{\"_class_name\": \"SASolverScheduler\", \"algorithm_type\": \"data_prediction\"}",
	     "{}", "scheduler class 'SASolverScheduler'", "euler"},
	    {"{\"_class_name\": \"EDMEulerScheduler\"}", "{}", "class 'EDMEulerScheduler'",
	     "euler"},
	    {"{}", "{}", "scheduler class '' is not known", "euler"},
	    {"{\"_class_name\": \"SASolverScheduler\"}", "{\"defaults\": {\"sampler\": \"ddim\"}}",
	     "", "ddim"},
	    {"{\"_class_name\": \"DDIMScheduler\", \"noise_shape\": \"round\"}", "{}",
	     "scheduler option 'noise_shape' is not known: it has no effect", "ddim"},
	    {"{\"_class_name\": \"DDIMScheduler\", \"noise_shape\": null, \"odd\": false}", "{}",
	     "", "ddim"},
	    {"{\"_class_name\": \"EulerDiscreteScheduler\", \"skip_prk_steps\": true}", "{}", "",
	     "euler"},
	    {"{\"_class_name\": \"DDIMScheduler\"}", "{\"defaults\": {\"cfg\": 3}}",
	     "sumi.json: field 'cfg' of 'defaults' is not known", "ddim"},
	    {"{\"_class_name\": \"DDIMScheduler\"}",
	     "{\"fast\": {\"unet\": \"unet\", \"step\": 3}}", "field 'step' of 'fast'", "ddim"},
	    {"{\"_class_name\": \"KDPM2DiscreteScheduler\"}", "{}", "", "dpm2"},
	    {"{\"_class_name\": \"KDPM2AncestralDiscreteScheduler\"}", "{}", "", "dpm2_a"},
	    {"{\"_class_name\": \"LMSDiscreteScheduler\"}", "{}", "", "lms"},
	    {"{\"_class_name\": \"DEISMultistepScheduler\", \"algorithm_type\": \"dpmsolver\"}",
	     "{}", "", "deis"},
	    {"{\"_class_name\": \"DPMSolverSinglestepScheduler\"}", "{}", "", "dpmpp_2s"},
	    {"{\"_class_name\": \"a\\u001b[2Jb\"}", "{}", "class 'a?[2Jb'", "euler"},
	};
	(void)state;
	make_pack("noted");
	own_part("noted", "scheduler");
	unlink(at("noted/scheduler/scheduler_config.json"));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pack_info info;
		struct error err;
		write_text(at("noted/scheduler/scheduler_config.json"), cases[i].file);
		write_text(at("noted/sumi.json"), cases[i].manifest);
		if (pack_info_read_plain(at("noted"), &info, &err))
			fail_msg("%s", err.text);
		if (*cases[i].note ? !strstr(info.note, cases[i].note) : info.note[0])
			fail_msg("%s: '%s'", cases[i].file, info.note);
		assert_string_equal(info.defaults.sampler, cases[i].sampler);
		pack_info_free(&info);
	}
}

/* A model that was chosen is never replaced by another; one that nobody chose may be. */
static void the_default_is_the_one_that_was_chosen(void **state)
{
	static const struct {
		const char *setting, *text, *says; /* NULL: fine */
	} cases[] = {
	    {"", "", NULL},
	    {"model_image", "good", NULL},
	    {"model_image", "ink", NULL},
	    {"model_image", "nobody",
	     "model_image = nobody in sumi.conf: there is no such model for "
	     "image; there are: good, ink"},
	    {"model_image", "ink-music", "model_image = ink-music"},
	    {"model_video", "good",
	     "model_video = good in sumi.conf: there is no such model for video"},
	    {"model_audio", "nobody", "model_audio = nobody"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct catalogue c;
		struct config config;
		struct error err = {0};
		char text[128];
		snprintf(text, sizeof text, "%s%s%s\n", cases[i].setting,
			 *cases[i].setting ? " = " : "", cases[i].text);
		write_text(at("sumi.conf"), text);
		if (config_load(at("sumi.conf"), &config, &err))
			fail_msg("%s", err.text);
		assert_int_equal(catalogue_list(root, NULL, &c, &err), SUMI_OK);
		int status = catalogue_check_defaults(&c, &config, &err);
		assert_int_equal(status, cases[i].says ? SUMI_NOTFOUND : SUMI_OK);
		if (cases[i].says && !strstr(err.text, cases[i].says))
			fail_msg("%s", err.text);
		const struct pack_info *pack;
		const char *modality = *cases[i].setting ? cases[i].setting + 6 : "image";
		assert_int_equal(catalogue_default(&c, &config, modality, &pack, &err), status);
		assert_true(status ? !pack : strcmp(pack->modality, modality) == 0);
		if (!status && *cases[i].text)
			assert_string_equal(pack->name, cases[i].text);
		catalogue_free(&c);
	}
}

/* ---- JSON that expands ------------------------------------------------------------- */

/* open, item again and again until size is reached, close. */
static void write_filled(const char *path, const char *open, const char *item, const char *close,
			 size_t size)
{
	char *text = malloc(size + 256);
	assert_non_null(text);
	size_t n = (size_t)sprintf(text, "%s", open);
	for (int i = 0; n < size; i++)
		n += (size_t)snprintf(text + n, 128, item, i);
	n += (size_t)sprintf(text + n, "%s", close);
	write_bytes(path, text, n);
	free(text);
}

static void each_kind_of_file_has_its_size(void **state)
{
	(void)state;
	make_pack("large");
	write_filled(at("large/sumi.json"), "{\"a\": \"", "%d", "\"}", (1 << 20) + 1);
	expect("large", true, "at most 1048576 are allowed");
	write_filled(at("large/sumi.json"), "{\"a\": [", "[],", "0]}", 1000000);
	expect("large", true, "MiB of memory, at most 16 are allowed");
	write_filled(at("large/sumi.json"), "{\"a\": [", "{},", "0]}", 1000000);
	expect("large", true, "MiB of memory, at most 16 are allowed");
	unlink(at("large/sumi.json"));
	own_part("large", "scheduler");
	unlink(at("large/scheduler/scheduler_config.json"));
	write_filled(at("large/scheduler/scheduler_config.json"), "{\"a\": [", "[],", "0]}",
		     1000000);
	expect("large", true, "at most 16 are allowed");
}

static void vocabularies_have_a_budget(void **state)
{
	static const struct {
		const char *item;
		size_t size;
		const char *says;
	} cases[] = {
	    {"\"%d\": 1,", (16 << 20) + 1, "at most 16777216 are allowed"},
	    {"\"%d\": {},", 16000000, "at most 256 are allowed"},
	    {"\"%d\": [],", 16000000, "at most 256 are allowed"},
	};
	(void)state;
	own_part("good", "tokenizer");
	unlink(at("good/tokenizer/vocab.json"));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tokenizer *t;
		struct error err = {0};
		write_filled(at("good/tokenizer/vocab.json"), "{", cases[i].item, "\"\": 0}",
			     cases[i].size);
		assert_int_equal(tokenizer_open(at("good/tokenizer"), &t, &err), SUMI_TOOBIG);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s", err.text);
	}
}

static void headers_have_a_budget(void **state)
{
	static const struct {
		const char *item, *close, *says;
		size_t size;
	} cases[] = {
	    {"\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},", "\"z\":{}}",
	     "tensors, at most 65536 are allowed", 5000000},
	    {"\"%d\":[],", "\"z\":0}", "MiB of memory", 15000000},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tensor_file *st;
		struct error err = {0};
		write_filled(at("header"), "________{", cases[i].item, cases[i].close,
			     cases[i].size);
		struct stat s;
		assert_int_equal(stat(at("header"), &s), 0);
		uint64_t length = (uint64_t)s.st_size - 8;
		FILE *f = fopen(at("header"), "r+");
		assert_int_equal(fwrite(&length, sizeof length, 1, f), 1);
		fclose(f);
		assert_int_equal(tensors_open(at("header"), &st, &err), SUMI_CORRUPT);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s", err.text);
	}
}

static void weights_of_texts(void **state)
{
	(void)state;
	static const char text[] = "{\"a{[,\\\"\": [{}, \"]\"]}";
	struct json_weight w = json_weigh(text, sizeof text - 1);
	assert_int_equal(w.objects, 2);
	assert_true(w.memory > 500 && w.memory < 2000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_whole_pack_is_listed),
	    TEST(pipes_and_folders_are_no_files),
	    TEST(half_a_pack_says_what_it_lacks),
	    TEST(places_hold_packs),
	    TEST(names_do_not_end_like_files),
	    TEST(a_cut_weights_file_is_named),
	    TEST(names_are_what_jobs_can_say),
	    TEST(defaults_that_nothing_can_run_are_named),
	    TEST(schedulers_that_nobody_knows_are_noted),
	    TEST(the_default_is_the_one_that_was_chosen),
	    TEST(each_kind_of_file_has_its_size),
	    TEST(vocabularies_have_a_budget),
	    TEST(headers_have_a_budget),
	    cmocka_unit_test(weights_of_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

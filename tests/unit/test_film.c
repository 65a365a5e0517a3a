/* Films: stories read and refused, the jobs that become of them, and scenes and clips joined. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/hash.h"
#include "media/ebml.h"
#include "media/wav.h"
#include "media/webp.h"
#include "modalities/film_plan.h"
#include "modalities/film_sound.h"
#include "modalities/modality.h"
#include "request/files.h"
#include "request/job.h"
#include "request/story.h"
#include "request/story_travel.h"
#include "check.h"

enum { SIDE = 16, ONE = SIDE * SIDE * 3, RATE = 8000 };

static char folder[] = "/tmp/sumi-film-XXXXXX";

static void must(int status, const struct error *err)
{
	if (status)
		fail_msg("%s", err->text);
}

/* ---- stories ----------------------------------------------------------------------- */

static json_t *read_text(const char *text)
{
	json_t *story;
	struct error err = {0};
	must(story_read_any(text, strlen(text), "s.txt", &story, &err), &err);
	return story;
}

static void refused(const char *text, const char *says)
{
	json_t *story;
	struct error err = {0};
	int status = story_read_any(text, strlen(text), "s.txt", &story, &err);
	if (!status || !strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("status %d, '%s', wanted '%s'", status, err.text, says);
	json_decref(story);
}

static const json_t *scene_of(const json_t *story, size_t k)
{
	return json_array_get(json_object_get(story, "scenes"), k);
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void a_story_is_read(void **state)
{
	(void)state;
	json_t *story = read_text("\xef\xbb\xbf# mine\r\nTitle: The drop\r\nfps: 10\r\nsize: 32x48\r\n\r\n\r\n"
				  "seconds: 2.5\nMood: calm\ncfg: 3\n  An ink drop\nin water: slowly.  \n\n"
				  "НАСТРОЕНИЕ: dreamy\nпереход: наплыв\nбыстро: да\nбез: люди\nМоре на рассвете.\n\n"
				  "text: Motion: none at all\n# between\nand more\n\n\n");
	const json_t *film = json_object_get(story, "film"), *one = scene_of(story, 0), *two = scene_of(story, 1);
	assert_int_equal(json_array_size(json_object_get(story, "scenes")), 3);
	assert_string_equal(text_of(film, "title"), "The drop");
	assert_true(json_number_value(json_object_get(film, "fps")) == 10);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(film, "job"), "height")), 48);
	assert_string_equal(text_of(one, "text"), "An ink drop in water: slowly.");
	assert_int_equal(json_integer_value(json_object_get(one, "line")), 7);
	assert_true(json_number_value(json_object_get(one, "seconds")) == 2.5);
	assert_true(json_number_value(json_object_get(json_object_get(one, "job"), "cfg_scale")) == 3);
	assert_string_equal(text_of(two, "transition"), "fade");
	assert_string_equal(text_of(two, "mood"), "dreamy");
	assert_string_equal(text_of(two, "text"), "Море на рассвете.");
	assert_string_equal(text_of(json_object_get(two, "job"), "negative_prompt"), "люди");
	assert_true(json_is_true(json_object_get(json_object_get(two, "job"), "fast")));
	assert_string_equal(text_of(scene_of(story, 2), "text"), "Motion: none at all and more");
	json_decref(story);
	/* As one writes numbers in Russian; a text may begin like a sentence, and the first scene come by a cut. */
	story = read_text("секунды: 2,5\nпереход: склейка\nЗима: снег.\nMorning: fog.\n");
	assert_true(json_number_value(json_object_get(scene_of(story, 0), "seconds")) == 2.5);
	assert_string_equal(text_of(scene_of(story, 0), "text"), "Зима: снег. Morning: fog.");
	json_decref(story);
}

/* As keyboards, editors and pages have it: no space behind the colon or one that is none of the keyboard's, a wide colon, marks
 * that nobody sees, lines that end in CR alone. None of it is painted. */
static void fields_are_read_however_they_are_typed(void **state)
{
	(void)state;
	static const char *const calm[] = {"mood:calm\na\n",          "mood\xc2\xa0:\xc2\xa0" "calm\xc2\xa0\na\n", "mood：calm\na\n",
					   "\xe2\x80\x8bmood: calm\na\n", "\xc2\xa0настроение : calm\na\n",        "mood: calm\ra\r"};
	for (size_t i = 0; i < sizeof calm / sizeof *calm; i++) {
		json_t *story = read_text(calm[i]);
		const char *mood = text_of(scene_of(story, 0), "mood");
		if (!mood || strcmp(mood, "calm") != 0 || strcmp(text_of(scene_of(story, 0), "text"), "a") != 0)
			fail_msg("%s: mood '%s', text '%s'", calm[i], mood ? mood : "", text_of(scene_of(story, 0), "text"));
		json_decref(story);
	}
	static const char *const sizes[] = {"32x48", "32X48", "32 × 48", "32х48"};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char text[64];
		snprintf(text, sizeof text, "size:%s\na\n", sizes[i]);
		json_t *story = read_text(text);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(scene_of(story, 0), "job"), "width")), 32);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(scene_of(story, 0), "job"), "height")), 48);
		json_decref(story);
	}
	/* A line that shows nothing ends a paragraph. */
	json_t *story = read_text("a\n\xc2\xa0\xe2\x80\x8b\nb\r\n");
	assert_int_equal(json_array_size(json_object_get(story, "scenes")), 2);
	json_decref(story);
	/* Texts all the same. */
	static const char *const texts[] = {"10:30 at the station", "https://a.example", "Sea:waves", "- two: birds", "\"mood\" of rain", "a:b"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		story = read_text(texts[i]);
		assert_string_equal(text_of(scene_of(story, 0), "text"), texts[i]);
		json_decref(story);
	}
	/* Dressed up it is no field, and no text. */
	static const char *const dressed[] = {"**mood**: calm", "**Mood:** calm", "- mood: calm", "• настроение: calm", "mood = calm",
					      "\"mood\": calm", "> steps: 4", "_negative_ : x"};
	for (size_t i = 0; i < sizeof dressed / sizeof *dressed; i++)
		for (int late = 0; late < 2; late++) {
			char text[64];
			snprintf(text, sizeof text, "%s%s\nb\n", late ? "a\n" : "", dressed[i]);
			refused(text, late ? "s.txt:2: a field is its name" : "s.txt:1: a field is its name");
		}
}

/* An error about a scene's job is told with the line of the field that it names. */
static void errors_of_jobs_have_their_line(void **state)
{
	(void)state;
	static const struct {
		int scene;
		const char *error, *told;
	} cases[] = {{0, "unknown sampler 'x'", "s.txt:5: unknown"}, {0, "width is 100: no", "s.txt:1: width"},
		     {0, "there is no model 'm'", "s.txt:4: there"}, {1, "there is no model 'm'", "s.txt:8: there"},
		     {1, "no remodeling here", "s.txt:8: no"},       {-1, "no memory", "s.txt: no memory"}};
	json_t *story = read_text("size: 100x100\n\nseconds: 2\nmodel: m\nsampler: x\na\n\nb\n");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error err;
		error_set(&err, SUMI_INVALID, "%s", cases[i].error);
		story_blame(story, cases[i].scene < 0 ? NULL : scene_of(story, (size_t)cases[i].scene), &err);
		if (strncmp(err.text, cases[i].told, strlen(cases[i].told)) != 0)
			fail_msg("'%s', wanted '%s'", err.text, cases[i].told);
	}
	json_decref(story);
}

static void wrong_stories_are_refused_with_their_line(void **state)
{
	(void)state;
	refused("", "s.txt: holds no scene");
	refused("title: x\n\n# nothing\n", "s.txt: holds no scene");
	refused("a\n\nseconds: 4\n\nb\n", "s.txt:3: a scene without a text");
	refused("a\n\nsecnds: 4\nb\n", "s.txt:3: there is no field 'secnds' (did you mean 'seconds'");
	refused("\nseconds: long\nb\n", "s.txt:2: seconds is 'long'");
	refused("seconds: 0\nb\n", "allowed are 0.1 to 600");
	refused("seconds: nan\nb\n", "allowed are 0.1 to 600");
	refused("transition: jump\nb\n", "s.txt:1: transition is 'jump': allowed are cut, fade");
	refused("steps: many\nb\n", "s.txt:1: job: field 'steps'");
	refused("size: 5\nb\n", "s.txt:1: size is '5'");
	refused("mood:\nb\n", "field 'mood' has no value");
	refused("a\n\ntitle: late\nb\n", "s.txt:3: field 'title' is of the whole film");
	refused("a\nmood: calm\n", "s.txt:2: field 'mood' stands behind the scene's text");
	refused("a\nb\n\nb\nшаги и шаги\nпереход: склейка\n", "s.txt:6: field 'transition' stands behind");
	refused("a\n\nb \xff\n", "s.txt:3: is not UTF-8");
	refused("настроени: calm\na\n", "s.txt:1: there is no field 'настроени' (did you mean 'настроение'");
	refused("секунда: 4\na\n", "did you mean 'секунды'");
	refused("a\n\nseconds: 4\nmood: calm\nсекунды: 5\nb\n", "s.txt:5: field 'seconds' stands twice: line 3 has it too");
	refused("size: 32x32\nwidth: 64\na\n", "s.txt:2: field 'width' stands twice: line 1");
	refused("title: x\n\n# mine\ntransition: fade\na\n\nb\n", "s.txt:4: transition is 'fade': there is no scene before the first");
	static const char *const of_jobs[] = {"frames: 5", "format: webm", "quality: 3", "reverse: yes", "n: 3", "id: x", "prompt: a",
					      "modality: image", "after: x", "window: 22:00-06:00", "tags: a", "priority: high"};
	for (size_t i = 0; i < sizeof of_jobs / sizeof *of_jobs; i++)
		for (int whole = 0; whole < 2; whole++) {
			char text[80];
			snprintf(text, sizeof text, "%s\n%sa\n", of_jobs[i], whole ? "\n" : "");
			refused(text, "is no field of a story");
		}
	refused("a\n\nb \x1b[2J\n", "s.txt:3: holds a control character");
	refused("сек: 4\na\n", "there is no field 'сек' (did you mean 'секунды'");
	refused("sec: 4\na\n", "there is no field 'sec' (did you mean 'seconds'");
	refused("seconds: 5s\na\n", "seconds is '5s': it is a number alone, 0.1 to 600");
	refused("seconds: 0:05\na\n", "seconds is '0:05': it is a number alone");
	refused("\xff\xfe" "a", "s.txt: is UTF-16: save it as UTF-8");
	json_t *story;
	struct error err;
	assert_int_equal(story_read_any("a\0\n", 4, "s.txt", &story, &err), SUMI_INVALID);
	assert_string_equal(err.text, "s.txt: byte 1 is NUL: a story is plain text, in UTF-8 (not UTF-16)");
}

/* Files of other programs: the first scene's stops as "frame prompt, …", and how many scenes. */
static void check_travel(const char *text, size_t scenes, double seconds, const char *prompt, const char *stops)
{
	json_t *story = read_text(text), *o;
	const json_t *scene = scene_of(story, 0), *job = json_object_get(scene, "job");
	char all[512] = "";
	size_t i, used = 0;
	json_array_foreach(json_object_get(job, "travel"), i, o)
		used += (size_t)snprintf(all + used, sizeof all - used, "%s%d %s", i ? "; " : "",
					 (int)json_integer_value(json_object_get(o, "frame")), text_of(o, "prompt"));
	assert_int_equal(json_array_size(json_object_get(story, "scenes")), scenes);
	assert_true(json_number_value(json_object_get(scene, "seconds")) == seconds);
	assert_string_equal(text_of(scene, "text"), prompt);
	assert_string_equal(all, stops);
	json_decref(story);
}

static void prompt_travel_files_are_read(void **state)
{
	(void)state;
	check_travel("{\"prompt_map\":{\"8\":\"(b:1.2) c\",\"0\":\"a\"},\"prompt_fixed_ratio\":0.75,\"head_prompt\":\"h\","
		     "\"tail_prompt\":\"t\",\"seed\":[7],\"steps\":9,\"scheduler\":\"k_dpmpp_2m\"}",
		     1, 2, "h, a, t", "6 h, a, t; 8 h, b c, t");
	check_travel("{\"prompt\":[\"a (b)\",\"c\"],\"seed\":[18446744073709551615,5],\"n_prompt\":[\"no\"]}", 2, 2, "a (b)", "");
	check_travel("\xef\xbb\xbf{\"0\":\"a\",\"16\":\"b\"}", 1, 4, "a", "16 b");
	check_travel("0: a\r16: b\r", 1, 4, "a", "16 b");
	check_travel("\"0\" :\"spring\",\n\"24\": \"summer\",\n", 1, 5, "spring", "24 summer");
	check_travel("1girl\n0: closed\n 8 : open\n16: smile\nclean\n", 1, 3, "1girl, closed, clean", "8 1girl, open, clean; 16 1girl, "
													"smile, clean");
	check_travel("{\"0\":\"a\",\"40\":\"b\",\"80\":\"c\"}", 2, 5, "a", "39 b");
	json_t *story = read_text("{\"prompt\":[\"a\"],\"seed\":[18446744073709551615],\"path\":\"x.ckpt\"}");
	const json_t *job = json_object_get(scene_of(story, 0), "job");
	assert_string_equal(text_of(job, "seed"), "18446744073709551615");
	assert_string_equal(json_string_value(json_array_get(json_object_get(story, "notes"), 0)), "left out: path: x.ckpt");
	json_decref(story);
	/* What is there and of no use is said. */
	story = read_text("{\"prompt_map\":{\"0\":\"a\"},\"steps\":\"many\",\"guidance_scale\":[],\"seed\":[-5],\"prompt_fixed_ratio\":true}");
	assert_int_equal(json_array_size(json_object_get(story, "notes")), 4);
	assert_string_equal(json_string_value(json_array_get(json_object_get(story, "notes"), 0)), "left out: steps, which is no number");
	json_decref(story);
	story = read_text("{\"prompt_map\":{\"0\":\"a\"},\"seed\":[-1],\"clip_skip\":null}");
	assert_int_equal(json_array_size(json_object_get(story, "notes")), 0);
	json_decref(story);
	refused("{\"prompt_map\":{\"0\":\"a\"},\"prompt_fixed_ratio\":7}", "prompt_fixed_ratio is 7, allowed are 0 to 1");
	/* Not one of them. */
	story = read_text("{red|blue} birds\n");
	assert_string_equal(text_of(scene_of(story, 0), "text"), "{red|blue} birds");
	json_decref(story);
	refused("{\"prompt_map\":{\"x\":\"a\"}}", "'x' is no number of a frame");
	refused("{\"prompt_map\":{\"0\":\"a\",\"100\":\"b\"}}", "one text for more than 64 frames");
	refused("{\"prompt_map\":{\"0\":\"a\",\"1\":\"\"}}", "frame 1: its text has 1 to 8192 bytes");
	refused("{\"prompt\":[]}", "holds no prompt");
	refused("{\"prompt\":[3]}", "prompt 1 is no text");
	refused("{\"prompt_map\":{}}", "holds no prompt");
	refused("{\"a\"", "s.txt:1:");
}

/* ---- jobs -------------------------------------------------------------------------- */

/* The music of a pack with moods of one beat a second, and of none. */
static struct pack_info music(void)
{
	struct pack_info info = {.name = "beats"};
	info.manifest = json_pack("{s:{s:{s:s, s:f}, s:{s:s}}}", "moods", "calm", "prompt", "x", "tempo", 60.0, "free",
				  "prompt", "y");
	return info;
}

static json_t *plan(const char *text, const json_t *given)
{
	struct pack_info info = music();
	struct error err = {0};
	json_t *story = read_text(text), *jobs;
	struct film_order order = {.story = story, .given = given, .id = "F", .music = &info};
	must(film_plan(&order, &jobs, &err), &err);
	json_decref(story);
	json_decref(info.manifest);
	return jobs;
}

static int frames_of(const json_t *jobs, size_t k)
{
	return (int)json_integer_value(json_object_get(json_array_get(jobs, k), "frames"));
}

/* Every job of it is one that the queue takes. */
static void check_jobs(const json_t *jobs)
{
	const json_t *o;
	struct error err = {0};
	size_t i;
	json_array_foreach((json_t *)jobs, i, o)
	{
		struct job job;
		must(job_parse_object(o, &job, &err), &err);
		must(job_check(&job, &err), &err);
		job_clear(&job);
	}
}

static void scenes_end_on_beats(void **state)
{
	(void)state;
	static const char text[] = "fps: 4\nseconds: 2.4\nmood: calm\n\na\n\nb\n\nseconds: 0.3\nc\n\nmood: free\nd\n";
	json_t *jobs = plan(text, NULL), *film = json_array_get(jobs, 6), *clips = json_object_get(film, "music");
	static const int frames[] = {8, 12, 4, 10}; /* 2.4, 4.8 and 5.1 s become 2, 5 and 6 */
	assert_int_equal(json_array_size(jobs), 7);
	check_jobs(jobs);
	for (size_t k = 0; k < 4; k++)
		assert_int_equal(frames_of(jobs, k), frames[k]);
	assert_true(json_number_value(json_object_get(json_array_get(clips, 0), "seconds")) == 6);
	assert_true(json_number_value(json_object_get(json_array_get(clips, 0), "tempo")) == 60);
	assert_null(json_object_get(json_array_get(clips, 1), "tempo"));
	assert_int_equal(json_array_size(json_object_get(film, "after")), 6);
	json_t *again = plan(text, NULL);
	assert_true(json_equal(jobs, again));
	json_decref(again);
	json_decref(jobs);
}

/* A mood is written as a sentence begins. */
static void moods_are_found_in_any_capitals(void **state)
{
	(void)state;
	json_t *jobs = plan("mood: Calm\na\n\nmood: НЕТ\nb\n\nmood: CALM\nc\n\nmood: None\nd\n", NULL);
	assert_int_equal(json_array_size(jobs), 7); /* four scenes, two clips, the film */
	assert_string_equal(text_of(json_array_get(jobs, 4), "mood"), "calm");
	assert_string_equal(text_of(json_array_get(jobs, 5), "mood"), "calm");
	json_decref(jobs);
}

static void fades_are_made_in_addition(void **state)
{
	(void)state;
	json_t *given = json_pack("{s:s, s:i, s:b, s:s, s:i}", "priority", "batch", "steps", 3, "reverse", 1, "format", "webm",
				  "width", 64);
	json_t *jobs = plan("fps: 4\nseconds: 2\n\nsteps: 2\na.\n\ntransition: fade\nmotion: rain\nb.\n\nmood: calm\nbeats\n", given);
	const json_t *film = json_array_get(jobs, 4), *first = json_array_get(jobs, 0), *second = json_array_get(jobs, 1);
	const json_t *clip = json_array_get(json_object_get(film, "music"), 0);
	check_jobs(jobs);
	assert_int_equal(frames_of(jobs, 0), 8 + 4);
	assert_int_equal(frames_of(jobs, 1), 8);
	assert_int_equal(json_integer_value(json_object_get(scene_of(film, 1), "fade")), 4);
	assert_string_equal(text_of(second, "prompt"), "b, rain");
	assert_int_equal(json_integer_value(json_object_get(first, "steps")), 2);
	assert_int_equal(json_integer_value(json_object_get(second, "steps")), 3);
	assert_null(json_object_get(first, "reverse"));
	assert_true(json_is_true(json_object_get(film, "reverse")));
	assert_string_equal(text_of(film, "priority"), "batch");
	assert_string_equal(text_of(json_array_get(jobs, 3), "priority"), "batch");
	assert_null(json_object_get(film, "width"));
	assert_true(json_number_value(json_object_get(clip, "pause")) == 4);
	json_decref(given);
	json_decref(jobs);
}

/* A LoRA that a scene's text names is the scene's: the film, which is called as its texts are, needs none. */
static void a_film_is_called_without_loras(void **state)
{
	(void)state;
	json_t *jobs = plan("a <lora:ink:0.5> bird\n\nb\n", NULL);
	check_jobs(jobs);
	assert_string_equal(text_of(json_array_get(jobs, 0), "prompt"), "a <lora:ink:0.5> bird");
	assert_string_equal(text_of(json_array_get(jobs, 2), "prompt"), "a  bird / b");
	json_decref(jobs);
}

static void seeds_follow_from_texts(void **state)
{
	(void)state;
	json_t *one = plan("a\n\nb\n\na\n", NULL), *other = plan("b\n\na\n", NULL);
	const json_t *seeds[5];
	for (size_t k = 0; k < 5; k++)
		seeds[k] = json_object_get(json_array_get(k < 3 ? one : other, k < 3 ? k : k - 3), "seed");
	assert_true(json_equal(seeds[0], seeds[4]) && json_equal(seeds[1], seeds[3]));
	assert_false(json_equal(seeds[0], seeds[2]));
	json_decref(one);
	json_decref(other);
}

static void scenes_that_travel_are_one_video(void **state)
{
	(void)state;
	static const char text[] = "fps: 4\nseconds: 2\n\nseed: 5\na\n\ntransition: travel\nblend: 0.5\nb\n\ntransition: travel\n"
				   "blend: 9\nseed: 6\nc\n\nd\n\ntransition: fade\ne\n";
	/* a alone to 8, b from 10 to 16, c from 16 + 7 on */
	static const struct {
		int frame;
		const char *prompt;
	} stops[] = {{8, "a"}, {10, "b"}, {16, "b"}, {23, "c"}};
	json_t *jobs = plan(text, NULL), *travel = json_object_get(json_array_get(jobs, 0), "travel");
	check_jobs(jobs);
	assert_int_equal(json_array_size(jobs), 4);
	assert_int_equal(frames_of(jobs, 0), 24);
	assert_int_equal(json_array_size(travel), 4);
	for (size_t i = 0; i < 4; i++) {
		const json_t *o = json_array_get(travel, i);
		assert_int_equal(json_integer_value(json_object_get(o, "frame")), stops[i].frame);
		assert_string_equal(text_of(o, "prompt"), stops[i].prompt);
		assert_null(json_object_get(o, "seed")); /* nobody knows here whether the model's noise may change */
	}
	assert_string_equal(text_of(json_array_get(json_object_get(json_array_get(jobs, 3), "scenes"), 1), "video"), "F.s4");
	json_decref(jobs);
}

static void impossible_films_are_refused(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"seconds: 9\na\n", "s.txt:1: the scene has 72 pictures"},
	    {"a\n\ntransition: travel\nsteps: 4\nb\n", "s.txt:4: field 'steps': a scene that travels"},
	    {"seconds: 5\na\n\ntransition: travel\nseconds: 5\nb\n", "s.txt:1: the scenes that travel from here on have 80"},
	    {"a\n\nmood: loud\nb\n", "s.txt:3: mood is 'loud', model beats has: calm, free"},
	    {"a\n\nseconds: 2\nmood: loud\nb\n", "s.txt:4: mood is 'loud'"},
	    {"title: x\nmood: loud\n\nb\n", "s.txt:2: mood is 'loud'"},
	    {"a\n\nseconds: 1\ntransition: fade\nblend: 3\nb\n", "s.txt:5: blend is 3: the scene that it leads into lasts 1 s"},
	    {"blend: 3\n\na\n\nseconds: 1\ntransition: fade\nb\n", "s.txt:1: blend is 3"},
	    {"size: 64x64\na\n\nb\n\nsteps: 2\nsize: 64x72\nc\n", "s.txt:7: height is 72, the first scene's 64: scenes of a film are of one size"},
	    {"size: 64x64\n\na\n\nupscale: 2\nb\n", "width is 128, the first scene's 64"},
	    {"a\n\nseconds: 0.1\nb\n", "s.txt:3: seconds is 0.1: a scene has 2 pictures at least, 0.25 s at 8 a second"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pack_info info = music();
		struct error err = {0};
		json_t *story = read_text(cases[i][0]), *jobs;
		struct film_order order = {.story = story, .id = "F", .music = &info};
		assert_int_equal(film_plan(&order, &jobs, &err), SUMI_INVALID);
		if (!strstr(err.text, cases[i][1]))
			fail_msg("'%s', wanted '%s'", err.text, cases[i][1]);
		json_decref(story);
		json_decref(info.manifest);
	}
}

/* ---- joining ----------------------------------------------------------------------- */

struct made {
	uint8_t *data;
	size_t size;
	double duration;
	int told;
};

static int keep(void *context, const struct output *o, struct error *err)
{
	struct made *m = context;
	(void)err;
	m->data = malloc(o->size);
	memcpy(m->data, o->data, o->size);
	m->size = o->size;
	m->duration = o->duration;
	return SUMI_OK;
}

static int tell(void *context, const struct frame *frame, struct error *err)
{
	struct made *m = context;
	(void)err;
	m->told += frame->number > 0;
	return SUMI_OK;
}

/* An animation of greys, base, base + 1, …; returns its SHA-256. */
static void put_scene(struct request_place *place, int base, int count)
{
	struct webp_animation_options options = {.picture.lossless = true, .frame_ms = 100};
	struct webp_animation *a;
	struct error err = {0};
	uint8_t rgb[ONE], *data;
	size_t size;
	must(webp_animation_new(SIDE, SIDE, &options, &a, &err), &err);
	for (int i = 0; i < count; i++) {
		memset(rgb, base + i, sizeof rgb);
		must(webp_animation_add(a, rgb, &err), &err);
	}
	must(webp_animation_finish(a, NULL, &data, &size, &err), &err);
	webp_animation_free(a);
	sha256_hex(data, size, place->sha256);
	snprintf(place->path, sizeof place->path, "%s/%d.webp", folder, base);
	must(files_write_durable(place->path, data, size, &err), &err);
	free(data);
}

/* Ticks of so many a minute, the first after so many seconds. */
static struct sound ticks(double seconds, double tempo, double first)
{
	struct sound s;
	struct error err = {0};
	must(sound_new(&s, RATE, 1, (size_t)(seconds * RATE), &err), &err);
	for (double at = first; at < seconds; at += 60 / tempo)
		for (size_t i = 0; i < RATE / 20 && (size_t)(at * RATE) + i < s.length; i++)
			s.samples[(size_t)(at * RATE) + i] = 0.5f * sinf(0.7f * (float)i);
	return s;
}

static void put_clip(struct request_place *place, double tempo, double first)
{
	struct sound s = ticks(3, tempo, first);
	struct error err = {0};
	uint8_t *data;
	size_t size;
	must(wav_encode(&s, NULL, &data, &size, &err), &err);
	sound_free(&s);
	sha256_hex(data, size, place->sha256);
	snprintf(place->path, sizeof place->path, "%s/clip.wav", folder);
	must(files_write_durable(place->path, data, size, &err), &err);
	free(data);
}

/* What becomes of a film job whose scenes are 8 greys from 20 on, and 6 from 100 on. */
static struct made join(const char *fields, bool saved)
{
	char json[512];
	struct job job;
	struct error err = {0};
	struct request_places places = {0};
	struct generation *g = NULL;
	struct made made = {0};
	void *state = NULL;
	size_t size = 0;
	snprintf(json, sizeof json, "{\"modality\":\"film\",\"prompt\":\"x\",\"fps\":4,%s}", fields);
	must(job_parse_json(json, strlen(json), &job, &err), &err);
	struct request r = job_request(&job, 0);
	must(request_places_prepare(&places, &r, &err), &err);
	put_scene(&places.at[0], 20, 8);
	put_scene(&places.at[1], 100, 6);
	if (places.count > 2)
		put_clip(&places.at[2], 60, 0.4);
	must(request_places_put(&places, &r, &err), &err);
	must(modality_film.resolve(NULL, &r, &err), &err);
	must(modality_film.begin(NULL, &r, NULL, 0, &g, &err), &err);
	must(modality_film.step(g, &err), &err);
	if (saved) { /* and gone on with by another process */
		must(modality_film.save(g, &state, &size, &err), &err);
		modality_film.free(g);
		must(modality_film.begin(NULL, &r, state, size, &g, &err), &err);
		assert_int_equal(g->steps_done, g->steps);
		free(state);
	}
	struct sink sink = {.context = &made, .output = keep, .frame = tell};
	must(modality_film.finish(g, &sink, &err), &err);
	modality_film.free(g);
	request_places_clear(&places);
	job_clear(&job);
	return made;
}

#define TWO "\"scenes\":[{\"video\":\"a\"},{\"video\":\"b\",\"fade\":3}]"

/* The grey of each picture of an animation. */
static int greys(const struct made *m, int out[64])
{
	struct webp_reader *r;
	struct error err = {0};
	uint8_t rgb[ONE];
	int n = 0;
	must(webp_reader_new(m->data, m->size, "film", &r, &err), &err);
	while (webp_reader_next(r, rgb, NULL, &err) == SUMI_OK)
		out[n++] = rgb[0];
	webp_reader_free(r);
	return n;
}

static void scenes_are_cut_and_blended(void **state)
{
	(void)state;
	int cut[64], faded[64], back[64];
	struct made a = join("\"format\":\"webp\",\"lossless\":true,\"scenes\":[{\"video\":\"a\"},{\"video\":\"b\"}]", false),
		    b = join("\"format\":\"webp\",\"lossless\":true," TWO, false),
		    c = join("\"format\":\"webp\",\"lossless\":true,\"reverse\":true," TWO, false);
	assert_int_equal(greys(&a, cut), 14);
	assert_int_equal(greys(&b, faded), 11);
	assert_int_equal(greys(&c, back), 11);
	for (int i = 0; i < 14; i++)
		assert_int_equal(cut[i], i < 8 ? 20 + i : 100 + i - 8);
	for (int i = 0; i < 11; i++) {
		int part = i - 4; /* quarters of the later one in the three that blend */
		int want = i < 5 ? 20 + i : i < 8 ? ((20 + i) * (4 - part) + (100 + i - 5) * part + 2) / 4 : 100 + i - 5;
		assert_int_equal(faded[i], want);
		assert_int_equal(back[10 - i], want);
	}
	assert_true(b.duration == 11 / 4.0);
	assert_int_equal(b.told, 3); /* one a second */
	free(a.data);
	free(b.data);
	free(c.data);
}

static void a_film_has_sound(void **state)
{
	(void)state;
	struct made a = join(TWO ",\"music\":[{\"sound\":\"m\",\"tempo\":60}]", false),
		    b = join(TWO ",\"music\":[{\"sound\":\"m\",\"tempo\":60}]", true);
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
	struct ebml_reader file = {.data = a.data, .size = a.size};
	struct ebml_element e;
	int tracks = 0;
	assert_int_equal(ebml_next(&file, &e), 1);
	assert_int_equal(ebml_next(&file, &e), 1);
	for (struct ebml_reader r = ebml_inside(&e); ebml_next(&r, &e) == 1;) {
		struct ebml_reader inner = ebml_inside(&e);
		struct ebml_element t;
		while (e.id == WEBM_TRACKS && ebml_next(&inner, &t) == 1)
			tracks++;
	}
	assert_int_equal(tracks, 2);
	free(a.data);
	free(b.data);
}

static void music_begins_on_a_beat(void **state)
{
	(void)state;
	static const double firsts[] = {0.02, 0.4, 0.71};
	for (int i = 0; i < 3; i++) {
		struct sound s = ticks(6, 60, firsts[i]);
		double found = (double)film_first_beat(&s, 60) / RATE;
		if (fabs(found - firsts[i]) > 0.021)
			fail_msg("the first beat at %g s was found at %g s", firsts[i], found);
		sound_free(&s);
	}
	struct sound silence = ticks(2, 1, 9);
	assert_int_equal(film_first_beat(&silence, 60), 0);
	sound_free(&silence);
}

static void bad_films_are_refused(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"\"scenes\":[{\"video\":\"a\",\"fade\":1},{\"video\":\"b\"}]", "the first scene cannot blend"},
	    {"\"scenes\":[{\"video\":\"a\"},{\"video\":\"b\",\"fade\":9}]", "scene 2 blends 9 pictures: it has 6"},
	    {"\"scenes\":[{\"video\":\"a\",\"frames\":9},{\"video\":\"b\"}]", "scene 1 shall show 9 pictures and has 8"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char json[256];
		struct job job;
		struct error err = {0};
		struct request_places places = {0};
		struct generation *g;
		snprintf(json, sizeof json, "{\"modality\":\"film\",\"prompt\":\"x\",%s}", cases[i][0]);
		must(job_parse_json(json, strlen(json), &job, &err), &err);
		struct request r = job_request(&job, 0);
		must(request_places_prepare(&places, &r, &err), &err);
		put_scene(&places.at[0], 20, 8);
		put_scene(&places.at[1], 100, 6);
		must(request_places_put(&places, &r, &err), &err);
		must(modality_film.resolve(NULL, &r, &err), &err);
		assert_int_equal(modality_film.begin(NULL, &r, NULL, 0, &g, &err), SUMI_INVALID);
		if (!strstr(err.text, cases[i][1]))
			fail_msg("'%s', wanted '%s'", err.text, cases[i][1]);
		request_places_clear(&places);
		job_clear(&job);
	}
	struct error err;
	struct request none = {.quality = NAN};
	assert_int_equal(modality_film.resolve(NULL, &none, &err), SUMI_INVALID);
	assert_int_equal(modality_film.check_file("RIFF", 4, "x", &err), SUMI_UNSUPPORTED);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	files_remove_tree(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_story_is_read),
	    cmocka_unit_test(wrong_stories_are_refused_with_their_line),
	    cmocka_unit_test(errors_of_jobs_have_their_line),
	    cmocka_unit_test(prompt_travel_files_are_read),
	    cmocka_unit_test(fields_are_read_however_they_are_typed),
	    cmocka_unit_test(scenes_end_on_beats),
	    cmocka_unit_test(moods_are_found_in_any_capitals),
	    cmocka_unit_test(fades_are_made_in_addition),
	    cmocka_unit_test(scenes_that_travel_are_one_video),
	    cmocka_unit_test(a_film_is_called_without_loras),
	    cmocka_unit_test(seeds_follow_from_texts),
	    cmocka_unit_test(impossible_films_are_refused),
	    cmocka_unit_test(scenes_are_cut_and_blended),
	    cmocka_unit_test(a_film_has_sound),
	    cmocka_unit_test(music_begins_on_a_beat),
	    cmocka_unit_test(bad_films_are_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

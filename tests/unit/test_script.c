/* Stories that a grammar writes: what they keep of a theme, that the packs know their words, that they are stories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "modalities/film_plan.h"
#include "modalities/script.h"
#include "request/story.h"
#include "check.h"

static struct pack_info motion, music, bare;
static char folder[] = "/tmp/sumi-script-XXXXXX";

static char *script(const char *theme, int scenes, uint64_t seed)
{
	struct script_order order = {.theme = theme, .scenes = scenes, .seed = seed, .video = &motion, .audio = &music};
	struct error err = {0};
	char *text;
	if (script_write(&order, &text, &err))
		fail_msg("%s", err.text);
	return text;
}

static json_t *story_of(const char *text)
{
	json_t *story;
	struct error err = {0};
	if (story_read(text, strlen(text), "s.txt", &story, &err))
		fail_msg("%s in\n%s", err.text, text);
	return story;
}

static bool has_text(const json_t *story, size_t k, const char *words)
{
	const json_t *scene = json_array_get(json_object_get(story, "scenes"), k);
	return strstr(json_string_value(json_object_get(scene, "text")), words);
}

static void a_script_is_a_story_of_its_theme(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		char *text = script("An ink drop remembers the sea", 6, seed);
		json_t *story = story_of(text), *jobs;
		struct error err = {0};
		struct film_order order = {.story = story, .id = "x", .music = &music};
		assert_int_equal(json_array_size(json_object_get(story, "scenes")), 6);
		assert_true(has_text(story, 0, "ink") || has_text(story, 0, "drop"));
		assert_true(has_text(story, 3, "sea") || has_text(story, 3, "sail"));
		assert_non_null(strstr(text, "mood: mysterious"));
		if (film_plan(&order, &jobs, &err))
			fail_msg("%s in\n%s", err.text, text);
		json_decref(jobs);
		json_decref(story);
		free(text);
	}
}

static void the_same_order_gives_the_same_story(void **state)
{
	(void)state;
	char *a = script("mountains", 5, 1), *b = script("mountains", 5, 1), *c = script("mountains", 5, 2);
	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
	free(a);
	free(b);
	free(c);
}

static void what_nobody_paints_is_a_comment(void **state)
{
	(void)state;
	char *text = script("A whale and a lighthouse at night", 4, 0);
	json_t *story = story_of(text);
	assert_non_null(strstr(text, "# \"whale\": no pack here paints this"));
	assert_null(strstr(text, "\"night\""));
	for (size_t k = 0; k < 4; k++)
		assert_false(has_text(story, k, "whale"));
	/* With its sign taken away it is a scene more. */
	char *comment = strstr(text, "# whale");
	assert_non_null(comment);
	memset(comment, ' ', 2);
	json_t *more = story_of(text);
	assert_int_equal(json_array_size(json_object_get(more, "scenes")), 5);
	json_decref(more);
	json_decref(story);
	free(text);
}

static void a_russian_theme_gives_a_russian_story(void **state)
{
	(void)state;
	char *text = script("Лес помнит чернила", 3, 0);
	json_t *story = story_of(text);
	assert_non_null(strstr(text, "секунды: "));
	assert_non_null(strstr(text, "настроение: mysterious"));
	assert_true(has_text(story, 0, "лес") || has_text(story, 0, "троп"));
	json_decref(story);
	free(text);
	text = script("Лес вспоминает чернила", 3, 0);
	assert_non_null(strstr(text, "настроение: mysterious"));
	free(text);
}

static void a_city_is_no_mountain(void **state)
{
	(void)state;
	char *text = script("город", 1, 0);
	assert_non_null(strstr(text, "city (subject)"));
	assert_null(strstr(text, "mountains"));
	free(text);
}

static void a_pack_without_words_is_refused(void **state)
{
	(void)state;
	struct script_order order = {.theme = "sea", .scenes = 3, .video = &bare};
	struct error err = {0};
	char *text, path[FILES_PATH_MAX];
	assert_int_equal(script_write(&order, &text, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "does not say what it can paint"));
	snprintf(path, sizeof path, "%s/words.json", folder);
	static const char *const broken[] = {"[]", "{\"kinds\":[{\"kind\":\"subject\"}]}", "{\"kinds\":[{\"kind\":\"subject\",\"values\":[{}]}]}",
					     "{"};
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		assert_int_equal(files_write_durable(path, broken[i], strlen(broken[i]), &err), 0);
		assert_int_not_equal(script_write(&order, &text, &err), 0);
		assert_null(text);
	}
}

static int set_up(void **state)
{
	(void)state;
	struct error err;
	if (!mkdtemp(folder) || pack_info_read_plain("models/ink-motion", &motion, &err) ||
	    pack_info_read_plain("models/ink-music", &music, &err))
		return -1;
	snprintf(bare.path, sizeof bare.path, "%s", folder);
	snprintf(bare.name, sizeof bare.name, "bare");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pack_info_free(&motion);
	pack_info_free(&music);
	files_remove_tree(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_script_is_a_story_of_its_theme),
	    cmocka_unit_test(the_same_order_gives_the_same_story),
	    cmocka_unit_test(what_nobody_paints_is_a_comment),
	    cmocka_unit_test(a_russian_theme_gives_a_russian_story),
	    cmocka_unit_test(a_city_is_no_mountain),
	    cmocka_unit_test(a_pack_without_words_is_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* The packs in the box: each folder of models/ with a model_index.json must be a pack, say under
 * what licence it stands, and make something of an empty request: a prompt alone, or any mood
 * of its table. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "diffusion/pack.h"
#include "modalities/modality.h"

static struct request nothing(const struct pack_info *info)
{
	return (struct request){
	    .modality = info->modality,
	    .cfg_scale = NAN,
	    .quality = NAN,
	    .mask_blur = NAN,
	    .mask_padding = NAN,
	    .strength = NAN,
	};
}

static void check_resolves(const struct pack_info *info, struct request r)
{
	struct error err = {0};
	const struct modality *m = modality_find(info->modality);
	assert_non_null(m);
	if (m->resolve(info, &r, &err))
		fail_msg("%s: %s", info->path, err.text);
	assert_true(r.steps > 0 && r.width > 0 && r.height > 0);
}

static void check_pack(const char *folder)
{
	struct pack_info info;
	struct error err = {0};
	const char *mood;
	json_t *row;
	if (pack_info_read(folder, &info, &err))
		fail_msg("%s: %s", folder, err.text);
	assert_string_not_equal(info.licence, "");
	struct request r = nothing(&info);
	r.prompt = "x";
	check_resolves(&info, r);
	json_object_foreach(json_object_get(info.manifest, "moods"), mood, row)
	{
		assert_true(json_is_object(row));
		r = nothing(&info);
		r.mood = mood;
		check_resolves(&info, r);
		r.loop = true;
		check_resolves(&info, r);
	}
	pack_info_free(&info);
}

static void packs_in_the_box_are_packs(void **state)
{
	(void)state;
	char path[512];
	int count = 0;
	DIR *models = opendir("models");
	assert_non_null(models);
	for (struct dirent *e; (e = readdir(models));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "models/%.200s/model_index.json", e->d_name);
		if (access(path, R_OK) != 0)
			continue;
		*strrchr(path, '/') = '\0';
		check_pack(path);
		count++;
	}
	closedir(models);
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packs_in_the_box_are_packs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

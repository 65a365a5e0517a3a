/* Prompts by the numbers of frames, and AnimateDiff's lists of prompts. */
#include "request/story_travel.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "request/param.h"
#include "request/story.h"

enum {
	FPS = 8,       /* what all of them have */
	CLIP = 16,     /* AnimateDiff's own length */
	STOPS_MAX = 256,
	FRAME_MAX = 1 << 20
};

struct stop {
	int frame;
	char *prompt; /* owned */
};

struct travel {
	const char *name;
	struct stop stops[STOPS_MAX];
	int count;
	double hold; /* part of the way to the next text during which the own one stands alone */
	bool weights; /* some were taken out */
	json_t *film, *scenes, *notes;
};

static int no_memory(struct error *err)
{
	return error_set(err, SUMI_NOMEM, "out of memory");
}

static void note(struct travel *t, const char *what, const char *value)
{
	json_array_append_new(t->notes, json_sprintf("%s%s%.100s", what, *value ? ": " : "", value));
}

/* ---- stops ------------------------------------------------------------------------- */

/* Words alone: brackets that weigh go, and with them ":1.2". */
static void take_weights_out(struct travel *t, char *text)
{
	char *to = text;
	for (const char *p = text; *p; p++) {
		if (*p == '\\' && p[1] && strchr("()[]", p[1])) {
			*to++ = *++p;
			continue;
		}
		if (*p == ':') {
			size_t n = strspn(p + 1, "0123456789. ");
			if (n && (p[n + 1] == ')' || p[n + 1] == ']')) {
				p += n;
				t->weights = true;
				continue;
			}
		}
		if (strchr("()[]", *p))
			t->weights = true;
		else
			*to++ = *p;
	}
	*to = '\0';
}

static int compare(const void *a, const void *b)
{
	return ((const struct stop *)a)->frame - ((const struct stop *)b)->frame;
}

static char *joined(const char *head, const char *body, const char *tail)
{
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);
	if (!out)
		return NULL;
	fprintf(out, "%s%s%s%s%s", head, *head && *body ? ", " : "", body, *tail && (*head || *body) ? ", " : "", tail);
	return fclose(out) == 0 ? all : NULL;
}

static int add_stop(struct travel *t, long frame, const char *head, const char *body, const char *tail, struct error *err)
{
	if (t->count == STOPS_MAX || frame < 0 || frame > FRAME_MAX)
		return error_set(err, SUMI_INVALID, "%s: frame %ld: there are at most %d texts, of frames 0 to %d", t->name, frame,
				 STOPS_MAX, FRAME_MAX);
	char *prompt = joined(head, body, tail);
	if (!prompt)
		return no_memory(err);
	take_weights_out(t, prompt);
	t->stops[t->count++] = (struct stop){(int)frame, prompt};
	if (!*prompt || strlen(prompt) > 8 * PARAM_KIB)
		return error_set(err, SUMI_INVALID, "%s: frame %ld: its text has 1 to %d bytes", t->name, frame, 8 * PARAM_KIB);
	return SUMI_OK;
}

static int number_of(const struct travel *t, const char *text, long *out, struct error *err)
{
	char *end;
	*out = strtol(text, &end, 10);
	if (end == text || *end || *out < 0)
		return error_set(err, SUMI_INVALID, "%s: '%.40s' is no number of a frame", t->name, text);
	return SUMI_OK;
}

static int read_map(struct travel *t, const json_t *map, const char *head, const char *tail, struct error *err)
{
	const char *key;
	json_t *value;
	int status = SUMI_OK;
	json_object_foreach((json_t *)map, key, value)
	{
		long frame;
		if (!json_is_string(value))
			return error_set(err, SUMI_INVALID, "%s: the text of frame '%.40s' is no text", t->name, key);
		if ((status = number_of(t, key, &frame, err)) ||
		    (status = add_stop(t, frame, head, json_string_value(value), tail, err)))
			return status;
	}
	return SUMI_OK;
}

/* ---- scenes ------------------------------------------------------------------------ */

static int add_scene(struct travel *t, const char *text, int frames, json_t *job, struct error *err)
{
	if (json_array_size(t->scenes) == STORY_SCENES_MAX) {
		json_decref(job);
		return error_set(err, SUMI_TOOBIG, "%s: a story has at most %d scenes", t->name, STORY_SCENES_MAX);
	}
	json_t *scene = json_pack("{s:I, s:s, s:f, s:o}", "line", (json_int_t)1, "text", text, "seconds",
				  (double)frames / FPS, "job", job ? job : json_object());
	return scene && !json_array_append_new(t->scenes, scene) ? SUMI_OK : no_memory(err);
}

static json_t *stop_json(int frame, const char *prompt)
{
	return json_pack("{s:i, s:s}", "frame", frame, "prompt", prompt);
}

/* Stops first … last as one video of so many frames. */
static int add_video(struct travel *t, int first, int last, int frames, struct error *err)
{
	json_t *list = json_array();
	int begin = t->stops[first].frame, reached = 0;
	for (int k = first; k < last; k++) {
		int from = t->stops[k].frame - begin, to = t->stops[k + 1].frame - begin;
		int held = from + (int)(t->hold * (to - from)), come = to < frames ? to : frames - 1;
		if (held > reached && held < come)
			json_array_append_new(list, stop_json(reached = held, t->stops[k].prompt));
		if (come > reached)
			json_array_append_new(list, stop_json(reached = come, t->stops[k + 1].prompt));
	}
	json_t *job = json_array_size(list) ? json_pack("{s:O}", "travel", list) : NULL;
	json_decref(list);
	return add_scene(t, t->stops[first].prompt, frames, job, err);
}

/* As few videos as their length allows; the second begins with the text with which the first ends. */
static int cut_into_videos(struct travel *t, struct error *err)
{
	int status = SUMI_OK, videos = 0;
	if (!t->count)
		return error_set(err, SUMI_INVALID, "%s: holds no prompt", t->name);
	qsort(t->stops, (size_t)t->count, sizeof *t->stops, compare);
	int end = t->count > 1 ? t->stops[t->count - 1].frame - t->stops[t->count - 2].frame : CLIP;
	t->stops[0].frame = 0; /* what stands before it has no other text */
	end = t->stops[t->count - 1].frame + (end < 2 ? 2 : end > CLIP ? CLIP : end);
	for (int k = 0, last; k < t->count && !status; k = last, videos++) {
		for (last = k; last + 1 < t->count && t->stops[last + 1].frame - t->stops[k].frame <= REQUEST_FRAMES_MAX;)
			last++;
		bool all = last + 1 == t->count && end - t->stops[k].frame <= REQUEST_FRAMES_MAX;
		int frames = (all ? end : t->stops[last].frame) - t->stops[k].frame;
		if (last == k && !all)
			return error_set(err, SUMI_INVALID, "%s: from frame %d on is one text for more than %d frames, which are the "
							    "most of a video",
					 t->name, t->stops[k].frame, REQUEST_FRAMES_MAX);
		status = frames >= 2 ? add_video(t, k, last, frames, err)
				     : error_set(err, SUMI_INVALID, "%s: frames %d and %d: a text stands for two frames at least",
						 t->name, t->stops[k].frame, t->stops[k].frame + frames);
		if (all)
			last = t->count;
	}
	if (videos > 1)
		note(t, "one video has at most 64 frames: they are made as several, one after the other", "");
	if (t->weights)
		note(t, "left out: weights of words, which have no place on the way", "");
	return status;
}

/* ---- AnimateDiff's configs --------------------------------------------------------- */

static json_t *film_job(struct travel *t)
{
	json_t *job = json_object_get(t->film, "job");
	if (!job)
		json_object_set_new(t->film, "job", job = json_object());
	return job;
}

/* "k_dpmpp_2m" is DPM++ 2M with Karras' spacing. */
static void take_scheduler(struct travel *t, const char *name)
{
	static const char *const samplers[][2] = {
	    {"ddim", "ddim"},         {"pndm", "pndm"},         {"heun", "heun"},     {"unipc", "unipc"},
	    {"euler", "euler"},       {"euler_a", "euler_a"},   {"lms", "lms"},       {"dpm_2", "dpm2"},
	    {"dpm_2_a", "dpm2_a"},    {"dpmpp", "dpmpp_2m"},    {"dpmpp_2m", "dpmpp_2m"}, {"dpmpp_sde", "dpmpp_2s_sde"},
	    {"dpmpp_2m_sde", "dpmpp_2m_sde"}, {"lcm", "lcm"}};
	bool karras = strncmp(name, "k_", 2) == 0;
	for (size_t i = 0; i < sizeof samplers / sizeof samplers[0]; i++)
		if (strcmp(samplers[i][0], name + (karras ? 2 : 0)) == 0) {
			json_object_set_new(film_job(t), "sampler", json_string(samplers[i][1]));
			if (karras)
				json_object_set_new(film_job(t), "scheduler", json_string("karras"));
			return;
		}
	note(t, "left out: a scheduler that is not known", name);
}

/* One of a list, or of one that stands for all. */
static const json_t *entry(const json_t *list, size_t i)
{
	size_t n = json_array_size(list);
	return !json_is_array(list) ? list : n ? json_array_get(list, n == 1 ? 0 : i) : NULL;
}

static void take_seed(struct travel *t, json_t *job, const json_t *seed)
{
	uint64_t value;
	if (param_seed(seed, &value))
		json_object_set_new(job, "seed", param_seed_json(value));
	else if (seed && !json_is_null(seed) && json_integer_value(seed) != -1) /* any one */
		note(t, "left out: seed, which is none", "");
}

/* A number that the file has under a name, NULL: none is there, or something else. */
static const json_t *number_in(struct travel *t, const json_t *o, const char *name)
{
	const json_t *value = json_object_get(o, name);
	char what[64];
	snprintf(what, sizeof what, "left out: %s, which is no number", name);
	if (value && !json_is_null(value) && !json_is_number(value))
		note(t, what, "");
	return json_is_number(value) ? value : NULL;
}

static void take_settings(struct travel *t, const json_t *o)
{
	static const char *const left[] = {"path", "base", "motion_module", "lora_map", "motion_lora_map", "controlnet_map",
					   "ip_adapter_map", "img2img_map", "vae_path", NULL};
	const json_t *steps = number_in(t, o, "steps"), *scale = number_in(t, o, "guidance_scale"), *skip = number_in(t, o, "clip_skip");
	const char *scheduler = json_string_value(json_object_get(o, "scheduler"));
	const char *name = json_string_value(json_object_get(o, "name"));
	if (steps) /* 2.5 of them are refused where jobs are read */
		json_object_set(film_job(t), "steps", (json_t *)steps);
	if (scale)
		json_object_set(film_job(t), "cfg_scale", (json_t *)scale);
	if (json_integer_value(skip) > 1)
		json_object_set_new(film_job(t), "clip_skip", json_integer(json_integer_value(skip) - 1));
	if (scheduler)
		take_scheduler(t, scheduler);
	if (name && *name && strlen(name) <= STORY_FIELD_MAX)
		json_object_set_new(t->film, "title", json_string(name));
	for (size_t i = 0; left[i]; i++) {
		const json_t *value = json_object_get(o, left[i]);
		const char *text = json_string_value(value);
		char what[64];
		snprintf(what, sizeof what, "left out: %s", left[i]);
		if ((text && *text) || json_object_size(value))
			note(t, what, text ? text : "");
	}
}

static const char *text_or_none(const json_t *value)
{
	return json_is_string(value) ? json_string_value(value) : "";
}

/* A clip for each prompt. */
static int read_prompts(struct travel *t, const json_t *o, struct error *err)
{
	const json_t *prompts = json_object_get(o, "prompt"), *prompt;
	size_t i;
	int status = SUMI_OK;
	json_array_foreach((json_t *)prompts, i, prompt)
	{
		json_t *job = json_object();
		const char *negative = text_or_none(entry(json_object_get(o, "n_prompt"), i));
		take_seed(t, job, entry(json_object_get(o, "seed"), i));
		if (*negative)
			json_object_set_new(job, "negative_prompt", json_string(negative));
		if (!*text_or_none(prompt)) {
			json_decref(job);
			return error_set(err, SUMI_INVALID, "%s: prompt %zu is no text", t->name, i + 1);
		}
		if ((status = add_scene(t, json_string_value(prompt), CLIP, job, err)))
			return status;
	}
	return json_array_size(prompts) ? SUMI_OK : error_set(err, SUMI_INVALID, "%s: holds no prompt", t->name);
}

static int read_travel(struct travel *t, const json_t *o, struct error *err)
{
	const json_t *ratio = number_in(t, o, "prompt_fixed_ratio");
	const char *negative = text_or_none(entry(json_object_get(o, "n_prompt"), 0));
	t->hold = ratio ? json_number_value(ratio) : 0.5; /* its usual one */
	if (!(t->hold >= 0 && t->hold <= 1))
		return error_set(err, SUMI_INVALID, "%s: prompt_fixed_ratio is %g, allowed are 0 to 1", t->name, t->hold);
	int status = read_map(t, json_object_get(o, "prompt_map"), text_or_none(json_object_get(o, "head_prompt")),
			      text_or_none(json_object_get(o, "tail_prompt")), err);
	if (*negative)
		json_object_set_new(film_job(t), "negative_prompt", json_string(negative));
	take_seed(t, film_job(t), entry(json_object_get(o, "seed"), 0));
	return status ? status : cut_into_videos(t, err);
}

static int read_object(struct travel *t, const char *text, size_t size, struct error *err)
{
	json_t *o = NULL;
	size_t room = size + 3;
	char *whole = NULL;
	if (*text != '{') { /* a schedule without its brackets; behind the last a comma may stand */
		while (size && strchr(" \t\r\n,", text[size - 1]))
			size--;
		if (!(whole = malloc(room)))
			return no_memory(err);
		snprintf(whole, room, "{%.*s}", (int)size, text);
		text = whole;
		size = strlen(whole);
	}
	int status = json_read_text(text, size, t->name, &o, err);
	free(whole);
	if (status)
		return status;
	/* Words, as diffusers takes them. */
	json_object_set_new(film_job(t), "prompt_syntax", json_string("diffusers"));
	json_object_set_new(film_job(t), "literal", json_true());
	take_settings(t, o);
	if (json_is_object(json_object_get(o, "prompt_map")))
		status = read_travel(t, o, err);
	else if (json_is_array(json_object_get(o, "prompt")))
		status = read_prompts(t, o, err);
	else if (!(status = read_map(t, o, "", "", err)))
		status = cut_into_videos(t, err);
	json_decref(o);
	return status;
}

/* ---- lines ------------------------------------------------------------------------- */

/* Behind "12:", or NULL. */
static const char *behind_number(const char *line, long *frame)
{
	char *end;
	line += strspn(line, " \t");
	if (!isdigit((unsigned char)*line))
		return NULL;
	*frame = strtol(line, &end, 10);
	end += strspn(end, " \t");
	return *end == ':' ? end + 1 + strspn(end + 1, " \t") : NULL;
}

/* What is not numbered stands before all, or behind them. */
static int read_lines(struct travel *t, char *text, struct error *err)
{
	const char *bodies[STOPS_MAX], *head = "", *tail = "";
	long frames[STOPS_MAX];
	int n = 0, status = SUMI_OK;
	for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		long frame;
		const char *body = behind_number(line, &frame);
		if (body && n == STOPS_MAX)
			return error_set(err, SUMI_TOOBIG, "%s: has more than %d texts", t->name, STOPS_MAX);
		if (body) {
			frames[n] = frame;
			bodies[n++] = body;
		} else if (line[strspn(line, " \t")]) {
			*(n ? &tail : &head) = line;
		}
	}
	for (int i = 0; i < n && !status; i++)
		status = add_stop(t, frames[i], head, bodies[i], tail, err);
	json_object_set_new(film_job(t), "prompt_syntax", json_string("diffusers"));
	return status ? status : cut_into_videos(t, err);
}

static bool is_travel(const char *text, size_t size)
{
	size_t at = 0, numbered = 0;
	while (at < size && isspace((unsigned char)text[at]))
		at++;
	if (at < size && text[at] == '{') { /* a story may begin with {a|b} */
		for (at++; at < size && isspace((unsigned char)text[at]);)
			at++;
		return at < size && text[at] == '"';
	}
	if (at + 1 < size && text[at] == '"' && isdigit((unsigned char)text[at + 1]))
		return true;
	for (size_t begin = at, end; begin < size; begin = end + 1) {
		char line[32];
		long frame;
		for (end = begin; end < size && text[end] != '\n' && text[end] != '\r';)
			end++;
		snprintf(line, sizeof line, "%.*s", end - begin < sizeof line ? (int)(end - begin) : 31, text + begin);
		numbered += behind_number(line, &frame) != NULL;
	}
	return numbered >= 2;
}

static int read_file(const char *text, size_t size, const char *name, json_t **out, struct error *err)
{
	struct travel *t = calloc(1, sizeof *t);
	char *copy = t ? strndup(text, size) : NULL;
	if (!copy) {
		free(t);
		return no_memory(err);
	}
	t->name = name;
	t->film = json_pack("{s:f}", "fps", (double)FPS);
	t->scenes = json_array();
	t->notes = json_array();
	const char *begin = copy + strspn(copy, " \t\r\n");
	int status = *begin == '{' || *begin == '"' ? read_object(t, begin, strlen(begin), err) : read_lines(t, copy, err);
	if (!status) {
		*out = json_pack("{s:s, s:O, s:O, s:O}", "name", name, "film", t->film, "scenes", t->scenes, "notes", t->notes);
		status = *out ? SUMI_OK : no_memory(err);
	}
	for (int i = 0; i < t->count; i++)
		free(t->stops[i].prompt);
	json_decref(t->film);
	json_decref(t->scenes);
	json_decref(t->notes);
	free(copy);
	free(t);
	return status;
}

int story_read_any(const char *text, size_t size, const char *name, json_t **out, struct error *err)
{
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* as editors begin UTF-8 */
		text += 3;
		size -= 3;
	}
	/* What is too long or no text is refused there. */
	if (size > STORY_BYTES_MAX || memchr(text, '\0', size) || !utf8_valid(text, size) || !is_travel(text, size))
		return story_read(text, size, name, out, err);
	*out = NULL;
	return read_file(text, size, name, out, err);
}

/* Scenes and music of a story, and when each begins. */
#include "modalities/film_plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "modalities/moods.h"
#include "modalities/script.h"
#include "request/lora_tags.h"
#include "request/param.h"
#include "request/story.h"

#define SECONDS_DEFAULT 4.0
#define BLEND_DEFAULT 1.0 /* seconds of a fade, and of a travel */
#define MUSIC_TAIL 0.6    /* seconds that a clip goes on under the next */

enum { FPS_DEFAULT = 8, FEWEST = 2 /* pictures of a scene */ };

struct part {
	const json_t *scene;
	long line;
	const char *mood; /* NULL: silence */
	double seconds;   /* as it was said */
	int frames;       /* from its beginning to the next one's */
	int fade;         /* of its first pictures, that blend with the scene before */
	int travel;       /* of its first pictures, that go over from it: both are one video */
};

struct plan {
	const struct film_order *order;
	const char *name; /* of the story */
	const json_t *film;
	int fps;
	bool beats, music;
	struct part parts[STORY_SCENES_MAX];
	int count;
	json_t *jobs, *after, *scenes, *clips;
};

/* What a scene says, or the film for all of them. */
static const json_t *said(const struct plan *p, const json_t *scene, const char *name)
{
	const json_t *value = json_object_get(scene, name);
	return value ? value : json_object_get(p->film, name);
}

static const json_t *given(const struct plan *p, const char *name)
{
	return json_object_get(p->order->given, name);
}

/* ---- when -------------------------------------------------------------------------- */

/* A mood is called as the pack calls it: in whatever capitals it was written, or in Russian, where the pack says what
 * that means. */
static const char *pack_mood(const struct plan *p, const char *mood)
{
	char name[64] = "";
	const char *own;
	json_t *ignored;
	bool foreign = false;
	for (const char *c = mood; c && *c; c++)
		foreign |= (unsigned char)*c >= 0x80;
	if (!mood || !p->order->music)
		return mood;
	if (!foreign || !script_means(p->order->music, "mood", mood, name, sizeof name))
		snprintf(name, sizeof name, "%s", mood);
	json_object_foreach(json_object_get(p->order->music->manifest, "moods"), own, ignored)
		if (story_same(own, name))
			return own;
	return mood;
}

/* The mood of a scene: its own, or that of the one before; words for silence are NULL. */
static const char *mood_of(const struct plan *p, int k)
{
	static const char *const silent[] = {"none", "silence", "no", "нет", "тишина", NULL};
	const json_t *own = json_object_get(p->parts[k].scene, "mood");
	if (!own && k > 0)
		return p->parts[k - 1].mood;
	const char *mood = json_string_value(own ? own : json_object_get(p->film, "mood"));
	for (size_t i = 0; mood && silent[i]; i++)
		if (story_same(silent[i], mood))
			return NULL;
	return pack_mood(p, mood);
}

static bool same_mood(const struct part *a, const struct part *b)
{
	return a->mood == b->mood || (a->mood && b->mood && strcmp(a->mood, b->mood) == 0);
}

static int tempo_of(const struct plan *p, const struct part *part, double *tempo, struct error *err)
{
	struct mood mood;
	*tempo = 0;
	if (!part->mood || !p->order->music || !p->music)
		return SUMI_OK;
	if (mood_find(p->order->music, part->mood, &mood, err))
		return p->order->others ? SUMI_OK : story_fault(p->order->story, part->scene, "mood", err);
	*tempo = mood.tempo;
	return SUMI_OK;
}

/* Fewer pictures than a scene has would be more of them, and the film longer than its story says. */
static int check_short(const struct plan *p, const struct part *part, struct error *err)
{
	if (part->seconds * p->fps >= FEWEST - 0.5)
		return SUMI_OK;
	error_set(err, SUMI_INVALID, "seconds is %g: a scene has %d pictures at least, %g s at %d a second", part->seconds, FEWEST,
		  (double)FEWEST / p->fps, p->fps);
	return story_fault(p->order->story, part->scene, "seconds", err);
}

/* Scenes of one mood end on its beats, each on the nearest to where its length would end it. */
static int set_lengths(struct plan *p, struct error *err)
{
	double now = 0, wanted = 0, begun = 0, tempo = 0; /* seconds; of the piece of music */
	for (int k = 0, status; k < p->count; k++) {
		struct part *part = &p->parts[k];
		if (k == 0 || !same_mood(part, part - 1)) {
			begun = wanted = now;
			if ((status = tempo_of(p, part, &tempo, err)))
				return status;
		}
		wanted += part->seconds;
		double end = wanted, beat = tempo > 0 && p->beats ? 60 / tempo : 0;
		if (beat == 0 && (status = check_short(p, part, err)))
			return status;
		if (beat > 0)
			end = begun + fmax(round((wanted - begun) / beat), floor((now - begun) / beat + 0.5) + 1) * beat;
		part->frames = (int)(lround(end * p->fps) - lround(now * p->fps));
		part->frames = part->frames < FEWEST ? FEWEST : part->frames;
		now = end > now ? end : now + (double)FEWEST / p->fps;
	}
	return SUMI_OK;
}

/* A fade that was asked for and is longer than its scene. */
static int check_fade(const struct plan *p, const struct part *part, int frames, struct error *err)
{
	const json_t *blend = said(p, part->scene, "blend");
	if (!blend || json_number_value(blend) <= part->seconds || frames <= part->frames)
		return SUMI_OK;
	error_set(err, SUMI_INVALID, "blend is %g: the scene that it leads into lasts %g s", json_number_value(blend),
		  part->seconds);
	return story_fault(p->order->story, part->scene, "blend", err);
}

static int set_fades(struct plan *p, struct error *err)
{
	int status = SUMI_OK;
	for (int k = 1; k < p->count && !status; k++) {
		struct part *part = &p->parts[k];
		const char *transition = json_string_value(said(p, part->scene, "transition"));
		const json_t *blend = said(p, part->scene, "blend");
		int frames = (int)lround((blend ? json_number_value(blend) : BLEND_DEFAULT) * p->fps);
		if (transition && strcmp(transition, "fade") == 0) {
			status = check_fade(p, part, frames, err);
			part->fade = frames > part->frames ? part->frames : frames;
		}
		if (transition && strcmp(transition, "travel") == 0)
			part->travel = frames < 1 ? 1 : frames >= part->frames ? part->frames - 1 : frames;
	}
	return status;
}

/* ---- jobs -------------------------------------------------------------------------- */

/* Of what is painted alone: another scene beside it, or another order, changes none. */
static json_t *seed_of(const char *what, int occurrence)
{
	char all[8 * PARAM_KIB + 16], hex[SHA256_HEX_SIZE];
	int n = snprintf(all, sizeof all, "%.*s %d", 8 * PARAM_KIB, what, occurrence);
	sha256_hex(all, (size_t)n, hex);
	hex[8] = '\0';
	return json_integer((json_int_t)strtoull(hex, NULL, 16));
}

/* Adds what of the given fields a job of that modality has, and what of them is of the film alone is left
 * out. */
static void add_given(const struct plan *p, json_t *job, unsigned modality, bool parts)
{
	static const char *const own[] = {"id",     "modality", "prompt",  "format",     "quality", "lossless", "fps",
					  "reverse", "loop_count", "notify", "frames",  "n",         "after",   NULL};
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)p->order->given, name, value)
	{
		const struct param *param = param_find(name);
		bool is_own = false;
		for (size_t i = 0; own[i]; i++)
			is_own |= strcmp(own[i], name) == 0;
		if (param && param->modalities & modality && !json_object_get(job, name) && !(parts && is_own) &&
		    !(!parts && strcmp(name, "after") == 0))
			json_object_set(job, name, value);
	}
	if (parts && given(p, "after"))
		json_object_set(job, "after", (json_t *)given(p, "after"));
}

static int add_job(struct plan *p, json_t *job, const char *kind, size_t number, struct error *err)
{
	json_t *id = json_sprintf("%s.%s%zu", p->order->id, kind, number);
	if (!job || !id || json_object_set(job, "id", id) || json_array_append(p->after, id) ||
	    json_array_append(p->jobs, job)) {
		json_decref(id);
		json_decref(job);
		return error_set(err, SUMI_NOMEM, "out of memory");
	}
	json_decref(id);
	json_decref(job);
	return SUMI_OK;
}

/* How often a text, or a mood, stood before. */
static int times_before(const struct plan *p, int k, const char *name)
{
	int count = 0;
	const json_t *own = json_object_get(p->parts[k].scene, name);
	for (int i = 0; i < k; i++)
		count += json_equal(json_object_get(p->parts[i].scene, name), own);
	return count;
}

/* What moves, behind the text and without its full stop. */
static json_t *with_motion(const char *text, const char *motion)
{
	size_t n = strlen(text);
	while (n && strchr(" .", text[n - 1]))
		n--;
	return json_sprintf("%.*s, %s", (int)n, text, motion);
}

static json_t *prompt_of(const struct plan *p, int k)
{
	const json_t *scene = p->parts[k].scene;
	const char *text = json_string_value(json_object_get(scene, "text"));
	const char *motion = json_string_value(said(p, scene, "motion"));
	return motion ? with_motion(text, motion) : json_string(text);
}

/* The scenes behind first that are one video with it. */
static int last_of(const struct plan *p, int first)
{
	while (first + 1 < p->count && p->parts[first + 1].travel)
		first++;
	return first;
}

static json_t *own_seed(const struct plan *p, int k)
{
	const json_t *seed = json_object_get(json_object_get(p->parts[k].scene, "job"), "seed");
	const char *text = json_string_value(json_object_get(p->parts[k].scene, "text"));
	return seed ? json_incref((json_t *)seed) : seed_of(text, times_before(p, k, "text"));
}

/* A scene to which another goes over is of that one's video, and has but a text and a seed of its own. */
static int check_traveller(const struct plan *p, int k, struct error *err)
{
	const char *name;
	json_t *ignored;
	json_object_foreach(json_object_get(p->parts[k].scene, "job"), name, ignored)
	{
		if (strcmp(name, "seed") != 0) {
			error_set(err, SUMI_INVALID,
				  "field '%s': a scene that travels from the one before it is made with that one's", name);
			return story_fault(p->order->story, p->parts[k].scene, name, err);
		}
	}
	return SUMI_OK;
}

/* The stops of scenes first … last, which are one video: each text alone from where it has come on, to where the
 * next begins to come. */
static int add_travel(const struct plan *p, int first, int last, json_t *job, struct error *err)
{
	json_t *stops = json_array();
	bool seeds = p->order->video && p->order->video->noise_shared == 0;
	int begin = p->parts[first].frames, reached = 0, status = SUMI_OK;
	for (int k = first + 1; k <= last && !status; begin += p->parts[k++].frames) {
		status = check_traveller(p, k, err);
		for (int stop = 0; stop < 2; stop++) {
			int frame = stop ? begin + p->parts[k].travel : begin, from = k - 1 + stop;
			if (frame <= reached)
				continue;
			json_t *o = json_pack("{s:i, s:o}", "frame", frame, "prompt", prompt_of(p, from));
			if (seeds)
				json_object_set_new(o, "seed", from == first ? json_incref(json_object_get(job, "seed"))
									     : own_seed(p, from));
			json_array_append_new(stops, o);
			reached = frame;
		}
	}
	json_object_set_new(job, "travel", stops);
	return status;
}

/* Pixels that a job says it makes along an axis, 0: it leaves that to its model. */
static double side_of(const json_t *job, const char *axis)
{
	double hires = json_number_value(json_object_get(job, "hires")), upscale = json_number_value(json_object_get(job, "upscale"));
	return json_number_value(json_object_get(job, axis)) * (hires > 1 ? hires : 1) * (upscale > 1 ? upscale : 1);
}

/* Scenes of two sizes cannot be joined, which is said before any is made. */
static int check_size(const struct plan *p, const struct part *part, const json_t *job, struct error *err)
{
	static const char *const axes[] = {"width", "height"};
	const json_t *other = json_array_get(p->jobs, 0);
	for (size_t i = 0; other && i < 2; i++) {
		double side = side_of(job, axes[i]), first = side_of(other, axes[i]);
		if (side == 0 || first == 0 || fabs(side - first) < 8) /* what is enlarged is rounded by the model */
			continue;
		error_set(err, SUMI_INVALID, "%s is %g, the first scene's %g: scenes of a film are of one size", axes[i], side, first);
		return story_fault(p->order->story, part->scene, axes[i], err);
	}
	return SUMI_OK;
}

static int add_scene(struct plan *p, int first, int last, struct error *err)
{
	struct part *part = &p->parts[first];
	int over = last + 1 < p->count ? p->parts[last + 1].fade : 0, frames = over;
	for (int k = first; k <= last; k++)
		frames += p->parts[k].frames;
	if (frames > REQUEST_FRAMES_MAX)
		return error_set(err, SUMI_INVALID,
				 "%s:%ld: %s %d pictures (%d a second, and %d to blend), a video at most %d: give less seconds, or "
				 "the film less fps",
				 p->name, part->line, last > first ? "the scenes that travel from here on have" : "the scene has",
				 frames, p->fps, over, REQUEST_FRAMES_MAX);
	json_t *job = json_deep_copy(json_object_get(part->scene, "job"));
	job = job ? job : json_object();
	json_object_update_missing(job, json_object_get(p->film, "job"));
	json_object_set_new(job, "modality", json_string("video"));
	json_object_set_new(job, "prompt", prompt_of(p, first));
	json_object_set_new(job, "frames", json_integer(frames));
	json_object_set_new(job, "fps", json_integer(p->fps));
	json_object_set_new(job, "format", json_string("webp"));
	json_object_set_new(job, "lossless", json_true()); /* it is coded once, in the film */
	add_given(p, job, PARAM_VIDEO, true);
	if (!json_object_get(job, "seed"))
		json_object_set_new(job, "seed", own_seed(p, first));
	int status = check_size(p, part, job, err);
	if (!status && last > first)
		status = add_travel(p, first, last, job, err);
	if (status) {
		json_decref(job);
		return status;
	}
	json_array_append_new(p->scenes, json_pack("{s:o, s:i, s:i}", "video",
						   json_sprintf("%s.s%d", p->order->id, first + 1), "frames", frames, "fade",
						   part->fade));
	return add_job(p, job, "s", (size_t)first + 1, err);
}

/* The clip under the scenes from first on that have its mood; *pause: seconds of silence before it. */
static int add_clip(struct plan *p, int first, int last, double pause, struct error *err)
{
	const struct part *part = &p->parts[first];
	double tempo, seconds = 0;
	int frames = 0, before = 0, status = tempo_of(p, part, &tempo, err);
	if (status)
		return status;
	for (int k = first; k <= last; k++)
		frames += p->parts[k].frames;
	for (int k = 0; k < first; k++)
		before += p->parts[k].mood && same_mood(&p->parts[k], part);
	seconds = (double)frames / p->fps;
	/* A beat more, so that it can begin on one. */
	double duration = seconds + MUSIC_TAIL + (tempo > 0 ? 60 / tempo : 0);
	duration = fmax(ceil(duration * 10) / 10, REQUEST_DURATION_MIN);
	if (duration > REQUEST_DURATION_MAX)
		return error_set(err, SUMI_INVALID, "%s:%ld: the music '%s' would be %.0f s long, a clip has at most %.0f: "
						    "let the mood change",
				 p->name, part->line, part->mood, duration, REQUEST_DURATION_MAX);
	size_t number = json_array_size(p->clips) + 1;
	json_t *clip = json_pack("{s:o, s:f}", "sound", json_sprintf("%s.m%zu", p->order->id, number), "seconds", seconds);
	if (pause > 0)
		json_object_set_new(clip, "pause", json_real(pause));
	if (tempo > 0 && p->beats)
		json_object_set_new(clip, "tempo", json_real(tempo));
	json_array_append_new(p->clips, clip);
	json_t *job = json_pack("{s:s, s:s, s:f, s:s, s:o}", "modality", "audio", "mood", part->mood, "duration", duration,
				"format", "wav", "seed", seed_of(part->mood, before));
	static const char *const queue[] = {"priority", "window", "tz", "not_before", "deadline", "max_attempts",
					    "tags", "submitter", "after", NULL};
	for (size_t i = 0; queue[i]; i++)
		if (given(p, queue[i]))
			json_object_set(job, queue[i], (json_t *)given(p, queue[i]));
	return add_job(p, job, "m", number, err);
}

static int add_music(struct plan *p, struct error *err)
{
	int status = SUMI_OK, silent = 0;
	for (int k = 0, last; k < p->count && p->music && !status; k = last + 1) {
		for (last = k; last + 1 < p->count && same_mood(&p->parts[last + 1], &p->parts[k]);)
			last++;
		if (p->parts[k].mood)
			status = add_clip(p, k, last, (double)silent / p->fps, err);
		silent = p->parts[k].mood ? 0 : silent;
		for (int i = k; i <= last && !p->parts[k].mood; i++)
			silent += p->parts[i].frames;
	}
	return status;
}

/* What the film is called: its title, or its texts one after the other, as far as a prompt goes. */
static json_t *title_of(const struct plan *p)
{
	const json_t *title = json_object_get(p->film, "title");
	enum { MOST = 8 * PARAM_KIB };
	char all[MOST + 1] = "";
	size_t used = 0;
	if (title)
		return json_incref((json_t *)title);
	for (int k = 0; k < p->count; k++) {
		const char *text = json_string_value(json_object_get(p->parts[k].scene, "text"));
		if (used + strlen(text) + 3 > MOST)
			break;
		used += (size_t)sprintf(all + used, "%s%s", k ? " / " : "", text);
	}
	return json_string(*all ? all : "a film");
}

/* LoRAs that texts or the title name are of scenes: what joins them has none. A tag that nobody can read is told of the
 * scene whose text has it. */
static void leave_loras_out(json_t *film)
{
	json_t *plain = NULL;
	struct error ignored;
	if (lora_tags_take(film, &plain, &ignored) == SUMI_OK && plain)
		json_object_set(film, "prompt", json_object_get(plain, "prompt"));
	json_decref(plain);
}

static int add_film(struct plan *p, struct error *err)
{
	json_t *job = json_pack("{s:s, s:s, s:o, s:b, s:i, s:i, s:O, s:O}", "id", p->order->id, "modality", "film", "prompt",
				title_of(p), "literal", 1, "seed", 0, "fps", p->fps, "scenes", p->scenes, "after",
				p->after);
	if (!job)
		return error_set(err, SUMI_NOMEM, "out of memory");
	if (json_array_size(p->clips))
		json_object_set(job, "music", p->clips);
	leave_loras_out(job);
	add_given(p, job, PARAM_FILM, false);
	if (json_array_size(p->after) > PARAM_LIST_MAX) {
		json_decref(job);
		return error_set(err, SUMI_TOOBIG, "%s: has %zu scenes and pieces of music, a film at most %d", p->name,
				 json_array_size(p->after), PARAM_LIST_MAX);
	}
	return json_array_append_new(p->jobs, job) ? error_set(err, SUMI_NOMEM, "out of memory") : SUMI_OK;
}

/* ---- the whole --------------------------------------------------------------------- */

static void read_story(struct plan *p)
{
	const json_t *fps = json_object_get(p->film, "fps"), *beats = json_object_get(p->film, "beats");
	const char *format = json_string_value(given(p, "format"));
	const json_t *scene, *list = json_object_get(p->order->story, "scenes");
	size_t i;
	fps = fps ? fps : given(p, "fps");
	p->fps = fps ? (int)json_number_value(fps) : FPS_DEFAULT;
	p->beats = !json_is_false(beats);
	p->music = !format || strcmp(format, "webp") != 0;
	json_array_foreach((json_t *)list, i, scene)
	{
		struct part *part = &p->parts[p->count];
		const json_t *seconds = said(p, scene, "seconds");
		part->scene = scene;
		part->line = (long)json_integer_value(json_object_get(scene, "line"));
		part->seconds = seconds ? json_number_value(seconds) : SECONDS_DEFAULT;
		part->mood = mood_of(p, p->count++);
	}
}

int film_plan(const struct film_order *order, json_t **jobs, struct error *err)
{
	struct plan *p = calloc(1, sizeof *p);
	*jobs = NULL;
	if (!p)
		return error_set(err, SUMI_NOMEM, "out of memory");
	p->order = order;
	p->name = json_string_value(json_object_get(order->story, "name"));
	p->film = json_object_get(order->story, "film");
	p->jobs = json_array();
	p->after = json_array();
	p->scenes = json_array();
	p->clips = json_array();
	read_story(p);
	int status = set_lengths(p, err);
	if (!status)
		status = set_fades(p, err);
	for (int k = 0, last; k < p->count && !status; k = last + 1) {
		last = last_of(p, k);
		status = add_scene(p, k, last, err);
	}
	if (!status)
		status = add_music(p, err);
	if (!status)
		status = add_film(p, err);
	if (!status)
		*jobs = json_incref(p->jobs);
	json_decref(p->jobs);
	json_decref(p->after);
	json_decref(p->scenes);
	json_decref(p->clips);
	free(p);
	return status;
}

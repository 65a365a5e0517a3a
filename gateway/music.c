/* ElevenLabs' API as far as sumi makes sounds: /v1/music, /v1/music/stream, /v1/sound-generation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"
#include "gateway/work.h"

/* What is asked for by the query: Ogg Vorbis where nothing is, as there is no MP3 here. */
static bool read_format(struct call *call, json_t *fields)
{
	bool ok = true;
	char *format = call_query(call, "output_format", &ok);
	bool wav = ok && format && strcmp(format, "wav") == 0;
	if (ok && format && !wav && strncmp(format, "ogg", 3) != 0 && strcmp(format, "auto") != 0) {
		call_refuse(call, 400, "output_format",
			    "output_format '%.40s' cannot be made: leave it out (Ogg Vorbis), or say wav", format);
		ok = false;
	}
	if (ok)
		json_object_set_new(fields, "format", json_string(wav ? "wav" : "ogg"));
	free(format);
	return ok;
}

static bool read_duration(struct call *call, const json_t *body, const char *name, double unit, json_t *fields)
{
	const json_t *value = json_object_get(body, name);
	if (!value || json_is_null(value))
		return true;
	double seconds = json_number_value(value) * unit;
	if (!json_is_number(value) || seconds < REQUEST_DURATION_MIN || seconds > REQUEST_DURATION_MAX) {
		call_refuse(call, 422, name, "%s must be %g to %g", name, REQUEST_DURATION_MIN / unit,
			    REQUEST_DURATION_MAX / unit);
		return false;
	}
	json_object_set_new(fields, "duration", json_real(seconds));
	return true;
}

static void finish(struct call *call, struct worker *w)
{
	struct found f;
	if (!work_done(call, w, &f))
		return;
	const struct store_artifact *main = jobs_main_file(&f);
	if (main) {
		files_answer(call, main);
		http_header(&call->answer, "song-id: %s", call->jobs[0]);
	} else {
		call_refuse(call, 404, NULL, "the clip was made on another host and is not here");
	}
	jobs_clear(&f);
}

/* Fields that were refused already end here. */
static void begin(struct call *call, struct worker *w, json_t *fields, bool fine)
{
	struct job job;
	struct error err;
	if (!fine)
		json_decref(fields);
	else if (jobs_prepare(call, w, fields, &job, &err))
		call_fail(call, &err);
	else
		work_start(call, w, &job, finish);
}

/* text: the name of the prompt in the body; duration in units of so many seconds. */
static void compose(struct call *call, struct worker *w, const char *text, const char *duration, double unit)
{
	json_t *body, *fields = json_object();
	if (!call_body(call, false, &body)) {
		json_decref(fields);
		return;
	}
	const char *prompt = json_string_value(json_object_get(body, text));
	const char *model = json_string_value(json_object_get(body, "model_id"));
	json_t *seed = json_object_get(body, "seed"), *loop = json_object_get(body, "loop");
	bool fine = prompt && *prompt;
	if (!fine)
		call_refuse(call, 422, text, "%s must be a text that says what it shall sound like", text);
	fine = fine && read_format(call, fields) && read_duration(call, body, duration, unit, fields);
	if (fine) {
		json_object_set_new(fields, "modality", json_string("audio"));
		json_object_set_new(fields, "prompt", json_string(prompt));
		if (seed && !json_is_null(seed))
			json_object_set(fields, "seed", seed);
		if (json_is_true(loop))
			json_object_set_new(fields, "loop", json_true());
		work_model(w, model, "audio", fields);
	}
	json_decref(body);
	begin(call, w, fields, fine);
}

/* OpenAI's: what is to be spoken there is what it shall sound like here. There is no MP3, which its clients get
 * where they name no format: they get Ogg Vorbis, and the answer says so. */
static bool read_speech(struct call *call, const json_t *body, json_t *fields)
{
	const json_t *asked = json_object_get(body, "response_format");
	const char *format = json_string_value(asked), *input = json_string_value(json_object_get(body, "input"));
	bool wav = format && strcmp(format, "wav") == 0, none = !asked || json_is_null(asked);
	if (!input || !*input) {
		call_refuse(call, 400, "input", "input must be a text that says what it shall sound like");
		return false;
	}
	if (!none && !wav && !(format && (strcmp(format, "ogg") == 0 || strcmp(format, "vorbis") == 0))) {
		call_refuse(call, 400, "response_format",
			    "response_format '%.40s' cannot be made: leave it out (Ogg Vorbis), or say ogg or wav",
			    format ? format : "");
		return false;
	}
	json_object_set_new(fields, "prompt", json_string(input));
	json_object_set_new(fields, "format", json_string(wav ? "wav" : "ogg"));
	return true;
}

void music_speech(struct call *call, struct worker *w)
{
	json_t *body, *fields = json_pack("{s:s}", "modality", "audio");
	if (!call_body(call, false, &body)) {
		json_decref(fields);
		return;
	}
	json_t *seed = json_object_get(body, "seed");
	bool fine = read_speech(call, body, fields) && read_duration(call, body, "duration", 1, fields);
	if (fine && seed && !json_is_null(seed))
		json_object_set(fields, "seed", seed);
	if (fine)
		work_model(w, json_string_value(json_object_get(body, "model")), "audio", fields);
	json_decref(body);
	begin(call, w, fields, fine);
}

void music_compose(struct call *call, struct worker *w)
{
	compose(call, w, "prompt", "music_length_ms", 0.001);
}

void music_sound(struct call *call, struct worker *w)
{
	compose(call, w, "text", "duration_seconds", 1);
}

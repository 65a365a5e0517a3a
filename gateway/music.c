/* ElevenLabs' API as far as sumi makes sounds: /v1/music, /v1/music/stream, /v1/sound-generation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"
#include "gateway/work.h"
#include "media/mp3.h"
#include "media/pcm.h"
#include "media/wav.h"

enum { MP3_RATE = 44100, MP3_KBPS = 128, PCM_RATE = 24000 /* OpenAI's */ };

/* MP3 and bare samples are made of a WAV when it is sent. */
struct wish {
	int rate, kbps; /* 0 kbps: bare samples */
};

/* "mp3", or ElevenLabs' "mp3_44100_128": samples and thousands of bits a second. False: no such format. */
static bool read_mp3_name(const char *name, struct wish *wish)
{
	int end = 0;
	*wish = (struct wish){MP3_RATE, MP3_KBPS};
	if (strcmp(name, "mp3") == 0)
		return true;
	return sscanf(name, "mp3_%6d_%3d%n", &wish->rate, &wish->kbps, &end) == 2 && !name[end] &&
	       mp3_has_rate(wish->rate) && wish->kbps >= 8 && wish->kbps <= 320;
}

/* "pcm", or ElevenLabs' "pcm_44100". */
static bool read_pcm_name(const char *name, struct wish *wish)
{
	int end = 0;
	*wish = (struct wish){.rate = PCM_RATE};
	return strcmp(name, "pcm") == 0 || (sscanf(name, "pcm_%6d%n", &wish->rate, &end) == 1 && !name[end] && pcm_has_rate(wish->rate));
}

/* field: as the API calls it. format: NULL where nothing is asked for: that is MP3, as those APIs have it, and Ogg Vorbis
 * where this machine makes none. */
static bool take_format(struct call *call, const char *field, const char *format, json_t *fields)
{
	struct wish wish;
	bool usual = !format || strcmp(format, "auto") == 0;
	if (usual)
		format = mp3_is_there() ? "mp3" : "ogg";
	if (usual && !mp3_is_there())
		http_header(&call->answer, "x-sumi-note: Ogg Vorbis, as MP3 wants " MP3_LIBRARY " beside the gateway");
	bool wav = strcmp(format, "wav") == 0;
	bool ogg = strncmp(format, "ogg", 3) == 0 || strcmp(format, "vorbis") == 0;
	bool mp3 = read_mp3_name(format, &wish), made = (mp3 && mp3_is_there()) || (!mp3 && read_pcm_name(format, &wish));
	if (made && (call->state = malloc(sizeof wish))) {
		memcpy(call->state, &wish, sizeof wish);
		wav = true;
	} else if (!wav && !ogg) {
		call_refuse(call, 400, field, "%s '%.40s' cannot be made: leave it out, or say ogg, wav or pcm%s", field,
			    format, mp3 ? "; MP3 wants " MP3_LIBRARY " beside the gateway (Debian: libmp3lame0)"
				    : mp3_is_there() ? " or mp3_44100_128" : "");
		return false;
	}
	json_object_set_new(fields, "format", json_string(wav ? "wav" : "ogg"));
	return true;
}

static bool read_format(struct call *call, json_t *fields)
{
	bool ok = true;
	char *format = call_query(call, "output_format", &ok);
	ok = ok && take_format(call, "output_format", format, fields);
	free(format);
	return ok;
}

/* The clip as it was wished for. */
static int send_made(struct call *call, const struct found *f, const struct wish *wish, struct error *err)
{
	const struct store_artifact *file;
	struct sound sound = {0};
	char *wav;
	uint8_t *made;
	size_t size, made_size;
	int status = work_result(call, f, 0, &wav, &size, &file, err);
	if (status)
		return status;
	status = wav_decode(wav, size, "the clip", &sound, err);
	free(wav);
	if (!status)
		status = wish->kbps ? mp3_encode(&sound, wish->rate, wish->kbps, NULL, &made, &made_size, err)
				    : pcm_encode(&sound, wish->rate, &made, &made_size, err);
	sound_free(&sound);
	if (!status)
		call_text(call, 200, wish->kbps ? "audio/mpeg" : "audio/pcm", (char *)made, made_size);
	return status;
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
	struct error err;
	if (main && call->state) {
		if (send_made(call, &f, call->state, &err))
			call_fail(call, &err);
		else
			http_header(&call->answer, "song-id: %s", call->jobs[0]);
	} else if (main) {
		files_answer(call, main);
		http_header(&call->answer, "song-id: %s", call->jobs[0]);
	} else {
		jobs_no_file(call, &f, call->jobs[0], &err);
		call_fail(call, &err);
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
	static const char *const texts[] = {"model_id", NULL};
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
	fine = fine && call_texts(call, body, texts) && read_format(call, fields) && read_duration(call, body, duration, unit, fields);
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

/* OpenAI's: what is to be spoken there is what it shall sound like here. */
static bool read_speech(struct call *call, const json_t *body, json_t *fields)
{
	const json_t *asked = json_object_get(body, "response_format"), *stream = json_object_get(body, "stream_format");
	const char *format = json_string_value(asked), *input = json_string_value(json_object_get(body, "input"));
	bool none = !asked || json_is_null(asked);
	if (!input || !*input) {
		call_refuse(call, 400, "input", "input must be a text that says what it shall sound like");
		return false;
	}
	if (stream && !json_is_null(stream) && strcmp(json_is_string(stream) ? json_string_value(stream) : "", "audio") != 0) {
		call_refuse(call, 400, "stream_format", "stream_format must be audio: a clip comes whole, not as events");
		return false;
	}
	json_object_set_new(fields, "prompt", json_string(input));
	return take_format(call, "response_format", none ? NULL : format ? format : "", fields);
}

void music_speech(struct call *call, struct worker *w)
{
	json_t *body, *fields = json_pack("{s:s}", "modality", "audio");
	if (!call_body(call, false, &body)) {
		json_decref(fields);
		return;
	}
	static const char *const texts[] = {"model", NULL};
	json_t *seed = json_object_get(body, "seed");
	bool fine = call_texts(call, body, texts) && read_speech(call, body, fields) && read_duration(call, body, "duration", 1, fields);
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

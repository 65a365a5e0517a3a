/* The table of routes, and the way through it. */
#include "gateway/routes.h"

#include <string.h>

#include "gateway/handlers.h"

enum { JSON_MAX = 1 << 20, CHANGE_MAX = 64 << 10, PICTURES_MAX = 64 << 20 };

/* clang-format off */
const struct route route_table[] = {
    {"POST", "jobs", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_SUMI, 0, jobs_send,
     "Send one job, or a list of them", NULL},
    {"GET", "jobs", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, jobs_list,
     "Jobs that wait and run, then ended ones, newest first",
     "state modality model tag starred since until limit after"},
    {"GET", "search", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, jobs_search,
     "Ended jobs whose prompt has all these words",
     "q state modality model tag starred since until limit after"},
    {"GET", "events", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, events_open,
     "What happens to jobs, as a stream of server-sent events",
     "job after previews"},
    {"GET", "models", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, models_list,
     "The models that living workers have", NULL},
    {"GET", "queue", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, queue_show, "The queue as a whole", NULL},
    {"POST", "queue/pause", QUEUE_SCOPE_ADMIN, JSON_MAX, DIALECT_SUMI, 0, queue_stop,
     "Begin nothing new", NULL},
    {"POST", "queue/resume", QUEUE_SCOPE_ADMIN, ROUTE_BODY_UNREAD, DIALECT_SUMI, 0, queue_go_on,
     "End a pause", NULL},
    {"GET", "jobs/(id)", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, jobs_show, "One job with its files", NULL},
    {"DELETE", "jobs/(id)", QUEUE_SCOPE_SUBMIT, 0, DIALECT_SUMI, 0, jobs_cancel, "Cancel a job", NULL},
    {"PATCH", "jobs/(id)", QUEUE_SCOPE_SUBMIT, CHANGE_MAX, DIALECT_SUMI, 0, jobs_change,
     "Mark a job that has ended: starred, tags", NULL},
    {"POST", "jobs/(id)/delete", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_SUMI, 0, jobs_delete,
     "Delete a job that has ended, with its files", NULL},
    {"POST", "jobs/(id)/cancel", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_SUMI, 0, jobs_cancel,
     "Cancel a job", NULL},
    {"POST", "jobs/(id)/retry", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_SUMI, 0, jobs_retry,
     "Make a failed or cancelled job again, or a delayed one now", NULL},
    {"GET", "jobs/(id)/files/(name)", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, ROUTE_SIGNED, files_send,
     "A file that a job has made",
     "until signature"},
    {"GET", "jobs/(id)/thumbs/(name)", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, files_send_thumb,
     "A small WebP of that file, for lists", NULL},
    {"POST", "v1/images/generations", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_OPENAI, ROUTE_SLOW,
     openai_generate, "Pictures, as OpenAI's API has them", NULL},
    {"POST", "v1/images/edits", QUEUE_SCOPE_SUBMIT, PICTURES_MAX, DIALECT_OPENAI, ROUTE_SLOW,
     openai_edit, "A picture from a picture and a prompt, as a form with files", NULL},
    {"POST", "v1/images/variations", QUEUE_SCOPE_SUBMIT, PICTURES_MAX, DIALECT_OPENAI, ROUTE_SLOW,
     openai_vary, "Pictures like one", NULL},
    {"GET", "v1/mood/(name)", QUEUE_SCOPE_SUBMIT, 0, DIALECT_SUMI, ROUTE_MEDIA, mood_play,
     "Music for a mood: calm.ogg?duration=10",
     "duration seed loop model prompt key"},
    {"GET", "v1/models", QUEUE_SCOPE_READ, 0, DIALECT_OPENAI, 0, openai_models,
     "The models that living workers have", NULL},
    {"GET", "v1/models/(model)", QUEUE_SCOPE_READ, 0, DIALECT_OPENAI, 0, openai_model, "One model", NULL},
    {"POST", "sdapi/v1/txt2img", QUEUE_SCOPE_SUBMIT, PICTURES_MAX, DIALECT_A1111, ROUTE_SLOW, a1111_text,
     "Pictures, as AUTOMATIC1111's API has them", NULL},
    {"POST", "sdapi/v1/img2img", QUEUE_SCOPE_SUBMIT, PICTURES_MAX, DIALECT_A1111, ROUTE_SLOW, a1111_image,
     "Pictures from a picture", NULL},
    {"GET", "sdapi/v1/options", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_options,
     "The model in use", NULL},
    {"POST", "sdapi/v1/options", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_A1111, 0, a1111_set_options,
     "Choose the model", NULL},
    {"GET", "sdapi/v1/sd-models", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_models,
     "Models", NULL},
    {"GET", "sdapi/v1/sd-vae", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_vaes,
     "None but the models' own", NULL},
    {"GET", "sdapi/v1/sd-modules", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_vaes,
     "None but the models' own", NULL},
    {"GET", "sdapi/v1/samplers", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_samplers,
     "Samplers", NULL},
    {"GET", "sdapi/v1/schedulers", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_schedulers,
     "Schedules", NULL},
    {"GET", "sdapi/v1/upscalers", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_upscalers,
     "Ways in which a second pass makes pixels larger, and networks of this host", NULL},
    {"GET", "sdapi/v1/latent-upscale-modes", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_latent_upscalers,
     "Ways in which a second pass makes latents larger", NULL},
    {"GET", "sdapi/v1/loras", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_loras,
     "LoRAs of this host", NULL},
    {"GET", "sdapi/v1/prompt-styles", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_styles,
     "Styles of this host", NULL},
    {"GET", "sdapi/v1/hypernetworks", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_nothing,
     "An empty list", NULL},
    {"GET", "sdapi/v1/face-restorers", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_nothing,
     "An empty list", NULL},
    {"GET", "sdapi/v1/script-info", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_script_info,
     "ControlNet", NULL},
    {"GET", "sdapi/v1/extensions", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_nothing,
     "An empty list", NULL},
    {"GET", "sdapi/v1/embeddings", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_embeddings,
     "Embeddings of this host", NULL},
    {"GET", "sdapi/v1/scripts", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_scripts,
     "ControlNet", NULL},
    {"GET", "sdapi/v1/progress", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_progress,
     "How far the caller's pictures are",
     "skip_current_image"},
    {"POST", "sdapi/v1/interrupt", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_A1111, 0, a1111_interrupt,
     "Cancel the caller's pictures", NULL},
    {"POST", "sdapi/v1/skip", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_A1111, 0, a1111_skip,
     "Cancel the picture that is painted", NULL},
    {"POST", "sdapi/v1/png-info", QUEUE_SCOPE_READ, PICTURES_MAX, DIALECT_A1111, 0, a1111_read,
     "How a picture was made", NULL},
    {"GET", "controlnet/version", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, controlnet_version,
     "The version of the ControlNet extension that is understood", NULL},
    {"GET", "controlnet/model_list", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, controlnet_models,
     "Networks of this host that follow pictures", NULL},
    {"GET", "controlnet/module_list", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, controlnet_module_list,
     "Preprocessors", NULL},
    {"GET", "controlnet/control_types", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, controlnet_types,
     "Both together", NULL},
    {"GET", "controlnet/settings", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, controlnet_settings,
     "How many networks a picture may follow", NULL},
    {"POST", "controlnet/detect", QUEUE_SCOPE_SUBMIT, PICTURES_MAX, DIALECT_A1111, 0, controlnet_detect,
     "The maps of pictures", NULL},
    {"GET", "sdapi/v1/memory", QUEUE_SCOPE_READ, 0, DIALECT_A1111, 0, a1111_memory,
     "Memory of this machine", NULL},
    {"GET", "sdapi/v1/cmd-flags", QUEUE_SCOPE_READ, 0, DIALECT_A1111, ROUTE_QUICK, a1111_flags,
     "Nothing", NULL},
    {"POST", "sdapi/v1/refresh-checkpoints", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_A1111, ROUTE_QUICK, a1111_done,
     "Nothing to do: models come and go by themselves", NULL},
    {"POST", "sdapi/v1/refresh-loras", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_A1111, ROUTE_QUICK, a1111_done,
     "Nothing to do: models come and go by themselves", NULL},
    {"POST", "sdapi/v1/refresh-vae", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_A1111, ROUTE_QUICK, a1111_done,
     "Nothing to do: models come and go by themselves", NULL},
    {"POST", "sdapi/v1/unload-checkpoint", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_A1111, ROUTE_QUICK, a1111_done,
     "Nothing to do: models come and go by themselves", NULL},
    {"POST", "sdapi/v1/reload-checkpoint", QUEUE_SCOPE_SUBMIT, ROUTE_BODY_UNREAD, DIALECT_A1111, ROUTE_QUICK, a1111_done,
     "Nothing to do: models come and go by themselves", NULL},
    {"POST", "v1/music", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_ELEVENLABS, 0, music_compose,
     "Music, as ElevenLabs' API has it", "output_format"},
    {"POST", "v1/music/stream", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_ELEVENLABS, 0, music_compose,
     "The same", "output_format"},
    {"POST", "v1/sound-generation", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_ELEVENLABS, 0, music_sound,
     "A sound", "output_format"},
    {"POST", "v1/audio/speech", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_OPENAI, 0, music_speech,
     "Music that sounds as the input says, as OpenAI's API has speech", NULL},
    {"POST", "api/generate", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_OLLAMA, ROUTE_SLOW, ollama_generate,
     "A picture, as Ollama's API has it", NULL},
    {"GET", "api/tags", QUEUE_SCOPE_READ, 0, DIALECT_OLLAMA, 0, ollama_tags, "Models", NULL},
    {"GET", "api/version", QUEUE_SCOPE_READ, 0, DIALECT_OLLAMA, ROUTE_QUICK, ollama_version, "The version", NULL},
    {"POST", "v1/videos", QUEUE_SCOPE_SUBMIT, PICTURES_MAX, DIALECT_OPENAI, 0, videos_create,
     "Send a video, as OpenAI's API has them", NULL},
    {"GET", "v1/videos/(id)", QUEUE_SCOPE_READ, 0, DIALECT_OPENAI, 0, videos_show, "How far it is", NULL},
    {"DELETE", "v1/videos/(id)", QUEUE_SCOPE_SUBMIT, 0, DIALECT_OPENAI, 0, videos_delete, "Delete it, or cancel it", NULL},
    {"GET", "v1/videos/(id)/content", QUEUE_SCOPE_READ, 0, DIALECT_OPENAI, 0, videos_content,
     "Its bytes, an animated WebP", "variant"},
    {"POST", "mcp", QUEUE_SCOPE_SUBMIT, JSON_MAX, DIALECT_MCP, ROUTE_SLOW, mcp_serve,
     "Tools for language models, by MCP", NULL},
    {"GET", "metrics", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, 0, metrics_show,
     "Figures for Prometheus", NULL},
    {"GET", "openapi.json", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, ROUTE_OPEN | ROUTE_QUICK, openapi_show,
     "This document", NULL},
    {"GET", "", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, ROUTE_OPEN, page_show, "The page", NULL},
    {"GET", "page/(name)", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, ROUTE_OPEN, page_file,
     "A file of the page", NULL},
    {"POST", "login", QUEUE_SCOPE_READ, ROUTE_BODY_UNREAD, DIALECT_SUMI, 0, page_login,
     "Puts the key of this request into a cookie", NULL},
    {"POST", "logout", QUEUE_SCOPE_READ, ROUTE_BODY_UNREAD, DIALECT_SUMI, ROUTE_OPEN, page_logout,
     "Takes that cookie back", NULL},
    {"GET", "healthz", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, ROUTE_OPEN | ROUTE_QUICK, health_live,
     "Whether the gateway runs", NULL},
    {"GET", "readyz", QUEUE_SCOPE_READ, 0, DIALECT_SUMI, ROUTE_OPEN, health_ready,
     "Whether it reaches the queue, and a worker lives", NULL},
    {NULL, NULL, 0, 0, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

static bool path_fits(const char *path, const struct head *head, const char *args[CALL_ARGS_MAX])
{
	int segment = 0, arg = 0;
	for (; *path; segment++) {
		size_t n = strcspn(path, "/");
		if (segment >= head->segment_count)
			return false;
		const char *given = head->segments[segment];
		if (*path == '(' && *given && arg < CALL_ARGS_MAX)
			args[arg++] = given;
		else if (strlen(given) != n || memcmp(given, path, n) != 0)
			return false;
		path += n + (path[n] == '/');
	}
	return segment == head->segment_count;
}

/* Literal segments of a path that a request's has too, from the first on. */
static int shared_segments(const char *path, const struct head *head)
{
	int n = 0;
	for (; *path && *path != '(' && n < head->segment_count; n++) {
		size_t length = strcspn(path, "/");
		if (strlen(head->segments[n]) != length || memcmp(head->segments[n], path, length) != 0)
			break;
		path += length + (path[length] == '/');
	}
	return n;
}

enum dialect route_dialect(const struct head *head)
{
	enum dialect nearest = DIALECT_SUMI;
	int most = 0;
	for (const struct route *r = route_table; r->path; r++) {
		int n = shared_segments(r->path, head);
		if (n > most) {
			most = n;
			nearest = r->dialect;
		}
	}
	return nearest;
}

const struct route *route_find(const struct head *head, const char *args[CALL_ARGS_MAX], int *status,
			       char allow[128])
{
	const char *method = strcmp(head->method, "HEAD") == 0 ? "GET" : head->method;
	size_t used = 0;
	*status = 404;
	*allow = '\0';
	for (const struct route *r = route_table; r->path; r++) {
		if (!path_fits(r->path, head, args))
			continue;
		if (strcmp(r->method, method) == 0)
			return r;
		*status = 405;
		size_t n = strlen(r->method);
		if (used + n + 3 < 128) {
			memcpy(allow + used, ", ", 2);
			used += used ? 2 : 0;
			memcpy(allow + used, r->method, n + 1);
			used += n;
		}
	}
	return NULL;
}

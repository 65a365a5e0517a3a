/* Hugging Face's hub, as its own client speaks to it: GET api/models/OWNER/NAME/revision/REV?blobs=true
 * lists the files with sizes and hashes, OWNER/NAME/resolve/COMMIT/FILE has them. HF_ENDPOINT, HF_TOKEN,
 * HF_HOME and HF_HUB_CACHE are that client's variables. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/model_file.h"
#include "hub/plan.h"

enum { LIST_MAX = 32 << 20, PART_MAX = 256 };

#define HOST "https://huggingface.co"

struct repository {
	char name[256];     /* owner/name */
	char revision[128]; /* "" : main */
	char file[512];     /* ":FILE", or "" */
};

static const char *endpoint(char out[512])
{
	const char *given = getenv("HF_ENDPOINT");
	snprintf(out, 512, "%s", given && *given ? given : HOST);
	for (size_t n = strlen(out); n > 0 && out[n - 1] == '/'; n--)
		out[n - 1] = '\0';
	return out;
}

/* OWNER/NAME[@REVISION][:FILE] */
static bool parse_short(const char *text, struct repository *r)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t owner = strspn(text, allowed);
	if (owner == 0 || text[owner] != '/')
		return false;
	size_t name = strspn(text + owner + 1, allowed), n = owner + 1 + name;
	if (name == 0 || n >= sizeof r->name || (text[n] && text[n] != '@' && text[n] != ':'))
		return false;
	*r = (struct repository){.revision = ""};
	snprintf(r->name, sizeof r->name, "%.*s", (int)n, text);
	text += n;
	if (*text == '@') {
		n = strcspn(text + 1, ":");
		if (n == 0 || n >= sizeof r->revision)
			return false;
		snprintf(r->revision, sizeof r->revision, "%.*s", (int)n, text + 1);
		text += n + 1;
	}
	if (*text == ':') {
		if (!text[1] || strlen(text + 1) >= sizeof r->file)
			return false;
		snprintf(r->file, sizeof r->file, "%s", text + 1);
	}
	return true;
}

/* HOST/OWNER/NAME, …/tree/REVISION, …/blob/REVISION/FILE or …/resolve/REVISION/FILE */
static bool parse_address(const char *text, struct repository *r)
{
	char host[512], rest[1024], *mark, *file;
	static const char *const hosts[] = {HOST "/", "https://hf.co/"};
	const char *path = NULL;
	size_t n = strlen(endpoint(host));
	if (strncmp(text, host, n) == 0 && text[n] == '/')
		path = text + n + 1;
	for (size_t i = 0; i < 2 && !path; i++)
		if (strncmp(text, hosts[i], strlen(hosts[i])) == 0)
			path = text + strlen(hosts[i]);
	if (!path || strlen(path) >= sizeof rest)
		return false;
	snprintf(rest, sizeof rest, "%s", path);
	rest[strcspn(rest, "?#")] = '\0';
	char *slash = strchr(rest, '/');
	mark = slash ? strchr(slash + 1, '/') : NULL;
	if (mark)
		*mark++ = '\0';
	if (!parse_short(rest, r) || strpbrk(rest, "@:"))
		return false;
	if (!mark || !*mark)
		return true;
	file = strchr(mark, '/');
	if (!file || (strncmp(mark, "tree/", 5) != 0 && strncmp(mark, "blob/", 5) != 0 &&
		      strncmp(mark, "resolve/", 8) != 0))
		return false;
	char *revision = file + 1;
	file = strchr(revision, '/');
	if (file)
		*file++ = '\0';
	plan_unescape(revision);
	snprintf(r->revision, sizeof r->revision, "%s", revision);
	if (file)
		plan_unescape(file);
	if (file && *mark != 't')
		snprintf(r->file, sizeof r->file, "%s", file);
	return true;
}

static bool names(const char *what)
{
	struct repository r;
	return parse_address(what, &r) || (!strstr(what, "://") && parse_short(what, &r));
}

/* What an address cannot hold as it is; keep: what stays besides letters and digits. False: too long. */
static bool escape(const char *text, const char *keep, char *out, size_t size)
{
	size_t n = 0;
	for (; *text; text++) {
		if (n + 4 > size)
			return false;
		bool plain = ((unsigned char)*text < 0x80 && isalnum((unsigned char)*text)) || strchr(keep, *text);
		n += (size_t)snprintf(out + n, size - n, plain ? "%c" : "%%%02X", (unsigned char)*text);
	}
	out[n] = '\0';
	return true;
}

/* ---- which files ---- */

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcasecmp(text + n - m, end) == 0;
}

static const char *name_of(const json_t *sibling)
{
	const char *name = json_string_value(json_object_get(sibling, "rfilename"));
	return name ? name : "";
}

static bool is_there(const json_t *siblings, const char *name)
{
	size_t i;
	json_t *s;
	json_array_foreach(siblings, i, s)
	{
		if (strcmp(name_of(s), name) == 0)
			return true;
	}
	return false;
}

static int add(struct plan *plan, const struct repository *r, const json_t *s, const char *path,
	       struct error *err)
{
	char host[512], url[TRANSFER_URL_MAX];
	const json_t *lfs = json_object_get(s, "lfs");
	json_int_t size = json_integer_value(json_object_get(s, "size"));
	const char *name = name_of(s);
	int n = snprintf(url, sizeof url, "%s/%s/resolve/%s/", endpoint(host), r->name, r->revision);
	if (n < 0 || (size_t)n >= sizeof url || !escape(name, "/._-~", url + n, sizeof url - (size_t)n))
		return error_set(err, SUMI_TOOBIG, "%.200s: an address too long", name);
	return plan_add(plan, path, url, size > 0 ? (uint64_t)size : 0,
			json_string_value(json_object_get(lfs, "sha256")),
			lfs ? NULL : json_string_value(json_object_get(s, "blobId")), err);
}

/* NAME.fp16.safetensors, NAME-00001-of-00002.fp16.safetensors … */
static bool is_half(const char *name)
{
	return strstr(name, ".fp16") != NULL;
}

/* Of a part's weights those in half precision where there are any, and pickles where there is nothing
 * else. What other programs want (ONNX, Flax, weights without averaging) stays. */
static bool wanted(const json_t *siblings, const char *part, const char *name)
{
	bool half = false, safe = false;
	size_t i, n = strlen(part);
	json_t *s;
	if (strchr(name + n + 1, '/') || strstr(name, "non_ema") || strstr(name, "flax") ||
	    strstr(name, "onnx") || strstr(name, "openvino"))
		return false;
	json_array_foreach(siblings, i, s)
	{
		const char *other = name_of(s);
		if (strncmp(other, part, n) != 0 || other[n] != '/' || strstr(other, "non_ema"))
			continue;
		safe |= ends_in(other, ".safetensors");
		half |= ends_in(other, ".safetensors") && is_half(other);
	}
	if (ends_in(name, ".safetensors") || strstr(name, ".safetensors.index"))
		return is_half(name) == half;
	if (ends_in(name, ".bin"))
		return !safe && !is_half(name);
	return ends_in(name, ".json") || ends_in(name, ".txt") || ends_in(name, ".model");
}

/* Parts that no picture needs. */
static bool is_spare(const char *part)
{
	static const char *const spare[] = {"safety_checker", "feature_extractor", "watermarker"};
	for (size_t i = 0; i < sizeof spare / sizeof spare[0]; i++)
		if (strcmp(spare[i], part) == 0)
			return true;
	return false;
}

static int plan_folder(struct plan *plan, const struct repository *r, const json_t *siblings,
		       struct error *err)
{
	int status = SUMI_OK;
	size_t i;
	json_t *s;
	plan->folder = true;
	json_array_foreach(siblings, i, s)
	{
		const char *name = name_of(s), *slash = strchr(name, '/');
		char part[PART_MAX];
		bool top = strcmp(name, "model_index.json") == 0 || strcmp(name, "sumi.json") == 0;
		if (slash && (size_t)(slash - name) < sizeof part) {
			snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
			/* A part is a folder that has a config; others are examples or pictures. */
			char config[PART_MAX + 32];
			static const char *const marks[] = {"config.json", "tokenizer_config.json",
							    "vocab.json", "scheduler_config.json"};
			bool is_part = false;
			for (size_t k = 0; k < 4; k++) {
				snprintf(config, sizeof config, "%s/%s", part, marks[k]);
				is_part |= is_there(siblings, config);
			}
			top = is_part && !is_spare(part) && wanted(siblings, part, name);
		}
		if (top && !status)
			status = add(plan, r, s, name, err);
	}
	return status;
}

static const char *base_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	return slash ? slash + 1 : name;
}

static bool has_letters(const char *name, const char *letters)
{
	size_t n = strlen(letters);
	for (; *name; name++)
		if (strncasecmp(name, letters, n) == 0)
			return true;
	return false;
}

static int list_choices(const struct repository *r, const json_t *siblings, struct error *err)
{
	char text[360] = "";
	size_t i, used = 0, left = 0;
	json_t *s;
	json_array_foreach(siblings, i, s)
	{
		char size[32];
		if (!model_file_ending(name_of(s)))
			continue;
		plan_size_text((uint64_t)json_integer_value(json_object_get(s, "size")), size);
		int n = snprintf(text + used, sizeof text - used, "%s%s (%s)", used ? ", " : "", name_of(s),
				 size);
		if (n < 0 || (size_t)n >= sizeof text - used - 16) {
			text[used] = '\0';
			left++;
			continue;
		}
		used += (size_t)n;
	}
	return error_set(err, used ? SUMI_INVALID : SUMI_NOTFOUND,
			 used ? "%s:%s: name one of its files: %s%s" : "%s%s: no weights that sumi reads%s%s",
			 r->name, r->file, text, left ? ", …" : "");
}

/* The file itself, else the only one with its letters. */
static int plan_file(struct plan *plan, const struct repository *r, const json_t *siblings,
		     struct error *err)
{
	const json_t *found = NULL;
	size_t i, count = 0;
	json_t *s;
	for (int pass = 0; pass < 3 && count != 1; pass++) {
		count = 0;
		json_array_foreach(siblings, i, s)
		{
			const char *name = name_of(s);
			bool fits = pass == 0   ? strcmp(name, r->file) == 0
				    : pass == 1 ? strcmp(base_of(name), r->file) == 0
						: model_file_ending(name) && has_letters(name, r->file);
			if (!fits)
				continue;
			found = s;
			count++;
		}
	}
	if (count != 1)
		return list_choices(r, siblings, err);
	plan_set_name(plan, base_of(name_of(found)));
	return add(plan, r, found, base_of(name_of(found)), err);
}

/* ---- the hub ---- */

static void find_cache(const struct repository *r, struct plan *plan)
{
	const char *cache = getenv("HF_HUB_CACHE"), *home = getenv("HF_HOME");
	const char *xdg = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");
	char root[FILES_PATH_MAX], name[300];
	int status = cache && *cache ? files_path(root, NULL, "%s", cache)
		     : home && *home ? files_path(root, NULL, "%s/hub", home)
		     : xdg && *xdg   ? files_path(root, NULL, "%s/huggingface/hub", xdg)
				     : files_path(root, NULL, "%s/.cache/huggingface/hub",
						  user ? user : "");
	size_t n = 0;
	for (const char *p = r->name; *p && n + 3 < sizeof name; p++) {
		name[n++] = *p == '/' ? '-' : *p;
		if (*p == '/')
			name[n++] = '-';
	}
	name[n] = '\0';
	if (status || files_path(plan->cache, NULL, "%s/models--%s/blobs", root, name))
		plan->cache[0] = '\0';
}

/* "license:mit" among the tags, or the card's own words. */
static void find_licence(const json_t *answer, const struct repository *r, struct plan *plan)
{
	const json_t *card = json_object_get(answer, "cardData");
	const char *licence = json_string_value(json_object_get(card, "license"));
	const char *other = json_string_value(json_object_get(card, "license_name"));
	const char *link = json_string_value(json_object_get(card, "license_link"));
	char host[512];
	size_t i;
	json_t *tag;
	json_array_foreach(json_object_get(answer, "tags"), i, tag)
	{
		const char *text = json_string_value(tag);
		if (!licence && text && strncmp(text, "license:", 8) == 0)
			licence = text + 8;
	}
	if (licence && strcmp(licence, "other") == 0 && other)
		licence = other;
	snprintf(plan->licence, sizeof plan->licence, "%s", licence ? licence : "");
	if (link && strncmp(link, "http", 4) == 0)
		snprintf(plan->licence_url, sizeof plan->licence_url, "%s", link);
	else
		snprintf(plan->licence_url, sizeof plan->licence_url, "%s/%s", endpoint(host), r->name);
}

static int read_hub(const char *what, struct plan *plan, struct error *err)
{
	struct repository r;
	char host[512], url[TRANSFER_URL_MAX], revision[3 * sizeof r.revision + 1];
	json_t *answer = NULL;
	const char *token = getenv("HF_TOKEN");
	if (!parse_address(what, &r))
		parse_short(what, &r);
	snprintf(plan->token, sizeof plan->token, "%s", token ? token : "");
	if (!escape(*r.revision ? r.revision : "main", "._-~", revision, sizeof revision)) /* refs/pr/1 is one name */
		return error_set(err, SUMI_TOOBIG, "%.200s: an address too long", what);
	snprintf(url, sizeof url, "%s/api/models/%s/revision/%s?blobs=true", endpoint(host), r.name, revision);
	int status = transfer_json(url, plan->token, LIST_MAX, &answer, err);
	if (status == SUMI_PERM)
		return error_set(err, status,
				 "%s is not open to everybody: accept its licence at %s/%s and give a "
				 "token of yours in HF_TOKEN", r.name, host, r.name);
	if (status == SUMI_NOTFOUND)
		return error_set(err, status, "there is no model %s%s%s at %s, or it is private", r.name,
				 *r.revision ? "@" : "", r.revision, host);
	if (status)
		return status;
	const json_t *siblings = json_object_get(answer, "siblings");
	const char *commit = json_string_value(json_object_get(answer, "sha"));
	if (!commit || strlen(commit) != 40 || strspn(commit, "0123456789abcdef") != 40)
		status = error_set(err, SUMI_CORRUPT, "%s: no commit ('sha') in the answer", url);
	if (!status) {
		snprintf(r.revision, sizeof r.revision, "%s", commit);
		plan_set_name(plan, strchr(r.name, '/') + 1);
		find_licence(answer, &r, plan);
		find_cache(&r, plan);
		snprintf(plan->source, sizeof plan->source, "%s@%s%s%s", r.name, r.revision,
			 *r.file ? ":" : "", r.file);
		if (!*r.file && is_there(siblings, "model_index.json"))
			status = plan_folder(plan, &r, siblings, err);
		else
			status = plan_file(plan, &r, siblings, err);
	}
	json_decref(answer);
	return status;
}

const struct hub hub_huggingface = {names, read_hub};

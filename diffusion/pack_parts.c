/* The parts of a pack, as its family lists them: whether each holds what it must, what of it
 * decides the result, what it weighs, and how it is opened. */
#include <dirent.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diffusion/adapters.h"
#include "diffusion/pack_internal.h"
#include "weights/checkpoint.h"
#include "weights/weights.h"

/* ---- opening ---- */

static int open_denoiser(struct pack *pack, const char *folder, struct error *err)
{
	(void)folder;
	if (!pack_holds_all(pack, 0)) /* with the first run */
		return SUMI_OK;
	struct denoiser **to = &pack->denoisers[0].open;
	int status = denoiser_open(pack->info.family->denoiser, pack->device, &pack->info,
				   pack_denoiser_part(&pack->info, false), to, err);
	/* Texts come before its first step, and what was read to check it need not wait there. */
	if (!status)
		denoiser_rest(*to);
	return status;
}

static int open_texts(struct pack *pack, const char *folder, struct error *err)
{
	(void)folder;
	const struct conditioner_kind *kind = pack->info.family->conditioner;
	if (pack->conditioner) /* its other encoder */
		return SUMI_OK;
	int status = conditioner_shape_read(kind, &pack->info, &pack->texts, err);
	if (!status)
		status = conditioner_open(kind, pack->device, &pack->info, &pack->conditioner, err);
	if (status)
		return status;
	conditioner_set_room(pack->conditioner, pack_make_room_for_texts, pack);
	return pack_holds_all(pack, 0) ? conditioner_load(pack->conditioner, err) : SUMI_OK;
}

static int open_codec(struct pack *pack, const char *folder, struct error *err)
{
	return codec_open(pack->info.family->codec, pack->device, folder, pack->info.store,
			  &pack->codec, err);
}

static int open_scheduler(struct pack *pack, const char *folder, struct error *err)
{
	(void)folder;
	int status = pack_scheduler_read(&pack->info, &pack->scheduler, err);
	if (!status)
		sampler_config_for_latents(&pack->scheduler);
	pack->scheduler.aligned = pack->info.family->aligned;
	return status;
}

/* Motion modules come with their denoiser. */
static int (*const openers[PART_USES])(struct pack *pack, const char *folder, struct error *err) = {
    [PART_TEXTS] = open_texts,
    [PART_DENOISER] = open_denoiser,
    [PART_CODEC] = open_codec,
    [PART_NOISE] = open_scheduler,
};

/* ---- where parts are ---- */

int pack_scheduler_read(const struct pack_info *info, struct sampler_config *config,
			struct error *err)
{
	char file[FILES_PATH_MAX], path[FILES_PATH_MAX];
	int status = files_path(file, err, "%s/" SCHEDULER_FILE,
				family_folder(info->family, PART_NOISE));
	if (!status)
		status = pack_part(info, file, path, err);
	return status ? status : sampler_config_read(path, config, err);
}

static bool part_is_there(const struct pack_info *info, const char *folder)
{
	char path[FILES_PATH_MAX];
	return !pack_part(info, folder, path, NULL) && part_exists(path);
}

int pack_parts_open(struct pack *pack, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = SUMI_OK;
	for (const struct part *const *at = pack->info.family->parts; *at && !status; at++) {
		const struct part *p = *at;
		if (!openers[p->use] || (p->optional && !part_is_there(&pack->info, p->folder)))
			continue;
		status = pack_part(&pack->info, p->folder, folder, err);
		if (!status)
			status = openers[p->use](pack, folder, err);
	}
	return status;
}

static uint64_t weight_bytes(const struct pack_info *info, const char *part)
{
	char path[FILES_PATH_MAX];
	struct weights *files;
	struct overlays on;
	if (pack_part(info, part, path, NULL) ||
	    weights_open_with(path, adapters_on(info, part, &on), &files, NULL))
		return 0;
	uint64_t bytes = weights_bytes(files);
	weights_close(files);
	return bytes;
}

void pack_parts_weigh(const struct pack_info *info, uint64_t bytes[PART_USES])
{
	memset(bytes, 0, PART_USES * sizeof *bytes);
	for (const struct part *const *at = info->family->parts; *at; at++)
		if ((*at)->weights && (*at)->use != PART_DISTILLED)
			bytes[(*at)->use] += weight_bytes(info, (*at)->folder);
	if (info->has_fast)
		bytes[PART_DISTILLED] = weight_bytes(info, info->fast_unet);
}

bool pack_parts_in_blocks(const struct pack_info *info)
{
	char path[FILES_PATH_MAX];
	struct weights *files;
	size_t blocks = 0, all = 0;
	if (pack_part(info, family_folder(info->family, PART_DENOISER), path, NULL) ||
	    weights_open(path, &files, NULL))
		return false;
	for (size_t i = 0; i < weights_tensors(files); i++) {
		const struct weight_tensor *t = weights_at(files, i);
		size_t numbers = t->bytes / dtype_size(t->dtype);
		all += numbers;
		blocks += format_info(t->stored)->block > 1 ? numbers : 0;
	}
	weights_close(files);
	return blocks > all / 4;
}

void pack_weigh(const struct pack_info *info, struct pack_weight *out)
{
	uint64_t bytes[PART_USES];
	pack_parts_weigh(info, bytes);
	*out = (struct pack_weight){.texts = bytes[PART_TEXTS],
				    .denoiser = bytes[PART_DENOISER] + bytes[PART_MOTION],
				    .codec = bytes[PART_CODEC]};
}

uint64_t pack_parts_bytes(const struct pack_info *info)
{
	uint64_t bytes[PART_USES], all = 0;
	pack_parts_weigh(info, bytes);
	for (int i = 0; i < PART_USES; i++)
		all += i == PART_DISTILLED ? 0 : bytes[i];
	return all;
}

/* ---- what is missing ---- */

/* A distilled UNet, whatever its folder is called. */
static const struct part fast = {.files = {"config.json"}, .weights = UNET_FILE};

/* A list of names that ends in … where it is full. */
struct missing {
	char list[300];
	size_t used;
};

static void add_missing(struct missing *m, const char *folder, const char *file)
{
	char name[300];
	bool whole = strcmp(folder, ".") == 0;
	int n = snprintf(name, sizeof name, "%s%s%s%s", m->used ? ", " : "", whole ? "" : folder,
			 whole ? "" : "/", file);
	if (n < 0 || m->used + (size_t)n + sizeof ", …" > sizeof m->list) {
		if (m->list[0] && !strstr(m->list, "…"))
			strcpy(m->list + m->used, ", …");
		return;
	}
	strcpy(m->list + m->used, name);
	m->used += (size_t)n;
}

/* Only whether files are there; what they hold is checked by those who read them. */
static void look_at(const struct pack_info *info, const struct part *p, const char *folder,
		    struct missing *m)
{
	char where[FILES_PATH_MAX], path[FILES_PATH_MAX], file[WEIGHTS_FILE_MAX];
	if (pack_part(info, folder, where, NULL))
		return;
	if (pack_is_file(info)) { /* there is no file of a part that could be put there */
		bool there = p->weights ? part_exists(where)
					: !files_path(path, NULL, "%s/%s", where, p->files[0]) &&
					      part_exists(path);
		if (!there)
			add_missing(m, ".", folder);
		return;
	}
	for (int i = 0; i < PART_FILES && p->files[i]; i++)
		if (files_path(path, NULL, "%s/%s", where, p->files[i]) || !part_exists(path))
			add_missing(m, folder, p->files[i]);
	if (p->weights && weights_missing(where, p->weights, file))
		add_missing(m, folder, file);
}

static int refuse_half(const struct pack_info *info, const struct missing *m, struct error *err)
{
	if (!m->list[0])
		return SUMI_OK;
	if (pack_is_file(info))
		return error_set(err, SUMI_NOTFOUND,
				 "%s: half a model, it lacks %s: name the file or pack that has it in "
				 "a file NAME.sumi.json beside it, as in {\"vae\": \"other.safetensors\"}",
				 info->path, m->list);
	return error_set(err, SUMI_NOTFOUND, "%s: half a model pack, it lacks %s", info->path,
			 m->list);
}

int pack_parts_check(const struct pack_info *info, struct error *err)
{
	struct missing m = {.used = 0};
	for (const struct part *const *p = info->family->parts; *p; p++)
		if (!(*p)->optional || part_is_there(info, (*p)->folder))
			look_at(info, *p, (*p)->folder, &m);
	return refuse_half(info, &m, err);
}

int pack_parts_check_fast(const struct pack_info *info, struct error *err)
{
	struct missing m = {.used = 0};
	if (!info->has_fast || strcmp(info->fast_unet, pack_denoiser_part(info, false)) == 0)
		return SUMI_OK;
	look_at(info, &fast, info->fast_unet, &m);
	return refuse_half(info, &m, err);
}

int pack_parts_check_weights(const struct pack_info *info, struct error *err)
{
	for (const struct part *const *at = info->family->parts; *at; at++) {
		const struct part *p = *at;
		char path[FILES_PATH_MAX];
		struct weights *files;
		if (!p->weights || (p->optional && !part_is_there(info, p->folder)))
			continue;
		int status = pack_part(info, p->folder, path, err);
		if (status || (status = weights_open(path, &files, err)))
			return status;
		weights_close(files);
	}
	return SUMI_OK;
}

/* How files of tensors are called; what the last ones hold may be anything. */
static const struct {
	const char *ending;
	bool always; /* whether it is told when such a file cannot be read */
} endings[] = {{".safetensors", true}, {".sft", true},  {".gguf", true}, {".ckpt", true},
	       {".pt", false},	     {".pth", false}, {".bin", false}};

static int file_any(const char *path, bool *any, struct error *err)
{
	char index[FILES_PATH_MAX];
	const char *dot = strrchr(path, '.');
	json_t *root = NULL;
	for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++) {
		if (strcasecmp(dot, endings[i].ending) != 0 ||
		    files_path(index, NULL, "%s/model_index.json", path))
			continue;
		int status = part_json_read(index, 1 << 20, &root, err);
		json_decref(root);
		/* A LoRA or an autoencoder among the models is in its place. */
		*any = !status || (endings[i].always && status != SUMI_NOTFOUND);
		return status == SUMI_NOMEM ? status : SUMI_OK;
	}
	return SUMI_OK;
}

int pack_parts_any(const char *path, bool *any, struct error *err)
{
	struct pack_info info = {0};
	*any = false;
	if (files_path(info.path, NULL, "%s", path))
		return SUMI_OK;
	if (pack_is_file(&info))
		return file_any(path, any, err);
	const struct family *f;
	for (size_t i = 0; (f = families[i]); i++)
		for (const struct part *const *p = f->parts; *p; p++)
			*any |= strcmp((*p)->folder, ".") != 0 && part_is_there(&info, (*p)->folder);
	*any |= part_is_there(&info, "model_index.json") || part_is_there(&info, "sumi.json");
	return SUMI_OK;
}

/* ---- digest ---- */

/* Files up to WHOLE bytes are hashed whole, larger ones by their size, their first block
 * and SAMPLES blocks spread over them: retrained weights differ everywhere. */
static int hash_file(EVP_MD_CTX *ctx, const char *path, struct error *err)
{
	enum { WHOLE = 32 << 20, BLOCK = 64 << 10, SAMPLES = 64 };
	int status = SUMI_OK;
	struct stat st;
	unsigned char *block = malloc(BLOCK);
	if (!block)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	int fd;
	if ((status = files_open_regular(path, &fd, err)))
		goto done;
	if (fstat(fd, &st) != 0) {
		status = error_errno(err, "%s", path);
		goto done;
	}
	uint64_t size = (uint64_t)st.st_size;
	EVP_DigestUpdate(ctx, &size, sizeof size);
	uint64_t stride = size <= WHOLE ? BLOCK : size / SAMPLES;
	for (uint64_t at = 0; at < size; at += stride) {
		ssize_t n = pread(fd, block, BLOCK, (off_t)at);
		if (n < 0) {
			status = error_errno(err, "%s", path);
			goto done;
		}
		EVP_DigestUpdate(ctx, block, (size_t)n);
	}
done:
	if (fd >= 0)
		close(fd);
	free(block);
	return status;
}

static int is_shown(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* What every part may have, and what this one must. */
static bool is_content(const struct part *part, const char *name)
{
	const char *dot = strrchr(name, '.');
	for (int i = 0; i < PART_FILES && part->files[i]; i++)
		if (strcmp(part->files[i], name) == 0)
			return true;
	return dot && (!strcmp(dot, ".json") || !strcmp(dot, ".safetensors") || !strcmp(dot, ".txt") ||
		       !strcmp(dot, ".bin"));
}

static int hash_folder(EVP_MD_CTX *ctx, const struct pack_info *info, const struct part *kind,
		       const char *part, struct error *err)
{
	char folder[FILES_PATH_MAX], path[FILES_PATH_MAX];
	int status = pack_part(info, part, folder, err);
	if (status)
		return status;
	const char *rest;
	if (source_split(folder, path, &rest)) {
		EVP_DigestUpdate(ctx, part, strlen(part) + 1);
		status = hash_file(ctx, path, err);
		checkpoint_side_file(path, folder);
		return status || !*folder || strcmp(part, ".") != 0 ? status
								     : hash_file(ctx, folder, err);
	}
	struct dirent **entries;
	int n = scandir(folder, &entries, is_shown, alphasort);
	if (n < 0)
		return SUMI_OK; /* a pack without this part */
	for (int i = 0; i < n; i++) {
		bool counts = is_content(kind, entries[i]->d_name);
		if (!status && counts)
			status = files_path(path, err, "%s/%s", folder, entries[i]->d_name);
		if (!status && counts) {
			EVP_DigestUpdate(ctx, part, strlen(part) + 1);
			EVP_DigestUpdate(ctx, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
			status = hash_file(ctx, path, err);
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

/* The fast UNet's folder where it is none of the family's parts; else NULL. */
static const char *fast_part(const struct pack_info *info)
{
	return info->has_fast && !family_part(info->family, info->fast_unet) ? info->fast_unet
									     : NULL;
}

int pack_info_digest(struct pack_info *info, struct error *err)
{
	int status = SUMI_OK;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", info->path);
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	for (const struct part *const *p = info->family->parts; *p && !status; p++)
		status = hash_folder(ctx, info, *p, (*p)->folder, err);
	if (!status && fast_part(info))
		status = hash_folder(ctx, info, &fast, fast_part(info), err);
	EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	for (int i = 0; i < 32; i++)
		snprintf(info->digest + 2 * i, 3, "%02x", digest[i]);
	return status;
}

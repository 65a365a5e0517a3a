/* The parts of a pack, listed once: what each must hold, what of it decides the result, what it
 * weighs, and how it is opened. */
#include <dirent.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diffusion/pack_internal.h"
#include "weights/weights.h"

/* ---- opening ---- */

static int open_unet(struct pack *pack, const char *folder, struct error *err)
{
	return unet_open(pack->device, folder, &pack->unet, err);
}

static int open_texts(struct pack *pack, const char *folder, struct error *err)
{
	(void)folder;
	int status =
	    conditioner_shape_read(&conditioner_clip, &pack->info, &pack->texts, err);
	return status ? status
		      : conditioner_open(&conditioner_clip, pack->device, &pack->info,
					 &pack->conditioner, err);
}

static int open_vae(struct pack *pack, const char *folder, struct error *err)
{
	return vae_open(pack->device, folder, &pack->vae, err);
}

static int open_scheduler(struct pack *pack, const char *folder, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/" SCHEDULER_FILE, folder);
	if (!status)
		status = sampler_config_read(path, &pack->scheduler, err);
	if (!status)
		sampler_config_for_latents(&pack->scheduler);
	return status;
}

static int open_motion(struct pack *pack, const char *folder, struct error *err)
{
	return pack->info.has_motion ? unet_motion_open(pack->unet, folder, err) : SUMI_OK;
}

/* ---- the table ---- */

enum { FILES = 2 };

/* Digests depend on the order. Each part is opened after those above it. */
static const struct part {
	const char *folder;
	const char *files[FILES];
	const char *weights; /* a usual name of its weights; NULL: it has none */
	bool optional;
	int (*open)(struct pack *pack, const char *folder, struct error *err); /* or NULL */
} parts[] = {
    {.folder = ".", .files = {"model_index.json"}},
    {"unet", {"config.json"}, UNET_FILE, false, open_unet},
    /* Loaded when it is first asked for, not with the pack. */
    {"unet_fast", {"config.json"}, UNET_FILE, true, NULL},
    {"text_encoder", {"config.json"}, "model.safetensors", false, open_texts},
    {"tokenizer", {"vocab.json", "merges.txt"}, NULL, false, NULL}, /* with its encoder */
    {"vae", {"config.json"}, UNET_FILE, false, open_vae},
    {"scheduler", {SCHEDULER_FILE}, NULL, false, open_scheduler},
    {"motion_adapter", {"config.json"}, UNET_FILE, true, open_motion},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

int pack_part(const struct pack_info *info, const char *part, char out[FILES_PATH_MAX],
	      struct error *err)
{
	int status = files_path(out, err, "%s/%s", info->path, part);
	if (status || !*info->base || access(out, F_OK) == 0)
		return status;
	return files_path(out, err, "%s/%s", info->base, part);
}

static bool part_is_there(const struct pack_info *info, const char *folder)
{
	char path[FILES_PATH_MAX];
	return !pack_part(info, folder, path, NULL) && access(path, F_OK) == 0;
}

int pack_parts_open(struct pack *pack, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = SUMI_OK;
	for (const struct part *p = parts; p < parts + PARTS && !status; p++) {
		if (!p->open || (p->optional && !part_is_there(&pack->info, p->folder)))
			continue;
		status = pack_part(&pack->info, p->folder, folder, err);
		if (!status)
			status = p->open(pack, folder, err);
	}
	return status;
}

uint64_t pack_parts_bytes(const struct pack_info *info)
{
	uint64_t bytes = 0;
	for (const struct part *p = parts; p < parts + PARTS; p++) {
		char path[FILES_PATH_MAX];
		struct weights *files;
		if (!p->weights || !p->open || pack_part(info, p->folder, path, NULL) ||
		    weights_open(path, &files, NULL))
			continue;
		bytes += weights_bytes(files);
		weights_close(files);
	}
	return bytes;
}

/* ---- what is missing ---- */

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
	for (int i = 0; i < FILES && p->files[i]; i++)
		if (files_path(path, NULL, "%s/%s", where, p->files[i]) || access(path, F_OK) != 0)
			add_missing(m, folder, p->files[i]);
	if (p->weights && weights_missing(where, p->weights, file))
		add_missing(m, folder, file);
}

static int refuse_half(const struct pack_info *info, const struct missing *m, struct error *err)
{
	if (!m->list[0])
		return SUMI_OK;
	return error_set(err, SUMI_NOTFOUND, "%s: half a model pack, it lacks %s", info->path,
			 m->list);
}

int pack_parts_check(const struct pack_info *info, struct error *err)
{
	struct missing m = {.used = 0};
	for (const struct part *p = parts; p < parts + PARTS; p++)
		if (!p->optional || part_is_there(info, p->folder))
			look_at(info, p, p->folder, &m);
	return refuse_half(info, &m, err);
}

int pack_parts_check_fast(const struct pack_info *info, struct error *err)
{
	static const struct part fast = {.files = {"config.json"}, .weights = UNET_FILE};
	struct missing m = {.used = 0};
	if (!info->has_fast || strcmp(info->fast_unet, "unet") == 0)
		return SUMI_OK;
	look_at(info, &fast, info->fast_unet, &m);
	return refuse_half(info, &m, err);
}

int pack_parts_check_weights(const struct pack_info *info, struct error *err)
{
	for (const struct part *p = parts; p < parts + PARTS; p++) {
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

bool pack_parts_any(const char *folder)
{
	struct pack_info info = {0};
	if (files_path(info.path, NULL, "%s", folder))
		return false;
	for (const struct part *p = parts; p < parts + PARTS; p++)
		if (strcmp(p->folder, ".") != 0 && part_is_there(&info, p->folder))
			return true;
	return part_is_there(&info, "model_index.json") || part_is_there(&info, "sumi.json");
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

static int is_content(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');
	return dot && e->d_name[0] != '.' &&
	       (!strcmp(dot, ".json") || !strcmp(dot, ".safetensors") || !strcmp(dot, ".txt"));
}

static int hash_folder(EVP_MD_CTX *ctx, const struct pack_info *info, const char *part,
		       struct error *err)
{
	char folder[FILES_PATH_MAX], path[FILES_PATH_MAX];
	int status = pack_part(info, part, folder, err);
	if (status)
		return status;
	struct dirent **entries;
	int n = scandir(folder, &entries, is_content, alphasort);
	if (n < 0)
		return SUMI_OK; /* a pack without this part */
	for (int i = 0; i < n; i++) {
		if (!status)
			status = files_path(path, err, "%s/%s", folder, entries[i]->d_name);
		if (!status) {
			EVP_DigestUpdate(ctx, part, strlen(part) + 1);
			EVP_DigestUpdate(ctx, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
			status = hash_file(ctx, path, err);
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

/* The fast UNet's folder where it is none of `parts`; else NULL. */
static const char *fast_part(const struct pack_info *info)
{
	for (const struct part *p = parts; p < parts + PARTS; p++)
		if (strcmp(p->folder, info->fast_unet) == 0)
			return NULL;
	return info->has_fast ? info->fast_unet : NULL;
}

int pack_info_digest(struct pack_info *info, struct error *err)
{
	int status = SUMI_OK;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", info->path);
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	for (const struct part *p = parts; p < parts + PARTS && !status; p++)
		status = hash_folder(ctx, info, p->folder, err);
	if (!status && fast_part(info))
		status = hash_folder(ctx, info, fast_part(info), err);
	EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	for (int i = 0; i < 32; i++)
		snprintf(info->digest + 2 * i, 3, "%02x", digest[i]);
	return status;
}

/* sumi.conf: what daemon and CLI share of settings. One table holds every key with its
 * default, its check and the line that `sumid --help` and the manual print.
 *
 * The file is the one of --config or $SUMI_CONFIG, else the first that exists of
 * $XDG_CONFIG_HOME/sumi/sumi.conf (~/.config where that is not set) and /etc/sumi/sumi.conf.
 * None is fine. $SUMI_STATE_DIR, $SUMI_REDIS, $SUMI_WEIGHT_CACHE and $SUMI_WEIGHT_CACHE_DIR win
 * over the file. */
#ifndef SUMI_BASE_CONFIG_H
#define SUMI_BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/files.h"
#include "base/modality_table.h"
#include "base/status.h"

struct config {
	char file[FILES_PATH_MAX];      /* what was read; empty: nothing */
	char state_dir[FILES_PATH_MAX]; /* database, artifacts, private Redis */
	char redis[512];                /* URL; empty: a private redis-server in state_dir */
	char prefix[64];                /* of every key in Redis */
	char packs[FILES_PATH_MAX];     /* folders that hold model packs, separated by ':' */
	char input_dirs[FILES_PATH_MAX]; /* folders, separated by ':', whose files a job may name by
					    path; empty: none */
	char devices[512];              /* selectors separated by ',', or "auto" */
	char models[MODALITIES_OF_PACKS][128]; /* model_image …: of jobs that name none */
	char log[16];
	int64_t lease_ms;           /* a worker that is silent for so long has lost its job */
	int64_t step_limit_ms;      /* longest time without progress; 0: derived from the work */
	int64_t keep_done_ms;       /* finished jobs stay in Redis for so long … */
	int64_t keep_done_count;    /* … and at most so many */
	struct config_keep {
		int64_t age_ms, bytes; /* 0: no limit */
	} keep_results;		    /* results older than that, or beyond so much, are deleted */
	int64_t reserve_bytes;      /* free disk below which nothing is claimed */
	int64_t model_memory;       /* bytes that models may take on a device; 0: derived */
	int64_t idle_unload_ms;     /* a model unused for so long leaves the device */
	int64_t max_attempts;       /* for jobs that do not say */
	int64_t weight_cache_bytes; /* packed weights on disk take at most so much;
				       0: none are kept */
	char weight_cache_dir[FILES_PATH_MAX]; /* where; empty when there is no place */
	int64_t preview_ms; /* least time between two previews of a job; 0: none */
	char precision[8];  /* for jobs that do not say: "auto", "exact", "half" or "int8" */
	char upscaler[128]; /* of jobs and files to be enlarged that name none; empty: the first that there is */
	int64_t batch;      /* variants of a job that are made at once at most */
	int64_t input_memory; /* files that waiting jobs start from take at most so much of Redis */
	int64_t reuse_ms;   /* results this young answer identical requests; 0: none do */
	char notify_secret[256]; /* what notices to `notify` URLs are signed with; empty: they are not */
	/* of the gateway */
	char listen[1024];     /* addresses, separated by spaces or commas */
	char public_url[512];  /* what addresses in its answers begin with; empty: the Host asked for */
	char origins[2048];    /* of pages that may use it, beside its own */
	int64_t connections, connections_per_address; /* at most */
};

/* Fills config from path (NULL: the search above). Every mistake names file, line and key. */
int config_load(const char *path, struct config *config, struct error *err);

/* What of its values is no sense, as config_load() asks: "KEY: …". SUMI_INVALID. */
int config_check_values(const struct config *config, struct error *err);

/* The default model of a modality; "" for a modality that has none. Borrowed. *chosen: somebody
 * chose it; else it is the pack in the box, which need not be installed. */
const char *config_model(const struct config *config, const char *modality, bool *chosen);

#define CONFIG_DEVICE_SIZE 128

/* The next entry of the list `devices`, without the spaces around it, and what follows it; NULL
 * behind the last one. Begin with config->devices. */
const char *config_next_device(const char *list, char entry[CONFIG_DEVICE_SIZE]);

/* The table as text for --help: one line a key with its default. */
void config_print_help(FILE *out);

#endif

/* A modality turns a request into files by driving runs of the diffusion core: pictures,
 * videos, sound. One file each, entered in one table. Nothing here knows of queues or
 * databases; results go to the sink that the caller passes in. */
#ifndef SUMI_MODALITIES_MODALITY_H
#define SUMI_MODALITIES_MODALITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/modality_table.h"
#include "base/status.h"
#include "request/request.h"

struct pack;
struct pack_info;

/* So many generations make their steps at once at most. */
enum { TOGETHER_MAX = 16 };

struct output {
	const char *role;   /* "main", "spectrogram", "frame" */
	int number;         /* of several with one role: the frame; else 0 */
	const char *format; /* "webp", … */
	const char *mime;
	const void *data; /* borrowed for the call */
	size_t size;
	int width, height;
	double duration;           /* seconds; 0 for stills */
	const char *metadata_json; /* sumi's own JSON, as it stands in the file */
	const char *infotext;      /* A1111's text, as it stands in the file */
};

/* A frame of a video, as it was decoded and before all of them make a file. */
struct frame {
	int number, count;  /* 1 … count: its place in the video */
	const uint8_t *rgb; /* [height, width, 3], borrowed for the call */
	int width, height;
};

/* Where a generation's files go. */
struct sink {
	void *context;
	int (*output)(void *context, const struct output *output, struct error *err);
	/* Of a video, each frame when it is decoded; may be NULL. */
	int (*frame)(void *context, const struct frame *frame, struct error *err);
};

struct generation;

struct modality {
	/* It is made of files alone: there is no pack, and where one is asked for stands NULL. */
	bool packless;
	/* Fills in what the request leaves open and checks all of it against the pack. */
	int (*resolve)(const struct pack_info *info, struct request *r, struct error *err);
	/* Starts a resolved request, from saved bytes if there are any. */
	int (*begin)(struct pack *pack, const struct request *r, const void *saved,
		     size_t saved_size, struct generation **out, struct error *err);
	/* Whether these are the bytes of a file that a generation can be given (as init, or by another
	 * parameter that names a file): by its headers, before memory is spent on it, then by decoding
	 * it. where names it in messages: what is wrong is said here, where it is known how the file
	 * was called. */
	int (*check_file)(const void *data, size_t size, const char *where, struct error *err);
	int (*step)(struct generation *g, struct error *err);
	/* Several of one pack that make their next steps at once; NULL: this modality does not.
	 * Results are the same, bit for bit. After a failure all stand where they stood. */
	bool (*joins)(const struct generation *a, const struct generation *b);
	int (*step_together)(struct generation *const *all, int count, struct error *err);
	/* How many like this one the device had better make together, at most TOGETHER_MAX. */
	int (*most_together)(const struct generation *g);
	int (*save)(const struct generation *g, void **data, size_t *size, struct error *err);
	/* A small picture of what forms: the caller gives room for max_pixels·3 bytes. */
	int (*preview)(const struct generation *g, uint8_t *rgb, size_t max_pixels, int *width,
		       int *height, struct error *err);
	/* After the last step: decodes, encodes and hands every file to the sink. */
	int (*finish)(struct generation *g, const struct sink *sink, struct error *err);
	void (*free)(struct generation *g); /* NULL is fine */
};

/* Every modality's generation begins with this. */
struct generation {
	const struct modality *modality;
	int steps, steps_done; /* model evaluations */
	/* Told while something that is no step takes its time, as parts of what is enlarged; what it returns
	 * other than SUMI_OK ends that. NULL: nobody. */
	int (*part)(void *context, int done, int count, struct error *err);
	void *part_context;
};

/* NULL for a name that is none. */
const struct modality *modality_find(const char *name);

#define X(NAME, name, ...) extern const struct modality modality_##name;
MODALITY_TABLE(X)
#undef X

#endif

/* A generation that is one run of the core: what pictures and videos share. */
#ifndef SUMI_MODALITIES_SINGLE_RUN_H
#define SUMI_MODALITIES_SINGLE_RUN_H

#include "diffusion/run.h"
#include "modalities/controls.h"
#include "modalities/modality.h"
#include "modalities/repaint.h"

struct single_run {
	struct generation base;
	struct pack *pack; /* borrowed */
	struct run *run;
	struct request request; /* resolved; strings are borrowed */
	char other_digest[SHA256_HEX_SIZE];
	char other_folder[FILES_PATH_MAX]; /* of the pack that makes the second run; "": the same */
	struct pack *other;      /* that pack, open when its time has come; owned */
	struct embeddings *other_embeddings; /* that the texts name, for that pack */
	struct run_params first; /* of the first run, without pictures */
	bool second;             /* the second of two runs is under way, or done */
	int first_steps, second_steps; /* evaluations of each; the second 0: there is none */
	struct embeddings *embeddings; /* that the texts name; NULL: none */
	struct request_controls controls; /* without pictures */
	struct repaint *repaint; /* NULL: all of the picture is made */
	char *metadata, *infotext;
};

/* How a modality's `begin` fills in what the request alone does not say. */
struct single_run_start {
	const struct modality *modality;
	/* Reads the request's init, which it has: *out is one picture [height, width of the run, colours] in
	 * −1…1 that stands for all frames, and the caller's. NULL: this modality has none. It is
	 * called when the run is known to fit. */
	int (*load_init)(const struct single_run_start *start, const struct request *r, float **out,
			 struct error *err);
	int colours;         /* channels of a pixel; 0: three */
	int unknown;         /* of those, the last, which an init has not; load_init gives them anything */
	int width;           /* of the run where it is not the request's; else 0 */
	int window, overlap; /* as in struct run_params */
	int patch_width, patch_height; /* as there; patches overlap by half of the smaller side */
	const void *context; /* for load_init */
	const void *saved;   /* of single_run_save(), or NULL */
	size_t saved_size;
};

/* Pixels of what its present run makes. */
int single_run_width(const struct single_run *s);
int single_run_height(const struct single_run *s);

int single_run_begin(struct pack *pack, const struct request *r,
		     const struct single_run_start *start, struct generation **out,
		     struct error *err);

/* Hands a file to the sink with the texts that stand in it. */
int single_run_emit(const struct single_run *s, struct output *o, const struct sink *sink,
		    struct error *err);

/* Entries of the modality's table. */
int single_run_step(struct generation *g, struct error *err);
bool single_run_joins(const struct generation *a, const struct generation *b);
int single_run_step_together(struct generation *const *all, int count, struct error *err);
int single_run_most_together(const struct generation *g);
int single_run_save(const struct generation *g, void **data, size_t *size, struct error *err);
int single_run_preview(const struct generation *g, uint8_t *rgb, size_t max_pixels, int *width,
		       int *height, struct error *err);
void single_run_free(struct generation *g);

#endif

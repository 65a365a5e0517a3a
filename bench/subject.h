/* One model of a pack with random input, ready to be called again and again. */
#ifndef SUMI_BENCH_SUBJECT_H
#define SUMI_BENCH_SUBJECT_H

#include "backends/backend.h"

enum subject_kind { SUBJECT_TEXT, SUBJECT_STEP, SUBJECT_DECODE, SUBJECT_ENCODE, SUBJECTS };

/* "text", "step", "decode", "encode"; and for people: "UNet step", … */
extern const char *const subject_words[SUBJECTS], *const subject_names[SUBJECTS];

struct packed_store;

struct subject_size {
	int width, height; /* pixels */
	int batch;         /* pictures of a step; the other models take one */
	int frames;        /* of each of them, which the pack's motion modules let know of each other; 0 or 1: without */
	struct packed_store *store; /* borrowed: where packed weights are kept and mapped from; NULL: nowhere */
};

struct subject;

/* Loads the model of the pack in that folder onto the device, which must outlive it. The caller
 * closes *out, also after a failure. */
int subject_open(struct device *d, const char *pack, enum subject_kind kind,
		 const struct subject_size *size, struct subject **out, struct error *err);
void subject_close(struct subject *s); /* NULL is fine */

/* Runs the model once, results and all on the host; a meter_call whose user is the subject. */
int subject_call(void *user, struct error *err);

/* Bytes of temporaries that are planned for a call; 0: not known. */
uint64_t subject_plan(const struct subject *s);

#endif

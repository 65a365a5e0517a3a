/* An IP-Adapter with the image encoder that it reads: pictures as tokens beside a text's. The encoder comes for
 * a picture that is not remembered, and goes again. */
#ifndef SUMI_DIFFUSION_LOOK_H
#define SUMI_DIFFUSION_LOOK_H

#include "base/files.h"
#include "base/hash.h"
#include "networks/ip_adapter.h"
#include "networks/vision_encoder.h"

enum { LOOK_REMEMBERED = 8 };

struct look {
	struct ip_adapter *adapter; /* NULL: its configs alone are known */
	struct ip_config config;
	char encoder[FILES_PATH_MAX]; /* where its image encoder lies; empty: none was found */
	struct vision_config seen_by;
	uint64_t encoder_bytes; /* of weights */
	char encoder_sha256[SHA256_HEX_SIZE];
	struct device *device; /* borrowed, with the adapter */
	struct {
		uint64_t key;
		float *tokens;
	} remembered[LOOK_REMEMBERED]; /* of the last pictures */
	int next;
	float *nothing; /* tokens of no picture; NULL: not asked for yet */
};

/* path: FILE/ip_adapter. encoder: a folder or file; NULL or empty: what lies beside the adapter's file as it was
 * published ("image_encoder" in its folder or the one above), if it does. device NULL: only configs are read. */
int look_open(struct device *device, const char *path, const char *encoder, struct look **out,
	      struct error *err);
void look_close(struct look *look); /* NULL is fine */

/* Whether a folder or file holds an encoder that such an adapter reads, and where in it. */
bool look_reads(const struct ip_config *config, const char *path, char where[FILES_PATH_MAX]);

/* "base", "plus" or "full face"; what of a picture it reads, and how wide. */
const char *look_word(const struct ip_config *config);

/* What of an encoder an adapter wants, for messages. Returns out. */
const char *look_wants(const struct ip_config *config, char *out, size_t size);

/* Tokens of a picture. */
int look_count(const struct look *look);

/* Tokens [*count, config.context] of a picture [seen_by.side, seen_by.side, 3] in 0…1 and of none, the look's
 * until it is asked again. Computed exactly, whatever the device's precision is. */
int look_tokens(struct look *look, const float *picture, const float **tokens, const float **nothing,
		int *count, struct error *err);

#endif

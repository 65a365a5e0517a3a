/* CLIPVisionModelWithProjection: a picture to what a text encoder's words of it would be near to. */
#ifndef SUMI_NETWORKS_VISION_ENCODER_H
#define SUMI_NETWORKS_VISION_ENCODER_H

#include "networks/pass.h"

struct vision_config {
	int side;  /* pixels of a picture, each way */
	int patch; /* of a token */
	int width; /* channels of a token */
	int inner; /* channels inside the MLP */
	int layers, heads;
	enum activation act;
	double epsilon;
	int projection; /* channels of the whole picture's embedding */
};

/* Reads PATH/config.json, also of a whole CLIPModel; errors as those of text_config_read(). */
int vision_config_read(const char *path, struct vision_config *out, struct error *err);

/* Tokens of a picture: one of all, and one for each patch. */
int vision_tokens(const struct vision_config *config);

struct vision_encoder;

/* path: a folder with config.json and weights, or FILE/image_encoder of one. The device outlives the encoder.
 * Weights that contradict the config are SUMI_INVALID with file and tensor. */
int vision_encoder_open(struct device *device, const char *path, struct vision_encoder **out,
			struct error *err);
void vision_encoder_close(struct vision_encoder *ve); /* NULL is fine */

/* picture: host, [side, side, 3] in 0…1, or NULL: the mean colour, which is zero when it is seen.
 * tokens: out is the state before the last layer, [vision_tokens(), width]; else the picture's embedding
 * [projection]; host. */
int vision_encoder_forward(struct vision_encoder *ve, const float *picture, bool tokens, float *out,
			   struct error *err);

#endif

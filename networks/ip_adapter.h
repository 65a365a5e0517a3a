/* IP-Adapter (arXiv:2308.06721): of what an image encoder says of a picture a few tokens beside a text's, and
 * keys and values of them for each cross-attention of a UNet. */
#ifndef SUMI_NETWORKS_IP_ADAPTER_H
#define SUMI_NETWORKS_IP_ADAPTER_H

#include "networks/unet.h"

/* How tokens are made of what an image encoder says. */
enum ip_projection {
	IP_LINEAR,    /* of the picture's embedding ("base") */
	IP_RESAMPLER, /* of all tokens of the picture, by a few that ask them ("plus") */
	IP_MLP,       /* each of one of the picture's ("full face") */
};

enum { IP_LAYERS_MAX = 512, IP_DEPTH_MAX = 64, IP_TOKENS_MAX = 4096 };

struct ip_config {
	enum ip_projection projection;
	int image;   /* channels of what it reads of a picture */
	int context; /* channels of a token, as of a text's */
	int tokens;  /* of a picture; IP_MLP: 0, as many as the encoder's */
	int inner, asked, wide; /* IP_RESAMPLER: channels, those of its heads, those inside its MLPs */
	int depth;              /* its layers */
	int layers;             /* cross-attentions: on the way down, up, in the middle, … */
	int channels[IP_LAYERS_MAX]; /* … of each */
};

/* Reads PATH/config.json; errors as those of unet_config_read(). */
int ip_config_read(const char *path, struct ip_config *out, struct error *err);

/* Whether it reads all tokens of a picture, not the picture's embedding. */
bool ip_reads_tokens(const struct ip_config *config);

/* SUMI_INVALID where it was made for another UNet. */
int ip_adapter_check(const struct ip_config *config, const struct unet_config *unet, struct error *err);

struct ip_adapter;

/* path: FILE/ip_adapter of a file in its authors' names. Errors as those of unet_open(). */
int ip_adapter_open(struct device *device, const char *path, struct ip_adapter **out, struct error *err);
void ip_adapter_close(struct ip_adapter *ip); /* NULL is fine */
const struct ip_config *ip_adapter_config(const struct ip_adapter *ip);
void ip_adapter_rest(const struct ip_adapter *ip); /* as unet_rest() */

/* seen: host, [rows, image], what the encoder says (one row where it does not read tokens) → out
 * [ip_adapter_tokens(), context], host. */
int ip_adapter_tokens(const struct ip_config *config, int rows);
int ip_adapter_project(struct ip_adapter *ip, const float *seen, int rows, float *out, struct error *err);

/* Keys and values for the UNet, which it fits, of tokens [n, tokens, context], host: one picture beside each of
 * n texts. To be freed before both. */
int ip_adapter_look(struct ip_adapter *ip, struct unet *unet, const float *tokens, int n, int count,
		    struct unet_text **out, struct error *err);

/* Bytes that those take. */
uint64_t ip_adapter_bytes(const struct ip_config *config, int texts, int count, enum dtype dtype);

#endif

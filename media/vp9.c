/* VP9 by libvpx. */
#include "media/vp9.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vpx/vp8cx.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_encoder.h>

#include "media/picture.h"

enum { KEY_SECONDS = 2, LAG = 16, SPEED = 2, TICKS = 1000 };

struct vp9_encoder {
	vpx_codec_ctx_t codec;
	bool begun; /* codec wants to be destroyed */
	vpx_image_t *image;
	bool lossless;
	int width, height;
	int64_t frames;
};

/* ---- colours ----------------------------------------------------------------------- */

/* BT.709 in 16 … 235, in parts of 65536: red, green, blue. */
static const int of_light[3] = {11966, 40254, 4064}, of_blue[3] = {-6596, -22189, 28785},
		 of_red[3] = {28785, -26145, -2640};

static uint8_t weigh(const int weights[3], int r, int g, int b, int count, int above)
{
	int sum = weights[0] * r + weights[1] * g + weights[2] * b;
	return (uint8_t)((sum / count + above * 65536 + 32768) >> 16);
}

static void put_light(vpx_image_t *image, const uint8_t *rgb, size_t width, size_t height)
{
	for (size_t y = 0; y < height; y++) {
		uint8_t *row = image->planes[VPX_PLANE_Y] + (ptrdiff_t)y * image->stride[VPX_PLANE_Y];
		for (size_t x = 0; x < width; x++, rgb += 3)
			row[x] = weigh(of_light, rgb[0], rgb[1], rgb[2], 1, 16);
	}
}

/* A colour stands for two by two pixels. */
static void put_colour(vpx_image_t *image, const uint8_t *rgb, size_t width, size_t height)
{
	for (size_t y = 0; y < height; y += 2) {
		uint8_t *u = image->planes[VPX_PLANE_U] + (ptrdiff_t)(y / 2) * image->stride[VPX_PLANE_U];
		uint8_t *v = image->planes[VPX_PLANE_V] + (ptrdiff_t)(y / 2) * image->stride[VPX_PLANE_V];
		for (size_t x = 0; x < width; x += 2) {
			int sum[3] = {0, 0, 0};
			for (size_t k = 0; k < 4; k++) {
				size_t row = y + k / 2 < height ? y + k / 2 : y;
				size_t column = x + k % 2 < width ? x + k % 2 : x;
				for (int c = 0; c < 3; c++)
					sum[c] += rgb[(row * width + column) * 3 + (size_t)c];
			}
			u[x / 2] = weigh(of_blue, sum[0], sum[1], sum[2], 4, 128);
			v[x / 2] = weigh(of_red, sum[0], sum[1], sum[2], 4, 128);
		}
	}
}

/* Profile 1 holds green, blue and red in the places of light and colours. */
static void put_exact(vpx_image_t *image, const uint8_t *rgb, size_t width, size_t height)
{
	static const int from[3] = {1, 2, 0};
	for (int p = 0; p < 3; p++)
		for (size_t y = 0; y < height; y++) {
			uint8_t *row = image->planes[p] + (ptrdiff_t)y * image->stride[p];
			for (size_t x = 0; x < width; x++)
				row[x] = rgb[(y * width + x) * 3 + (size_t)from[p]];
		}
}

/* ---- coding ------------------------------------------------------------------------ */

static int failed(struct vp9_encoder *e, const char *what, struct error *err)
{
	const char *detail = vpx_codec_error_detail(&e->codec);
	return error_set(err, e->codec.err == VPX_CODEC_MEM_ERROR ? SUMI_NOMEM : SUMI_INTERNAL,
			 "VP9: %s: %s%s%s", what, vpx_codec_error(&e->codec), detail ? ": " : "",
			 detail ? detail : "");
}

/* Constant quality without a rate. */
static int configure(struct vp9_encoder *e, const struct vp9_options *options, struct error *err)
{
	vpx_codec_enc_cfg_t config;
	if (vpx_codec_enc_config_default(vpx_codec_vp9_cx(), &config, 0))
		return error_set(err, SUMI_UNSUPPORTED, "VP9: this libvpx has no encoder");
	config.g_w = (unsigned)e->width;
	config.g_h = (unsigned)e->height;
	config.g_threads = 1;
	config.g_profile = e->lossless ? 1 : 0;
	config.g_timebase = (struct vpx_rational){TICKS, (int)lround(options->fps * TICKS)};
	config.g_lag_in_frames = LAG;
	config.rc_end_usage = VPX_Q;
	config.kf_max_dist = (unsigned)ceil(KEY_SECONDS * options->fps);
	config.rc_min_quantizer = 0;
	config.rc_max_quantizer = e->lossless ? 0 : 63;
	if (vpx_codec_enc_init(&e->codec, vpx_codec_vp9_cx(), &config, 0))
		return failed(e, "libvpx refuses its settings", err);
	e->begun = true;
	int level = (int)lround((100 - options->quality) * 63 / 100);
	if (vpx_codec_control(&e->codec, VP8E_SET_CPUUSED, SPEED) ||
	    vpx_codec_control(&e->codec, VP8E_SET_CQ_LEVEL, e->lossless ? 0u : (unsigned)level) ||
	    vpx_codec_control(&e->codec, VP9E_SET_LOSSLESS, e->lossless ? 1u : 0u) ||
	    vpx_codec_control(&e->codec, VP9E_SET_TARGET_LEVEL, 0u) ||
	    vpx_codec_control(&e->codec, VP9E_SET_COLOR_SPACE, e->lossless ? VPX_CS_SRGB : VPX_CS_BT_709) ||
	    vpx_codec_control(&e->codec, VP9E_SET_COLOR_RANGE,
			      e->lossless ? VPX_CR_FULL_RANGE : VPX_CR_STUDIO_RANGE))
		return failed(e, "libvpx refuses a setting", err);
	return SUMI_OK;
}

int vp9_encoder_new(int width, int height, const struct vp9_options *options, struct vp9_encoder **out,
		    struct error *err)
{
	*out = NULL;
	if (width < 1 || height < 1 || width > VP9_MAX_SIDE || height > VP9_MAX_SIDE)
		return error_set(err, SUMI_INVALID, "VP9: %dx%d, a side has 1 to %d pixels", width, height,
				 VP9_MAX_SIDE);
	if (!(options->fps >= 0.001 && options->fps <= 1000))
		return error_set(err, SUMI_INVALID, "VP9: %g pictures a second, allowed are 0.001 to 1000",
				 options->fps);
	if (!options->lossless && !(options->quality >= 0 && options->quality <= 100))
		return error_set(err, SUMI_INVALID, "VP9: quality is %g, allowed are 0 to 100", options->quality);
	struct vp9_encoder *e = calloc(1, sizeof *e);
	if (!e)
		return error_set(err, SUMI_NOMEM, "VP9: no memory for an encoder");
	e->lossless = options->lossless;
	e->width = width;
	e->height = height;
	e->image = vpx_img_alloc(NULL, e->lossless ? VPX_IMG_FMT_I444 : VPX_IMG_FMT_I420, (unsigned)width,
				 (unsigned)height, 16);
	int status = e->image ? configure(e, options, err)
			      : error_set(err, SUMI_NOMEM, "VP9: no memory for %dx%d pixels", width, height);
	if (status) {
		vp9_encoder_free(e);
		return status;
	}
	*out = e;
	return SUMI_OK;
}

void vp9_encoder_free(struct vp9_encoder *e)
{
	if (!e)
		return;
	if (e->begun)
		vpx_codec_destroy(&e->codec);
	vpx_img_free(e->image);
	free(e);
}

/* Hands on what is ready; whether there was anything. */
static bool drain(struct vp9_encoder *e, const struct vp9_sink *sink)
{
	vpx_codec_iter_t at = NULL;
	const vpx_codec_cx_pkt_t *p;
	bool any = false;
	while ((p = vpx_codec_get_cx_data(&e->codec, &at))) {
		struct vp9_packet packet = {.data = p->data.frame.buf, .size = p->data.frame.sz, .frame = p->data.frame.pts};
		packet.key = p->data.frame.flags & VPX_FRAME_IS_KEY;
		if (p->kind == VPX_CODEC_CX_FRAME_PKT)
			sink->packet(sink->context, &packet);
		any = true;
	}
	return any;
}

int vp9_encoder_add(struct vp9_encoder *e, const uint8_t *rgb, bool key, const struct vp9_sink *sink,
		    struct error *err)
{
	size_t width = (size_t)e->width, height = (size_t)e->height;
	if (e->lossless) {
		put_exact(e->image, rgb, width, height);
	} else {
		put_light(e->image, rgb, width, height);
		put_colour(e->image, rgb, width, height);
	}
	e->image->cs = e->lossless ? VPX_CS_SRGB : VPX_CS_BT_709;
	e->image->range = e->lossless ? VPX_CR_FULL_RANGE : VPX_CR_STUDIO_RANGE;
	if (vpx_codec_encode(&e->codec, e->image, e->frames++, 1, key ? VPX_EFLAG_FORCE_KF : 0,
			     VPX_DL_GOOD_QUALITY))
		return failed(e, "a picture", err);
	drain(e, sink);
	return SUMI_OK;
}

int vp9_encoder_end(struct vp9_encoder *e, const struct vp9_sink *sink, struct error *err)
{
	do
		if (vpx_codec_encode(&e->codec, NULL, 0, 1, 0, VPX_DL_GOOD_QUALITY))
			return failed(e, "the end", err);
	while (drain(e, sink));
	return SUMI_OK;
}

int vp9_encoder_level(struct vp9_encoder *e)
{
	enum { LEVEL_UNKNOWN = 255 };
	int level = 0;
	if (vpx_codec_control(&e->codec, VP9E_GET_LEVEL, &level) || level == LEVEL_UNKNOWN)
		return 0;
	return level;
}

/* ---- decoding ---------------------------------------------------------------------- */

static uint8_t clamp(double value)
{
	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

/* Light and two colours to red, green, blue; old: by BT.601. */
static void to_rgb(const vpx_image_t *image, bool old, int light, int blue, int red, uint8_t out[3])
{
	double kr = old ? 0.299 : 0.2126, kb = old ? 0.114 : 0.0722;
	bool full = image->range == VPX_CR_FULL_RANGE;
	double y = full ? light : (light - 16) * 255.0 / 219, wide = full ? 1 : 255.0 / 224;
	double u = (blue - 128) * wide, v = (red - 128) * wide;
	out[0] = clamp(y + 2 * (1 - kr) * v);
	out[1] = clamp(y - (2 * (1 - kr) * kr * v + 2 * (1 - kb) * kb * u) / (1 - kr - kb));
	out[2] = clamp(y + 2 * (1 - kb) * u);
}

static void take_pixels(const vpx_image_t *image, bool vp8, uint8_t *rgb)
{
	bool old = vp8 || image->cs == VPX_CS_BT_601 || image->cs == VPX_CS_SMPTE_170;
	for (unsigned y = 0; y < image->d_h; y++)
		for (unsigned x = 0; x < image->d_w; x++, rgb += 3) {
			int value[3];
			for (int p = 0; p < 3; p++) {
				unsigned column = p ? x >> image->x_chroma_shift : x, row = p ? y >> image->y_chroma_shift : y;
				value[p] = image->planes[p][(ptrdiff_t)row * image->stride[p] + column];
			}
			if (image->cs == VPX_CS_SRGB) {
				rgb[0] = (uint8_t)value[2];
				rgb[1] = (uint8_t)value[0];
				rgb[2] = (uint8_t)value[1];
			} else {
				to_rgb(image, old, value[0], value[1], value[2], rgb);
			}
		}
}

struct vp9_decoder {
	vpx_codec_ctx_t codec;
	vpx_codec_iface_t *kind;
	const char *where; /* borrowed */
	int width, height; /* 0: before the first picture */
	int shown;
};

int vp9_decoder_new(bool vp8, const char *where, struct vp9_decoder **out, struct error *err)
{
	struct vp9_decoder *d = *out = calloc(1, sizeof *d);
	if (!d)
		return error_set(err, SUMI_NOMEM, "%s: no memory for a decoder", where);
	d->kind = vp8 ? vpx_codec_vp8_dx() : vpx_codec_vp9_dx();
	d->where = where;
	if (!vpx_codec_dec_init(&d->codec, d->kind, NULL, 0))
		return SUMI_OK;
	free(d);
	*out = NULL;
	return error_set(err, SUMI_UNSUPPORTED, "%s: this libvpx has no decoder for %s", where, vp8 ? "VP8" : "VP9");
}

void vp9_decoder_free(struct vp9_decoder *d)
{
	if (!d)
		return;
	vpx_codec_destroy(&d->codec);
	free(d);
}

/* What a packet says of itself before any of it is decoded. */
static int check_packet(const struct vp9_decoder *d, const void *data, size_t size, struct error *err)
{
	vpx_codec_stream_info_t said = {.sz = sizeof said};
	bool key = size <= UINT32_MAX / 2 &&
		   !vpx_codec_peek_stream_info(d->kind, data, (unsigned)size, &said) && said.is_kf;
	if (!key)
		return d->shown ? SUMI_OK : error_set(err, SUMI_CORRUPT, "%s: its first picture is no key picture", d->where);
	if (d->width && (said.w != (unsigned)d->width || said.h != (unsigned)d->height))
		return error_set(err, SUMI_UNSUPPORTED, "%s: its pictures change their size, from %dx%d to %ux%u", d->where,
				 d->width, d->height, said.w, said.h);
	return picture_check_size(said.w, said.h, d->where, err);
}

static int take_image(struct vp9_decoder *d, const vpx_image_t *image, uint8_t **rgb, struct error *err)
{
	if (image->fmt & VPX_IMG_FMT_HIGHBITDEPTH)
		return error_set(err, SUMI_UNSUPPORTED, "%s: its colours have more than 8 bits", d->where);
	int status = picture_check_size(image->d_w, image->d_h, d->where, err);
	if (status)
		return status;
	if (d->width && ((int)image->d_w != d->width || (int)image->d_h != d->height))
		return error_set(err, SUMI_UNSUPPORTED, "%s: its pictures change their size, from %dx%d to %ux%u", d->where,
				 d->width, d->height, image->d_w, image->d_h);
	d->width = (int)image->d_w;
	d->height = (int)image->d_h;
	d->shown++;
	*rgb = malloc((size_t)image->d_w * image->d_h * 3);
	if (!*rgb)
		return error_set(err, SUMI_NOMEM, "%s: no memory for %dx%d pixels", d->where, d->width, d->height);
	take_pixels(image, d->kind == vpx_codec_vp8_dx(), *rgb);
	return SUMI_OK;
}

int vp9_decoder_next(struct vp9_decoder *d, const void *data, size_t size, uint8_t **rgb, int *width, int *height,
		     struct error *err)
{
	vpx_codec_iter_t at = NULL;
	*rgb = NULL;
	int status = check_packet(d, data, size, err);
	if (status)
		return status;
	if (vpx_codec_decode(&d->codec, data, (unsigned)size, NULL, 0))
		return error_set(err, SUMI_CORRUPT, "%s: its picture %d is damaged", d->where, d->shown + 1);
	const vpx_image_t *image = vpx_codec_get_frame(&d->codec, &at);
	if (!image)
		return SUMI_NOTFOUND;
	status = take_image(d, image, rgb, err);
	*width = d->width;
	*height = d->height;
	return status;
}

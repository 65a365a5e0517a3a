/* WebP stills and animations through libwebp, libwebpmux and libwebpdemux. */
#include "media/webp.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "media/exif.h"
#include "media/hidden.h"
#include "media/xmp.h"

/* ---- writing ---- */

static int check_size(int width, int height, struct error *err)
{
	if (width < 1 || height < 1 || width > WEBP_MAX_SIDE || height > WEBP_MAX_SIDE)
		return error_set(err, SUMI_INVALID, "WebP: %dx%d, a side has 1 to %d pixels", width,
				 height, WEBP_MAX_SIDE);
	return SUMI_OK;
}

static int set_config(WebPConfig *config, const struct webp_options *options, struct error *err)
{
	if (!WebPConfigInit(config))
		return error_set(err, SUMI_UNSUPPORTED, "WebP: libwebp is older than its headers");
	if (options->lossless)
		WebPConfigLosslessPreset(config, 6);
	else
		config->quality = options->quality;
	if (!WebPValidateConfig(config))
		return error_set(err, SUMI_INVALID, "WebP: quality is %g, allowed are 0 to 100",
				 (double)options->quality);
	return SUMI_OK;
}

static int set_picture(WebPPicture *picture, const uint8_t *pixels, bool alpha, int width, int height,
		       bool lossless, struct error *err)
{
	if (!WebPPictureInit(picture))
		return error_set(err, SUMI_UNSUPPORTED, "WebP: libwebp is older than its headers");
	picture->use_argb = lossless;
	picture->width = width;
	picture->height = height;
	if (!(alpha ? WebPPictureImportRGBA(picture, pixels, 4 * width) : WebPPictureImportRGB(picture, pixels, 3 * width)))
		return error_set(err, SUMI_NOMEM, "WebP: no memory for %dx%d pixels", width,
				 height);
	return SUMI_OK;
}

static int set_chunk(WebPMux *mux, const char fourcc[4], const void *bytes, size_t size,
		     struct error *err)
{
	WebPData chunk = {bytes, size};
	if (size > 0 && WebPMuxSetChunk(mux, fourcc, &chunk, 1) != WEBP_MUX_OK)
		return error_set(err, SUMI_NOMEM, "WebP: no memory for metadata");
	return SUMI_OK;
}

/* Puts the metadata beside the picture in *file, whose bytes belong to libwebp. */
static int add_metadata(WebPData *file, const struct metadata *meta, struct error *err)
{
	if (!meta || (!meta->infotext && !meta->json))
		return SUMI_OK;
	char *xmp = NULL;
	unsigned char *exif = NULL;
	size_t xmp_size = 0, exif_size = 0;
	WebPData whole;
	WebPDataInit(&whole);
	WebPMux *mux = WebPMuxCreate(file, 0);
	int status = SUMI_OK;
	if (!mux) {
		status = error_set(err, SUMI_NOMEM, "WebP: no memory for metadata");
		goto done;
	}
	if ((status = xmp_write(meta, &xmp, &xmp_size, err)) ||
	    (status = exif_write(meta, &exif, &exif_size, err)) ||
	    (status = set_chunk(mux, "EXIF", exif, exif_size, err)) ||
	    (status = set_chunk(mux, "XMP ", xmp, xmp_size, err)))
		goto done;
	if (WebPMuxAssemble(mux, &whole) != WEBP_MUX_OK) {
		status = error_set(err, SUMI_NOMEM, "WebP: no memory for the file");
		goto done;
	}
done:
	WebPMuxDelete(mux); /* before file goes: it borrows from it */
	if (!status) {
		WebPDataClear(file);
		*file = whole;
	}
	free(exif);
	free(xmp);
	return status;
}

/* libwebp's memory goes with WebPFree(); callers free() theirs. */
static int hand_over(const WebPData *file, uint8_t **data, size_t *size, struct error *err)
{
	*data = file->size ? malloc(file->size) : NULL;
	if (!*data)
		return error_set(err, SUMI_NOMEM, "WebP: no memory for %zu bytes", file->size);
	memcpy(*data, file->bytes, file->size);
	*size = file->size;
	return SUMI_OK;
}

static int encode(const uint8_t *pixels, bool alpha, int width, int height, const struct webp_options *options,
		  const struct metadata *meta, uint8_t **data, size_t *size, struct error *err)
{
	WebPConfig config;
	WebPPicture picture = {0};
	WebPMemoryWriter writer;
	WebPData file;
	*data = NULL;
	*size = 0;
	WebPDataInit(&file);
	WebPMemoryWriterInit(&writer);
	int status = check_size(width, height, err);
	if (status)
		return status;
	if ((status = set_config(&config, options, err)) ||
	    (status = set_picture(&picture, pixels, alpha, width, height, options->lossless, err)))
		goto done;
	config.exact = alpha;
	picture.writer = WebPMemoryWrite;
	picture.custom_ptr = &writer;
	if (!WebPEncode(&config, &picture)) {
		status = error_set(err, SUMI_NOMEM, "WebP: encoder failed with libwebp's error %d",
				   (int)picture.error_code);
		goto done;
	}
	file = (WebPData){writer.mem, writer.size};
	WebPMemoryWriterInit(&writer);
	status = add_metadata(&file, meta, err);
	if (!status)
		status = hand_over(&file, data, size, err);
done:
	WebPDataClear(&file);
	WebPMemoryWriterClear(&writer);
	WebPPictureFree(&picture);
	return status;
}

int webp_encode(const uint8_t *rgb, int width, int height, const struct webp_options *options,
		const struct metadata *meta, uint8_t **data, size_t *size, struct error *err)
{
	return encode(rgb, false, width, height, options, meta, data, size, err);
}

int webp_encode_rgba(const uint8_t *rgba, int width, int height, const struct webp_options *options,
		     const struct metadata *meta, uint8_t **data, size_t *size, struct error *err)
{
	return encode(rgba, true, width, height, options, meta, data, size, err);
}

struct webp_animation {
	WebPAnimEncoder *encoder;
	WebPConfig config;
	int width, height;
	double frame_ms;
	bool timed;
	int frames, end_ms; /* of the last, when timed */
};

int webp_animation_new(int width, int height, const struct webp_animation_options *options,
		       struct webp_animation **out, struct error *err)
{
	*out = NULL;
	int status = check_size(width, height, err);
	if (status)
		return status;
	if (!options->timed && !(options->frame_ms >= 1 && options->frame_ms <= 65535))
		return error_set(err, SUMI_INVALID,
				 "WebP: a frame of %g ms, allowed are 1 to 65535",
				 options->frame_ms);
	if (options->loop_count < 0 || options->loop_count > 65535)
		return error_set(err, SUMI_INVALID, "WebP: loop count %d, allowed are 0 to 65535",
				 options->loop_count);
	struct webp_animation *a = calloc(1, sizeof *a);
	if (!a)
		return error_set(err, SUMI_NOMEM, "WebP: no memory for an animation");
	a->width = width;
	a->height = height;
	a->frame_ms = options->timed ? 0 : options->frame_ms;
	a->timed = options->timed;
	status = set_config(&a->config, &options->picture, err);
	if (status)
		goto fail;
	WebPAnimEncoderOptions anim;
	WebPAnimEncoderOptionsInit(&anim);
	anim.anim_params.loop_count = options->loop_count;
	/* gif2webp's distances; libwebp's own default keeps none but the first key frame. */
	bool lossless = options->picture.lossless, own = options->kmin == 0 && options->kmax == 0;
	anim.kmin = !own ? options->kmin : lossless ? 9 : 3;
	anim.kmax = !own ? options->kmax : lossless ? 17 : 5;
	a->encoder = WebPAnimEncoderNew(width, height, &anim);
	if (!a->encoder) {
		status = error_set(err, SUMI_NOMEM, "WebP: no memory for frames of %dx%d", width,
				   height);
		goto fail;
	}
	*out = a;
	return SUMI_OK;
fail:
	webp_animation_free(a);
	return status;
}

void webp_animation_free(struct webp_animation *a)
{
	if (!a)
		return;
	WebPAnimEncoderDelete(a->encoder);
	free(a);
}

/* When the next frame begins. */
static int next_begin(const struct webp_animation *a)
{
	return a->timed ? a->end_ms : (int)lround(a->frames * a->frame_ms);
}

int webp_animation_add(struct webp_animation *a, const uint8_t *rgb, struct error *err)
{
	if (a->frames >= WEBP_MAX_FRAMES || (a->frames + 1) * a->frame_ms > INT_MAX)
		return error_set(err, SUMI_TOOBIG, "WebP: frame %d does not fit into an animation",
				 a->frames);
	WebPPicture picture;
	/* The animation encoder compares and crops ARGB whatever it writes. */
	int status = set_picture(&picture, rgb, false, a->width, a->height, true, err);
	if (!status && !WebPAnimEncoderAdd(a->encoder, &picture, next_begin(a), &a->config))
		status = error_set(err, SUMI_INTERNAL, "WebP: frame %d: %s", a->frames,
				   WebPAnimEncoderGetError(a->encoder));
	WebPPictureFree(&picture);
	if (!status)
		a->frames++;
	return status;
}

int webp_animation_add_until(struct webp_animation *a, const uint8_t *rgb, int end_ms, struct error *err)
{
	int status = webp_animation_add(a, rgb, err);
	if (!status)
		a->end_ms = end_ms;
	return status;
}

int webp_animation_finish(struct webp_animation *a, const struct metadata *meta, uint8_t **data,
			  size_t *size, struct error *err)
{
	WebPData file;
	*data = NULL;
	*size = 0;
	WebPDataInit(&file);
	if (a->frames == 0)
		return error_set(err, SUMI_INVALID, "WebP: an animation without frames");
	int status = SUMI_OK;
	if (!WebPAnimEncoderAdd(a->encoder, NULL, next_begin(a), NULL) ||
	    !WebPAnimEncoderAssemble(a->encoder, &file))
		status =
		    error_set(err, SUMI_INTERNAL, "WebP: %s", WebPAnimEncoderGetError(a->encoder));
	if (!status)
		status = add_metadata(&file, meta, err);
	if (!status)
		status = hand_over(&file, data, size, err);
	WebPDataClear(&file);
	return status;
}

/* ---- reading ---- */

struct webp_reader {
	WebPAnimDecoder *decoder;
	struct webp_info info;
	char where[256];
};

/* The container's own words, looked at before memory is spent on the pictures. */
static int check_container(const WebPData *file, const char *where, struct webp_info *info,
			   struct error *err)
{
	WebPDemuxer *demuxer = WebPDemux(file);
	if (!demuxer)
		return error_set(err, SUMI_CORRUPT, "%s: damaged or cut-off WebP file", where);
	uint32_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH);
	uint32_t height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
	uint32_t frames = WebPDemuxGetI(demuxer, WEBP_FF_FRAME_COUNT);
	uint32_t flags = WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS);
	int status = SUMI_OK;
	int64_t duration = 0;
	if (width == 0 || height == 0 || frames == 0)
		status = error_set(err, SUMI_CORRUPT, "%s: WebP file without a picture", where);
	else if (width > WEBP_MAX_SIDE || height > WEBP_MAX_SIDE ||
		 (uint64_t)width * height > WEBP_MAX_PIXELS)
		status = error_set(err, SUMI_TOOBIG, "%s: %ux%u pixels, at most %u are allowed",
				   where, width, height, WEBP_MAX_PIXELS);
	else if (frames > WEBP_MAX_FRAMES)
		status = error_set(err, SUMI_TOOBIG, "%s: %u frames, at most %d are allowed", where,
				   frames, WEBP_MAX_FRAMES);
	WebPIterator i;
	if (!status && WebPDemuxGetFrame(demuxer, 1, &i)) {
		do
			duration += i.duration;
		while (WebPDemuxNextFrame(&i));
		WebPDemuxReleaseIterator(&i);
	}
	if (!status && duration > INT_MAX)
		status = error_set(err, SUMI_TOOBIG, "%s: plays for %lld ms", where,
				   (long long)duration);
	*info = (struct webp_info){
	    .width = (int)width,
	    .height = (int)height,
	    .frames = (int)frames,
	    .loop_count =
		flags & ANIMATION_FLAG ? (int)WebPDemuxGetI(demuxer, WEBP_FF_LOOP_COUNT) : 0,
	    .duration_ms = flags & ANIMATION_FLAG ? (int)duration : 0,
	};
	WebPDemuxDelete(demuxer);
	return status;
}

int webp_picture_info(const void *data, size_t size, const char *where, struct picture_info *info,
		      struct error *err)
{
	WebPData file = {data, size};
	struct webp_info all;
	int status = check_container(&file, where, &all, err);
	if (status)
		return status;
	*info = (struct picture_info){
	    .width = all.width, .height = all.height, .orientation = 1};
	WebPDemuxer *demuxer = WebPDemux(&file);
	WebPChunkIterator chunk;
	if (demuxer && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
		info->orientation =
		    exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
		WebPDemuxReleaseChunkIterator(&chunk);
	}
	WebPDemuxDelete(demuxer);
	return SUMI_OK;
}

int webp_reader_new(const void *data, size_t size, const char *where, struct webp_reader **out,
		    struct error *err)
{
	WebPData file = {data, size};
	*out = NULL;
	struct webp_reader *r = calloc(1, sizeof *r);
	if (!r)
		return error_set(err, SUMI_NOMEM, "%s: no memory to read it", where);
	strncpy(r->where, where, sizeof r->where - 1);
	int status = check_container(&file, where, &r->info, err);
	if (status)
		goto fail;
	WebPAnimDecoderOptions options;
	WebPAnimDecoderOptionsInit(&options);
	options.color_mode = MODE_RGBA;
	options.use_threads = 0;
	r->decoder = WebPAnimDecoderNew(&file, &options);
	if (!r->decoder) {
		status = error_set(err, SUMI_CORRUPT, "%s: WebP file cannot be decoded", where);
		goto fail;
	}
	*out = r;
	return SUMI_OK;
fail:
	webp_reader_free(r);
	return status;
}

void webp_reader_free(struct webp_reader *r)
{
	if (!r)
		return;
	WebPAnimDecoderDelete(r->decoder);
	free(r);
}

const struct webp_info *webp_reader_info(const struct webp_reader *r)
{
	return &r->info;
}

static int next_frame(struct webp_reader *r, uint8_t **rgba, int *end_ms, struct error *err)
{
	int end;
	if (!WebPAnimDecoderHasMoreFrames(r->decoder))
		return error_set(err, SUMI_NOTFOUND, "%s: no more frames", r->where);
	if (!WebPAnimDecoderGetNext(r->decoder, rgba, &end))
		return error_set(err, SUMI_CORRUPT, "%s: a frame of the WebP file is damaged",
				 r->where);
	if (end_ms)
		*end_ms = end;
	return SUMI_OK;
}

int webp_reader_next(struct webp_reader *r, uint8_t *rgb, int *end_ms, struct error *err)
{
	uint8_t *rgba;
	size_t pixels = (size_t)r->info.width * (size_t)r->info.height;
	int status = next_frame(r, &rgba, end_ms, err);
	for (size_t i = 0; i < pixels && !status; i++)
		for (size_t c = 0; c < 3; c++)
			rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * rgba[4 * i + 3] + 127) / 255);
	return status;
}

int webp_reader_next_rgba(struct webp_reader *r, uint8_t *rgba, int *end_ms, struct error *err)
{
	uint8_t *frame;
	int status = next_frame(r, &frame, end_ms, err);
	if (!status)
		memcpy(rgba, frame, (size_t)r->info.width * (size_t)r->info.height * 4);
	return status;
}

/* Only stills that may be transparent hide anything. */
static int read_hidden(const uint8_t *data, size_t size, struct file_texts *texts,
		       struct error *err)
{
	WebPBitstreamFeatures features;
	int width, height;
	if (WebPGetFeatures(data, size, &features) != VP8_STATUS_OK || !features.has_alpha ||
	    features.has_animation || picture_check_size((uint32_t)features.width,
							 (uint32_t)features.height, "", NULL))
		return SUMI_OK;
	uint8_t *rgba = WebPDecodeRGBA(data, size, &width, &height);
	int status = rgba ? hidden_read(rgba, (size_t)width, (size_t)height, texts, err) : SUMI_OK;
	WebPFree(rgba);
	return status;
}

int webp_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		    struct error *err)
{
	WebPData file = {data, size};
	WebPDemuxer *demuxer = WebPDemux(&file);
	if (!demuxer)
		return error_set(err, SUMI_CORRUPT, "%s: damaged or cut-off WebP file", where);
	WebPChunkIterator chunk;
	int status = SUMI_OK;
	if (WebPDemuxGetChunk(demuxer, "XMP ", 1, &chunk)) {
		status = xmp_read((const char *)chunk.chunk.bytes, chunk.chunk.size, texts, err);
		status = texts_after(texts, status, err);
		WebPDemuxReleaseChunkIterator(&chunk);
	}
	if (!status && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
		status = exif_read(chunk.chunk.bytes, chunk.chunk.size, texts, err);
		status = texts_after(texts, status, err);
		WebPDemuxReleaseChunkIterator(&chunk);
	}
	WebPDemuxDelete(demuxer);
	return status ? status : read_hidden(data, size, texts, err);
}

/* Ogg Vorbis by libvorbisenc and libvorbisfile. */
#include "media/vorbis.h"

#include <stdlib.h>
#include <string.h>

/* The header defines callbacks that not every user needs. */
#define OV_EXCLUDE_STATIC_CALLBACKS
#include <vorbis/vorbisenc.h>
#include <vorbis/vorbisfile.h>

#include "base/bytes.h"

/* ---- encoding ---------------------------------------------------------------------- */

static void put_page(struct bytes_writer *out, const ogg_page *page)
{
	bytes_put(out, page->header, (size_t)page->header_len);
	bytes_put(out, page->body, (size_t)page->body_len);
}

/* Equal input, equal number. */
static int serial_number(const struct sound *s, const struct metadata *meta)
{
	uint64_t h = bytes_hash(BYTES_HASH_START, s->samples,
				(size_t)s->channels * s->length * sizeof *s->samples);
	if (meta && meta->json)
		h = bytes_hash(h, meta->json, strlen(meta->json));
	return (int)(h & 0x7fffffff);
}

static void put_headers(vorbis_dsp_state *dsp, ogg_stream_state *stream,
			const struct metadata *meta, struct bytes_writer *out)
{
	vorbis_comment comments;
	ogg_packet id, text, books;
	ogg_page page;
	vorbis_comment_init(&comments);
	if (meta && meta->infotext)
		vorbis_comment_add_tag(&comments, METADATA_OGG_INFOTEXT, meta->infotext);
	if (meta && meta->json)
		vorbis_comment_add_tag(&comments, METADATA_OGG_JSON, meta->json);
	vorbis_analysis_headerout(dsp, &comments, &id, &text, &books);
	ogg_stream_packetin(stream, &id);
	ogg_stream_packetin(stream, &text);
	ogg_stream_packetin(stream, &books);
	/* Sound begins on a page of its own. */
	while (ogg_stream_flush(stream, &page))
		put_page(out, &page);
	vorbis_comment_clear(&comments);
}

static void put_blocks(vorbis_dsp_state *dsp, vorbis_block *block, ogg_stream_state *stream,
		       struct bytes_writer *out)
{
	ogg_packet packet;
	ogg_page page;
	while (vorbis_analysis_blockout(dsp, block) == 1) {
		vorbis_analysis(block, NULL);
		vorbis_bitrate_addblock(block);
		while (vorbis_bitrate_flushpacket(dsp, &packet)) {
			ogg_stream_packetin(stream, &packet);
			while (ogg_stream_pageout(stream, &page))
				put_page(out, &page);
		}
	}
}

static void put_sound(const struct sound *s, vorbis_dsp_state *dsp, vorbis_block *block,
		      ogg_stream_state *stream, struct bytes_writer *out)
{
	enum { CHUNK = 4096 };
	ogg_page page;
	for (size_t at = 0; at < s->length; at += CHUNK) {
		size_t n = s->length - at < CHUNK ? s->length - at : CHUNK;
		float **room = vorbis_analysis_buffer(dsp, CHUNK);
		for (int c = 0; c < s->channels; c++)
			memcpy(room[c], s->samples + (size_t)c * s->length + at, n * sizeof(float));
		vorbis_analysis_wrote(dsp, (int)n);
		put_blocks(dsp, block, stream, out);
	}
	vorbis_analysis_wrote(dsp, 0);
	put_blocks(dsp, block, stream, out);
	while (ogg_stream_flush(stream, &page))
		put_page(out, &page);
}

int vorbis_encode(const struct sound *s, double quality, const struct metadata *meta,
		  uint8_t **data, size_t *size, struct error *err)
{
	vorbis_info info;
	vorbis_dsp_state dsp;
	vorbis_block block;
	ogg_stream_state stream;
	struct bytes_writer out = {0};
	*data = NULL;
	vorbis_info_init(&info);
	if (vorbis_encode_init_vbr(&info, s->channels, s->rate,
				   (float)(quality / 100 * 1.1 - 0.1))) {
		vorbis_info_clear(&info);
		return error_set(err, SUMI_UNSUPPORTED,
				 "Vorbis has no mode for %d channels at %d Hz", s->channels,
				 s->rate);
	}
	vorbis_analysis_init(&dsp, &info);
	vorbis_block_init(&dsp, &block);
	ogg_stream_init(&stream, serial_number(s, meta));
	put_headers(&dsp, &stream, meta, &out);
	put_sound(s, &dsp, &block, &stream, &out);
	ogg_stream_clear(&stream);
	vorbis_block_clear(&block);
	vorbis_dsp_clear(&dsp);
	vorbis_info_clear(&info);
	if (out.failed) {
		free(out.data);
		return error_set(err, SUMI_NOMEM, "no memory for an Ogg file");
	}
	*data = out.data;
	*size = out.size;
	return SUMI_OK;
}

/* ---- decoding ---------------------------------------------------------------------- */

struct memory_file {
	const unsigned char *data;
	size_t size, at;
};

static size_t memory_read(void *out, size_t size, size_t count, void *source)
{
	struct memory_file *f = source;
	size_t n = size * count, left = f->size - f->at;
	if (n > left)
		n = left;
	memcpy(out, f->data + f->at, n);
	f->at += n;
	return size ? n / size : 0;
}

static int memory_seek(void *source, ogg_int64_t offset, int whence)
{
	struct memory_file *f = source;
	ogg_int64_t base = whence == SEEK_SET   ? 0
			   : whence == SEEK_CUR ? (ogg_int64_t)f->at
						: (ogg_int64_t)f->size;
	if (base + offset < 0 || base + offset > (ogg_int64_t)f->size)
		return -1;
	f->at = (size_t)(base + offset);
	return 0;
}

static long memory_tell(void *source)
{
	return (long)((struct memory_file *)source)->at;
}

/* Channels as they grow: what a file says of its length is no reason to make room for it. */
struct growing {
	float *channel[2];
	size_t length, room;
};

static int grow(struct growing *g, int channels, size_t more, const char *where, struct error *err)
{
	if (g->room - g->length >= more)
		return SUMI_OK;
	size_t room = 2 * (g->length + more);
	for (int c = 0; c < channels; c++) {
		float *larger = realloc(g->channel[c], room * sizeof *larger);
		if (!larger)
			return error_set(err, SUMI_NOMEM, "%s: no memory for %zu samples", where,
					 room);
		g->channel[c] = larger;
	}
	g->room = room;
	return SUMI_OK;
}

static int read_all(OggVorbis_File *file, size_t most, int channels, const char *where,
		    struct growing *g, struct error *err)
{
	int link = 0;
	while (g->length < most) {
		float **pcm;
		long n = ov_read_float(file, &pcm, 4096, &link);
		if (n == OV_HOLE)
			continue;
		if (n < 0)
			return error_set(err, SUMI_CORRUPT, "%s: damaged Vorbis data", where);
		/* Of a chain of streams the first alone was measured: another may have fewer
		 * channels. */
		if (n == 0 || link != 0)
			break;
		size_t take = (size_t)n < most - g->length ? (size_t)n : most - g->length;
		int status = grow(g, channels, take, where, err);
		if (status)
			return status;
		for (int c = 0; c < channels; c++)
			memcpy(g->channel[c] + g->length, pcm[c], take * sizeof(float));
		g->length += take;
	}
	return SUMI_OK;
}

/* The caller ends with ov_clear() unless this fails. source must outlive *file. */
static int open_file(struct memory_file *source, const char *where, OggVorbis_File *file,
		     struct error *err)
{
	ov_callbacks callbacks = {memory_read, memory_seek, NULL, memory_tell};
	if (ov_open_callbacks(source, file, NULL, 0, callbacks) != 0)
		return error_set(err, SUMI_UNSUPPORTED, "%s: no Ogg Vorbis that could be read",
				 where);
	const vorbis_info *info = ov_info(file, 0);
	int status = sound_check_size(info ? info->rate : 0, info ? info->channels : 0,
				      ov_pcm_total(file, 0), where, err);
	if (status)
		ov_clear(file);
	return status;
}

int vorbis_check(const void *data, size_t size, const char *where, struct error *err)
{
	struct memory_file source = {.data = data, .size = size};
	OggVorbis_File file;
	int status = open_file(&source, where, &file, err);
	if (status)
		return status;
	bool silent = ov_pcm_total(&file, 0) == 0;
	ov_clear(&file);
	return silent ? error_set(err, SUMI_INVALID, "%s: holds no sound", where) : SUMI_OK;
}

int vorbis_decode(const void *data, size_t size, const char *where, struct sound *out,
		  struct error *err)
{
	struct memory_file source = {.data = data, .size = size};
	struct growing g = {.length = 0};
	OggVorbis_File file;
	*out = (struct sound){0};
	int status = open_file(&source, where, &file, err);
	if (status)
		return status;
	int rate = (int)ov_info(&file, 0)->rate, channels = ov_info(&file, 0)->channels;
	status = read_all(&file, (size_t)ov_pcm_total(&file, 0), channels, where, &g, err);
	ov_clear(&file);
	if (!status)
		status = sound_new(out, rate, channels, g.length, err);
	for (int c = 0; c < channels; c++) {
		if (!status && g.length)
			memcpy(out->samples + (size_t)c * g.length, g.channel[c],
			       g.length * sizeof(float));
		free(g.channel[c]);
	}
	return status;
}

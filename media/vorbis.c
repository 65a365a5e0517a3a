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

static int read_all(OggVorbis_File *file, const char *where, struct sound *out, struct error *err)
{
	size_t at = 0;
	int link = 0;
	while (at < out->length) {
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
		size_t take = (size_t)n < out->length - at ? (size_t)n : out->length - at;
		for (int c = 0; c < out->channels; c++)
			memcpy(out->samples + (size_t)c * out->length + at, pcm[c],
			       take * sizeof(float));
		at += take;
	}
	return SUMI_OK;
}

int vorbis_decode(const void *data, size_t size, const char *where, struct sound *out,
		  struct error *err)
{
	struct memory_file source = {.data = data, .size = size};
	ov_callbacks callbacks = {memory_read, memory_seek, NULL, memory_tell};
	OggVorbis_File file;
	*out = (struct sound){0};
	if (ov_open_callbacks(&source, &file, NULL, 0, callbacks) != 0)
		return error_set(err, SUMI_UNSUPPORTED, "%s: no Ogg Vorbis that could be read",
				 where);
	const vorbis_info *info = ov_info(&file, 0);
	ogg_int64_t total = ov_pcm_total(&file, 0);
	int status;
	if (!info || info->channels < 1 || info->channels > 2 || info->rate < SOUND_RATE_MIN ||
	    info->rate > SOUND_RATE_MAX)
		status = error_set(err, SUMI_UNSUPPORTED,
				   "%s: must have one or two channels at %d to %d Hz", where,
				   SOUND_RATE_MIN, SOUND_RATE_MAX);
	else if (total < 0 || total > (ogg_int64_t)SOUND_SECONDS_MAX * info->rate)
		status = error_set(err, SUMI_TOOBIG,
				   "%s: says that it has %lld samples at %ld Hz, longer than %d s",
				   where, (long long)total, info->rate, SOUND_SECONDS_MAX);
	else
		status = sound_new(out, (int)info->rate, info->channels, (size_t)total, err);
	if (!status)
		status = read_all(&file, where, out, err);
	ov_clear(&file);
	if (status)
		sound_free(out);
	return status;
}

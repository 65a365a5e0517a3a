/* Ogg Vorbis by libvorbisenc and libvorbisfile. */
#include "media/vorbis.h"

#include <stdlib.h>
#include <string.h>

/* The header defines callbacks that not every user needs. */
#define OV_EXCLUDE_STATIC_CALLBACKS
#include <vorbis/vorbisenc.h>
#include <vorbis/vorbisfile.h>

#include "base/bytes.h"
#include "base/grow.h"

/* ---- encoding ---------------------------------------------------------------------- */

/* Where packets of sound go. */
struct packets {
	void *context;
	void (*take)(void *context, ogg_packet *packet);
};

/* An encoder of a sound, and its three headers. */
struct encoder {
	vorbis_info info;
	vorbis_dsp_state dsp;
	vorbis_block block;
	ogg_packet headers[3];
};

/* Leaves nothing to close after a failure. */
static int encoder_open(struct encoder *e, const struct sound *s, double quality, const struct metadata *meta,
			struct error *err)
{
	vorbis_comment comments;
	vorbis_info_init(&e->info);
	if (vorbis_encode_init_vbr(&e->info, s->channels, s->rate, (float)(quality / 100 * 1.1 - 0.1))) {
		vorbis_info_clear(&e->info);
		return error_set(err, SUMI_UNSUPPORTED, "Vorbis has no mode for %d channels at %d Hz",
				 s->channels, s->rate);
	}
	vorbis_analysis_init(&e->dsp, &e->info);
	vorbis_block_init(&e->dsp, &e->block);
	vorbis_comment_init(&comments);
	if (meta && meta->infotext)
		vorbis_comment_add_tag(&comments, METADATA_OGG_INFOTEXT, meta->infotext);
	if (meta && meta->json)
		vorbis_comment_add_tag(&comments, METADATA_OGG_JSON, meta->json);
	vorbis_analysis_headerout(&e->dsp, &comments, &e->headers[0], &e->headers[1], &e->headers[2]);
	vorbis_comment_clear(&comments);
	return SUMI_OK;
}

static void encoder_close(struct encoder *e)
{
	vorbis_block_clear(&e->block);
	vorbis_dsp_clear(&e->dsp);
	vorbis_info_clear(&e->info);
}

static void hand_on(struct encoder *e, const struct packets *to)
{
	ogg_packet packet;
	while (vorbis_analysis_blockout(&e->dsp, &e->block) == 1) {
		vorbis_analysis(&e->block, NULL);
		vorbis_bitrate_addblock(&e->block);
		while (vorbis_bitrate_flushpacket(&e->dsp, &packet))
			to->take(to->context, &packet);
	}
}

static void encode_all(struct encoder *e, const struct sound *s, const struct packets *to)
{
	enum { CHUNK = 4096 };
	for (size_t at = 0; at < s->length; at += CHUNK) {
		size_t n = s->length - at < CHUNK ? s->length - at : CHUNK;
		float **room = vorbis_analysis_buffer(&e->dsp, CHUNK);
		for (int c = 0; c < s->channels; c++)
			memcpy(room[c], s->samples + (size_t)c * s->length + at, n * sizeof(float));
		vorbis_analysis_wrote(&e->dsp, (int)n);
		hand_on(e, to);
	}
	vorbis_analysis_wrote(&e->dsp, 0);
	hand_on(e, to);
}

/* ---- Ogg ---- */

struct ogg_file {
	ogg_stream_state stream;
	struct bytes_writer out;
};

static void put_page(struct bytes_writer *out, const ogg_page *page)
{
	bytes_put(out, page->header, (size_t)page->header_len);
	bytes_put(out, page->body, (size_t)page->body_len);
}

static void put_packet(void *context, ogg_packet *packet)
{
	struct ogg_file *f = context;
	ogg_page page;
	ogg_stream_packetin(&f->stream, packet);
	while (ogg_stream_pageout(&f->stream, &page))
		put_page(&f->out, &page);
}

static void flush(struct ogg_file *f)
{
	ogg_page page;
	while (ogg_stream_flush(&f->stream, &page))
		put_page(&f->out, &page);
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

int vorbis_encode(const struct sound *s, double quality, const struct metadata *meta,
		  uint8_t **data, size_t *size, struct error *err)
{
	struct encoder e;
	struct ogg_file file = {.out = {0}};
	struct packets to = {&file, put_packet};
	*data = NULL;
	int status = encoder_open(&e, s, quality, meta, err);
	if (status)
		return status;
	ogg_stream_init(&file.stream, serial_number(s, meta));
	for (int i = 0; i < 3; i++)
		ogg_stream_packetin(&file.stream, &e.headers[i]);
	/* Sound begins on a page of its own. */
	flush(&file);
	encode_all(&e, s, &to);
	flush(&file);
	ogg_stream_clear(&file.stream);
	encoder_close(&e);
	if (file.out.failed) {
		free(file.out.data);
		return error_set(err, SUMI_NOMEM, "no memory for an Ogg file");
	}
	*data = file.out.data;
	*size = file.out.size;
	return SUMI_OK;
}

/* ---- packets alone ---- */

/* The headers as Matroska has them: how many but one, the lengths of all but the last, all. */
static void put_private(struct bytes_writer *w, const ogg_packet headers[3])
{
	bytes_put(w, "\2", 1);
	for (int i = 0; i < 2; i++) {
		long left = headers[i].bytes;
		for (; left >= 255; left -= 255)
			bytes_put(w, "\xff", 1);
		unsigned char rest = (unsigned char)left;
		bytes_put(w, &rest, 1);
	}
	for (int i = 0; i < 3; i++)
		bytes_put(w, headers[i].packet, (size_t)headers[i].bytes);
}

struct collector {
	struct encoder *encoder;
	struct vorbis_packets *out;
	size_t room;
	long block; /* samples of the last packet's block */
	int64_t natural; /* where the packets so far end by their blocks */
	bool failed;
};

static void collect_packet(void *context, ogg_packet *packet)
{
	struct collector *c = context;
	struct vorbis_packets *out = c->out;
	struct vorbis_packet *all = grow_room(out->all, out->count, &c->room, 64, sizeof *all);
	c->failed |= !all;
	if (!all)
		return;
	out->all = all;
	/* Two blocks overlap by halves; the first has nothing to overlap with. */
	long block = vorbis_packet_blocksize(&c->encoder->info, packet);
	struct vorbis_packet *p = &out->all[out->count++];
	*p = (struct vorbis_packet){.at = out->data.size, .size = (size_t)packet->bytes, .begin = c->natural};
	c->natural += c->block ? (c->block + block) / 4 : 0;
	p->end = c->natural;
	c->block = block;
	bytes_put(&out->data, packet->packet, (size_t)packet->bytes);
}

int vorbis_encode_packets(const struct sound *s, double quality, struct vorbis_packets *out, struct error *err)
{
	struct encoder e;
	struct collector c = {.encoder = &e, .out = out};
	struct packets to = {&c, collect_packet};
	*out = (struct vorbis_packets){.count = 0};
	int status = encoder_open(&e, s, quality, NULL, err);
	if (status)
		return status;
	put_private(&out->headers, e.headers);
	encode_all(&e, s, &to);
	encoder_close(&e);
	if (!c.failed && !out->headers.failed && !out->data.failed)
		return SUMI_OK;
	vorbis_packets_free(out);
	return error_set(err, SUMI_NOMEM, "no memory for a film's sound");
}

void vorbis_packets_free(struct vorbis_packets *p)
{
	free(p->headers.data);
	free(p->data.data);
	free(p->all);
	*p = (struct vorbis_packets){.count = 0};
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

/* Vorbis comments of an Ogg file. */
#include "media/texts_ogg.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <ogg/ogg.h>
#include <vorbis/codec.h>

/* Comments with cover pictures may be long; nothing of sumi's comes near this. */
#define HEADERS_MAX (16u << 20)

/* Comments are NAME=VALUE. Pictures of covers are no text. */
static int add_comments(const vorbis_comment *comments, const char *where, struct file_texts *texts,
			struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < comments->comments && !status; i++) {
		char name[64];
		const char *comment = comments->user_comments[i], *value;
		size_t length = (size_t)comments->comment_lengths[i];
		value = memchr(comment, '=', length);
		if (!value || (size_t)(value - comment) >= sizeof name)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(value - comment), comment);
		if (strcasecmp(name, "METADATA_BLOCK_PICTURE") == 0)
			continue;
		value++;
		status = texts_add(texts, TEXT_VORBIS, name, value,
				   length - (size_t)(value - comment), err);
	}
	return status ? error_prefix(err, "%s", where) : SUMI_OK;
}

/* Feeds the pages of the first stream until the comment header (the second packet) is read. */
static int read_headers(ogg_sync_state *sync, ogg_stream_state *stream, vorbis_info *info,
			vorbis_comment *comments, const char *where, struct error *err)
{
	int packets = 0;
	ogg_page page;
	ogg_packet packet;
	int serial = -1;
	while (packets < 2) {
		int got = ogg_sync_pageout(sync, &page);
		if (got == 0)
			return error_set(err, SUMI_CORRUPT, "%s: ends within its headers", where);
		if (got < 0)
			return error_set(err, SUMI_CORRUPT, "%s: damaged Ogg page", where);
		if (packets == 0 && ogg_page_bos(&page) && serial == -1) {
			serial = ogg_page_serialno(&page);
			ogg_stream_reset_serialno(stream, serial);
		}
		if (ogg_stream_pagein(stream, &page) != 0)
			continue; /* a page of another stream */
		while (packets < 2 && ogg_stream_packetout(stream, &packet) == 1) {
			if (packets == 0 && !vorbis_synthesis_idheader(&packet))
				return error_set(err, SUMI_UNSUPPORTED, "%s: Ogg, but not Vorbis",
						 where);
			if (vorbis_synthesis_headerin(info, comments, &packet) != 0)
				return error_set(err, SUMI_CORRUPT, "%s: damaged Vorbis header",
						 where);
			packets++;
		}
	}
	return SUMI_OK;
}

int ogg_read_texts(const void *data, size_t size, const char *where,
		struct file_texts *texts, struct error *err)
{
	if (size > HEADERS_MAX)
		size = HEADERS_MAX;
	ogg_sync_state sync;
	ogg_stream_state stream;
	vorbis_info info;
	vorbis_comment comments;
	ogg_sync_init(&sync);
	ogg_stream_init(&stream, 0);
	vorbis_info_init(&info);
	vorbis_comment_init(&comments);

	int status;
	char *buffer = ogg_sync_buffer(&sync, (long)size);
	if (!buffer) {
		status = error_set(err, SUMI_NOMEM, "no memory for metadata");
		goto done;
	}
	memcpy(buffer, data, size);
	ogg_sync_wrote(&sync, (long)size);
	status = read_headers(&sync, &stream, &info, &comments, where, err);
	if (!status)
		status = add_comments(&comments, where, texts, err);
done:
	vorbis_comment_clear(&comments);
	vorbis_info_clear(&info);
	ogg_stream_clear(&stream);
	ogg_sync_clear(&sync);
	return status;
}

/* Writing WebM: what is coded is kept until all of it is known, so that places to jump to and tags
 * stand before the pictures, where a player finds them without reading all of the file. */
#include "media/webm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/grow.h"
#include "media/ebml.h"
#include "media/vorbis.h"

enum { PICTURES = 1, SOUND = 2 }; /* numbers of tracks */
enum { CLUSTER_MS = 5000 };       /* a cluster's blocks stand less than 32768 ms behind its beginning */
enum { NS_PER_MS = 1000000 };

struct picture {
	size_t at, size; /* in data */
	bool key;
};

struct webm {
	struct vp9_encoder *encoder;
	struct vp9_options options;
	int width, height;
	struct bytes_writer data; /* coded pictures */
	struct picture *all;
	size_t count, added, room;
	const int64_t *ms; /* borrowed: of each picture; NULL: by options.fps */
	bool failed; /* no memory for what came */
};

/* One entry of a track, as it stands in a cluster. */
struct block {
	int track;
	int64_t ms;
	const unsigned char *data;
	size_t size;
	bool key;
	int64_t discard_ns; /* of its end, which is not to be heard */
	uint8_t lacing;
};

/* ---- pictures ---------------------------------------------------------------------- */

static void take_packet(void *context, const struct vp9_packet *p)
{
	struct webm *w = context;
	struct picture *all = grow_room(w->all, w->count, &w->room, 64, sizeof *all);
	w->failed |= !all;
	if (!all)
		return;
	w->all = all;
	w->failed |= p->frame != (int64_t)w->count;
	w->all[w->count++] = (struct picture){w->data.size, p->size, p->key};
	bytes_put(&w->data, p->data, p->size);
}

int webm_new(int width, int height, const struct vp9_options *options, struct webm **out, struct error *err)
{
	*out = NULL;
	struct webm *w = calloc(1, sizeof *w);
	if (!w)
		return error_set(err, SUMI_NOMEM, "WebM: no memory for a film");
	w->options = *options;
	w->width = width;
	w->height = height;
	int status = vp9_encoder_new(width, height, options, &w->encoder, err);
	if (status) {
		webm_free(w);
		return status;
	}
	*out = w;
	return SUMI_OK;
}

void webm_free(struct webm *w)
{
	if (!w)
		return;
	vp9_encoder_free(w->encoder);
	free(w->data.data);
	free(w->all);
	free(w);
}

int webm_add(struct webm *w, const uint8_t *rgb, bool key, struct error *err)
{
	struct vp9_sink sink = {w, take_packet};
	if (w->added == WEBM_MAX_FRAMES)
		return error_set(err, SUMI_TOOBIG, "WebM: a film has at most %d pictures", WEBM_MAX_FRAMES);
	w->added++;
	return vp9_encoder_add(w->encoder, rgb, key, &sink, err);
}

static int64_t ms_of(const struct webm *w, size_t picture)
{
	return w->ms ? w->ms[picture < w->count ? picture : w->count - 1] : llround((double)picture * 1000 / w->options.fps);
}

/* ---- what stands before the pictures ----------------------------------------------- */

static void put_header(struct bytes_writer *out)
{
	struct bytes_writer w = {0};
	ebml_uint(&w, EBML_VERSION, 1);
	ebml_uint(&w, EBML_READ_VERSION, 1);
	ebml_uint(&w, EBML_MAX_ID, 4);
	ebml_uint(&w, EBML_MAX_SIZE, 8);
	ebml_text(&w, EBML_DOC_TYPE, "webm");
	ebml_uint(&w, EBML_DOC_VERSION, 4); /* colours and cut ends are of it */
	ebml_uint(&w, EBML_DOC_READ_VERSION, 2);
	ebml_master(out, EBML_HEADER, &w);
	free(w.data);
}

static void put_info(struct bytes_writer *out, double ms)
{
	struct bytes_writer w = {0};
	ebml_uint(&w, WEBM_TIMESTAMP_SCALE, NS_PER_MS);
	ebml_float(&w, WEBM_DURATION, ms);
	ebml_text(&w, WEBM_MUXING_APP, "sumi " SUMI_VERSION);
	ebml_text(&w, WEBM_WRITING_APP, "sumi " SUMI_VERSION);
	ebml_master(out, WEBM_INFO, &w);
	free(w.data);
}

/* Numbers of ISO/IEC 23091-2: sRGB, as it is or by BT.709. */
static void put_colour(struct bytes_writer *out, bool exact)
{
	enum { IDENTITY = 0, BT709 = 1, SRGB = 13, STUDIO = 1, FULL = 2, HALF = 2 };
	struct bytes_writer w = {0};
	ebml_uint(&w, WEBM_MATRIX, exact ? IDENTITY : BT709);
	ebml_uint(&w, WEBM_BITS, 8);
	if (!exact) {
		ebml_uint(&w, WEBM_SITING_ACROSS, HALF);
		ebml_uint(&w, WEBM_SITING_DOWN, HALF);
	}
	ebml_uint(&w, WEBM_RANGE, exact ? FULL : STUDIO);
	ebml_uint(&w, WEBM_TRANSFER, SRGB);
	ebml_uint(&w, WEBM_PRIMARIES, BT709);
	ebml_master(out, WEBM_COLOUR, &w);
	free(w.data);
}

static void put_pictures(struct bytes_writer *out, const struct webm *film)
{
	struct bytes_writer w = {0}, video = {0};
	bool exact = film->options.lossless;
	/* Pairs of what, bytes, value: profile, level, bits, how colours lie. */
	unsigned char level = (unsigned char)vp9_encoder_level(film->encoder);
	unsigned char private[] = {1, 1, exact, 2, 1, level, 3, 1, 8, 4, 1, exact ? 3 : 0};
	ebml_uint(&w, WEBM_TRACK_NUMBER, PICTURES);
	ebml_uint(&w, WEBM_TRACK_UID, PICTURES);
	ebml_uint(&w, WEBM_TRACK_TYPE, 1);
	ebml_uint(&w, WEBM_LACING, 0);
	ebml_text(&w, WEBM_LANGUAGE, "und");
	if (!film->ms)
		ebml_uint(&w, WEBM_DEFAULT_DURATION, (uint64_t)llround(1e9 / film->options.fps));
	ebml_text(&w, WEBM_CODEC, "V_VP9");
	ebml_bytes(&w, WEBM_CODEC_PRIVATE, private, sizeof private);
	ebml_uint(&video, WEBM_WIDTH, (uint64_t)film->width);
	ebml_uint(&video, WEBM_HEIGHT, (uint64_t)film->height);
	put_colour(&video, exact);
	ebml_master(&w, WEBM_VIDEO, &video);
	ebml_master(out, WEBM_TRACK, &w);
	free(video.data);
	free(w.data);
}

static void put_sound(struct bytes_writer *out, const struct webm_sound *sound)
{
	struct bytes_writer w = {0};
	bool laced = false;
	for (size_t i = 0; i < sound->count && !laced; i++)
		laced = sound->packets[i].lacing;
	ebml_uint(&w, WEBM_TRACK_NUMBER, SOUND);
	ebml_uint(&w, WEBM_TRACK_UID, SOUND);
	ebml_uint(&w, WEBM_TRACK_TYPE, 2);
	ebml_uint(&w, WEBM_LACING, laced);
	ebml_text(&w, WEBM_LANGUAGE, "und");
	ebml_text(&w, WEBM_CODEC, sound->codec);
	if (sound->private_size)
		ebml_bytes(&w, WEBM_CODEC_PRIVATE, sound->private, sound->private_size);
	if (sound->delay_ns)
		ebml_uint(&w, WEBM_DELAY, sound->delay_ns);
	if (sound->preroll_ns)
		ebml_uint(&w, WEBM_PREROLL, sound->preroll_ns);
	ebml_bytes(&w, WEBM_AUDIO, sound->audio, sound->audio_size);
	ebml_master(out, WEBM_TRACK, &w);
	free(w.data);
}

/* What was coded, as it stands in a film; the caller frees packets, and what is in *audio, which sound borrows. */
static int sound_of(const struct sound *sound, const struct vorbis_packets *packets, struct webm_sound *out,
		    struct bytes_writer *audio, struct error *err)
{
	ebml_float(audio, WEBM_RATE, sound->rate);
	ebml_uint(audio, WEBM_CHANNELS, (uint64_t)sound->channels);
	*out = (struct webm_sound){.codec = "A_VORBIS",
				   .private = packets->headers.data,
				   .private_size = packets->headers.size,
				   .audio = audio->data,
				   .audio_size = audio->size,
				   .packets = malloc((packets->count ? packets->count : 1) * sizeof *out->packets)};
	if (!out->packets || audio->failed)
		return error_set(err, SUMI_NOMEM, "WebM: no memory for %zu packets", packets->count);
	for (size_t i = 0; i < packets->count && packets->all[i].begin < (int64_t)sound->length; i++) {
		const struct vorbis_packet *p = &packets->all[i];
		int64_t beyond = p->end - (int64_t)sound->length;
		out->packets[out->count++] = (struct webm_packet){
		    .ms = llround((double)p->begin * 1000 / sound->rate),
		    .data = packets->data.data + p->at,
		    .size = p->size,
		    .discard_ns = beyond > 0 ? llround((double)beyond * 1e9 / sound->rate) : 0};
	}
	return SUMI_OK;
}

static void put_tag(struct bytes_writer *out, const char *name, const char *text)
{
	struct bytes_writer w = {0};
	if (!text)
		return;
	ebml_text(&w, WEBM_TAG_NAME, name);
	ebml_text(&w, WEBM_TAG_TEXT, text);
	ebml_master(out, WEBM_SIMPLE_TAG, &w);
	free(w.data);
}

static void put_tags(struct bytes_writer *out, const struct metadata *meta)
{
	struct bytes_writer tags = {0}, tag = {0};
	if (!meta || (!meta->infotext && !meta->json))
		return;
	ebml_bytes(&tag, WEBM_TARGETS, NULL, 0); /* all of the file */
	put_tag(&tag, METADATA_WEBM_INFOTEXT, meta->infotext);
	put_tag(&tag, METADATA_WEBM_JSON, meta->json);
	ebml_master(&tags, WEBM_TAG, &tag);
	ebml_master(out, WEBM_TAGS, &tags);
	free(tag.data);
	free(tags.data);
}

/* ---- clusters ---------------------------------------------------------------------- */

/* Both tracks in the order in which they are shown; sound first where they begin together. */
static int list_blocks(const struct webm *w, const struct webm_sound *sound, struct block **out, size_t *count,
		       struct error *err)
{
	size_t picture = 0, packet = 0, packets = sound ? sound->count : 0, n = w->count + packets;
	struct block *all = malloc((n ? n : 1) * sizeof *all);
	if (!all)
		return error_set(err, SUMI_NOMEM, "WebM: no memory for %zu blocks", n);
	for (size_t i = 0; i < n; i++) {
		const struct webm_packet *p = packet < packets ? &sound->packets[packet] : NULL;
		int64_t shown = ms_of(w, picture);
		if (p && (picture == w->count || p->ms <= shown)) {
			all[i] = (struct block){SOUND, p->ms, p->data, p->size, true, p->discard_ns, p->lacing};
			packet++;
		} else {
			const struct picture *q = &w->all[picture++];
			all[i] = (struct block){PICTURES, shown, w->data.data + q->at, q->size, q->key, 0, 0};
		}
	}
	*out = all;
	*count = n;
	return SUMI_OK;
}

static void put_block(struct bytes_writer *out, const struct block *b, int64_t cluster)
{
	struct bytes_writer w = {0}, group = {0};
	int64_t after = b->ms - cluster;
	unsigned char head[4] = {(unsigned char)(0x80 | b->track), (unsigned char)(after >> 8), (unsigned char)after, 0};
	head[3] = (unsigned char)((b->key && !b->discard_ns ? 0x80 : 0) | b->lacing); /* a group's block does not say so */
	bytes_put(&w, head, sizeof head);
	bytes_put(&w, b->data, b->size);
	if (b->discard_ns) {
		ebml_master(&group, WEBM_BLOCK, &w);
		ebml_uint8(&group, WEBM_DISCARD, (uint64_t)b->discard_ns);
		ebml_master(out, WEBM_BLOCK_GROUP, &group);
	} else {
		ebml_master(out, WEBM_SIMPLE_BLOCK, &w);
	}
	out->failed |= w.failed;
	free(group.data);
	free(w.data);
}

/* The clusters, and in *cues where one may jump to: each key picture begins a cluster. */
static void put_clusters(struct bytes_writer *out, struct bytes_writer *cues, const struct block *all, size_t count,
			 uint64_t before)
{
	struct bytes_writer w = {0}, cue = {0}, place = {0};
	for (size_t i = 0; i < count;) {
		int64_t begin = all[i].ms;
		bool key = all[i].track == PICTURES && all[i].key;
		if (key) {
			ebml_uint8(&cue, WEBM_CUE_TIME, (uint64_t)begin);
			ebml_uint(&place, WEBM_CUE_TRACK, PICTURES);
			ebml_uint8(&place, WEBM_CUE_CLUSTER, before + out->size);
			ebml_master(&cue, WEBM_CUE_PLACE, &place);
			ebml_master(cues, WEBM_CUE, &cue);
		}
		ebml_uint(&w, WEBM_TIMESTAMP, (uint64_t)begin);
		do
			put_block(&w, &all[i++], begin);
		while (i < count && all[i].ms < begin + CLUSTER_MS && !(all[i].track == PICTURES && all[i].key));
		ebml_master(out, WEBM_CLUSTER, &w);
	}
	out->failed |= cues->failed | cue.failed | place.failed;
	free(w.data);
	free(cue.data);
	free(place.data);
}

/* ---- the whole --------------------------------------------------------------------- */

struct part {
	uint32_t id;
	struct bytes_writer bytes;
};
enum { INFO, TRACKS, TAGS, CUES, PARTS };

/* Where each part lies, from the beginning of the segment; as long whatever the numbers are. */
static void put_seek_head(struct bytes_writer *out, const struct part parts[PARTS], uint64_t first)
{
	struct bytes_writer w = {0}, seek = {0};
	for (int i = 0; i < PARTS; i++) {
		unsigned char id[4] = {(unsigned char)(parts[i].id >> 24), (unsigned char)(parts[i].id >> 16),
				       (unsigned char)(parts[i].id >> 8), (unsigned char)parts[i].id};
		if (!parts[i].bytes.size)
			continue;
		ebml_bytes(&seek, WEBM_SEEK_ID, id, sizeof id);
		ebml_uint8(&seek, WEBM_SEEK_POSITION, first);
		ebml_master(&w, WEBM_SEEK, &seek);
		first += parts[i].bytes.size;
	}
	ebml_master(out, WEBM_SEEK_HEAD, &w);
	free(seek.data);
	free(w.data);
}

static void put_cues(struct part *part, struct bytes_writer *cues)
{
	part->bytes.size = 0;
	if (cues->size)
		ebml_master(&part->bytes, WEBM_CUES, cues);
}

/* Numbers that say where something lies have eight bytes each, so lengths are known after a first
 * try, and with them the places. */
static void put_segment(struct bytes_writer *out, struct part parts[PARTS], const struct block *blocks, size_t count)
{
	struct bytes_writer head = {0}, cues = {0}, clusters = {0};
	uint64_t first = 0, before = 0; /* where the parts begin, and the clusters */
	for (int try = 0; try < 2; try++) {
		head.size = clusters.size = 0;
		put_clusters(&clusters, &cues, blocks, count, before);
		put_cues(&parts[CUES], &cues);
		put_seek_head(&head, parts, first);
		first = before = head.size;
		for (int i = 0; i < PARTS; i++)
			before += parts[i].bytes.size;
	}
	put_header(out);
	ebml_head(out, WEBM_SEGMENT, before + clusters.size);
	bytes_put(out, head.data, head.size);
	for (int i = 0; i < PARTS; i++)
		bytes_put(out, parts[i].bytes.data, parts[i].bytes.size);
	bytes_put(out, clusters.data, clusters.size);
	out->failed |= head.failed | clusters.failed;
	free(head.data);
	free(cues.data);
	free(clusters.data);
}

static int assemble(const struct webm *w, const struct webm_sound *sound, double end_ms, const struct metadata *meta,
		    struct bytes_writer *out, struct error *err)
{
	struct part parts[PARTS] = {[INFO] = {.id = WEBM_INFO}, [TRACKS] = {.id = WEBM_TRACKS},
				    [TAGS] = {.id = WEBM_TAGS}, [CUES] = {.id = WEBM_CUES}};
	struct bytes_writer tracks = {0};
	struct block *blocks = NULL;
	size_t count = 0;
	int status = list_blocks(w, sound, &blocks, &count, err);
	put_info(&parts[INFO].bytes, end_ms);
	put_pictures(&tracks, w);
	if (sound)
		put_sound(&tracks, sound);
	ebml_master(&parts[TRACKS].bytes, WEBM_TRACKS, &tracks);
	put_tags(&parts[TAGS].bytes, meta);
	if (!status)
		put_segment(out, parts, blocks, count);
	for (int i = 0; i < PARTS; i++) {
		out->failed |= parts[i].bytes.failed;
		free(parts[i].bytes.data);
	}
	free(tracks.data);
	free(blocks);
	if (!status && out->failed)
		status = error_set(err, SUMI_NOMEM, "WebM: no memory for the file");
	return status;
}

/* After the last picture. */
static int end_pictures(struct webm *w, struct error *err)
{
	struct vp9_sink sink = {w, take_packet};
	if (!w->added)
		return error_set(err, SUMI_INVALID, "WebM: a film without pictures");
	int status = vp9_encoder_end(w->encoder, &sink, err);
	if (!status && (w->failed || w->data.failed))
		status = error_set(err, SUMI_NOMEM, "WebM: no memory for %zu pictures", w->added);
	if (!status && w->count != w->added)
		status = error_set(err, SUMI_INTERNAL, "WebM: of %zu pictures %zu were coded", w->added, w->count);
	return status;
}

/* Hands over what was assembled, or frees it. */
static int hand_over(int status, struct bytes_writer *out, uint8_t **data, size_t *size)
{
	*data = status ? NULL : out->data;
	*size = status ? 0 : out->size;
	if (status)
		free(out->data);
	return status;
}

int webm_finish(struct webm *w, const struct sound *sound, double sound_quality, const struct metadata *meta,
		uint8_t **data, size_t *size, struct error *err)
{
	struct vorbis_packets packets = {.count = 0};
	struct webm_sound coded = {.count = 0};
	struct bytes_writer out = {0}, audio = {0};
	double heard = sound ? (double)sound->length * 1000 / sound->rate : 0;
	int status = end_pictures(w, err);
	if (!status && sound)
		status = vorbis_encode_packets(sound, sound_quality, &packets, err);
	if (!status && sound)
		status = sound_of(sound, &packets, &coded, &audio, err);
	if (!status)
		status = assemble(w, sound ? &coded : NULL, fmax((double)w->count * 1000 / w->options.fps, heard), meta, &out,
				  err);
	free(coded.packets);
	free(audio.data);
	vorbis_packets_free(&packets);
	return hand_over(status, &out, data, size);
}

int webm_finish_taken(struct webm *w, const struct webm_taken *taken, const struct metadata *meta, uint8_t **data,
		      size_t *size, struct error *err)
{
	struct bytes_writer out = {0};
	int status = end_pictures(w, err);
	w->ms = taken->ms;
	if (!status)
		status = assemble(w, taken->sound, (double)taken->end_ms, meta, &out, err);
	return hand_over(status, &out, data, size);
}

/* PNG through libpng. Its errors come as longjmp: everything that must be released on the way
 * out lives in a struct, where setjmp leaves it alone. */
#include "media/png.h"

#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/utf8.h"
#include "media/exif.h"
#include "media/hidden.h"
#include "media/profile.h"
#include "media/xmp.h"

#define TEXT_CHUNKS_MAX 32 /* that are looked at: each may expand to 2 MiB */

enum pixels { PIXELS_RGB, PIXELS_RGBA, PIXELS_GREY16 };

static const size_t pixel_bytes[] = {[PIXELS_RGB] = 3, [PIXELS_RGBA] = 4, [PIXELS_GREY16] = 2};

struct job {
	png_structp png;
	png_infop info;
	const char *where;
	struct error *err;
	int status;
	/* reading */
	const uint8_t *in;
	size_t left;
	enum pixels kind; /* that are asked for */
	/* writing */
	uint8_t *out;
	size_t size, capacity;
};

static void on_error(png_structp png, png_const_charp message)
{
	struct job *job = png_get_error_ptr(png);
	if (!job->status)
		job->status = error_set(job->err, SUMI_CORRUPT, "%s: PNG: %s", job->where, message);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
	(void)png;
	(void)message;
}

/* ---- writing ---- */

static void put_bytes(png_structp png, png_bytep bytes, size_t count)
{
	struct job *job = png_get_io_ptr(png);
	if (job->capacity - job->size < count) {
		size_t capacity = 2 * (job->size + count);
		uint8_t *grown = realloc(job->out, capacity);
		if (!grown) {
			job->status = error_set(job->err, SUMI_NOMEM,
						"PNG: no memory for %zu bytes", capacity);
			png_error(png, "no memory");
		}
		job->out = grown;
		job->capacity = capacity;
	}
	memcpy(job->out + job->size, bytes, count);
	job->size += count;
}

static void flush_nothing(png_structp png)
{
	(void)png;
}

/* *latin: the text in Latin-1, a new string, or NULL when it has other characters or a reader could
 * take the bytes for UTF-8, as some programs write it into tEXt. */
static int to_latin1(const char *text, char **latin, struct error *err)
{
	size_t n = strlen(text), length = 0;
	char *out = malloc(n + 1);
	bool ascii = true;
	*latin = NULL;
	if (!out)
		return error_set(err, SUMI_NOMEM, "PNG: no memory for its texts");
	for (size_t i = 0; i < n;) {
		uint32_t code = 0;
		i += utf8_decode(text + i, n - i, &code);
		if (code > 0xFF || (code < 0x20 && code != '\n')) {
			free(out);
			return SUMI_OK;
		}
		ascii &= code < 0x80;
		out[length++] = (char)code;
	}
	out[length] = '\0';
	if (!ascii && utf8_valid(out, length))
		free(out);
	else
		*latin = out;
	return SUMI_OK;
}

static int check_text(const char *text, struct error *err)
{
	if (text && (strlen(text) > METADATA_TEXT_MAX || !utf8_valid(text, strlen(text))))
		return error_set(err, SUMI_INVALID, "PNG: metadata is too long or not valid UTF-8");
	return SUMI_OK;
}

/* Rows of pixels as they stand in the file. */
struct raster {
	const uint8_t *rows;
	int width, height;
	int depth, colour; /* bits a channel, PNG_COLOR_TYPE_… */
	size_t row_bytes;
};

static void write_picture(struct job *job, const struct raster *r, png_text *texts, int text_count)
{
	if (setjmp(png_jmpbuf(job->png)))
		return;
	png_set_write_fn(job->png, job, put_bytes, flush_nothing);
	png_set_IHDR(job->png, job->info, (png_uint_32)r->width, (png_uint_32)r->height, r->depth, r->colour,
		     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_set_text(job->png, job->info, texts, text_count);
	png_write_info(job->png, job->info);
	for (int y = 0; y < r->height; y++)
		png_write_row(job->png, r->rows + (size_t)y * r->row_bytes);
	png_write_end(job->png, NULL);
}

static int encode(const struct raster *r, const struct metadata *meta, uint8_t **data, size_t *size,
		  struct error *err)
{
	int width = r->width, height = r->height;
	*data = NULL;
	*size = 0;
	if (width < 1 || height < 1 || width > PICTURE_SIDE_MAX || height > PICTURE_SIDE_MAX)
		return error_set(err, SUMI_INVALID, "PNG: %dx%d, a side has 1 to %d pixels", width,
				 height, PICTURE_SIDE_MAX);
	const struct metadata none = {0};
	meta = meta ? meta : &none;
	int status;
	if ((status = check_text(meta->infotext, err)) || (status = check_text(meta->json, err)))
		return status;

	struct job job = {.where = "writing", .err = err};
	char *keys[2] = {METADATA_PNG_INFOTEXT, METADATA_PNG_JSON};
	char *values[2] = {meta->infotext, meta->json}, *latin[2] = {NULL, NULL};
	png_text texts[2] = {{0}};
	int count = 0;
	for (int i = 0; i < 2; i++) {
		if (!values[i])
			continue;
		if ((job.status = to_latin1(values[i], &latin[i], err)))
			goto done;
		texts[count].compression =
		    latin[i] ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
		texts[count].key = keys[i];
		texts[count++].text = latin[i] ? latin[i] : values[i];
	}
	job.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
	if (job.png)
		job.info = png_create_info_struct(job.png);
	if (job.info)
		write_picture(&job, r, texts, count);
	else
		job.status = error_set(err, SUMI_NOMEM, "PNG: no memory for the encoder");
	png_destroy_write_struct(&job.png, &job.info);
done:
	free(latin[0]);
	free(latin[1]);
	if (job.status) {
		free(job.out);
		return job.status;
	}
	*data = job.out;
	*size = job.size;
	return SUMI_OK;
}

int png_encode(const uint8_t *rgb, int width, int height, const struct metadata *meta,
	       uint8_t **data, size_t *size, struct error *err)
{
	struct raster r = {rgb, width, height, 8, PNG_COLOR_TYPE_RGB, (size_t)(unsigned)width * 3};
	return encode(&r, meta, data, size, err);
}

int png_encode_rgba(const uint8_t *rgba, int width, int height, const struct metadata *meta,
		    uint8_t **data, size_t *size, struct error *err)
{
	struct raster r = {rgba, width, height, 8, PNG_COLOR_TYPE_RGB_ALPHA, (size_t)(unsigned)width * 4};
	return encode(&r, meta, data, size, err);
}

int png_encode_grey16(const float *grey, int width, int height, const struct metadata *meta, uint8_t **data,
		      size_t *size, struct error *err)
{
	size_t count = (size_t)width * (size_t)height;
	uint8_t *rows = malloc(2 * count);
	struct raster r = {rows, width, height, 16, PNG_COLOR_TYPE_GRAY, (size_t)width * 2};
	if (!rows)
		return error_set(err, SUMI_NOMEM, "PNG: no memory for %dx%d", width, height);
	for (size_t i = 0; i < count; i++) {
		unsigned v = (unsigned)lrintf(fminf(fmaxf(grey[i], 0), 1) * UINT16_MAX);
		rows[2 * i] = (uint8_t)(v >> 8);
		rows[2 * i + 1] = (uint8_t)v;
	}
	int status = encode(&r, meta, data, size, err);
	free(rows);
	return status;
}

/* ---- reading ---- */

static uint32_t number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Bytes of the picture's rows before they are packed, from the header's 13 bytes; interlaced ones have
 * more. */
static uint64_t raw_size(const uint8_t *header)
{
	static const uint8_t channels[] = {1, 0, 3, 1, 2, 0, 4};
	uint8_t type = header[9];
	uint64_t bits = type < sizeof channels ? (uint64_t)channels[type] * header[8] : 0;
	return number(header + 4) * (1 + (number(header) * bits + 7) / 8);
}

/* libpng makes room for as many bytes as a chunk claims to have: each must end within the file. */
int png_picture_info(const void *data, size_t size, const char *where, struct picture_info *info,
	     struct error *err)
{
	enum { SIGNATURE = 8, HEAD = 8, CHECKSUM = 4, HEADER_DATA = 13, PACKED_BEST = 1032 };
	const uint8_t *in = data;
	uint64_t packed = 0, raw = 0;
	*info = (struct picture_info){.orientation = 1};
	for (size_t at = SIGNATURE; at < size;) {
		const uint8_t *chunk = in + at, *type = chunk + 4, *content = chunk + HEAD;
		if (size - at < HEAD + CHECKSUM)
			break;
		size_t length = number(chunk), left = size - at - HEAD - CHECKSUM;
		if (length > left)
			return error_set(err, SUMI_CORRUPT,
					 "%s: PNG: chunk '%.4s' at byte %zu says that it has %zu "
					 "bytes, %zu are left: the file is cut off or damaged",
					 where, (const char *)type, at, length, left);
		if ((at == SIGNATURE) != (memcmp(type, "IHDR", 4) == 0) ||
		    (at == SIGNATURE && length != HEADER_DATA))
			return error_set(err, SUMI_CORRUPT, "%s: PNG: its header is damaged", where);
		if (at == SIGNATURE) {
			uint32_t width = number(content), height = number(content + 4);
			int status = picture_check_size(width, height, where, err);
			if (status)
				return status;
			info->width = (int)width;
			info->height = (int)height;
			raw = raw_size(content);
			info->depth = content[8];
			info->grey = content[9] == PNG_COLOR_TYPE_GRAY;
		} else if (memcmp(type, "eXIf", 4) == 0) {
			info->orientation = exif_orientation(content, length);
		} else if (memcmp(type, "acTL", 4) == 0) {
			info->more = true;
		} else if (memcmp(type, "tRNS", 4) == 0) {
			info->grey = false;
		}
		if (memcmp(type, "IDAT", 4) == 0)
			packed += length;
		if (memcmp(type, "IEND", 4) == 0)
			return packed * PACKED_BEST >= raw /* no deflate does better */
				   ? SUMI_OK
				   : error_set(err, SUMI_CORRUPT,
					       "%s: PNG: %llu bytes cannot hold %dx%d pixels", where,
					       (unsigned long long)packed, info->width,
					       info->height);
		at += HEAD + length + CHECKSUM;
	}
	return error_set(err, SUMI_CORRUPT, "%s: PNG: the file is cut off", where);
}

static void get_bytes(png_structp png, png_bytep bytes, size_t count)
{
	struct job *job = png_get_io_ptr(png);
	if (count > job->left)
		png_error(png, "the file is cut off");
	memcpy(bytes, job->in, count);
	job->in += count;
	job->left -= count;
}

static int begin_reading(struct job *job)
{
	struct picture_info info;
	int status = png_picture_info(job->in, job->left, job->where, &info, job->err);
	if (status)
		return status;
	job->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, job, on_error, on_warning);
	if (job->png)
		job->info = png_create_info_struct(job->png);
	if (!job->info)
		return error_set(job->err, SUMI_NOMEM, "%s: no memory to read it", job->where);
	png_set_read_fn(job->png, job, get_bytes);
	png_set_user_limits(job->png, PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
	png_set_chunk_cache_max(job->png, TEXT_CHUNKS_MAX);
	png_set_chunk_malloc_max(job->png, 2 * METADATA_TEXT_MAX);
	return SUMI_OK;
}

/* Any kind of PNG becomes 8-bit RGB or RGBA; one of 16 bits of grey stays so for who asks for that. */
static void set_kind(struct job *job)
{
	png_color_16 black = {0};
	if (job->kind == PIXELS_GREY16)
		return;
	png_set_expand(job->png);
	png_set_scale_16(job->png);
	png_set_gray_to_rgb(job->png);
	if (job->kind == PIXELS_RGBA)
		png_set_filler(job->png, 255, PNG_FILLER_AFTER);
	else
		png_set_background(job->png, &black, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1.0);
}

static void read_picture(struct job *job)
{
	static const png_byte texts[] = "tEXt\0zTXt\0iTXt";
	if (setjmp(png_jmpbuf(job->png)))
		return;
	/* Nobody asks for what they would expand to. */
	png_set_keep_unknown_chunks(job->png, PNG_HANDLE_CHUNK_NEVER, texts, 3);
	png_read_info(job->png, job->info);
	size_t width = png_get_image_width(job->png, job->info);
	size_t height = png_get_image_height(job->png, job->info);
	set_kind(job);
	int passes = png_set_interlace_handling(job->png);
	png_read_update_info(job->png, job->info);
	size_t pixel = pixel_bytes[job->kind];
	if (png_get_rowbytes(job->png, job->info) != pixel * width)
		png_error(job->png, "cannot be turned into 8-bit RGB");
	job->out = malloc(pixel * width * height);
	if (!job->out) {
		job->status = error_set(job->err, SUMI_NOMEM, "%s: no memory for %zux%zu pixels",
					job->where, width, height);
		return;
	}
	while (passes-- > 0)
		for (size_t y = 0; y < height; y++)
			png_read_row(job->png, job->out + pixel * width * y, NULL);
	png_read_end(job->png, NULL);
}

static int decode(struct job *job, uint8_t **pixels, int *width, int *height)
{
	*pixels = NULL;
	job->status = begin_reading(job);
	if (!job->status)
		read_picture(job);
	if (job->status) {
		free(job->out);
	} else {
		*pixels = job->out;
		*width = (int)png_get_image_width(job->png, job->info);
		*height = (int)png_get_image_height(job->png, job->info);
	}
	png_destroy_read_struct(&job->png, &job->info, NULL);
	return job->status;
}

int png_decode(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
	       int *height, struct error *err)
{
	struct job job = {.where = where, .err = err, .in = data, .left = size};
	return decode(&job, rgb, width, height);
}

int png_decode_rgba(const void *data, size_t size, const char *where, uint8_t **rgba, int *width,
		    int *height, struct error *err)
{
	struct job job = {.where = where, .err = err, .in = data, .left = size, .kind = PIXELS_RGBA};
	return decode(&job, rgba, width, height);
}

int png_decode_grey16(const void *data, size_t size, const char *where, uint8_t **grey, int *width,
		      int *height, struct error *err)
{
	struct job job = {.where = where, .err = err, .in = data, .left = size, .kind = PIXELS_GREY16};
	struct picture_info info;
	*grey = NULL;
	int status = png_picture_info(data, size, where, &info, err);
	if (!status && !(info.grey && info.depth == 16))
		status = error_set(err, SUMI_UNSUPPORTED, "%s: PNG: is not one of 16 bits of grey", where);
	return status ? status : decode(&job, grey, width, height);
}

/* The file without its pixels, which nobody asks for: what stands behind them then stands before them,
 * where reading of a header ends. A new buffer; png_picture_info() has checked the chunks. */
static uint8_t *without_pixels(const uint8_t *in, size_t size, size_t *left)
{
	static const uint8_t pixels[8] = {0, 0, 0, 0, 'I', 'D', 'A', 'T'};
	enum { SIGNATURE = 8, AROUND = 12 };
	uint8_t *out = malloc(size + sizeof pixels);
	if (!out)
		return NULL;
	memcpy(out, in, SIGNATURE);
	*left = SIGNATURE;
	for (size_t at = SIGNATURE; memcmp(in + at + 4, "IEND", 4) != 0;) {
		size_t length = AROUND + number(in + at);
		if (memcmp(in + at + 4, "IDAT", 4) != 0) {
			memcpy(out + *left, in + at, length);
			*left += length;
		}
		at += length;
	}
	memcpy(out + *left, pixels, sizeof pixels);
	*left += sizeof pixels;
	return out;
}

static void read_header(struct job *job)
{
	if (setjmp(png_jmpbuf(job->png)))
		return;
	png_read_info(job->png, job->info);
}

/* tEXt is Latin-1 by the standard and UTF-8 in the files of some programs. */
static int add_chunks(struct job *job, struct file_texts *texts)
{
	png_textp chunks = NULL;
	int count = 0, status = SUMI_OK;
	png_get_text(job->png, job->info, &chunks, &count);
	for (int i = 0; i < count && !status; i++) {
		const char *key = chunks[i].key, *text = chunks[i].text;
		size_t n = strlen(text);
		if (strcmp(key, "XML:com.adobe.xmp") == 0)
			status = texts_after(texts, xmp_read(text, n, texts, job->err), job->err);
		else if (profile_is(key))
			status = texts_after(texts, profile_read(key, text, texts, job->err), job->err);
		else
			status = texts_add_any(texts, TEXT_PNG, key, text, n, job->err);
	}
	png_bytep exif = NULL;
	png_uint_32 size = 0;
	if (!status && png_get_eXIf_1(job->png, job->info, &size, &exif))
		status = texts_after(texts, exif_read(exif, size, texts, job->err), job->err);
	return status;
}

static int read_hidden(struct job *job, struct file_texts *texts)
{
	size_t width, height;
	job->kind = PIXELS_RGBA;
	int status = begin_reading(job);
	if (status)
		return status;
	read_picture(job);
	width = png_get_image_width(job->png, job->info);
	height = png_get_image_height(job->png, job->info);
	/* Pixels that cannot be read hide nothing; the texts before them are told all the same. */
	if (!job->status)
		status = hidden_read(job->out, width, height, texts, job->err);
	free(job->out);
	png_destroy_read_struct(&job->png, &job->info, NULL);
	return status;
}

int png_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		   struct error *err)
{
	struct job job = {.where = where, .err = err, .in = data, .left = size};
	uint8_t *short_file = NULL;
	bool transparent = false;
	job.status = begin_reading(&job);
	if (!job.status && !(short_file = without_pixels(data, size, &job.left)))
		job.status = error_set(err, SUMI_NOMEM, "%s: no memory to read it", where);
	if (!job.status) {
		job.in = short_file;
		read_header(&job);
	}
	if (!job.status)
		job.status = add_chunks(&job, texts);
	if (!job.status)
		transparent = png_get_color_type(job.png, job.info) & PNG_COLOR_MASK_ALPHA;
	png_destroy_read_struct(&job.png, &job.info, NULL);
	free(short_file);
	if (job.status || !transparent)
		return job.status;
	struct error ignored;
	struct job again = {.where = where, .err = &ignored, .in = data, .left = size};
	return read_hidden(&again, texts);
}

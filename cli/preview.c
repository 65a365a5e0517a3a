/* Pictures in the terminal, by libchafa. */
#include "cli/preview.h"

#include <chafa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "media/png.h"
#include "media/webp.h"

enum { CELL_RATIO = 2 }; /* a terminal's cell is about twice as high as wide */

bool preview_possible(void)
{
	const char *term = getenv("TERM");
	return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

int preview_decode(const void *data, size_t size, uint8_t **rgb, int *width, int *height,
		   struct error *err)
{
	if (size >= 4 && memcmp(data, "\x89PNG", 4) == 0)
		return png_decode(data, size, "preview", rgb, width, height, err);
	struct webp_reader *reader;
	int status = webp_reader_new(data, size, "preview", &reader, err);
	if (status)
		return status;
	*width = webp_reader_info(reader)->width;
	*height = webp_reader_info(reader)->height;
	*rgb = malloc((size_t)*width * (size_t)*height * 3);
	status = *rgb ? webp_reader_next(reader, *rgb, NULL, err)
		      : error_set(err, SUMI_NOMEM, "out of memory");
	if (status) {
		free(*rgb);
		*rgb = NULL;
	}
	webp_reader_free(reader);
	return status;
}

static void fit(int width, int height, int rows, int *cells_w, int *cells_h)
{
	struct winsize size = {0};
	int columns =
	    ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
	*cells_h = rows;
	*cells_w = width * rows * CELL_RATIO / height;
	if (*cells_w > columns) {
		*cells_w = columns;
		*cells_h = height * columns / (width * CELL_RATIO);
	}
	if (*cells_w < 1)
		*cells_w = 1;
	if (*cells_h < 1)
		*cells_h = 1;
}

static void draw(const uint8_t *rgb, int width, int height, int cells_w, int cells_h)
{
	gchar **environment = g_get_environ();
	ChafaTermInfo *terminal = chafa_term_db_detect(chafa_term_db_get_default(), environment);
	ChafaCanvasConfig *config = chafa_canvas_config_new();
	ChafaPixelMode mode = CHAFA_PIXEL_MODE_SYMBOLS;
	if (chafa_term_info_have_seq(terminal, CHAFA_TERM_SEQ_BEGIN_KITTY_IMMEDIATE_IMAGE_V1))
		mode = CHAFA_PIXEL_MODE_KITTY;
	else if (chafa_term_info_have_seq(terminal, CHAFA_TERM_SEQ_BEGIN_ITERM2_IMAGE))
		mode = CHAFA_PIXEL_MODE_ITERM2;
	else if (chafa_term_info_have_seq(terminal, CHAFA_TERM_SEQ_BEGIN_SIXELS))
		mode = CHAFA_PIXEL_MODE_SIXELS;
	chafa_canvas_config_set_geometry(config, cells_w, cells_h);
	chafa_canvas_config_set_pixel_mode(config, mode);
	ChafaSymbolMap *symbols = chafa_symbol_map_new();
	chafa_symbol_map_add_by_tags(symbols, CHAFA_SYMBOL_TAG_BLOCK | CHAFA_SYMBOL_TAG_SPACE);
	chafa_canvas_config_set_symbol_map(config, symbols);
	ChafaCanvas *canvas = chafa_canvas_new(config);
	chafa_canvas_draw_all_pixels(canvas, CHAFA_PIXEL_RGB8, rgb, width, height, width * 3);
	GString *text = chafa_canvas_print(canvas, terminal);
	fprintf(stderr, "%s\n", text->str);
	g_string_free(text, TRUE);
	chafa_canvas_unref(canvas);
	chafa_symbol_map_unref(symbols);
	chafa_canvas_config_unref(config);
	chafa_term_info_unref(terminal);
	g_strfreev(environment);
}

int preview_draw(const void *data, size_t size, int rows, int *drawn, struct error *err)
{
	uint8_t *rgb;
	int width, height, cells_w;
	int status = preview_decode(data, size, &rgb, &width, &height, err);
	if (status)
		return status;
	fit(width, height, rows, &cells_w, drawn);
	draw(rgb, width, height, cells_w, *drawn);
	free(rgb);
	return SUMI_OK;
}

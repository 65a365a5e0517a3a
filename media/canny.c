/* Canny edges, to the pixel as OpenCV makes them. */
#include <stdlib.h>
#include <string.h>

#include "media/preprocess.h"

/* tan 22.5° of 2^15 */
enum { SHIFT = 15, TAN_22 = 13573 };

struct slopes {
	int w, h;
	int16_t *x, *y; /* [h, w] */
	int *size;      /* [h + 2, w + 2], 0 around */
};

static int clamp(int v, int most)
{
	return v < 0 ? 0 : v > most ? most : v;
}

/* Sobel's numbers of one colour; beyond the edges stands the last pixel. */
static void sobel(const uint8_t *rgb, const struct slopes *s, int px, int py, int colour, int *x, int *y)
{
	int v[3][3];
	for (int j = 0; j < 3; j++)
		for (int i = 0; i < 3; i++) {
			size_t row = (size_t)clamp(py + j - 1, s->h - 1);
			size_t at = row * (size_t)s->w + (size_t)clamp(px + i - 1, s->w - 1);
			v[j][i] = rgb[at * 3 + (size_t)colour];
		}
	*x = v[0][2] - v[0][0] + 2 * (v[1][2] - v[1][0]) + v[2][2] - v[2][0];
	*y = v[2][0] - v[0][0] + 2 * (v[2][1] - v[0][1]) + v[2][2] - v[0][2];
}

/* Of three colours the first of the steepest. */
static void measure(const uint8_t *rgb, struct slopes *s)
{
	for (int py = 0; py < s->h; py++)
		for (int px = 0; px < s->w; px++) {
			size_t at = (size_t)py * (size_t)s->w + (size_t)px;
			int most = -1;
			for (int c = 0; c < 3; c++) {
				int x, y;
				sobel(rgb, s, px, py, c, &x, &y);
				if (abs(x) + abs(y) <= most)
					continue;
				most = abs(x) + abs(y);
				s->x[at] = (int16_t)x;
				s->y[at] = (int16_t)y;
			}
			s->size[(size_t)(py + 1) * (size_t)(s->w + 2) + (size_t)px + 1] = most;
		}
}

/* Whether a pixel is steeper than those beside it, across its edge. */
static bool is_ridge(const struct slopes *s, int px, int py)
{
	size_t at = (size_t)py * (size_t)s->w + (size_t)px;
	ptrdiff_t line = s->w + 2;
	const int *m = s->size + (py + 1) * line + px + 1;
	int dx = s->x[at], dy = s->y[at], ax = abs(dx), ay = abs(dy) << SHIFT;
	int tan_22 = ax * TAN_22, tan_67 = tan_22 + (ax << (SHIFT + 1));
	if (ay < tan_22)
		return m[0] > m[-1] && m[0] >= m[1];
	if (ay > tan_67)
		return m[0] > m[-line] && m[0] >= m[line];
	int side = (dx ^ dy) < 0 ? -1 : 1;
	return m[0] > m[-line - side] && m[0] > m[line + side];
}

enum { WEAK = 1, STRONG = 255 };

/* From each strong pixel to its weak neighbours and on. stack: room for every pixel. */
static void follow(const struct slopes *s, uint8_t *out, int *stack)
{
	size_t count = (size_t)s->w * (size_t)s->h, n = 0;
	for (size_t i = 0; i < count; i++)
		if (out[i] == STRONG)
			stack[n++] = (int)i;
	while (n > 0) {
		int at = stack[--n], x = at % s->w, y = at / s->w;
		for (int j = y > 0 ? y - 1 : 0; j <= y + 1 && j < s->h; j++)
			for (int i = x > 0 ? x - 1 : 0; i <= x + 1 && i < s->w; i++)
				if (out[j * s->w + i] == WEAK) {
					out[j * s->w + i] = STRONG;
					stack[n++] = j * s->w + i;
				}
	}
	for (size_t i = 0; i < count; i++)
		out[i] = out[i] == STRONG ? STRONG : 0;
}

int canny(const uint8_t *rgb, int width, int height, int low, int high, uint8_t *out, struct error *err)
{
	size_t count = (size_t)width * (size_t)height;
	struct slopes s = {.w = width, .h = height};
	int status = SUMI_OK;
	s.x = malloc(count * sizeof *s.x);
	s.y = malloc(count * sizeof *s.y);
	s.size = calloc((size_t)(width + 2) * (size_t)(height + 2), sizeof *s.size);
	int *stack = malloc(count * sizeof *stack);
	if (!s.x || !s.y || !s.size || !stack) {
		status = error_set(err, SUMI_NOMEM, "no memory for the edges of %dx%d", width, height);
		goto done;
	}
	if (low > high) {
		int other = low;
		low = high;
		high = other;
	}
	measure(rgb, &s);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			int m = s.size[(size_t)(y + 1) * (size_t)(width + 2) + (size_t)x + 1];
			bool edge = m > low && is_ridge(&s, x, y);
			out[(size_t)y * (size_t)width + (size_t)x] = !edge	? 0
								     : m > high ? STRONG
										: WEAK;
		}
	follow(&s, out, stack);
done:
	free(stack);
	free(s.size);
	free(s.y);
	free(s.x);
	return status;
}

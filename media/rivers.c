/* Rivers that run downhill. A generated valley is lower than its sides, but its floor has bumps and pits.
 * Terrain programs condition such heights: what stands in a river's way is breached (Lindsay 2016), what
 * would be a pond is filled (Barnes, Lehman, Mulla 2014). Here most is breached and a little filled, along
 * the lowest way from border to border, and cones around it say how far the ground beside it may stand above
 * or below. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/rivers.h"

enum {
	MOST = 16,   /* rivers of a landscape */
	APART = 24,  /* cells between two of them */
	REACH = 64,  /* cells beside a way that may change */
	BEND = 7,    /* cells to both sides that tell a way's direction */
	NEAR = 4,    /* its banks are looked for from here … */
	FAR = 16,    /* … to there */
	WIND = 5,    /* cells to both sides that round a way's corners */
	SMOOTH = 4,  /* cells to both sides over which a profile is averaged */
	RINGS = 2048, /* of waiting cells: as many as a step over heights of 0 to 1 may cost */
};

static const double FALL = 0.04; /* heights that a bed falls at least, from end to end */
/* Metres a metre: how steep its banks are where it is cut into the ground or heaped up; */
static const double CUT = 0.7, HEAP = 0.25;
static const double STEEPER = 0.15; /* the first are steeper by so much with every metre: gorges keep their walls */
/* Metres from the middle of a bed to where the ground may rise, and to where it may sink. */
static const double HALF = 2.5, SHOULDER = 8;
static const double FILL = 0.15;    /* of what is between a pit and what bars its way, so much is filled up, the rest is cut */
static const double STRIDE = 1e-3; /* what a metre of a way costs on the lowest ground, as a squared height */
static const double CLEAR = 0.01;  /* heights that a bed stays above the sea */

/* What is a river of the lowest ways: the ground's median stands so far above the way's; nine tenths of the way are
 * lower than all but such a share of the ground, or it lies much deeper; both banks rise; it is not the sea's bed. */
static const double DEEP = 0.14, LOW = 0.22, GORGE = 0.36, BANK = 0.03, WET = 0.15;

/* The field as one sees it walking along rows of it, or along columns. */
struct view {
	const struct relief_field *f;
	int rows, columns;
	size_t row, column; /* steps in the array */
	bool joined_rows, joined_columns;
	double lowest;
	const uint8_t *taken; /* of cells: no way leads there; in the array's order */
};

struct cell {
	int r, c;
}; /* of a way that crosses a joined border: beyond it, not at the other side */

struct way {
	struct cell *cells;
	double *bed; /* heights */
	int count;
	struct view view;
};

static int wrap(int i, int size)
{
	return (i % size + size) % size;
}

static int held(int i, int size, bool joined)
{
	return joined ? wrap(i, size) : i < 0 ? 0 : i >= size ? size - 1 : i;
}

static size_t place(const struct view *v, int r, int c)
{
	return (size_t)held(r, v->rows, v->joined_rows) * v->row +
	       (size_t)held(c, v->columns, v->joined_columns) * v->column;
}

/* Height of a place that may lie beyond a border. */
static double height_of(const struct view *v, struct cell at)
{
	return (double)v->f->heights[place(v, at.r, at.c)];
}

/* ---- the lowest way (Dijkstra 1959) ---- */

/* Cells whose neighbours are still to be looked at wait in rings by what the way to them costs (Dial 1969). A step costs more
 * than a ring is wide, so a cell of the ring that is looked at can no longer become cheaper. */
static const double RING = 0.99e-3; /* a little less than STRIDE */

struct open {
	double cost;
	int cell;
};

struct search {
	const struct view *v;
	int first;     /* the row that it begins in; it goes round to the one before */
	double *price; /* of a straight step onto each cell; INFINITY: no way leads there; cells are r * columns + c */
	double *cost;
	int *back;          /* the cell before (-1: it begins there) */
	int *next, *before; /* of a ring's cells; the last RINGS are rings' own, so that none is empty; a cell in none is its own */
	int64_t now;        /* the ring that is looked at, counted from the first */
	int waiting;
	struct open *due; /* its cells, the cheapest first */
};

static int64_t ring_of(double cost)
{
	return (int64_t)(cost / RING);
}

static void take_out(struct search *s, int cell)
{
	s->next[s->before[cell]] = s->next[cell];
	s->before[s->next[cell]] = s->before[cell];
	s->next[cell] = s->before[cell] = cell;
}

/* What is too dear for all rings waits in the last, and is put into another when that is looked at. */
static void put_in(struct search *s, int cell)
{
	int64_t ring = ring_of(s->cost[cell]);
	ring = ring < s->now + RINGS ? ring : s->now + RINGS - 1;
	int head = s->v->rows * s->v->columns + (int)(ring % RINGS);
	s->before[cell] = head;
	s->next[cell] = s->next[head];
	s->before[s->next[head]] = cell;
	s->next[head] = cell;
}

/* A cheaper way to a cell, from cell `from` (-1: it begins there). */
static void reach(struct search *s, int at, double cost, int from)
{
	if (!(cost < s->cost[at]))
		return;
	if (s->next[at] == at)
		s->waiting++;
	else
		take_out(s, at);
	s->cost[at] = cost;
	s->back[at] = from;
	put_in(s, at);
}

static int by_cost(const void *a, const void *b)
{
	const struct open *x = a, *y = b;
	return x->cost != y->cost ? (x->cost > y->cost) - (x->cost < y->cost) : (x->cell > y->cell) - (x->cell < y->cell);
}

/* The next ring that has cells to be looked at, into s->due; how many there are (0: nothing waits). */
static int next_due(struct search *s)
{
	int n = 0;
	for (; s->waiting && !n; s->now++) {
		int head = s->v->rows * s->v->columns + (int)(s->now % RINGS);
		for (int cell = s->next[head], then; cell != head; cell = then) {
			then = s->next[cell];
			take_out(s, cell);
			if (ring_of(s->cost[cell]) > s->now)
				put_in(s, cell);
			else
				s->due[n++] = (struct open){s->cost[cell], cell};
		}
	}
	s->waiting -= n;
	if (n > 1)
		qsort(s->due, (size_t)n, sizeof *s->due, by_cost);
	return n;
}

static void widen(struct search *s, int from)
{
	const struct view *v = s->v;
	int r = from / v->columns, c = from % v->columns, down = wrap(r - s->first, v->rows);
	for (int dr = -1; dr <= 1; dr++) {
		/* Rows are counted from the first: over its border no way leads. */
		if (down + dr < 0 || down + dr >= v->rows)
			continue;
		int row = held(r + dr, v->rows, true) * v->columns;
		for (int dc = -1; dc <= 1; dc++) {
			int side = c + dc;
			if ((!dr && !dc) || (!v->joined_columns && (side < 0 || side >= v->columns)))
				continue;
			int at = row + (side < 0 || side >= v->columns ? wrap(side, v->columns) : side);
			reach(s, at, s->cost[from] + (dr && dc ? M_SQRT2 : 1) * s->price[at], from);
		}
	}
}

/* Cells from the way's begin to `end`, unrolled over joined borders, into w. */
static void trace(const struct search *s, int end, struct way *w)
{
	const struct view *v = s->v;
	int n = 0;
	for (int at = end; at >= 0; at = s->back[at])
		n++;
	w->count = n;
	for (int at = end; at >= 0; at = s->back[at])
		w->cells[--n] = (struct cell){wrap(at / v->columns - s->first, v->rows) + s->first, at % v->columns};
	for (int i = 1; i < w->count; i++) {
		int *c = &w->cells[i].c, last = w->cells[i - 1].c;
		while (*c - last > 1)
			*c -= v->columns;
		while (*c - last < -1)
			*c += v->columns;
	}
}

/* Nothing is reached yet, and what each step costs. */
static void prepare(struct search *s)
{
	const struct view *v = s->v;
	int count = v->rows * v->columns, i = 0;
	for (int r = 0; r < v->rows; r++)
		for (int c = 0; c < v->columns; c++, i++) {
			size_t at = (size_t)r * v->row + (size_t)c * v->column;
			double tall = (double)v->f->heights[at] - v->lowest;
			s->price[i] = v->taken[at] ? INFINITY : tall * tall + STRIDE;
			s->cost[i] = INFINITY;
		}
	for (i = 0; i < count + RINGS; i++)
		s->next[i] = s->before[i] = i;
	s->waiting = 0;
	s->now = 0;
}

/* Whether a way that began in column `from` (below 0: in any) may end in a cell. */
static bool ends(const struct search *s, int cell, int from)
{
	const struct view *v = s->v;
	int aside = abs(cell % v->columns - from);
	return cell / v->columns == wrap(s->first - 1, v->rows) &&
	       (from < 0 || aside <= 1 || (v->joined_columns && aside == v->columns - 1));
}

/* The lowest way from row s->first, from column `from` alone unless that is below 0, through all rows; with
 * `from`, to a neighbour of where it began, so that it closes. Its length in cells, 0: there is none. */
static int walk(struct search *s, int from, struct way *w)
{
	const struct view *v = s->v;
	prepare(s);
	for (int c = 0; c < v->columns; c++) {
		int at = s->first * v->columns + c;
		double tall = height_of(v, (struct cell){s->first, c}) - v->lowest;
		if ((from < 0 || c == from) && isfinite(s->price[at]))
			reach(s, at, tall * tall, -1);
	}
	w->count = 0;
	for (int n; (n = next_due(s));)
		for (int i = 0; i < n; i++) {
			if (ends(s, s->due[i].cell, from)) {
				trace(s, s->due[i].cell, w);
				return w->count;
			}
			widen(s, s->due[i].cell);
		}
	return 0;
}

/* ---- whether it is a river ---- */

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* How far the ground rises within FAR cells to one side (1, -1) of a way's cell. */
static double rise(const struct way *w, int i, int side)
{
	struct cell a = w->cells[i < BEND ? 0 : i - BEND], b = w->cells[i + BEND < w->count ? i + BEND : w->count - 1];
	double dr = b.r - a.r, dc = b.c - a.c, length = sqrt(dr * dr + dc * dc), most = 0, low;
	low = height_of(&w->view, w->cells[i]);
	for (int d = NEAR; d <= FAR && length > 0; d += 2) {
		struct cell at = {w->cells[i].r + (int)lrint(side * d * dc / length),
				  w->cells[i].c - (int)lrint(side * d * dr / length)};
		most = fmax(most, height_of(&w->view, at) - low);
	}
	return most;
}

/* sorted: all heights of the field; own: room for those of the way. */
static bool is_river(const struct way *w, const float *sorted, float *own)
{
	const struct relief_field *f = w->view.f;
	size_t count = (size_t)f->width * (size_t)f->height, lower = 0;
	double banks = 0;
	int wet = 0;
	for (int i = 0; i < w->count; i++) {
		own[i] = (float)height_of(&w->view, w->cells[i]);
		banks += fmin(rise(w, i, 1), rise(w, i, -1)) / w->count;
		wet += (double)own[i] <= f->sea_level;
	}
	qsort(own, (size_t)w->count, sizeof *own, by_value);
	while (lower < count && sorted[lower] < own[w->count * 9 / 10])
		lower++;
	double deep = (double)sorted[count / 2] - (double)own[w->count / 2];
	return banks > BANK && wet < WET * w->count && deep > DEEP &&
	       ((double)lower < LOW * (double)count || deep > GORGE);
}

/* ---- the bed ---- */

static double step_of(const struct way *w, int i)
{
	return w->cells[i].r != w->cells[i - 1].r && w->cells[i].c != w->cells[i - 1].c ? M_SQRT2 : 1;
}

static void turn(struct way *w)
{
	for (int i = 0; i < w->count / 2; i++) {
		struct cell c = w->cells[i];
		w->cells[i] = w->cells[w->count - 1 - i];
		w->cells[w->count - 1 - i] = c;
	}
}

/* The highest profile that falls by `fall` a metre and stands nowhere above the ground, into w->bed; how deep it is cut
 * into the ground, squared. */
static double fit(struct way *w, double fall)
{
	double level = INFINITY, cut = 0;
	for (int i = 0; i < w->count; i++) {
		double tall = height_of(&w->view, w->cells[i]);
		level = fmin(level - (i ? fall * step_of(w, i) : 0), tall);
		w->bed[i] = level;
		cut += (tall - level) * (tall - level);
	}
	return cut;
}

/* A share of what was cut is filled up instead: towards the lowest profile that falls and stands nowhere below the ground. */
static void fill(struct way *w, double fall)
{
	double level = -INFINITY;
	for (int i = w->count - 1; i >= 0; i--) {
		level = fmax(level, height_of(&w->view, w->cells[i]));
		w->bed[i] += FILL * (level - w->bed[i]);
		level += i ? fall * step_of(w, i) : 0;
	}
}

/* Averaged along the way, and above the sea. `room`: as many numbers as cells. */
static void even(struct way *w, double fall, double *room)
{
	double least = w->view.f->sea_level >= 0 ? w->view.f->sea_level + CLEAR : -INFINITY;
	for (int i = 0; i < w->count; i++) {
		int wide = i < w->count - 1 - i ? i : w->count - 1 - i;
		wide = wide < SMOOTH ? wide : SMOOTH;
		room[i] = 0;
		for (int k = i - wide; k <= i + wide; k++)
			room[i] += w->bed[k] / (2 * wide + 1);
	}
	for (int i = w->count - 1; i >= 0; i--) {
		w->bed[i] = fmax(room[i], least);
		least += i ? fall * step_of(w, i) : 0;
	}
}

/* Which way it runs, and the bed's heights. */
static void level(struct way *w, double *room)
{
	double length = 1;
	for (int i = 1; i < w->count; i++)
		length += step_of(w, i);
	double fall = FALL / length, there = fit(w, fall);
	turn(w);
	if (!(fit(w, fall) < there)) {
		turn(w);
		fit(w, fall);
	}
	fill(w, fall);
	even(w, fall, room);
}

/* Where the bed's middle is by a cell of the way, that goes in steps: between its neighbours. */
static void middle(const struct way *w, int i, double *r, double *c)
{
	int wide = i < w->count - 1 - i ? i : w->count - 1 - i;
	wide = wide < WIND ? wide : WIND;
	*r = *c = 0;
	for (int k = i - wide; k <= i + wide; k++) {
		*r += (double)w->cells[k].r / (2 * wide + 1);
		*c += (double)w->cells[k].c / (2 * wide + 1);
	}
}

/* From so many metres beside a bed on, its cone stands above `rise` metres. */
static double wide_above(double rise)
{
	return rise > 0 ? HALF + (sqrt(CUT * CUT + 4 * STEEPER * rise) - CUT) / (2 * STEEPER) : HALF;
}

/* One cell's cones. top, low: nothing of the landscape or of a bed stands higher or lower, so farther away cones say nothing. */
static void cones(const struct way *w, int i, double top, double low, float *above, float *below)
{
	const struct view *v = &w->view;
	double row, column, metres = v->f->metres, bed = w->bed[i];
	middle(w, i, &row, &column);
	double far_off = fmax(wide_above((top - bed) * metres), SHOULDER + (bed - low) * metres / HEAP) + 1;
	int wide = far_off < REACH ? (int)ceil(far_off) : REACH, y = (int)lrint(row), x = (int)lrint(column);
	for (int r = y - wide; r <= y + wide; r++)
		for (int c = x - wide; c <= x + wide; c++) {
			if ((!v->joined_rows && (r < 0 || r >= v->rows)) || (!v->joined_columns && (c < 0 || c >= v->columns)))
				continue;
			size_t at = place(v, r, c);
			double dr = r - row, dc = c - column;
			double far = sqrt(dr * dr + dc * dc), beside = far > HALF ? far - HALF : 0;
			double up = (CUT + STEEPER * beside) * beside / metres;
			double down = HEAP * (far > SHOULDER ? far - SHOULDER : 0) / metres;
			float most = (float)(bed + up), least = (float)(bed - down);
			above[at] = most < above[at] ? most : above[at];
			below[at] = least > below[at] ? least : below[at];
		}
}

/* Cones around every cell of the way: nothing stands above the lowest of one kind, and nothing below the highest of the
 * other unless that is above the first. */
static void carve(const struct way *w, float *above, float *below)
{
	const struct view *v = &w->view;
	size_t count = (size_t)v->rows * (size_t)v->columns;
	float *heights = v->f->heights, top = -INFINITY, low = INFINITY;
	for (size_t i = 0; i < count; i++) {
		above[i] = INFINITY;
		below[i] = -INFINITY;
		top = heights[i] > top ? heights[i] : top;
		low = heights[i] < low ? heights[i] : low;
	}
	double highest = (double)top;
	for (int i = 0; i < w->count; i++)
		highest = fmax(highest, w->bed[i]);
	for (int i = 0; i < w->count; i++)
		cones(w, i, highest, (double)low, above, below);
	for (size_t i = 0; i < count; i++) {
		float raised = heights[i] > below[i] ? heights[i] : below[i];
		heights[i] = raised < above[i] ? raised : above[i];
	}
}

/* ---- all of it ---- */

struct room {
	struct search search;
	struct way ways[2]; /* along rows, along columns */
	float *sorted, *own, *above, *below;
	double *profile;
	uint8_t *taken;
};

static struct view seen(const struct relief_field *f, bool across, const struct room *m)
{
	struct view v = {.f = f, .rows = f->height, .columns = f->width, .row = (size_t)f->width, .column = 1,
			 .joined_rows = f->joined_y, .joined_columns = f->joined_x, .lowest = (double)m->sorted[0],
			 .taken = m->taken};
	if (across) {
		v.rows = f->width;
		v.columns = f->height;
		v.row = 1;
		v.column = (size_t)f->width;
		v.joined_rows = f->joined_x;
		v.joined_columns = f->joined_y;
	}
	return v;
}

/* The lowest way across the field in one direction, into m->ways; its mean height, INFINITY if there is none. */
static double lowest_way(struct room *m, struct relief_field *f, bool across)
{
	struct way *w = &m->ways[across];
	double sum = 0;
	w->view = seen(f, across, m);
	m->search.v = &w->view;
	m->search.first = w->view.joined_rows ? w->view.rows / 2 : 0;
	int n = walk(&m->search, -1, w);
	if (n && w->view.joined_rows) { /* once more, from where it crosses the border and back there */
		int i = 0;
		while (w->cells[i].r < w->view.rows)
			i++;
		m->search.first = 0;
		n = walk(&m->search, wrap(w->cells[i].c, w->view.columns), w);
	}
	for (int i = 0; i < n; i++)
		sum += height_of(&w->view, w->cells[i]);
	return n ? sum / n : INFINITY;
}

static void close_off(const struct way *w, uint8_t *taken)
{
	const struct view *v = &w->view;
	for (int i = 0; i < w->count; i++)
		for (int dr = -APART; dr <= APART; dr++)
			for (int dc = -APART; dc <= APART; dc++)
				taken[place(v, w->cells[i].r + dr, w->cells[i].c + dc)] = 1;
}

/* beside: in which direction rivers run that are there already, -1: there is none. From border to border each is a wall of ground
 * that is taken, so no other can cross it. */
static bool next_river(struct room *m, struct relief_field *f, int *beside)
{
	double mean[2] = {INFINITY, INFINITY};
	for (int across = 0; across < 2; across++)
		if (*beside < 0 || *beside == across)
			mean[across] = lowest_way(m, f, across);
	*beside = mean[1] < mean[0];
	struct way *w = &m->ways[*beside];
	if (!w->count || !is_river(w, m->sorted, m->own))
		return false;
	level(w, m->profile);
	close_off(w, m->taken);
	carve(w, m->above, m->below);
	return true;
}

static bool make_room(struct room *m, const struct relief_field *f)
{
	size_t count = (size_t)f->width * (size_t)f->height;
	struct search *s = &m->search;
	bool all = (s->price = malloc(count * sizeof *s->price)) && (s->cost = malloc(count * sizeof *s->cost)) &&
		   (s->back = malloc(count * sizeof *s->back)) && (s->next = malloc((count + RINGS) * sizeof *s->next)) &&
		   (s->before = malloc((count + RINGS) * sizeof *s->before)) && (s->due = malloc(count * sizeof *s->due));
	for (int i = 0; i < 2 && all; i++)
		all = (m->ways[i].cells = malloc(count * sizeof *m->ways[i].cells)) &&
		      (m->ways[i].bed = malloc(count * sizeof *m->ways[i].bed));
	return all && (m->sorted = malloc(count * sizeof *m->sorted)) && (m->own = malloc(count * sizeof *m->own)) &&
	       (m->above = malloc(count * sizeof *m->above)) && (m->below = malloc(count * sizeof *m->below)) &&
	       (m->profile = malloc(count * sizeof *m->profile)) && (m->taken = calloc(count, 1));
}

static void free_room(struct room *m)
{
	void *all[] = {m->search.price,  m->search.cost,  m->search.back,	m->search.next, m->search.before, m->search.due,
		       m->ways[0].cells, m->ways[0].bed,  m->ways[1].cells, m->ways[1].bed, m->sorted,        m->own,
		       m->above,	 m->below,	  m->profile,       m->taken};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

int rivers_settle(struct relief_field *f, int *found, struct error *err)
{
	size_t count = (size_t)f->width * (size_t)f->height;
	struct room m = {0};
	int n = 0, beside = -1, status = SUMI_OK;
	if (!make_room(&m, f)) {
		status = error_set(err, SUMI_NOMEM, "no memory for the rivers of %dx%d cells", f->width, f->height);
	} else {
		memcpy(m.sorted, f->heights, count * sizeof *m.sorted);
		qsort(m.sorted, count, sizeof *m.sorted, by_value);
		while (n < MOST && next_river(&m, f, &beside))
			n++;
	}
	if (found)
		*found = n;
	free_room(&m);
	return status;
}

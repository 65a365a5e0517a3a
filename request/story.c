/* Stories, line by line. */
#include "request/story.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

#include "base/nearest.h"
#include "base/utf8.h"
#include "request/param.h"

enum { NAME_MAX_BYTES = 48 };

enum kind { A_NUMBER, A_TEXT, A_NAME, A_TRANSITION, A_SWITCH, A_SIZE, A_LINE };

/* What a story says beside a video's parameters. */
static const struct field {
	const char *name;
	enum kind kind;
	bool film; /* only of the whole film */
	double min, max;
} fields[] = {
    {"seconds", A_NUMBER, false, 0.1, 600},
    {"motion", A_TEXT, false, 0, 0},
    {"mood", A_NAME, false, 0, 0},
    {"transition", A_TRANSITION, false, 0, 0},
    {"blend", A_NUMBER, false, 0, 60},
    {"text", A_LINE, false, 0, 0},
    {"size", A_SIZE, false, 0, 0},
    {"title", A_TEXT, true, 0, 0},
    {"fps", A_NUMBER, true, 1, 60},
    {"beats", A_SWITCH, true, 0, 0},
    {NULL, A_TEXT, false, 0, 0},
};

/* Other names of fields, and words that stand for values. */
static const char *const names[][2] = {
    {"секунды", "seconds"},   {"секунд", "seconds"},       {"длина", "seconds"},
    {"движение", "motion"},   {"настроение", "mood"},      {"музыка", "mood"},
    {"зерно", "seed"},        {"без", "negative_prompt"},  {"негатив", "negative_prompt"},
    {"переход", "transition"}, {"текст", "text"},          {"размер", "size"},
    {"название", "title"},    {"доли", "beats"},           {"шаги", "steps"},
    {"шагов", "steps"},       {"модель", "model"},         {"быстро", "fast"},
    {"наплыв", "blend"},      {"music", "mood"},           {"duration", "seconds"},
    {"длительность", "seconds"},
    {NULL, NULL}};

static const char *const words[][2] = {
    {"cut", "cut"},           {"fade", "fade"},            {"travel", "travel"},
    {"склейка", "cut"},       {"наплыв", "fade"},          {"превращение", "travel"},
    {NULL, NULL}};

static const char *const switches[][2] = {
    {"yes", "true"}, {"true", "true"}, {"on", "true"}, {"да", "true"},
    {"no", "false"}, {"false", "false"}, {"off", "false"}, {"нет", "false"},
    {NULL, NULL}};

struct reader {
	const char *name;
	long line;
	json_t *film, *scenes;
	json_t *scene;  /* of the paragraph; NULL between two */
	long begun;     /* its line */
	bool told;      /* it has text: no more fields */
};

static int wrong(const struct reader *r, struct error *err, const char *what, const char *value, const char *why)
{
	return error_set(err, SUMI_INVALID, "%s:%ld: %s is '%.60s'%s%s", r->name, r->line, what, value, *why ? ": " : "",
			 why);
}

static const char *find(const char *const table[][2], const char *word)
{
	for (; (*table)[0]; table++)
		if (strcasecmp((*table)[0], word) == 0)
			return (*table)[1];
	return NULL;
}

/* In small letters of whatever alphabet; false where that does not fit. */
static bool fold(const char *text, size_t size, char *out, size_t room)
{
	utf8proc_uint8_t *small = NULL;
	utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &small,
					  UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
	bool fits = n >= 0 && (size_t)n < room;
	if (fits) {
		memcpy(out, small, (size_t)n);
		out[n] = '\0';
	}
	free(small);
	return fits;
}

bool story_same(const char *a, const char *b)
{
	char one[128], other[128];
	return fold(a, strlen(a), one, sizeof one) && fold(b, strlen(b), other, sizeof other) && strcmp(one, other) == 0;
}

static const struct field *own_field(const char *name)
{
	const struct field *f = fields;
	while (f->name && strcasecmp(f->name, name) != 0)
		f++;
	return f->name ? f : NULL;
}

/* A video's parameter that a scene may have: what decides its pictures and is not the story's to say. */
static const struct param *job_field(const char *name)
{
	static const char *const not[] = {"modality", "prompt",  "format", "quality", "lossless", "loop_count",
					  "frames",   "reverse", "n",      "texts",   "controls", NULL};
	const struct param *p = param_named(name);
	if (!p || p->concern != PARAM_PICTURE || !(p->modalities & PARAM_VIDEO))
		return NULL;
	for (size_t i = 0; not[i]; i++)
		if (strcmp(not[i], p->name) == 0)
			return NULL;
	return p;
}

/* ---- values ------------------------------------------------------------------------ */

static int put_number(const struct reader *r, const struct field *f, const char *value, json_t *to, struct error *err)
{
	char *end, why[64], plain[32], *comma;
	snprintf(plain, sizeof plain, "%s", value);
	if ((comma = strchr(plain, ',')) && !strchr(plain, '.')) /* 2,5 as one writes it in Russian */
		*comma = '.';
	double x = strtod(plain, &end);
	snprintf(why, sizeof why, *plain && (end == plain || *end) ? "it is a number alone, %g to %g" : "allowed are %g to %g", f->min,
		 f->max);
	if (end == plain || *end || strlen(value) >= sizeof plain || !(x >= f->min && x <= f->max))
		return wrong(r, err, f->name, value, why);
	if (strcmp(f->name, "fps") == 0 && x != floor(x))
		return wrong(r, err, f->name, value, "it is a whole number");
	json_object_set_new(to, f->name, json_real(x));
	return SUMI_OK;
}

/* Where a field stands, for those who find later that it cannot be. */
static int put_line(const struct reader *r, const char *name, json_t *to, struct error *err)
{
	if (!json_object_get(to, "lines"))
		json_object_set_new(to, "lines", json_object());
	json_t *lines = json_object_get(to, "lines");
	if (json_object_get(lines, name))
		return error_set(err, SUMI_INVALID, "%s:%ld: field '%s' stands twice: line %d has it too", r->name, r->line,
				 name, (int)json_integer_value(json_object_get(lines, name)));
	return json_object_set_new(lines, name, json_integer((json_int_t)r->line))
		   ? error_set(err, SUMI_NOMEM, "out of memory")
		   : SUMI_OK;
}

static json_t *job_of(json_t *to)
{
	if (!json_object_get(to, "job"))
		json_object_set_new(to, "job", json_object());
	return json_object_get(to, "job");
}

/* "256x256", also by the sign and by the Russian letter, which looks the same. */
static bool read_size(const char *value, int *width, int *height)
{
	static const char *const by[] = {"x", "X", "×", "х", "Х", NULL};
	int n = 0, end = 0;
	if (sscanf(value, "%5d %n", width, &n) != 1)
		return false;
	value += n;
	for (size_t i = 0; by[i]; i++)
		if (strncmp(value, by[i], strlen(by[i])) == 0)
			return sscanf(value + strlen(by[i]), "%5d%n", height, &end) == 1 && !value[strlen(by[i]) + (size_t)end];
	return false;
}

static int put_size(const struct reader *r, const char *value, json_t *to, struct error *err)
{
	json_t *job = job_of(to);
	int width, height;
	if (!read_size(value, &width, &height) || width < 16 || height < 16 || width > 8192 || height > 8192)
		return wrong(r, err, "size", value, "it is WIDTHxHEIGHT, 16 to 8192 each");
	json_object_set_new(job, "width", json_integer(width));
	json_object_set_new(job, "height", json_integer(height));
	int status = put_line(r, "width", to, err);
	return status ? status : put_line(r, "height", to, err);
}

static int put_word(const struct reader *r, const struct field *f, const char *const table[][2], const char *allowed,
		    const char *value, json_t *to, struct error *err)
{
	char small[NAME_MAX_BYTES];
	const char *word = fold(value, strlen(value), small, sizeof small) ? find(table, small) : NULL;
	if (!word)
		return wrong(r, err, f->name, value, allowed);
	json_object_set_new(to, f->name, f->kind == A_SWITCH ? json_boolean(*word == 't') : json_string(word));
	return SUMI_OK;
}

static int put_own(struct reader *r, const struct field *f, const char *value, json_t *to, struct error *err)
{
	switch (f->kind) {
	case A_NUMBER:
		return put_number(r, f, value, to, err);
	case A_SIZE:
		return put_size(r, value, to, err);
	case A_TRANSITION:
		return put_word(r, f, words, "allowed are cut, fade, travel", value, to, err);
	case A_SWITCH:
		return put_word(r, f, switches, "allowed are yes and no", value, to, err);
	case A_NAME:
	case A_TEXT:
		json_object_set_new(to, f->name, json_string(value));
		return SUMI_OK;
	case A_LINE:
		break;
	}
	return SUMI_OK;
}

static int put_job(const struct reader *r, const struct param *p, const char *value, json_t *to, struct error *err)
{
	json_t *parsed = NULL;
	char small[NAME_MAX_BYTES];
	const char *word = NULL;
	if (p->type == PARAM_BOOL && fold(value, strlen(value), small, sizeof small))
		word = find(switches, small);
	value = word ? word : value;
	int status = param_from_text(p, PARAM_VIDEO, value, strlen(value), &parsed, err);
	if (status)
		return error_prefix(err, "%s:%ld", r->name, r->line);
	json_object_set_new(job_of(to), p->name, parsed);
	return SUMI_OK;
}

/* ---- lines ------------------------------------------------------------------------- */

static int begin_scene(struct reader *r, struct error *err)
{
	if (r->scene)
		return SUMI_OK;
	r->scene = json_pack("{s:I}", "line", (json_int_t)r->line);
	r->begun = r->line;
	r->told = false;
	return r->scene ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
}

static int add_text(struct reader *r, const char *line, struct error *err)
{
	const char *before = json_string_value(json_object_get(r->scene, "text"));
	json_t *text = before ? json_sprintf("%s %s", before, line) : json_string(line);
	r->told = true;
	if (!text || json_object_set_new(r->scene, "text", text))
		return error_set(err, SUMI_NOMEM, "out of memory");
	if (json_string_length(text) > 8 * PARAM_KIB)
		return error_set(err, SUMI_TOOBIG, "%s:%ld: the text of a scene has more than %d bytes", r->name, r->line,
				 8 * PARAM_KIB);
	return SUMI_OK;
}

/* Bytes of one character that shows as nothing, 0: another stands there. Editors and pages set other spaces than
 * the keyboard's, and marks without width. */
static size_t blank(const char *text)
{
	uint32_t code;
	size_t n = utf8_decode(text, strnlen(text, 4), &code);
	bool is = n && (code == ' ' || code == '\t' || code == 0x200b || code == 0x2060 || code == 0xfeff ||
			utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_ZS);
	return is ? n : 0;
}

static const char *behind_blanks(const char *text)
{
	for (size_t n; (n = blank(text));)
		text += n;
	return text;
}

bool story_shows(const char *text)
{
	text = behind_blanks(text);
	return text[strspn(text, "\r\n")] != '\0';
}

static size_t without_blanks(const char *text, size_t n)
{
	for (bool is = true; is && n;) {
		size_t begin = n - 1;
		while (begin && ((unsigned char)text[begin] & 0xc0) == 0x80)
			begin--;
		is = blank(text + begin) == n - begin || isspace((unsigned char)text[begin]);
		n = is ? begin : n;
	}
	return n;
}

/* Bytes of a colon, also as wide as a Chinese letter. */
static size_t colon(const char *text)
{
	static const char wide[] = "：";
	return *text == ':' ? 1 : strncmp(text, wide, sizeof wide - 1) == 0 ? sizeof wide - 1 : 0;
}

/* The English name of what is a field. */
static bool is_field(char name[NAME_MAX_BYTES])
{
	const char *known = find(names, name);
	if (known)
		snprintf(name, NAME_MAX_BYTES, "%s", known);
	return own_field(name) || job_field(name);
}

/* The name before a colon, of letters, '-', '_' and single spaces, in small letters, that of a field in English.
 * Returns where the value begins, NULL: there is no name. Without a space behind the colon only a field's is one: the
 * time of the day and addresses are texts. */
static const char *split(const char *line, char name[NAME_MAX_BYTES], bool *known)
{
	size_t n = 0;
	while (!colon(line + n) && ((unsigned char)line[n] >= 0x80 || isalnum((unsigned char)line[n]) || (line[n] && strchr(" -_", line[n]))))
		n++;
	const char *behind = line + n + colon(line + n), *value = behind_blanks(behind);
	if (!n || behind == line + n || !fold(line, without_blanks(line, n), name, NAME_MAX_BYTES))
		return NULL;
	*known = is_field(name);
	return *known || value != behind || !*behind ? value : NULL;
}

/* A field dressed up, as in "**mood**: calm", "- mood: calm" or "mood = calm", would be painted: it is said instead. */
static int check_dressed(const struct reader *r, const char *line, struct error *err)
{
	char name[NAME_MAX_BYTES];
	size_t n = 0;
	for (const char *before = NULL; before != line;) {
		before = line;
		line += strspn(line, "-*_>`\"");
		line += strncmp(line, "•", sizeof "•" - 1) == 0 ? sizeof "•" - 1 : 0;
		line = behind_blanks(line);
	}
	while (!colon(line + n) && !blank(line + n) && ((unsigned char)line[n] >= 0x80 || isalnum((unsigned char)line[n]) || line[n] == '_'))
		n++;
	const char *behind = line + n;
	while (n && line[n - 1] == '_')
		n--;
	behind += strspn(behind, "*`\"_");
	behind = behind_blanks(behind);
	behind += strspn(behind, "*`\"_");
	if (!n || (!colon(behind) && *behind != '=') || !fold(line, n, name, sizeof name) || !is_field(name))
		return SUMI_OK;
	return error_set(err, SUMI_INVALID, "%s:%ld: a field is its name, a colon and its value alone: '%s: …' (of a text write text: before it)",
			 r->name, r->line, name);
}

/* What three letters or more of one of our own fields mean: "sec", "сек". */
static const char *beginning(const char *name)
{
	size_t letters = 0;
	for (const char *p = name; *p; p++)
		letters += ((unsigned char)*p & 0xc0) != 0x80;
	for (size_t i = 0; letters >= 3 && names[i][0]; i++)
		if (strncmp(names[i][0], name, strlen(name)) == 0)
			return names[i][0];
	for (const struct field *f = fields; letters >= 3 && f->name; f++)
		if (strncmp(f->name, name, strlen(name)) == 0)
			return f->name;
	return NULL;
}

/* A single word that is nearly one of ours is a slip, not the beginning of a text; nor is what a job says and no story. */
static int check_slip(const struct reader *r, const char *name, struct error *err)
{
	enum { SHORTEST = 8 }; /* bytes of a word in Russian: of shorter ones many are near */
	struct nearest n = nearest_to(name);
	const char *begun = beginning(name);
	if (strchr(name, ' '))
		return SUMI_OK;
	if (param_named(name))
		return error_set(err, SUMI_INVALID,
				 "%s:%ld: '%s' is no field of a story: give it beside it (sumi film --help), or leave it out (of a "
				 "text write text: before it)",
				 r->name, r->line, name);
	for (const struct field *f = fields; f->name; f++)
		nearest_try(&n, f->name);
	for (const struct param *p = param_table; p->name; p++)
		if (job_field(p->name))
			nearest_try(&n, p->name);
	for (size_t i = 0; names[i][0] && strlen(name) >= SHORTEST; i++)
		nearest_try(&n, names[i][0]);
	n.best = begun ? begun : n.best;
	return n.best ? error_set(err, SUMI_INVALID,
				  "%s:%ld: there is no field '%.40s' (did you mean '%s'? Of a text write text: before it)",
				  r->name, r->line, name, n.best)
		      : SUMI_OK;
}

/* A field behind the text would be painted: it is said instead. */
static int check_late(const struct reader *r, const char *line, struct error *err)
{
	char name[NAME_MAX_BYTES];
	bool known = false;
	if (!split(line, name, &known) || !known)
		return check_dressed(r, line, err);
	return error_set(err, SUMI_INVALID,
			 "%s:%ld: field '%s' stands behind the scene's text: fields come first (of a text, put the line "
			 "behind the one before it)",
			 r->name, r->line, name);
}

/* *taken: the line was a field. */
static int take_field(struct reader *r, const char *line, bool *taken, struct error *err)
{
	char name[NAME_MAX_BYTES];
	bool known = false;
	const char *value = split(line, name, &known);
	*taken = false;
	if (!value || !known) {
		int status = check_dressed(r, line, err);
		return status || !value ? status : check_slip(r, name, err);
	}
	const struct field *own = own_field(name);
	const struct param *p = own ? NULL : job_field(name);
	*taken = true;
	if (own && own->kind == A_LINE)
		return add_text(r, value, err);
	if (!*value)
		return error_set(err, SUMI_INVALID, "%s:%ld: field '%s' has no value", r->name, r->line, name);
	if (strlen(value) > STORY_FIELD_MAX)
		return error_set(err, SUMI_TOOBIG, "%s:%ld: field '%s' has more than %d bytes", r->name, r->line, name,
				 STORY_FIELD_MAX);
	int status = put_line(r, own ? own->name : p->name, r->scene, err);
	if (status)
		return status;
	return own ? put_own(r, own, value, r->scene, err) : put_job(r, p, value, r->scene, err);
}

/* The first scene can come from nowhere. */
static int check_first(const struct reader *r, const json_t *scene, struct error *err)
{
	const char *transition = json_string_value(json_object_get(scene, "transition"));
	if (json_array_size(r->scenes) || !transition || strcmp(transition, "cut") == 0)
		return SUMI_OK;
	return error_set(err, SUMI_INVALID, "%s:%ld: transition is '%s': there is no scene before the first", r->name,
			 (long)json_integer_value(json_object_get(json_object_get(scene, "lines"), "transition")), transition);
}

/* The first paragraph without a text is about the whole film. */
static int end_paragraph(struct reader *r, struct error *err)
{
	json_t *scene = r->scene;
	r->scene = NULL;
	if (!scene)
		return SUMI_OK;
	bool whole = !r->told && !r->film && !json_array_size(r->scenes);
	for (const struct field *f = fields; f->name && !whole; f++)
		if (f->film && json_object_get(scene, f->name)) {
			json_decref(scene);
			return error_set(err, SUMI_INVALID,
					 "%s:%ld: field '%s' is of the whole film: it stands in a paragraph of its own "
					 "before the first scene",
					 r->name, r->begun, f->name);
		}
	if (whole) {
		json_object_del(scene, "line");
		r->film = scene;
		return SUMI_OK;
	}
	if (!r->told) {
		json_decref(scene);
		return error_set(err, SUMI_INVALID, "%s:%ld: a scene without a text", r->name, r->begun);
	}
	int status = check_first(r, scene, err);
	if (status) {
		json_decref(scene);
		return status;
	}
	if (json_array_size(r->scenes) == STORY_SCENES_MAX) {
		json_decref(scene);
		return error_set(err, SUMI_TOOBIG, "%s:%ld: a story has at most %d scenes", r->name, r->begun,
				 STORY_SCENES_MAX);
	}
	return json_array_append_new(r->scenes, scene) ? error_set(err, SUMI_NOMEM, "out of memory") : SUMI_OK;
}

static int take_line(struct reader *r, char *line, struct error *err)
{
	bool taken = false;
	line[without_blanks(line, strlen(line))] = '\0';
	line += behind_blanks(line) - line;
	if (*line == '#')
		return SUMI_OK;
	if (!*line)
		return end_paragraph(r, err);
	if (!utf8_valid(line, strlen(line)))
		return error_set(err, SUMI_INVALID, "%s:%ld: is not UTF-8: save the story in that encoding", r->name, r->line);
	for (const char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 && *p != '\t')
			return error_set(err, SUMI_INVALID, "%s:%ld: holds a control character", r->name, r->line);
	int status = begin_scene(r, err);
	if (!status)
		status = r->told ? check_late(r, line, err) : take_field(r, line, &taken, err);
	return status || taken ? status : add_text(r, line, err);
}

static int read_lines(struct reader *r, char *text, struct error *err)
{
	int status = SUMI_OK;
	char last = strchr(text, '\n') ? '\n' : '\r'; /* some end lines by CR alone */
	for (char *line = text, *end; line && !status; line = end) {
		end = strchr(line, last);
		if (end)
			*end++ = '\0';
		r->line++;
		status = take_line(r, line, err);
	}
	if (!status)
		status = end_paragraph(r, err);
	if (!status && !json_array_size(r->scenes))
		status = error_set(err, SUMI_INVALID, "%s: holds no scene: write a paragraph for each", r->name);
	return status;
}

int story_read(const char *text, size_t size, const char *name, json_t **out, struct error *err)
{
	struct reader r = {.name = name};
	*out = NULL;
	if (size > STORY_BYTES_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: has %zu bytes, a story at most %d", name, size, STORY_BYTES_MAX);
	if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
		return error_set(err, SUMI_INVALID, "%s: is UTF-16: save it as UTF-8", name);
	const char *nul = memchr(text, '\0', size);
	if (nul)
		return error_set(err, SUMI_INVALID, "%s: byte %zu is NUL: a story is plain text, in UTF-8 (not UTF-16)", name,
				 (size_t)(nul - text));
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		size -= 3;
	}
	char *copy = strndup(text, size);
	r.scenes = json_array();
	int status = copy && r.scenes ? read_lines(&r, copy, err) : error_set(err, SUMI_NOMEM, "out of memory");
	free(copy);
	json_decref(r.scene);
	if (!status) {
		*out = json_pack("{s:s, s:o, s:O}", "name", name, "film", r.film ? json_incref(r.film) : json_object(),
				 "scenes", r.scenes);
		status = *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
	}
	json_decref(r.film);
	json_decref(r.scenes);
	return status;
}

/* ---- where --------------------------------------------------------------------------- */

/* Where a scene, or the film for all of them, says a field; 0: neither does. */
static long line_of(const json_t *story, const json_t *scene, const char *field)
{
	const json_t *line = json_object_get(json_object_get(scene, "lines"), field);
	if (!line)
		line = json_object_get(json_object_get(json_object_get(story, "film"), "lines"), field);
	return (long)json_integer_value(line);
}

int story_fault(const json_t *story, const json_t *scene, const char *field, struct error *err)
{
	long line = field ? line_of(story, scene, field) : 0;
	const char *name = json_string_value(json_object_get(story, "name"));
	line = line ? line : (long)json_integer_value(json_object_get(scene, "line"));
	return line ? error_prefix(err, "%s:%ld", name, line) : error_prefix(err, "%s", name);
}

static bool is_letter(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		if ((at == text || !is_letter(at[-1])) && !is_letter(at[n]))
			return true;
	return false;
}

int story_blame(const json_t *story, const json_t *scene, struct error *err)
{
	const json_t *of[] = {json_object_get(scene, "lines"), json_object_get(json_object_get(story, "film"), "lines")};
	const char *name;
	json_t *ignored;
	for (size_t i = 0; i < sizeof of / sizeof *of; i++)
		json_object_foreach((json_t *)of[i], name, ignored)
			if (has_word(err->text, name))
				return story_fault(story, scene, name, err);
	return story_fault(story, scene, NULL, err);
}

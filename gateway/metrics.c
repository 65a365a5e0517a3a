/* GET /metrics: Prometheus' text format, and OpenMetrics where that is asked for. */
#include "gateway/metrics.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"

enum { CLASSES_MAX = 64, BUCKETS = 14, WAITING_MAX = 256 };

static const double bounds[BUCKETS] = {0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600};

struct histogram {
	int64_t counts[BUCKETS + 1];
	double sum;
};

struct metrics {
	pthread_mutex_t lock;
	int64_t answers[6]; /* by the first digit of the status */
	size_t connections, streams;
	struct class_times {
		char modality[16], model[129];
		struct histogram waited, ran;
	} classes[CLASSES_MAX];
	size_t class_count;
};

struct metrics *metrics_new(void)
{
	struct metrics *m = calloc(1, sizeof *m);
	if (m)
		pthread_mutex_init(&m->lock, NULL);
	return m;
}

void metrics_free(struct metrics *m)
{
	if (m)
		pthread_mutex_destroy(&m->lock);
	free(m);
}

void metrics_answered(struct metrics *m, int status)
{
	pthread_mutex_lock(&m->lock);
	m->answers[status >= 100 && status < 600 ? status / 100 : 0]++;
	pthread_mutex_unlock(&m->lock);
}

void metrics_present(struct metrics *m, size_t connections, size_t streams)
{
	pthread_mutex_lock(&m->lock);
	m->connections = connections;
	m->streams = streams;
	pthread_mutex_unlock(&m->lock);
}

static void observe(struct histogram *h, int64_t ms)
{
	double seconds = ms > 0 ? (double)ms / 1000 : 0;
	int i = 0;
	while (i < BUCKETS && seconds > bounds[i])
		i++;
	h->counts[i]++;
	h->sum += seconds;
}

/* Names of models come from senders: of more than there is room for the rest is one. */
static struct class_times *class_of(struct metrics *m, const char *modality, const char *model)
{
	if (m->class_count == CLASSES_MAX - 1)
		model = modality = "other";
	for (size_t i = 0; i < m->class_count; i++)
		if (strcmp(m->classes[i].modality, modality) == 0 && strcmp(m->classes[i].model, model) == 0)
			return &m->classes[i];
	struct class_times *c = &m->classes[m->class_count++];
	snprintf(c->modality, sizeof c->modality, "%s", modality);
	snprintf(c->model, sizeof c->model, "%s", model);
	return c;
}

void metrics_ended(struct metrics *m, struct queue *queue, const char *id)
{
	struct queue_entry e;
	struct error ignored;
	if (queue_get(queue, id, &e, &ignored))
		return;
	if (e.state == JOB_DONE && e.started_ms && e.finished_ms) {
		pthread_mutex_lock(&m->lock);
		struct class_times *c = class_of(m, e.job.modality, e.job.model ? e.job.model : "");
		observe(&c->waited, e.started_ms - e.created_ms);
		observe(&c->ran, e.finished_ms - e.started_ms);
		pthread_mutex_unlock(&m->lock);
	}
	queue_entry_clear(&e);
}

/* ---- writing -------------------------------------------------------------------------------- */

struct page {
	FILE *out;
	bool open; /* OpenMetrics */
};

static void family(const struct page *p, const char *name, const char *type, const char *help)
{
	bool counter = strcmp(type, "counter") == 0;
	const char *total = counter && !p->open ? "_total" : "";
	fprintf(p->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, total, help, name, total, type);
}

static void one(const struct page *p, const char *name, const char *type, const char *help, double value)
{
	family(p, name, type, help);
	fprintf(p->out, "%s%s %.17g\n", name, strcmp(type, "counter") == 0 ? "_total" : "", value);
}

/* A text between quotes. */
static void label(const struct page *p, const char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			fputs("\\n", p->out);
		else if (*text == '"' || *text == '\\')
			fprintf(p->out, "\\%c", *text);
		else
			fputc(*text, p->out);
}

static void labels(const struct page *p, const char *name, const struct class_times *c)
{
	fprintf(p->out, "%s{modality=\"", name);
	label(p, c->modality);
	fputs("\",model=\"", p->out);
	label(p, c->model);
	fputc('"', p->out);
}

static void write_histogram(const struct page *p, const char *name, const struct class_times *c,
			    const struct histogram *h)
{
	char part[64];
	int64_t total = 0;
	snprintf(part, sizeof part, "%s_bucket", name);
	for (int i = 0; i <= BUCKETS; i++) {
		total += h->counts[i];
		labels(p, part, c);
		if (i < BUCKETS)
			fprintf(p->out, ",le=\"%.1f\"} %lld\n", bounds[i], (long long)total);
		else
			fprintf(p->out, ",le=\"+Inf\"} %lld\n", (long long)total);
	}
	snprintf(part, sizeof part, "%s_sum", name);
	labels(p, part, c);
	fprintf(p->out, "} %.17g\n", h->sum);
	snprintf(part, sizeof part, "%s_count", name);
	labels(p, part, c);
	fprintf(p->out, "} %lld\n", (long long)total);
}

static void write_own(const struct page *p, struct metrics *m)
{
	pthread_mutex_lock(&m->lock);
	family(p, "sumi_gateway_answers", "counter", "Answers of this gateway, by the first digit of their status.");
	for (int i = 1; i < 6; i++)
		fprintf(p->out, "sumi_gateway_answers_total{status=\"%dxx\"} %lld\n", i, (long long)m->answers[i]);
	one(p, "sumi_gateway_connections", "gauge", "Connections of this gateway.", (double)m->connections);
	one(p, "sumi_gateway_streams", "gauge", "Streams of events.", (double)m->streams);
	family(p, "sumi_job_wait_seconds", "histogram", "From sent to begun, of jobs done since this gateway runs.");
	for (size_t i = 0; i < m->class_count; i++)
		write_histogram(p, "sumi_job_wait_seconds", &m->classes[i], &m->classes[i].waited);
	family(p, "sumi_job_run_seconds", "histogram", "From begun to done, of jobs done since this gateway runs.");
	for (size_t i = 0; i < m->class_count; i++)
		write_histogram(p, "sumi_job_run_seconds", &m->classes[i], &m->classes[i].ran);
	pthread_mutex_unlock(&m->lock);
}

static void write_stats(const struct page *p, const struct queue_stats *s)
{
	const struct {
		const char *name, *type, *help;
		int64_t value;
	} rows[] = {
	    {"sumi_intake", "gauge", "Entries that no daemon has taken in yet.", s->intake},
	    {"sumi_dead_letters", "gauge", "Dead letters that are kept.", s->dead_letters},
	    {"sumi_inputs", "gauge", "Files in the queue that jobs start from.", s->inputs},
	    {"sumi_input_bytes", "gauge", "What they take.", s->input_bytes},
	    {"sumi_workers", "gauge", "Living workers.", s->workers},
	    {"sumi_workers_busy", "gauge", "Workers that make something.", s->workers_busy},
	    {"sumi_paused", "gauge", "1 while the queue is paused.", s->paused},
	    {"sumi_jobs_submitted", "counter", "Jobs taken in.", s->total_submitted},
	    {"sumi_jobs_done", "counter", "Jobs done.", s->total_done},
	    {"sumi_jobs_failed", "counter", "Jobs that failed.", s->total_failed},
	    {"sumi_jobs_cancelled", "counter", "Jobs that were cancelled.", s->total_cancelled},
	    {"sumi_jobs_retried", "counter", "Failures that were tried again.", s->total_retried},
	    {"sumi_jobs_crashed", "counter", "Leases that ended.", s->total_crashed},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		one(p, rows[i].name, rows[i].type, rows[i].help, (double)rows[i].value);
	family(p, "sumi_jobs", "gauge", "Jobs in the queue, by state.");
	for (int i = 0; i < JOB_STATES; i++)
		fprintf(p->out, "sumi_jobs{state=\"%s\"} %lld\n", job_state_word((enum job_state)i),
			(long long)s->states[i]);
}

/* Of each worker; steps a second are their rate. */
static int write_workers(const struct page *p, struct queue *queue, struct error *err)
{
	static const struct {
		const char *name, *type, *help;
		size_t offset;
	} rows[] = {
	    {"sumi_steps", "counter", "Sampler steps that a worker has made since it lives.",
	     offsetof(struct queue_figures, steps)},
	    {"sumi_device_memory_bytes", "gauge", "Memory of a worker's device.",
	     offsetof(struct queue_figures, memory)},
	    {"sumi_device_memory_used_bytes", "gauge", "What its models and buffers take of it.",
	     offsetof(struct queue_figures, memory_used)},
	};
	struct queue_worker_info *workers;
	size_t count;
	int status = queue_workers(queue, &workers, &count, err);
	if (status)
		return status;
	for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
		bool counter = strcmp(rows[r].type, "counter") == 0;
		family(p, rows[r].name, rows[r].type, rows[r].help);
		for (size_t i = 0; i < count; i++) {
			fprintf(p->out, "%s%s{worker=\"", rows[r].name, counter ? "_total" : "");
			label(p, workers[i].name);
			fputs("\",device=\"", p->out);
			label(p, workers[i].device);
			fprintf(p->out, "\"} %lld\n",
				(long long)*(int64_t *)((char *)&workers[i].figures + rows[r].offset));
		}
	}
	free(workers);
	return SUMI_OK;
}

static int write_waiting(const struct page *p, struct queue *queue, struct error *err)
{
	struct queue_unserved *list;
	size_t count;
	int status = queue_waiting(queue, WAITING_MAX, &list, &count, err);
	if (status)
		return status;
	family(p, "sumi_jobs_ready", "gauge", "Jobs that could be begun, by modality and model.");
	for (size_t i = 0; i < count; i++) {
		struct class_times c = {0};
		size_t slash = strcspn(list[i].class, "/");
		snprintf(c.modality, sizeof c.modality, "%.*s", (int)slash, list[i].class);
		snprintf(c.model, sizeof c.model, "%.128s", list[i].class[slash] ? list[i].class + slash + 1 : "");
		labels(p, "sumi_jobs_ready", &c);
		fprintf(p->out, "} %lld\n", (long long)list[i].jobs);
	}
	free(list);
	return SUMI_OK;
}

static void write_store(const struct page *p, struct worker *w)
{
	struct store *store;
	struct store_counts counts;
	struct error ignored;
	one(p, "sumi_disk_free_bytes", "gauge", "Free on the disk of results.",
	    (double)files_free_space(worker_config(w)->state_dir));
	if (worker_store(w, &store, &ignored) || store_count(store, &counts, &ignored))
		return;
	one(p, "sumi_results", "gauge", "Files that jobs have made and that are kept here.", (double)counts.artifacts);
	one(p, "sumi_result_bytes", "gauge", "What they take.", (double)counts.bytes);
}

void metrics_show(struct call *call, struct worker *w)
{
	const char *accept = head_value(&call->http->head, "accept");
	struct page p = {.open = accept && strstr(accept, "application/openmetrics-text")};
	struct queue *queue;
	struct queue_stats stats;
	struct error err;
	char *text = NULL;
	size_t size = 0;
	int status = worker_queue(w, &queue, &err);
	if (!status)
		status = queue_stats(queue, &stats, &err);
	if (!status && !(p.out = open_memstream(&text, &size)))
		status = error_set(&err, SUMI_NOMEM, "out of memory");
	if (status) {
		call_fail(call, &err);
		return;
	}
	write_stats(&p, &stats);
	status = write_waiting(&p, queue, &err);
	if (!status)
		status = write_workers(&p, queue, &err);
	write_store(&p, w);
	write_own(&p, call->shared->metrics);
	if (p.open)
		fputs("# EOF\n", p.out);
	fclose(p.out);
	if (status) {
		free(text);
		call_fail(call, &err);
		return;
	}
	call_text(call, 200,
		  p.open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			 : "text/plain; version=0.0.4; charset=utf-8",
		  text, size);
}

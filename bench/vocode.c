/* Where the time of a clip of sound goes, and how fast phases are found.
 *
 *     build/bench/vocode clip PACK DEVICE STEPS SECONDS     processor time of each stage
 *     build/bench/vocode phases FILE                        see tools/bench_phase.py
 *     build/bench/vocode sound SUMI.JSON PICTURE SOUND      a loop's picture becomes sound as a pack's would
 *     build/bench/vocode picture SUMI.JSON SOUND PICTURE    and a loop of sound its picture
 *
 * FILE holds seven int32 (n_fft, window, hop, edge, frames, length, iterations) and the
 * magnitudes [frames, n_fft/2 + 1], float32; the samples [length] take their place in FILE.out,
 * and the processor time in ms is printed. PICTURE is [bands, columns, 3], SOUND [channels, columns · hop], both
 * float32. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "diffusion/run.h"
#include "media/ogg.h"
#include "modalities/phase.h"
#include "modalities/spectrogram.h"

/* Processor time of all threads: a wall clock would measure the machine's other work too. */
static double since(double *mark)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	double now = (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6, ms = now - *mark;
	*mark = now;
	return ms;
}

/* ---- stages of a clip -------------------------------------------------------------- */

static int measure(struct pack *pack, const struct run_params *p, double seconds, struct error *err)
{
	struct spectrogram s;
	struct sound sound = {0};
	struct run *run = NULL;
	uint8_t *ogg = NULL;
	size_t size;
	double ms[6];
	struct metadata none = {NULL, NULL};
	double mark = 0, all = 0;
	since(&mark);
	int status = spectrogram_read(pack_info_of(pack), &s, err);
	if (status)
		return status;
	struct spectrogram_shape shape = {.columns = p->width};
	shape.frames = (int)ceil(seconds * s.rate / s.hop);
	shape.length = (size_t)round(seconds * s.rate);
	float *picture = malloc((size_t)s.bands * (size_t)shape.columns * 3 * sizeof *picture);
	if (!picture)
		return error_set(err, SUMI_NOMEM, "out of memory");
	status = run_begin(pack, p, &run, err);
	ms[0] = since(&mark);
	while (!status && run_steps_done(run) < run_steps(run))
		status = run_step(run, err);
	ms[1] = since(&mark);
	if (!status)
		status = run_decode(run, 0, picture, err);
	ms[2] = since(&mark);
	if (!status)
		status = spectrogram_to_sound(&s, &shape, picture, &sound, err);
	ms[3] = since(&mark);
	if (!status)
		status = sound_normalise(&sound, SOUND_CEILING, false, err);
	ms[4] = since(&mark);
	if (!status)
		status = ogg_encode(&sound, 60, false, &none, &ogg, &size, err);
	ms[5] = since(&mark);
	for (int i = 0; i < 6; i++)
		all += ms[i];
	if (!status)
		printf("begin %.0f, %d steps %.0f, decode %.0f, vocode %.0f, loudness %.0f, "
		       "encode %.0f ms; vocoding is %.1f %% of %.0f ms\n",
		       ms[0], run_steps(run), ms[1], ms[2], ms[3], ms[4], ms[5], 100 * ms[3] / all,
		       all);
	free(ogg);
	sound_free(&sound);
	free(picture);
	run_free(run);
	return status;
}

static int clip(char **words, struct error *err)
{
	struct device *device = NULL;
	struct pack *pack = NULL;
	int status;
	if ((status = device_open(words[1], &device, err)) ||
	    (status = pack_open(device, words[0], &pack, err)))
		goto done;
	const struct pack_info *info = pack_info_of(pack);
	struct spectrogram s;
	if ((status = spectrogram_read(info, &s, err)))
		goto done;
	double seconds = atof(words[3]);
	int columns = (int)ceil(seconds * s.rate / s.hop);
	struct run_params p = {
	    .prompt = "calm piano",
	    .seed = 1,
	    .steps = atoi(words[2]),
	    .cfg_scale = info->defaults.cfg_scale,
	    .height = s.bands,
	    .width = (columns + info->latents.scale - 1) / info->latents.scale * info->latents.scale,
	    .frames = 1,
	    .window = s.window_columns,
	    .overlap = s.overlap_columns,
	};
	if (p.width < s.window_columns)
		p.width = s.window_columns;
	/* The first round compiles kernels and warms caches. */
	for (int round = 0; round < 3 && !status; round++)
		status = measure(pack, &p, seconds, err);
done:
	pack_close(pack);
	device_close(device);
	return status;
}

/* ---- phases of given spectra ------------------------------------------------------- */

static int phases(const char *path, struct error *err)
{
	char out[4096];
	int head[7], status = SUMI_OK;
	float *magnitudes = NULL, *samples = NULL;
	FILE *f = fopen(path, "rb");
	if (!f || fread(head, sizeof head, 1, f) != 1) {
		status = error_set(err, SUMI_IO, "%s: cannot be read", path);
		goto done;
	}
	struct phase_options o = {
	    .stft = {.n_fft = head[0], .window = head[1], .hop = head[2], .edge = head[3]},
	    .frames = head[4],
	    .bins = head[0] / 2 + 1,
	    .length = (size_t)head[5],
	    .iterations = head[6],
	    .momentum = 0.99,
	};
	size_t count = (size_t)o.frames * (size_t)o.bins;
	magnitudes = malloc(count * sizeof *magnitudes);
	samples = malloc(o.length * sizeof *samples);
	if (!magnitudes || !samples || fread(magnitudes, sizeof *magnitudes, count, f) != count) {
		status = error_set(err, SUMI_IO, "%s: too short", path);
		goto done;
	}
	double mark = 0;
	since(&mark);
	status = phase_reconstruct(&o, magnitudes, samples, err);
	printf("%.3f\n", since(&mark));
	snprintf(out, sizeof out, "%s.out", path);
	FILE *g = fopen(out, "wb");
	if (!g || fwrite(samples, sizeof *samples, o.length, g) != o.length || fclose(g) != 0)
		status = error_set(err, SUMI_IO, "%s: cannot be written", out);
done:
	if (f)
		fclose(f);
	free(magnitudes);
	free(samples);
	return status;
}

/* ---- pictures and sound ------------------------------------------------------------ */

static int read_all(const char *path, size_t one, float **out, size_t *count, struct error *err)
{
	long size = -1;
	FILE *f = fopen(path, "rb");
	*out = NULL;
	if (f && fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0 && fseek(f, 0, SEEK_SET) == 0)
		*out = malloc((size_t)size);
	*count = size > 0 ? (size_t)size / (one * sizeof **out) : 0;
	int status = *out && *count && fread(*out, one * sizeof **out, *count, f) == *count
			 ? SUMI_OK
			 : error_set(err, SUMI_IO, "%s: cannot be read as rows of %zu numbers", path, one);
	if (f)
		fclose(f);
	return status;
}

static int write_all(const char *path, const float *values, size_t count, struct error *err)
{
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(values, sizeof *values, count, f) != count || fclose(f) != 0)
		return error_set(err, SUMI_IO, "%s: cannot be written", path);
	return SUMI_OK;
}

/* One way or the other; prints the processor time in ms. */
static int translate(bool to_sound, char **words, struct error *err)
{
	struct pack_info info = {.latents = {.scale = 8}, .defaults = {.width = 256, .height = 128}};
	struct spectrogram s;
	struct sound sound = {0};
	float *in = NULL, *picture = NULL;
	size_t count = 0;
	double mark = 0;
	snprintf(info.path, sizeof info.path, "%s", words[0]);
	int status = json_read_file(words[0], 1 << 20, &info.manifest, err);
	if (status || (status = spectrogram_read(&info, &s, err)))
		goto done;
	int channels = s.stereo ? 2 : 1;
	size_t column = to_sound ? (size_t)s.bands * 3 : (size_t)s.hop * (size_t)channels;
	if ((status = read_all(words[1], column, &in, &count, err)))
		goto done;
	struct spectrogram_shape shape = {
	    .columns = (int)count, .frames = (int)count, .length = count * (size_t)s.hop, .circular = true};
	since(&mark);
	if (to_sound) {
		if (!(status = spectrogram_to_sound(&s, &shape, in, &sound, err)))
			status = write_all(words[2], sound.samples, (size_t)channels * sound.length, err);
	} else {
		struct sound loop = {.rate = s.rate, .channels = channels, .length = shape.length, .samples = in};
		picture = malloc(count * (size_t)s.bands * 3 * sizeof *picture);
		status = picture ? spectrogram_of_sound(&s, &shape, &loop, picture, err)
				 : error_set(err, SUMI_NOMEM, "out of memory");
		if (!status)
			status = write_all(words[2], picture, count * (size_t)s.bands * 3, err);
	}
	printf("%.3f\n", since(&mark));
done:
	json_decref(info.manifest);
	sound_free(&sound);
	free(picture);
	free(in);
	return status;
}

int main(int argc, char **argv)
{
	struct error err = {0};
	int status = SUMI_INVALID;
	if (argc == 6 && strcmp(argv[1], "clip") == 0)
		status = clip(argv + 2, &err);
	else if (argc == 3 && strcmp(argv[1], "phases") == 0)
		status = phases(argv[2], &err);
	else if (argc == 5 && (strcmp(argv[1], "sound") == 0 || strcmp(argv[1], "picture") == 0))
		status = translate(strcmp(argv[1], "sound") == 0, argv + 2, &err);
	else
		error_set(&err, status,
			  "usage: vocode clip PACK DEVICE STEPS SECONDS | phases FILE | "
			  "sound SUMI.JSON PICTURE SOUND | picture SUMI.JSON SOUND PICTURE");
	if (status)
		fprintf(stderr, "%s\n", err.text);
	return status != SUMI_OK;
}

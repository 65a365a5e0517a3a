/* Noise schedules: alphas, timesteps, sigmas. */
#include "diffusion/schedule.h"

#include <math.h>
#include <stdlib.h>

#define PI 3.14159265358979323846

static float logf_exact(float x)
{
	return (float)log((double)x);
}

/* ---- betas and alphas ---- */

/* torch.linspace in float32: from both ends to the middle. */
static void linspace_f32(float start, float end, int count, float *out)
{
	float step = count > 1 ? (end - start) / (float)(count - 1) : 0;
	for (int i = 0; i < count; i++)
		out[i] =
		    i < count / 2 ? start + step * (float)i : end - step * (float)(count - i - 1);
}

static double alpha_bar_cosine(double t)
{
	double c = cos((t + 0.008) / 1.008 * PI / 2);
	return c * c;
}

static void fill_betas(const struct schedule_alphas *p, float *betas)
{
	int n = p->train_steps;
	if (p->trained_betas) {
		for (int i = 0; i < n; i++)
			betas[i] = p->trained_betas[i];
	} else if (p->betas == BETAS_SQUAREDCOS) {
		for (int i = 0; i < n; i++) {
			double ratio =
			    alpha_bar_cosine((i + 1.0) / n) / alpha_bar_cosine((double)i / n);
			betas[i] = (float)fmin(1 - ratio, 0.999);
		}
	} else if (p->betas == BETAS_SCALED_LINEAR) {
		linspace_f32((float)sqrt(p->beta_start), (float)sqrt(p->beta_end), n, betas);
		for (int i = 0; i < n; i++)
			betas[i] *= betas[i];
	} else {
		linspace_f32((float)p->beta_start, (float)p->beta_end, n, betas);
	}
}

/* torch accumulates a float32 cumprod in double on the CPU. */
static void cumprod(const float *alphas, int n, float *out)
{
	double product = 1;
	for (int i = 0; i < n; i++) {
		product *= alphas[i];
		out[i] = (float)product;
	}
}

/* Algorithm 1 of arXiv:2305.08891, by way of the betas and back as diffusers does it;
 * alphas_cumprod is both input and output, alphas is scratch. */
static void rescale_zero_snr(int n, float *alphas_cumprod, float *alphas)
{
	float *root = alphas_cumprod;
	for (int i = 0; i < n; i++)
		root[i] = sqrtf(root[i]);
	float first = root[0], last = root[n - 1], scale = first / (first - last);
	for (int i = 0; i < n; i++) {
		root[i] = (root[i] - last) * scale;
		root[i] *= root[i];
	}
	for (int i = 0; i < n; i++) {
		float alpha = i ? root[i] / root[i - 1] : root[0];
		float beta = 1 - alpha;
		alphas[i] = 1 - beta;
	}
	cumprod(alphas, n, alphas_cumprod);
}

int schedule_alphas_cumprod(const struct schedule_alphas *params, float *alphas_cumprod,
			    struct error *err)
{
	static const char *where = "scheduler_config.json";
	int n = params->train_steps;
	if (n < 2 || n > SCHEDULE_TRAIN_STEPS_MAX)
		return error_set(err, SUMI_INVALID,
				 "%s: num_train_timesteps is %d, allowed are 2 to %d", where, n,
				 SCHEDULE_TRAIN_STEPS_MAX);
	float *scratch = malloc((size_t)n * sizeof *scratch);
	if (!scratch)
		return error_set(err, SUMI_NOMEM, "no memory for the noise schedule");
	int status = SUMI_OK;
	fill_betas(params, scratch);
	for (int i = 0; i < n; i++) {
		if (!(scratch[i] > 0 && scratch[i] < 1)) {
			status = error_set(err, SUMI_INVALID,
					   "%s: beta %d is %g, must be between 0 and 1", where, i,
					   (double)scratch[i]);
			goto out;
		}
		scratch[i] = 1 - scratch[i];
	}
	cumprod(scratch, n, alphas_cumprod);
	if (!(alphas_cumprod[0] > alphas_cumprod[n - 1])) {
		status = error_set(err, SUMI_INVALID, "%s: the betas add no noise", where);
		goto out;
	}
	if (params->zero_terminal_snr)
		rescale_zero_snr(n, alphas_cumprod, scratch);
out:
	free(scratch);
	return status;
}

/* ---- timesteps ---- */

/* numpy.linspace(0, end, count)[i]. */
static double linspace_at(double end, int count, int i)
{
	if (count < 2)
		return 0;
	return i == count - 1 ? end : i * (end / (count - 1));
}

/* numpy.arange(start, 0, -step)[i], with its rounding of the increment. */
static double arange_at(double start, double step, int i)
{
	double delta = (start - step) - start;
	return start + i * delta;
}

void schedule_timesteps_whole(enum schedule_spacing spacing, int train_steps, int steps, int offset,
			      double *timesteps)
{
	for (int i = 0; i < steps; i++) {
		int up = steps - 1 - i;
		if (spacing == SPACING_LINSPACE)
			timesteps[i] = rint(linspace_at(train_steps - 1, steps, up));
		else if (spacing == SPACING_TRAILING)
			timesteps[i] =
			    rint(arange_at(train_steps, (double)train_steps / steps, i)) - 1;
		else
			timesteps[i] = up * (train_steps / steps) + offset;
	}
}

void schedule_timesteps_between(enum schedule_spacing spacing, int train_steps, int steps,
				int offset, double *timesteps)
{
	if (spacing != SPACING_LINSPACE) {
		schedule_timesteps_whole(spacing, train_steps, steps, offset, timesteps);
		return;
	}
	for (int i = 0; i < steps; i++)
		timesteps[i] = (float)linspace_at(train_steps - 1, steps, steps - 1 - i);
}

void schedule_timesteps_open(enum schedule_spacing spacing, int train_steps, int last, int steps,
			     int offset, double *timesteps)
{
	for (int i = 0; i < steps; i++) {
		int up = steps - i;
		if (spacing == SPACING_LINSPACE)
			timesteps[i] = rint(linspace_at(last - 1, steps + 1, up));
		else if (spacing == SPACING_TRAILING)
			timesteps[i] = rint(arange_at(last, (double)train_steps / steps, i)) - 1;
		else
			timesteps[i] = up * (last / (steps + 1)) + offset;
	}
}

void schedule_timesteps_distilled(int train_steps, int original, int steps, double *timesteps)
{
	int stride = train_steps / original;
	for (int i = 0; i < steps; i++) {
		int down = (int)floor(i * ((double)original / steps));
		timesteps[i] = (original - down) * stride - 1;
	}
}

/* ---- sigmas ---- */

void schedule_sigma_table(const float *alphas_cumprod, int train_steps, float *sigmas,
			  float *log_sigmas)
{
	for (int i = 0; i < train_steps; i++) {
		sigmas[i] = sqrtf((1 - alphas_cumprod[i]) / alphas_cumprod[i]);
		log_sigmas[i] = logf_exact(sigmas[i]);
	}
}

double schedule_interpolate(const float *table, int count, double t)
{
	if (t <= 0)
		return table[0];
	if (t >= count - 1)
		return table[count - 1];
	int low = (int)t;
	return ((double)table[low + 1] - table[low]) * (t - low) + table[low];
}

double schedule_sigma_to_t(const float *log_sigmas, int train_steps, double sigma)
{
	double log_sigma = log(fmax(sigma, 1e-10));
	int low = 0;
	for (int i = 0; i < train_steps; i++)
		if (log_sigma >= log_sigmas[i])
			low = i;
	if (low > train_steps - 2)
		low = train_steps - 2;
	/* The difference of two table entries is float32, the rest double, as in numpy. */
	float gap = log_sigmas[low] - log_sigmas[low + 1];
	double w = (log_sigmas[low] - log_sigma) / gap;
	w = fmin(fmax(w, 0), 1);
	return (1 - w) * low + w * (low + 1);
}

void schedule_spread_sigmas(enum schedule_sigmas kind, double min, double max, int steps,
			    double *sigmas)
{
	const double rho = 7;
	double low = pow(min, 1 / rho), high = pow(max, 1 / rho);
	double log_low = log(min), log_high = log(max);
	for (int i = 0; i < steps; i++) {
		double ramp = linspace_at(1, steps, i);
		if (kind == SIGMAS_KARRAS)
			sigmas[i] = pow(high + ramp * (low - high), rho);
		else if (kind == SIGMAS_EXPONENTIAL || kind == SIGMAS_LU)
			sigmas[i] = exp(steps > 1 && i == steps - 1
					    ? log_low
					    : log_high + i * ((log_low - log_high) /
							      (steps > 1 ? steps - 1 : 1)));
		else
			sigmas[i] = min + schedule_beta_quantile(1 - ramp, 0.6) * (max - min);
	}
}

/* The ten steps that were found for each, and where the last of them begins. */
enum { ALIGNED = 11 };
static const double aligned[][ALIGNED] = {
    [STEPS_STABLE_DIFFUSION] = {14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399,
				0.152, 0.029},
    [STEPS_STABLE_DIFFUSION_XL] = {14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234,
				   0.113, 0.029},
};

void schedule_aligned_sigmas(enum schedule_steps whose, enum schedule_sigmas kind, int steps,
			     double *sigmas)
{
	int points = kind == SIGMAS_AYS ? steps + 1 : steps;
	for (int i = 0; i < steps; i++) {
		/* Other numbers of steps lie between those in the logarithm of sigma. */
		double at = points > 1 ? (double)i * (ALIGNED - 1) / (points - 1) : 0;
		int low = at < ALIGNED - 2 ? (int)at : ALIGNED - 2;
		double a = log(aligned[whose][low]), b = log(aligned[whose][low + 1]);
		sigmas[i] = exp(a + (at - low) * (b - a));
	}
}

/* The regularised incomplete beta function by Lentz's continued fraction (DLMF 8.17.22),
 * for x at or below the mean, where it converges fast. */
static double incomplete_beta(double x, double a, double b)
{
	double front = tgamma(a + b) / (tgamma(a) * tgamma(b)) * pow(x, a) * pow(1 - x, b) / a;
	double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), f = d;
	for (int m = 1; m < 200; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		d = 1 / (1 + even * d);
		c = 1 + even / c;
		f *= c * d;
		d = 1 / (1 + odd * d);
		c = 1 + odd / c;
		f *= c * d;
		if (fabs(c * d - 1) < 1e-16)
			break;
	}
	return front * f;
}

double schedule_beta_quantile(double p, double shape)
{
	if (p <= 0)
		return 0;
	if (p >= 1)
		return 1;
	if (p > 0.5)
		return 1 - schedule_beta_quantile(1 - p, shape);
	double low = 0, high = 0.5;
	for (int i = 0; i < 100; i++) {
		double middle = (low + high) / 2;
		if (incomplete_beta(middle, shape, shape) < p)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 uint128;

static void *allocate(int64_t count, size_t size)
{
	void *memory = calloc(count > 0 ? (size_t)count : 1, size);
	if (!memory)
		abort();
	return memory;
}

/* ---- section 1: points and distances ---- */

static double decode(unsigned bits, int exponent_bits, int fraction_bits)
{
	int bias = (1 << (exponent_bits - 1)) - 1;
	int sign = (int)(bits >> (exponent_bits + fraction_bits) & 1);
	int exponent = (int)(bits >> fraction_bits & ((1u << exponent_bits) - 1));
	unsigned fraction = bits & ((1u << fraction_bits) - 1);
	double value;

	if (exponent == (1 << exponent_bits) - 1)
		value = fraction ? (double)NAN : (double)INFINITY;
	else if (exponent == 0)
		value = ldexp(fraction, 1 - bias - fraction_bits);
	else
		value = ldexp(fraction + (1u << fraction_bits), exponent - bias - fraction_bits);
	return sign ? -value : value;
}

double ref_value(const void *data, enum fkm_dtype dtype, int64_t i)
{
	switch (dtype) {
	case FKM_F16:
		return decode(((const uint16_t *)data)[i], 5, 10);
	case FKM_BF16:
		return decode(((const uint16_t *)data)[i], 8, 7);
	case FKM_F32:
		return ((const float *)data)[i];
	case FKM_F64:
		return ((const double *)data)[i];
	}
	abort();
}

static double combine(const double p[8])
{
	return ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));
}

static double sum8(const double *v, int64_t m)
{
	double p[8] = {0};

	for (int64_t j = 0; j < m; j++)
		p[j % 8] += v[j];
	return combine(p);
}

double ref_distance(const double *x, const double *c, int64_t d)
{
	double p[8] = {0};

	for (int64_t j = 0; j < d; j++) {
		double t = x[j] - c[j];
		p[j % 8] = fma(t, t, p[j % 8]);
	}
	return combine(p);
}

static double square_norm(const double *x, int64_t d)
{
	double p[8] = {0};

	for (int64_t j = 0; j < d; j++)
		p[j % 8] = fma(x[j], x[j], p[j % 8]);
	return combine(p);
}

static void normalise(double *x, int64_t d, double q)
{
	double r = q == 0 ? 0 : 1 / sqrt(q);

	for (int64_t j = 0; j < d; j++)
		x[j] = x[j] * r;
}

static int32_t nearest(const double *x, const double *centroids, int64_t k, int64_t d)
{
	int64_t best = 0;
	double best_distance = ref_distance(x, centroids, d);

	for (int64_t c = 1; c < k; c++) {
		double distance = ref_distance(x, centroids + c * d, d);
		if (distance < best_distance) {
			best_distance = distance;
			best = c;
		}
	}
	return (int32_t)best;
}

/* ---- section 2: grids ---- */

static int grid_bits(int64_t n)
{
	int l = 0;

	while (((uint128)1 << l) < (uint64_t)n)
		l++;
	return 61 - l < 50 ? 61 - l : 50;
}

static int exponent(double m)
{
	int e;

	if (m == 0)
		return 0;
	frexp(m, &e);
	return e;
}

static double power2(int e)
{
	return ldexp(1, e);
}

static int64_t on_grid(double value, int g)
{
	return (int64_t)rint(value * power2(g));
}

/* A problem as doubles, with its grids. */
struct model {
	int64_t n, k, d;
	bool cosine, weighted;
	double *x; /* [n, d] */
	double *w; /* [n]; 1 without weights */
	double wmax;
	double *a; /* [d]; a_j */
	int bits, gw;
	int *g;      /* [d] */
	int64_t *q;  /* [n, d] */
	int64_t *wq; /* [n] */
};

static int grid(const struct model *m, double largest)
{
	int g = m->bits - exponent(largest);

	return g < 1022 ? g : 1022;
}

static void model_make(struct model *m, const struct ref_problem *p)
{
	int64_t n = p->n, d = p->d;

	*m = (struct model){.n = n, .k = p->k, .d = d, .cosine = p->metric == FKM_METRIC_COSINE, .weighted = p->weights};
	m->x = allocate(n * d, sizeof(double));
	m->w = allocate(n, sizeof(double));
	m->a = allocate(d, sizeof(double));
	m->g = allocate(d, sizeof(int));
	m->q = allocate(n * d, sizeof(int64_t));
	m->wq = allocate(n, sizeof(int64_t));
	m->bits = grid_bits(n);

	for (int64_t i = 0; i < n; i++) {
		double *x = m->x + i * d;
		for (int64_t j = 0; j < d; j++)
			x[j] = ref_value(p->points, p->dtype, i * p->row_stride + j);
		if (m->cosine)
			normalise(x, d, square_norm(x, d));
		m->w[i] = p->weights ? ref_value(p->weights, p->weights_dtype, i) : 1;
		m->wmax = fmax(m->wmax, m->w[i]);
	}
	for (int64_t j = 0; j < d; j++) {
		for (int64_t i = 0; i < n; i++)
			m->a[j] = fmax(m->a[j], fabs(m->x[i * d + j]));
		if (m->cosine)
			m->a[j] = 1;
		m->g[j] = grid(m, m->a[j] * m->wmax);
		if (p->dtype == FKM_F16 && !m->cosine && !m->weighted && m->g[j] > 24)
			m->g[j] = 24;
	}
	m->gw = m->weighted ? grid(m, m->wmax) : 0;
	for (int64_t i = 0; i < n; i++) {
		m->wq[i] = on_grid(m->w[i], m->gw);
		for (int64_t j = 0; j < d; j++)
			m->q[i * d + j] = on_grid(m->w[i] * m->x[i * d + j], m->g[j]);
	}
}

static void model_free(struct model *m)
{
	free(m->x);
	free(m->w);
	free(m->a);
	free(m->g);
	free(m->q);
	free(m->wq);
}

/* ---- section 3: one iteration ---- */

static int64_t assign(const struct model *m, const double *centroids, int32_t *labels)
{
	int64_t changed = 0;

	for (int64_t i = 0; i < m->n; i++) {
		int32_t label = nearest(m->x + i * m->d, centroids, m->k, m->d);
		changed += label != labels[i];
		labels[i] = label;
	}
	return changed;
}

static void own_distances(const struct model *m, const double *centroids, const int32_t *labels, double *distances)
{
	for (int64_t i = 0; i < m->n; i++)
		distances[i] = ref_distance(m->x + i * m->d, centroids + labels[i] * m->d, m->d);
}

/* Section 3.3, RELOCATE; returns how many centroids moved. */
static int64_t relocate(const struct model *m, const double *centroids, const int32_t *labels, int64_t *sums,
						int64_t *weight_sums)
{
	int64_t n = m->n, d = m->d, moved = 0, empties = 0;
	double *distances = allocate(n, sizeof(double));
	int64_t *empty = allocate(m->k, sizeof(int64_t));
	bool any = false;

	own_distances(m, centroids, labels, distances);
	for (int64_t i = 0; i < n; i++)
		any |= distances[i] > 0;
	for (int64_t e = 0; e < m->k; e++)
		if (weight_sums[e] == 0)
			empty[empties++] = e;
	for (int64_t pair = 0; any && pair < empties && pair < n; pair++) {
		int64_t e = empty[pair], far = 0;
		for (int64_t i = 1; i < n; i++)
			if (distances[i] > distances[far])
				far = i;
		distances[far] = -1; /* taken */
		int64_t o = labels[far];
		const int64_t *q = m->q + far * d;
		for (int64_t j = 0; j < d; j++)
			sums[o * d + j] -= q[j];
		memcpy(sums + e * d, q, (size_t)d * sizeof(*q));
		weight_sums[e] = m->wq[far];
		weight_sums[o] -= m->wq[far];
		moved++;
	}
	free(distances);
	free(empty);
	return moved;
}

static void new_centroid(const struct model *m, const int64_t *sum, int64_t weight_sum, const double *old, double *c)
{
	int64_t d = m->d;

	memcpy(c, old, (size_t)d * sizeof(*c));
	if (weight_sum == 0)
		return;
	if (m->cosine) {
		double *mean = allocate(d, sizeof(double));
		for (int64_t j = 0; j < d; j++)
			mean[j] = (double)sum[j];
		double q = square_norm(mean, d);
		for (int64_t j = 0; j < d && q != 0; j++)
			c[j] = mean[j] / sqrt(q);
		free(mean);
	} else {
		for (int64_t j = 0; j < d; j++)
			c[j] = ((double)sum[j] / (double)weight_sum * power2(m->gw)) * power2(-m->g[j]);
	}
}

/* Steps 2 to 5 with centroids in place. Returns false, naming the cluster, when FKM_EMPTY_ERROR ends the fit. */
static bool update(const struct model *m, const int32_t *labels, enum fkm_empty policy, double *centroids,
				   struct ref_step *step, int64_t *empty_cluster)
{
	int64_t k = m->k, d = m->d;
	int64_t *sums = allocate(k * d, sizeof(int64_t)), *weight_sums = allocate(k, sizeof(int64_t));
	double *old = allocate(k * d, sizeof(double)), *moved = allocate(k, sizeof(double));
	int64_t first_empty = -1;

	memcpy(old, centroids, (size_t)(k * d) * sizeof(*old));
	for (int64_t i = 0; i < m->n; i++) {
		weight_sums[labels[i]] += m->wq[i];
		for (int64_t j = 0; j < d; j++)
			sums[labels[i] * d + j] += m->q[i * d + j];
	}
	for (int64_t c = k - 1; c >= 0; c--)
		if (weight_sums[c] == 0)
			first_empty = c;
	*empty_cluster = policy == FKM_EMPTY_ERROR ? first_empty : -1;
	if (*empty_cluster < 0) {
		if (policy == FKM_EMPTY_RELOCATE && first_empty >= 0)
			step->relocated = relocate(m, old, labels, sums, weight_sums);
		for (int64_t c = 0; c < k; c++) {
			new_centroid(m, sums + c * d, weight_sums[c], old + c * d, centroids + c * d);
			moved[c] = ref_distance(centroids + c * d, old + c * d, d);
		}
		step->shift = sum8(moved, k);
	}
	free(sums);
	free(weight_sums);
	free(old);
	free(moved);
	return *empty_cluster < 0;
}

/* ---- section 4: stopping ---- */

static double mean_variance(const struct model *m)
{
	double *variance = allocate(m->d, sizeof(double));

	for (int64_t j = 0; j < m->d; j++) {
		int h = grid(m, m->a[j]);
		int64_t sum = 0;
		double low = INFINITY, high = -INFINITY;
		for (int64_t i = 0; i < m->n; i++) {
			double x = m->x[i * m->d + j];
			sum += on_grid(x, h);
			low = fmin(low, x);
			high = fmax(high, x);
		}
		double mean = ((double)sum * power2(-h)) / (double)m->n;
		double e = m->cosine ? 2 : fmax(fabs(high - mean), fabs(low - mean));
		int g = grid(m, e * e);
		sum = 0;
		for (int64_t i = 0; i < m->n; i++) {
			double t = m->x[i * m->d + j] - mean;
			sum += on_grid(t * t, g);
		}
		variance[j] = ((double)sum * power2(-g)) / (double)m->n;
	}
	double v = sum8(variance, m->d) / (double)m->d;
	free(variance);
	return v;
}

/* ---- section 5: inertia ---- */

static double inertia(const struct model *m, const double *centroids, const double *distances)
{
	double a = m->cosine ? 1 : 0;
	int64_t high = 0, low = 0;

	for (int64_t j = 0; j < m->d; j++)
		a = fmax(a, m->a[j]);
	for (int64_t j = 0; j < m->k * m->d; j++)
		a = fmax(a, fabs(centroids[j]));
	int g = grid(m, a * a * 4 * (double)m->d * m->wmax);
	for (int64_t i = 0; i < m->n; i++) {
		double v = m->weighted ? m->w[i] * distances[i] : distances[i];
		double s = v * power2(g), h = rint(s);
		high += (int64_t)h;
		low += (int64_t)rint((s - h) * power2(m->bits));
	}
	return ((double)high + (double)low * power2(-m->bits)) * power2(-g);
}

/* ---- section 6: starting centroids ---- */

uint64_t ref_draw(uint64_t seed, uint32_t index, uint32_t round, uint32_t run, uint32_t purpose)
{
	uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
	uint32_t x[4] = {index, round, run, purpose};

	for (int i = 0; i < 10; i++) {
		uint64_t a = 0xD2511F53ull * x[0], b = 0xCD9E8D57ull * x[2];
		uint32_t y[4] = {(uint32_t)(b >> 32) ^ x[1] ^ key[0], (uint32_t)b, (uint32_t)(a >> 32) ^ x[3] ^ key[1],
						 (uint32_t)a};
		memcpy(x, y, sizeof(x));
		key[0] += 0x9E3779B9u;
		key[1] += 0xBB67AE85u;
	}
	return ((uint64_t)x[1] << 32) | x[0];
}

static int64_t below(uint64_t u, int64_t m)
{
	return (int64_t)(((uint128)u * (uint64_t)m) >> 64);
}

static void random_rows(const struct model *m, uint64_t seed, uint32_t run, double *centroids)
{
	int64_t *rows = allocate(m->n, sizeof(int64_t));

	for (int64_t i = 0; i < m->n; i++)
		rows[i] = i;
	for (int64_t i = 0; i < m->k; i++) {
		int64_t other = i + below(ref_draw(seed, (uint32_t)i, 0, run, 1), m->n - i);
		int64_t row = rows[i];
		rows[i] = rows[other];
		rows[other] = row;
		memcpy(centroids + i * m->d, m->x + rows[i] * m->d, (size_t)m->d * sizeof(double));
	}
	free(rows);
}

/* The lowest i with q_0 + ... + q_i > below(u, sum q), or row below(u, n) if that sum is 0. */
static int64_t pick(const int64_t *q, int64_t n, uint64_t u)
{
	int64_t total = 0, running = 0;

	for (int64_t i = 0; i < n; i++)
		total += q[i];
	if (total == 0)
		return below(u, n);
	int64_t target = below(u, total);
	for (int64_t i = 0; i < n; i++) {
		running += q[i];
		if (running > target)
			return i;
	}
	abort();
}

static void plus_plus(const struct model *m, uint64_t seed, uint32_t run, double *centroids)
{
	int64_t n = m->n, d = m->d;
	double *distances = allocate(n, sizeof(double));
	int64_t *q = allocate(n, sizeof(int64_t));
	int trials = 2 + (int)floor(log((double)m->k));
	uint64_t u = ref_draw(seed, 0, 0, run, 2);
	int64_t row = m->weighted ? pick(m->wq, n, u) : below(u, n);

	memcpy(centroids, m->x + row * d, (size_t)d * sizeof(double));
	for (int64_t i = 0; i < n; i++)
		distances[i] = ref_distance(m->x + i * d, centroids, d);
	for (int64_t k = 1; k < m->k; k++) {
		double largest = 0;
		for (int64_t i = 0; i < n; i++)
			largest = fmax(largest, m->w[i] * distances[i]);
		int g = grid(m, largest);
		for (int64_t i = 0; i < n; i++)
			q[i] = on_grid(m->w[i] * distances[i], g);
		int64_t best = -1, best_potential = 0;
		for (int t = 0; t < trials; t++) {
			int64_t candidate = pick(q, n, ref_draw(seed, (uint32_t)t, (uint32_t)k, run, 2));
			int64_t potential = 0;
			for (int64_t i = 0; i < n; i++) {
				double distance = ref_distance(m->x + i * d, m->x + candidate * d, d);
				potential += on_grid(m->w[i] * fmin(distances[i], distance), g);
			}
			if (best < 0 || potential < best_potential) {
				best = candidate;
				best_potential = potential;
			}
		}
		double *c = centroids + k * d;
		memcpy(c, m->x + best * d, (size_t)d * sizeof(double));
		for (int64_t i = 0; i < n; i++)
			distances[i] = fmin(distances[i], ref_distance(m->x + i * d, c, d));
	}
	free(distances);
	free(q);
}

static void given(const struct model *m, const double *from, double *centroids)
{
	memcpy(centroids, from, (size_t)(m->k * m->d) * sizeof(double));
	for (int64_t c = 0; c < m->k && m->cosine; c++) {
		double q = square_norm(centroids + c * m->d, m->d);
		if (!(fabs(q - 1) <= 1e-6))
			normalise(centroids + c * m->d, m->d, q);
	}
}

/* ---- whole calls ---- */

static void result_make(struct ref_result *r, int64_t n, int64_t k, int64_t d, int32_t max_iter)
{
	*r = (struct ref_result){.empty_cluster = -1};
	r->labels = allocate(n, sizeof(int32_t));
	r->centroids = allocate(k * d, sizeof(double));
	r->counts = allocate(k, sizeof(int64_t));
	r->order = allocate(n, sizeof(int64_t));
	r->offsets = allocate(k + 1, sizeof(int64_t));
	r->distances = allocate(n, sizeof(double));
	r->steps = allocate(max_iter, sizeof(struct ref_step));
	for (int64_t i = 0; i < n; i++)
		r->labels[i] = -1;
}

void ref_result_free(struct ref_result *r)
{
	free(r->labels);
	free(r->centroids);
	free(r->counts);
	free(r->order);
	free(r->offsets);
	free(r->distances);
	free(r->steps);
	*r = (struct ref_result){0};
}

static void round_to_f32(double *values, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		values[i] = (float)(values[i] > FLT_MAX ? FLT_MAX : values[i] < -FLT_MAX ? -FLT_MAX : values[i]);
}

static void count(const struct model *m, struct ref_result *r)
{
	int64_t position = 0;

	for (int64_t c = 0; c < m->k; c++) {
		r->offsets[c] = position;
		for (int64_t i = 0; i < m->n; i++)
			if (r->labels[i] == c)
				r->order[position++] = i;
		r->counts[c] = position - r->offsets[c];
	}
	r->offsets[m->k] = position;
}

/* Everything that follows from the final centroids. */
static void conclude(const struct model *m, struct ref_result *r)
{
	assign(m, r->centroids, r->labels);
	count(m, r);
	own_distances(m, r->centroids, r->labels, r->distances);
	r->inertia = inertia(m, r->centroids, r->distances);
}

static void fit_once(const struct model *m, const struct ref_options *o, uint32_t run, struct ref_result *r)
{
	result_make(r, m->n, m->k, m->d, o->max_iter);
	if (o->init == FKM_INIT_CENTROIDS)
		given(m, o->start, r->centroids);
	else if (o->init == FKM_INIT_RANDOM)
		random_rows(m, o->seed, run, r->centroids);
	else
		plus_plus(m, o->seed, run, r->centroids);

	r->threshold = o->stop == FKM_STOP_FIXED || o->tol == 0 ? 0
				   : o->stop == FKM_STOP_ABSOLUTE           ? o->tol
															: o->tol * mean_variance(m);
	r->reason = FKM_REASON_MAX_ITER;
	for (int32_t i = 1; i <= o->max_iter; i++) {
		struct ref_step *step = &r->steps[i - 1];
		step->changed = assign(m, r->centroids, r->labels);
		if (!update(m, r->labels, o->empty, r->centroids, step, &r->empty_cluster))
			return;
		r->relocated += step->relocated;
		r->n_iter = i;
		if (o->stop == FKM_STOP_FIXED) {
			r->reason = FKM_REASON_FIXED;
		} else if (step->changed == 0) {
			r->reason = FKM_REASON_UNCHANGED;
			break;
		} else if (step->shift <= r->threshold) {
			r->reason = FKM_REASON_SHIFT;
			break;
		}
	}
	if (o->centroids_dtype == FKM_F32)
		round_to_f32(r->centroids, m->k * m->d);
	conclude(m, r);
}

void ref_fit(const struct ref_problem *problem, const struct ref_options *options, struct ref_result *result)
{
	struct model m;
	int32_t runs = options->init == FKM_INIT_CENTROIDS ? 1 : options->n_init;

	model_make(&m, problem);
	fit_once(&m, options, 0, result);
	for (int32_t run = 1; run < runs && result->empty_cluster < 0; run++) {
		struct ref_result other;
		fit_once(&m, options, (uint32_t)run, &other);
		int64_t relocated = result->relocated + other.relocated;
		if (other.empty_cluster >= 0 || other.inertia < result->inertia) {
			struct ref_result worse = *result;
			*result = other;
			other = worse;
		}
		result->relocated = relocated;
		ref_result_free(&other);
	}
	model_free(&m);
}

void ref_predict(const struct ref_problem *problem, const double *centroids, struct ref_result *result)
{
	struct model m;

	model_make(&m, problem);
	result_make(result, m.n, m.k, m.d, 0);
	given(&m, centroids, result->centroids);
	conclude(&m, result);
	model_free(&m);
}

void ref_update(const struct ref_problem *problem, const int32_t *labels, const double *previous, enum fkm_empty empty,
				enum fkm_dtype centroids_dtype, struct ref_result *result)
{
	struct model m;
	struct ref_step step = {0};

	model_make(&m, problem);
	result_make(result, m.n, m.k, m.d, 0);
	memcpy(result->labels, labels, (size_t)m.n * sizeof(*labels));
	given(&m, previous, result->centroids);
	if (update(&m, labels, empty, result->centroids, &step, &result->empty_cluster)) {
		result->relocated = step.relocated;
		if (centroids_dtype == FKM_F32)
			round_to_f32(result->centroids, m.k * m.d);
		count(&m, result);
	}
	model_free(&m);
}

double ref_inertia(const struct ref_problem *problem, const double *centroids, const int32_t *labels)
{
	struct model m;
	double *c = allocate(problem->k * problem->d, sizeof(double));
	double *distances = allocate(problem->n, sizeof(double));

	model_make(&m, problem);
	given(&m, centroids, c);
	own_distances(&m, c, labels, distances);
	double total = inertia(&m, c, distances);
	model_free(&m);
	free(c);
	free(distances);
	return total;
}

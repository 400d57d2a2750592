/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- random numbers of the tests ---- */

uint64_t source_next(struct source *source) /* splitmix64 */
{
	uint64_t z = (source->state += 0x9E3779B97F4A7C15u);
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

int64_t source_below(struct source *source, int64_t m)
{
	return (int64_t)(source_next(source) % (uint64_t)m);
}

double source_unit(struct source *source)
{
	return ldexp((double)(source_next(source) >> 11), -53);
}

double source_normal(struct source *source)
{
	double u = 1 - source_unit(source), v = source_unit(source);

	return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* ---- storing values ---- */

size_t dtype_bytes(enum fkm_dtype dtype)
{
	return dtype == FKM_F64 ? 8 : dtype == FKM_F32 ? 4 : 2;
}

static uint16_t encode(double v, int fraction_bits, int least_exponent, double largest)
{
	uint16_t sign = signbit(v) ? 0x8000 : 0;
	double magnitude = fmin(fabs(v), largest);
	int exponent = magnitude == 0 ? least_exponent : ilogb(magnitude);

	if (exponent < least_exponent)
		exponent = least_exponent;
	int bits = (int)rint(ldexp(magnitude, fraction_bits - exponent));
	/* The implicit bit of a normal number carries into the exponent, which is therefore one less here. */
	return (uint16_t)(sign | (((exponent - least_exponent) << fraction_bits) + bits));
}

void store_value(void *data, enum fkm_dtype dtype, int64_t i, double v)
{
	const double f32_max = 0x1.fffffep127, bf16_max = 0x1.fep127;

	switch (dtype) {
	case FKM_F16:
		((uint16_t *)data)[i] = encode(v, 10, -14, 65504);
		break;
	case FKM_BF16:
		((uint16_t *)data)[i] = encode(v, 7, -126, bf16_max);
		break;
	case FKM_F32:
		((float *)data)[i] = (float)fmax(-f32_max, fmin(f32_max, v));
		break;
	case FKM_F64:
		((double *)data)[i] = v;
		break;
	}
}

static void store_nan(void *data, enum fkm_dtype dtype, int64_t i)
{
	if (dtype == FKM_F64)
		((double *)data)[i] = NAN;
	else if (dtype == FKM_F32)
		((float *)data)[i] = NAN;
	else
		((uint16_t *)data)[i] = dtype == FKM_F16 ? 0x7e00 : 0x7fc0;
}

/* ---- data ---- */

static double largest_value(enum fkm_dtype dtype)
{
	return dtype == FKM_F16 ? 60000 : 1e38;
}

static double smallest_value(enum fkm_dtype dtype)
{
	return dtype == FKM_F16 ? 0x1p-24 : dtype == FKM_BF16 ? 0x1p-133 : 0x1p-149;
}

static double extreme(struct source *source, enum fkm_dtype dtype)
{
	const double values[] = {0, 1, largest_value(dtype), 1.5 * largest_value(dtype) / 2, smallest_value(dtype), 1e-3};
	double v = values[source_below(source, 6)];

	return source_below(source, 2) ? -v : v;
}

/* Points of one problem, [n, d]. */
static void make_points(const struct spec *spec, struct source *source, double *x)
{
	int64_t n = spec->n, d = spec->d, centres = spec->k < 8 ? spec->k : 8;
	double *centre = malloc((size_t)(8 * d) * sizeof(double));

	if (!centre)
		abort();
	for (int64_t j = 0; j < 8 * d; j++)
		centre[j] = 5 * source_normal(source);
	for (int64_t i = 0; i < n; i++) {
		int64_t which = source_below(source, centres);
		double share = source_below(source, 2) ? 0.5 : source_unit(source);
		for (int64_t j = 0; j < d; j++) {
			double z = source_normal(source), v = z;
			switch (spec->data) {
			case DATA_BLOBS:
				v = centre[which * d + j] + 0.1 * z;
				break;
			case DATA_EQUAL:
				v = centre[j];
				break;
			case DATA_INTEGER:
				v = (double)source_below(source, 3) - 1;
				break;
			case DATA_DUPLICATES:
				v = centre[which / 2 * d + j];
				break;
			case DATA_OFFSET:
				v = 4096 + 0.03 * z;
				break;
			case DATA_HUGE:
				v = largest_value(spec->dtype) * (2 * source_unit(source) - 1);
				break;
			case DATA_TINY:
				v = smallest_value(spec->dtype) * (double)(source_below(source, 41) - 20);
				break;
			case DATA_OUTLIER:
				v = i == n / 2 ? largest_value(spec->dtype) / 16 : z;
				break;
			case DATA_SCALES:
				v = z * pow(10, (double)(j % 9) - 4);
				break;
			case DATA_EXTREMES:
				v = extreme(source, spec->dtype);
				break;
			case DATA_ZERO_ROWS:
				v = i % 3 == 0 ? 0 : z;
				break;
			case DATA_BISECTORS:
			case DATA_BISECTORS_OFFSET:
				v = i < 8 ? centre[i * d + j] : centre[j] * (1 - share) + centre[(1 + which % 7) * d + j] * share;
				if (spec->data == DATA_BISECTORS_OFFSET)
					v = 4096 + v / 64;
				break;
			case DATA_GAUSSIAN:
			case DATA_KINDS:
				break;
			}
			x[i * d + j] = v;
		}
	}
	free(centre);
}

static void make_weights(const struct spec *spec, struct source *source, double *w)
{
	for (int64_t i = 0; i < spec->n; i++) {
		double u = source_unit(source);
		switch (spec->weights) {
		case WEIGHTS_INTEGER:
			w[i] = (double)source_below(source, 4);
			break;
		case WEIGHTS_ZEROS:
			w[i] = source_below(source, 4) ? 0 : u;
			break;
		case WEIGHTS_WIDE:
			w[i] = ldexp(u, (int)source_below(source, 100) - 80);
			break;
		case WEIGHTS_LARGE:
			w[i] = ldexp(1 + u, 499);
			break;
		case WEIGHTS_SMALL:
			w[i] = ldexp(1 + u, -499);
			break;
		case WEIGHTS_UNIFORM:
		case WEIGHTS_NONE:
		case WEIGHTS_KINDS:
			w[i] = 0.1 + 3 * u;
			break;
		}
	}
	w[source_below(source, spec->n)] = spec->weights == WEIGHTS_LARGE   ? 0x1.8p499
									   : spec->weights == WEIGHTS_SMALL ? 0x1.8p-499
																		: 2;
}

static void make_start(const struct spec *spec, struct source *source, const double *x, double *c)
{
	int64_t d = spec->d;
	double scale = 0;

	for (int64_t i = 0; i < spec->n * d; i++)
		scale = fmax(scale, fabs(x[i]));
	for (int64_t k = 0; k < spec->k; k++) {
		int64_t corners = spec->n < 8 ? spec->n : 8; /* of DATA_BISECTORS */
		bool planes = spec->data == DATA_BISECTORS || spec->data == DATA_BISECTORS_OFFSET;
		int64_t from = planes ? k % corners : k * (spec->n / spec->k);
		const double *row = x + from * d;
		int64_t twin = source_below(source, k + 1);
		bool far = spec->start == START_FAR && k % 3 == 1, copy = spec->start == START_DUPLICATES && k % 2 && twin < k;
		for (int64_t j = 0; j < d; j++) {
			double v = row[j];
			if (spec->start == START_NOISE)
				v = scale * (2 * source_unit(source) - 1);
			else if (far)
				v = spec->start_dtype == FKM_F64 && spec->centroids_dtype == FKM_F64 && k % 2
						? 0x1p190
						: fmin(40 * scale + (double)k, 3e38) /* what f32 can hold */;
			else if (copy)
				v = c[twin * d + j];
			c[k * d + j] = v;
		}
	}
}

/* Copies values [batch, rows, dims] into a padded array of dtype that data owns. */
static void store_array(struct data *data, int which, struct fkm_array *array, const double *values,
						struct fkm_array shape, int64_t row_pad, int64_t batch_pad, int64_t offset)
{
	*array = shape;
	array->row_stride = shape.dims + row_pad;
	array->batch_stride = shape.rows * array->row_stride + batch_pad;
	int64_t count = offset + shape.batch * array->batch_stride;
	array->offset_bytes = offset * (int64_t)dtype_bytes(shape.dtype);
	size_t bytes = (size_t)count * dtype_bytes(shape.dtype);
	void *block = malloc(bytes), *copy = malloc(bytes);
	if (!block || !copy)
		abort();
	for (int64_t i = 0; i < count; i++)
		store_nan(block, shape.dtype, i);
	for (int64_t p = 0; p < shape.batch; p++)
		for (int64_t i = 0; i < shape.rows; i++)
			for (int64_t j = 0; j < shape.dims; j++)
				store_value(block, shape.dtype, offset + p * array->batch_stride + i * array->row_stride + j,
							values[(p * shape.rows + i) * shape.dims + j]);
	memcpy(copy, block, bytes);
	array->data = block;
	data->blocks[which] = block;
	data->copies[which] = copy;
	data->bytes[which] = bytes;
}

static double *doubles(int64_t count)
{
	double *values = calloc((size_t)count, sizeof(double));

	if (!values)
		abort();
	return values;
}

void data_make(const struct spec *spec, struct data *data)
{
	struct source source = {spec->seed};
	int64_t points = spec->n * spec->d, centroids = spec->k * spec->d;
	int64_t weights_batch = spec->weights_shared ? 1 : spec->b, start_batch = spec->start_shared ? 1 : spec->b;
	double *x = doubles(spec->b * points), *w = doubles(weights_batch * spec->n), *c = doubles(start_batch * centroids);

	*data = (struct data){0};
	for (int64_t p = 0; p < spec->b; p++)
		make_points(spec, &source, x + p * points);
	for (int64_t p = 0; p < weights_batch; p++)
		make_weights(spec, &source, w + p * spec->n);
	for (int64_t p = 0; p < start_batch; p++)
		make_start(spec, &source, x + p * points, c + p * centroids);

	store_array(data, 0, &data->points, x,
				(struct fkm_array){.dtype = spec->dtype, .batch = spec->b, .rows = spec->n, .dims = spec->d},
				spec->row_pad, spec->batch_pad, spec->offset);
	if (spec->weights != WEIGHTS_NONE)
		store_array(
			data, 1, &data->weights, w,
			(struct fkm_array){.dtype = spec->weights_dtype, .batch = weights_batch, .rows = spec->n, .dims = 1}, 0,
			spec->batch_pad, spec->offset);
	if (spec->init == FKM_INIT_CENTROIDS)
		store_array(
			data, 2, &data->start, c,
			(struct fkm_array){.dtype = spec->start_dtype, .batch = start_batch, .rows = spec->k, .dims = spec->d},
			spec->row_pad, spec->batch_pad, spec->offset);
	free(x);
	free(w);
	free(c);
}

void data_free(struct data *data)
{
	for (int i = 0; i < 3; i++) {
		free(data->blocks[i]);
		free(data->copies[i]);
	}
	*data = (struct data){0};
}

const char *data_changed(const struct data *data)
{
	static const char *const names[] = {"points", "weights", "init_centroids"};

	for (int i = 0; i < 3; i++)
		if (data->blocks[i] && memcmp(data->blocks[i], data->copies[i], data->bytes[i]) != 0)
			return names[i];
	return NULL;
}

static const void *at_problem(const struct fkm_array *array, int64_t p)
{
	int64_t elements = array->batch == 1 ? 0 : p * array->batch_stride;

	return (const char *)array->data + array->offset_bytes + elements * (int64_t)dtype_bytes(array->dtype);
}

void data_problem(const struct spec *spec, const struct data *data, int64_t p, struct ref_problem *problem)
{
	*problem = (struct ref_problem){
		.n = spec->n,
		.k = spec->k,
		.d = spec->d,
		.points = at_problem(&data->points, p),
		.dtype = spec->dtype,
		.row_stride = data->points.row_stride,
		.weights = data->weights.data ? at_problem(&data->weights, p) : NULL,
		.weights_dtype = spec->weights_dtype,
		.metric = spec->metric,
	};
}

void data_start(const struct spec *spec, const struct data *data, int64_t p, double *start)
{
	const void *from = at_problem(&data->start, p);

	for (int64_t k = 0; k < spec->k; k++)
		for (int64_t j = 0; j < spec->d; j++)
			start[k * spec->d + j] = ref_value(from, spec->start_dtype, k * data->start.row_stride + j);
}

/* ---- specs ---- */

static const struct spec plain = {
	.b = 1,
	.n = 100,
	.k = 5,
	.d = 8,
	.dtype = FKM_F32,
	.weights_dtype = FKM_F32,
	.init = FKM_INIT_CENTROIDS,
	.start_dtype = FKM_F64,
	.max_iter = 10,
	.tol = 1e-4,
	.n_init = 1,
	.centroids_dtype = FKM_F64,
};

static const int64_t sizes_d[] = {1, 2, 3, 7, 16, 17, 64, 100, 128, 257, 768, 1024};
static const enum fkm_dtype dtypes[] = {FKM_F32, FKM_F16, FKM_BF16};

enum { SIZES_D = 12, DTYPES = 3 };

/* Every dimension with every type, n and k varying along. */
static bool shapes(int64_t index, struct spec *spec)
{
	static const int64_t n[] = {1, 2, 15, 16, 17, 63, 65, 97, 129, 250, 33, 5},
						 k[] = {1, 2, 3, 16, 17, 33, 63, 8, 20, 5};

	if (index >= SIZES_D * DTYPES)
		return false;
	spec->d = sizes_d[index % SIZES_D];
	spec->dtype = dtypes[index / SIZES_D];
	spec->n = n[(index * 5 + 3) % 12];
	spec->k = k[(index * 7 + 1) % 10];
	if (spec->k > spec->n)
		spec->k = spec->n;
	spec->max_iter = 6;
	spec->core = index % 3 == 0;
	return true;
}

/* Ragged n around the edges of tiles; K = n; large K. */
static bool edges(int64_t index, struct spec *spec)
{
	static const int64_t list[][3] = {{1, 1, 1},     {2, 2, 3},     {7, 7, 5},     {31, 4, 9},    {32, 4, 9},
									  {33, 4, 9},    {64, 64, 16},  {127, 9, 17},  {128, 8, 16},  {255, 15, 33},
									  {256, 100, 7}, {257, 257, 2}, {511, 129, 3}, {1023, 65, 4}, {1025, 300, 2},
									  {4097, 3, 1},  {2049, 16, 3}, {700, 513, 5}};

	if (index >= (int64_t)(sizeof(list) / sizeof(*list)))
		return false;
	spec->n = list[index][0];
	spec->k = list[index][1];
	spec->d = list[index][2];
	spec->init = index % 2 ? FKM_INIT_RANDOM : FKM_INIT_CENTROIDS;
	spec->max_iter = 4;
	spec->core = index % 4 == 3;
	return true;
}

/* Every kind of data with every type and metric. */
static bool kinds(int64_t index, struct spec *spec)
{
	if (index >= DATA_KINDS * DTYPES * 4)
		return false;
	spec->data = (enum data_kind)(index % DATA_KINDS);
	index /= DATA_KINDS;
	spec->dtype = dtypes[index % DTYPES];
	index /= DTYPES;
	spec->metric = index % 2 ? FKM_METRIC_COSINE : FKM_METRIC_EUCLIDEAN;
	spec->weights = index / 2 ? WEIGHTS_UNIFORM : WEIGHTS_NONE;
	spec->n = 150;
	spec->k = 12;
	spec->d = index / 2 ? 19 : 6;
	spec->tol = 0;
	spec->init = index / 2 ? FKM_INIT_KMEANS_PLUS_PLUS : FKM_INIT_CENTROIDS;
	spec->core = index == 0;
	return true;
}

/* Every start, stop and empty rule, kind of weights and of start. */
static bool rules(int64_t index, struct spec *spec)
{
	if (index >= 2 * WEIGHTS_KINDS * START_KINDS * 3)
		return false;
	spec->metric = index % 2 ? FKM_METRIC_COSINE : FKM_METRIC_EUCLIDEAN;
	spec->weights = (enum weights_kind)(index / 2 % WEIGHTS_KINDS);
	spec->weights_dtype = index / 2 % 2 && spec->weights < WEIGHTS_WIDE ? FKM_F32 : FKM_F64;
	spec->start = (enum start_kind)(index / (2 * WEIGHTS_KINDS) % START_KINDS);
	spec->stop = (enum fkm_stop)(index / (2 * WEIGHTS_KINDS * START_KINDS));
	spec->empty = (enum fkm_empty)(index % 3);
	spec->start_dtype = index % 2 ? FKM_F32 : FKM_F64;
	spec->centroids_dtype = index / 3 % 2 ? FKM_F32 : FKM_F64;
	spec->data = index % 5 == 0 ? DATA_INTEGER : DATA_GAUSSIAN;
	spec->tol = index % 7 ? 1e-2 : 0;
	spec->n = 90;
	spec->k = 14;
	spec->d = 3;
	spec->core = index % 8 == 0;
	return true;
}

/* Seeding: both generators, weights, several starts, large seeds. */
static bool seeding(int64_t index, struct spec *spec)
{
	if (index >= 32)
		return false;
	spec->init = index % 2 ? FKM_INIT_RANDOM : FKM_INIT_KMEANS_PLUS_PLUS;
	spec->weights = (enum weights_kind)(index / 2 % 4);
	spec->weights_dtype = FKM_F64;
	spec->metric = index / 8 % 2 ? FKM_METRIC_COSINE : FKM_METRIC_EUCLIDEAN;
	spec->n_init = index / 16 ? 4 : 1;
	spec->data = index % 3 ? DATA_BLOBS : DATA_DUPLICATES;
	spec->n = 130;
	spec->k = index % 5 ? 9 : 130;
	spec->d = 4;
	spec->max_iter = index % 5 ? 20 : 2;
	spec->core = index % 8 < 2;
	return true;
}

/* Batches: strides, shared weights and starts. */
static bool batches(int64_t index, struct spec *spec)
{
	if (index >= 24)
		return false;
	spec->b = index < 20 ? 3 : 40;
	spec->n = index < 20 ? 67 : 9;
	spec->k = 4;
	spec->d = index % 3 ? 5 : 16;
	spec->dtype = dtypes[index % DTYPES];
	spec->row_pad = index % 4;
	spec->batch_pad = index % 5 ? 0 : 11;
	spec->offset = index % 3;
	spec->weights = index % 2 ? WEIGHTS_UNIFORM : WEIGHTS_NONE;
	spec->weights_shared = index / 2 % 2;
	spec->start_shared = index / 4 % 2;
	spec->start_dtype = index % 4 == 3 ? FKM_F16 : index % 4 == 2 ? FKM_BF16 : FKM_F32;
	spec->init = index % 6 == 5 ? FKM_INIT_KMEANS_PLUS_PLUS : FKM_INIT_CENTROIDS;
	spec->n_init = 3;
	spec->metric = index / 8 % 2 ? FKM_METRIC_COSINE : FKM_METRIC_EUCLIDEAN;
	spec->start = (enum start_kind)(index % START_KINDS);
	spec->max_iter = index % 7 ? 30 : 0;
	spec->core = index % 4 == 0;
	return true;
}

/* More clusters, longer rows and more rows than kernels keep at once. */
static bool limits(int64_t index, struct spec *spec)
{
	static const struct {
		int64_t n, k, d;
		enum fkm_dtype dtype;
	} list[] = {
		{4200, 4133, 2, FKM_F32}, {110, 6, 2081, FKM_F16}, {110, 5, 1040, FKM_F32},
		{90, 6, 2064, FKM_BF16},  {9001, 21, 24, FKM_F16}, {17003, 9, 17, FKM_BF16},
	};

	if (index >= (int64_t)(sizeof(list) / sizeof(*list)))
		return false;
	spec->n = list[index].n;
	spec->k = list[index].k;
	spec->d = list[index].d;
	spec->dtype = list[index].dtype;
	spec->max_iter = 4;
	return true;
}

bool spec_fixed(int64_t index, struct spec *spec)
{
	static bool (*const lists[])(int64_t, struct spec *) = {shapes, edges, kinds, rules, seeding, batches, limits};
	static const int64_t far_past = 1 << 20;
	int64_t first = 0;

	for (size_t list = 0; list < sizeof(lists) / sizeof(*lists); list++) {
		int64_t count = 0;
		struct spec probe;
		while (probe = plain, lists[list](count, &probe))
			count++;
		if (index < first + count) {
			*spec = plain;
			spec->seed = (uint64_t)(index + far_past);
			lists[list](index - first, spec);
			return true;
		}
		first += count;
	}
	return false;
}

void spec_random(uint64_t seed, int64_t index, struct spec *spec)
{
	struct source mix = {seed};
	struct source s = {source_next(&mix) + (uint64_t)index * 0xD1342543DE82EF95u};
	static const double tolerances[] = {0, 1e-4, 1e-2, 1};

	int64_t most = source_below(&s, 16) ? 40000 : 1000000; /* n * k * d of a case */
	*spec = plain;
	spec->seed = source_next(&s);
	spec->b = source_below(&s, 4) ? 1 : 1 + source_below(&s, 4);
	spec->d = source_below(&s, 3) ? 1 + source_below(&s, 40) : sizes_d[source_below(&s, SIZES_D)];
	spec->k = 1 + source_below(&s, source_below(&s, 4) ? 20 : 130);
	int64_t limit = most / (spec->k * spec->d * spec->b);
	spec->n = 1 + source_below(&s, limit < 4 ? 4 : limit > 3000 ? 3000 : limit);
	if (spec->n < spec->k)
		spec->n = spec->k;
	while (spec->n * spec->k * spec->d * spec->b > 4 * most && spec->k > 1) {
		spec->k = (spec->k + 1) / 2;
		spec->n = spec->n / 2 > spec->k ? spec->n / 2 : spec->k;
	}
	spec->dtype = dtypes[source_below(&s, DTYPES)];
	spec->data = (enum data_kind)source_below(&s, DATA_KINDS);
	spec->weights = source_below(&s, 2) ? (enum weights_kind)source_below(&s, WEIGHTS_KINDS) : WEIGHTS_NONE;
	spec->weights_dtype = source_below(&s, 2) && spec->weights < WEIGHTS_WIDE ? FKM_F32 : FKM_F64;
	spec->weights_shared = source_below(&s, 2);
	spec->metric = source_below(&s, 3) ? FKM_METRIC_EUCLIDEAN : FKM_METRIC_COSINE;
	spec->init = (enum fkm_init)source_below(&s, 3);
	spec->start = (enum start_kind)source_below(&s, START_KINDS);
	spec->start_dtype = (enum fkm_dtype)(1 + source_below(&s, 4));
	spec->start_shared = source_below(&s, 2);
	spec->stop = (enum fkm_stop)source_below(&s, 3);
	spec->tol = tolerances[source_below(&s, 4)];
	spec->max_iter = (int32_t)source_below(&s, 12);
	spec->empty = (enum fkm_empty)(source_below(&s, 5) % 3);
	spec->n_init = source_below(&s, 4) ? 1 : 3;
	spec->centroids_dtype = source_below(&s, 2) ? FKM_F32 : FKM_F64;
	spec->row_pad = source_below(&s, 3) ? 0 : source_below(&s, 9);
	spec->batch_pad = source_below(&s, 3) ? 0 : source_below(&s, 9);
	spec->offset = source_below(&s, 4) ? 0 : 1 + source_below(&s, 9);
	spec->threads_index = (int)source_below(&s, 3);
	spec->chunk_index = (int)source_below(&s, 4);
	spec->kernel_index = (int)source_below(&s, 1000);
}

void spec_print(const struct spec *s, char *line, size_t bytes)
{
	static const char *const type[] = {"?", "f16", "bf16", "f32", "f64"};
	static const char *const data[] = {"gaussian", "blobs",     "equal",     "integer",         "duplicates",
									   "offset",   "huge",      "tiny",      "outlier",         "scales",
									   "extremes", "zero-rows", "bisectors", "bisectors-offset"};
	static const char *const weights[] = {"none", "uniform", "integer", "zeros", "wide", "large", "small"};
	static const char *const start[] = {"rows", "noise", "far", "duplicates"};
	static const char *const init[] = {"k-means++", "random", "given"};
	static const char *const stop[] = {"relative", "absolute", "fixed"};
	static const char *const empty[] = {"relocate", "keep", "error"};

	snprintf(line, bytes,
			 "b=%lld n=%lld k=%lld d=%lld %s %s %s weights=%s/%s%s init=%s/%s/%s%s stop=%s tol=%g max_iter=%d empty=%s "
			 "n_init=%d centroids=%s pad=%lld/%lld+%lld seed=%llu",
			 (long long)s->b, (long long)s->n, (long long)s->k, (long long)s->d, type[s->dtype], data[s->data],
			 s->metric ? "cosine" : "euclidean", weights[s->weights], type[s->weights_dtype],
			 s->weights_shared ? "/shared" : "", init[s->init], start[s->start], type[s->start_dtype],
			 s->start_shared ? "/shared" : "", stop[s->stop], s->tol, s->max_iter, empty[s->empty], s->n_init,
			 type[s->centroids_dtype], (long long)s->row_pad, (long long)s->batch_pad, (long long)s->offset,
			 (unsigned long long)s->seed);
}

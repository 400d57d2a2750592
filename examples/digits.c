/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters images of handwritten digits into ten groups, tells how well the groups match the digits, and draws them.
 *
 *     digits data/digits.npy data/digits_labels.npy [PICTURE.svg]
 */
#include <flashkmeans/flashkmeans.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, INK = 16, DIGITS = 10, CLUSTERS = 10, SHOWN = 5 };

/* What a fit found, arrays over the images or the clusters. */
struct clustering {
	int64_t images;
	int32_t *labels;
	int64_t *order; /* the images of each cluster, nearest to its centroid first */
	double *distances;
	double centroids[CLUSTERS][PIXELS];
	int64_t counts[CLUSTERS];
	int64_t offsets[CLUSTERS + 1];
	double inertia;
	int32_t iterations;
	struct fkm_diagnosis diagnosis;
	char backend[16];
};

/* How the clusters match the true digits. */
struct match {
	int64_t confusion[CLUSTERS][DIGITS];
	int majority[CLUSTERS]; /* the digit most frequent in a cluster */
	int by_digit[CLUSTERS]; /* clusters ordered by majority, largest first among equals */
	int64_t agreeing;       /* images that are their cluster's majority */
};

/* Reads the bytes of a .npy file (version 1) of unsigned bytes with rows of the given width; NULL after a message. */
static unsigned char *read_bytes(const char *path, int64_t width, int64_t *rows)
{
	unsigned char preamble[10];
	char header[65536] = "";
	unsigned char *bytes = NULL;
	const char *shape = NULL, *problem = "not a version 1 .npy file of unsigned bytes, row-major";
	long long height = 0, columns = 1;

	FILE *file = fopen(path, "rb");
	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return NULL;
	}
	if (fread(preamble, 1, sizeof preamble, file) == sizeof preamble && !memcmp(preamble, "\x93NUMPY\x01\x00", 8)) {
		size_t length = preamble[8] + 256u * preamble[9];
		if (fread(header, 1, length, file) == length && strstr(header, "'|u1'") && strstr(header, "False"))
			shape = strstr(header, "'shape': (");
	}
	if (shape && sscanf(shape, "'shape': (%lld, %lld", &height, &columns) >= 1) {
		problem = "wrong shape";
		if (height > 0 && height <= 100000 && columns == width) {
			size_t size = (size_t)(height * width);
			problem = "truncated";
			bytes = malloc(size);
			if (bytes && fread(bytes, 1, size, file) != size) {
				free(bytes);
				bytes = NULL;
			}
		}
	}
	fclose(file);
	if (!bytes)
		fprintf(stderr, "%s: %s\n", path, problem);
	*rows = height;
	return bytes;
}

/* Sorts each cluster's part of the order by distance; by insertion, since there are few. */
static void sort_by_distance(struct clustering *found)
{
	const double *distances = found->distances;
	for (int k = 0; k < CLUSTERS; k++) {
		int64_t *members = found->order + found->offsets[k];
		for (int64_t m = 1; m < found->counts[k]; m++) {
			int64_t image = members[m], place = m;
			for (; place > 0 && distances[members[place - 1]] > distances[image]; place--)
				members[place] = members[place - 1];
			members[place] = image;
		}
	}
}

static bool cluster(const unsigned char *pixels, struct clustering *found)
{
	const int64_t n = found->images;
	float *points = malloc((size_t)n * PIXELS * sizeof *points);
	found->labels = malloc((size_t)n * sizeof *found->labels);
	found->order = malloc((size_t)n * sizeof *found->order);
	found->distances = malloc((size_t)n * sizeof *found->distances);
	if (!points || !found->labels || !found->order || !found->distances) {
		fprintf(stderr, "out of memory\n");
		free(points);
		return false;
	}
	for (int64_t i = 0; i < n * PIXELS; i++)
		points[i] = pixels[i];

	const struct fkm_array x = fkm_array_2d(points, FKM_F32, n, PIXELS);
	struct fkm_fit_params params;
	fkm_fit_params_init(&params);
	params.clusters = CLUSTERS;
	params.n_init = 10;

	struct fkm_fit_result result;
	fkm_fit_result_init(&result);
	result.labels = found->labels;
	result.centroids = found->centroids;
	result.counts = found->counts;
	result.order = found->order;
	result.offsets = found->offsets;
	result.distances = found->distances;
	result.inertia = &found->inertia;
	result.n_iter = &found->iterations;

	struct fkm_context *context;
	enum fkm_status status = fkm_context_create(NULL, &context);
	if (status == FKM_OK)
		status = fkm_fit(context, &x, &params, &result);
	if (status == FKM_OK) {
		sort_by_distance(found);
		found->diagnosis = result.diagnosis;
		snprintf(found->backend, sizeof found->backend, "%s", fkm_context_backend(context));
	} else {
		fprintf(stderr, "%s\n", fkm_error_message());
	}
	fkm_context_destroy(context);
	free(points);
	return status == FKM_OK;
}

static bool comes_before(const struct match *match, const struct clustering *found, int a, int b)
{
	if (match->majority[a] != match->majority[b])
		return match->majority[a] < match->majority[b];
	return found->counts[a] > found->counts[b];
}

static void compare(const struct clustering *found, const unsigned char *truth, struct match *match)
{
	memset(match, 0, sizeof *match);
	for (int64_t i = 0; i < found->images; i++)
		match->confusion[found->labels[i]][truth[i]]++;
	for (int k = 0; k < CLUSTERS; k++) {
		for (int digit = 1; digit < DIGITS; digit++)
			if (match->confusion[k][digit] > match->confusion[k][match->majority[k]])
				match->majority[k] = digit;
		match->agreeing += match->confusion[k][match->majority[k]];
		int place = k;
		for (; place > 0 && comes_before(match, found, k, match->by_digit[place - 1]); place--)
			match->by_digit[place] = match->by_digit[place - 1];
		match->by_digit[place] = k;
	}
}

static int percent(int64_t part, int64_t whole)
{
	return whole ? (int)lround(100.0 * (double)part / (double)whole) : 0;
}

static int purity(const struct clustering *found, const struct match *match, int k)
{
	return percent(match->confusion[k][match->majority[k]], found->counts[k]);
}

static void print_table(const struct clustering *found, const struct match *match)
{
	printf("  cluster images  mostly  purity  |  true digit:\n"
		   "                                  |   0   1   2   3   4   5   6   7   8   9\n"
		   "  --------------------------------+----------------------------------------\n");
	for (int place = 0; place < CLUSTERS; place++) {
		int k = match->by_digit[place];
		printf("  %7d %6lld  %6d  %4d %%  |", k, (long long)found->counts[k], match->majority[k],
			   purity(found, match, k));
		for (int digit = 0; digit < DIGITS; digit++) {
			if (match->confusion[k][digit])
				printf(" %3lld", (long long)match->confusion[k][digit]);
			else
				printf("   .");
		}
		printf("\n");
	}
	printf("\n  %lld of %lld images (%d %%) show their cluster's most common digit.\n"
		   "  Best of 10 starts: inertia %.6f after %d iterations on %s, kernel %s;\n"
		   "  %lld labels rechecked in double precision, %lld exact ties.\n\n",
		   (long long)match->agreeing, (long long)found->images, percent(match->agreeing, found->images),
		   found->inertia, found->iterations, found->backend, found->diagnosis.kernel,
		   (long long)found->diagnosis.rechecked, (long long)found->diagnosis.exact_ties);
}

/* The centroids in 80 columns of text, five in a row. */
static void print_centroids(const struct clustering *found, const struct match *match)
{
	static const char *const ascii[] = {" ", ".", ":", "+", "#"};
	static const char *const blocks[] = {" ", "\u2591", "\u2592", "\u2593", "\u2588"};
	setlocale(LC_CTYPE, "");
	const char *const *shades = strcmp(nl_langinfo(CODESET), "UTF-8") ? ascii : blocks;

	for (int first = 0; first < CLUSTERS; first += 5) {
		for (int y = 0; y < SIDE; y++) {
			for (int place = first; place < first + 5; place++) {
				const double *image = found->centroids[match->by_digit[place]];
				for (int x = 0; x < SIDE; x++) {
					const char *shade = shades[(int)lround(image[y * SIDE + x] * 4 / INK)];
					printf("%s%s", shade, shade);
				}
			}
			printf("\n");
		}
		for (int place = first; place < first + 5; place++) {
			int k = match->by_digit[place];
			printf("  %d: %3lld, %3d %%   ", match->majority[k], (long long)found->counts[k], purity(found, match, k));
		}
		printf("\n\n");
	}
}

/* ---- the picture ---------------------------------------------------------------------------------------------- */

/* Ink from the card's own colour through violet and orange to pale yellow. */
static void colour_of(double ink, int rgb[3])
{
	static const int stops[][3] = {{24, 26, 46}, {84, 32, 122}, {182, 54, 121}, {251, 136, 97}, {252, 246, 205}};
	double place = fmin(fmax(ink / INK, 0), 1) * 4;
	int stop = (int)fmin(place, 3);
	for (int c = 0; c < 3; c++)
		rgb[c] = (int)lround(stops[stop][c] + (place - stop) * (stops[stop + 1][c] - stops[stop][c]));
}

static void draw_pixel(FILE *svg, int x, int y, int size, double ink)
{
	int rgb[3];
	if (ink < 0.25)
		return;
	colour_of(ink, rgb);
	fprintf(svg, "<path fill=\"#%02x%02x%02x\" d=\"M%d %dh%dv%dh-%dz\"/>", rgb[0], rgb[1], rgb[2], x, y, size, size,
			size);
}

static void draw_strip(FILE *svg, const struct clustering *found, const unsigned char *pixels, int k, int x, int y,
					   bool farthest)
{
	for (int s = 0; s < SHOWN && s < found->counts[k]; s++) {
		int64_t image = found->order[found->offsets[k] + (farthest ? found->counts[k] - 1 - s : s)];
		for (int p = 0; p < PIXELS; p++)
			draw_pixel(svg, x + s * 26 + p % SIDE * 3, y + p / SIDE * 3, 3, pixels[image * PIXELS + p]);
	}
}

static void draw_card(FILE *svg, const struct clustering *found, const struct match *match, const unsigned char *pixels,
					  int k, int x, int y)
{
	fprintf(svg, "<rect class=\"card\" x=\"%d\" y=\"%d\" width=\"160\" height=\"300\" rx=\"10\"/>\n", x, y);
	x += 16;
	for (int p = 0; p < PIXELS; p++)
		draw_pixel(svg, x + p % SIDE * 16, y + 14 + p / SIDE * 16, 16, found->centroids[k][p]);
	fprintf(svg, "\n<text class=\"digit\" x=\"%d\" y=\"%d\">%d</text>", x, y + 176, match->majority[k]);
	fprintf(svg, "<text class=\"small\" x=\"%d\" y=\"%d\">%lld images</text>", x + 128, y + 162,
			(long long)found->counts[k]);
	fprintf(svg, "<text class=\"small\" x=\"%d\" y=\"%d\">%d %% are a %d</text>\n", x + 128, y + 176,
			purity(found, match, k), match->majority[k]);
	fprintf(svg, "<rect class=\"rest\" x=\"%d\" y=\"%d\" width=\"128\" height=\"4\"/>", x, y + 186);
	fprintf(svg, "<rect class=\"share\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"4\"/>\n", x, y + 186,
			1.28 * purity(found, match, k));
	fprintf(svg, "<text class=\"label\" x=\"%d\" y=\"%d\">nearest the centre</text>\n", x, y + 208);
	draw_strip(svg, found, pixels, k, x, y + 214, false);
	fprintf(svg, "\n<text class=\"label\" x=\"%d\" y=\"%d\">farthest from it</text>\n", x, y + 256);
	draw_strip(svg, found, pixels, k, x, y + 262, true);
	fprintf(svg, "\n");
}

static bool draw(const char *path, const struct clustering *found, const struct match *match,
				 const unsigned char *pixels)
{
	FILE *svg = fopen(path, "w");
	if (!svg) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	fprintf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"928\" height=\"764\" viewBox=\"0 0 928 764\">\n"
				 "<style>\n"
				 "text { font-family: Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; fill: #9a9cb8 }\n"
				 ".title { font-size: 24px; font-weight: 600; fill: #f4f4fb } .subtitle { font-size: 13px }\n"
				 ".digit { font-size: 30px; font-weight: 700; fill: #f4f4fb }\n"
				 ".small { font-size: 11px; text-anchor: end } .label { font-size: 10px; fill: #6d6f8c }\n"
				 ".card { fill: #181a2e } .rest { fill: #2b2d47 } .share { fill: #fb8861 }\n"
				 "path { shape-rendering: crispEdges }\n"
				 "</style>\n"
				 "<rect width=\"928\" height=\"764\" fill=\"#0e0f1c\"/>\n");
	fprintf(svg, "<text class=\"title\" x=\"32\" y=\"46\">%lld handwritten digits in %d clusters</text>\n",
			(long long)found->images, CLUSTERS);
	fprintf(svg,
			"<text class=\"subtitle\" x=\"32\" y=\"70\">The mean image of each cluster. k-means saw the pixels, not "
			"the digits; %d %% show the digit most common in their cluster. Inertia %.3f.</text>\n",
			percent(match->agreeing, found->images), found->inertia);
	for (int place = 0; place < CLUSTERS; place++)
		draw_card(svg, found, match, pixels, match->by_digit[place], 32 + place % 5 * 176, 92 + place / 5 * 316);
	fprintf(svg,
			"<text class=\"label\" x=\"32\" y=\"742\">Data: E. Alpaydin and C. Kaynak, Optical Recognition of "
			"Handwritten Digits, doi.org/10.24432/C50P49, CC BY 4.0. Clustered by flashkmeans %s.</text>\n</svg>\n",
			fkm_version());
	bool failed = ferror(svg) != 0;
	if (fclose(svg) || failed) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	printf("  The picture: %s\n", path);
	return true;
}

static bool labels_fit(const char *path, const unsigned char *truth, int64_t count, int64_t images)
{
	bool fit = count == images;
	for (int64_t i = 0; i < count; i++)
		fit = fit && truth[i] < DIGITS;
	if (!fit)
		fprintf(stderr, "%s: not %lld digits\n", path, (long long)images);
	return fit;
}

int main(int argc, char **argv)
{
	static struct clustering found;
	struct match match;
	int64_t truths = 0;
	bool done = false;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: %s DIGITS.npy LABELS.npy [PICTURE.svg]\n", argv[0]);
		return 2;
	}
	unsigned char *pixels = read_bytes(argv[1], PIXELS, &found.images);
	unsigned char *truth = read_bytes(argv[2], 1, &truths);
	if (pixels && truth && labels_fit(argv[2], truth, truths, found.images) && cluster(pixels, &found)) {
		compare(&found, truth, &match);
		print_centroids(&found, &match);
		print_table(&found, &match);
		done = argc < 4 || draw(argv[3], &found, &match, pixels);
	}
	free(found.labels);
	free(found.order);
	free(found.distances);
	free(pixels);
	free(truth);
	return done ? 0 : 1;
}

/* Renders a picture, or a region of it, band by band into a PPM file: no more than one band is in memory.
 *
 *     render photo.jpg 7680 4320 picture.ppm [SEED [Y0 X0 Y1 X1]]
 *
 * A file appears whole, under its name, or not at all: it is written beside it. A pipe or device is written to as it is.
 */
#include <errno.h>
#include <ourgan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROWS 256

/* Where the band lies in the picture, for a bar over all bands. */
struct bar {
    double before, part;
    int shown;
};

static int32_t show(double share, void *user) {
    struct bar *bar = user;
    int percent = (int)(100 * (bar->before + bar->part * share));
    if (percent > bar->shown) {
        fprintf(stderr, "\r%3d %%", percent);
        bar->shown = percent;
    }
    return 0; /* anything else cancels */
}

static int fail(void) {
    fprintf(stderr, "error: %s\n", ourgan_last_error());
    return 1;
}

/* Writes the region; returns 0 if all of it was written. */
static int write_region(ourgan_canvas *canvas, ourgan_box region, FILE *file) {
    const size_t row = 3 * (size_t)(region.x1 - region.x0);
    uint8_t *band = malloc(ROWS * row);
    struct bar bar = {0, 0, -1};
    int64_t y;
    if (band == NULL) return 1;
    fprintf(file, "P6\n%lld %lld\n255\n", (long long)(region.x1 - region.x0), (long long)(region.y1 - region.y0));
    for (y = region.y0; y < region.y1; y += ROWS) {
        ourgan_box part = region;
        part.y0 = y;
        part.y1 = y + ROWS < region.y1 ? y + ROWS : region.y1;
        bar.before = (double)(y - region.y0) / (double)(region.y1 - region.y0);
        bar.part = (double)(part.y1 - part.y0) / (double)(region.y1 - region.y0);
        if (ourgan_canvas_read(canvas, 0, part, OURGAN_RGB8, band, (ptrdiff_t)row, NULL, show, &bar) != OURGAN_OK) break;
        if (fwrite(band, row, (size_t)(part.y1 - part.y0), file) != (size_t)(part.y1 - part.y0)) break;
    }
    free(band);
    fprintf(stderr, "\n");
    return y < region.y1;
}

/* Numbers of digits alone; returns 0 if each of them was one. */
static int read_numbers(char **texts, int count, unsigned long long *numbers) {
    int i;
    for (i = 0; i < count; ++i) {
        char *end = texts[i];
        errno = 0;
        if (texts[i][0] >= '0' && texts[i][0] <= '9') numbers[i] = strtoull(texts[i], &end, 10);
        if (end == texts[i] || *end != '\0' || errno != 0) {
            fprintf(stderr, "error: expected a whole number from 0 on, got %s\n", texts[i]);
            return 1;
        }
    }
    return 0;
}

/* Writes the region into the file of that name; returns 0 if it did. */
static int write_file(ourgan_canvas *canvas, ourgan_box region, const char *name) {
    struct stat status;
    const int is_file = stat(name, &status) != 0 || S_ISREG(status.st_mode);
    char *part = malloc(strlen(name) + sizeof ".part");
    FILE *file;
    int failed;
    if (part == NULL) return 1;
    sprintf(part, "%s%s", name, is_file ? ".part" : "");
    file = fopen(part, "wb");
    failed = file == NULL;
    if (file != NULL) {
        failed = write_region(canvas, region, file);
        failed |= fclose(file) != 0;
        if (is_file && !failed) failed = rename(part, name) != 0;
        if (is_file && failed) remove(part);
    }
    free(part);
    return failed;
}

int main(int count, char **arguments) {
    ourgan_source *source = NULL;
    ourgan_canvas *canvas = NULL;
    ourgan_canvas_options options;
    ourgan_box region = {0, 0, 0, 0};
    unsigned long long size[2] = {0, 0}, seed = 0, sides[4] = {0, 0, 0, 0};
    int64_t width = 0, height = 0;
    int failed;
    if (count != 5 && count != 6 && count != 10) {
        fprintf(stderr, "usage: %s PHOTOGRAPH|BUNDLE WIDTH HEIGHT OUT.ppm [SEED [Y0 X0 Y1 X1]]\n", arguments[0]);
        return 2;
    }
    if (read_numbers(arguments + 2, 2, size) || read_numbers(arguments + 5, count > 5, &seed) ||
        read_numbers(arguments + 6, count > 6 ? 4 : 0, sides)) {
        return 2;
    }
    ourgan_canvas_options_init(&options);
    options.width = (int64_t)size[0];
    options.height = (int64_t)size[1];
    options.seed = seed;
    if (ourgan_open(arguments[1], NULL, &source) != OURGAN_OK) return fail();
    if (ourgan_canvas_new(source, &options, &canvas) != OURGAN_OK) {
        ourgan_source_free(source);
        return fail();
    }
    ourgan_source_free(source); /* the canvas keeps what it needs */
    ourgan_canvas_level_size(canvas, 0, &width, &height);
    region.y1 = height;
    region.x1 = width;
    if (count > 6) {
        region.y0 = (int64_t)sides[0];
        region.x0 = (int64_t)sides[1];
        region.y1 = (int64_t)sides[2];
        region.x1 = (int64_t)sides[3];
    }
    if (region.y0 < 0 || region.y0 >= region.y1 || region.y1 > height || region.x0 < 0 || region.x0 >= region.x1 ||
        region.x1 > width) {
        fprintf(stderr, "error: expected a region within %lld x %lld (h x w) that is not empty\n", (long long)height,
                (long long)width);
        ourgan_canvas_free(canvas);
        return 2;
    }
    failed = write_file(canvas, region, arguments[4]);
    ourgan_canvas_free(canvas);
    if (failed) return ourgan_last_status() != OURGAN_OK ? fail() : (perror(arguments[4]), 1);
    return 0;
}

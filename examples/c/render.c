/* Renders a picture, or a region of it, band by band into a PPM file: no more than one band is in memory.
 *
 *     render photo.jpg 7680 4320 picture.ppm [SEED [Y0 X0 Y1 X1]]
 */
#include <ourgan.h>
#include <stdio.h>
#include <stdlib.h>

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

int main(int count, char **arguments) {
    ourgan_source *source = NULL;
    ourgan_canvas *canvas = NULL;
    ourgan_canvas_options options;
    ourgan_box region = {0, 0, 0, 0};
    FILE *file;
    int failed;
    if (count != 5 && count != 6 && count != 10) {
        fprintf(stderr, "usage: %s PHOTOGRAPH|BUNDLE WIDTH HEIGHT OUT.ppm [SEED [Y0 X0 Y1 X1]]\n", arguments[0]);
        return 2;
    }
    ourgan_canvas_options_init(&options);
    options.width = strtoll(arguments[2], NULL, 10);
    options.height = strtoll(arguments[3], NULL, 10);
    if (count > 5) options.seed = strtoull(arguments[5], NULL, 10);
    region.y1 = options.height;
    region.x1 = options.width;
    if (count > 6) {
        region.y0 = strtoll(arguments[6], NULL, 10);
        region.x0 = strtoll(arguments[7], NULL, 10);
        region.y1 = strtoll(arguments[8], NULL, 10);
        region.x1 = strtoll(arguments[9], NULL, 10);
        if (region.y0 >= region.y1 || region.x0 >= region.x1) {
            fprintf(stderr, "error: expected a region that is not empty\n");
            return 2;
        }
    }
    if (ourgan_open(arguments[1], NULL, &source) != OURGAN_OK) return fail();
    if (ourgan_canvas_new(source, &options, &canvas) != OURGAN_OK) {
        ourgan_source_free(source);
        return fail();
    }
    ourgan_source_free(source); /* the canvas keeps what it needs */
    file = fopen(arguments[4], "wb");
    if (file == NULL) {
        perror(arguments[4]);
        ourgan_canvas_free(canvas);
        return 1;
    }
    failed = write_region(canvas, region, file);
    failed |= fclose(file) != 0;
    ourgan_canvas_free(canvas);
    if (failed) {
        remove(arguments[4]);
        return ourgan_last_status() != OURGAN_OK ? fail() : (perror(arguments[4]), 1);
    }
    return 0;
}

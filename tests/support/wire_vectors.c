/* wire_vectors.c - the samples of every message for other programs.
 * SPDX-License-Identifier: MPL-2.0
 * wire_vectors print          one line a sample: its name, its decoder, its bytes as hex
 * wire_vectors echo           for each such line on stdin: what C reads, written again, or the
 *                             refusal after "refused"
 * wire_vectors seeds FOLDER   one file a sample for the fuzzer: the decoder's number, the bytes */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/wire_samples.h"

enum { LINE_MAX = 64 * 1024, BYTES_MAX = LINE_MAX / 2 };

static const char *const decoders[FW_ANY_COUNT] = {
    "PublisherUp", "PublisherDown", "WorkerUp",    "WorkerDown",   "GatewayUp", "GatewayDown",
    "Delivery",    "Beacon",        "Publication", "DeliveryNote", "Purged",
};

static void print_line(const char *name, int decoder, fw_bytes_t bytes)
{
    printf("%s %s ", name, decoders[decoder]);
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
    putchar('\n');
}

static int print_samples(fw_codec_t *codec)
{
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    for (size_t i = 0; i < count; i++)
        print_line(samples[i].name, samples[i].any.decoder, fw_any_encode(codec, &samples[i].any));
    return EXIT_SUCCESS;
}

static int decoder_of(const char *name)
{
    for (int i = 0; i < FW_ANY_COUNT; i++)
        if (strcmp(decoders[i], name) == 0)
            return i;
    return -1;
}

/* The number of bytes, or -1 when it is not hex. */
static long read_hex(const char *hex, uint8_t bytes[BYTES_MAX])
{
    size_t digits = strlen(hex);
    if (digits % 2 || digits / 2 > BYTES_MAX)
        return -1;
    for (size_t i = 0; i < digits / 2; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0}, *end;
        bytes[i] = (uint8_t)strtoul(pair, &end, 16);
        if (*end)
            return -1;
    }
    return (long)(digits / 2);
}

static int echo_lines(fw_codec_t *codec)
{
    static char line[LINE_MAX];
    static uint8_t bytes[BYTES_MAX];
    while (fgets(line, sizeof line, stdin)) {
        char *name = line, *rest = line;
        (void)strsep(&rest, " ");
        char *decoder_name = strsep(&rest, " ");
        char *hex = strsep(&rest, "\n");
        int decoder = decoder_name ? decoder_of(decoder_name) : -1;
        long size = hex ? read_hex(hex, bytes) : -1;
        fw_any_t any;
        fw_refusal_t refusal;
        if (decoder < 0 || size < 0)
            return EXIT_FAILURE;
        if (fw_any_decode(codec, decoder, (fw_bytes_t){bytes, (size_t)size}, &any, &refusal) == 0)
            print_line(name, decoder, fw_any_encode(codec, &any));
        else
            printf("%s refused %s %s\n", name, refusal.field, refusal.reason);
    }
    return EXIT_SUCCESS;
}

static int write_seeds(fw_codec_t *codec, const char *folder)
{
    size_t count;
    const fw_sample_t *samples = fw_wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        char path[512];
        fw_bytes_t bytes = fw_any_encode(codec, &samples[i].any);
        (void)snprintf(path, sizeof path, "%s/%s", folder, samples[i].name);
        FILE *file = fopen(path, "wb");
        if (!file)
            return EXIT_FAILURE;
        (void)fputc(samples[i].any.decoder, file);
        (void)fwrite(bytes.data, 1, bytes.size, file);
        if (fclose(file) != 0)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    fw_codec_t *codec = fw_codec_new();
    int result = EXIT_FAILURE;
    if (argc == 2 && strcmp(argv[1], "print") == 0)
        result = print_samples(codec);
    else if (argc == 2 && strcmp(argv[1], "echo") == 0)
        result = echo_lines(codec);
    else if (argc == 3 && strcmp(argv[1], "seeds") == 0)
        result = write_seeds(codec, argv[2]);
    else
        (void)fprintf(stderr, "usage: wire_vectors print | echo | seeds FOLDER\n");
    fw_codec_destroy(&codec);
    return result;
}

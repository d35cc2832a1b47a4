/* event_line.c - a released event as one line for people or programs.   SPDX-License-Identifier:
 * MPL-2.0 */
#include "cli/event_line.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/event_json.h"
#include "runtime/alloc.h"

#define RESET "\033[0m"

/* Line ends become spaces; other control characters, also those of two bytes (U+0080 to U+009F),
 * question marks. */
static void print_safely(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool c1 = c == 0xc2 && i + 1 < size && (unsigned char)text[i + 1] < 0xa0;
        if (c == '\n' || c == '\r' || c == '\t') {
            (void)fputc(' ', out);
        } else if (c < 0x20 || c == 0x7f || c1) {
            (void)fputc('?', out);
            i += c1;
        } else {
            (void)fputc(c, out);
        }
    }
}

static void print_json(FILE *out, const fw_delivery_t *delivery,
                       const fw_publication_t *publication)
{
    fw_json_t measure = {.buffer = NULL};
    fw_event_json(&measure, delivery, publication);
    fw_json_t json = {.buffer = fw_alloc(measure.needed + 1, 1), .size = measure.needed};
    fw_event_json(&json, delivery, publication);
    /* A JSON payload may hold line ends between its tokens, and only there. */
    for (size_t i = 0; i < json.needed; i++) {
        bool ends = json.buffer[i] == '\n' || json.buffer[i] == '\r';
        if (ends)
            json.buffer[i] = ' ';
    }
    (void)fwrite(json.buffer, 1, json.needed, out);
    (void)fputc('\n', out);
    free(json.buffer);
}

static void print_data(FILE *out, const fw_payload_t *data)
{
    size_t size = fw_codec_payload_json(data, NULL, 0);
    char *text = fw_alloc(size + 1, 1);
    (void)fw_codec_payload_json(data, text, size);
    print_safely(out, text, size);
    free(text);
}

static void print_extra(FILE *out, const char *name, fw_text_t text)
{
    if (text.size > 0) {
        (void)fprintf(out, " %s=", name);
        print_safely(out, text.text, text.size);
    }
}

static void print_clock(FILE *out, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local;
    char clock[16] = "--:--:--";
    if (localtime_r(&seconds, &local)) {
        (void)strftime(clock, sizeof clock, "%H:%M:%S", &local);
    }
    (void)fprintf(out, "%s.%03d", clock, (int)(wall_ms % 1000));
}

static void print_text(FILE *out, bool colour, const fw_delivery_t *delivery,
                       const fw_publication_t *publication)
{
    fw_text_t type = publication->type.size > 0 ? publication->type : publication->data.type;
    (void)fputs(colour ? "\033[2m" : "", out);
    print_clock(out, publication->ts);
    (void)fputs(colour ? RESET " \033[36m" : " ", out);
    print_safely(out, delivery->channel.text, delivery->channel.size);
    (void)fprintf(out, "%s #%" PRIu64 " %s", colour ? RESET : "", delivery->position.offset,
                  colour ? "\033[1m" : "");
    print_safely(out, type.text, type.size);
    (void)fputs(colour ? RESET " " : " ", out);
    print_data(out, &publication->data);
    (void)fputs(colour ? "\033[2m" : "", out);
    if (delivery->fresh > 0) {
        (void)fprintf(out, " fresh=%" PRIu64, delivery->fresh);
    }
    print_extra(out, "origin", publication->origin);
    print_extra(out, "user_id", publication->user_id);
    print_extra(out, "id", publication->id);
    (void)fputs(colour ? RESET : "", out);
    if (delivery->unconfirmed) {
        (void)fputs(colour ? " \033[31munconfirmed" RESET : " unconfirmed", out);
    }
    (void)fputc('\n', out);
}

void fw_event_line_print(FILE *out, fw_event_line_style_t style, const fw_delivery_t *delivery,
                         const fw_publication_t *publication)
{
    if (style == FW_EVENT_LINE_JSON) {
        print_json(out, delivery, publication);
    } else {
        print_text(out, style == FW_EVENT_LINE_COLOUR, delivery, publication);
    }
}

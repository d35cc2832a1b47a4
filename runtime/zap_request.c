/* zap_request.c - see zap_request.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/zap_request.h"

#include <errno.h>

#include <zmq.h>

enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY };

_Static_assert(KEY + 1 == FW_ZAP_FRAMES_MAX, "a frame has no place");

static bool is_text(fw_bytes_t frame, const char *text)
{
    return fw_bytes_equal(frame, (fw_bytes_t){(const uint8_t *)text, strlen(text)});
}

/* It goes to the log. */
static void copy_printable(fw_bytes_t frame, char *text, size_t size)
{
    size_t length = frame.size < size - 1 ? frame.size : size - 1;
    for (size_t i = 0; i < length; i++) {
        bool printable = frame.data[i] > ' ' && frame.data[i] < 0x7f;
        text[i] = (char)(printable ? frame.data[i] : (uint8_t)'?');
    }
    text[length] = '\0';
}

static const char *find_fault(const fw_bytes_t *frames, size_t count, fw_domain_t *ret_domain)
{
    if (count != FW_ZAP_FRAMES_MAX)
        return "is not seven frames";
    for (size_t i = 0; i < count; i++)
        if (frames[i].size > FW_ZAP_FRAME_SIZE_MAX)
            return "has a frame of more than 255 bytes";
    if (!is_text(frames[VERSION], "1.0"))
        return "is not of version 1.0";
    if (!is_text(frames[MECHANISM], "CURVE"))
        return "is not about CURVE";
    if (frames[KEY].size != FW_KEY_BYTES)
        return "has a key that is not 32 bytes";
    fw_text_t domain = {(const char *)frames[DOMAIN].data, frames[DOMAIN].size};
    return fw_domain_find(domain, ret_domain) ? NULL : "names a domain that is no door";
}

int fw_zap_request_parse(const fw_bytes_t *frames, size_t count, fw_zap_request_t *ret_request,
                         const char **ret_reason)
{
    *ret_request = (fw_zap_request_t){.domain = FW_DOMAINS};
    if (count > REQUEST_ID && frames[REQUEST_ID].size <= FW_ZAP_FRAME_SIZE_MAX)
        ret_request->request_id = frames[REQUEST_ID];
    const char *fault = find_fault(frames, count, &ret_request->domain);
    if (fault) {
        *ret_reason = fault;
        return -EBADMSG;
    }
    copy_printable(frames[ADDRESS], ret_request->address, sizeof ret_request->address);
    (void)zmq_z85_encode(ret_request->key, frames[KEY].data, FW_KEY_BYTES);
    return 0;
}

fw_zap_answer_t fw_zap_answer(const fw_zap_request_t *request, fw_verdict_t verdict)
{
    switch (verdict) {
    case FW_VERDICT_ADMITTED:
        return (fw_zap_answer_t){"200", "OK", request->key};
    case FW_VERDICT_UNKNOWN_KEY:
        return (fw_zap_answer_t){"300", "unknown key", ""};
    case FW_VERDICT_WRONG_ROLE:
        return (fw_zap_answer_t){"300", "wrong role", ""};
    case FW_VERDICTS:
        break;
    }
    return fw_zap_answer_malformed();
}

fw_zap_answer_t fw_zap_answer_malformed(void)
{
    return (fw_zap_answer_t){"500", "malformed request", ""};
}

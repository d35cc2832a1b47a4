/* fetch.c - see fetch.h.   SPDX-License-Identifier: MPL-2.0 */
#include "runtime/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/alloc.h"

typedef struct {
    fw_fetch_reply_t *reply;
    size_t capacity;
    size_t bytes_max;
    bool too_big;
} answer_t;

static void prepare_once(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

void fw_fetch_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, prepare_once);
}

static size_t on_body(char *bytes, size_t one, size_t size, void *context)
{
    answer_t *self = context;
    (void)one;
    if (size > self->bytes_max - self->reply->size) {
        self->too_big = true;
        return 0;
    }
    if (self->reply->size + size + 1 > self->capacity) {
        self->capacity = 2 * (self->reply->size + size + 1);
        self->reply->body = fw_realloc(self->reply->body, self->capacity, 1);
    }
    memcpy(self->reply->body + self->reply->size, bytes, size);
    self->reply->size += size;
    self->reply->body[self->reply->size] = 0;
    return size;
}

/* The header's value when it has that name and fits. */
static bool take_header(fw_text_t line, const char *name, char value[FW_FETCH_TEXT_SIZE])
{
    size_t size = strlen(name);
    if (line.size <= size || line.text[size] != ':' || strncasecmp(line.text, name, size) != 0)
        return false;
    const char *start = line.text + size + 1;
    const char *end = line.text + line.size;
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && strchr(" \t\r\n", end[-1]))
        end--;
    size_t length = (size_t)(end - start);
    if (length >= FW_FETCH_TEXT_SIZE)
        length = 0;
    memcpy(value, start, length);
    value[length] = 0;
    return true;
}

static int64_t max_age_of(const char *value)
{
    if (strcasestr(value, "no-store") || strcasestr(value, "no-cache"))
        return 0;
    const char *age = strcasestr(value, "max-age=");
    if (!age)
        return -1;
    long long seconds = strtoll(age + strlen("max-age="), NULL, 10);
    if (seconds < 0)
        return 0;
    return seconds < FW_FETCH_MAX_AGE_S_MAX ? seconds : FW_FETCH_MAX_AGE_S_MAX;
}

static size_t on_header(char *bytes, size_t one, size_t size, void *context)
{
    answer_t *self = context;
    char value[FW_FETCH_TEXT_SIZE];
    fw_text_t line = {bytes, size};
    (void)one;
    if (take_header(line, "Cache-Control", value))
        self->reply->max_age_s = max_age_of(value);
    else if (!take_header(line, "ETag", self->reply->etag) &&
             !take_header(line, "Content-Type", self->reply->content_type))
        (void)take_header(line, "X-Cache", self->reply->cache);
    return size;
}

static bool is_http(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static int error_of(CURLcode code, const answer_t *answer)
{
    if (answer->too_big)
        return -EMSGSIZE;
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_URL_MALFORMAT:
        return -EINVAL;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    default:
        return -EPROTO;
    }
}

/* "https://host:port", without user, path and query. */
static void say_where(const char *url, char *text, size_t size)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);
    if (at) {
        length -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    (void)snprintf(text, size, "%.*s", (int)(length < 100 ? length : 100), host);
}

/* One with a line break would be two. */
static bool has_bad_header(const fw_fetch_request_t *request)
{
    for (size_t i = 0; i < request->headers_count; i++)
        if (strpbrk(request->headers[i], "\r\n"))
            return true;
    return false;
}

static struct curl_slist *add_headers(const fw_fetch_request_t *request)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < request->headers_count; i++) {
        list = curl_slist_append(list, request->headers[i]);
    }
    return list;
}

static void configure(CURL *curl, const fw_fetch_request_t *request, struct curl_slist *headers,
                      answer_t *answer)
{
    int64_t limit_ms = request->timeout_ms;
    if (limit_ms <= 0 || limit_ms > FW_FETCH_TIMEOUT_MS_MAX)
        limit_ms = FW_FETCH_TIMEOUT_MS_MAX;
    (void)curl_easy_setopt(curl, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)limit_ms);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "freshwire");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
    if (request->body.size > 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
    }
    if (request->method)
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->ca_file && *request->ca_file)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
}

int fw_fetch(const fw_fetch_request_t *request, fw_fetch_reply_t *ret_reply, char *ret_reason,
             size_t reason_size)
{
    char where[128];
    *ret_reply = (fw_fetch_reply_t){.max_age_s = -1};
    say_where(request->url, where, sizeof where);
    if (!is_http(request->url)) {
        (void)snprintf(ret_reason, reason_size, "%s: begin with http:// or https://", where);
        return -EINVAL;
    }
    if (has_bad_header(request)) {
        (void)snprintf(ret_reason, reason_size, "%s: a header holds a line break", where);
        return -EINVAL;
    }
    fw_fetch_prepare();
    CURL *curl = curl_easy_init();
    if (!curl) {
        (void)snprintf(ret_reason, reason_size, "%s: libcurl does not start", where);
        return -ENOMEM;
    }
    struct curl_slist *headers = add_headers(request);
    answer_t answer = {.reply = ret_reply, .bytes_max = request->reply_bytes_max};
    configure(curl, request, headers, &answer);
    CURLcode code = curl_easy_perform(curl);
    int result = code == CURLE_OK ? 0 : error_of(code, &answer);
    if (result == 0) {
        long status = 0;
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        ret_reply->status = (int)status;
        result = status > 0 ? 0 : -EPROTO;
    }
    if (result == -EMSGSIZE)
        (void)snprintf(ret_reason, reason_size, "%s: the answer is larger than %zu bytes", where,
                       request->reply_bytes_max);
    else if (result < 0)
        (void)snprintf(ret_reason, reason_size, "%s: %s", where, curl_easy_strerror(code));
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return result;
}

void fw_fetch_reply_clear(fw_fetch_reply_t *self)
{
    free(self->body);
    *self = (fw_fetch_reply_t){.max_age_s = -1};
}

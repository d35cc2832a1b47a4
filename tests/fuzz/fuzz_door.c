/* fuzz_door.c - any bytes as what comes before and in a handshake.   SPDX-License-Identifier:
 * MPL-2.0
 * The first byte chooses what they are: a PROXY header of either version, or the texts of an HTTP
 * request, which the zero bytes in it divide. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/proxy_protocol.h"
#include "gateway/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Reads as much as may be read; what follows must stay. */
static void read_header(fw_proxy_protocol_t version, const uint8_t *data, size_t size)
{
    fw_address_t address = {{0}};
    size_t have = 0, more = 0;
    int result = 0;
    while ((result = fw_proxy_protocol_decode(version, data, have, &address, &more)) == -EAGAIN) {
        require(more > 0 && have + more <= FW_PROXY_HEADER_SIZE_MAX);
        if (more > size - have)
            return;
        have += more;
    }
    require(result == 0 || result == -EBADMSG);
    if (result != 0)
        return;
    char text[FW_ADDRESS_TEXT_SIZE];
    fw_address_t again;
    fw_address_print(&address, text);
    require(fw_address_parse(fw_text(text), &again) == 0);
    require(memcmp(&again, &address, sizeof again) == 0);
    /* With less it is not complete. */
    for (size_t i = 0; i < have; i++)
        require(fw_proxy_protocol_decode(version, data, i, &address, &more) == -EAGAIN);
}

static void read_addresses(fw_text_t text)
{
    static const fw_address_t peer = {{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}};
    fw_address_range_t trusted[2];
    require(fw_address_range_parse(FW_TEXT("10.0.0.0/8"), &trusted[0]) == 0);
    size_t count = fw_address_range_parse(text, &trusted[1]) == 0 ? 2 : 1;
    if (count == 2)
        require(fw_address_in(&trusted[1].address, &trusted[1], 1) && trusted[1].bits <= 128);
    fw_address_t client = fw_address_forwarded(&peer, text, trusted, count);
    require(fw_address_known(&client) || count == 2 || text.size > 0);
    fw_address_t network = fw_address_client(&client);
    fw_address_t again = fw_address_client(&network);
    require(memcmp(&network, &again, sizeof again) == 0);
    (void)fw_address_private(&client);
}

static void read_request(fw_text_t text)
{
    static const char *const origins[] = {"https://app.example"};
    char first[FW_SUBPROTOCOL_SIZE_MAX + 1];
    fw_text_t value;
    fw_route_t route = fw_route_parse(FW_TEXT("/api"), text);
    require(route.room.size <= text.size);
    fw_subprotocol_t chosen = fw_route_subprotocol(text, first);
    require(strlen(first) <= FW_SUBPROTOCOL_SIZE_MAX);
    require((chosen == FW_SUBPROTOCOL_NONE) == (text.size == 0));
    require(fw_route_bearer(text).size <= text.size);
    if (fw_route_argument(text, "token", &value))
        require(value.size + sizeof "token=" - 1 == text.size);
    if (fw_route_origin_allowed(origins, 1, text))
        require(text.size == 0 || text.size == strlen(origins[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 4 < 2) {
        read_header(data[0] % 4 == 0 ? FW_PROXY_V1 : FW_PROXY_V2, data + 1, size - 1);
        return 0;
    }
    char *texts = malloc(size);
    require(texts != NULL);
    memcpy(texts, data + 1, size - 1);
    texts[size - 1] = '\0';
    for (size_t i = 0; i < size; i += strlen(texts + i) + 1) {
        read_addresses(fw_text(texts + i));
        read_request(fw_text(texts + i));
    }
    free(texts);
    return 0;
}

/* blob.c - see blob.h.   SPDX-License-Identifier: MPL-2.0 */
#include "broker/blob.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/alloc.h"

struct fw_blob {
    size_t holders;
    size_t size;
    uint8_t bytes[];
};

fw_blob_t *fw_blob_new(fw_bytes_t bytes)
{
    fw_blob_t *self = fw_realloc(NULL, 1, sizeof *self + bytes.size);
    self->holders = 1;
    self->size = bytes.size;
    if (bytes.size > 0)
        memcpy(self->bytes, bytes.data, bytes.size);
    return self;
}

fw_blob_t *fw_blob_hold(fw_blob_t *self)
{
    self->holders++;
    return self;
}

void fw_blob_release(fw_blob_t **self_p)
{
    fw_blob_t *self = *self_p;
    if (!self)
        return;
    assert(self->holders > 0);
    if (--self->holders == 0)
        free(self);
    *self_p = NULL;
}

fw_bytes_t fw_blob_bytes(const fw_blob_t *self)
{
    return (fw_bytes_t){self->bytes, self->size};
}

/* token.h - makes tokens for tests.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include <stddef.h>

#include "proto/bytes.h"

#define TEST_SECRET "a secret that is at least thirty-two bytes long"

/* Writes base64url without padding and a closing 0; returns its length. */
size_t make_base64url(const void *data, size_t size, char *out);
/* "<header>.<claims>.<HS256 over both>" of two JSON texts. The caller frees it. */
char *make_token(const char *secret, const char *header, const char *claims);
/* With the usual header and secret. */
char *make_good_token(const char *claims);

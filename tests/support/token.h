/* token.h - makes tokens for tests.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "proto/bytes.h"

#define TEST_SECRET "a secret that is at least thirty-two bytes long"

/* "<header>.<claims>.<HS256 over both>" of two JSON texts. The caller frees it. */
char *make_token(const char *secret, const char *header, const char *claims);
/* With the usual header and secret. */
char *make_good_token(const char *claims);

/* test_token.h - a signed token for one user.   SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* HS256 with claims sub and exp (an hour); ends the program on failure. The caller frees it with
 * r_free. */
char *fw_test_token(const char *secret, const char *user);

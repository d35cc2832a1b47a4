/* test_token.c - see test_token.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/test_token.h"

#include <rhonabwy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"

char *fw_test_token(const char *secret, const char *user)
{
    jwt_t *jwt = NULL;
    rhn_int_t expires = (rhn_int_t)(fw_clock_wall_ms() / 1000 + 3600);
    if (r_jwt_init(&jwt) != RHN_OK || r_jwt_set_sign_alg(jwt, R_JWA_ALG_HS256) != RHN_OK ||
        r_jwt_add_sign_key_symmetric(jwt, (const unsigned char *)secret, strlen(secret)) !=
            RHN_OK ||
        r_jwt_set_claim_str_value(jwt, "sub", user) != RHN_OK ||
        r_jwt_set_claim_int_value(jwt, "exp", expires) != RHN_OK) {
        fprintf(stderr, "cannot make a token\n");
        exit(1);
    }
    char *token = r_jwt_serialize_signed(jwt, NULL, 0);
    r_jwt_free(jwt);
    return token;
}

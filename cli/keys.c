/* keys.c - freshwire keys: makes the keys of the broker's links, and of who signs tokens.
 * SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "cli/command.h"
#include "cli/secret_file.h"
#include "cli/signing_key.h"
#include "runtime/keyring.h"
#include "runtime/log.h"

typedef struct {
    char public_key[FW_KEY_SIZE + 1];
    char secret_key[FW_KEY_SIZE + 1];
} pair_t;

/* A line of at most a key's size; the rest must be blank. 0 or -EINVAL. */
static int read_secret(FILE *in, char secret[FW_KEY_SIZE + 1])
{
    char line[2 * FW_KEY_SIZE] = "";
    size_t size = fread(line, 1, sizeof line - 1, in);
    while (size > 0 && strchr(" \t\r\n", line[size - 1]))
        line[--size] = '\0';
    int result = size == FW_KEY_SIZE && fw_key_is_valid(line) ? 0 : -EINVAL;
    if (result == 0)
        memcpy(secret, line, FW_KEY_SIZE + 1);
    explicit_bzero(line, sizeof line);
    return result;
}

static fw_exit_t derive(void)
{
    pair_t pair = {.public_key = ""};
    if (read_secret(stdin, pair.secret_key) != 0) {
        fw_complain("for example: freshwire keys --public < broker.key",
                    "standard input does not hold one secret key of 40 characters");
        return FW_EXIT_USAGE;
    }
    int result = zmq_curve_public(pair.public_key, pair.secret_key);
    explicit_bzero(pair.secret_key, sizeof pair.secret_key);
    if (result != 0) {
        fw_complain(NULL, "ZeroMQ was built without CURVE");
        return FW_EXIT_FAILURE;
    }
    (void)puts(pair.public_key);
    return FW_EXIT_OK;
}

static int write_secret(const char *path, const char *secret)
{
    char line[FW_KEY_SIZE + 2];
    (void)snprintf(line, sizeof line, "%s\n", secret);
    int result = fw_secret_file_write(path, line, strlen(line));
    explicit_bzero(line, sizeof line);
    return result;
}

/* What goes where, as YAML: the first part is the owner's, the second everybody else's. */
static void explain(const pair_t *pair, const char *role, const char *name, const char *path)
{
    bool broker = strcmp(role, "broker") == 0;
    if (path) {
        (void)printf("# For %s itself, in its environment:\n"
                     "# FRESHWIRE_SECURITY_SECRET_KEY_FILE=%s\n---\n",
                     name, path);
    } else {
        (void)printf("# For %s itself. Keep it secret; --output PATH writes a file instead.\n"
                     "security:\n  secret_key: \"%s\"\n---\n",
                     name, pair->secret_key);
    }
    if (broker) {
        (void)printf("# For everybody who connects to the broker. It is no secret.\n"
                     "security:\n  server_keys:\n    - \"%s\"\n",
                     pair->public_key);
    } else {
        (void)printf("# For the broker, which lets it in. It is no secret.\n"
                     "security:\n  peers:\n    - \"name=%s role=%s key=%s\"\n",
                     name, role, pair->public_key);
    }
}

static fw_exit_t complain_of_file(const char *path, int result)
{
    fw_complain(result == -EEXIST ? "move it away first: it may be a key in use" : NULL,
                "cannot write %s: %s", path, fw_log_error_text(result));
    return FW_EXIT_FAILURE;
}

static fw_exit_t make(const char *role, const char *name, const char *path)
{
    pair_t pair;
    fw_exit_t status = FW_EXIT_OK;
    if (zmq_curve_keypair(pair.public_key, pair.secret_key) != 0) {
        fw_complain(NULL, "ZeroMQ was built without CURVE");
        return FW_EXIT_FAILURE;
    }
    int result = path ? write_secret(path, pair.secret_key) : 0;
    if (result == 0) {
        explain(&pair, role, name, path);
    } else {
        status = complain_of_file(path, result);
    }
    explicit_bzero(&pair, sizeof pair);
    return status;
}

/* A key pair for who signs browser tokens: the private one into the file, the public one out. */
static fw_exit_t make_token_key(const char *algorithm, const char *key_id, const char *path)
{
    char *pem = NULL;
    char *set = NULL;
    if (!path) {
        fw_complain("for example: freshwire keys --token ES256 --output signing.pem > keys.json",
                    "--output is missing: where the private key is written");
        return FW_EXIT_USAGE;
    }
    int result = fw_signing_key_make(algorithm, key_id, &pem, &set);
    if (result == -EINVAL) {
        fw_complain(NULL, "--token must be RS256, ES256 or EdDSA");
        return FW_EXIT_USAGE;
    }
    fw_exit_t status = FW_EXIT_OK;
    if (result == 0)
        result = fw_secret_file_write(path, pem, strlen(pem));
    if (result == 0)
        (void)puts(set);
    else
        status = complain_of_file(path, result);
    if (pem)
        explicit_bzero(pem, strlen(pem));
    free(pem);
    free(set);
    return status;
}

/* A rule that the broker would refuse is not printed. */
static bool is_peer(const char *role, const char *name)
{
    char rule[256];
    fw_keyring_t *keyring = NULL;
    fw_config_error_t error;
    int size = snprintf(rule, sizeof rule, "name=%s role=%s key=%040d", name, role, 0);
    if (size < 0 || (size_t)size >= sizeof rule || strpbrk(name, " \t") || strpbrk(role, " \t"))
        return false;
    const char *const rules[] = {rule};
    if (fw_keyring_new("keys", rules, 1, &keyring, &error) != 0)
        return false;
    fw_keyring_destroy(&keyring);
    return true;
}

fw_exit_t fw_keys_command(const fw_call_t *call)
{
    const char *role = fw_arguments_text(call->arguments, "role");
    const char *name = fw_arguments_text(call->arguments, "name");
    if (fw_arguments_flag(call->arguments, "public"))
        return derive();
    const char *token = fw_arguments_text(call->arguments, "token");
    if (token)
        return make_token_key(token, name ? name : "1",
                              fw_arguments_text(call->arguments, "output"));
    if (!role) {
        fw_complain("for example: freshwire keys --role broker --output broker.key",
                    "--role is missing: broker, publisher, worker, gateway or auditor");
        return FW_EXIT_USAGE;
    }
    if (!name)
        name = role;
    if (strcmp(role, "broker") != 0 && !is_peer(role, name)) {
        fw_complain(
            "see 'freshwire help keys'",
            "--role must be broker, publisher, worker, gateway or auditor, and --name 1 to 64 "
            "letters, digits, '.', '_', '-', '/' or '@'");
        return FW_EXIT_USAGE;
    }
    return make(role, name, fw_arguments_text(call->arguments, "output"));
}

/* store_contract.h - what every engine of the store must do.   SPDX-License-Identifier: MPL-2.0
 * Include <cmocka.h> first. An engine's test makes a store with these answers and runs every case.
 */
#pragma once

#include "broker/store.h"

typedef struct {
    fw_store_t *store;
    size_t appended, committed;
} store_contract_t;

/* Makes an engine that keeps at most 8 events a channel. */
typedef fw_store_t *store_contract_make_fn(const fw_store_answers_t *answers);

/* Runs the suite; returns the number of failed tests. */
int store_contract_run(store_contract_make_fn *make);

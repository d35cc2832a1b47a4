// SPDX-License-Identifier: MPL-2.0

export {
  createSyncQueryClient,
  syncOrigin,
  syncRetry,
  syncRetryDelay,
  type SyncQueryClientConfig,
} from "./client.js";
export { syncInvalidate, type SyncInvalidateOptions } from "./fence.js";
export { HttpError, syncFetch, type SyncFetchContext } from "./fetch.js";

// SPDX-License-Identifier: MPL-2.0
// What a close code means. Classes are ranges, so that an old client understands a new code.

export type CloseClass =
  /** Connect again, with full jitter. */
  | "reconnect"
  /** The server is full: connect again, but not soon. */
  | "wait"
  /** The token was refused or has expired: get another one, then connect again. */
  | "token"
  /** Connecting again would end the same way: stop. */
  | "final";

export function classifyClose(code: number): CloseClass {
  if (code >= 4000 && code < 4100) return "reconnect";
  if (code >= 4100 && code < 4200) return "token";
  if ((code >= 4200 && code < 4300) || code === 1013) return "wait";
  if ([1000, 1001, 1005, 1006, 1011, 1012].includes(code)) return "reconnect";
  return "final";
}

/** Why a connection ended or could not be made. `code` is the close code, or 0 when there was none. */
export class SyncError extends Error {
  override readonly name: string = "SyncError";

  constructor(
    message: string,
    readonly code = 0,
    readonly channel?: string,
    /** The same request may succeed later. */
    readonly temporary = false,
  ) {
    super(message);
  }
}

/** Throw this from `getToken` when there is no user any more: the client stops instead of trying again. */
export class UnauthorizedError extends SyncError {
  override readonly name = "UnauthorizedError";

  constructor(message = "no token") {
    super(message, 4101);
  }
}

// SPDX-License-Identifier: MPL-2.0
// When a live connection needs another token, and what has become of asking for it. Pure.

/** Limits, milliseconds. */
const EARLY_MS = 60_000;
const RETRY_MS = 5_000;
const ANSWER_MS = 15_000;
const FAR_MS = 2_000_000_000;

export class Renewal {
  /** When there is something to do: ask for a token, or stop waiting for an answer. */
  due = Infinity;
  /** An answer of getToken is awaited. */
  asking = false;
  /** Names the fw.refresh that is under way. */
  request: string | undefined;
  /** The token that it carries. */
  token: string | undefined;

  /** Nothing is known, nothing is under way: a connection began or ended. */
  clear(): void {
    this.due = Infinity;
    this.asking = false;
    this.request = undefined;
    this.token = undefined;
  }

  /**
   * A token is in use that expires so much later. Another one is asked for a tenth of that before,
   * at most a minute or two, and not by all tabs at once.
   */
  begin(expiresInMs: number | undefined, now: number, random: () => number): void {
    this.clear();
    if (expiresInMs === undefined) return;
    const early = Math.min(EARLY_MS, expiresInMs / 10) * (1 + random());
    this.due = now + Math.min(FAR_MS, Math.max(0, expiresInMs - early));
  }

  /** A token was asked for, or sent as this request: no answer in time is a failure. */
  wait(now: number, request?: string, token?: string): void {
    this.due = now + ANSWER_MS;
    this.asking = request === undefined;
    this.request = request;
    this.token = token;
  }

  /** It did not work: asked again after a while, as long as the server keeps the connection. */
  retry(now: number): void {
    this.clear();
    this.due = now + RETRY_MS;
  }
}

/**
 * How long a JSON Web Token is good from its making on, milliseconds; undefined when it does not
 * say. Not from now on: the clock of this machine may be wrong. The server has the last word.
 */
export function lifetimeOf(token: string | undefined): number | undefined {
  try {
    const part = token?.split(".")[1];
    if (!part) return undefined;
    const text = atob(part.replace(/-/g, "+").replace(/_/g, "/"));
    const { exp, iat } = JSON.parse(text) as { exp?: unknown; iat?: unknown };
    if (typeof exp !== "number" || typeof iat !== "number" || !(exp > iat)) return undefined;
    return (exp - iat) * 1_000;
  } catch {
    return undefined;
  }
}

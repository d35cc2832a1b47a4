// SPDX-License-Identifier: MPL-2.0
// Listeners by name. A listener that throws is reported and never keeps the others from hearing.

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();
  readonly #report: (error: unknown, name: keyof Events) => void;

  constructor(report: (error: unknown, name: keyof Events) => void) {
    this.#report = report;
  }

  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, (set = new Set()));
    // Wrapped, so that the same function registered twice is two registrations.
    const own = (value: Events[Name]) => listener(value);
    set.add(own);
    return () => {
      set.delete(own);
    };
  }

  /** False when nobody listens. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): boolean {
    const set = this.#listeners.get(name);
    if (!set?.size) return false;
    for (const listener of [...set] as ((value: Events[Name]) => void)[]) {
      try {
        const result: unknown = listener(value);
        if (result instanceof Promise) {
          result.catch((error: unknown) => this.#report(error, name));
        }
      } catch (error) {
        this.#report(error, name);
      }
    }
    return true;
  }
}

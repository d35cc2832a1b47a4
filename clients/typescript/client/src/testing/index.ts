// SPDX-License-Identifier: MPL-2.0
// For tests of applications and of this package: a clock and a gateway in memory.

export { createFakeClock, type FakeClock } from "./clock.js";
export {
  createFakeServer,
  type FakeServer,
  type FakeServerOptions,
  type FakeSession,
} from "./server.js";

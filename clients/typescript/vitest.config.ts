// SPDX-License-Identifier: MPL-2.0
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Tests run against the sources; that the built packages resolve is a test of its own.
export default defineConfig({
  root: here("../.."),
  resolve: {
    alias: [
      { find: "@freshwire/client/testing", replacement: here("client/src/testing/index.ts") },
      { find: "@freshwire/client", replacement: here("client/src/index.ts") },
      { find: "@freshwire/react/query", replacement: here("react/src/query/index.ts") },
      { find: "@freshwire/react", replacement: here("react/src/index.ts") },
    ],
  },
  test: {
    include: [
      "clients/typescript/*/test/**/*.test.{ts,tsx}",
      "examples/projects/web/test/**/*.test.ts",
    ],
    reporters: ["default", "json"],
    outputFile: { json: here("../../build/reports/vitest.json") },
    testTimeout: 20_000,
    pool: "forks",
    poolOptions: { forks: { maxForks: 2 } },
  },
});

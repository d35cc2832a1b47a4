// SPDX-License-Identifier: MPL-2.0
// The packages as an application gets them: built, resolved by their exports, and small.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

beforeAll(() => {
  execFileSync("npm", ["run", "--silent", "build:packages"], { cwd: root });
}, 120_000);

/** Minified and compressed, without what the application has anyway. */
function bundledBytes(entry: string): number {
  const { outputFiles } = buildSync({
    stdin: { contents: `export * from "${entry}"`, resolveDir: `${root}clients/typescript/react` },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    external: ["react", "react/jsx-runtime", "@tanstack/react-query"].concat(
      entry.startsWith("@freshwire/react") ? ["@freshwire/client"] : [],
    ),
  });
  return gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length;
}

describe("bytes in the browser, gzipped", () => {
  // "@freshwire/react" includes what it uses of "./query", which is why its limit is the sum.
  it.each([
    ["@freshwire/client", 7_700],
    ["@freshwire/react/query", 1_700],
    ["@freshwire/react", 2_500 + 1_700],
  ])("%s stays below %i", (entry, limit) => {
    const bytes = bundledBytes(entry);
    console.log(`${entry}: ${bytes} bytes of ${limit}`);
    expect(bytes).toBeGreaterThan(500);
    expect(bytes).toBeLessThanOrEqual(limit);
  });
});

it("resolves in Node by its exports, and touches nothing global at import", () => {
  const script = `
    const before = Object.getOwnPropertyNames(globalThis).length;
    for (const name of ["client", "client/testing", "react", "react/query"]) {
      const found = await import("@freshwire/" + name);
      if (Object.keys(found).length === 0) throw new Error(name + " exports nothing");
    }
    if (Object.getOwnPropertyNames(globalThis).length !== before) throw new Error("a new global");
    console.log("resolved");
  `;
  const said = execFileSync("node", ["--input-type=module", "--eval", script], { cwd: root });
  expect(String(said)).toBe("resolved\n");
});

it("marks the hooks for React's server components, and leaves ./query usable there", () => {
  const read = (path: string) =>
    readFileSync(`${root}clients/typescript/react/dist/${path}`, "utf8");
  expect(read("index.js").startsWith('"use client";')).toBe(true);
  expect(read("query/index.js")).not.toContain("use client");
});

it("locks every package without the name of a registry, for Node 18 and later", () => {
  const lock = JSON.parse(readFileSync(`${root}package-lock.json`, "utf8")) as {
    packages: Record<string, { resolved?: string; link?: boolean; engines?: { node?: string } }>;
  };
  for (const [name, entry] of Object.entries(lock.packages)) {
    if (!entry.link) expect(entry.resolved, name).toBeUndefined();
    const node = entry.engines?.node ?? "*";
    const least = node.split("||").map((range) => Number(/(\d+)/.exec(range)?.[1] ?? 0));
    expect(Math.min(...least), `${name} needs node ${node}`).toBeLessThanOrEqual(18);
  }
});

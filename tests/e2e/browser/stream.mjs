// SPDX-License-Identifier: MPL-2.0
// EventSource in a real Chromium: opens a stream of the gateway and prints every event as one JSON line, until it is
// ended. Arguments: the gateway's address, a token.

import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [gateway, token] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
  ],
});
process.on("SIGTERM", () => void browser.close().then(() => process.exit(0)));
const page = await browser.newPage();
await page.exposeFunction("tell", (line) => process.stdout.write(line + "\n"));
// A page of another origin, as most applications are.
const server = createServer((_, response) => response.end("<title>stream</title>"));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.evaluate(
  ([address, secret]) => {
    const source = new EventSource(`${address}/sse/room/1?token=${encodeURIComponent(secret)}`);
    for (const type of ["fw.welcome", "fw.reset", "fw.close", "ticked"])
      source.addEventListener(type, (event) => window.tell(event.data));
  },
  [gateway, token],
);

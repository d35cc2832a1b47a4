// SPDX-License-Identifier: MPL-2.0
// One real Chromium whose tokens live for seconds. Reads {gateway, websocket, secret, publish_key, ttl_s, seconds, source} as
// JSON from the environment's TOKEN_TEST, prints one JSON line per scenario: {name, events, expected, sockets, reasons, gaps}.

import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const test = JSON.parse(process.env.TOKEN_TEST);
const encode = (data) => Buffer.from(data).toString("base64url");

/** Signed here; the page only carries it. */
function sign(user, { iat }) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    sub: user,
    exp: now + test.ttl_s,
    jti: String(Math.random()),
    ...(iat ? { iat: now } : {}),
  };
  const text = [{ alg: "HS256" }, claims].map((part) => encode(JSON.stringify(part))).join(".");
  return `${text}.${createHmac("sha256", test.secret).update(text).digest("base64url")}`;
}

async function publish(channel, number) {
  const answer = await fetch(`${test.gateway}/v1/events`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${test.publish_key}` },
    body: JSON.stringify({ type: "counted", data: { number }, audience: [channel] }),
  });
  if (answer.status !== 200) throw new Error(`publishing answered ${answer.status}`);
}

const bundle = await build({
  entryPoints: [test.source],
  bundle: true,
  format: "iife",
  globalName: "freshwire",
  write: false,
  target: "es2022",
});
// A page of its own address: what has none may not speak to this machine.
const pages = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<p>"));
await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});

/** Publishes for a while, a number every 50 ms, and tells what the page heard of it. */
async function scenario(name, user, nextToken) {
  const page = await browser.newPage();
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  await page.exposeFunction("nextToken", nextToken);
  await page.addScriptTag({ content: bundle.outputFiles[0].text });
  await page.evaluate((url) => {
    window.seen = { numbers: [], reasons: [], gaps: [], errors: [], states: [] };
    const client = window.freshwire.createSyncClient({
      url,
      reconnect: { baseMs: 200, capMs: 500 },
      getToken: ({ reason }) => {
        window.seen.reasons.push(reason);
        return window.nextToken(reason);
      },
    });
    client.subscribe("room:counting", (event) => window.seen.numbers.push(event.data.number));
    client.on("gap", (gap) => window.seen.gaps.push(gap.reason));
    client.on("error", (error) => window.seen.errors.push(String(error)));
    client.on("status", ({ state }) => window.seen.states.push(state));
    window.client = client;
    client.connect();
  }, `${test.websocket}/ws`);
  await page
    .waitForFunction(() => window.client.positions().some((at) => at.channel === "room:counting"))
    .catch(async (error) => {
      throw new Error(`${error}: ${JSON.stringify(await page.evaluate(() => window.seen))}`);
    });
  const end = Date.now() + test.seconds * 1000;
  let expected = 0;
  while (Date.now() < end) {
    await publish("room:counting", ++expected);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await page
    .waitForFunction((last) => window.seen.numbers.at(-1) === last, expected, { timeout: 20_000 })
    .catch(() => {});
  const seen = await page.evaluate(() => window.seen);
  process.stdout.write(JSON.stringify({ name, expected, sockets: sockets.length, ...seen }) + "\n");
  await page.close();
}

await scenario("renewed before", "u1", () => sign("u1", { iat: true }));
await scenario("renewed when told", "u2", () => sign("u2", { iat: false }));
// The page has no other token until the connection is closed.
let given = sign("u3", { iat: false });
await scenario("renewed too late", "u3", (reason) => {
  if (reason !== "refresh") given = sign("u3", { iat: false });
  return given;
});
await browser.close();
pages.close();

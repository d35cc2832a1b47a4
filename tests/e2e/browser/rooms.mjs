// SPDX-License-Identifier: MPL-2.0
// Two users in one room, each on a gateway of their own, in a real Chromium. Reads {gateways, tokens, grace_ms} as JSON
// from the environment's ROOMS_TEST, prints one JSON line per scenario: {name, ok, detail}. What it is told to do beside
// the browser it asks for with a line {ask} and waits for a line on stdin.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const test = JSON.parse(process.env.ROOMS_TEST);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const ask = async (what) => {
  say({ ask: what });
  return (await answers.next()).value;
};

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("rooms-page.jsx", import.meta.url))],
  bundle: true,
  write: false,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  nodePaths: [fileURLToPath(new URL("../../../node_modules", import.meta.url))],
  define: { "process.env.NODE_ENV": '"production"' },
});
const site = createServer((request, response) => {
  const script = request.url === "/page.js";
  response.setHeader("content-type", script ? "text/javascript" : "text/html");
  response.end(
    script
      ? outputFiles[0].text
      : '<!doctype html><title>room</title><div id="root"></div><script type="module" src="/page.js"></script>',
  );
}).listen(0, "127.0.0.1");
await new Promise((resolve) => site.once("listening", resolve));
const origin = `http://127.0.0.1:${site.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
  ],
});
const errors = [];

async function open(user, gateway) {
  const page = await (await browser.newContext()).newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  const query = new URLSearchParams({
    gateway: test.gateways[gateway],
    token: test.tokens[user],
    room: "1",
  });
  await page.goto(`${origin}/?${query}`);
  await shows(page, "state", "live");
  return page;
}

/** Until an element of the page has this text. */
function shows(page, id, text, timeout = 30_000) {
  return page.waitForFunction(
    ([id, text]) => document.querySelector(`[data-testid=${id}]`)?.textContent === text,
    [id, text],
    { polling: 20, timeout },
  );
}

const moves = (page) =>
  page.evaluate(() => globalThis.moves.filter((move) => !move.endsWith("ada")));

async function scenario(name, run) {
  try {
    await run();
    say({ name, ok: true, detail: "" });
  } catch (error) {
    say({ name, ok: false, detail: String(error?.stack ?? error) });
  }
}

function equal(actual, expected) {
  if (JSON.stringify(actual) !== JSON.stringify(expected))
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

let ada;
let bob;

await scenario("two_users_see_each_other_join", async () => {
  ada = await open("ada", 0);
  await shows(ada, "members", "ada:1");
  bob = await open("bob", 1);
  await shows(ada, "members", "ada:1 bob:1");
  await shows(bob, "members", "ada:1 bob:1");
  equal(await moves(ada), ["+bob"]);
});

await scenario("typing_shows_on_the_other_screen", async () => {
  await bob.getByTestId("text").focus();
  await shows(ada, "typing", "bob");
  await bob.getByTestId("text").blur();
  await shows(ada, "typing", "");
});

await scenario("a_reload_is_not_seen", async () => {
  for (let turn = 0; turn < 3; turn += 1) {
    await bob.reload();
    await shows(bob, "members", "ada:1 bob:1");
  }
  await shows(ada, "members", "ada:1 bob:1");
  equal(await moves(ada), ["+bob"]);
});

await scenario("another_tab_is_the_same_user", async () => {
  const second = await open("bob", 0);
  await shows(ada, "members", "ada:1 bob:2");
  await second.close();
  await shows(ada, "members", "ada:1 bob:1");
  equal(await moves(ada), ["+bob"]);
});

await scenario("a_closed_tab_has_left_after_the_grace", async () => {
  await bob.close();
  await shows(ada, "members", "ada:1");
  equal(await moves(ada), ["+bob", "-bob"]);
});

await scenario("users_of_a_killed_gateway_leave_after_the_grace", async () => {
  bob = await open("bob", 1);
  await shows(ada, "members", "ada:1 bob:1");
  await ask("kill gateway");
  await shows(bob, "state", "reconnecting");
  equal(await moves(ada), ["+bob", "-bob", "+bob"]);
  await shows(ada, "members", "ada:1");
  equal(await moves(ada), ["+bob", "-bob", "+bob", "-bob"]);
});

await scenario("no_page_error", async () => equal(errors, []));

await browser.close();
site.close();
process.exit(0); // the line reader would keep it

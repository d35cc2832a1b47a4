// SPDX-License-Identifier: MPL-2.0
// Two people, three tabs, one real Chromium. Reads {url, gateway, screenshots, mutations} as JSON from the environment's
// SYNC_TEST, prints one JSON line per scenario: {name, ok, detail, figures}. What it is told to do beside the browser
// (kill the gateway …) it asks for with a line {ask} and waits for a line on stdin.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const test = JSON.parse(process.env.SYNC_TEST);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const ask = async (what) => {
  say({ ask: what });
  return (await answers.next()).value;
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Tabs in the background must be as quick as the one in front: each stands for a person who looks at it.
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
  ],
});

/** Every answer of the API to a tab: what it read, from where, and when the request began. */
function record(page) {
  const reads = [];
  page.on("response", async (response) => {
    const path = new URL(response.url()).pathname;
    if (path !== "/api/projects" || response.request().method() !== "GET") return;
    try {
      const projects = await response.json();
      reads.push({
        startedAt: response.request().timing().startTime,
        cache: response.headers()["x-cache"],
        fresh: response.request().headers()["x-freshwire-fresh"],
        versions: Object.fromEntries(projects.map((each) => [each.id, each.version])),
      });
    } catch {
      // The page went on and no longer wanted the body.
    }
  });
  return reads;
}

async function open(context, user) {
  const page = await context.newPage();
  const reads = record(page);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`${test.url}/?user=${user}`);
  await live(page);
  return { page, reads, errors };
}

const by = (page, id) => page.getByTestId(id);
const live = (page) => page.waitForFunction(() => /live|connected/i.test(document.querySelector("[data-testid=connection-state]")?.textContent ?? ""));

const ada = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const grace = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "dark" });
const a = await open(ada, "u1");
const b1 = await open(grace, "u2");
const b2 = await open(grace, "u2");
const everybody = [a, b1, b2];

const failures = [];
function check(condition, detail) {
  if (!condition) throw new Error(detail);
}

async function scenario(name, body) {
  try {
    const figures = await body();
    say({ name, ok: true, figures: figures ?? {} });
  } catch (error) {
    failures.push(name);
    say({ name, ok: false, detail: String(error?.stack ?? error) });
    await a.page.screenshot({ path: `${test.screenshots}/failed-${name}.png` }).catch(() => {});
    await b1.page.screenshot({ path: `${test.screenshots}/failed-${name}-other.png` }).catch(() => {});
  }
}

async function createProject(page, name) {
  await by(page, "new-project-name").fill(name);
  await by(page, "new-project-submit").click();
  const row = page.locator("[data-project-id]", { hasText: name });
  await row.waitFor();
  return row.getAttribute("data-project-id");
}

async function rename(page, id, name) {
  await by(page, `rename-${id}`).click();
  await by(page, `rename-input-${id}`).fill(name);
  await by(page, `rename-input-${id}`).press("Enter");
}

const shows = (page, id, name) =>
  page.waitForFunction(
    ([testId, text]) => document.querySelector(`[data-testid="${testId}"]`)?.textContent === text,
    [`project-name-${id}`, name],
    // Not by frames, which a tab behind another one hardly gets.
    { polling: 20 },
  );

let project;

await scenario("create_shows_everywhere", async () => {
  project = await createProject(a.page, "Aurora");
  for (const { page } of everybody) await shows(page, project, "Aurora");
});

await scenario("update_shows_everywhere", async () => {
  await rename(b1.page, project, "Borealis");
  for (const { page } of everybody) await shows(page, project, "Borealis");
  await by(a.page, `status-${project}`).selectOption("paused");
  for (const { page } of [b1.page, b2.page].map((page) => ({ page })))
    await page.waitForFunction((id) => document.querySelector(`[data-testid="status-${id}"]`)?.value === "paused", project);
});

await scenario("delete_shows_everywhere", async () => {
  const gone = await createProject(b2.page, "Ephemeral");
  for (const { page } of everybody) await by(page, `project-row-${gone}`).waitFor();
  await by(a.page, `delete-${gone}`).click();
  for (const { page } of everybody) await by(page, `project-row-${gone}`).waitFor({ state: "detached" });
});

await scenario("a_notification_reaches_its_user_only", async () => {
  const count = (page) => by(page, "notification-count").textContent().catch(() => "0");
  const before = await count(a.page);
  const token = (await (await a.page.request.post(`${test.url}/api/login`, { data: { user: "u1" } })).json()).token;
  await a.page.request.post(`${test.url}/api/notifications`, {
    headers: { Authorization: `Bearer ${token}` },
    data: { user_id: "u2", title: "For Grace", body: "only" },
  });
  await b1.page.waitForFunction(() => Number(document.querySelector("[data-testid=notification-count]")?.textContent ?? 0) > 0);
  check((await count(a.page)) === before, "Ada got Grace's notification");
});

await scenario("refetches_are_never_old_and_mutations_reach_the_screen_in_time", async () => {
  // A tab that nobody sees is not painted: measured is the one in front of the other window.
  await b1.page.bringToFront();
  const before = await b1.page.evaluate(() => window.__freshwire.latencies.length);
  for (let i = 0; i < test.mutations; i++) {
    const name = `Name ${i}`;
    await rename(a.page, project, name);
    await shows(b1.page, project, name);
    await shows(b2.page, project, name);
  }
  const latencies = (await b1.page.evaluate(() => window.__freshwire.latencies)).slice(before).sort((x, y) => x - y);
  const events = (await b1.page.evaluate(() => window.__freshwire.events)).filter((event) => event.type === "project_updated");
  check(latencies.length >= test.mutations * 0.9, `only ${latencies.length} of ${test.mutations} were measured`);
  check(events.length >= test.mutations, `only ${events.length} events`);
  /* A read that began after the event arrived shows its version, or a later one. */
  for (const { reads } of everybody) {
    let highest = 0;
    for (const read of [...reads].sort((x, y) => x.startedAt - y.startedAt)) {
      const version = read.versions[project];
      if (version === undefined || !read.fresh) continue;
      check(version >= highest, `a refetch read version ${version} after ${highest}`);
      highest = version;
    }
    check(highest > test.mutations / 2, "no refetch carried a freshness token");
  }
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { count: latencies.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: latencies.at(-1) };
});

await scenario("unchanged_data_comes_from_the_cache", async () => {
  const stats = async () => (await a.page.request.get(`${test.url}/api/stats`)).json();
  await a.page.request.get(`${test.url}/api/teams`);
  const before = await stats();
  for (let i = 0; i < 20; i++) {
    const answer = await a.page.request.get(`${test.url}/api/teams`);
    check(answer.headers()["x-cache"] === "HIT", `read ${i} was ${answer.headers()["x-cache"]}`);
  }
  const after = await stats();
  check(after.database_reads === before.database_reads, "the database was read");
});

await scenario("the_seeds_plain_client_works", async () => {
  const token = (await (await a.page.request.post(`${test.url}/api/login`, { data: { user: "u1" } })).json()).token;
  await a.page.evaluate(
    ([url, jwt]) =>
      new Promise((resolve, reject) => {
        const keys = {
          project_created: ["projects", "dashboard"],
          project_updated: ["projects", "project"],
          project_deleted: ["projects"],
          user_updated: ["users", "me"],
          notification_created: ["notifications"],
          team_updated: ["teams"],
        };
        window.plain = [];
        const ws = new WebSocket(`${url}/ws?token=${jwt}`);
        ws.onopen = resolve;
        ws.onerror = reject;
        ws.onmessage = (event) => {
          const data = JSON.parse(event.data);
          window.plain.push({ type: data.type, keys: keys[data.type] ?? [] });
        };
      }),
    [test.gateway, token],
  );
  await a.page.waitForFunction(() => window.plain.some((each) => each.type === "fw.welcome"));
  await rename(b1.page, project, "Seen by the seed");
  await a.page.waitForFunction(() => window.plain.some((each) => each.type === "project_updated" && each.keys.includes("projects")));
});

await scenario("a_lost_gateway_is_survived_and_caught_up_with", async () => {
  await ask("kill gateway");
  for (const { page } of everybody)
    await page.waitForFunction(() => !/live|connected/i.test(document.querySelector("[data-testid=connection-state]")?.textContent ?? ""), null, { timeout: 20000 });
  const token = (await (await a.page.request.post(`${test.url}/api/login`, { data: { user: "u1" } })).json()).token;
  const changed = await a.page.request.put(`${test.url}/api/projects/${project}`, {
    headers: { Authorization: `Bearer ${token}` },
    data: { name: "While you were away" },
  });
  check(changed.ok(), `the mutation failed: ${changed.status()}`);
  await ask("start gateway");
  for (const { page } of everybody) await live(page);
  for (const { page } of everybody) await shows(page, project, "While you were away");
});

for (const [name, tab] of Object.entries({ ada: a, grace: b1 })) await tab.page.screenshot({ path: `${test.screenshots}/${name}.png` });
await scenario("no_page_error", () => {
  for (const { errors } of everybody) check(errors.length === 0, errors.join("\n"));
});
await browser.close();
process.exit(failures.length ? 1 : 0);

// SPDX-License-Identifier: MPL-2.0
// Two people, three tabs, one real Chromium. Reads {url, gateway, screenshots, mutations, limit_ms} as JSON from the environment's
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
/** Until the page says so of its connection. */
const saysOfItself = (page, state) =>
  page.waitForFunction(
    (state) => document.querySelector("[data-testid=connection-state]")?.textContent === state,
    state,
    { polling: 20 },
  );
const live = (page) => saysOfItself(page, "live");

const ada = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const grace = await browser.newContext({
  viewport: { width: 1280, height: 900 },
  colorScheme: "dark",
});
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
    await b1.page
      .screenshot({ path: `${test.screenshots}/failed-${name}-other.png` })
      .catch(() => {});
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

/** Whatever was answered from the cache was not read from the database. */
function checkCounted(before, after) {
  const sum = (stats, kinds) =>
    Object.values(stats.reads).reduce(
      (all, one) => all + kinds.reduce((n, kind) => n + one[kind], 0),
      0,
    );
  const past = ["miss", "bypass", "stale_rejected"];
  const read = after.database_reads - before.database_reads;
  const allowed = sum(after, past) - sum(before, past);
  check(
    read <= allowed,
    `${read} database reads for ${allowed} answers that were not from the cache`,
  );
}

let project;
const CLOCK_MS = 2; // the browser's two clocks differ by less
const stats = async () => (await a.page.request.get(`${test.url}/api/stats`)).json();

/** Notes every version of a project that the page shows. */
const watchVersions = (page, id) =>
  page.evaluate((id) => {
    const row = () => document.querySelector(`[data-project-id="${id}"]`);
    window.shownVersions = [];
    const note = () => {
      const version = Number(row()?.dataset.version);
      if (version && version !== window.shownVersions.at(-1)) window.shownVersions.push(version);
    };
    note();
    new MutationObserver(note).observe(document.body, {
      subtree: true,
      childList: true,
      attributes: true,
    });
  }, id);

/** No read that began after an event had arrived, with or without a token, is older than the event; nor is the screen. */
async function checkNeverOld({ page, reads }, id) {
  const events = (await page.evaluate(() => window.__freshwire.events)).filter(
    (event) => event.type === "project_updated" && String(event.data.id) === id,
  );
  let checked = 0;
  for (const read of reads) {
    const known = events.filter((event) => event.receivedAt + CLOCK_MS < read.startedAt);
    const floor = Math.max(0, ...known.map((event) => event.data.version));
    if (floor === 0) continue;
    check(
      read.versions[id] >= floor,
      `a read of version ${read.versions[id]} (${read.cache}) began after the event of ${floor}`,
    );
    checked += 1;
  }
  check(checked >= test.mutations, `only ${checked} reads began after an event`);
  const shown = await page.evaluate(() => window.shownVersions);
  check(shown.length > test.mutations / 2, `only ${shown.length} versions were shown`);
  check(
    shown.every((version, i) => i === 0 || version > shown[i - 1]),
    `the screen went back: ${shown}`,
  );
  return checked;
}

await scenario("each_sees_who_else_is_looking", async () => {
  const present = (text) => [
    (text) => document.querySelector("[data-testid=present]")?.textContent === text,
    text,
    { polling: 20 },
  ];
  await a.page.waitForFunction(...present("with Grace"));
  for (const { page } of [b1, b2]) await page.waitForFunction(...present("with Ada"));
});

await scenario("create_shows_everywhere", async () => {
  project = await createProject(a.page, "Aurora");
  for (const { page } of everybody) await shows(page, project, "Aurora");
});

await scenario("update_shows_everywhere", async () => {
  await rename(b1.page, project, "Borealis");
  for (const { page } of everybody) await shows(page, project, "Borealis");
  await by(a.page, `status-${project}`).selectOption("paused");
  for (const { page } of [b1.page, b2.page].map((page) => ({ page })))
    await page.waitForFunction(
      (id) => document.querySelector(`[data-testid="status-${id}"]`)?.value === "paused",
      project,
    );
});

await scenario("delete_shows_everywhere", async () => {
  const gone = await createProject(b2.page, "Ephemeral");
  for (const { page } of everybody) await by(page, `project-row-${gone}`).waitFor();
  await by(a.page, `delete-${gone}`).click();
  for (const { page } of everybody)
    await by(page, `project-row-${gone}`).waitFor({ state: "detached" });
});

await scenario("a_notification_reaches_its_user_only", async () => {
  const count = (page) =>
    by(page, "notification-count")
      .textContent()
      .catch(() => "0");
  const before = await count(a.page);
  const token = (
    await (await a.page.request.post(`${test.url}/api/login`, { data: { user: "u1" } })).json()
  ).token;
  await a.page.request.post(`${test.url}/api/notifications`, {
    headers: { Authorization: `Bearer ${token}` },
    data: { user_id: "u2", title: "For Grace", body: "only" },
  });
  await b1.page.waitForFunction(
    () => Number(document.querySelector("[data-testid=notification-count]")?.textContent ?? 0) > 0,
  );
  check((await count(a.page)) === before, "Ada got Grace's notification");
});

const quantiles = (values) => {
  const sorted = [...values].sort((x, y) => x - y);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) };
};

/** Renames in Ada's window, one after the other: from the click there, and from the commit, to Grace's screen. */
async function measure(round) {
  const clicked = {};
  for (let i = 0; i < test.mutations; i++) {
    const name = `Name ${round}-${i}`;
    await by(a.page, `rename-${project}`).click();
    await by(a.page, `rename-input-${project}`).fill(name);
    clicked[name] = await a.page.evaluate((testId) => {
      const at = Date.now();
      document.querySelector(`[data-testid="${testId}"]`).form.requestSubmit();
      return at;
    }, `rename-input-${project}`);
    await shows(b1.page, project, name);
    await shows(b2.page, project, name);
  }
  // Events in quick succession are measured once; so is one whose row was already drawn with the next.
  const events = (await b1.page.evaluate(() => window.__freshwire.events)).filter(
    (event) => event.data.name in clicked && event.latencyMs !== undefined,
  );
  check(
    events.length >= test.mutations * 0.9,
    `only ${events.length} of ${test.mutations} were measured`,
  );
  return {
    count: events.length,
    click_to_screen_ms: quantiles(
      events.map((event) => event.ts + event.latencyMs - clicked[event.data.name]),
    ),
    commit_to_screen_ms: quantiles(events.map((event) => event.latencyMs)),
  };
}

await scenario("refetches_are_never_old_and_mutations_reach_the_screen_in_time", async () => {
  // A tab that nobody sees is not painted: measured is the one in front of the other window.
  await b1.page.bringToFront();
  for (const { page } of everybody) await watchVersions(page, project);
  const readsBefore = everybody.map(({ reads }) => reads.length);
  const statsBefore = await stats();
  const rounds = [await measure(0)];
  // Machines are shared: what counts is what the system can do.
  while (rounds.length < 3 && rounds.at(-1).click_to_screen_ms.p99 >= test.limit_ms)
    rounds.push(await measure(rounds.length));
  let checked = 0;
  for (const tab of everybody) checked += await checkNeverOld(tab, project);
  const caches = {};
  for (const [i, { reads }] of everybody.entries())
    for (const { cache } of reads.slice(readsBefore[i])) caches[cache] = (caches[cache] ?? 0) + 1;
  check(
    caches.HIT > 0,
    `three tabs read the same, and none from the cache: ${JSON.stringify(caches)}`,
  );
  checkCounted(statsBefore, await stats());
  return { rounds, reads_checked: checked, reads_by_cache: caches };
});

await scenario("unchanged_data_comes_from_the_cache", async () => {
  const paths = ["/api/teams", "/api/projects", `/api/projects/${project}`, "/api/dashboard"];
  for (const path of paths) await a.page.request.get(test.url + path);
  const before = await stats();
  for (let i = 0; i < 20; i++) {
    for (const path of paths) {
      const answer = await a.page.request.get(test.url + path);
      check(
        answer.headers()["x-cache"] === "HIT",
        `read ${i} of ${path} was ${answer.headers()["x-cache"]}`,
      );
    }
  }
  const after = await stats();
  check(after.database_reads === before.database_reads, "the database was read");
  check(
    after.reads["/api/projects"].hit >= before.reads["/api/projects"].hit + 20,
    "the hits were not counted",
  );
});

await scenario("the_seeds_plain_client_works", async () => {
  const token = (
    await (await a.page.request.post(`${test.url}/api/login`, { data: { user: "u1" } })).json()
  ).token;
  await a.page.evaluate(
    ([url, jwt]) =>
      new Promise((resolve, reject) => {
        window.plain = { messages: 0, invalidated: [], unknown: [] };
        const invalidate = (...queryKey) => window.plain.invalidated.push(queryKey.join("/"));
        const ws = new WebSocket(`${url}/ws?token=${jwt}`);
        ws.onopen = resolve;
        ws.onerror = reject;
        ws.onmessage = (event) => {
          const data = JSON.parse(event.data);
          window.plain.messages += 1;
          switch (data.type) {
            case "notification":
              invalidate("notifications");
              break;
            case "project_updated":
              invalidate("projects");
              break;
            case "user_updated":
              invalidate("users", "me");
              break;
            default:
              window.plain.unknown.push(data.type);
          }
        };
      }),
    [test.gateway, token],
  );
  // Only so that the test does not publish before it listens; the client itself takes it for an unknown type.
  await a.page.waitForFunction(() => window.plain.unknown.includes("fw.welcome"));
  await rename(b1.page, project, "Seen by the seed");
  await a.page.waitForFunction(() => window.plain.invalidated.includes("projects"));
  const before = await a.page.evaluate(() => window.plain.messages);
  const gone = await createProject(b1.page, "Unknown to the seed");
  await by(b1.page, `delete-${gone}`).click();
  await a.page.waitForFunction(() => window.plain.unknown.includes("project_deleted"));
  const after = await a.page.evaluate(() => window.plain);
  check(after.messages === before + 2, `${after.messages - before} messages for two events`);
});

await scenario("a_lost_gateway_is_survived_and_caught_up_with", async () => {
  await ask("kill gateway");
  for (const { page } of everybody) await saysOfItself(page, "reconnecting");
  const known = await b1.page.evaluate(() => window.__freshwire.events.length);
  const token = (
    await (await a.page.request.post(`${test.url}/api/login`, { data: { user: "u1" } })).json()
  ).token;
  const changed = await a.page.request.put(`${test.url}/api/projects/${project}`, {
    headers: { Authorization: `Bearer ${token}` },
    data: { name: "While you were away" },
  });
  check(changed.ok(), `the mutation failed: ${changed.status()}`);
  await ask("start gateway");
  for (const { page } of everybody) await live(page);
  for (const { page } of everybody) await shows(page, project, "While you were away");
  // Because it heard of what it had missed, and not because it read everything again.
  const missed = await b1.page.evaluate((from) => window.__freshwire.events.slice(from), known);
  check(missed.length === 1, `${missed.length} events for one that was missed`);
  check(
    missed[0].data.name === "While you were away",
    "another event than the one that was missed",
  );
});

for (const [name, tab] of Object.entries({ ada: a, grace: b1 }))
  await tab.page.screenshot({ path: `${test.screenshots}/${name}.png` });
await scenario("no_page_error", () => {
  for (const { errors } of everybody) check(errors.length === 0, errors.join("\n"));
});
await browser.close();
process.exit(failures.length ? 1 : 0);

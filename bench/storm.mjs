// 20,000 alerts fire at once: pushed into the stack's own Alertmanager, seen on the screen, acknowledged.
//
//   feed complete    from the first push until the feed counts all of them, and Alertmanager's own time to take them
//   first paint      of /alerts in a real browser, the median of several loads
//   page bytes       of /alerts as it goes over the wire (brotli) and as text
//   acknowledged     from the submission until another browser shows who has it, over the live stream
//   memory           resident memory of the console with all of them firing
//   poll             what reading Alertmanager's list costs the console while nothing changes, beside the time that
//                    Alertmanager takes to answer (the limit), measured in the same run
import { createRequire } from "node:module";
import { request } from "node:http";
import { gunzipSync, brotliDecompressSync } from "node:zlib";

const require = createRequire(new URL("../end2end/package.json", import.meta.url));
const { chromium } = require("@playwright/test");

const count = Number(process.env.BAGUA_BENCH_ALERTS ?? 20_000);
const batch = 1_000;
const regions = ["ap-east-1", "ap-southeast-1", "eu-west-1", "eu-central-1", "us-east-1", "us-west-2"];
const components = ["gateway", "runner"];

function alert(n, now) {
  const severity = n % 10 === 0 ? "critical" : n % 3 === 0 ? "info" : "warning";
  const [region, component] = [regions[n % 6], components[n % 2]];
  return {
    labels: { alertname: `Storm${n % 20}`, severity, region, component, environment: "dev", instance: `i-${n}` },
    annotations: {
      summary: `Instance i-${n} of ${component} in ${region} answers too slowly`,
      description: `The slowest hundredth of the requests to i-${n} took longer than 800 ms for five minutes.`,
      runbook_url: "https://example.org/runbooks/storm",
    },
    startsAt: new Date(now - 60_000 - n).toISOString(),
    endsAt: new Date(now + 3_600_000).toISOString(),
  };
}

function median(list) {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
}

/** The bytes of an answer as they came, and its text. */
function fetched(url, headers) {
  return new Promise((done, failed) => {
    const call = request(url, { headers }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => {
        const body = Buffer.concat(chunks);
        const encoding = answer.headers["content-encoding"];
        const text = encoding === "br" ? brotliDecompressSync(body) : encoding === "gzip" ? gunzipSync(body) : body;
        done({ status: answer.statusCode, bytes: body.length, text: text.toString(), encoding });
      });
    });
    call.on("error", failed);
    call.end();
  });
}

/** Sum and count of a histogram, by its label `found`. */
function readings(metrics, name, found) {
  const value = (what) => Number(metrics.match(new RegExp(`^${name}_${what}\\{[^}]*found="${found}"[^}]*\\} (\\S+)`, "m"))?.[1] ?? 0);
  return { sum: value("sum"), count: value("count") };
}

export async function storm({ origin, port, cookie, rpc, until, resident, pid, metricsPage, figures }) {
  const alertmanager = `http://127.0.0.1:${port + 4}`;
  const matching = async () => {
    const feed = await rpc("/rpc/ask", { kind: "alerts.list", query: { text: "Storm", limit: 1 } }, cookie);
    return feed.matching ?? 0;
  };
  const calm = resident(pid);
  const began = performance.now();
  for (let from = 0; from < count; from += batch) {
    const now = Date.now();
    const alerts = Array.from({ length: Math.min(batch, count - from) }, (_, n) => alert(from + n, now));
    const answer = await fetch(`${alertmanager}/api/v2/alerts`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(alerts),
    });
    if (!answer.ok) throw new Error(`Alertmanager took no alerts: ${answer.status}`);
  }
  const pushed = performance.now();
  let peak = 0;
  await until("all alerts in the feed", async () => {
    peak = Math.max(peak, resident(pid));
    return (await matching()) === count;
  });
  const name = `${count} alerts`;
  figures[`${name}: taken by Alertmanager, s`] = ((pushed - began) / 1000).toFixed(1);
  figures[`${name}: first push → all in the feed, s`] = ((performance.now() - began) / 1000).toFixed(1);
  figures[`${name}: console memory before, MB`] = calm.toFixed(0);
  figures[`${name}: console memory, highest while they came, MB`] = peak.toFixed(0);

  const list = [];
  let listBytes = 0;
  for (let n = 0; n < 5; n += 1) {
    const at = performance.now();
    listBytes = (await fetched(`${alertmanager}/api/v2/alerts`, {})).bytes;
    list.push(performance.now() - at);
  }
  figures[`${name}: limit, Alertmanager's own list, ms`] = median(list).toFixed(0);
  figures[`${name}: Alertmanager's own list, MB`] = (listBytes / 1e6).toFixed(1);

  const plain = await fetched(`${origin}/alerts`, { cookie, "accept-encoding": "identity" });
  const small = await fetched(`${origin}/alerts`, { cookie, "accept-encoding": "br" });
  if (plain.status !== 200) throw new Error(`/alerts answered ${plain.status}`);
  figures[`${name}: /alerts, KB of HTML`] = (plain.bytes / 1024).toFixed(1);
  figures[`${name}: /alerts, KB over the wire (${small.encoding})`] = (small.bytes / 1024).toFixed(1);
  const grouped = await fetched(`${origin}/alerts?group=rule`, { cookie, "accept-encoding": "identity" });
  figures[`${name}: /alerts?group=rule, KB of HTML`] = (grouped.bytes / 1024).toFixed(1);
  const answers = [];
  for (let n = 0; n < 20; n += 1) {
    const at = performance.now();
    await fetched(`${origin}/alerts`, { cookie, "accept-encoding": "br" });
    answers.push(performance.now() - at);
  }
  figures[`${name}: /alerts answered whole, ms (median)`] = median(answers).toFixed(1);

  const browser = await chromium.launch({
    executablePath: process.env.BAGUA_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  try {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    const [key, value] = cookie.split("; ")[0].split("=");
    await context.addCookies([{ name: key, value, url: origin }]);
    const page = await context.newPage();
    const paints = [];
    for (let n = 0; n < 7; n += 1) {
      await page.goto(`${origin}/alerts?text=Storm`);
      await page.locator(".feed-rows > li").first().waitFor();
      const paint = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0;
      paints.push(await until("a paint", () => page.evaluate(paint), 5_000));
    }
    figures[`${name}: /alerts, first contentful paint, ms (median)`] = median(paints).toFixed(0);
    await page.waitForFunction(() => document.documentElement.dataset.ready !== undefined || document.querySelector("[data-live]") !== null, null, { timeout: 5_000 }).catch(() => {});
    await page.waitForLoadState("networkidle").catch(() => {});

    const feed = await rpc("/rpc/ask", { kind: "alerts.list", query: { text: "Storm", limit: 12 } }, cookie);
    const times = [];
    for (const row of feed.page.rows) {
      const note = `seen-${row.alert.slice(-8)}`;
      const shown = page.evaluate(
        (note) =>
          new Promise((done) => {
            const look = () => document.querySelector(".feed-rows")?.textContent?.includes(note) && done(Date.now());
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
          }),
        note,
      );
      const at = Date.now();
      const input = { alert: row.alert, region: row.region, note };
      await rpc("/rpc/submit", { kind: "alert.acknowledge", input, submission: {} }, cookie);
      times.push((await shown) - at);
      // The page asks at most four times a second; the next is measured as one that comes alone.
      await new Promise((next) => setTimeout(next, 300));
    }
    figures[`${name}: acknowledged → shown in another browser, ms (median)`] = median(times).toFixed(0);
    figures[`${name}: acknowledged → shown in another browser, ms (worst of ${times.length})`] = Math.max(...times).toFixed(0);
  } finally {
    await browser.close();
  }

  const before = await metricsPage();
  await new Promise((next) => setTimeout(next, 60_000));
  const after = await metricsPage();
  for (const found of ["same", "repeated", "changed"]) {
    const cost = (name) => {
      const [a, b] = [readings(before, name, found), readings(after, name, found)];
      return { count: b.count - a.count, ms: ((b.sum - a.sum) / Math.max(1, b.count - a.count)) * 1000 };
    };
    const [whole, own] = [cost("alerts_reading_seconds"), cost("alerts_reading_own_seconds")];
    figures[`${name}: readings in a quiet minute, ${found}`] = whole.count;
    if (whole.count) {
      figures[`${name}: a reading with Alertmanager's part, ${found}, ms`] = whole.ms.toFixed(0);
      figures[`${name}: a reading, the console's own part, ${found}, ms`] = own.ms.toFixed(1);
    }
  }
  figures[`${name}: console memory, MB`] = resident(pid).toFixed(0);

  const all = { matching: { text: "Storm", region: regions[2] }, note: "all of them" };
  const at = performance.now();
  const submitted = await rpc("/rpc/submit", { kind: "alerts.acknowledge", input: all, submission: {} }, cookie);
  figures[`${name}: ${Math.round(count / 6)} acknowledged in one operation, ms`] = submitted.operation
    ? (performance.now() - at).toFixed(0)
    : JSON.stringify(submitted).slice(0, 120);
  figures[`${name}: console memory at the end, MB`] = resident(pid).toFixed(0);
}

// `./dev bench`: starts a release build on its own port and data folder, measures it, stops it, prints figures.
// Load is bounded in time and count, and goes to this machine only.
//
//   overview        requests/s and p99 of the first screen, signed in, 16 connections, beside the machine's own
//                   limit measured in the same run (the same server answering /healthz)
//   first load      brotli bytes of script, WASM, style and the English messages
//   charts          brotli bytes of the script that draws charts; only pages with charts load it, after they are alive
//                   (limit: 145,000 bytes, `cargo xtask wasm-budget`)
//   fault to screen killed process -> row on the live stream; our own share (webhook received -> live message) apart
//   memory          resident memory of the console after the load
//   warm start      `bagua up` on a folder that has been used -> ready
//   storm           20,000 alerts fire (storm.mjs); BAGUA_BENCH_ONLY=storm measures nothing else
//   ingest          updates of 1, 8 and 50 bots, durable and sealed, beside COPY of the same rows (ingest.mjs);
//                   BAGUA_BENCH_ONLY=ingest measures nothing else, =console everything else
import { spawn, execFileSync } from "node:child_process";
import { mkdtempSync, chmodSync, readFileSync, rmSync, existsSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { ingest } from "./ingest.mjs";
import { storm } from "./storm.mjs";

const target = process.env.CARGO_TARGET_DIR;
const bagua = process.env.BAGUA_BIN ?? join(target, "release", "bagua");
const site = process.env.BAGUA_SITE ?? join(target, "release", "site");
const port = Number(process.env.BAGUA_BENCH_PORT ?? 3600);
const seconds = Number(process.env.BAGUA_BENCH_SECONDS ?? 10);
const origin = `http://localhost:${port}`;
const password = "a bench password, long enough";

if (process.env.BAGUA_BENCH_ONLY !== "ingest" && !existsSync(bagua)) throw new Error(`no release build at ${bagua}: run ./dev bench`);
const data = mkdtempSync("/tmp/bagua-bench-");
chmodSync(data, 0o755);

function up() {
  const began = performance.now();
  const child = spawn(bagua, ["up", "--port", String(port), "--data", data], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stderr.on("data", (chunk) => (err += chunk));
  const ready = new Promise((done, failed) => {
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (out.includes("bagua ready:")) done({ ms: performance.now() - began, out: () => out });
    });
    child.on("exit", (code) => failed(new Error(`bagua up ended with ${code}\n${out}\n${err}`)));
  });
  return { child, ready };
}

async function down(child) {
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGINT");
  await gone;
}

function form(path, fields) {
  return fetch(origin + path, {
    method: "POST",
    redirect: "manual",
    headers: { origin, "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields),
  });
}

function cookieOf(response) {
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  if (!cookies.length) throw new Error(`no cookie came back (${response.status})`);
  return cookies.join("; ");
}

async function until(what, test, limit = 150_000) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await test();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${limit / 1000} s`);
    await new Promise((next) => setTimeout(next, 100));
  }
}

/** `wrk` for a bounded time; requests/s and latencies in ms. */
function load(path, cookie, connections = 16) {
  const out = execFileSync(
    "wrk",
    ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "-H", `cookie: ${cookie}`, origin + path],
    { encoding: "utf8" },
  );
  const ms = (label) => {
    const [, value, unit] = out.match(new RegExp(`${label}\\s+([\\d.]+)(us|ms|s)`)) ?? [];
    return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit];
  };
  const bad = out.match(/Non-2xx or 3xx responses: (\d+)/)?.[1] ?? "0";
  return { rate: Number(out.match(/Requests\/sec:\s+([\d.]+)/)?.[1]), p50: ms("50%"), p99: ms("99%"), bad: Number(bad) };
}

function supervisor(path) {
  return new Promise((done, failed) => {
    const call = request({ socketPath: join(data, "supervisor.sock"), path, timeout: 5000 }, (answer) => {
      let body = "";
      answer.on("data", (chunk) => (body += chunk));
      answer.on("end", () => done(JSON.parse(body)));
    });
    call.on("error", failed);
    call.end();
  });
}

function resident(pid) {
  return Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]) / 1024;
}

/** Opens the live stream and calls `seen(message, at)` for each message. Ends with `close()`. */
function live(cookie, seen) {
  const call = request(`${origin}/live`, { headers: { cookie, accept: "text/event-stream" } }, (answer) => {
    let rest = "";
    answer.on("data", (chunk) => {
      rest += chunk;
      for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) {
        const line = rest.slice(0, end).split("\n").find((l) => l.startsWith("data:"));
        if (line) seen(JSON.parse(line.slice(5)), Date.now());
      }
    });
  });
  call.on("error", () => {});
  call.end();
  return { close: () => call.destroy() };
}

async function rpc(path, body, cookie) {
  const answer = await fetch(origin + path, {
    method: "POST",
    headers: { origin, cookie, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.json();
}

const figures = {};
const only = process.env.BAGUA_BENCH_ONLY;
const print = () => {
  for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(58)} ${String(value).padStart(10)}`);
};
if (only !== "storm" && only !== "console") ingest(figures);
if (only === "ingest") {
  print();
  rmSync(data, { recursive: true, force: true });
  process.exit();
}
async function metricsPage() {
  const token = readFileSync(join(data, "console.toml"), "utf8").match(/\[metrics\][^[]*token\s*=\s*"([^"]+)"/)?.[1];
  return (await fetch(origin + "/metrics", { headers: { authorization: `Bearer ${token}` } })).text();
}

/** A page. The server has closed the connection of an earlier call by now, which `fetch` may notice too late. */
async function html(path, cookie) {
  const get = async () => (await fetch(origin + path, { headers: { cookie } })).text();
  return get().catch(get);
}

/** What an ordinary day costs. */
async function ordinary(cookie, pid) {
  load("/healthz", cookie);
  const limit = load("/healthz", cookie);
  load("/", cookie);
  const overview = load("/", cookie);
  figures["overview, requests/s (16 connections)"] = overview.rate.toFixed(0);
  figures["overview, p50 ms"] = overview.p50.toFixed(2);
  figures["overview, p99 ms"] = overview.p99.toFixed(2);
  figures["overview, failed requests"] = overview.bad;
  figures["limit of the same server (/healthz), requests/s"] = limit.rate.toFixed(0);
  figures["overview ÷ limit"] = (overview.rate / limit.rate).toFixed(3);
  figures["overview, bytes of HTML"] = (await html("/", cookie)).length;
  figures["console memory after load, MB"] = resident(pid).toFixed(0);

  const manifest = JSON.parse(readFileSync(join(site, "manifest.json"), "utf8"));
  const files = Object.entries(manifest.files).filter(([name]) => /^pkg\/(bagua\.(js|wasm|css)|messages\.en\.txt)$/.test(name));
  const charts = manifest.files["pkg/later/charts.js"];
  if (charts) figures["charts, on pages that have them, brotli KB"] = ((charts.brotli_bytes ?? charts.bytes) / 1024).toFixed(1);
  figures["first load, brotli KB"] = (files.reduce((sum, [, f]) => sum + (f.brotli_bytes ?? f.bytes), 0) / 1024).toFixed(1);

  // A process is ended, and Prometheus, its rule and Alertmanager do their part; ours is what comes after the webhook.
  let row;
  const stream = live(cookie, (message, at) => {
    if (message.topic === "alerts" && !row) row = at;
  });
  const victim = await supervisor("/components/us-west-2/gateway");
  const killed = Date.now();
  process.kill(victim.pid, "SIGSTOP");
  await until("row on screen", () => row);
  figures["frozen process → row on screen, s (rule waits 60 s)"] = ((row - killed) / 1000).toFixed(1);
  stream.close();
  process.kill(victim.pid, "SIGCONT");
  const metrics = await metricsPage();
  const sum = Number(metrics.match(/alerts_intake_seconds_sum\S*\s+(\S+)/)?.[1]);
  const count = Number(metrics.match(/alerts_intake_seconds_count\S*\s+(\S+)/)?.[1]);
  if (count) figures["our own share, webhook → committed row, ms (mean)"] = ((sum / count) * 1000).toFixed(1);
}

let stack = up();

try {
  const first = await stack.ready;
  figures["cold start, s (new folder, initdb included)"] = (first.ms / 1000).toFixed(1);
  const link = await until("one-time link", () => first.out().match(/https?:\/\/\S+\/welcome\?token=(\S+)/)?.[1], 10_000);
  const welcome = await form("/welcome", { token: link, name: "Bench", email: "bench@example.org", password });
  const cookie = welcome.headers.getSetCookie().length
    ? cookieOf(welcome)
    : cookieOf(await form("/sign-in", { email: "bench@example.org", password }));

  const console_ = await supervisor("/components/global/console");
  await until("a healthy map", async () => {
    const world = JSON.stringify(await rpc("/rpc/ask", { kind: "regions.world", query: {} }, cookie));
    return !world.includes("unknown");
  });
  if (only !== "storm") await ordinary(cookie, console_.pid);
  await storm({ origin, port, cookie, rpc, until, resident, pid: console_.pid, metricsPage, figures });

  await down(stack.child);
  stack = up();
  figures["warm start, s"] = ((await stack.ready).ms / 1000).toFixed(2);
} finally {
  // What was measured before something failed is worth seeing, too.
  print();
  await down(stack.child);
  rmSync(data, { recursive: true, force: true });
}

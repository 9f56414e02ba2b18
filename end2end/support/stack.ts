// A real `bagua up` on its own port and data folder, and what the journeys do to it from outside the browser.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { chmodSync, closeSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

export const port = Number(process.env.BAGUA_E2E_PORT ?? 3400);
export const origin = `http://localhost:${port}`;
/** Where a journey takes what rules post, and what that is signed with. */
export const receiver = { port: port + 60, secret: `whsec_${Buffer.alloc(32, 7).toString("base64")}` };
/** Where screenshots, logs and the signed-in state of the journeys lie. */
export const output = resolve(process.env.BAGUA_E2E_OUTPUT ?? "test-results");
/** The data folder of the running stack; set by the global setup. */
export const data = () => process.env.BAGUA_E2E_DATA ?? "";

/** The binary under test: `./dev test e2e` builds it and says where. */
export function binary(): string {
  const found = process.env.BAGUA_BIN ?? join(process.env.CARGO_TARGET_DIR ?? "", "debug", "bagua");
  if (!existsSync(found)) throw new Error(`no bagua at ${found}: run ./dev test e2e, which builds it`);
  return resolve(found);
}

/** Starts a role that ends with this process, however this process ends; its words go to `log`. */
function run(log: string, signal: string, ...args: string[]): ChildProcess {
  return runProgram(log, signal, binary(), ...args);
}

/** The same for another program. */
export function runProgram(log: string, signal: string, ...command: string[]): ChildProcess {
  const file = openSync(log, "a");
  const child = spawn("setpriv", ["--pdeathsig", signal, ...command], { stdio: ["ignore", file, file] });
  closeSync(file);
  return child;
}

/** Waits until `done` answers something, or fails with what `why` says. */
export async function until<T>(seconds: number, why: () => string, done: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await done();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${why()}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

/** Asks a process to end and waits until it has gone; one that does not listen is killed. */
export async function end(child: ChildProcess, signal: NodeJS.Signals, seconds: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once("exit", done));
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
  await gone;
  clearTimeout(late);
}

export interface Stack {
  process: ChildProcess;
  folder: string;
  data: string;
  /** The first administrator's one-time link. */
  link: string;
}

/** Starts the stack and waits for its ready line. */
export async function start(): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), "bagua-e2e-"));
  // PostgreSQL runs as another user when we are root and has to reach its folder.
  chmodSync(folder, 0o755);
  const log = join(folder, "up.log");
  const data = join(folder, "data");
  // Where rules may post updates to; a journey listens there.
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(join(data, "webhooks.toml"), `[[webhooks]]\nname = "crm"\nurl = "http://127.0.0.1:${receiver.port}/in"\nsecret = "${receiver.secret}"\n`, { mode: 0o600 });
  const child = run(log, "INT", "up", "--port", String(port), "--data", data);
  const said = () => readFileSync(log, "utf8");
  try {
    const link = await until(120, said, () => {
      if (child.exitCode !== null) throw new Error(`bagua up ended with ${child.exitCode}:\n${said()}`);
      return said().includes("bagua ready:") ? (said().match(/https?:\/\/\S+\/welcome\?\S+/)?.[0] ?? "") : undefined;
    });
    if (!link) throw new Error(`bagua up printed no one-time link:\n${said()}`);
    return { process: child, folder, data, link };
  } catch (fault) {
    await stop({ process: child, folder, data, link: "" });
    throw fault;
  }
}

/** Stops the stack as Ctrl-C would, waits until it has gone, and keeps what it wrote to its logs. */
export async function stop(stack: Stack): Promise<void> {
  await end(stack.process, "SIGINT", 30);
  const logs = join(output, "logs");
  mkdirSync(logs, { recursive: true });
  cpSync(join(stack.folder, "up.log"), join(logs, "up.log"));
  if (existsSync(join(stack.data, "log"))) cpSync(join(stack.data, "log"), logs, { recursive: true });
  rmSync(stack.folder, { recursive: true, force: true });
}

/** Runs another role of the binary on the running stack's configuration; answers what it prints. */
export async function bagua(...args: string[]): Promise<string> {
  const env = { ...process.env, BAGUA_DATA: data() };
  return (await promisify(execFile)(binary(), args, { env, timeout: 30_000 })).stdout.trim();
}

/** Asks a query as the machine's owner. */
export async function ask(kind: string, query: unknown = {}): Promise<any> {
  return JSON.parse(await bagua("ask", kind, JSON.stringify(query)));
}

/** Submits an operation as the machine's owner; answers its id. */
export async function submit(kind: string, input: unknown): Promise<string> {
  return (await bagua("submit", kind, JSON.stringify(input))).split(" ")[0];
}

/** A second console on the same configuration, beside the stack's own. */
export async function secondConsole(at: number): Promise<{ origin: string; stop: () => Promise<void> }> {
  mkdirSync(output, { recursive: true });
  const log = join(output, "second-console.log");
  const child = run(log, "TERM", "serve", "--config", join(data(), "console.toml"), "--listen", `127.0.0.1:${at}`);
  const origin = `http://localhost:${at}`;
  try {
    await until(20, () => readFileSync(log, "utf8"), async () => {
      if (child.exitCode !== null) throw new Error(`the second console ended:\n${readFileSync(log, "utf8")}`);
      const answer = await fetch(`http://127.0.0.1:${at}/readyz`).catch(() => undefined);
      return answer?.ok ? true : undefined;
    });
  } catch (fault) {
    await end(child, "SIGTERM", 10);
    throw fault;
  }
  return { origin, stop: () => end(child, "SIGTERM", 10) };
}

export interface ComponentStatus {
  component: string;
  state: string;
  pid: number | null;
  generation: number;
  restarts: number;
}

/** What the supervisor says of one component, over its Unix socket. */
export function component(id: string): Promise<ComponentStatus> {
  return new Promise((done, failed) => {
    const call = request({ socketPath: join(data(), "supervisor.sock"), path: `/components/${id}`, timeout: 5000 }, (answer) => {
      let body = "";
      answer.on("data", (chunk) => (body += chunk));
      answer.on("end", () => (answer.statusCode === 200 ? done(JSON.parse(body)) : failed(new Error(body))));
    });
    call.on("timeout", () => call.destroy(new Error(`the supervisor does not answer about ${id}`)));
    call.on("error", failed);
    call.end();
  });
}

/** The component's process id; it must be running. */
export async function pid(id: string): Promise<number> {
  const status = await component(id);
  if (!status.pid) throw new Error(`${id} has no process: ${JSON.stringify(status)}`);
  return status.pid;
}

/** The letter of a process's state (`T` is stopped by a signal), or `undefined` when there is no such process. */
export function processState(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").charAt(0);
  } catch {
    return undefined;
  }
}

/** Freezes a component's process, unless that has been done already; answers its process id. */
export async function freeze(id: string): Promise<number> {
  const process_ = await pid(id);
  if (processState(process_) !== "T") process.kill(process_, "SIGSTOP");
  await until(5, () => `${id} does not stop`, () => (processState(process_) === "T" ? true : undefined));
  return process_;
}

/**
 * Lets the next new process of a component freeze as soon as it is there, before it can become ready: an operation that
 * waits for it waits until `release`. Call it before what makes the new process; `held` is its process id.
 */
export async function hold(id: string): Promise<{ held: Promise<number>; release: () => Promise<void> }> {
  const old = (await component(id)).pid;
  const held = (async () => {
    for (const end = Date.now() + 20_000; Date.now() < end; ) {
      const now = (await component(id)).pid;
      if (now && now !== old) {
        process.kill(now, "SIGSTOP");
        return now;
      }
    }
    throw new Error(`${id} got no new process within 20 s`);
  })();
  // Whoever awaits it hears of its failure; until then it is nobody's.
  held.catch(() => {});
  const release = async () => {
    process.kill(await held, "SIGCONT");
  };
  return { held, release };
}

/** Freezes a component together with all its children (a database serves on while only its parent is frozen). */
export async function freezeAll(id: string): Promise<{ thaw: () => void; pid: number }> {
  const parent = await pid(id);
  process.kill(parent, "SIGSTOP");
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        return readFileSync(`/proc/${child}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")[1] === String(parent);
      } catch {
        return false;
      }
    });
  for (const child of children) process.kill(child, "SIGSTOP");
  const thaw = () => {
    for (const one of [...children, parent]) {
      try {
        process.kill(one, "SIGCONT");
      } catch {
        // It has gone, which is as good.
      }
    }
  };
  return { thaw, pid: parent };
}

// Two consoles behind HAProxy, with the configuration that the manual shows.
import { binary, data, end, output, runProgram, until } from "./stack.js";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ChildProcess } from "node:child_process";

export interface Replicas {
  /** The proxy's address: what people type. */
  origin: string;
  /** Each console's own address. */
  direct: { name: string; origin: string; process: ChildProcess }[];
  stop: () => Promise<void>;
}

const manual = resolve("..", "docs", "manual", "haproxy.cfg");

/** Starts both consoles and the proxy, and waits until the proxy has found both ready. */
export async function replicas(front: number): Promise<Replicas> {
  mkdirSync(output, { recursive: true });
  const origin = `http://localhost:${front}`;
  const settings = readFileSync(join(data(), "console.toml"), "utf8");
  const direct: Replicas["direct"] = [];
  let proxy: ChildProcess | undefined;
  const stop = async () => {
    if (proxy) await end(proxy, "SIGTERM", 5);
    for (const one of direct) await end(one.process, "SIGTERM", 10);
  };
  try {
    for (const [index, name] of ["one", "two"].entries()) {
      const at = front + 1 + index;
      const file = join(data(), `replica-${name}.toml`);
      const listen = `[listen]\naddress = "127.0.0.1:${at}"\npublic_url = "${origin}"\ntrusted_proxies = ["127.0.0.1"]\n`;
      const own = settings.replace(/^\[listen\]\n(?:[^\[\n].*\n|\n)*/m, `${listen}\n`);
      if (!own.includes(listen)) throw new Error(`console.toml has no [listen] to replace:\n${settings}`);
      // It holds the database's password.
      writeFileSync(file, own, { mode: 0o600 });
      const process = runProgram(join(output, `replica-${name}.log`), "TERM", binary(), "serve", "--config", file);
      direct.push({ name, origin: `http://localhost:${at}`, process });
    }
    // The proxy takes a console for ready until its first check has failed: it begins when both are.
    for (const { name, origin: own, process } of direct) {
      await until(60, () => `${name} is not ready; see ${output}/replica-${name}.log`, async () => {
        if (process.exitCode !== null) throw new Error(`${name} ended; see ${output}/replica-${name}.log`);
        const answer = await fetch(`${own}/readyz`).catch(() => undefined);
        return answer?.ok ? true : undefined;
      });
    }
    const config = join(data(), "haproxy.cfg");
    const mine = readFileSync(manual, "utf8")
      .replaceAll("127.0.0.1:8080", `127.0.0.1:${front}`)
      .replaceAll("localhost:8080", `localhost:${front}`)
      .replace("127.0.0.1:3001", `127.0.0.1:${front + 1}`)
      .replace("127.0.0.1:3002", `127.0.0.1:${front + 2}`);
    writeFileSync(config, mine);
    const log = join(output, "haproxy.log");
    const said = () => readFileSync(log, "utf8");
    proxy = runProgram(log, "TERM", "/usr/sbin/haproxy", "-db", "-f", config);
    const seen = new Set<string>();
    await until(30, said, async () => {
      const ended = [proxy, ...direct.map((one) => one.process)].some((child) => child?.exitCode !== null);
      if (ended) throw new Error(`a console or the proxy ended; see ${output}:\n${said()}`);
      const answer = await fetch(`${origin}/healthz`).catch(() => undefined);
      if (answer?.ok) seen.add(answer.headers.get("x-served-by") ?? "");
      return seen.has("one") && seen.has("two") ? true : undefined;
    });
  } catch (fault) {
    await stop();
    throw fault;
  }
  return { origin, direct, stop };
}

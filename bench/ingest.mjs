// Updates of bots: polled, sealed, committed and confirmed a second, beside COPY of the same rows into the same tables in the
// same run (crates/bots/examples/ingest.rs). ./dev bench starts the PostgreSQL: with fsync, and with nothing else in it.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export function ingest(figures) {
  const program = join(process.env.CARGO_TARGET_DIR, "release", "examples", "ingest");
  const url = process.env.BAGUA_BENCH_DATABASE_URL;
  if (!url) throw new Error("BAGUA_BENCH_DATABASE_URL is not set: run ./dev bench");
  const env = { ...process.env, BAGUA_TEST_DATABASE_URL: url };
  const out = execFileSync(program, { encoding: "utf8", env, timeout: 600_000 });
  for (const line of out.split("\n").filter((text) => text.startsWith("{"))) {
    const part = JSON.parse(line);
    if (part.fsync !== "on") throw new Error("the figures are of a database that does not flush; they mean nothing");
    const bots = `${part.bots} bot${part.bots === 1 ? "" : "s"}`;
    figures[`updates stored and confirmed/s, ${bots}`] = part.updates_per_second;
    figures[`COPY of the same rows, updates/s (${bots})`] = part.copy_updates_per_second;
  }
}

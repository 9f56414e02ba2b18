// The bot runtime (crates/bots/examples/ingest): updates received, sealed, committed and confirmed a second, beside COPY of the same
// rows into the same tables in the same run; how long they wait under a steady load; idle bots, takeover, drain. ./dev bench starts
// the PostgreSQL: with fsync, and with nothing else in it.
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
    const bots = `${part.bots} bot${part.bots === 1 ? "" : "s"}`;
    switch (part.part) {
      case "ingest":
        figures[`updates stored and confirmed/s, ${bots}`] = part.updates_per_second;
        figures[`COPY of the same rows, updates/s (${bots})`] = part.copy_updates_per_second;
        break;
      case "webhook":
        figures[`updates pushed, stored and confirmed/s, 1 bot, ${part.connections} connections`] = part.updates_per_second;
        break;
      case "stored":
        figures[`arrival → confirmed at ${part.per_second}/s, p50/p99 ms`] = `${part.p50_ms}/${part.p99_ms}`;
        break;
      case "reply":
        figures[`arrival → answered at ${part.per_second}/s, p50/p99 ms`] = `${part.p50_ms}/${part.p99_ms}`;
        break;
      case "idle":
        figures[`memory of an idle bot of ${part.bots}, KB`] = part.kb_per_bot;
        break;
      case "handover":
        figures[`killed → others go on, s (lease ${part.lease_s} s)`] = part.takeover_s;
        figures["asked to end under load → ended, s"] = part.drain_s;
        break;
      case "index":
        figures[`updates stored and confirmed/s, ${bots}, with the search index built beside`] = part.updates_per_second;
        figures["search index behind at the end of that, s"] = part.lag_s;
        figures["updates indexed/s with nothing else to do"] = part.indexed_per_second;
        break;
      case "search":
        figures[`search among ${part.messages} messages, slowest of six kinds (${part.slowest}), ms`] = part.slowest_ms;
        figures[`newest page of a chat among ${part.messages} messages, ms`] = part.chat_page_ms;
        break;
      default:
        throw new Error(`a figure that nobody knows: ${line}`);
    }
  }
}

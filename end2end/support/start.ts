import { mkdirSync, rmSync } from "node:fs";
import { output, start, stop } from "./stack.js";

/**
 * Starts one stack for all journeys; Playwright calls what this returns at the end, also after failures. While journeys
 * are written, BAGUA_E2E_DATA (and BAGUA_E2E_LINK for the first) names a stack that runs already; it is left running.
 */
export default async function globalSetup() {
  if (process.env.BAGUA_E2E_DATA) return;
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const stack = await start();
  process.env.BAGUA_E2E_DATA = stack.data;
  process.env.BAGUA_E2E_LINK = stack.link;
  return () => stop(stack);
}

// What every journey does in the browser.
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test as base, type Browser, type BrowserContext, type Locator, type Page } from "@playwright/test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bagua, origin, output } from "./stack.js";

export { expect };

export const admin = { name: "Ada Admin", email: "ada@example.org", password: "violet harbour kettle ladder" };
/** Where the first administrator's session waits for the journeys. */
export const adminState = join(output, "ada.json");

/** Nobody is signed in. */
export const anonymous = { cookies: [], origins: [] };

/** Console errors, uncaught exceptions, CSP violations and faults of hydration in every page of a context. */
class Watch {
  readonly faults: string[] = [];
  readonly tolerated: RegExp[] = [];
  constructor(context: BrowserContext) {
    context.on("console", (message) => {
      if (message.type() === "error" || /Content Security Policy|hydration error/i.test(message.text())) {
        this.faults.push(`${message.text()} (${message.location().url}, on ${message.page()?.url()})`);
      }
    });
    context.on("weberror", (error) => this.faults.push(String(error.error().stack ?? error.error())));
  }
  check() {
    expect(this.faults.filter((fault) => !this.tolerated.some((pattern) => pattern.test(fault)))).toEqual([]);
  }
}

/** What Chromium writes to the console when the server answers with this status; not a fault where that is what is tried. */
export const status = (...codes: number[]) => new RegExp(`status of (${codes.join("|")})`);
/** The same when the console's process is away. */
export const away = /net::ERR_(CONNECTION|INCOMPLETE|EMPTY|NETWORK|ABORTED)|status of 503/;

interface Fixtures {
  /** Lets what matches pass; everything else on any console of this test fails it. */
  tolerate: (pattern: RegExp) => void;
  /** A browser of another person, watched as well. */
  another: (options?: Parameters<Browser["newContext"]>[0]) => Promise<Page>;
}

/** The screens on the wall: map and feed, opened once, never loaded again, through everything that happens. */
export interface Wall {
  map: Page;
  feed: Page;
  /** How often each was loaded: always once. */
  loads: () => number[];
}

export const test = base.extend<Fixtures, { wall: Wall }>({
  storageState: async ({}, use) => use(existsSync(adminState) ? adminState : undefined),
  tolerate: [
    async ({ context }, use) => {
      const watch = new Watch(context);
      await use((pattern) => watch.tolerated.push(pattern));
      watch.check();
    },
    { auto: true },
  ],
  another: async ({ browser, contextOptions }, use) => {
    const open: [BrowserContext, Watch][] = [];
    await use(async (options) => {
      const context = await browser.newContext({ ...contextOptions, baseURL: origin, storageState: anonymous, ...options });
      const watch = new Watch(context);
      watch.tolerated.push(status(401, 403, 422));
      open.push([context, watch]);
      return context.newPage();
    });
    for (const [context, watch] of open) {
      await context.close();
      watch.check();
    }
  },
  wall: [
    async ({ browser }, use) => {
      const context = await browser.newContext({ baseURL: origin, storageState: adminState, viewport: { width: 1440, height: 900 }, timezoneId: "Asia/Shanghai" });
      const watch = new Watch(context);
      watch.tolerated.push(away);
      const loads: number[] = [];
      const open = async (path: string) => {
        const page = await context.newPage();
        const index = loads.push(0) - 1;
        page.on("load", () => loads[index]++);
        await page.goto(path);
        await alive(page);
        return page;
      };
      await use({ map: await open("/"), feed: await open("/alerts"), loads: () => loads });
      await context.close();
      watch.check();
    },
    { scope: "worker", timeout: 60_000 },
  ],
});

/** Waits until the page is alive: hydrated and its live stream open. */
export async function alive(page: Page) {
  await expect(page.locator("header .link.live")).toBeAttached({ timeout: 20_000 });
}

export async function signIn(page: Page, who: { email: string; password: string } = admin) {
  await page.goto("/sign-in");
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).not.toHaveURL(/sign-in/);
}

/** No serious or critical accessibility finding on the page as it stands. */
export async function accessible(page: Page) {
  // In the middle of a fade every colour is another one than in the end.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Infinity).map((a) => a.finished)));
  const { violations } = await new AxeBuilder({ page }).analyze();
  const bad = violations
    .filter((v) => v.impact === "serious" || v.impact === "critical")
    .map((v) => `${page.url()} ${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join(" | ")}`);
  expect.soft(bad).toEqual([]);
}

/** Makes a person at the machine's command line and accepts the invitation in `page`. */
export async function person(page: Page, who: { name: string; email: string; password: string; role: string }) {
  const link = await bagua("admin", "create", who.email, "--role", who.role, "--name", who.name);
  await page.goto(link);
  await page.getByLabel("Your name").fill(who.name);
  await page.getByLabel("New password").fill(who.password);
  await page.getByRole("button", { name: "Set password and sign in" }).click();
  await expect(page.getByRole("heading", { name: "Overview" })).toBeAttached();
}

/** A region's place on the map while it is in this state (`healthy`, `stopped`, `unknown`, `warning`, `critical`). */
export function region(page: Page, code: string, state: string): Locator {
  return page.locator(`svg.map g.spot.${state} a[href^="/regions/${code}"]`);
}

/** The row of an alert in the feed. */
export function alertRow(page: Page, place: string, name = "ServiceDown"): Locator {
  return page.locator("li.alert", { hasText: place }).filter({ has: page.getByRole("link", { name, exact: true }) });
}

/** Moves the focus with Tab until it is on `target`, as somebody without a mouse does. */
export async function tabTo(page: Page, target: Locator, most = 80) {
  for (let n = 0; n < most; n++) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`not reached with ${most} tabs: ${target}`);
}

import type { Locator, Page } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { accessible, alive, anonymous, expect, admin, signIn, test } from "../support/app.js";
import { origin, output, submit } from "../support/stack.js";

const folder = process.env.BAGUA_E2E_SCREENSHOTS ?? join(output, "screens");
mkdirSync(folder, { recursive: true });

const chart = (page: Page, name: string) =>
  page.locator("figure.chart", { has: page.locator("figcaption", { hasText: name }) });

/** What the canvas of a chart shows. */
const pixels = (figure: Locator) =>
  figure.locator("canvas").first().evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());

/** How many different pixels of a colour near `rgb` the canvas has. */
const drawn = (figure: Locator) =>
  figure.locator("canvas").first().evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) if (data[at] > 60) count++;
    return count;
  });

async function onScreen(page: Page, path: string) {
  await page.goto(path);
  await alive(page);
  await expect(page.locator(".plot-live canvas").first()).toBeAttached({ timeout: 30_000 });
}

test("ECharts takes the place of the picture without moving anything, only where charts are", async ({ page }) => {
  const loaded: string[] = [];
  page.on("request", (request) => /charts\.[0-9a-f]+\.js/.test(request.url()) && loaded.push(request.url()));
  await page.goto("/alerts");
  await alive(page);
  expect(loaded).toEqual([]);
  await page.addInitScript(() => {
    const shifts = ((window as never as { shifts: number[] }).shifts = [] as number[]);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as never as { value: number; sources: { node?: Node }[] }[]) {
        if (entry.sources.some((source) => (source.node as Element)?.closest?.("figure.chart"))) shifts.push(entry.value);
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await onScreen(page, "/regions/eu-central-1/gateway?minutes=30");
  expect(loaded).toHaveLength(1);
  const latency = chart(page, "Latency");
  await expect.poll(() => drawn(latency)).toBeGreaterThan(10);
  await expect(latency.locator("svg .line").first()).not.toBeVisible();
  const [picture, canvas] = [await latency.locator(".plot > svg").boundingBox(), await latency.locator(".plot-live").boundingBox()];
  expect(canvas).toEqual(picture);
  // News may arrive meanwhile, and a newest figure with one more digit moves by a hair; a tenth is what readers notice.
  const shifts = await page.evaluate(() => (window as never as { shifts: number[] }).shifts);
  expect(shifts.reduce((sum, shift) => sum + shift, 0)).toBeLessThan(0.005);
  // An image with a name, and the table it stands for.
  const image = latency.locator(".plot-live");
  await expect(image).toHaveAttribute("role", "img");
  await expect(image).toHaveAttribute("aria-label", /Latency from .* until|Latency from/);
  await expect(page.locator(`details#${await image.getAttribute("aria-details")} table`)).toBeAttached();
  await accessible(page);
});

test("the crosshair is shared, keys read the points, and they are those of the table", async ({ page }) => {
  await onScreen(page, "/regions/eu-central-1/gateway");
  const [latency, memory] = [chart(page, "Latency"), chart(page, "Memory")];
  await expect.poll(() => drawn(memory), { timeout: 30_000 }).toBeGreaterThan(10);
  const before = [await pixels(latency), await pixels(memory)];
  await latency.locator(".plot-live").hover({ position: { x: 120, y: 60 } });
  await expect.poll(async () => [await pixels(latency), await pixels(memory)].map((now, n) => now !== before[n])).toEqual([true, true]);
  await page.screenshot({ path: join(folder, "charts-crosshair-light.png"), fullPage: true });
  await page.mouse.move(0, 0);
  await memory.locator(".plot-live").focus();
  await page.keyboard.press("ArrowLeft");
  const read = await memory.locator(".plot-read").innerText();
  expect(read).toMatch(/^\d\d:\d\d:\d\d\s+[\d.]+ MB/);
  await page.keyboard.press("ArrowLeft");
  await expect(memory.locator(".plot-read")).not.toHaveText(read);
  // The newest point, as the table behind writes it.
  await page.keyboard.press("End");
  const newest = (await memory.locator(".plot-read").innerText()).match(/[\d.]+ MB/)?.[0];
  expect(newest).toBeTruthy();
  await expect(memory.locator("details table")).toContainText(newest!);
});

test("dragging over a chart chooses a range that stands in the address", async ({ page }) => {
  // To the end: a platform that has just started has no figures of before.
  await onScreen(page, "/regions/eu-central-1/gateway?minutes=30");
  const place = chart(page, "Memory").locator(".plot-live");
  const box = (await place.boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.7, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.995, box.y + 50, { steps: 4 });
  await expect(place.locator(".plot-band")).toBeVisible();
  await page.mouse.up();
  await expect(page).toHaveURL(/from=.*&until=/);
  const asked = new URL(page.url()).searchParams;
  const minutes = (Date.parse(asked.get("until")!) - Date.parse(asked.get("from")!)) / 60_000;
  expect(minutes).toBeGreaterThan(5);
  expect(minutes).toBeLessThan(13);
  expect(asked.get("minutes")).toBeNull();
  // The page was not loaded again, and the charts are those of the new range.
  await expect(page.locator(".range-own[open]")).toBeAttached();
  await expect(page.locator(".plot-live canvas").first()).toBeAttached();
  await page.goBack();
  await expect(page).toHaveURL(/minutes=30/);
});

test("charts follow the theme, and marks stand in them", async ({ page }) => {
  await submit("component.restart", { component: "us-west-2/runner" });
  await page.context().addCookies([{ name: "bagua_theme", value: "auto", url: origin }]);
  await page.emulateMedia({ colorScheme: "light" });
  await onScreen(page, "/regions/us-west-2/runner");
  const memory = chart(page, "Memory");
  await expect(memory.locator("path.event").first()).toBeAttached({ timeout: 30_000 });
  await expect.poll(() => memory.locator(".plot-live").getAttribute("data-chart"), { timeout: 30_000 }).toContain("markLine");
  const light = await pixels(memory);
  await page.emulateMedia({ colorScheme: "dark" });
  await expect.poll(() => pixels(memory)).not.toBe(light);
  await page.screenshot({ path: join(folder, "charts-marks-dark.png"), fullPage: true });
});

test("the platform's charts are drawn as well, and news of them arrive", async ({ page }) => {
  await onScreen(page, "/performance");
  const connections = chart(page, "Connections").locator(".plot-live");
  await expect.poll(() => connections.getAttribute("data-chart"), { timeout: 30_000 }).not.toBeNull();
  const before = await connections.getAttribute("data-chart");
  await expect.poll(() => connections.getAttribute("data-chart"), { timeout: 60_000 }).not.toBe(before);
  await page.screenshot({ path: join(folder, "charts-performance-light.png"), fullPage: true });
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false, storageState: anonymous });

  test("the picture and its table stand for themselves", async ({ page }) => {
    await signIn(page, admin);
    await page.goto("/regions/eu-central-1/gateway");
    const memory = chart(page, "Memory");
    await expect(memory.locator("svg .line").first()).toBeVisible();
    await expect(page.locator("canvas")).toHaveCount(0);
    await memory.locator("summary").click();
    await expect(memory.getByRole("table")).toContainText("MB");
  });
});

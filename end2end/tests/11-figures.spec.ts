import type { Page } from "@playwright/test";
import { accessible, admin, alive, anonymous, expect, signIn, test } from "../support/app.js";
import { submit } from "../support/stack.js";

/** The regions in the order of the comparison's rows, and what stands in the column. */
async function column(page: Page, name: string): Promise<{ regions: string[]; values: number[] }> {
  const heads = await page.locator("table.compare thead th").allInnerTexts();
  const at = heads.findIndex((head) => head.startsWith(name));
  const rows = page.locator("table.compare tbody tr");
  const regions = await rows.locator("th a").allInnerTexts();
  const cells = await rows.locator(`:nth-child(${at + 1}) .compared > span`).allInnerTexts();
  return { regions, values: cells.map(Number) };
}

const descending = (values: number[]) => values.every((value, n) => n === 0 || values[n - 1] >= value);

test("regions side by side: sorted by the address, figures measured, the worst marked by shape and word", async ({ page }) => {
  await page.goto("/regions/compare?sort=memory&order=desc");
  await alive(page);
  // Every region has been scraped and its memory is known.
  await expect(page.locator("table.compare")).not.toContainText("No data", { timeout: 60_000 });
  const down = await column(page, "Memory");
  expect(down.values).toHaveLength(6);
  expect(down.values.every((value) => value > 1)).toBe(true);
  expect(descending(down.values)).toBe(true);
  await expect(page.getByRole("columnheader", { name: "Memory" })).toHaveAttribute("aria-sort", "descending");
  await page.getByRole("link", { name: /^Memory/ }).click();
  await expect(page).toHaveURL(/sort=memory&order=asc/);
  await expect(page.getByRole("columnheader", { name: "Memory" })).toHaveAttribute("aria-sort", "ascending");
  expect(descending((await column(page, "Memory")).values.reverse())).toBe(true);
  await expect(page.locator("table.compare .mini path").first()).toBeAttached();
  await accessible(page);
});

test("ranges of time in the address, back and forward; what is no range is said", async ({ page }) => {
  await page.goto("/regions/ap-east-1/gateway?minutes=180");
  await alive(page);
  const ranges = page.getByRole("navigation", { name: "Range" });
  await expect(ranges.getByRole("link", { name: "3 h", exact: true })).toHaveAttribute("aria-current", "true");
  await ranges.getByRole("link", { name: "30 min", exact: true }).click();
  await expect(page.locator("svg .line").first()).toBeAttached({ timeout: 30_000 });
  await ranges.getByRole("link", { name: "Earlier" }).click();
  await expect(page).toHaveURL(/from=.*&until=/);
  await expect(page.locator("main")).toContainText("No data in this range");
  await ranges.getByRole("link", { name: "Later" }).click();
  await expect(page).toHaveURL(/minutes=30/);
  await page.goto("/regions/ap-east-1/gateway?from=yesterday&until=2026-01-01T00:00:00Z");
  await expect(page.locator(".range")).toContainText("“yesterday” is no time");
  await accessible(page);
  await page.goto("/regions/ap-east-1?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z");
  await expect(page.locator("main")).toContainText("The start is not before the end");
});

test("what happened is marked on the axis of time, and stands in the table behind", async ({ page }) => {
  await submit("component.restart", { component: "eu-central-1/runner" });
  await page.goto("/regions/eu-central-1/runner");
  await alive(page);
  const chart = page.locator("figure.chart", { has: page.locator("figcaption", { hasText: "Memory" }) });
  await expect(chart.locator("path.event title", { hasText: /Restart/ }).first()).toBeAttached({ timeout: 30_000 });
  await chart.getByText("Table").click();
  await expect(chart.getByRole("table")).toContainText(/Restart/);
});

test("the platform's figures are real, and what has no source says so", async ({ page }) => {
  await page.goto("/performance");
  await alive(page);
  const chart = (name: string) => page.locator("figure.chart", { has: page.locator("figcaption", { hasText: name }) });
  await expect(chart("Response time").locator(".plot-labels")).toContainText(/p95\s*[\d.]+ (µs|ms|s)/, { timeout: 60_000 });
  await expect(chart("Connections").locator(".plot-labels")).toContainText(/open\s*[1-9]/, { timeout: 30_000 });
  await expect(chart("Memory in use").locator(".plot-labels")).toContainText(/[\d.]+ MB/);
  await expect(chart("Operations").locator(".plot-labels")).toContainText(/waiting\s*\d/);
  await accessible(page);
  await page.getByRole("link", { name: "Business" }).click();
  await expect(chart("Open sessions").locator(".plot-labels")).toContainText(/[1-9]/, { timeout: 30_000 });
  await expect(chart("Open compliance violations")).toContainText("No source yet");
  // The demonstration bots receive.
  await expect(chart("Messages of bots").locator(".plot-labels")).toContainText(/received\s*[\d.]+/, { timeout: 30_000 });
  await accessible(page);
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false, storageState: anonymous });

  test("the comparison is sorted and the figures are there", async ({ page }) => {
    await signIn(page, admin);
    await page.goto("/regions/compare");
    await page.getByRole("link", { name: /^Memory/ }).click();
    await expect(page).toHaveURL(/sort=memory&order=desc/);
    expect(descending((await column(page, "Memory")).values)).toBe(true);
    await page.goto("/performance");
    await expect(page.locator("figure.chart svg .line").first()).toBeAttached();
  });
});

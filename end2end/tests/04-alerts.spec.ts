import { resolve } from "node:path";
import { accessible, admin, alertRow, alive, expect, region, test } from "../support/app.js";
import { freeze, pid, processState } from "../support/stack.js";

test("a frozen component is told, taken, restarted from its alert, and green again", async ({ page, wall }) => {
  test.setTimeout(180_000);
  const frozen = await freeze("eu-west-1/gateway");

  // The row comes by itself to the feed that stands open, the region is red on the map, the tab says it.
  const told = alertRow(wall.feed, "Ireland · gateway");
  await expect(told).toBeVisible({ timeout: 120_000 });
  await expect(told).toContainText("Critical");
  await expect(told).toContainText("gateway in eu-west-1 is down");
  await expect(region(wall.map, "eu-west-1", "critical")).toBeVisible();
  await expect(region(wall.map, "eu-west-1", "critical")).toHaveAccessibleName(/Ireland.*Critical/);
  await expect(wall.map.locator(".needs")).toContainText("Ireland · gateway");
  await expect(wall.map).toHaveTitle(/^◆ \d/);
  await expect(wall.feed).toHaveTitle(/^◆ \d/);
  expect(wall.loads()).toEqual([1, 1]);
  await accessible(wall.map);
  await accessible(wall.feed);
  // Nobody's pointer is in the feed, so nothing waits to be let in.
  await expect(wall.feed.getByRole("button", { name: /new$/ })).toBeHidden();

  // Filters stand in the address.
  await page.goto("/alerts?region=eu-central-1");
  await alive(page);
  await expect(alertRow(page, "Ireland · gateway")).toHaveCount(0);
  await page.getByRole("combobox", { name: "in", exact: true }).selectOption("eu-west-1");
  await expect(page).toHaveURL(/region=eu-west-1/);
  const row = alertRow(page, "Ireland · gateway");
  await expect(row).toBeVisible();

  // Somebody takes it, with a note; the wall sees who.
  await row.locator("summary", { hasText: "Acknowledge" }).click();
  await row.getByLabel(/^Note/).fill("looking at the gateway");
  await row.getByRole("button", { name: "Acknowledge" }).click();
  await expect(told).toContainText("looking at the gateway");
  await expect(told).toContainText(admin.name);
  await expect(row).toContainText("looking at the gateway");

  if (process.env.BAGUA_README_SCREENSHOT === "1") {
    await expect(wall.map.locator(".needs")).toContainText(admin.name);
    await wall.map.screenshot({ path: resolve(import.meta.dirname, "../../docs/screenshots/overview.png") });
  }

  // Restart from the alert's own page: plan, confirm, live steps, result.
  await row.getByRole("link", { name: "ServiceDown" }).click();
  await expect(page.getByRole("heading", { name: "ServiceDown" })).toBeVisible();
  await expect(page.locator("main")).toContainText("looking at the gateway");
  await accessible(page);
  await page.getByRole("link", { name: "Restart component" }).click();
  await expect(page).toHaveURL(/operations\/new/);
  await expect(page.locator("main")).toContainText(`Process ${frozen} of eu-west-1/gateway ends`);
  await expect(page.locator("main")).toContainText("it may be frozen");
  await accessible(page);
  expect(processState(frozen), "a plan changes nothing").toBe("T");
  await page.getByLabel(/^Reason/).fill("it does not answer");
  await page.getByRole("button", { name: "Restart", exact: true }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  const id = page.url().split("/").pop();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 40_000 });
  await expect(page.locator(".step.done")).toHaveCount(2);
  await accessible(page);
  expect(await pid("eu-west-1/gateway")).not.toBe(frozen);
  expect(processState(frozen), "the frozen process is gone").toBeUndefined();

  // Green again by itself; the row has left the feed; nobody has touched the wall.
  await expect(region(wall.map, "eu-west-1", "healthy")).toBeVisible({ timeout: 90_000 });
  await expect(told).toHaveCount(0, { timeout: 60_000 });
  expect(wall.loads()).toEqual([1, 1]);

  // It can be looked back at.
  await page.goto(`/audit?operation=${id}`);
  const records = page.locator("tbody tr");
  await expect(records.filter({ hasText: "submit" })).toContainText(admin.name);
  await expect(records.filter({ hasText: "finish" })).toContainText("succeeded");
  await page.goto("/alerts?state=resolved");
  await expect(alertRow(page, "Ireland · gateway").first()).toContainText("ended");
  await accessible(page);
});

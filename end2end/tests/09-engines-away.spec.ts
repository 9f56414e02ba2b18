import { accessible, alive, away, expect, region, test } from "../support/app.js";
import { component, freeze, freezeAll, pid, until } from "../support/stack.js";

test("Redis frozen, then killed: pages and sessions go on, a notice shows and goes", async ({ page, wall }) => {
  test.setTimeout(90_000);
  const redis = await freeze("global/redis");
  await expect(wall.map.locator(".notices")).toContainText("No data from Redis", { timeout: 30_000 });
  await page.goto("/operations");
  await alive(page);
  await expect(page.getByRole("heading", { name: "Operations" })).toBeVisible();
  await expect(page.locator(".notices")).toContainText("No data from Redis");
  await accessible(page);
  process.kill(redis, "SIGKILL");
  // The supervisor starts it again, empty; the session was never only there.
  await until(30, () => "no new Redis", async () => ((await component("global/redis")).pid ?? redis) !== redis || undefined);
  await expect(wall.map.locator(".notices")).not.toContainText("Redis", { timeout: 30_000 });
  await page.goto("/operations");
  await alive(page);
  expect(wall.loads()).toEqual([1, 1]);
});

test("PostgreSQL away, then restarted: map and feed go on read-only with a notice, and recover by themselves", async ({ page, wall, tolerate }) => {
  test.setTimeout(120_000);
  tolerate(away);
  await page.goto("/");
  await alive(page);
  const database = await freezeAll("global/postgres");
  try {
    await expect(wall.map.locator(".notices")).toContainText("No data from the control database", { timeout: 30_000 });
    // Who is signed in keeps map and feed, loaded anew too.
    await page.goto("/");
    await expect(page.locator('svg.map a[href^="/regions/us-west-2"]')).toBeVisible();
    await expect(page.locator(".notices")).toContainText("read-only");
    await accessible(page);
    await page.goto("/alerts");
    await expect(page.getByRole("heading", { name: "Alerts" })).toBeVisible();
    await expect(page.locator("main")).toContainText("come from memory");
    // What cannot be answered says so, and does not pretend to be empty.
    await page.goto("/audit");
    await expect(page.getByRole("alert")).toContainText("does not answer");
  } finally {
    database.thaw();
  }
  process.kill(database.pid, "SIGQUIT");
  await until(60, () => "no new PostgreSQL", async () => ((await component("global/postgres")).pid ?? database.pid) !== database.pid || undefined);
  await expect(wall.map.locator(".notices")).not.toContainText("control database", { timeout: 60_000 });
  await page.goto("/audit");
  await expect(page.locator("tbody tr").first()).toBeVisible();
  await alive(wall.map);
  await alive(wall.feed);
  expect(wall.loads()).toEqual([1, 1]);
});

test("Prometheus away: no data since, nothing turns green by absence, and it comes back", async ({ wall, page, tolerate }) => {
  test.setTimeout(150_000);
  // A page that asks for charts meanwhile is told so; whether it does before the page is left is a matter of moments.
  tolerate(/status of 503.*\/rpc\/charts/);
  await expect(region(wall.map, "us-west-2", "healthy")).toBeVisible({ timeout: 60_000 });
  const prometheus = await freeze("global/prometheus");
  try {
    await expect(wall.map.locator(".notices")).toContainText("No data from Prometheus", { timeout: 40_000 });
    await expect(region(wall.map, "us-west-2", "unknown")).toBeVisible({ timeout: 60_000 });
    await expect(wall.map.locator("svg.map g.spot.healthy")).toHaveCount(0, { timeout: 20_000 });
    await page.goto("/regions/us-west-2/gateway");
    await alive(page);
    await expect(page.locator("main")).toContainText("No data since");
    await accessible(page);
  } finally {
    process.kill(prometheus, "SIGCONT");
  }
  await expect(region(wall.map, "us-west-2", "healthy")).toBeVisible({ timeout: 60_000 });
  await expect(wall.map.locator(".notices")).not.toContainText("Prometheus");
  expect(await pid("global/prometheus")).toBe(prometheus);
  expect(wall.loads()).toEqual([1, 1]);
});

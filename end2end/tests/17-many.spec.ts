import { accessible, admin, alertRow, alive, expect, test } from "../support/app.js";
import { port } from "../support/stack.js";

const names = ["ManyA", "ManyB", "ManyC", "ManyD"];

/** Tells the stack's own Alertmanager of alerts that no rule knows; they end when they are told so. */
async function tell(fires: string[], ended: string[] = []): Promise<void> {
  const alert = (name: string, fires: boolean) => ({
    labels: { alertname: name, severity: "info", region: "eu-west-1", component: "gateway" },
    annotations: { summary: `${name} for a journey` },
    startsAt: new Date(Date.now() - 60_000).toISOString(),
    endsAt: new Date(Date.now() + (fires ? 3_600_000 : -1_000)).toISOString(),
  });
  const answer = await fetch(`http://127.0.0.1:${port + 4}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([...fires.map((name) => alert(name, true)), ...ended.map((name) => alert(name, false))]),
  });
  expect(answer.status).toBe(200);
}

test.beforeAll(async () => tell(names));
test.afterAll(async () => tell([], names));

test("rows are selected by keys and with shift, acknowledged together, and the plan says what ended", async ({ page }) => {
  await page.goto("/alerts?text=Many");
  await alive(page);
  for (const name of names) await expect(alertRow(page, "gateway", name)).toBeVisible();
  await expect(page.getByRole("button", { name: "Acknowledge all 4 that match …" })).toBeVisible();

  // By keys: the first, and with Shift all up to the third.
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await expect(page.getByText("1 selected")).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("Shift+X");
  await expect(page.getByText("3 selected")).toBeVisible();
  await accessible(page);
  // By pointer: the third is taken back.
  const ticks = page.locator(".feed-rows input[name=alert]");
  await ticks.nth(2).click();
  await expect(page.getByText("2 selected")).toBeVisible();

  await page.locator("form.bulk").getByLabel("For how long").selectOption("30");
  await page.locator("form.bulk").getByLabel("Note").fill("two at once");
  await page.getByRole("button", { name: "Acknowledge selected …" }).click();
  await expect(page).toHaveURL(/\/alerts\/selection\?/);
  await expect(page.getByRole("heading", { name: "Acknowledge alerts: 2" })).toBeVisible();
  await expect(page.locator("main")).toContainText("That runs out after 30 minutes");
  await accessible(page);
  await alive(page);
  await page.getByRole("button", { name: "Acknowledge", exact: true }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  await expect(page.locator(".page-state").first()).toContainText("Succeeded");

  await page.goto("/alerts?text=Many&held=yes");
  await alive(page);
  await expect(page.locator(".feed-rows > li")).toHaveCount(2);
  await expect(page.locator(".feed-rows > li").first()).toContainText("two at once");
  await expect(page.locator(".feed-rows > li").first()).toContainText(admin.name);
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog")).toContainText("Select the row");
});

test("a storm is counted by group, and a group opens in its place", async ({ page }) => {
  await page.goto("/alerts?text=Many");
  await alive(page);
  await page.getByRole("combobox", { name: "grouped" }).selectOption("rule");
  await expect(page).toHaveURL(/group=rule/);
  const groups = page.locator(".groups > li");
  await expect(groups).toHaveCount(4);
  await expect(page.locator(".feed-rows")).toBeHidden();
  await groups.filter({ hasText: "ManyB" }).getByRole("link").click();
  await expect(page).toHaveURL(/open=ManyB/);
  await expect(page.locator(".feed-rows > li")).toHaveCount(1);
  await expect(alertRow(page, "gateway", "ManyB")).toBeVisible();
  await accessible(page);
  // By the region's name.
  await page.goto("/alerts?text=ireland");
  await alive(page);
  await expect(alertRow(page, "gateway", "ManyA")).toBeVisible();
});

test("the alert's page says who was told, and a silence of several is made and ended from the screen", async ({ page }) => {
  await page.goto("/alerts?text=Many");
  await alive(page);
  await alertRow(page, "gateway", "ManyA").getByRole("link", { name: "ManyA" }).click();
  const card = page.locator("#delivery");
  await expect(card).toContainText("this console received the notification of its group");
  await expect(card).toContainText('alertname="ManyA"');
  await accessible(page);

  await page.goto("/alerts?text=Many");
  await alive(page);
  const ticks = page.locator(".feed-rows input[name=alert]");
  await ticks.nth(0).check();
  await ticks.nth(1).check();
  await page.getByRole("button", { name: "Silence selected …" }).click();
  await expect(page).toHaveURL(/\/alerts\/silences\?/);
  await expect(page.getByRole("status").filter({ hasText: "holds 2 alerts now" })).toBeVisible();
  await alive(page);
  // Until exactly: in half an hour, as the clock in the operators' zone shows it.
  const end = new Date(Date.now() + 30 * 60_000 + 8 * 3_600_000).toISOString().slice(0, 16);
  await page.getByLabel(/^Or until exactly/).fill(end);
  await page.getByLabel(/^Reason/).fill("two at once");
  await page.getByRole("button", { name: "Silence these alerts" }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  await expect(page.locator(".page-state").first()).toContainText("Succeeded");

  await page.goto("/alerts?text=Many");
  await alive(page);
  await expect(page.locator(".feed-rows .cause", { hasText: "two at once" })).toHaveCount(2);
  await expect(page.locator(".feed-rows .cause").first()).toContainText(`Silenced by ${admin.name}`);

  await page.goto("/alerts/silences");
  await alive(page);
  const row = page.locator(".row.silence", { hasText: "two at once" });
  await row.getByRole("checkbox").check();
  await page.getByRole("button", { name: "End selected …" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await accessible(page);
  await alive(page);
  await page.locator("form.submit button").first().click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded");
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false });

  test("ticks are a form: all that match are acknowledged in one operation", async ({ page }) => {
    await page.goto("/alerts?text=Many");
    await page.locator(".feed-rows input[name=alert]").nth(3).check();
    await page.getByRole("button", { name: "Acknowledge selected …" }).click();
    await expect(page.getByRole("heading", { name: "Acknowledge alerts: 1" })).toBeVisible();
    await page.goto("/alerts?text=Many");
    await page.getByRole("button", { name: /Acknowledge all \d that match/ }).click();
    await expect(page.getByRole("heading", { name: "Acknowledge alerts: 4" })).toBeVisible();
    await page.getByRole("button", { name: "Acknowledge", exact: true }).click();
    await page.goto("/alerts?text=Many&held=yes");
    await expect(page.locator(".feed-rows > li")).toHaveCount(4);
  });
});

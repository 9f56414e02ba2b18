import { accessible, admin, alertRow, alive, expect, test } from "../support/app.js";
import { port } from "../support/stack.js";

/** Tells the stack's own Alertmanager of an alert that no rule knows; it ends when it is told so. */
async function tell(name: string, fires: boolean): Promise<void> {
  const alert = {
    labels: { alertname: name, severity: "warning", region: "eu-west-1", component: "gateway" },
    annotations: { summary: `${name} for a journey` },
    startsAt: new Date(Date.now() - 60_000).toISOString(),
    endsAt: new Date(Date.now() + (fires ? 3_600_000 : -1_000)).toISOString(),
  };
  const answer = await fetch(`http://127.0.0.1:${port + 4}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([alert]),
  });
  expect(answer.status).toBe(200);
}

test("an alert is silenced from its row, held with its cause, told again, and taken for half an hour", async ({ page }) => {
  await tell("JourneySilence", true);
  await page.goto("/alerts?text=JourneySilence");
  await alive(page);
  const row = alertRow(page, "gateway", "JourneySilence");
  await expect(row).toBeVisible();
  await row.getByRole("link", { name: "Silence", exact: true }).click();

  // The form is filled in for this alert and says what it would hold.
  await expect(page).toHaveURL(/\/alerts\/silences\?match=/);
  await expect(page.getByLabel("Alerts with these labels")).toHaveValue(
    'alertname="JourneySilence", region="eu-west-1", component="gateway"',
  );
  await expect(page.getByRole("status").filter({ hasText: "holds 1 alert now" })).toBeVisible();
  await accessible(page);
  await page.getByLabel("For how long").selectOption("30");
  await page.getByLabel(/^Reason/).fill("works at the gate");
  await page.getByRole("button", { name: "Silence these alerts" }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  await expect(page.locator(".page-state").first()).toContainText("Succeeded");

  // Held, and by whom, on the feed and on the alert's own page.
  await page.goto("/alerts?text=JourneySilence");
  await alive(page);
  await row.getByRole("link", { name: "suppressed" }).click();
  const held = page.locator("#held");
  await expect(held).toContainText("works at the gate");
  await expect(held).toContainText(admin.name);
  await accessible(page);

  // Ended: Alertmanager tells of it again.
  await held.getByRole("link", { name: "End it" }).click();
  await expect(page.locator("main")).toContainText("Alerts that Alertmanager tells of again: 1");
  await page.getByRole("button", { name: "End it" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded");
  await page.goto("/alerts?text=JourneySilence");
  await alive(page);
  await expect(row).toBeVisible();
  await expect(row.getByRole("link", { name: "suppressed" })).toHaveCount(0);

  // Taken for half an hour.
  await row.locator("summary", { hasText: "Acknowledge" }).click();
  await row.getByLabel("For how long").selectOption("30");
  await row.getByRole("button", { name: "Acknowledge" }).click();
  await expect(row).toContainText(admin.name);
  await expect(row).toContainText("until");

  await tell("JourneySilence", false);
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false });

  test("the preview comes with the address", async ({ page }) => {
    await page.goto("/alerts/silences");
    await page.getByLabel("Alerts with these labels").fill("alertname=NothingIsCalledThis");
    await page.getByRole("button", { name: "See what it holds" }).click();
    await expect(page.getByText("holds 0 alerts now")).toBeVisible();
    await page.getByLabel("Alerts with these labels").fill("alertname>1");
    await page.getByRole("button", { name: "See what it holds" }).click();
    await expect(page.locator("main")).toContainText("cannot be read: alertname>1");
  });
});

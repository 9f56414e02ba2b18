// The same job without JavaScript, and without a mouse.
import { admin, alertRow, alive, anonymous, expect, tabTo, test } from "../support/app.js";
import { freeze, pid, processState } from "../support/stack.js";

test("without JavaScript: sign in, read the lists, restart from an alert through plain forms", async ({ another }) => {
  test.setTimeout(150_000);
  const frozen = await freeze("ap-southeast-1/runner");
  const page = await another({ javaScriptEnabled: false });
  await page.goto("/alerts");
  await page.getByLabel("E-mail").fill(admin.email);
  await page.getByLabel("Password").fill(admin.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/alerts$/);

  for (const [path, words] of [
    ["/", "Needs you now"],
    ["/regions", "Singapore"],
    ["/regions/ap-southeast-1", "runner"],
    ["/operations", "component.restart"],
    ["/audit", "sign-in"],
    ["/schedules", "There are no schedules"],
    ["/access", admin.email],
  ]) {
    await page.goto(path);
    await expect(page.locator("main"), path).toContainText(path === "/operations" ? "Restart" : words);
  }
  await expect(async () => {
    await page.goto("/alerts?severity=critical");
    await expect(alertRow(page, "Singapore · runner")).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 120_000 });
  const row = alertRow(page, "Singapore · runner");

  // Acknowledge: a trivial thing goes back to where it was done.
  await row.locator("summary").click();
  await row.getByLabel(/^Note/).fill("by plain form");
  await row.getByRole("button", { name: "Acknowledge" }).click();
  await expect(page).toHaveURL(/\/alerts/);
  await expect(alertRow(page, "Singapore · runner")).toContainText("by plain form");

  await alertRow(page, "Singapore · runner").getByRole("link", { name: "Restart component" }).click();
  await expect(page.locator("main")).toContainText(`Process ${frozen}`);
  await page.getByLabel(/^Reason/).fill("without JavaScript");
  await page.getByRole("button", { name: "Restart", exact: true }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  await expect(page.locator("main")).toContainText("without JavaScript");
  await expect(async () => {
    await page.reload();
    await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 500 });
  }).toPass({ timeout: 40_000 });
  expect(await pid("ap-southeast-1/runner")).not.toBe(frozen);
  expect(processState(frozen)).toBeUndefined();
});

test.describe("keyboard", () => {
  test.use({ storageState: anonymous });

  test("with the keyboard alone: sign in, open the alert, restart", async ({ page }) => {
    test.setTimeout(150_000);
    const frozen = await freeze("eu-central-1/gateway");
    await page.goto("/sign-in?next=/alerts");
    const keys = page.keyboard;
    await tabTo(page, page.getByLabel("E-mail"));
    await keys.type(admin.email);
    await keys.press("Tab");
    await keys.type(admin.password);
    await keys.press("Enter");
    await expect(page).toHaveURL(/\/alerts$/);
    await alive(page);

    const row = alertRow(page, "Frankfurt · gateway");
    await expect(row).toBeVisible({ timeout: 120_000 });
    // The first Tab offers to skip the rail.
    await keys.press("Tab");
    await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
    await keys.press("Enter");
    await tabTo(page, row.getByRole("link", { name: "ServiceDown" }));
    await keys.press("Enter");
    await expect(page.getByRole("heading", { name: "ServiceDown" })).toBeVisible();
    await tabTo(page, page.getByRole("link", { name: "Restart component" }));
    await keys.press("Enter");
    await expect(page.locator("main")).toContainText(`Process ${frozen}`);
    await tabTo(page, page.getByRole("button", { name: "Restart", exact: true }));
    await keys.press("Enter");
    await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 40_000 });
    expect(processState(frozen)).toBeUndefined();
  });
});

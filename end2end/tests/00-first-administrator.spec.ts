import { accessible, admin, adminState, alive, anonymous, expect, status, test } from "../support/app.js";

test.use({ storageState: anonymous });

test("the one-time link makes the first administrator, once", async ({ page, another, tolerate }) => {
  tolerate(status(404, 422));
  const link = process.env.BAGUA_E2E_LINK ?? "";
  await page.goto(link);
  await expect(page.getByRole("heading", { name: "The first administrator" })).toBeVisible();
  await accessible(page);

  // A password that is too short comes back with its reason and what was typed.
  await page.getByLabel("Your name").fill(admin.name);
  await page.getByLabel("E-mail").fill(admin.email);
  await page.getByLabel("New password").fill("short");
  await page.getByRole("button", { name: "Set password and sign in" }).click();
  await expect(page.getByLabel("New password")).toHaveAccessibleDescription(/Use at least \d+ characters/);
  await expect(page.getByLabel("New password")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByLabel("Your name")).toHaveValue(admin.name);
  await expect(page.getByLabel("E-mail")).toHaveValue(admin.email);
  await expect(page.getByLabel("New password")).toHaveValue("");
  await accessible(page);

  await page.getByLabel("New password").fill(admin.password);
  await page.getByRole("button", { name: "Set password and sign in" }).click();
  await expect(page.getByRole("heading", { name: "Overview" })).toBeAttached();
  await alive(page);
  await page.context().storageState({ path: adminState });

  // The link is spent, and says so.
  const late = await another();
  await late.goto(link);
  await expect(late.locator("input[name=password]")).toHaveCount(0);
  await expect(late.getByRole("alert")).toContainText("used or has lapsed");
  await accessible(late);
});

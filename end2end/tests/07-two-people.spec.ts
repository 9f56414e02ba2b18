import { accessible, admin, alive, expect, person, test } from "../support/app.js";
import { component } from "../support/stack.js";

test("what the alert pipeline needs is stopped by two people, and its absence is told", async ({ page, another, wall }) => {
  test.setTimeout(120_000);
  await page.goto("/regions/global/alertmanager");
  await alive(page);
  await page.getByRole("link", { name: "Stop", exact: true }).click();
  await expect(page.locator("main")).toContainText("without it, faults may go unnoticed");
  await page.getByLabel(/^Reason/).fill("moving it");
  await accessible(page);
  await page.getByRole("button", { name: "Ask for approval" }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  const operation = new URL(page.url()).pathname;
  await expect(page.locator(".page-state").first()).toContainText("Awaits approval");
  await expect(page.getByRole("button", { name: "Approve this plan" }), "nobody approves their own").toHaveCount(0);
  await page.goto("/approvals");
  await expect(page.locator("main")).toContainText("Nothing waits for your approval.");
  expect((await component("global/alertmanager")).state).toBe("running");

  // The second person finds it in the inbox, with plan and reason, without being told the address.
  const second = await another();
  await person(second, { name: "Bo Second", email: "bo@example.org", password: "quiet copper morning train", role: "administrator" });
  await expect(second.locator(".needs")).toContainText("Stop global/alertmanager");
  await second.getByRole("link", { name: "Approvals" }).click();
  await expect(second.locator("main")).toContainText("moving it");
  await expect(second.locator("main")).toContainText(admin.name);
  await accessible(second);
  await second.getByRole("link", { name: "Look at it and decide" }).click();
  await expect(second).toHaveURL(new RegExp(operation));
  await accessible(second);

  // The first person's page stands open and learns of the decision by itself.
  await page.goto(operation);
  await alive(page);
  await second.getByRole("button", { name: "Approve this plan" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  await expect(page.locator("main")).toContainText("Bo Second");
  await expect(second.locator(".page-state").first()).toContainText("Succeeded");
  expect((await component("global/alertmanager")).state).toBe("stopped");

  // Everybody is told that alerts may be missing; the wall too.
  await expect(wall.feed.locator(".notices")).toContainText("No data from Alertmanager", { timeout: 40_000 });
  await accessible(wall.feed);

  await page.goto("/regions/global/alertmanager");
  await page.getByRole("link", { name: "Start", exact: true }).click();
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  await expect(wall.feed.locator(".notices")).not.toContainText("Alertmanager", { timeout: 40_000 });
});

test("what one asks the other can reject, with a reason, and nothing happens", async ({ page, another }) => {
  await page.goto("/regions/global/prometheus");
  await alive(page);
  await page.getByRole("link", { name: "Stop", exact: true }).click();
  await page.getByRole("button", { name: "Ask for approval" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Awaits approval");
  const second = await another();
  await person(second, { name: "Cy Third", email: "cy@example.org", password: "narrow silver window frame", role: "administrator" });
  await second.goto(new URL(page.url()).pathname);
  await alive(second);
  await second.locator("summary", { hasText: "Reject" }).click();
  await second.getByLabel("Why it should not happen").fill("not before the release");
  await second.getByRole("button", { name: "Reject" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Cancelled");
  await expect(page.locator("main")).toContainText("not before the release");
  expect((await component("global/prometheus")).state).toBe("running");
});

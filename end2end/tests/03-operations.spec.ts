import { accessible, alive, away, expect, status, test } from "../support/app.js";
import { ask, component, hold, pid, processState, submit, until } from "../support/stack.js";

test("stopped on purpose stays stopped, shows as such, and starts again", async ({ page, wall }) => {
  test.setTimeout(90_000);
  await page.goto("/regions/us-west-2/runner");
  await alive(page);
  await page.getByRole("link", { name: "Stop", exact: true }).click();
  await expect(page).toHaveURL(/operations\/new/);
  await expect(page.locator("main")).toContainText("stays stopped until somebody starts it");
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  expect((await component("us-west-2/runner")).state).toBe("stopped");

  await page.goto("/regions/us-west-2/runner");
  await expect(page.locator(".page-state").first()).toContainText("Stopped");
  await expect(page.getByRole("button", { name: /^Stop/ })).toHaveAttribute("aria-disabled", "true");
  await accessible(page);
  await page.getByRole("link", { name: "Start", exact: true }).click();
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  expect((await component("us-west-2/runner")).state).toBe("running");
  await expect(wall.map.locator(".changes")).toContainText("us-west-2/runner");
});

test("a second operation on the same target is refused with a link to the first", async ({ page, tolerate }) => {
  // 422: for the moment in which the old process ends there is nothing to restart, and the open page says so.
  tolerate(status(409, 422));
  await page.goto("/operations/new?kind=component.restart&input=" + encodeURIComponent('{"component":"us-east-1/gateway"}'));
  await alive(page);
  await expect(page.getByRole("button", { name: "Restart", exact: true })).toBeVisible();
  const { held, release } = await hold("us-east-1/gateway");
  const first = await submit("component.restart", { component: "us-east-1/gateway" });
  await held;
  // The page that stands open learns of it.
  await expect(page.getByRole("alert").getByRole("link")).toHaveAttribute("href", `/operations/${first}`);
  const answer = await page.evaluate(async () => {
    const reply = await fetch("/rpc/submit", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ kind: "component.restart", input: { component: "us-east-1/gateway" }, submission: {} }),
    });
    return { status: reply.status, body: await reply.text() };
  });
  expect(answer.status).toBe(409);
  expect(answer.body).toContain(first);
  await page.getByRole("alert").getByRole("link").click();
  await expect(page).toHaveURL(new RegExp(first));
  await expect(page.locator(".page-state").first()).toContainText("Running");
  await release();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 40_000 });
  await accessible(page);
});

test("an operation survives its console being killed, and is done once", async ({ page, tolerate, wall }) => {
  test.setTimeout(120_000);
  tolerate(away);
  const before = await component("ap-east-1/gateway");
  const { held, release } = await hold("ap-east-1/gateway");
  const id = await submit("component.restart", { component: "ap-east-1/gateway" });
  await page.goto(`/operations/${id}`);
  await alive(page);
  // In the middle: the old process is gone, the new one is not ready.
  const fresh = await held;
  await expect(page.locator(".step.done")).toHaveCount(1);
  await expect(page.locator(".page-state").first()).toContainText("Running");
  const killed = await pid("global/console");
  process.kill(killed, "SIGKILL");
  await until(30, () => "no new console", async () => ((await component("global/console")).pid ?? killed) !== killed || undefined);
  await alive(page);
  await release();
  // The page stayed open: its stream has come back by itself and shows the end.
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 60_000 });
  const after = await component("ap-east-1/gateway");
  expect(after.pid, "the process of the first attempt stands: it was restarted once").toBe(fresh);
  expect(after.generation).toBe(before.generation + 1);
  expect(processState(before.pid ?? 0)).toBeUndefined();
  const view = await ask("operations.get", { operation: id });
  expect(view.attempt, "another worker went on with it").toBeGreaterThan(1);
  // The wall has reconnected without being loaded again.
  await alive(wall.map);
  await alive(wall.feed);
  expect(wall.loads()).toEqual([1, 1]);
});

test("an operation is cancelled while it runs", async ({ page }) => {
  const { held, release } = await hold("us-west-2/gateway");
  const id = await submit("component.restart", { component: "us-west-2/gateway" });
  await page.goto(`/operations/${id}`);
  await alive(page);
  await held;
  await expect(page.locator(".step.done")).toHaveCount(1);
  await page.getByRole("button", { name: "Cancel and undo" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Cancelled", { timeout: 30_000 });
  await release();
  await page.goto(`/audit?operation=${id}`);
  await expect(page.locator("tbody tr", { hasText: "finish" })).toContainText("cancelled");
});

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { accessible, admin, alive, expect, status, test } from "../support/app.js";
import { binary, origin, output } from "../support/stack.js";

/** Calls the API as a program does: no cookie, no page behind it. */
async function call(token: string, path: string, body?: unknown): Promise<{ status: number; body: any }> {
  const answer = await fetch(`${origin}/api/v1/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${token}` },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

/** Runs the command line against the console at its address. */
async function remote(token: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { PATH: process.env.PATH, LANG: "en_GB.UTF-8", BAGUA_URL: origin, BAGUA_TOKEN: token };
  try {
    const done = await promisify(execFile)(binary(), args, { env, timeout: 60_000 });
    return { code: 0, out: done.stdout, err: done.stderr };
  } catch (fault: any) {
    return { code: fault.code, out: fault.stdout, err: fault.stderr };
  }
}

test("a token is made on the screen, shown once, used by a program and by the command line, and revoked", async ({ page, another, tolerate }) => {
  tolerate(status(404));
  await page.goto("/access");
  await alive(page);
  await page.getByRole("link", { name: "API tokens" }).click();
  await expect(page).toHaveURL(/\/access\/tokens$/);
  await page.getByLabel("What is it for?").fill("nightly restarts");
  await page.getByLabel("May do").selectOption("everything");
  await page.getByLabel("At most as").selectOption("operator");
  await page.getByLabel("Where").selectOption("us-west-2");
  await page.getByLabel("Lapses after").selectOption("30");
  await page.getByRole("button", { name: "Show what it may do" }).click();
  const plan = page.getByRole("status").filter({ hasText: "at most as Operator" });
  await expect(plan).toContainText("It lapses after 30 days");
  await alive(page);
  await accessible(page);
  await page.screenshot({ path: `${output}/token-plan.png`, fullPage: true });
  await page.getByRole("button", { name: "Make token" }).click();

  const field = page.getByLabel("The token", { exact: true });
  await expect(field).toHaveValue(/^bagua_[0-9a-f]{12}_[0-9a-f]{64}$/);
  const token = await field.inputValue();
  await alive(page);
  await accessible(page);
  await page.screenshot({ path: `${output}/token-made.png`, fullPage: true });
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy" }).click();
  await expect(page.getByRole("button", { name: "Copied" })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(token);

  // Within its limit, and not outside.
  expect((await call(token, "regions")).status).toBe(200);
  const restart = (component: string) => ({ input: { component } });
  expect((await call(token, "submit/component.restart", restart("ap-east-1/runner"))).status).toBe(403);
  expect((await call(token, "audit")).status).toBe(403);
  const done = await call(token, "submit/component.restart", restart("us-west-2/runner"));
  expect(done.status).toBe(202);
  const events = await (
    await fetch(`${origin}/api/v1/operations/${done.body.operation}/events`, { headers: { authorization: `Bearer ${token}` } })
  ).text();
  expect(events).toContain("event: end");
  expect(events).toContain('"state":"succeeded"');

  // The command line, at its address.
  const list = await remote(token, "operations", "list", "--limit", "5");
  expect(list.code, list.err).toBe(0);
  expect(list.out).toContain("us-west-2/runner");
  const followed = await remote(token, "components", "restart", "us-west-2/runner", "--follow");
  expect(followed.code, followed.err).toBe(0);
  expect(followed.out).toContain("submitted");
  expect((await remote(token, "components", "restart", "ap-east-1/runner")).code).toBe(3);
  expect((await remote(token, "components", "restart")).code).toBe(2);

  // The page does not know it any more, but says that it was used.
  await page.getByRole("link", { name: "Access" }).first().click();
  await page.goto("/access/tokens");
  await alive(page);
  const row = page.locator("main tbody tr", { hasText: "nightly restarts" });
  await expect(row).toContainText("from 127.0.0.1");
  await expect(page.getByLabel("The token", { exact: true })).toHaveCount(0);
  expect(await page.content()).not.toContain(token);
  await page.screenshot({ path: `${output}/token-list.png`, fullPage: true });

  // Narrow, dark, in Chinese: nothing serious, nothing wider than the screen.
  const narrow = await another({ storageState: await page.context().storageState(), viewport: { width: 360, height: 740 } });
  await narrow.context().addCookies([
    { name: "bagua_theme", value: "dark", url: origin },
    { name: "bagua_locale", value: "zh-CN", url: origin },
  ]);
  await narrow.goto("/access/tokens?name=nightly&access=everything&days=30");
  await alive(narrow);
  await expect(narrow.getByRole("heading", { name: "API 令牌" })).toBeVisible();
  await accessible(narrow);
  await narrow.screenshot({ path: `${output}/token-narrow.png`, fullPage: true });
  const overflow = await narrow.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(overflow).toBeLessThanOrEqual(0);

  await row.getByRole("link", { name: "Revoke" }).click();
  await expect(page.getByRole("heading", { name: /Revoke the API token “nightly restarts”/ })).toBeVisible();
  await page.getByRole("button", { name: "Confirm" }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  const refused = await call(token, "regions");
  expect(refused.status).toBe(401);
  expect(refused.body.detail).toContain("has been revoked");
  expect((await remote(token, "alerts", "list")).code).toBe(3);

  // The audit log says through which token it was done.
  await page.goto("/audit?kind=component.restart&actor=ada");
  await page.locator("main tbody tr").first().getByText("Details").click();
  await expect(page.locator("main tbody tr").first()).toContainText("nightly restarts");
  await expect(page.locator("main tbody tr").first()).toContainText(admin.name);
});

test("a token is made and revoked without script", async ({ browser, contextOptions, storageState }) => {
  const plain = await browser.newContext({ ...contextOptions, storageState, javaScriptEnabled: false });
  const page = await plain.newPage();
  await page.goto("/access/tokens");
  await page.getByLabel("What is it for?").fill("without script");
  await page.getByRole("button", { name: "Show what it may do" }).click();
  await page.getByRole("button", { name: "Make token" }).click();
  const token = await page.getByLabel("The token", { exact: true }).inputValue();
  await expect(page.getByRole("button", { name: "Copy" })).toBeHidden();
  expect((await call(token, "alerts")).status).toBe(200);
  const planned = await call(token, "submit/component.restart?plan=true", { input: { component: "us-west-2/runner" } });
  expect(planned.status).toBe(200);
  const refused = await call(token, "submit/component.restart", { input: { component: "us-west-2/runner" } });
  expect(refused.status).toBe(403);
  expect(refused.body.detail).toContain("only reads");

  // One that may a single thing.
  await page.goto("/access/tokens");
  await page.getByLabel("What is it for?").fill("restarts alone");
  await page.getByLabel("May do").selectOption("listed");
  await page.locator("summary", { hasText: "Which permissions" }).click();
  await page.getByLabel("Start, stop and restart components").check();
  await page.getByRole("button", { name: "Show what it may do" }).click();
  await expect(page.getByText("Permission: Start, stop and restart components.")).toBeVisible();
  await expect(page.getByLabel("Start, stop and restart components")).toBeChecked();
  await page.screenshot({ path: `${output}/token-listed.png`, fullPage: true });
  await page.getByRole("button", { name: "Make token" }).click();
  const single = await page.getByLabel("The token", { exact: true }).inputValue();
  expect((await call(single, "submit/component.restart?plan=true", { input: { component: "us-west-2/runner" } })).status).toBe(200);
  expect((await call(single, "alerts")).status).toBe(403);

  await page.goto("/access/tokens");
  await page.locator("main tbody tr", { hasText: "without script" }).getByRole("link", { name: "Revoke" }).click();
  await page.getByRole("button", { name: "Confirm" }).click();
  expect((await call(token, "alerts")).status).toBe(401);
  await plain.close();
});

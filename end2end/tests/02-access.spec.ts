import { accessible, admin, anonymous, alive, expect, person, signIn, status, test } from "../support/app.js";
import { ask, bagua, origin } from "../support/stack.js";
import { request } from "node:http";

test.describe("nobody signed in", () => {
  test.use({ storageState: anonymous });

  test("no page without signing in; afterwards the page that was asked for", async ({ page, tolerate }) => {
    tolerate(status(401));
    await page.goto("/operations?state=failed");
    await expect(page).toHaveURL(/sign-in\?next=/);
    await accessible(page);
    await page.getByLabel("E-mail").fill(admin.email);
    await page.getByLabel("Password").fill("not the password at all");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("password is wrong");
    await expect(page.getByLabel("E-mail")).toHaveValue(admin.email);
    await expect(page.getByLabel("Password")).toHaveValue("");
    await page.getByLabel("Password").fill(admin.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).toHaveURL(/operations\?state=failed/);
    await alive(page);
    await page.locator("header summary", { hasText: admin.name }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page).toHaveURL(/sign-in/);
    await page.goto("/operations");
    await expect(page).toHaveURL(/sign-in/);
  });

  test("a foreign address to go back to is not followed", async ({ page }) => {
    await page.goto("/sign-in?next=//evil.example/");
    await page.getByLabel("E-mail").fill(admin.email);
    await page.getByLabel("Password").fill(admin.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("heading", { name: "Overview" })).toBeAttached();
    expect(new URL(page.url()).origin).toBe(origin);
  });

  test("five wrong passwords lock the account, the right one included; a reset link lifts it", async ({ page, tolerate }) => {
    tolerate(status(401, 429));
    const lin = { name: "Lin", email: "lin@example.org", password: "seven grey pebbles rolling", role: "viewer" };
    await person(page, lin);
    await page.context().clearCookies();
    await page.goto("/sign-in");
    for (let attempt = 1; attempt <= 5; attempt++) {
      await page.getByLabel("E-mail").fill(lin.email);
      await page.getByLabel("Password").fill(`wrong password ${attempt}`);
      const answer = page.waitForResponse((r) => r.request().method() === "POST");
      await page.getByRole("button", { name: "Sign in" }).click();
      await (await answer).finished();
      await expect(page.getByRole("alert")).toBeVisible();
      await expect(page.getByLabel("Password")).toHaveValue("");
    }
    await page.getByLabel("E-mail").fill(lin.email);
    await page.getByLabel("Password").fill(lin.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("Too many failed sign-ins");
    await accessible(page);

    await page.goto(await bagua("admin", "reset", lin.email));
    await page.getByLabel("New password").fill("eight green bottles standing");
    await page.getByRole("button", { name: "Set password and sign in" }).click();
    await expect(page.getByRole("heading", { name: "Overview" })).toBeAttached();
  });
});

test("language and theme change and keep the page", async ({ page, tolerate }) => {
  tolerate(status(404));
  await page.goto("/alerts?severity=critical&held=no");
  await alive(page);
  const menu = page.locator("header summary", { hasText: admin.name });
  await menu.click();
  await page.getByRole("button", { name: "简体中文" }).click();
  await expect(page.locator("html")).toHaveAttribute("lang", "zh-CN");
  await expect(page).toHaveURL(/\/alerts\?severity=critical&held=no$/);
  await expect(page.getByRole("heading", { name: "告警" })).toBeVisible();
  await menu.click();
  await page.getByRole("button", { name: "深色" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page).toHaveURL(/\/alerts\?severity=critical&held=no$/);
  await menu.click();
  await page.getByRole("button", { name: "English" }).click();
  await expect(page.locator("html")).toHaveAttribute("lang", "en");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page).toHaveURL(/\/alerts\?severity=critical&held=no$/);
});

test("a request forged by another site changes nothing", async ({ page }) => {
  await page.goto("/");
  const cookie = (await page.context().cookies()).map((c) => `${c.name}=${c.value}`).join("; ");
  // Not through the browser, which would not let us lie about where a request comes from.
  const post = (headers: Record<string, string>) =>
    new Promise<number>((done, failed) => {
      const call = request(`${origin}/sign-out`, { method: "POST", headers: { cookie, ...headers } }, (answer) => {
        answer.resume();
        done(answer.statusCode ?? 0);
      });
      call.on("error", failed);
      call.end();
    });
  expect(await post({ origin: "https://evil.example" })).toBe(403);
  expect(await post({ "sec-fetch-site": "cross-site", origin })).toBe(403);
  expect(await post({ origin: "null" })).toBe(403);
  expect(await post({})).toBe(403);
  expect(await post({ origin, host: "rebound.example" })).toBe(421);
  await page.reload();
  await expect(page.getByRole("heading", { name: "Overview" })).toBeAttached();
});

test("a viewer cannot act, by screen, by plain form or by server function", async ({ another, page }) => {
  const viewer = await another();
  await person(viewer, { name: "Vic", email: "vic@example.org", password: "slow amber river stones", role: "viewer" });
  await viewer.goto("/regions/us-east-1/gateway");
  await alive(viewer);
  for (const name of ["Restart", "Stop"]) {
    const button = viewer.getByRole("button", { name: new RegExp(`^${name}`) });
    await expect(button).toHaveAttribute("aria-disabled", "true");
    await expect(button).toHaveAccessibleName(/Your roles do not include/);
    await expect(viewer.getByRole("link", { name, exact: true })).toHaveCount(0);
  }
  await accessible(viewer);

  const call = (path: string, type: string, body: string) =>
    viewer.evaluate(
      async ([path, type, body]) => {
        const answer = await fetch(path, { method: "POST", headers: { "content-type": type }, body });
        return { status: answer.status, body: await answer.text() };
      },
      [path, type, body],
    );
  const input = { component: "us-east-1/gateway" };
  const before = await ask("operations.list");
  const json = "application/json";
  const refused = await call("/rpc/submit", json, JSON.stringify({ kind: "component.restart", input, submission: {} }));
  expect(refused.status).toBe(403);
  expect(refused.body).toContain("components.operate");
  expect((await call("/rpc/plan", json, JSON.stringify({ kind: "component.restart", input }))).status).toBe(403);
  expect((await call("/rpc/ask", json, JSON.stringify({ kind: "audit.list", query: {} }))).status).toBe(403);
  const form = new URLSearchParams({ input: JSON.stringify(input), back: "/" }).toString();
  const plain = await call("/submit/component.restart", "application/x-www-form-urlencoded", form);
  expect(plain.body).toContain("Your roles do not include");
  expect(await ask("operations.list")).toEqual(before);

  // The address of the plan says it as a page, and so does the audit log's.
  await viewer.goto(`/operations/new?kind=component.restart&input=${encodeURIComponent(JSON.stringify(input))}`);
  await expect(viewer.getByRole("heading", { name: "Not allowed" })).toBeVisible();
  await accessible(viewer);

  // Refusals stand in the audit log.
  await page.goto("/audit?action=deny&actor=vic");
  await expect(page.locator("tbody tr", { hasText: "component.restart" }).first()).toContainText("denied");
});

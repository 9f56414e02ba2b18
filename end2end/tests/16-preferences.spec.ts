import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accessible, admin, alive, anonymous, expect, person, signIn, status, test } from "../support/app.js";
import { ask, output, submit, until } from "../support/stack.js";

const folder = process.env.BAGUA_E2E_SCREENSHOTS ?? join(output, "screens");
mkdirSync(folder, { recursive: true });

const zara = { name: "Zara Zone", email: "zara@example.org", password: "copper window drawer planet", role: "administrator" };

test("times are shown in the reader's own zone, with UTC on hover", async ({ another }) => {
  const page = await another();
  await person(page, zara);
  await page.goto("/audit");
  await alive(page);
  const cell = page.locator("main tbody time").first();
  const [shown, machine] = [await cell.innerText(), (await cell.getAttribute("datetime"))!];
  const at = (zone: string) => {
    const part = Object.fromEntries(
      new Intl.DateTimeFormat("en-GB", { timeZone: zone, year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
        .formatToParts(new Date(machine))
        .map((p) => [p.type, p.value]),
    );
    return `${part.day} ${part.month.slice(0, 3)} ${part.year}, ${part.hour}:${part.minute}:${part.second}`;
  };
  expect(shown).toBe(at("Asia/Shanghai"));
  await page.goto("/preferences");
  await alive(page);
  await accessible(page);
  await page.getByLabel("Time zone").selectOption("America/St_Johns");
  await page.getByRole("button", { name: "Use this zone" }).click();
  await expect(page).toHaveURL(/\/preferences$/);
  await expect(page.getByLabel("Time zone")).toHaveValue("America/St_Johns");
  await page.goto("/audit");
  await alive(page);
  const same = page.locator(`main tbody time[datetime="${machine}"]`).first();
  await expect(same).toHaveText(at("America/St_Johns"));
  await expect(same).toHaveAttribute("title", `${machine.replace("T", " ").replace("Z", "")} UTC`);
  await expect(page.locator(".clock")).toHaveAttribute("title", /America\/St_Johns \(UTC−[23]:30\)/);
  // It belongs to the person and not to the browser.
  const elsewhere = await another({ javaScriptEnabled: false });
  await signIn(elsewhere, zara);
  await elsewhere.goto("/preferences");
  await expect(elsewhere.getByLabel("Time zone")).toHaveValue("America/St_Johns");
});

test("a list with its filters is saved under a name, found in the palette, renamed and deleted", async ({ page }) => {
  await page.goto("/operations?state=succeeded&kind=component.restart");
  await alive(page);
  await page.getByText("Save this view").first().click();
  await page.getByLabel("Name of the view").fill("Restarts that went well");
  await page.locator(".views").getByRole("button", { name: "Save this view" }).click();
  const link = page.getByRole("navigation", { name: "Saved views" }).getByRole("link", { name: "Restarts that went well" });
  await expect(link).toHaveAttribute("aria-current", "true");
  await accessible(page);
  await page.screenshot({ path: join(folder, "views-light.png") });
  // Its link restores the whole state, from anywhere.
  await page.goto("/audit");
  await alive(page);
  await expect(page.getByRole("navigation", { name: "Saved views" })).toHaveCount(0);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("went well");
  await expect(page.locator("#palette-list")).toContainText("Saved view");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/operations\?state=succeeded&kind=component\.restart$/);
  await expect(page.locator('select[name="state"]')).toHaveValue("succeeded");
  await page.goto("/preferences");
  await alive(page);
  const row = page.locator("#views li", { hasText: "Restarts" });
  await row.getByText("Rename").first().click();
  await row.getByLabel("Name of the view").fill("Good restarts");
  await row.getByRole("button", { name: "Rename" }).click();
  await expect(row.getByRole("link", { name: "Good restarts" })).toBeVisible();
  await row.getByRole("button", { name: "Delete" }).click();
  await expect(page.locator("#views")).toContainText("You have no saved views yet");
});

test("what became of one's own operations is said in a corner, without taking the focus", async ({ page, tolerate }) => {
  tolerate(status(404, 409, 422));
  await page.goto("/operations");
  await alive(page);
  const toasts = page.getByRole("status", { name: "Messages" });
  await expect(toasts.locator(".toast")).toHaveCount(0);
  const save = async (name: string) => {
    // The form closes when the list comes anew, which may be at any moment after the view before.
    await expect(async () => {
      if ((await page.locator(".views details[open]").count()) === 0) await page.getByText("Save this view").first().click({ timeout: 1000 });
      await page.getByLabel("Name of the view").fill(name, { timeout: 1000 });
      await page.getByLabel("Name of the view").press("Enter", { timeout: 1000 });
      await expect(page.getByRole("navigation", { name: "Saved views" }).getByRole("link", { name, exact: true })).toBeVisible({ timeout: 3000 });
    }).toPass();
  };
  await save("one");
  await expect(toasts.getByRole("link", { name: "Save the view “one”" })).toBeVisible();
  await page.screenshot({ path: join(folder, "toast-light.png") });
  expect(await page.evaluate(() => document.activeElement?.closest(".toasts"))).toBeNull();
  // It waits as long as a pointer rests on it, and goes by itself afterwards.
  await toasts.locator(".toast").first().hover();
  await save("two");
  await save("three");
  await save("four");
  await expect(toasts.locator(".toast")).toHaveCount(3);
  await toasts.getByRole("button", { name: "Dismiss" }).first().click();
  await expect(toasts.locator(".toast")).toHaveCount(2);
  await page.mouse.move(5, 5);
  await page.locator("h1").click();
  await expect(toasts.locator(".toast")).toHaveCount(0, { timeout: 20_000 });
  const views: { view: string }[] = await page.evaluate(async () => {
    const answer = await fetch("/rpc/ask", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ kind: "views.list", query: {} }) });
    return answer.json();
  });
  expect(views.length).toBeGreaterThanOrEqual(4);
  await page.goto("/preferences");
  await alive(page);
  for (let left = views.length; left > 0; left--) {
    await page.locator("#views").getByRole("button", { name: "Delete" }).first().click();
    await expect(page.locator("#views li")).toHaveCount(left - 1);
  }
});

test("reports are printed black on white, without navigation, with who printed them", async ({ page }) => {
  const operation = await submit("component.restart", { component: "us-east-1/runner" });
  await until(30, () => `${operation} goes on`, async () => (await ask("operations.get", { operation })).summary.state === "succeeded" || undefined);
  const alert = (await ask("alerts.list", { state: "resolved" })).page.rows[0] ?? (await ask("alerts.list")).page.rows[0];
  const reports: [string, string][] = [
    ["audit", "/audit"],
    ["operation", `/operations/${operation}`],
    ["compare", "/regions/compare"],
    ["component", "/regions/us-east-1/gateway"],
    ...(alert ? [["alert", `/alerts/${alert.alert}`] as [string, string]] : []),
  ];
  await page.emulateMedia({ colorScheme: "dark" });
  for (const [name, path] of reports) {
    await page.goto(path);
    await alive(page);
    const file = join(folder, `print-${name}.pdf`);
    const pdf = await page.pdf({ format: "A4", landscape: name !== "operation" && name !== "alert" });
    writeFileSync(file, pdf);
    await page.emulateMedia({ media: "print" });
    await expect(page.locator(".printed")).toContainText(`by ${admin.name}`);
    await expect(page.locator(".printed")).toContainText("Asia/Shanghai");
    await expect(page.locator("header.top")).not.toBeVisible();
    await expect(page.locator("nav.rail, .rail").first()).not.toBeVisible();
    await expect(page.locator("h1")).toBeVisible();
    const paper = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector("h1")!).color]);
    expect(paper).toEqual(["rgb(255, 255, 255)", "rgb(0, 0, 0)"]);
    await page.emulateMedia({ media: "screen" });
  }
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false, storageState: anonymous });

  test("zone and views are plain forms", async ({ page }) => {
    await signIn(page, admin);
    await page.goto("/audit?action=sign-in");
    await page.locator(".views summary").click();
    await page.getByLabel("Name of the view").fill("Sign-ins");
    await page.locator(".views").getByRole("button", { name: "Save this view" }).click();
    await expect(page).toHaveURL(/\/audit\?action=sign-in$/);
    await expect(page.getByRole("link", { name: "Sign-ins" })).toBeVisible();
    await page.goto("/preferences");
    await page.locator("#views").getByRole("button", { name: "Delete" }).click();
    await expect(page.locator("#views")).toContainText("You have no saved views yet");
  });
});

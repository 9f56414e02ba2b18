import { accessible, alive, expect, test } from "../support/app.js";

test("search finds what the reader may see, with and without script", async ({ page, browser, contextOptions, storageState }) => {
  await page.goto("/");
  await alive(page);
  await page.keyboard.press("/");
  await expect(page.getByRole("searchbox", { name: "Search everything" })).toBeFocused();
  await page.keyboard.type("frankfurt");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/search\?q=frankfurt$/);
  const found = page.locator("section.card", { hasText: "Components" });
  await expect(found.getByRole("link", { name: "Frankfurt · gateway" })).toHaveAttribute("href", "/regions/eu-central-1/gateway");
  await expect(found.getByRole("link", { name: /Ireland/ })).toHaveCount(0);
  await accessible(page);

  const plain = await browser.newContext({ ...contextOptions, storageState, javaScriptEnabled: false });
  const quiet = await plain.newPage();
  await quiet.goto("/search");
  await expect(quiet.locator(".empty")).toContainText("What are you looking for?");
  await quiet.locator("main").getByRole("searchbox").fill("ada");
  await quiet.locator("main").getByRole("button", { name: "Search" }).click();
  await expect(quiet.locator("section.card", { hasText: "People" })).toContainText("ada@example.org");
  await plain.close();
});

test("the palette leads to places and to the plan of an action, by keys alone", async ({ page }) => {
  await page.goto("/");
  await alive(page);
  await page.keyboard.press("Control+k");
  const palette = page.getByRole("dialog", { name: "Places and actions" });
  await expect(palette).toBeVisible();
  await expect(palette.getByRole("combobox")).toBeFocused();
  await page.keyboard.type("restart oregon gate");
  await expect(palette.getByRole("option").first()).toContainText("Restart Oregon · gateway");
  await expect(palette.getByRole("option").first()).toHaveAttribute("aria-selected", "true");
  await accessible(page);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/operations\/new\?kind=component\.restart/);
  await expect(page.getByRole("heading", { name: "Restart us-west-2/gateway" })).toBeVisible();
  await expect(palette).toBeHidden();

  await page.keyboard.press("Control+k");
  // The last words do not stand there any more.
  await expect(palette.getByRole("combobox")).toHaveValue("");
  await page.keyboard.type("nothing like this");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/search\?q=nothing%20like%20this$/);

  await page.keyboard.press("Control+k");
  await page.keyboard.type("audit");
  await palette.getByRole("option", { name: "Audit log" }).click();
  await expect(page).toHaveURL(/\/audit$/);
});

test("keys walk the rows and say what they are; fields keep their letters", async ({ page }) => {
  await page.goto("/regions/ap-east-1");
  await alive(page);
  await page.keyboard.press("?");
  const sheet = page.getByRole("dialog", { name: "Keys" });
  await expect(sheet).toBeVisible();
  await accessible(page);
  await page.keyboard.press("Escape");
  await expect(sheet).toBeHidden();

  const rows = page.locator("main .scroll tbody tr");
  await page.keyboard.press("j");
  await expect(rows.nth(0).getByRole("link").first()).toBeFocused();
  await page.keyboard.press("j");
  await expect(rows.nth(1).getByRole("link").first()).toBeFocused();
  await page.keyboard.press("k");
  await expect(rows.nth(0).getByRole("link").first()).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/regions\/ap-east-1\/\w+/);

  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await expect(page).toHaveURL(/\/alerts$/);
  const text = page.getByRole("searchbox").last();
  await text.focus();
  await page.keyboard.type("jk?");
  await expect(text).toHaveValue("jk?");
  await expect(sheet).toBeHidden();
});

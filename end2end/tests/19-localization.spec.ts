import { accessible, alive, expect, status, test } from "../support/app.js";
import { ask, origin, output, submit } from "../support/stack.js";

test("a text is written in two languages, what no longer fits is shown, and health says so", async ({ page, tolerate }) => {
  tolerate(status(422));
  await page.goto("/localization");
  await alive(page);
  await page.locator("summary", { hasText: "New text" }).click();
  const form = page.locator("details[open] form");
  await form.getByLabel("Key").fill("greeting");
  await form.getByLabel("Text").fill("Hello {name}, welcome to {shop}.");
  await form.getByRole("button", { name: "Save" }).click();
  const row = page.locator(".texts tbody tr", { hasText: "greeting" });
  await expect(row).toContainText("Hello {name}, welcome to {shop}.");

  // Another language: what is missing is said, and a text that does not fit is refused and stays in its field.
  await page.getByRole("textbox", { name: "Language" }).fill("zh-CN");
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page).toHaveURL(/language=zh-CN/);
  await expect(row).toContainText("Not translated: English stands in.");
  await row.locator("summary").click();
  const field = row.getByLabel("Text");
  await field.fill("{name}，欢迎光临。");
  await row.getByRole("button", { name: "Save" }).click();
  await expect(row.getByRole("alert")).toContainText("it has {name}, {shop}");
  await expect(field).toHaveValue("{name}，欢迎光临。");
  await accessible(page);
  await field.fill("{name}，欢迎光临{shop}。");
  await row.getByRole("button", { name: "Save" }).click();
  await expect(row).toContainText("欢迎光临{shop}");
  await expect(row).not.toContainText("Not translated");
  await alive(page);
  await page.screenshot({ path: `${output}/localization.png`, fullPage: true });
  const said = await ask("catalogues.message", { language: "zh-CN", region: "eu-west-1", key: "greeting", values: { name: "小魏", shop: "八卦" } });
  expect(said.text).toBe("小魏，欢迎光临八卦。");
  const health = async () => (await fetch(`${origin}/localization/health`)).json();
  expect((await health()).status).toBe("healthy");

  // The English text goes on; the Chinese one no longer fits.
  await submit("catalogue.write", { language: "en", key: "greeting", text: "Hello {name}.", version: 1 });
  await expect(row).toContainText("The placeholders differ from the English text");
  await expect(page.getByRole("row", { name: /zh-CN/ }).first()).toContainText("Wrong texts");
  expect(await health()).toMatchObject({ status: "degraded", wanting: [{ language: "zh-CN", missing: 0, faulty: 1 }] });

  // Taken away by way of a plan; English stands in again.
  await row.getByRole("link", { name: "Remove" }).click();
  await expect(page.getByRole("heading", { name: "Remove the text “greeting” from zh-CN" })).toBeVisible();
  await page.getByRole("button", { name: "Confirm" }).click();
  await expect(page).toHaveURL(/operations\/[0-9a-f-]{36}$/);
  expect((await ask("catalogues.message", { language: "zh-CN", key: "greeting", values: { name: "Wei" } })).text).toBe("Hello Wei.");
  await submit("catalogue.remove", { language: "en", key: "greeting" });
  expect((await health()).status).toBe("empty");
});

test.describe("without script", () => {
  test.use({ javaScriptEnabled: false });
  test("a text is written by a plain form", async ({ page }) => {
    await page.goto("/localization");
    await page.locator("summary", { hasText: "New text" }).click();
    await page.getByRole("textbox", { name: "Key" }).fill("plain");
    await page.getByRole("textbox", { name: "Text" }).fill("Plain words.");
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByRole("heading", { name: "Write the text “plain” in en" })).toBeVisible();
    await page.goto("/localization");
    await expect(page.locator(".texts tbody tr", { hasText: "plain" })).toContainText("Plain words.");
    await submit("catalogue.remove", { language: "en", key: "plain" });
  });
});

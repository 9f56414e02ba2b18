// Several bots are chosen in the fleet and stopped a few at a time by one operation, that is looked at first; without script, too.
import { accessible, admin, alive, expect, test } from "../support/app.js";
import { ask, port, submit, until } from "../support/stack.js";

const simulator = `http://127.0.0.1:${port + 20}/sim`;
const region = "eu-west-1";
const ids = [710_000_231, 710_000_232, 710_000_233];

const condition = async (bot: number) => (await ask("bots.one", { bot })).bot.condition;
const all = (wanted: string[]) =>
  until(60, () => `the bots are not ${wanted}`, async () => {
    const now = await Promise.all(ids.map(condition));
    return now.join() === wanted.join() ? true : undefined;
  });

test("several bots are stopped in batches and started again", async ({ page, another }) => {
  test.setTimeout(180_000);
  for (const id of ids) {
    const token = `${id}:journey-token-of-several-000000${id % 1000}`;
    const answer = await fetch(`${simulator}/bots`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id, token, username: `several_${id % 1000}_bot` }),
    });
    expect(answer.ok).toBe(true);
    await submit("bot.add", { region, server: "simulator", token });
  }
  await all(["running", "running", "running"]);

  await page.goto("/bots");
  await alive(page);
  const form = page.getByRole("form", { name: "Several at once" });
  // By keyboard; what was ticked stays when the list is drawn anew.
  for (const number of [231, 232]) {
    const tick = page.getByLabel(`Choose @several_${number}_bot`);
    // The list may be drawn anew between the focus and the key, which then reaches nothing.
    await expect(async () => {
      if (!(await tick.isChecked())) {
        await tick.focus();
        await page.keyboard.press("Space");
      }
      await expect(tick).toBeChecked({ timeout: 1_000 });
    }).toPass({ timeout: 20_000 });
  }
  await expect(form).toContainText("2 bots chosen");
  // A stopped bot moves to the end of the list, and back when it runs: each tick stays with its bot.
  for (const [kind, now] of [["bot.stop", "stopped"], ["bot.start", "running"]] as const) {
    await submit(kind, { bot: ids[0], region });
    await all([now, "running", "running"]);
    await expect(page.getByRole("row", { name: /@several_231_bot/ })).toContainText(now === "stopped" ? "Stopped" : "Running");
    for (const number of [231, 232]) await expect(page.getByLabel(`Choose @several_${number}_bot`)).toBeChecked();
    await expect(page.locator("table.fleet input:checked")).toHaveCount(2);
  }
  await accessible(page);
  await form.getByLabel("What").selectOption("stop");
  await form.getByLabel("At a time").fill("1");
  await form.getByRole("button", { name: "See what would change" }).click();
  await expect(page).toHaveURL(/\/bots\/selection\?/);
  await expect(page.locator("main")).toContainText("Stop 2 bots");
  await expect(page.locator("main")).toContainText("2 batches of at most 1");
  await accessible(page);
  await page.locator("form button.primary").first().click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 60_000 });
  await expect(page.locator(".steps")).toContainText("Batch 2");
  await all(["stopped", "stopped", "running"]);

  const plain = await another({ javaScriptEnabled: false });
  await plain.goto("/bots");
  await plain.getByLabel("E-mail").fill(admin.email);
  await plain.getByLabel("Password").fill(admin.password);
  await plain.getByRole("button", { name: "Sign in" }).click();
  for (const id of ids) await plain.getByLabel(`Choose @several_${id % 1000}_bot`).check();
  const bare = plain.getByRole("form", { name: "Several at once" });
  await bare.getByLabel("What").selectOption("start");
  await bare.getByRole("button", { name: "See what would change" }).click();
  await expect(plain.locator("main")).toContainText("Start 2 bots");
  await expect(plain.locator("main")).toContainText("1 are left as they are");
  await plain.locator("form button.primary").first().click();
  await all(["running", "running", "running"]);
});

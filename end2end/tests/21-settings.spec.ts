// How a bot receives is changed on the screen: Telegram pushes through the region's door, then the bot polls again; nothing is lost
// on the way. One update is read as it came.
import { accessible, admin, alive, expect, status, test } from "../support/app.js";
import { ask, port, submit, until } from "../support/stack.js";

const simulator = `http://127.0.0.1:${port + 20}/sim`;
const region = "eu-west-1";
const id = 710_000_021;

async function sim(path: string, body?: unknown): Promise<any> {
  const answer = await fetch(`${simulator}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`the simulator answers ${answer.status} to ${path}: ${await answer.text()}`);
  return answer.json();
}

const totals = async () => (await sim(`/bots/${id}`)).totals;
const detail = () => ask("bots.one", { bot: id });

/** Waits until Telegram was told of all that is stored here, and of nothing else. */
async function stored(updates: number): Promise<void> {
  await until(60, () => `${updates} updates are not all stored and confirmed`, async () =>
    (await totals()).acknowledged === updates && (await detail()).bot.stored === updates ? true : undefined,
  );
  expect((await totals()).acknowledged_unseen).toBe(0);
}

test("a bot goes from polling to webhook and back on the screen, with nothing lost", async ({ page, another, tolerate }) => {
  test.setTimeout(180_000);
  tolerate(status(422));
  const secret = "journey-token-of-the-settings-00021";
  await sim("/bots", { id, token: `${id}:${secret}`, username: "settings_bot" });
  await submit("bot.add", { region, server: "simulator", token: `${id}:${secret}` });
  await sim(`/bots/${id}/load`, { updates: 10, chats: 3, text: "Polled" });
  await stored(10);

  await page.goto(`/bots/${id}/settings`);
  await alive(page);
  await expect(page.locator("#set")).toContainText("none");
  await accessible(page);
  const form = page.locator("#change");
  await form.getByLabel(/Telegram pushes them/).check();
  await form.getByLabel("These only").check();
  // Nothing ticked: said, and what was chosen stays.
  await form.getByRole("button", { name: "See what would change" }).click();
  await expect(page.locator("#change")).toContainText("Choose at least one kind");
  await expect(page.locator("#change").getByLabel(/Telegram pushes them/)).toBeChecked();
  for (const kind of ["message", "callback_query"]) await page.locator("#change").getByLabel(kind, { exact: true }).check();
  await page.locator("#change").getByRole("button", { name: "See what would change" }).click();
  await expect(page).toHaveURL(/kind=bot\.configure/);
  await expect(page.locator("main")).toContainText("with a new secret. Polling ends.");
  await expect(page.locator("main")).toContainText("message, callback_query");
  await accessible(page);
  await page.locator("form button.primary").first().click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 40_000 });

  // Pushed through the gateway into the same ledger; nobody polls meanwhile.
  const polls = (await totals()).polls;
  await sim(`/bots/${id}/load`, { updates: 40, chats: 5, text: "Pushed" });
  await stored(50);
  expect((await totals()).polls).toBe(polls);
  await page.goto(`/bots/${id}/settings`);
  await expect(page.locator(".page-state").first()).toContainText("Telegram says what is wanted", { timeout: 40_000 });
  await expect(page.locator("#set")).toContainText(`/v1/hooks/telegram/${id}`);

  // One update as it came, by who may.
  await page.goto(`/bots/${id}?content=1`);
  await page.locator("#tail tbody tr").first().getByRole("link").click();
  await expect(page.locator("pre.raw")).toContainText("Pushed");
  await expect(page.locator("main")).toContainText("stands in the audit log");
  await accessible(page);

  // Back, without script.
  const plain = await another({ javaScriptEnabled: false });
  await plain.goto(`/bots/${id}/settings`);
  await plain.getByLabel("E-mail").fill(admin.email);
  await plain.getByLabel("Password").fill(admin.password);
  await plain.getByRole("button", { name: "Sign in" }).click();
  await plain.locator("#change").getByLabel(/Its owner fetches them/).check();
  await plain.locator("#change").getByLabel(/usual ones/).check();
  await plain.locator("#change").getByRole("button", { name: "See what would change" }).click();
  await expect(plain.locator("main")).toContainText("The webhook of @settings_bot is removed");
  await plain.locator("form button.primary").first().click();
  await expect(plain.locator("main")).toContainText(/Change how @settings_bot receives/);
  await until(40, () => "the bot does not poll", async () => ((await totals()).polls > polls ? true : undefined));
  await sim(`/bots/${id}/load`, { updates: 5, chats: 2, text: "Polled again" });
  await stored(55);
  // The fleet knows all of it, and says that nothing is missing.
  await page.goto("/bots");
  await expect(page.getByRole("row", { name: /@settings_bot/ })).toContainText("nothing waits", { timeout: 40_000 });
});

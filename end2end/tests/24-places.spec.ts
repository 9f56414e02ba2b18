// A bot is moved to another region on the screen, its new home freezes, who stands by takes it and gives it back later, with nothing
// lost; and the processes of a region are tuned while they run.
import { accessible, alive, expect, status, test } from "../support/app.js";
import { ask, pid, port, submit, until } from "../support/stack.js";

const simulator = `http://127.0.0.1:${port + 20}/sim`;
const data = "eu-west-1";
const home = "us-east-1";
const id = 710_000_024;

async function sim(path: string, body?: unknown): Promise<any> {
  const answer = await fetch(`${simulator}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`the simulator answers ${answer.status} to ${path}: ${await answer.text()}`);
  return answer.json();
}

const write = (updates: number, per_second?: number) => sim(`/bots/${id}/load`, { updates, chats: 20, per_second, text: "On the way" });
const one = async () => (await ask("bots.one", { bot: id })).bot;

async function agrees(pushed: number): Promise<void> {
  await until(60, () => `${pushed} updates are not all stored and confirmed`, async () => {
    const totals = (await sim(`/bots/${id}`)).totals;
    return totals.acknowledged === pushed && (await one()).stored === pushed ? true : undefined;
  });
  expect((await sim(`/bots/${id}`)).totals.acknowledged_unseen).toBe(0);
}

/** Submits an operation and waits until it has ended well. */
async function done(kind: string, input: unknown): Promise<void> {
  const operation = await submit(kind, input);
  await until(60, () => `${kind} has not succeeded`, async () => ((await ask("operations.get", { operation })).summary.state === "succeeded" ? true : undefined));
}

const runsIn = (region: string, seconds = 60) =>
  until(seconds, () => `the bot does not run in ${region}`, async () => {
    const bot = await one();
    return bot.runs_in === region && bot.condition === "running" ? true : undefined;
  });

test("a bot is moved on the screen, stood in for while its new home is frozen, and taken back", async ({ page, tolerate }) => {
  test.setTimeout(240_000);
  tolerate(status(422));
  const token = `${id}:journey-token-of-the-places-000024`;
  await sim("/bots", { id, token, username: "places_bot" });
  await submit("bot.add", { region: data, server: "simulator", token });
  await runsIn(data);
  await write(20);

  await page.goto(`/bots/${id}/settings`);
  await alive(page);
  const place = page.locator("#place");
  await expect(place).toContainText("It runs in");
  // The same region twice: said, and what was chosen stays.
  await place.locator("select[name=home]").selectOption(home);
  await place.locator("select[name=standby]").first().selectOption(home);
  await place.getByRole("button", { name: "See what would change" }).click();
  await expect(page.locator("#place")).toContainText("stands there twice");
  await expect(page.locator("#place").locator("select[name=home]")).toHaveValue(home);
  await accessible(page);
  await page.locator("#place").locator("select[name=standby]").first().selectOption(data);
  await page.locator("#place").getByRole("button", { name: "See what would change" }).click();
  await expect(page).toHaveURL(/kind=bot\.move/);
  await expect(page.locator("main")).toContainText("wherever it runs");
  await accessible(page);
  await write(600, 60);
  await page.locator("form button.primary").first().click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 60_000 });
  await runsIn(home);
  await agrees(620);
  await page.goto("/bots");
  const row = page.getByRole("row", { name: /@places_bot/ });
  await expect(row).toContainText("stands by");

  // The new home freezes under load: its lease ends, and who stands by goes on.
  await write(2000, 80);
  const frozen = await pid(`${home}/runner`);
  process.kill(frozen, "SIGSTOP");
  try {
    await runsIn(data);
    await expect(row.locator(".warning").first()).toBeVisible({ timeout: 20_000 });
    await agrees(2620);
  } finally {
    process.kill(frozen, "SIGCONT");
  }
  // It wakes, may nothing under its old lease, and is the better placed one again.
  await runsIn(home, 90);
  await write(20);
  await agrees(2640);
  await page.goto(`/bots/${id}`);
  await expect(page.locator("main")).toContainText("taken over by");
  const bot = await one();
  expect([bot.lost, bot.doubled]).toEqual([0, 0]);
  await accessible(page);

  // Pushed to where it runs: Telegram is told another address with each region.
  await done("bot.configure", { bot: id, region: data, mode: "webhook" });
  await write(30);
  await agrees(2670);
  const address = async () => (await ask("bots.one", { bot: id })).settings.seen?.webhook_url as string | undefined;
  const there = await until(40, () => "Telegram says no address", address);
  await done("bot.move", { bot: id, region: data, home: data });
  await runsIn(data);
  await until(40, () => "Telegram still pushes to the old region", async () => ((await address()) !== there ? true : undefined));
  await write(30);
  await agrees(2700);
});

test("the processes of a region are tuned while they run, without script too", async ({ page, another, tolerate }) => {
  tolerate(status(422));
  await page.goto("/bots");
  await page.getByRole("link", { name: "Tuning" }).click();
  await alive(page);
  const card = page.locator(`#tuning-${data}`);
  await expect(card.locator("tbody tr").first()).toContainText("%", { timeout: 20_000 });
  await accessible(page);
  await card.getByText("Change it").click();
  await card.getByLabel(/Transactions at once/).fill("12");
  await card.getByRole("button", { name: "See what would change" }).click();
  await expect(card).toContainText("too few for so many transactions");
  await expect(card.getByLabel(/Transactions at once/)).toHaveValue("12");
  await card.getByLabel(/Connections to the data database/).fill("18");
  await card.getByRole("button", { name: "See what would change" }).click();
  await expect(page).toHaveURL(/kind=bots\.tune/);
  await expect(page.locator("main")).toContainText("4 → 12");
  await accessible(page);
  await page.locator("form button.primary").first().click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 60_000 });
  await page.goto("/bots/tuning");
  await expect(page.locator(`#tuning-${data}`)).toContainText("Transactions at once 12");
  await expect(page.locator(`#tuning-${data}`)).not.toContainText("works with version");

  const plain = await another({ javaScriptEnabled: false, storageState: await page.context().storageState() });
  await plain.goto("/bots/tuning");
  await plain.locator(`#tuning-${data}`).getByText("Change it").click();
  await plain.locator(`#tuning-${data}`).getByLabel(/Calls of a bot at once/).fill("20");
  await plain.locator(`#tuning-${data}`).getByRole("button", { name: "See what would change" }).click();
  await expect(plain.locator("main")).toContainText("16 → 20");
});

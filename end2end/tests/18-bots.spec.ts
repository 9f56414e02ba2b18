// A bot comes in by its token, its messages arrive, it is stopped and started, its runner is killed, another takes over;
// and what is stored agrees with what the simulator says that it was told.
import { accessible, alive, expect, status, test } from "../support/app.js";
import { ask, component, origin, pid, port, until } from "../support/stack.js";

const simulator = `http://127.0.0.1:${port + 20}`;
const region = "eu-west-1";
const id = 710_000_018;
const secret = "journey-token-that-nobody-reads-0018";

/** Does something at Telegram's side. */
async function sim(path: string, body?: unknown): Promise<any> {
  const answer = await fetch(`${simulator}/sim${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`the simulator answers ${answer.status} to ${path}: ${await answer.text()}`);
  return answer.json();
}

/** Lets people write; every message has text, so that each is a message to the console too. */
const write = (updates: number, per_second?: number) => sim(`/bots/${id}/load`, { updates, chats: 20, per_second, text: "Hello from the journey" });

const one = async () => (await ask("bots.one", { bot: id })) as { bot: { condition: string; stored: number; owner: string | null; fence: number }; timeline: { what: string; owner: string | null }[] };

/** Waits until what Telegram was told equals what is stored: nothing lost, nothing doubled. */
async function agrees(pushed: number): Promise<void> {
  await until(60, () => `${pushed} updates are not all stored and confirmed`, async () => {
    const totals = (await sim(`/bots/${id}`)).totals;
    const stored = (await one()).bot.stored;
    return totals.acknowledged === pushed && stored === pushed ? true : undefined;
  });
  const totals = (await sim(`/bots/${id}`)).totals;
  expect(totals.pushed).toBe(pushed);
  expect(totals.acknowledged_unseen).toBe(0);
}

test("a bot is added by its token, stopped, started, and survives the death of its runner with nothing lost", async ({ page, tolerate }) => {
  test.setTimeout(240_000);
  tolerate(status(422));
  await sim("/bots", { id, token: `${id}:${secret}`, username: "journey_bot" });

  // The demonstration bots are there, and the page says what they are.
  await page.goto("/bots");
  await alive(page);
  const demo = page.getByRole("row", { name: /@parcel_help_bot/ });
  await expect(demo).toContainText("Running", { timeout: 60_000 });
  await expect(demo).toContainText("simulator");
  await expect(page.locator("main")).toContainText("demonstrations at a stand-in for Telegram");
  await accessible(page);

  // A token that the server does not know comes back without being shown.
  const form = page.locator("#add");
  await form.getByLabel("Token").fill(`${id}:a-token-that-was-never-given-out-00018`);
  await form.getByLabel("Region of its data").selectOption(region);
  await form.getByLabel("Bot API server").selectOption("simulator");
  await form.getByRole("button", { name: "Check the token" }).click();
  await expect(page.getByRole("alert")).toContainText("does not take this token");
  await expect(page.locator("#add").getByLabel("Token")).toHaveValue("");

  await page.locator("#add").getByLabel("Token").fill(`${id}:${secret}`);
  await page.locator("#add").getByLabel("Region of its data").selectOption(region);
  await page.locator("#add").getByLabel("Bot API server").selectOption("simulator");
  await page.locator("#add").getByRole("button", { name: "Check the token" }).click();
  await expect(page).toHaveURL(/operations\/new\?kind=bot\.add/);
  expect(page.url(), "the token stands in no address").not.toContain(secret);
  await expect(page.locator("main")).toContainText("Add the bot @journey_bot");
  await accessible(page);
  await page.getByRole("button", { name: "Add a bot" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  expect(await page.content()).not.toContain(secret);

  // Its page lives: messages arrive without its being loaded again.
  await page.goto(`/bots/${id}`);
  await alive(page);
  await write(40);
  await expect(page.locator(".page-state").first()).toContainText("Running", { timeout: 30_000 });
  const stored = page.locator(".facts div", { hasText: "Stored" }).locator("dd").first();
  await expect(stored).toHaveText("40", { timeout: 20_000 });
  await expect(page.locator("#tail tbody tr")).toHaveCount(30);
  await expect(page.locator("#tail")).not.toContainText("Hello from the journey");
  await accessible(page);

  // Who may reads what was written, and the audit log says so.
  await page.getByRole("link", { name: /Show content/ }).click();
  await expect(page.locator("#tail tbody tr").first()).toContainText("Hello from the journey");
  const audit = await ask("audit.list", { kind: "bots.content" }).catch(() => ask("audit.list", {}));
  expect(JSON.stringify(audit)).toContain("bots.content");

  // Stopped: what is written waits at Telegram. Started: it arrives.
  await page.goto(`/bots/${id}`);
  await page.getByRole("link", { name: "Stop", exact: true }).click();
  await expect(page.locator("main")).toContainText("Telegram keeps messages for 24 hours");
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  await write(25);
  await page.goto(`/bots/${id}`);
  await expect(page.locator(".page-state").first()).toContainText("Stopped");
  expect((await one()).bot.stored).toBe(40);
  await page.getByRole("link", { name: "Start", exact: true }).click();
  await expect(page.locator("main")).toContainText("Updates that wait at Telegram: 25");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  await agrees(65);

  // The owner is killed while messages pour in. Nobody gave the lease back: another process takes over when it ends.
  await page.goto(`/bots/${id}`);
  await alive(page);
  await expect(page.locator(".page-state").first()).toContainText("Running");
  const before = await one();
  await write(3000, 150);
  await until(20, () => "no new message is stored", async () => ((await one()).bot.stored > 65 ? true : undefined));
  const killed = await pid(`${region}/runner`);
  process.kill(killed, "SIGKILL");
  await until(30, () => "no new runner", async () => ((await component(`${region}/runner`)).pid ?? killed) !== killed || undefined);
  // The page that stands open tells of it.
  await expect(page.locator("main")).toContainText("taken over by", { timeout: 60_000 });
  await expect(page.locator(".page-state").first()).toContainText("Running", { timeout: 30_000 });
  const after = await one();
  expect(after.bot.owner).not.toBe(before.bot.owner);
  expect(after.bot.fence).toBeGreaterThan(before.bot.fence);
  expect(after.timeline.find((event) => event.owner)?.what).toBe("taken_over");
  await agrees(3065);
  await expect(stored).toHaveText("3,065", { timeout: 20_000 });
  await accessible(page);
  expect(page.url().startsWith(origin)).toBe(true);
});

// A rule is written in the form, tried on what is stored, put live, and its answer is seen at the simulator; an answer that nobody
// knows the end of waits for a person, who sends it again. The form without script, too.
import { accessible, admin, alive, expect, status, test } from "../support/app.js";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { ask, port, receiver, submit, until } from "../support/stack.js";

const simulator = `http://127.0.0.1:${port + 20}/sim`;
const region = "eu-west-1";
const id = 710_000_020;

async function sim(path: string, body?: unknown): Promise<any> {
  const answer = await fetch(simulator + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`the simulator answers ${answer.status} to ${path}: ${await answer.text()}`);
  return answer.json();
}

/** What the bot has said at Telegram. */
const said = async (): Promise<string[]> => ((await sim(`/bots/${id}/sends`)) as { text: string | null }[]).map((send) => send.text ?? "");

test("a rule is tried on what is stored, goes live by a plan, and answers once", async ({ page, tolerate }) => {
  test.setTimeout(180_000);
  tolerate(status(422));
  const token = `${id}:rules-token-that-nobody-reads-00020`;
  await sim("/bots", { id, token, username: "rules_bot" });
  await submit("bot.add", { region, server: "simulator", token });
  await sim(`/bots/${id}/load`, { updates: 30, chats: 3, text: "Where is order 17" });
  await until(60, () => "the messages are not stored", async () => ((await ask("bots.one", { bot: id })).bot.stored === 30 ? true : undefined));

  await page.goto(`/bots/${id}`);
  await alive(page);
  await page.getByRole("navigation", { name: "Views of the bot" }).getByRole("link", { name: "Rules" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("@rules_bot · Rules");
  await expect(page.locator("main")).toContainText("No rules: what arrives is stored");
  await accessible(page);

  // An expression that is none comes back with what was typed.
  const form = page.locator("#edit");
  await form.getByRole("textbox", { name: "Title" }).fill("Orders");
  await form.getByRole("textbox", { name: "Text matches (regular expression)" }).fill("order (");
  await form.getByRole("combobox", { name: "Action 1" }).selectOption("reply");
  await form.getByRole("textbox", { name: "Tag, chat or text of action 1" }).fill("Order {1} is on its way.");
  await form.getByRole("button", { name: "Check and put live" }).click();
  await expect(form.getByRole("alert").first()).toBeVisible();
  await expect(form).toContainText("The expression cannot be read");
  await expect(form.getByRole("textbox", { name: "Title" })).toHaveValue("Orders");
  await expect(form.getByRole("combobox", { name: "Action 1" })).toHaveValue("reply");

  // Tried on what is stored: nothing is sent by that.
  await form.getByRole("textbox", { name: "Text matches (regular expression)" }).fill("order (\\d+)");
  await form.getByRole("button", { name: "Try on stored updates" }).click();
  await expect(page.locator("#trial")).toContainText("It matches 30 of the newest 30 stored updates.");
  await expect(page.locator("#trial tbody tr")).toHaveCount(10);
  await accessible(page);
  expect(await said()).toEqual([]);

  // Put live from the same form, by a plan.
  await page.locator("#edit").getByRole("button", { name: "Check and put live" }).click();
  await expect(page).toHaveURL(/operations\/new\?kind=rule\.write/);
  await expect(page.locator("main")).toContainText("Add the rule “Orders” to @rules_bot");
  await page.getByRole("button", { name: "Put live" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  await sim(`/bots/${id}/updates`, { message: { message_id: 900, from: { id: 42, is_bot: false, first_name: "Ada" }, chat: { id: 42, type: "private" }, date: Math.floor(Date.now() / 1000), text: "order 4711?" } });
  await until(30, () => "no answer", async () => ((await said()).length > 0 ? true : undefined));
  expect(await said()).toEqual(["Order 4711 is on its way."]);

  // The list says it in words; switching it off is a plan, too, and another version.
  await page.goto(`/bots/${id}/rules`);
  await alive(page);
  const row = page.getByRole("listitem").filter({ hasText: "Orders" });
  await expect(row).toContainText("Text matches order (\\d+)");
  await expect(row).toContainText("→ Reply “Order {1} is on its way.”");
  await row.getByRole("link", { name: "Switch off" }).click();
  await page.getByRole("button", { name: "Put live" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  await page.goto(`/bots/${id}/rules`);
  await page.getByRole("link", { name: "Orders" }).click();
  await expect(page.locator("#versions .row")).toHaveCount(2);
  await accessible(page);
});

test("a rule is tried without script, and an uncertain answer is sent again by a person's word only", async ({ page, another }) => {
  test.setTimeout(180_000);
  const plain = await another({ javaScriptEnabled: false });
  await plain.goto(`/bots/${id}/rules`);
  await plain.getByLabel("E-mail").fill(admin.email);
  await plain.getByLabel("Password").fill(admin.password);
  await plain.getByRole("button", { name: "Sign in" }).click();
  await expect(plain).toHaveURL(new RegExp(`/bots/${id}/rules$`));
  const form = plain.locator("#edit");
  await form.getByRole("textbox", { name: "Title" }).fill("Thanks");
  await form.getByRole("textbox", { name: "Text contains" }).fill("thank");
  await form.getByRole("combobox", { name: "Action 1" }).selectOption("reply");
  await form.getByRole("textbox", { name: "Tag, chat or text of action 1" }).fill("With pleasure.");
  await form.getByRole("button", { name: "Try on stored updates" }).click();
  await expect(plain.locator("#trial")).toContainText("It matches 0 of the newest 31 stored updates.");
  await plain.locator("#edit").getByRole("button", { name: "Check and put live" }).click();
  await plain.getByRole("button", { name: "Put live" }).click();
  await expect(plain).toHaveURL(/operations\//);
  await until(30, () => "the rule is not live", async () => ((await ask("rules.list", { bot: id })).rules.length === 2 ? true : undefined));

  // Telegram carries the answer out, and its own answer to that is lost.
  const before = (await said()).length;
  await sim(`/bots/${id}/faults`, { method: "sendMessage", action: { do: "cut_after" }, times: 1 });
  await sim(`/bots/${id}/updates`, { message: { message_id: 901, from: { id: 42, is_bot: false, first_name: "Ada" }, chat: { id: 42, type: "private" }, date: Math.floor(Date.now() / 1000), text: "thank you" } });
  await page.goto(`/bots/${id}/calls`);
  await alive(page);
  const row = page.getByRole("row").filter({ hasText: "Uncertain" });
  await expect(row).toContainText("nobody knows whether Telegram saw it", { timeout: 30_000 });
  await accessible(page);
  await row.getByRole("link", { name: "Send again" }).click();
  await expect(page.locator("main")).toContainText("may get it twice");
  await page.getByRole("button", { name: "Send again" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  await until(30, () => "it was not sent again", async () => ((await said()).length === before + 2 ? true : undefined));
  await page.goto(`/bots/${id}/calls?state=sent`);
  await alive(page);
  await expect(page.locator("#calls tbody tr")).toHaveCount(2);
});
test("a rule answers with a text of the catalogues in the sender's language", async ({ page, tolerate }) => {
  test.setTimeout(120_000);
  tolerate(status(422));
  const other = 710_000_120;
  const token = `${other}:rules-token-that-nobody-reads-00120`;
  await sim("/bots", { id: other, token, username: "speaks_bot" });
  await submit("bot.add", { region, server: "simulator", token });
  await submit("catalogue.write", { language: "en", key: "parcel.where", text: "Parcel {1} is on its way." });
  await submit("catalogue.write", { language: "zh-CN", key: "parcel.where", text: "包裹 {1} 正在路上。" });

  await page.goto(`/bots/${other}/rules`);
  await alive(page);
  const form = page.locator("#edit");
  const write = async (key: string) => {
    await form.getByRole("textbox", { name: "Title" }).fill("Parcels");
    await form.getByRole("textbox", { name: "Text matches (regular expression)" }).fill("parcel (\\d+)");
    await form.getByRole("combobox", { name: "Action 1" }).selectOption("say");
    await form.getByRole("textbox", { name: "Tag, chat or text of action 1" }).fill(key);
    await form.getByRole("button", { name: "Check and put live" }).click();
  };
  await write("parcel.gone");
  await expect(page.locator("main")).toContainText("No text has the key “parcel.gone”");
  // A region has what was written a few seconds later.
  await until(30, () => "the region does not have the text", async () => {
    await page.goto(`/bots/${other}/rules`);
    await alive(page);
    await write("parcel.where");
    await page.waitForLoadState();
    return page.url().includes("kind=rule.write") ? true : undefined;
  });
  await expect(page.locator("main")).toContainText("Reply with the text “parcel.where” in the sender’s language");
  await page.getByRole("button", { name: "Put live" }).click();
  await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });
  const asks = (who: number, language_code: string) =>
    sim(`/bots/${other}/updates`, { message: { message_id: who, from: { id: who, is_bot: false, first_name: "A", language_code }, chat: { id: who, type: "private" }, date: Math.floor(Date.now() / 1000), text: `parcel ${who}` } });
  await asks(51, "zh-hans");
  await asks(52, "fr");
  const answers = async () => ((await sim(`/bots/${other}/sends`)) as { text: string | null }[]).map((send) => send.text ?? "").sort();
  await until(30, () => "no answers", async () => ((await answers()).length === 2 ? true : undefined));
  expect(await answers()).toEqual(["Parcel 52 is on its way.", "包裹 51 正在路上。"]);
  for (const language of ["zh-CN", "en"]) await submit("catalogue.remove", { language, key: "parcel.where" });
});

test("a rule posts updates to an address of the configuration, and lets another bot say it", async ({ page, tolerate }) => {
  test.setTimeout(120_000);
  tolerate(status(422));
  const hears = 710_000_220;
  const speaks = 710_000_320;
  for (const [bot, name] of [[hears, "hears_bot"], [speaks, "speaks_for_bot"]] as const) {
    const token = `${bot}:rules-token-that-nobody-reads-00220`;
    await sim("/bots", { id: bot, token, username: name });
    await submit("bot.add", { region, server: "simulator", token });
  }
  const posts: { headers: Record<string, unknown>; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      // The first time it is ill.
      posts.push({ headers: request.headers, body });
      response.writeHead(posts.length === 1 ? 503 : 204).end();
    });
  });
  await new Promise<void>((done) => server.listen(receiver.port, "127.0.0.1", done));
  try {
    await page.goto(`/bots/${hears}/rules`);
    await alive(page);
    const form = page.locator("#edit");
    const value = (n: number) => form.getByRole("textbox", { name: `Tag, chat or text of action ${n}` });
    await form.getByRole("textbox", { name: "Title" }).fill("Onwards");
    await form.getByRole("combobox", { name: "Action 1" }).selectOption("deliver");
    await value(1).fill("nowhere");
    await form.getByRole("combobox", { name: "Action 2" }).selectOption("relay");
    await value(2).fill(`${speaks} 900 New: {text}`);
    await form.getByRole("button", { name: "Check and put live" }).click();
    await expect(form).toContainText("It names: crm");
    await expect(value(2)).toHaveValue(`${speaks} 900 New: {text}`);
    await value(1).fill("crm");
    await form.getByRole("button", { name: "Check and put live" }).click();
    await expect(page.locator("main")).toContainText("outside of this platform");
    await accessible(page);
    await page.getByRole("button", { name: "Put live" }).click();
    await expect(page.locator(".page-state").first()).toContainText("Succeeded", { timeout: 30_000 });

    await sim(`/bots/${hears}/updates`, { message: { message_id: 1, from: { id: 42, is_bot: false, first_name: "Ada" }, chat: { id: 42, type: "private" }, date: Math.floor(Date.now() / 1000), text: "order 17" } });
    await until(30, () => "it was not posted again", async () => (posts.length >= 2 ? true : undefined));
    const [first, second] = posts;
    expect(second.headers["webhook-id"]).toBe(first.headers["webhook-id"]);
    const signed = createHmac("sha256", Buffer.alloc(32, 7)).update(`${second.headers["webhook-id"]}.${second.headers["webhook-timestamp"]}.${second.body}`).digest("base64");
    expect(second.headers["webhook-signature"]).toBe(`v1,${signed}`);
    expect(JSON.parse(second.body).data.update.message.text).toBe("order 17");
    await until(30, () => "the other bot said nothing", async () => (((await sim(`/bots/${speaks}/sends`)) as { text: string }[]).some((send) => send.text === "New: order 17") ? true : undefined));
    await page.goto(`/bots/${hears}/calls?state=sent`);
    await alive(page);
    await expect(page.locator("#calls tbody tr")).toContainText("webhook");
  } finally {
    server.close();
  }
});

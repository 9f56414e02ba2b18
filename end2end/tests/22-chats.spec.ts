// A chat is found by its name and a message by its words, by who may read content; without script, too; each reading stands in the audit log.
import { accessible, admin, alive, expect, status, test } from "../support/app.js";
import { ask, port, submit, until } from "../support/stack.js";

const simulator = `http://127.0.0.1:${port + 20}/sim`;
const region = "eu-west-1";
const id = 710_000_022;

async function sim(path: string, body: unknown): Promise<void> {
  const answer = await fetch(`${simulator}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`the simulator answers ${answer.status} to ${path}: ${await answer.text()}`);
}

let number = 0;
async function says(who: number, name: string, chat: object, text: string): Promise<void> {
  number += 1;
  const from = { id: who, is_bot: false, first_name: name };
  await sim(`/bots/${id}/updates`, { message: { message_id: number, from, chat, date: Math.floor(Date.now() / 1000), text } });
}

test("a message is found by its words and leads into its chat", async ({ page, another, tolerate }) => {
  test.setTimeout(120_000);
  tolerate(status(422));
  const secret = "journey-token-of-the-chats-00000022";
  await sim("/bots", { id, token: `${id}:${secret}`, username: "chats_bot" });
  await submit("bot.add", { region, server: "simulator", token: `${id}:${secret}` });
  const group = { id: -1_000_022, type: "supergroup", title: "Tea lovers 茶友" };
  await says(4_201, "Lin", { id: 4_201, type: "private", first_name: "Lin" }, "Where is my parcel?");
  await says(4_202, "Ada", group, "Parcel number 12 has arrived");
  await says(4_201, "Lin", group, "我的包裹在哪里？");
  await until(40, () => "the chats are not indexed", async () =>
    (await ask("chats.list", { bot: id })).page.rows.length === 2 ? true : undefined,
  );

  await page.goto(`/bots/${id}/chats`);
  await alive(page);
  await expect(page.locator("#chats tbody tr")).toHaveCount(2);
  await accessible(page);
  await page.getByPlaceholder("Words of a chat’s name").fill("茶友");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/name=/);
  await expect(page.locator("#chats tbody tr")).toHaveCount(1);
  await page.getByRole("link", { name: "Tea lovers 茶友" }).click();
  await expect(page.locator("#messages .talk li")).toHaveCount(2);
  await expect(page.locator("#members")).toContainText("Ada");
  await accessible(page);

  // In this chat, then everywhere.
  await page.getByPlaceholder("Words of a message in this chat").fill("PARCEL");
  await page.keyboard.press("Enter");
  await expect(page.locator("#found .talk li")).toHaveCount(1);
  await expect(page.locator("#found")).toContainText("Parcel number 12 has arrived");
  await page.getByRole("link", { name: "Remove this limit" }).click();
  await expect(page.locator("#found .talk li")).toHaveCount(2);
  await accessible(page);
  await page.locator("#found").getByRole("link", { name: "Tea lovers 茶友" }).click();
  await expect(page).toHaveURL(/\/chats\/-1000022\?after=/);
  await expect(page.locator("#messages .talk li").first()).toContainText("Parcel number 12");

  // What cannot be searched for is said, and stays where it was typed.
  await page.goto(`/bots/${id}/messages?words=%3F%21`);
  await alive(page);
  await expect(page.locator("main")).toContainText("Type at least one word");
  await expect(page.getByPlaceholder("Words of a message", { exact: true })).toHaveValue("?!");

  const plain = await another({ javaScriptEnabled: false });
  await plain.goto(`/bots/${id}/messages`);
  await plain.getByLabel("E-mail").fill(admin.email);
  await plain.getByLabel("Password").fill(admin.password);
  await plain.getByRole("button", { name: "Sign in" }).click();
  await plain.getByPlaceholder("Words of a message", { exact: true }).fill("包裹");
  await plain.getByRole("button", { name: "Search" }).click();
  await expect(plain.locator("#found .talk li")).toHaveCount(1);
  // Everything that a person wrote, from their name.
  await plain.locator("#found .talk-who").click();
  await expect(plain.locator("#found .talk li")).toHaveCount(2);

  const read: any[] = (await ask("audit.list", { action: "read", kind: "messages.search" })).rows;
  expect(read.length).toBeGreaterThan(3);
});

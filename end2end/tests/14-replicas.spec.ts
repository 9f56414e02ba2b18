// Two consoles behind HAProxy: nobody need know how many there are.
import { adminState, alive, away, expect, status, test } from "../support/app.js";
import { Reader, cookies } from "../support/reader.js";
import { type Replicas, replicas } from "../support/replicas.js";
import { ask, bagua, end, port, submit, until } from "../support/stack.js";
import { request } from "node:http";

const wei = { name: "Wei Replica", email: "wei.replica@example.org", password: "amber lantern river stone" };
let both: Replicas;

test.describe.configure({ mode: "serial" });
test.beforeAll(async () => {
  both = await replicas(port + 42);
});
test.afterAll(async () => both?.stop());

/** A request from another address of this machine's loopback than the proxy's own. */
function elsewhere(method: string, path: string, headers: Record<string, string>, body = ""): Promise<{ status: number; cookie: string }> {
  return new Promise((done, failed) => {
    const host = new URL(both.origin).host;
    const call = request(`http://127.0.0.1:${new URL(both.origin).port}${path}`, { method, localAddress: "127.0.0.2", headers: { host, ...headers } }, (answer) => {
      answer.resume();
      answer.on("end", () => done({ status: answer.statusCode ?? 0, cookie: answer.headers["set-cookie"]?.[0]?.split(";")[0] ?? "" }));
    });
    call.on("error", failed);
    call.end(body);
  });
}

/** Signs in through the proxy; the client says of itself that it is somebody else. */
async function signIn(): Promise<string> {
  const form = new URLSearchParams({ email: wei.email, password: wei.password }).toString();
  const headers = { origin: both.origin, "x-forwarded-for": "192.0.2.99", "content-type": "application/x-www-form-urlencoded" };
  const told = await elsewhere("POST", "/sign-in", headers, form);
  expect(told.status).toBe(303);
  return told.cookie;
}

test("a person signs in through the proxy and is known by their own address", async ({ another }) => {
  const page = await another({ baseURL: both.origin });
  const link = new URL(await bagua("admin", "create", wei.email, "--role", "viewer", "--name", wei.name));
  await page.goto(`${link.pathname}${link.search}`);
  await page.getByLabel("Your name").fill(wei.name);
  await page.getByLabel("New password").fill(wei.password);
  await page.getByRole("button", { name: "Set password and sign in" }).click();
  await alive(page);
  await signIn();
  const people = (await ask("access.people")) as { person: string; email: string }[];
  const person = people.find((one) => one.email === wei.email)?.person;
  const sessions = (await ask("access.sessions", { person })) as { address: string }[];
  expect(sessions.map((one) => one.address).sort(), "neither the proxy's address nor what the client claimed").toEqual(["127.0.0.1", "127.0.0.2"]);
});

test("news reach readers on both consoles", async ({ page, another }) => {
  const readers = [1, 2, 3, 4].map(() => new Reader(cookies()));
  const other = await another({ storageState: adminState, baseURL: both.origin });
  try {
    for (const reader of readers) await reader.open(both.origin);
    expect(new Set(readers.map((reader) => reader.server)), "round robin").toEqual(new Set(["one", "two"]));
    await page.goto(`${both.origin}/schedules`);
    await other.goto("/schedules");
    for (const one of [page, other]) await alive(one);
    const id = await submit("schedule.create", { name: "replicated", cron: "0 2 * * *", kind: "component.restart", input: { component: "us-east-1/runner" } });
    for (const one of [page, other]) await expect(one.locator("tbody")).toContainText("replicated");
    for (const reader of readers) {
      await until(15, () => `not heard on ${reader.server}`, () => (reader.subjects().has(`operation:${id}`) ? true : undefined));
    }
    await submit("schedule.delete", { name: "replicated" });
    for (const one of [page, other]) await expect(one.locator("tbody")).toHaveCount(0);
  } finally {
    for (const reader of readers) reader.close();
  }
});

test("a revoked session is refused by both at once", async () => {
  const cookie = await signIn();
  const told = (origin: string) => fetch(`${origin}/api/v1/regions`, { headers: { cookie } }).then((answer) => answer.status);
  for (const one of both.direct) expect(await told(one.origin), `${one.name} remembers the session`).toBe(200);
  const people = (await ask("access.people")) as { person: string; email: string }[];
  const person = people.find((one) => one.email === wei.email)?.person;
  await submit("session.revoke_all", { person });
  const revoked = Date.now();
  for (const one of both.direct) {
    await until(3, () => `${one.name} still serves it`, async () => ((await told(one.origin)) === 401 ? true : undefined));
  }
  expect(Date.now() - revoked, "two seconds and a request").toBeLessThan(3000);
  // Refused by one is refused by all, from now on.
  for (let n = 0; n < 10; n++) expect((await elsewhere("GET", "/api/v1/regions", { cookie })).status).toBe(401);
});

test("a console that is killed takes nobody with it", async ({ page, another, tolerate }) => {
  test.setTimeout(90_000);
  tolerate(away);
  tolerate(status(502, 503));
  const readers = [1, 2].map(() => new Reader(cookies()));
  try {
    for (const reader of readers) await reader.open(both.origin);
    const [dead, standing] = both.direct;
    const orphan = readers.find((reader) => reader.server === dead.name);
    expect(orphan, "one of two neighbours in the round").toBeTruthy();
    await page.goto(`${both.origin}/operations`);
    await alive(page);
    const first = await submit("component.restart", { component: "us-east-1/runner" });
    const row = (id: string) => page.locator("tbody tr").filter({ has: page.locator(`a[href="/operations/${id}"]`) });
    await expect(row(first)).toContainText("Succeeded", { timeout: 30_000 });
    await until(15, () => "not heard before", () => (orphan?.subjects().has(`operation:${first}`) ? true : undefined));

    await end(dead.process, "SIGKILL", 5);
    // What happens meanwhile is heard of after the reader has come back, at the other console.
    const second = await submit("component.restart", { component: "us-east-1/runner" });
    await until(10, () => "the proxy does not answer", async () => ((await elsewhere("GET", "/healthz", {})).status === 200 ? true : undefined));
    await orphan?.open(both.origin, orphan.last());
    expect(orphan?.server).toBe(standing.name);
    await until(15, () => "not heard afterwards", () => (orphan?.subjects().has(`operation:${second}`) ? true : undefined));
    // The open page goes on by itself, whichever console it was on, and so does a click.
    await expect(row(second)).toContainText("Succeeded", { timeout: 40_000 });
    await alive(page);
    await page.getByRole("navigation", { name: "Rooms" }).locator('a[href="/alerts"]').click();
    await expect(page.getByRole("heading", { name: "Alerts" })).toBeVisible();
    for (let n = 0; n < 10; n++) expect((await elsewhere("GET", "/healthz", {})).status).toBe(200);
    const late = await another({ storageState: adminState, baseURL: both.origin });
    await late.goto("/");
    await alive(late);
  } finally {
    for (const reader of readers) reader.close();
  }
});

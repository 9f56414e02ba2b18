// Two console processes on one database.
import { adminState, alive, expect, test } from "../support/app.js";
import { origin, port, secondConsole, submit, until } from "../support/stack.js";
import { Reader, cookies } from "../support/reader.js";

test("two pages on two consoles see the same change without loading again", async ({ page, another }) => {
  test.setTimeout(90_000);
  const beside = await secondConsole(port + 40);
  try {
    const other = await another({ storageState: adminState, baseURL: beside.origin });
    for (const one of [page, other]) {
      await one.goto("/operations");
      await alive(one);
    }
    const id = await submit("component.restart", { component: "us-east-1/runner" });
    for (const one of [page, other]) {
      const row = one.locator("tbody tr").filter({ has: one.locator(`a[href="/operations/${id}"]`) });
      await expect(row).toContainText("Succeeded", { timeout: 30_000 });
    }
    // A click on the one is news on the other.
    await other.goto("/schedules");
    await alive(other);
    await page.goto("/schedules");
    await alive(page);
    await submit("schedule.create", { name: "nightly", cron: "0 2 * * *", kind: "component.restart", input: { component: "us-east-1/runner" } });
    await expect(page.locator("tbody")).toContainText("nightly");
    await page.getByRole("button", { name: "Pause" }).click();
    await expect(page.locator("tbody")).toContainText("Paused");
    await expect(other.locator("tbody")).toContainText("Paused");
    await other.getByRole("link", { name: "Delete" }).click();
    await other.locator("form.submit button.button").click();
    await expect(page.locator("main")).toContainText("There are no schedules.");
    // Before its console goes, which it would rightly complain about.
    await other.close();
  } finally {
    await beside.stop();
  }
});

test("a reader that comes back with Last-Event-ID misses nothing, also on another console", async () => {
  test.setTimeout(90_000);
  const beside = await secondConsole(port + 41);
  const steady = new Reader(cookies());
  const broken = new Reader(cookies());
  try {
    await steady.open(origin);
    await broken.open(origin);
    const made = async (name: string) => {
      const input = { component: "us-east-1/runner" };
      return `operation:${await submit("schedule.create", { name, cron: "0 3 * * *", kind: "component.restart", input })}`;
    };
    const heard = (reader: Reader, subject: string) =>
      until(15, () => `${subject} was not heard of: ${JSON.stringify(reader.heard.slice(-5))}`, () => (reader.subjects().has(subject) ? true : undefined));
    const first = await made("one");
    await heard(steady, first);
    await heard(broken, first);
    const at = broken.last();
    expect(at).toBeTruthy();
    broken.close();

    const meanwhile = [await made("two"), await made("three"), await made("four")];
    for (const subject of meanwhile) await heard(steady, subject);
    await broken.open(beside.origin, at);
    for (const subject of meanwhile) await heard(broken, subject);
    expect(broken.heard.some((message) => message.topic === "reset"), "nothing had to be asked for again").toBe(false);

    // Once more on the first console, and then live.
    broken.close();
    const later = await made("five");
    await heard(steady, later);
    await broken.open(origin, broken.last());
    await heard(broken, later);
    const last = await made("six");
    await heard(broken, last);

    // A position that cannot be understood is told to ask for everything.
    const lost = new Reader(cookies());
    await lost.open(origin, "no such place");
    await until(5, () => "no reset", () => (lost.heard.some((message) => message.topic === "reset") ? true : undefined));
    lost.close();
  } finally {
    steady.close();
    broken.close();
    await beside.stop();
    for (const name of ["one", "two", "three", "four", "five", "six"]) {
      // One that was never made cannot be deleted: the test has failed before.
      await submit("schedule.delete", { name }).catch(() => {});
    }
  }
});

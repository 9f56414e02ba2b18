import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { accessible, alive, anonymous, expect, status, test } from "../support/app.js";
import { ask, bagua, freeze, origin, output, submit, until } from "../support/stack.js";

const folder = process.env.BAGUA_E2E_SCREENSHOTS ?? join(output, "screens");
mkdirSync(folder, { recursive: true });

const plan = (kind: string, component: string) =>
  `/operations/new?kind=${kind}&input=${encodeURIComponent(JSON.stringify({ component }))}&back=/`;

/** Every page there is, with something on it. */
function pages(alert: string, operation: string): [string, string][] {
  return [
    ["overview", "/"],
    ["overview-scoped", "/?region=eu-west-1"],
    ["regions", "/regions"],
    ["compare", "/regions/compare"],
    ["performance", "/performance"],
    ["business", "/business"],
    ["region", "/regions/eu-central-1"],
    ["component", "/regions/eu-central-1/gateway"],
    ["alerts", "/alerts"],
    ["alerts-none", "/alerts?region=us-west-2&severity=info"],
    ["alerts-grouped", "/alerts?group=rule"],
    ["alerts-open-group", "/alerts?group=rule&open=ServiceDown"],
    ["alerts-selection", `/alerts/selection?alert=${alert}&minutes=30`],
    ["silences", "/alerts/silences"],
    ["alert", `/alerts/${alert}`],
    ["bots", "/bots"],
    ["bots-tuning", "/bots/tuning"],
    ["bot", "/bots/700000001"],
    ["chats", "/bots/700000001/chats"],
    ["chat", "/bots/700000001/chats/1001"],
    ["messages", "/bots/700000001/messages?words=parcel"],
    ["calls", "/bots/700000001/calls"],
    ["bot-settings", "/bots/700000001/settings"],
    ["rules", "/bots/700000001/rules?title=Greets&contains=hello&do1=reply&with1=Hello&try=1"],
    ["operations", "/operations"],
    ["operation", `/operations/${operation}`],
    ["plan", plan("component.restart", "eu-central-1/gateway")],
    ["plan-approval", plan("component.stop", "global/alertmanager")],
    ["plan-refused", plan("component.stop", "global/postgres")],
    ["approvals", "/approvals"],
    ["schedules", "/schedules"],
    ["audit", "/audit"],
    ["access", "/access"],
    ["tokens", "/access/tokens"],
    ["tokens-preview", "/access/tokens?name=nightly&access=everything&days=30"],
    ["localization", "/localization?language=zh-CN"],
    ["search", "/search?q=frankfurt"],
    ["preferences", "/preferences"],
    ["not-found", "/no/such/page"],
  ];
}

let shown: [string, string][];
test.beforeAll(async () => {
  test.setTimeout(150_000);
  await freeze("eu-central-1/gateway");
  const alert = await until(120, () => "no alert about the frozen gateway", async () => {
    const rows: { alert: string; component: string; name: string }[] = (await ask("alerts.list")).page.rows;
    return rows.find((row) => row.component === "eu-central-1/gateway" && row.name === "ServiceDown");
  });
  const operation = await submit("component.restart", { component: "us-east-1/runner" });
  await until(30, () => `${operation} goes on`, async () => (await ask("operations.get", { operation })).summary.state === "succeeded" || undefined);
  await submit("rule.write", { bot: 700_000_001, region: (await ask("bots.one", { bot: 700_000_001 })).bot.region, says: { title: "Greets", enabled: false, matches: { contains: "hello", hours: { from: 1320, until: 360 } }, actions: [{ do: "reply", template: "Hello, {sender}!" }, { do: "tag", tag: "greeted" }] } });
  await submit("catalogue.write", { language: "en", key: "order.shipped", text: "Your order {number} is on its way." });
  await submit("catalogue.write", { language: "en", key: "order.late", text: "Your order {number} comes later than promised." });
  await submit("catalogue.write", { language: "zh-CN", key: "order.shipped", text: "您的订单 {number} 正在配送途中。" });
  await submit("schedule.create", { name: "nightly restart", cron: "0 2 * * *", kind: "component.restart", input: { component: "us-east-1/runner" } });
  shown = pages(alert.alert, operation);
});
test.afterAll(async () => {
  await submit("schedule.delete", { name: "nightly restart" });
  await submit("catalogue.remove", { language: "zh-CN", key: "order.shipped" });
  for (const key of ["order.shipped", "order.late"]) await submit("catalogue.remove", { language: "en", key });
});

// Both languages, both themes and both widths, English where words are long and room is short. The other pairs add four
// minutes: BAGUA_E2E_LOOKS=all.
const looks = [
  ["dark", "zh-CN", 1440],
  ["light", "en", 360],
  ["light", "en", 1440],
  ["dark", "zh-CN", 360],
] as const;

for (const [theme, locale, width] of process.env.BAGUA_E2E_LOOKS === "all" ? looks : looks.slice(0, 2)) {
  test(`every page, ${theme}, ${locale}, ${width} px: nothing serious, nothing wider than the screen`, async ({ page, another, tolerate }) => {
    test.setTimeout(180_000);
    tolerate(status(404, 422));
    const prefer = [
      { name: "bagua_theme", value: theme, url: origin },
      { name: "bagua_locale", value: locale, url: origin },
    ];
    const viewport = { width, height: width > 600 ? 900 : 740 };
    const look = async (at: typeof page, name: string) => {
      await expect(at.locator("html")).toHaveAttribute("lang", locale);
      await expect(at.locator("html")).toHaveAttribute("data-theme", theme);
      await at.screenshot({ path: join(folder, `${name}-${theme}-${locale}-${width}.png`), fullPage: true });
      await accessible(at);
      const overflow = await at.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect.soft(overflow, `${name} is wider than the screen`).toBeLessThanOrEqual(0);
    };

    const stranger = await another({ storageState: anonymous, viewport });
    await stranger.context().addCookies(prefer);
    for (const [name, path] of [
      ["sign-in", "/sign-in"],
      ["welcome", await bagua("admin", "create", `guest-${theme}-${width}@example.org`, "--role", "viewer", "--name", "Gus Guest")],
      ["welcome-spent", "/welcome?token=spent"],
    ]) {
      await stranger.goto(path);
      await expect(stranger.locator("main h1")).toBeVisible();
      await look(stranger, name);
    }

    await page.setViewportSize(viewport);
    await page.context().addCookies(prefer);
    for (const [name, path] of shown) {
      await page.goto(path);
      await alive(page);
      await look(page, name);
    }
  });
}

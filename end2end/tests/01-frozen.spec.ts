import { accessible, expect, region, test } from "../support/app.js";
import { freeze } from "../support/stack.js";

// The rule behind ServiceDown waits for a minute. The processes freeze here; the journeys of the next files run
// meanwhile, and 04-alerts comes back to them. The screens on the wall see all of it.
test("three frozen processes are seen on the wall within seconds, before any rule fires", async ({ wall }) => {
  test.setTimeout(120_000);
  for (const code of ["eu-west-1", "eu-central-1", "ap-southeast-1"]) {
    await expect(region(wall.map, code, "healthy")).toBeVisible({ timeout: 60_000 });
  }
  await expect(wall.feed.getByText("No alert fires.")).toBeVisible();
  await accessible(wall.map);

  await freeze("eu-west-1/gateway");
  await freeze("eu-central-1/gateway");
  await freeze("ap-southeast-1/runner");
  for (const code of ["eu-west-1", "eu-central-1", "ap-southeast-1"]) {
    await expect(region(wall.map, code, "healthy")).toHaveCount(0, { timeout: 30_000 });
  }
  await expect(region(wall.map, "us-west-2", "healthy")).toBeVisible();
  expect(wall.loads()).toEqual([1, 1]);
});

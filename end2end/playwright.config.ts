import { defineConfig } from "@playwright/test";
import { origin, output } from "./support/stack.js";

// One real stack serves every journey, so they run one after the other, in the order of their file names: waits of a
// minute (Prometheus's rules have them) are begun early and ended late. Every journey makes what it needs by itself when
// it runs alone.
export default defineConfig({
  testDir: "./tests",
  outputDir: `${output}/playwright`,
  workers: 1,
  fullyParallel: false,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  forbidOnly: true,
  reporter: [["list"]],
  globalSetup: "./support/start.ts",
  projects: [
    { name: "setup", testMatch: /00-.*\.spec\.ts/ },
    { name: "journeys", testIgnore: /00-.*\.spec\.ts/, dependencies: ["setup"] },
  ],
  use: {
    baseURL: origin,
    locale: "en-GB",
    timezoneId: "Asia/Shanghai",
    colorScheme: "light",
    viewport: { width: 1440, height: 900 },
    screenshot: "only-on-failure",
    trace: "off",
    actionTimeout: 15_000,
    navigationTimeout: 20_000,
    launchOptions: {
      executablePath: process.env.BAGUA_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});

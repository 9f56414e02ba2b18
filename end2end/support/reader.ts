// The live stream without a browser.
import { adminState } from "./app.js";
import { readFileSync } from "node:fs";
import { request } from "node:http";

interface Message {
  id: string;
  topic: string;
  subject?: string;
}

/** A reader of the stream without a browser. */
export class Reader {
  readonly heard: Message[] = [];
  /** Which console answered, where a proxy says so. */
  server?: string;
  private call?: ReturnType<typeof request>;
  constructor(private cookie: string) {}
  /** Opens the stream of a console, after what was heard last. */
  open(origin: string, after?: string): Promise<void> {
    return new Promise((done, failed) => {
      const headers: Record<string, string> = { cookie: this.cookie, accept: "text/event-stream" };
      if (after) headers["last-event-id"] = after;
      this.call = request(`${origin}/live`, { headers }, (answer) => {
        if (answer.statusCode !== 200) return failed(new Error(`/live answered ${answer.statusCode}`));
        this.server = answer.headers["x-served-by"] as string | undefined;
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk: string) => {
          text += chunk;
          for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
            const block = text.slice(0, end);
            text = text.slice(end + 2);
            if (block.startsWith(":") || block.includes("\n:")) done();
            const field = (name: string) => block.match(new RegExp(`^${name}: ?(.*)$`, "m"))?.[1];
            const body = field("data");
            if (body) this.heard.push({ id: field("id") ?? "", ...JSON.parse(body) });
          }
        });
        answer.on("error", () => {});
      });
      this.call.on("error", failed);
      this.call.end();
    });
  }
  close() {
    this.call?.on("error", () => {});
    this.call?.destroy();
  }
  subjects() {
    return new Set(this.heard.map((message) => message.subject));
  }
  last() {
    return this.heard.findLast((message) => message.id !== "")?.id;
  }
}

/** The first administrator's cookies, as a request carries them. */
export function cookies(): string {
  const state = JSON.parse(readFileSync(adminState, "utf8")) as { cookies: { name: string; value: string }[] };
  return state.cookies.map((c) => `${c.name}=${c.value}`).join("; ");
}

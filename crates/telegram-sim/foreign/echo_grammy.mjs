// An echo bot as grammY's own examples have it; only the address of the Bot API is another one.
import { createRequire } from "node:module";

// The library lies in the cache folder, not beside this file.
const { Bot } = createRequire(`${process.env.BOT_MODULES}/`)("grammy");

const bot = new Bot(process.env.BOT_TOKEN, { client: { apiRoot: process.env.BOT_API } });
bot.on("message", (ctx) => ctx.reply(ctx.message.text ?? ctx.message.caption ?? "?"));
bot.on("callback_query", (ctx) => ctx.answerCallbackQuery());
process.once("SIGINT", () => bot.stop());
process.once("SIGTERM", () => bot.stop());
await bot.start();

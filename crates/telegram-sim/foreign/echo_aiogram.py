"""An echo bot as aiogram's own examples have it; only the address of the Bot API is another one."""

import asyncio
import logging
import os

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import CallbackQuery, Message

dispatcher = Dispatcher()


@dispatcher.message()
async def echo(message: Message) -> None:
    await message.answer(message.text or message.caption or "?")


@dispatcher.callback_query()
async def pressed(query: CallbackQuery) -> None:
    await query.answer()


async def main() -> None:
    session = AiohttpSession(api=TelegramAPIServer.from_base(os.environ["BOT_API"]))
    await dispatcher.start_polling(Bot(os.environ["BOT_TOKEN"], session=session))


logging.basicConfig(level=logging.WARNING)
asyncio.run(main())

"""Runs bots of others' libraries against the simulator, unchanged, and compares its log with what they must have done.

prove.py SIMULATOR PYTHON NODE MODULES
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
# Of each row of 10: texts 7, photo 1, button 1, a kind that no library knows 1.
ROW = [("message", 7), ("photo", 1), ("callback_query", 1), ("unknown", 1)]
UPDATES = 400
MESSAGES = UPDATES * 8 // 10
BUTTONS = UPDATES // 10
PATIENCE = 20


def ask(url: str, body: object | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def prove(api: str, name: str, bot_id: int, command: list[str], more: dict[str, str]) -> list[str]:
    """What is wrong; nothing when all is well."""
    control = f"{api}/sim/bots"
    bot = ask(control, {"id": bot_id})
    mine = f"{control}/{bot_id}"
    load = {
        "updates": UPDATES,
        "chats": 23,
        "mixture": [{"kind": kind, "of": count} for kind, count in ROW],
    }
    ask(f"{mine}/load", load)
    environment = os.environ | more | {"BOT_API": api, "BOT_TOKEN": bot["token"]}
    begun = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    try:
        while True:
            totals = ask(mine)["totals"]
            if totals["acknowledged"] == UPDATES and totals["sends_done"] >= MESSAGES + BUTTONS:
                break
            if process.poll() is not None:
                return [f"{name} ended by itself with {process.returncode}: {totals}"]
            if time.monotonic() - begun > PATIENCE:
                return [f"{name} was not done within {PATIENCE} s: {totals}"]
            time.sleep(0.02)
        took = time.monotonic() - begun
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    wrong = [] if code == 0 else [f"{name} ended with {code} after SIGINT"]
    totals = ask(mine)["totals"]
    expected = {
        "pushed": UPDATES,
        "delivered": UPDATES,
        "acknowledged": UPDATES,
        "acknowledged_unseen": 0,
        "pending": 0,
        "expired": 0,
        "dropped": 0,
        "overflow": 0,
        "sends": MESSAGES + BUTTONS,
        "sends_done": MESSAGES + BUTTONS,
        "sends_doubled": 0,
        "sends_done_unanswered": 0,
    }
    wrong += [
        f"{name}: {what} is {totals[what]}, not {count}"
        for what, count in expected.items()
        if totals[what] != count
    ]
    # Every text came back once, to the chat that it came from.
    sends = ask(f"{mine}/sends?limit={UPDATES * 2}")
    echoed = sorted(send["text"] for send in sends if send["method"].lower() == "sendmessage")
    kinds = [kind for kind, count in ROW for _ in range(count)]
    sent = sorted(
        f"update {number}" for number in range(UPDATES) if kinds[number % 10] in ("message", "photo")
    )
    if echoed != sent:
        wrong.append(f"{name}: the echoes are not the texts that were sent")
    updates = ask(f"{mine}/updates?limit={UPDATES}")
    chat_of = {f"update {update['seq']}": update["order"] for update in updates}
    strayed = [
        send for send in sends if send["chat_id"] is not None and chat_of.get(send["text"]) != send["chat_id"]
    ]
    if strayed:
        wrong.append(f"{name}: {len(strayed)} echoes went to another chat")
    if not wrong:
        print(
            f"{name}: {UPDATES} updates, {MESSAGES} echoes and {BUTTONS} answers in {took:.1f} s; the log agrees",
            flush=True,
        )
    return wrong


def main() -> int:
    simulator, python, node, modules = sys.argv[1:]
    sim = subprocess.Popen([simulator, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        api = sim.stdout.readline().strip()
        wrong = prove(api, "aiogram", 71, [python, str(HERE / "echo_aiogram.py")], {})
        wrong += prove(api, "grammY", 72, [node, str(HERE / "echo_grammy.mjs")], {"BOT_MODULES": modules})
    finally:
        sim.terminate()
        sim.wait()
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main())

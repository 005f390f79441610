"""Python `websockets` as the client, asyncio and sync, our WebSocket server as the peer.

The server is `INTEROP_URLS` (the line of JSON of a running interop-server), or the program `INTEROP_SERVER`,
started here; or any echo server whose URL is given as the argument (without limits and subprotocols, then).
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import traceback

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import CloseCode
from websockets.sync.client import connect as connect_sync

KIB, MIB = 1024, 1024 * 1024
SIZES = [0, 1, 125, 126, 65535, 65536, MIB, 15 * MIB]
LIMIT = 60  # seconds for a check, unless it says otherwise

passed, failed = 0, []


def report(name, error):
    global passed
    if error is None:
        passed += 1
        print(f"ok      {name}", flush=True)
    else:
        failed.append(name)
        text = "".join(traceback.format_exception(error)).rstrip().replace("\n", "\n        ")
        print(f"FAILED  {name}\n        {text}", flush=True)


async def check(name, body, seconds=LIMIT):
    try:
        await asyncio.wait_for(body(), seconds)
        report(name, None)
    except Exception as error:  # whatever it is, it is a failed check
        report(name, error)


async def check_sync(name, body, seconds=LIMIT):
    """Runs a blocking body in a thread that may not hold up the end of the run."""
    result = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def settle(error):
        if not result.done():
            result.set_result(error)

    def run():
        try:
            body()
            error = None
        except Exception as caught:
            error = caught
        loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, daemon=True).start()
    try:
        report(name, await asyncio.wait_for(result, seconds))
    except TimeoutError as late:
        report(name, late)


def dial(url, **options):
    return connect(url, **{"compression": None, "max_size": 32 * MIB, "proxy": None, **options})


def dial_sync(url, **options):
    return connect_sync(url, **{"compression": None, "max_size": 32 * MIB, "proxy": None, **options})


async def closes_with(url, code, send):
    """The server ends the connection with `code` after what `send` does."""
    async with dial(url) as ws:
        try:
            await send(ws)
            while True:
                await ws.recv()
        except ConnectionClosed as end:
            assert end.rcvd is not None and end.rcvd.code == code, end


def checks_asyncio(url):
    for size in SIZES:
        async def echo(size=size):
            async with dial(url) as ws:
                await ws.send("x" * size)
                assert await ws.recv() == "x" * size
                data = random.randbytes(size)
                await ws.send(data)
                assert await ws.recv() == data
            assert ws.close_code == 1000, ws.close_code
        yield f"asyncio: echo of {size} B, text and binary", echo

    async def unicode():
        async with dial(url) as ws:
            for text in ["é", "€", "😀", "\x00", "\ufeffbom", "\U0010ffff", "a\u0301", "日本語" * 5000]:
                await ws.send(text)
                assert await ws.recv() == text
    yield "asyncio: text of every UTF-8 length", unicode

    async def fragments():
        async def parts():
            for i, part in enumerate(["Stil", "lwire ", "€" * 200, " end"]):
                yield part
                await (await ws.ping(f"between {i}"))
        async with dial(url) as ws:
            await ws.send(parts())
            assert await ws.recv() == "Stillwire " + "€" * 200 + " end"
    yield "asyncio: fragments, each ping between them answered before the next", fragments

    async def pipelined():
        count = 10_000
        async with dial(url) as ws:
            async def send():
                for i in range(count):
                    await ws.send(f"message {i}")
            sender = asyncio.create_task(send())
            for i in range(count):
                assert await ws.recv() == f"message {i}"
            await sender
    yield "asyncio: 10,000 messages in order", pipelined

    async def ping():
        async with dial(url) as ws:
            for payload in [b"", b"x", b"y" * 125]:
                latency = await asyncio.wait_for(await ws.ping(payload), 10)
                assert latency >= 0
    yield "asyncio: pings are answered", ping

    async def keepalive():
        # The client fails a connection whose pong does not come: many rounds of it in a second.
        async with dial(url, ping_interval=0.05, ping_timeout=5) as ws:
            await asyncio.sleep(1.5)
            await ws.send("still there")
            assert await ws.recv() == "still there"
            assert ws.latency > 0, "pongs were counted"
    yield "asyncio: keepalive pings keep it alive", keepalive

    async def deflate():
        async with dial(url, compression="deflate") as ws:
            for text in ["", "so be it " * 1000, "x" * MIB]:
                await ws.send(text)
                assert await ws.recv() == text
    yield "asyncio: a compression offer is answered in order", deflate

    for name, extension in [
        ("with takeover", ClientPerMessageDeflateFactory(client_max_window_bits=True)),
        ("without takeover", ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)),
        ("with small windows", ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=10)),
    ]:
        async def compressed(extension=extension):
            async with dial(url, extensions=[extension]) as ws:
                for size in [1, 126, 1000, 65536, MIB, 16 * MIB]:
                    text = ("compress me " * (size // 12 + 1))[:size]
                    await ws.send(text)
                    assert await ws.recv() == text
                    data = random.randbytes(size)
                    await ws.send(data)
                    assert await ws.recv() == data
                await ws.send(iter(["frag", "", "ments " * 10_000]))
                assert await ws.recv() == "frag" + "ments " * 10_000
            assert ws.close_code == 1000, ws.close_code
        yield f"asyncio: compressed {name}, 1 B to 16 MiB", compressed

    for code, reason in [(1000, ""), (1000, "done"), (3000, "ours"), (4999, "€" * 41)]:
        async def close(code=code, reason=reason):
            async with dial(url) as ws:
                await ws.close(code, reason)
                await ws.wait_closed()
                assert ws.close_code == code, ws.close_code  # the reason need not come back
        yield f"asyncio: close with {code} and {len(reason.encode())} B of reason", close

    async def many():
        async def one(i):
            async with dial(url) as ws:
                for n in range(20):
                    await ws.send(f"{i}:{n}")
                    assert await ws.recv() == f"{i}:{n}"
        await asyncio.gather(*(one(i) for i in range(50)))
    yield "asyncio: 50 connections at once", many


def checks_of_ours(urls):
    """What only interop-server promises: subprotocols and limits."""
    for offered, chosen in [(["echo"], "echo"), (["chat", "echo"], "chat"), (["nothing", "chat"], "chat"), (["nothing"], None)]:
        async def subprotocol(offered=offered, chosen=chosen):
            async with dial(urls["ws"], subprotocols=offered) as ws:
                assert ws.subprotocol == chosen, ws.subprotocol
        yield f"asyncio: subprotocols {offered} give {chosen}", subprotocol

    async def limit():
        async with dial(urls["ws-small"]) as ws:
            data = random.randbytes(64 * KIB)
            await ws.send(data)
            assert await ws.recv() == data
        await closes_with(urls["ws-small"], CloseCode.MESSAGE_TOO_BIG, lambda ws: ws.send(bytes(64 * KIB + 1)))
    yield "asyncio: 64 KiB pass ws-small, one byte more is 1009", limit

    async def bad_text():
        # text=True sends any bytes as a text frame
        await closes_with(urls["ws"], CloseCode.INVALID_DATA, lambda ws: ws.send(b"a\xff", text=True))
    yield "asyncio: text that is not UTF-8 is 1007", bad_text

    async def refused():
        try:
            async with dial(urls["ws"], additional_headers={"Sec-WebSocket-Version": "8"}):
                raise AssertionError("a handshake with two versions was accepted")
        except InvalidStatus as error:
            assert error.response.status_code in (400, 426), error.response.status_code
    yield "asyncio: a handshake with two versions is refused", refused


def checks_sync(url):
    def echo():
        with dial_sync(url) as ws:
            for size in SIZES[:-1]:
                ws.send("x" * size)
                assert ws.recv(timeout=20) == "x" * size
                data = random.randbytes(size)
                ws.send(data)
                assert ws.recv(timeout=20) == data
    yield "sync: echo of all sizes", echo

    def fragments():
        with dial_sync(url) as ws:
            ws.send(iter(["frag", "men", "ted €"]))
            assert ws.recv(timeout=10) == "fragmented €"
            ws.send(iter([b"\x00", b"\xff" * 1000]))
            assert ws.recv(timeout=10) == b"\x00" + b"\xff" * 1000
    yield "sync: fragments", fragments

    def streamed():
        with dial_sync(url) as ws:
            ws.send("y" * MIB)
            assert "".join(ws.recv_streaming()) == "y" * MIB
    yield "sync: a message read as a stream", streamed

    def ping():
        with dial_sync(url) as ws:
            for payload in [b"", b"x", b"y" * 125]:
                assert ws.ping(payload).wait(10), "no pong"
    yield "sync: pings are answered", ping

    def threads():
        with dial_sync(url) as ws:
            sender = threading.Thread(target=lambda: [ws.send(f"message {i}") for i in range(2000)], daemon=True)
            sender.start()
            for i in range(2000):
                assert ws.recv(timeout=20) == f"message {i}"
            sender.join(10)
    yield "sync: one thread sends, one receives", threads

    def close():
        with dial_sync(url) as ws:
            ws.close(3001, "enough")
        assert ws.close_code == 3001, ws.close_code
    yield "sync: close with 3001", close


async def run(urls, is_ours):
    for name, body in checks_asyncio(urls["ws"]):
        await check(name, body)
    for name, body in checks_of_ours(urls) if is_ours else []:
        await check(name, body)
    for name, body in checks_sync(urls["ws"]):
        await check_sync(name, body)


def main():
    server = None
    if len(sys.argv) > 1:
        urls, is_ours = {"ws": sys.argv[1]}, False
    elif "INTEROP_URLS" in os.environ:
        urls, is_ours = json.loads(os.environ["INTEROP_URLS"]), True
    else:
        if "INTEROP_SERVER" not in os.environ:
            sys.exit("INTEROP_SERVER must be set: the path of the program interop-server")
        command = [os.environ["INTEROP_SERVER"], "--only", "ws,ws-small"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        too_late = threading.Timer(20, server.kill)  # then the line is empty, and no JSON
        too_late.start()
        urls, is_ours = json.loads(server.stdout.readline()), True
        too_late.cancel()
    try:
        asyncio.run(run({key: url.replace("http", "ws", 1) for key, url in urls.items()}, is_ours))
    finally:
        if server is not None:
            server.stdin.close()
            try:
                report("clean end", None if server.wait(10) == 0 else Exception(f"exit {server.returncode}"))
            except subprocess.TimeoutExpired as late:
                server.kill()
                report("clean end", late)
    for name in failed:
        print(f"FAILED  {name}")
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(0 if passed > 0 and not failed else 1)


if __name__ == "__main__":
    main()

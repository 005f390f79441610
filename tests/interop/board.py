"""The firmware of adapters/embedded/examples/board: raw sockets, Python `websockets` and curl as its clients.

    board.py http://127.0.0.1:PORT PAGE LIMIT     the board, the page in its flash, the largest message of its echo
"""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL, PAGE, LIMIT = sys.argv[1], sys.argv[2], int(sys.argv[3])
ADDRESS = (urlsplit(URL).hostname, urlsplit(URL).port)
SLOTS = 6
WS = URL.replace("http", "ws")

passed, failed = 0, []


async def check(name, body, seconds=60):
    global passed
    begin = time.monotonic()
    try:
        await asyncio.wait_for(body(), seconds)
        passed += 1
        print(f"ok      {name} ({time.monotonic() - begin:.1f} s)", flush=True)
    except Exception as error:  # whatever it is, it is a failed check
        failed.append(name)
        print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
    await free()


def dial(path, **options):
    return connect(WS + path, compression=None, proxy=None, open_timeout=10, **options)


def http(path, method="GET", data=None, headers={}):
    """(status, body, headers)"""
    request = urllib.request.Request(URL + path, method=method, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(), refusal.headers


def stats():
    return json.loads(http("/stats")[1])


async def free():
    """Until nobody but the one who asks has a slot."""
    for _ in range(100):
        try:
            if stats()["taken"] == 0:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("slots stay taken")


class Raw:
    """A WebSocket made of bytes."""

    def __init__(self, path="/echo"):
        self.socket = socket.create_connection(ADDRESS, timeout=10)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: board\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        assert head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head

    def take(self, n):
        got = bytearray()
        while len(got) < n:
            more = self.socket.recv(n - len(got))
            if not more:
                raise EOFError(f"the end after {len(got)} of {n} bytes")
            got += more
        return bytes(got)

    def frame(self):
        """(first byte, payload)"""
        first, length = self.take(2)
        if length == 126:
            (length,) = struct.unpack(">H", self.take(2))
        return first, self.take(length)

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def ended(self):
        assert self.socket.recv(1) == b""

    def leave(self):
        """Without a word: a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def frame(first, payload=b"", key=b"\x01\x02\x03\x04"):
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length)
    return bytes([first]) + size + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


async def the_page():
    status, body, headers = http("/")
    assert status == 200 and headers["content-type"].startswith("text/html")
    assert body == open(PAGE, "rb").read(), "the page is not the one in the source"
    assert http("/nothing")[0] == 404
    assert http("/live")[0] == 400


async def messages():
    async with dial("/echo") as echo:
        for size in [0, 1, 125, 126, 127, 1000, LIMIT - 1, LIMIT]:
            for message in ["ü" * (size // 2) + "x" * (size % 2), os.urandom(size)]:
                await echo.send(message)
                assert await echo.recv() == message, size
        await (await echo.ping(b"x" * 125))


async def too_large():
    for parts in [["x" * (LIMIT + 1)], ["x" * LIMIT, "x"], [b"x" * 70_000]]:
        async with dial("/echo") as echo:
            try:
                await echo.send(parts if len(parts) > 1 else parts[0])
                await echo.recv()
                raise AssertionError("it was taken")
            except ConnectionClosed as closed:
                assert closed.rcvd and closed.rcvd.code == 1009, closed


async def fragments():
    raw = Raw()
    raw.send(frame(0x01, b"one "), frame(0x89, b"ping"), frame(0x00, b"two "), frame(0x8A), frame(0x89), frame(0x80, b"three"))
    assert [raw.frame() for _ in range(3)] == [(0x8A, b"ping"), (0x8A, b""), (0x81, b"one two three")]
    # As many as there is room for, with a ping behind each.
    raw.send(frame(0x02, b"x"))
    for _ in range(LIMIT - 2):
        raw.send(frame(0x00, b"y"), frame(0x89, b"z"))
        assert raw.frame() == (0x8A, b"z")
    raw.send(frame(0x80, b"."))
    assert raw.frame() == (0x82, b"x" + b"y" * (LIMIT - 2) + b".")
    raw.send(frame(0x88, b"\x03\xe8bye"))
    assert raw.frame() == (0x88, b"\x03\xe8")
    raw.ended()


async def byte_by_byte():
    raw = Raw()
    raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for one in frame(0x01, "grü".encode()) + frame(0x89, b"!") + frame(0x80, b"\xc3\x9fe, " + b"b" * 200):
        raw.send(bytes([one]))
        await asyncio.sleep(0.002)
    assert [raw.frame(), raw.frame()] == [(0x8A, b"!"), (0x81, "grüße, ".encode() + b"b" * 200)]
    raw.leave()


async def rude():
    for what, code in [
        (bytes([0x81, 1, 65]), 1002),  # not masked
        (frame(0xC1, b"x"), 1002),  # a reserved bit
        (frame(0x83, b"x"), 1002),  # a reserved opcode
        (frame(0x81, b"\xff"), 1007),
        (frame(0x09, b""), 1002),  # a control frame in fragments
        (frame(0x88, b"\x03\xed"), 1002),  # a code that may not be sent
    ]:
        raw = Raw()
        raw.send(what)
        assert raw.frame() == (0x88, struct.pack(">H", code)), what
        raw.ended()


async def abrupt():
    for i in range(40):
        if i % 4 == 0:
            lost = socket.create_connection(ADDRESS, timeout=10)
            lost.sendall(b"GET /echo HT")
            lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            lost.close()
        else:
            raw = Raw("/live" if i % 4 == 1 else "/echo")
            raw.send(frame(0x01, b"half of a message")[: i + 1])
            raw.leave()


async def reconnects():
    for i in range(200):
        async with dial("/echo") as echo:
            await echo.send(str(i))
            assert await echo.recv() == str(i)


async def telemetry():
    """Three at once, each sees each reading once."""

    async def live():
        async with dial("/live") as socket:
            return [json.loads(await socket.recv())["n"] for _ in range(5)]

    numbers = await asyncio.gather(live(), live(), live())
    for seen in numbers:
        assert seen[1:] == list(range(seen[1], seen[1] + 4)), numbers


async def events():
    def listen(seconds, headers):
        command = ["curl", "-sN", "-m", str(seconds), *headers, URL + "/events"]
        output = subprocess.run(command, capture_output=True, text=True).stdout
        blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in output.strip().split("\n\n")]
        assert all(json.loads(block["data"])["n"] == int(block["id"]) for block in blocks)
        return [int(block["id"]) for block in blocks]

    first = await asyncio.to_thread(listen, 1.6, [])
    assert len(first) >= 3, first
    await asyncio.sleep(1.2)
    again = await asyncio.to_thread(listen, 1, ["-H", f"Last-Event-ID: {first[-1]}"])
    assert again == list(range(first[-1] + 1, again[-1] + 1)) and len(again) >= 3, (first, again)
    # An ID from before the last reboot, or from nowhere, is as good as none.
    for strange in ["4000000000", "x", "-1"]:
        now = await asyncio.to_thread(listen, 1, ["-H", f"Last-Event-ID: {strange}"])
        assert now[0] >= again[-1] - 1, (strange, now)


async def polling():
    opened = json.loads(http("/poll/open", "POST", b"")[1])
    base = "/poll/" + opened["sid"]
    after, seen = 0, []
    while len(seen) < 5:
        status, body, _ = await asyncio.to_thread(http, f"{base}?after={after}")
        assert status == 200, status
        batch = json.loads(body)
        again = json.loads((await asyncio.to_thread(http, f"{base}?after={after}"))[1])
        assert again["messages"][: len(batch["messages"])] == batch["messages"], "the same again, until it is acknowledged"
        after = again["last"]
        seen += [json.loads(message)["n"] for message in again["messages"]]
    assert seen == list(range(seen[0], seen[0] + len(seen))), seen
    send = json.dumps({"seq": 1, "messages": ["hello"]}).encode()
    assert [json.loads(http(base, "POST", send)[1]) for _ in range(2)] == [{"ack": 1}] * 2
    assert http(base, "POST", b'{"seq":9,"messages":["gap"]}')[0] == 409
    assert http(base, "POST", b"{" + b" " * 600)[0] == 413
    assert http(base, "DELETE")[0] == 204
    assert http(f"{base}?after={after}")[0] == 404


async def sessions():
    opened = [http("/poll/open", "POST", b"") for _ in range(4)]
    assert [status for status, _, _ in opened] == [200, 200, 200, 503]
    sids = [json.loads(body)["sid"] for _, body, _ in opened[:3]]
    assert len(set(sids)) == 3
    for sid in sids:
        assert http("/poll/" + sid, "DELETE")[0] == 204


async def crowd():
    """All slots taken: the next one is told, and everybody else goes on."""
    before = stats()["refused"]
    await free()
    held = [await dial("/echo" if i % 2 else "/live") for i in range(SLOTS)]
    for _ in range(3):
        status, body, headers = http("/")
        assert (status, headers["retry-after"], body) == (503, "2", b"all my slots are taken")
    try:
        await dial("/echo")
        raise AssertionError("there was a slot")
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 503
    for i, one in enumerate(held):
        if i % 2:
            await one.send("still here")
            assert await one.recv() == "still here"
        else:
            assert json.loads(await one.recv())["n"] > 0
    await held[0].close()
    await asyncio.sleep(0.2)
    assert stats()["refused"] == before + 4
    for one in held:
        await one.close()


async def slow_reader():
    """It sends and does not read: the board stops reading from it, keeps its memory, and serves the others."""
    slow = Raw()
    slow.socket.setblocking(False)
    payload = bytes(range(250)) * 4
    many, sent, since = frame(0x82, payload) * 20, 0, time.monotonic()
    size = len(many) // 20
    while time.monotonic() - since < 1:  # a second in which nothing more could be sent
        try:
            sent += slow.socket.send(many[sent % size :])
            since = time.monotonic()
        except BlockingIOError:
            await asyncio.sleep(0.02)
    async with dial("/echo") as other:
        for i in range(50):
            await other.send(f"{i}")
            assert await other.recv() == f"{i}"
    slow.socket.setblocking(True)
    slow.socket.settimeout(20)
    # The rest of the last frame, while its answers are read.
    rest = asyncio.create_task(asyncio.to_thread(slow.send, many[sent % size : size] if sent % size else b""))
    answers = await asyncio.to_thread(slow.take, -(-sent // size) * (len(payload) + 4))
    await rest
    assert answers == (b"\x82\x7e\x03\xe8" + payload) * (-(-sent // size))
    print(f"        {len(answers):,} bytes came back", flush=True)
    slow.leave()


async def at_the_end():
    now = stats()
    assert now["uptime_ms"] > before["uptime_ms"] and now["sessions"] == 0, now
    print(f"        {now}", flush=True)


async def main():
    global before
    before = stats()
    await check("the page, and what is not there", the_page)
    await check("messages of all sizes", messages)
    await check("larger ones are refused with 1009", too_large)
    await check("fragments, with control frames between them", fragments)
    await check("frames byte by byte", byte_by_byte)
    await check("broken frames, and the codes for them", rude)
    await check("40 who leave without a word", abrupt)
    await check("200 connections, one behind the other", reconnects)
    await check("telemetry for several at once", telemetry)
    await check("curl: an event stream, and what was missed", events)
    await check("polling, each reading once", polling)
    await check("more sessions than there are", sessions)
    await check("more clients than there are slots", crowd)
    await check("a slow reader", slow_reader)
    await check("the board was not reset", at_the_end)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed or not passed else 0)


asyncio.run(main())

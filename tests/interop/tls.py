"""wss: between Python `websockets` and us: tls.py FOLDER, which holds certificate.pem and key.pem for 127.0.0.1.

INTEROP_SERVER and INTEROP_CLIENT are the programs on tokio, INTEROP_STD is the folder of the blocking adapter's examples.
"""

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

FOLDER = Path(sys.argv[1])
CERTIFICATE, KEY = FOLDER / "certificate.pem", FOLDER / "key.pem"
EXAMPLES = Path(os.environ["INTEROP_STD"])
MESSAGES = ["", "hello", "é€😀" * 1000, b"", bytes(range(256)) * 300, b"x" * (1 << 20)]
passed, failed = 0, 0


async def check(name, body):
    global passed, failed
    try:
        await asyncio.wait_for(body, 60)
        passed += 1
        print(f"ok      {name}", flush=True)
    except Exception as error:  # whatever it is, it is a failed check
        failed += 1
        print(f"FAILED  {name}: {error!r}", flush=True)


async def start(*command):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*map(str, command), stdin=pipe, stdout=pipe, limit=4 << 20)


async def talks_to(url):
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(CERTIFICATE)
    async with connect(url, ssl=trust, max_size=None) as socket:
        for message in MESSAGES:
            await socket.send(message)
            assert await socket.recv() == message
        for n in range(2000):
            await socket.send(str(n))
        for n in range(2000):
            assert await socket.recv() == str(n)
    assert socket.close_code == 1000


async def our_servers():
    blocking = await start(EXAMPLES / "echo_tls", "127.0.0.1:0", CERTIFICATE, KEY)
    tokio = await start(os.environ["INTEROP_SERVER"], "--only", "ws", "--tls", FOLDER)
    try:
        address = (await blocking.stdout.readline()).decode().strip()
        url = json.loads(await tokio.stdout.readline())["ws"].replace("https:", "wss:")
        await check("websockets is content with the echo on two threads", talks_to(f"wss://{address}/"))
        await check("websockets is content with the echo on tokio", talks_to(url))
    finally:
        for program in (blocking, tokio):
            program.kill()
            await program.wait()


async def our_clients():
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(CERTIFICATE, KEY)
    got = asyncio.Queue()

    async def greets(socket):
        await socket.send("welcome")
        async for message in socket:
            await got.put(message)
        await got.put(socket.close_code)

    async with serve(greets, "127.0.0.1", 0, ssl=own) as server:
        url = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

        async def talks(command, welcome):
            program = await start(*command)
            lines = []
            while not lines or welcome not in lines[-1]:
                line = (await program.stdout.readline()).decode()
                assert line, f"it ended after {lines}"
                lines.append(line)
            for n in range(1000):
                program.stdin.write(f"line {n}\n".encode())
            program.stdin.write_eof()
            for n in range(1000):
                assert await got.get() == f"line {n}"
            assert (await got.get(), await program.wait()) == (1000, 0)

        client = os.environ["INTEROP_CLIENT"]
        await check("our client on tokio", talks([client, "ws", url, "--trust", CERTIFICATE], '"welcome"'))
        await check("our client on two threads", talks([EXAMPLES / "client", url, CERTIFICATE], "welcome"))


async def main():
    await our_servers()
    await our_clients()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


asyncio.run(main())

"""docs/guides: the programs in Python that need more than its standard library."""

import asyncio
import sys
from contextlib import asynccontextmanager

from harness.client import connected
from harness.pages import snippet
from harness.server import AUTH, SECRET, clean_environment

ROOM = "room:support"
# Every token is reported, so that the test sees when the worker signs in.
REPORT = """
sign = token


def token(*args):
    print("token", flush=True)
    return sign(*args, seconds=SECONDS)
"""


@asynccontextmanager
async def running(directory, server, seconds=600):
    """The worker, until the block ends, with tokens that are good for so long."""
    signing = snippet("guides/tokens.md", "token_for.py") + REPORT.replace("SECONDS", str(seconds))
    (directory / "token_for.py").write_text(signing)
    environment = clean_environment() | {"CHAT_URL": server.socket}
    process = await asyncio.create_subprocess_exec(sys.executable, "worker.py", cwd=directory, env=environment, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def ask(client, n, text):
    return (await client.call("send", entity=ROOM, type="post", body={"text": text}, n=n))["seq"]


async def answered(client, question):
    while True:
        event = await client.notification("event")
        if event["from"] == "helper" and event["body"]["re"] == question:
            return


async def test_the_worker_in_python_answers_each_question_once(make_server, tmp_path):
    server = make_server(AUTH)
    directory = tmp_path / "worker"
    directory.mkdir()
    (directory / "secret").write_text(f"{SECRET}\n")
    (directory / "worker.py").write_text(snippet("guides/backend-worker.md", "worker.py"))
    ann = {"token": server.token("ann")}
    questions = []
    async with connected(server, params=ann) as client:
        await client.call("subscribe", entity=ROOM)
        questions.append(await ask(client, 1, "Where is the door?"))
        await ask(client, 2, "Thank you.")
        async with running(directory, server):
            await answered(client, questions[0])
            questions.append(await ask(client, 3, "And the window?"))
            await answered(client, questions[1])
        questions.append(await ask(client, 4, "Anybody?"))
        # It died before it had written down how far it was: what it has answered it does not answer again.
        (directory / "position.json").write_text("null")
        async with running(directory, server, seconds=6) as worker:
            await answered(client, questions[2])
            assert await worker.stdout.readline() == b"token\n"
            assert await worker.stdout.readline() == b"token\n", "it renews its token on the same connection"
            questions.append(await ask(client, 5, "Still there?"))
            await answered(client, questions[3])
    async with running(directory, server) as worker:
        assert await worker.stdout.readline() == b"token\n"
        server.kill()
        server.start()
        assert (await worker.stdout.readline()).startswith(b"connection lost:")
        async with connected(server, params=ann) as client:
            await client.call("subscribe", entity=ROOM)
            questions.append(await ask(client, 1, "And after a crash?"))
            await answered(client, questions[4])
            messages = (await client.call("read", entity=ROOM))["state"]["messages"]
    assert [message["body"]["re"] for message in messages if message["from"] == "helper"] == questions

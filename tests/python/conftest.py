"""Fixtures, and how a coroutine becomes a test: each runs in an event loop of its own, against a deadline."""

import asyncio
import inspect

import pytest
from harness.client import JSON, MSGPACK
from harness.server import AUTH, Server

DEADLINE = 60


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def story():
        async with asyncio.timeout(DEADLINE):
            await pyfuncitem.obj(**arguments)

    asyncio.run(story())
    return True


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that leave it as it was; each uses entities of its own."""
    server = Server(tmp_path_factory.mktemp("server"), AUTH, store="memory")
    yield server.start()
    server.stop()


@pytest.fixture
def make_server(tmp_path):
    """Servers for one test, with a configuration of its own."""
    servers = []

    def make(config="", **options):
        directory = tmp_path / f"server-{len(servers)}"
        directory.mkdir()
        servers.append(Server(directory, config, **options))
        return servers[-1].start()

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def name(request):
    """An id that no other test uses."""
    return "".join(char if char.isalnum() else "-" for char in request.node.name)


@pytest.fixture(params=[JSON, MSGPACK], ids=["json", "msgpack"])
def codec(request):
    return request.param

"""Fixtures, and a hook that runs coroutine tests, each in its own event loop and with a deadline."""

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

    async def run_test():
        async with asyncio.timeout(DEADLINE):
            await pyfuncitem.obj(**arguments)

    asyncio.run(run_test())
    return True


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server shared by all tests that leave it unchanged; each test uses its own entities."""
    server = Server(tmp_path_factory.mktemp("server"), AUTH, store="memory")
    yield server.start()
    server.stop()


@pytest.fixture
def make_server(tmp_path):
    """Starts servers for one test, with a configuration of their own."""
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

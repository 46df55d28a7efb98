"""What the end-to-end tests share: folders that unprivileged peers can enter, and programs that end with the test."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from peers.certificates import Authority  # noqa: E402
from peers.martlet import Martlet  # noqa: E402


def pytest_report_header():
    from peers.martlet import binary

    return f"server: {binary()}"


@pytest.fixture
def folder():
    """An empty folder that other users may enter (pytest's own may not be); short, for Unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="martlet-"))
    path.chmod(0o755)
    yield path
    if not os.environ.get("MARTLET_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def running():
    """Takes programs and stops them, last first, when the test ends."""
    programs = []

    def keep(program):
        programs.append(program)
        return program

    yield keep
    for program in reversed(programs):
        program.stop()


@pytest.fixture
def martlet(folder, running):
    """Makes and starts servers: martlet(limits={"recipients": 5}); example.test with alice and bob unless populate is False."""
    made = []

    def make(populate=True, start=True, **options):
        server = Martlet(folder / f"m{len(made)}", **options)
        made.append(server)
        running(server)
        if start:
            server.start()
        if populate:
            server.populate()
        return server

    return make


@pytest.fixture(scope="session")
def authority():
    path = Path(tempfile.mkdtemp(prefix="martlet-ca-"))
    path.chmod(0o755)
    yield Authority(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def certificate(authority):
    return authority.issue("mx.example.test")


@pytest.fixture
def as_root():
    if os.geteuid() != 0:
        pytest.skip("needs root: this peer changes users")

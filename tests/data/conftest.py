import os
from pathlib import Path

import pytest
from packed import DEBIAN_PACKED, NPM_PACKED, Packed, needs_dpkg_deb


@pytest.fixture(
    params=[
        pytest.param(NPM_PACKED, id="npm"),
        pytest.param(DEBIAN_PACKED, id="debian", marks=needs_dpkg_deb),
    ]
)
def packed(request) -> Packed:
    """The tiny data set, in a package of npm and in one of Debian."""
    return request.param


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """A folder that comes first on the path, for clients that need no network."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    return tmp_path

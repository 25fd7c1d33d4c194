"""Installs npm packages that tests compare files of the repository with."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from servers import need


def install_npm(folder: Path, *packages: str) -> None:
    """Install packages such as `ajv@8.17.1` into `folder`, once.

    If that fails, the test is skipped, and in CI it fails.
    """
    npm, manifest = need("npm"), folder / "package.json"
    if (folder / "package-lock.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"private": True, "type": "module"}))
    finished = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    if finished.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        if os.environ.get("CI"):
            pytest.fail(f"npm install: {finished.stderr[-500:]}")
        pytest.skip(f"npm cannot install {', '.join(packages)} here")

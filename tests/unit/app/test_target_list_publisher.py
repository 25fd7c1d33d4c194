"""The collector knows the targets of its own list, as soon as that is published."""

from pathlib import Path

from netwatch.app.target_list_publisher import ReloadingTargets, publish_list, published_path
from netwatch.collector.canary import is_canary
from netwatch.config import parse_config
from netwatch.model.duration import Duration

OWN = '[[target]]\nid = "own"\nprobe = "tcp"\nhost = "127.0.0.1"\n'
LISTED = '[[target]]\nid = "{name}"\nprobe = "dns"\nhost = "192.5.5.241"\n'


def test_a_published_target_is_known_and_stays_known(tmp_path: Path) -> None:
    config = parse_config(f'data = "{tmp_path}"\n{OWN}')
    targets = ReloadingTargets(config)
    assert list(targets) == ["own"]
    file = tmp_path / "targets.toml"
    for name in ("first", "second"):
        file.write_text(LISTED.format(name=name) + LISTED.format(name="own"))
        publish_list(config, file, length=Duration(days=1))
        assert name in list(targets)
    # Measurements of an earlier list may still arrive; configured targets override listed ones.
    assert {name: target.host for name, target in targets.items()} == {
        "own": "127.0.0.1",
        "first": "192.5.5.241",
        "second": "192.5.5.241",
    }
    published_path(config).write_bytes(b"garbage")
    assert len(list(targets)) == len(targets) == 3


def test_a_list_has_the_canary_of_an_observatory_with_https(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(LISTED.format(name="first"))
    urls = {
        "https://observatory.net": ("observatory.net", 443),
        "https://observatory.net:8443/": ("observatory.net", 8443),
        "https://observatory.net/deep": None,
        "http://observatory.net": None,
        "https://127.0.0.1": None,
    }
    for url, expected in urls.items():
        config = parse_config(f'data = "{tmp_path}"\n[fleet]\nurl = "{url}"')
        listed = publish_list(config, file, length=Duration(days=1)).targets
        canaries = [(one.host, one.port) for one in listed if is_canary(one)]
        assert canaries == ([expected] if expected else []), url
    config = parse_config(f'data = "{tmp_path}"\n[fleet]\nurl = "https://observatory.net"')
    file.write_text(LISTED.format(name="own") + 'group = "canary"\n')
    listed = publish_list(config, file, length=Duration(days=1)).targets
    assert [one.id for one in listed] == ["own"]

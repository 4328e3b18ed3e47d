"""A subnet that somebody else uses is refused, by name, before anything is made."""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def network(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """lab/_network.py on a machine without networks."""
    module = script("_network")
    monkeypatch.setattr(module, "CNI_DIRECTORY", tmp_path)
    monkeypatch.setattr(module, "ROUTES", tmp_path / "route")
    route(tmp_path / "route", "eth0", "0.0.0.0/0")
    return module


def route(path: Path, interface: str, subnet: str) -> None:
    """What Linux says of a machine with one route."""
    parts = ipaddress.IPv4Network(subnet)
    address, mask = (
        f"{int.from_bytes(part.packed, sys.byteorder):08X}" for part in (parts.network_address, parts.netmask)
    )
    path.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        f"{interface}\t{address}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n"
    )


def describe(path: Path, subnet: str) -> None:
    path.write_text(json.dumps({"plugins": [{"ipam": {"ranges": [[{"subnet": subnet}]]}}]}, indent=2))


@pytest.mark.parametrize(
    ("interface", "subnet"), [("eth0", "0.0.0.0/0"), ("eth1", "198.18.1.0/24"), ("lab-mine", "198.18.0.0/24")]
)
def test_a_free_subnet(network: ModuleType, interface: str, subnet: str) -> None:
    lab = network.Lab("mine", ipaddress.IPv4Network("198.18.0.0/24"))
    route(network.ROUTES, interface, subnet)
    describe(network.CNI_DIRECTORY / "other.conflist", "10.88.0.0/16")
    describe(network.description_path(lab), "198.18.0.0/24")
    network.check_free(lab)


@pytest.mark.parametrize("subnet", ["198.18.0.0/24", "198.18.0.64/26", "198.18.0.0/15"])
def test_one_that_is_taken(network: ModuleType, subnet: str) -> None:
    lab = network.Lab("mine", ipaddress.IPv4Network("198.18.0.0/24"))
    route(network.ROUTES, "eth1", subnet)
    with pytest.raises(
        network.LabError, match=f"overlaps {subnet}, which .* through eth1; .* choose one with --subnet"
    ):
        network.check_free(lab)
    description = network.CNI_DIRECTORY / "other.conflist"
    describe(description, subnet)
    with pytest.raises(network.LabError, match=f"overlaps that of the podman network in {description}; .* --subnet"):
        network.check_free(lab)


@pytest.mark.parametrize("text", ["", "{}", '{"plugins": [{"ipam": {"ranges": [[{"subnet": "x"}]]}}]}'])
def test_a_description_that_somebody_changed_is_named(network: ModuleType, text: str) -> None:
    lab = network.Lab("mine", ipaddress.IPv4Network("198.18.0.0/24"))
    assert network.existing_subnet(lab) is None
    network.description_path(lab).write_text(text)
    with pytest.raises(network.LabError, match=r"is not as the lab writes it .*: remove that file and try again"):
        network.existing_subnet(lab)

# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the wire when the address moves, byte by byte as the RFCs lay it out; and what ip is asked to do."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _endpoint
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Endpoint
from ansible_collections.duet.backup_ha.plugins.module_utils._endpoint import (
    BROADCAST,
    advertised_by,
    arp_frame,
    arp_holder,
    neighbour_advertisement,
    neighbour_solicitation,
)

MAC = bytes.fromhex("02d0c6125e0b")
OTHER_MAC = bytes.fromhex("02d0c6125e0c")
FOUR = Endpoint("198.18.0.10", 24, "eth0", "backup.lab.test")
SIX = Endpoint("2001:db8::10", 64, "eth0", "backup.lab.test")
ADDRESS = socket.inet_aton(FOUR.address)


def test_an_announcement_is_laid_out_as_in_rfc_826() -> None:
    frame = arp_frame(MAC, MAC, ADDRESS, BROADCAST, ADDRESS, operation=2)
    assert frame.hex(" ") == (
        "ff ff ff ff ff ff 02 d0 c6 12 5e 0b 08 06 "  # Ethernet: to everybody, from us, ARP
        "00 01 08 00 06 04 00 02 "  # hardware Ethernet, protocol IPv4, their lengths, operation reply
        "02 d0 c6 12 5e 0b c6 12 00 0a "  # sender: our MAC, the address
        "ff ff ff ff ff ff c6 12 00 0a"  # target: the same address (RFC 5227, section 3)
    )


def test_a_probe_names_no_sender_as_rfc_5227_wants_it() -> None:
    """Section 2.1.1: sender address all zero, so that no neighbour's cache is spoilt; target hardware all zero."""
    frame = arp_frame(MAC, MAC, b"\0\0\0\0", b"\0" * 6, ADDRESS, operation=1)
    _header, sender, target, wanted = frame[:22], frame[28:32], frame[32:38], frame[38:42]
    assert (sender, target, wanted) == (b"\0" * 4, b"\0" * 6, ADDRESS)
    assert struct.unpack("!H", frame[20:22]) == (1,)
    assert len(frame) == 42


def answer(sender: bytes = ADDRESS, operation: int = 2) -> bytes:
    return arp_frame(OTHER_MAC, OTHER_MAC, sender, MAC, b"\0\0\0\0", operation)


@pytest.mark.parametrize(
    ("frame", "holder"),
    [
        pytest.param(answer(), OTHER_MAC, id="an answer"),
        pytest.param(answer(operation=1), OTHER_MAC, id="a question by who has it"),
        pytest.param(answer() + b"\0" * 18, OTHER_MAC, id="padded to Ethernet's minimum"),
        pytest.param(answer(socket.inet_aton("198.18.0.11")), None, id="about another address"),
        pytest.param(answer()[:41], None, id="cut short"),
        pytest.param(answer()[:12] + b"\x08\x00" + answer()[14:], None, id="not ARP"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_who_has_the_address(frame: bytes, holder: bytes | None) -> None:
    assert arp_holder(frame, ADDRESS) == holder


def test_a_neighbour_advertisement_is_laid_out_as_in_rfc_4861() -> None:
    message = neighbour_advertisement(MAC, SIX.address)
    assert message.hex(" ") == (
        "88 00 00 00 "  # type 136, code 0, checksum by the kernel
        "20 00 00 00 "  # no router, not solicited, override
        "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10 "  # target: the address that moved
        "02 01 02 d0 c6 12 5e 0b"  # option 2, one unit of 8 bytes: our MAC
    )


class FakeIp:
    """The ip command: remembers what it was asked, and answers with a node's addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def run(self, argv: list[str], **_options: Any) -> str:
        self.asked.append(" ".join(argv))
        info = [{"family": "inet", "local": a, "prefixlen": 24} for a in self.addresses]
        links = [
            {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]},
            {"ifname": "eth0@if5", "addr_info": [*info, {"family": "inet", "broadcast": "198.18.0.255"}]},
            {"ifname": "dummy0"},
        ]
        return json.dumps(links)


def use(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> FakeIp:
    fake = FakeIp(*addresses)
    monkeypatch.setattr(_endpoint, "run", fake.run)
    return fake


@pytest.mark.parametrize(
    ("endpoint", "addresses", "held"),
    [
        (FOUR, ["198.18.0.11", "198.18.0.10"], True),
        (FOUR, ["198.18.0.11"], False),
        (FOUR, [], False),
        (FOUR, ["198.18.0.100"], False),
        (SIX, ["2001:db8:0:0:0:0:0:10"], True),
        (SIX, ["2001:db8::11"], False),
    ],
)
def test_held(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, addresses: list[str], held: bool) -> None:
    use(monkeypatch, *addresses)
    assert _endpoint.holds(endpoint) is held


@pytest.mark.parametrize(
    ("endpoint", "command"),
    [
        (FOUR, "ip address replace 198.18.0.10/24 dev eth0"),
        (SIX, "ip address replace 2001:db8::10/64 dev eth0 nodad preferred_lft 0"),
    ],
)
def test_taking_the_address_is_one_command_that_may_be_repeated(
    monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, command: str
) -> None:
    fake = use(monkeypatch)
    _endpoint.add(endpoint)
    assert fake.asked == [command]


def test_the_address_is_deleted_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, "198.18.0.10")
    assert _endpoint.delete(FOUR) is True
    assert fake.asked[-1] == "ip address del 198.18.0.10/24 dev eth0"


def test_an_address_that_is_not_here_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, "198.18.0.11")
    assert _endpoint.delete(FOUR) is False
    assert len(fake.asked) == 1


SIX_ADDRESS = socket.inet_pton(socket.AF_INET6, SIX.address)
ADVERTISED = neighbour_advertisement(OTHER_MAC, SIX.address)


def test_a_solicitation_is_laid_out_as_in_rfc_4861() -> None:
    assert neighbour_solicitation(MAC, SIX_ADDRESS).hex(" ") == (
        "87 00 00 00 00 00 00 00 "  # type 135, code 0, checksum by the kernel
        "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10 "  # target: the address that is looked for
        "01 01 02 d0 c6 12 5e 0b"  # option 1, one unit of 8 bytes: our MAC
    )


@pytest.mark.parametrize(
    ("message", "holder"),
    [
        pytest.param(ADVERTISED, OTHER_MAC, id="an answer"),
        pytest.param(neighbour_advertisement(OTHER_MAC, "2001:db8::11"), None, id="about another address"),
        pytest.param(neighbour_solicitation(OTHER_MAC, SIX_ADDRESS), None, id="another one who asks"),
        pytest.param(ADVERTISED[:31], None, id="cut short"),
        pytest.param(ADVERTISED[:24] + b"\x01" + ADVERTISED[25:], None, id="another option"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_who_has_the_ipv6_address(message: bytes, holder: bytes | None) -> None:
    assert advertised_by(message, SIX_ADDRESS) == holder

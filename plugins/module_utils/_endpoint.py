# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's address: taking it, telling the neighbours, giving it back.

Ethernet frames are made here because arping cannot be asked to answer within milliseconds.
Formats: RFC 826 and RFC 5227 (ARP, probe, announcement), RFC 4861 sections 4.3 and 4.4 (neighbour discovery).
"""

from __future__ import annotations

import ipaddress
import json
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ._config import Endpoint
from ._system import run

ETHERTYPE_ARP = 0x0806
BROADCAST = b"\xff" * 6
ICMPV6_NEIGHBOUR_SOLICITATION, ICMPV6_NEIGHBOUR_ADVERTISEMENT = 135, 136
SOLICITED_NODE_PREFIX = bytes.fromhex("ff02000000000000 00000001ff")  # RFC 4291, section 2.7.1


def holds(endpoint: Endpoint) -> bool:
    """This node has the address, on whatever interface."""
    links = json.loads(run(["ip", "-json", "address", "show"]))
    wanted = ipaddress.ip_address(endpoint.address)
    return any(
        ipaddress.ip_address(address["local"]) == wanted
        for link in links
        for address in link.get("addr_info", [])
        if "local" in address
    )


def add(endpoint: Endpoint) -> None:
    """Have the address, at once: no duplicate address detection by the kernel (see probe()), one command."""
    run(["ip", *_addition(endpoint)])


def _addition(endpoint: Endpoint) -> list[str]:
    # Deprecated, in the words of RFC 4862: taken for what comes in, never for a connection that this node opens.
    six = ["nodad", "preferred_lft", "0"] if _version(endpoint) == 6 else []
    return ["address", "replace", _cidr(endpoint), "dev", endpoint.interface, *six]


class Announcer:
    """A socket for announcements. Opened beforehand and closed late: closing one takes the kernel tens of ms."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._socket = _announcement_socket(endpoint)

    def announce(self) -> None:
        """Tell every neighbour, once, that the address is here now."""
        mac = interface_mac(self._endpoint.interface)
        if _version(self._endpoint) == 4:
            address = socket.inet_aton(self._endpoint.address)
            for operation in (1, 2):  # neighbours differ in which of the two they heed
                self._socket.send(arp_frame(mac, mac, address, BROADCAST, address, operation))
            return
        index = socket.if_nametoindex(self._endpoint.interface)
        message = neighbour_advertisement(mac, self._endpoint.address)
        self._socket.sendmsg([message], [_from_address(self._endpoint, index)], 0, ("ff02::1", 0, 0, index))

    def close(self) -> None:
        self._socket.close()


class PreparedEndpoint:
    """Everything for taking the address is started and open, so that taking it costs no more than a millisecond."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._announcer = Announcer(endpoint)
        self._command = subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True)

    def take(self) -> None:
        self._command.communicate(" ".join(_addition(self._endpoint)) + "\n", timeout=10)
        if self._command.returncode != 0:
            add(self._endpoint)
        self._announcer.announce()

    def announce(self) -> None:
        self._announcer.announce()

    def close(self) -> None:
        if self._command.poll() is None:
            self._command.communicate("", timeout=10)
        self._announcer.close()


def delete(endpoint: Endpoint) -> bool:
    """Remove the address. False when this node had it not."""
    if not holds(endpoint):
        return False
    run(["ip", "address", "del", _cidr(endpoint), "dev", endpoint.interface], check=False)
    return True


def announce_repeatedly(endpoint: Endpoint, pauses: tuple[float, ...] = (0.0, 0.01, 0.04, 0.15, 0.3)) -> None:
    """Announcements get lost, and a switch may still be learning; a handful of them costs nothing."""
    with closing(Announcer(endpoint)) as announcer:
        for pause in pauses:
            time.sleep(pause)
            announcer.announce()


def probe(endpoint: Endpoint, timeout: float = 0.3) -> str | None:
    """Ask the neighbours whether somebody else has the address: that machine's MAC, or None."""
    return (_probe_arp if _version(endpoint) == 4 else _probe_neighbours)(endpoint, timeout)


def _probe_arp(endpoint: Endpoint, timeout: float) -> str | None:
    mac = interface_mac(endpoint.interface)
    wanted = socket.inet_aton(endpoint.address)
    question = arp_frame(mac, mac, b"\0\0\0\0", b"\0" * 6, wanted, operation=1)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP)) as raw:
        raw.bind((endpoint.interface, ETHERTYPE_ARP))
        return _ask(raw, lambda: raw.send(question), lambda frame: arp_holder(frame, wanted), mac, timeout)


def _probe_neighbours(endpoint: Endpoint, timeout: float) -> str | None:
    mac = interface_mac(endpoint.interface)
    wanted = socket.inet_pton(socket.AF_INET6, endpoint.address)
    question = neighbour_solicitation(mac, wanted)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, endpoint.interface.encode())
        group = socket.inet_ntop(socket.AF_INET6, SOLICITED_NODE_PREFIX + wanted[-3:])
        where = (group, 0, 0, socket.if_nametoindex(endpoint.interface))
        return _ask(
            raw, lambda: raw.sendto(question, where), lambda message: advertised_by(message, wanted), mac, timeout
        )


def _ask(
    raw: socket.socket, ask: Callable[[], int], holder_in: Callable[[bytes], bytes | None], mac: bytes, timeout: float
) -> str | None:
    """Ask twice, for a packet may be lost, and listen until somebody else than this machine says that he has it."""
    until = time.monotonic() + timeout
    for stop in (until - timeout / 2, until):
        ask()
        while (left := stop - time.monotonic()) > 0:
            readable, _writable, _other = select.select([raw], [], [], left)
            holder = holder_in(raw.recv(128)) if readable else None
            if holder and holder != mac:
                return holder.hex(":")
    return None


def arp_frame(
    source: bytes, sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes, operation: int
) -> bytes:
    """An Ethernet broadcast with one ARP packet: operation 1 asks, 2 answers."""
    header = BROADCAST + source + struct.pack("!H", ETHERTYPE_ARP)
    return header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + sender_mac + sender + target_mac + target


def arp_holder(frame: bytes, wanted: bytes) -> bytes | None:
    """The MAC address of the machine that says in this frame that it has the wanted address."""
    if len(frame) < 42 or frame[12:14] != struct.pack("!H", ETHERTYPE_ARP):
        return None
    return frame[22:28] if frame[28:32] == wanted else None


def neighbour_advertisement(mac: bytes, address: str) -> bytes:
    """An unsolicited advertisement with the override flag; the kernel fills in the checksum."""
    flags_override = 0x20000000
    target = socket.inet_pton(socket.AF_INET6, address)
    option_target_link_layer = struct.pack("!BB", 2, 1) + mac
    return (
        struct.pack("!BBHI", ICMPV6_NEIGHBOUR_ADVERTISEMENT, 0, 0, flags_override) + target + option_target_link_layer
    )


def neighbour_solicitation(mac: bytes, wanted: bytes) -> bytes:
    """Who has the wanted address? The kernel fills in the checksum."""
    option_source_link_layer = struct.pack("!BB", 1, 1) + mac
    return struct.pack("!BBHI", ICMPV6_NEIGHBOUR_SOLICITATION, 0, 0, 0) + wanted + option_source_link_layer


def advertised_by(message: bytes, wanted: bytes) -> bytes | None:
    """The MAC address of the machine that says in this ICMPv6 message that it has the wanted address."""
    if len(message) < 32 or message[0] != ICMPV6_NEIGHBOUR_ADVERTISEMENT or message[8:24] != wanted:
        return None
    return message[26:32] if message[24:26] == struct.pack("!BB", 2, 1) else None


def interface_mac(interface: str) -> bytes:
    text = Path(f"/sys/class/net/{interface}/address").read_text(encoding="ascii").strip()
    return bytes.fromhex(text.replace(":", ""))


def _announcement_socket(endpoint: Endpoint) -> socket.socket:
    if _version(endpoint) == 4:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind((endpoint.interface, ETHERTYPE_ARP))
        return raw
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    return raw


def _from_address(endpoint: Endpoint, index: int) -> tuple[int, int, bytes]:
    """The source address of one message (RFC 3542, IPV6_PKTINFO): the socket is opened before the address is here."""
    source = socket.inet_pton(socket.AF_INET6, endpoint.address)
    return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source + struct.pack("@I", index)


def _version(endpoint: Endpoint) -> int:
    return ipaddress.ip_address(endpoint.address).version


def _cidr(endpoint: Endpoint) -> str:
    return f"{endpoint.address}/{endpoint.prefix}"

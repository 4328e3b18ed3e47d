"""The inventory of a lab, of the same shape as lab/inventory.yml, which serves the default one."""

from __future__ import annotations

from pathlib import Path

from _spec import DEFAULT_NAME, DEFAULT_SUBNET, Lab, lab_from

STATIC = Path(__file__).resolve().parent / "inventory.yml"


def path(lab: Lab) -> Path:
    """Where the lab's inventory is: in git for the default lab, beside its key for any other."""
    return STATIC if _is_default(lab) else lab.directory / "inventory.yml"


def write(lab: Lab) -> Path:
    """Write the inventory of a lab that is not the default one. Returns its path."""
    target = path(lab)
    if not _is_default(lab):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_text(lab))
    return target


def _is_default(lab: Lab) -> bool:
    return lab == lab_from(DEFAULT_NAME, DEFAULT_SUBNET)


def _text(lab: Lab) -> str:
    """The static inventory with this lab's addresses and files in place of the default one's."""
    default = lab_from(DEFAULT_NAME, DEFAULT_SUBNET)
    lines = [line for line in STATIC.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines) + "\n"
    text = text.replace(f"/../build/lab/{default.name}/", "/")
    for old, new in zip([*default.nodes], [*lab.nodes], strict=True):
        text = text.replace(f"ansible_host: {old.address}\n", f"ansible_host: {new.address}\n")
    return text.replace(default.endpoint, lab.endpoint)

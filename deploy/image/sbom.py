"""sbom.py VENV JARS_LOCK: print the image's bill of materials (CycloneDX 1.6): Debian, Python and Java packages."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

Component = dict[str, Any]


def python_packages(venv: Path) -> Iterator[Component]:
    """The distributions in the venv."""
    (folder,) = venv.glob("lib/python3.*/site-packages")
    for found in metadata.distributions(path=[str(folder)]):
        name = found.metadata["Name"].lower().replace("_", "-")
        yield component(name, found.version, f"pkg:pypi/{name}@{found.version}")


def jars(lock: Path) -> Iterator[Component]:
    """The jars of the lock, with their checksums."""
    for line in lock.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            checksum, _, _, coordinate = line.split()
            group, artifact, version, *_ = coordinate.split(":")
            found = component(f"{group}:{artifact}", version, f"pkg:maven/{group}/{artifact}@{version}")
            yield {**found, "hashes": [{"alg": "SHA-256", "content": checksum}]}


def debian_packages() -> Iterator[Component]:
    """The packages of the base image; none where there is no dpkg."""
    try:
        listed = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\n"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except FileNotFoundError:
        return
    for line in listed.splitlines():
        name, version, architecture = line.split()
        yield component(name, version, f"pkg:deb/debian/{name}@{version}?arch={architecture}")


def component(name: str, version: str, purl: str) -> Component:
    """One entry."""
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def bill(venv: Path, lock: Path) -> dict[str, Any]:
    """The whole bill; each component once."""
    found = {each["purl"]: each for each in [*python_packages(venv), *jars(lock), *debian_packages()]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "music-platform"}},
        "components": [found[purl] for purl in sorted(found)],
    }


if __name__ == "__main__":
    print(json.dumps(bill(Path(sys.argv[1]), Path(sys.argv[2])), indent=1))

"""The pages as one zip for readers without a network: the same bytes whenever it is made from the same pages."""
from __future__ import annotations

import zipfile
from pathlib import Path

FOLDER = "siliconomics"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


def write(site: Path, target: Path) -> int:
    """Zip the pages under one folder and return how many files there are."""
    paths = sorted((path for path in site.rglob("*") if path.is_file()), key=lambda path: path.relative_to(site).as_posix())
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in paths:
            entry = zipfile.ZipInfo(f"{FOLDER}/{path.relative_to(site).as_posix()}", EARLIEST)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3  # as on Unix, on any system
            archive.writestr(entry, path.read_bytes())
    return len(paths)

"""TLS keys of one run, needed to connect to its scheduler and workers."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from distributed.security import Security

from daskglass.cluster.folders import is_private
from daskglass.errors import ClusterError

ROLES = ("scheduler", "worker", "client")


def make_keys(parent: Path, beside: Path) -> tuple[Path, Security]:
    """Make keys in a new private folder, on storage that the nodes share.

    The folder's name contains a hash of the path that the keys are for. Older folders for the same path, left by a run that
    died with its guardian, are removed.

    Raises
    ------
    ClusterError
        If other users could read the keys there.
    """
    prefix = f".daskglass.{hashlib.sha256(str(beside.absolute()).encode()).hexdigest()[:12]}.keys."
    for left in parent.glob(f"{prefix}*"):
        # another user's folder is not ours to remove
        if is_private(left):
            shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).absolute()
    if not is_private(folder):
        folder.rmdir()
        raise ClusterError(
            f"{parent}: other users could read the keys of this run: this storage ignores permissions; set "
            "shared_temp_directory in cluster.yaml to a folder that the nodes share, on storage that keeps permissions"
        )
    made = Security.temporary()
    files = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    for name, text in (("ca", made.tls_ca_file), ("cert", made.tls_scheduler_cert), ("key", made.tls_scheduler_key)):
        files[name].touch(mode=0o600)
        files[name].write_text(text)
    return folder, security_of(files["ca"], files["cert"], files["key"])


def security_of(ca: Path, cert: Path, key: Path) -> Security:
    """TLS settings of scheduler, workers and client."""
    of_roles = {f"tls_{role}_{what}": str(file) for role in ROLES for what, file in (("cert", cert), ("key", key))}
    return Security(tls_ca_file=str(ca), require_encryption=True, **of_roles)

"""A hub on this machine for trying a course out: any name, no password, everybody under your own account. Not for a class."""
import os
from pathlib import Path

c = get_config()  # noqa: F821
rooms = Path(os.environ.get("HUB_ROOMS", "rooms")).resolve()  # a folder for each name
c.JupyterHub.bind_url = os.environ.get("HUB_URL", "http://127.0.0.1:8100")
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{rooms}/{{username}}"
c.Spawner.default_url = "/lab"
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []

"""Puts pip into an empty virtual environment without a download of its own.

ansible-test runs a script that it fetches from its project's site, with the packages to install and options
as arguments. This one takes that script's place: the pip that Python ships installs the wanted version.
"""

from __future__ import annotations

import subprocess
import sys

GET_PIP_OPTIONS = {"--no-setuptools", "--no-wheel"}  # known to the original, not to pip

arguments = [argument for argument in sys.argv[1:] if argument not in GET_PIP_OPTIONS]
# A child process: ensurepip run in this one would leave modules of the pip that is about to be replaced.
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=True)

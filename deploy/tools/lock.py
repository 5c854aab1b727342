"""Write requirements.lock: exact versions with hashes, in two parts. Run by `make lock`.

One file serves two readers. A checkout installs all of it; the container image installs only what
`ocs` needs to run, which is the part above the line `DEVELOPMENT`. Two lock files could disagree
about a version; two parts of one resolution cannot. The resolver writes hashes for every platform,
so one file serves them all.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
DEVELOPMENT = "# --- development: building, checking and testing; not part of an installation ---"
HEADER = """\
# Exact versions and hashes, written by `make lock`; do not edit.
# Install:  pip install --require-hashes -r requirements.lock
#           pip install --no-deps --no-build-isolation -e .
# --- runtime ---"""


def compile_requirements(*options: str) -> list[str]:
    """Resolve pyproject.toml; one text a package, its hashes included."""
    uv = Path(sys.executable).with_name("uv")
    command = [
        str(uv), "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11",
        "--generate-hashes", "--no-annotate", "--no-header", "--quiet", *options,
    ]  # fmt: skip
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    packages: list[str] = []
    for line in answer.stdout.splitlines():
        if line.startswith(" "):
            packages[-1] += "\n" + line
        elif line:
            packages.append(line)
    return packages


def main() -> int:
    everything = compile_requirements("--extra", "dev", "--upgrade")
    wanted = {package.split()[0] for package in compile_requirements()}
    runtime = [package for package in everything if package.split()[0] in wanted]
    if len(runtime) != len(wanted):
        print("The runtime packages resolve differently without the development ones.")
        return 1
    rest = [package for package in everything if package not in runtime]
    LOCK.write_text("\n".join([HEADER, *runtime, DEVELOPMENT, *rest]) + "\n", encoding="ascii")
    print(f"{LOCK.name}: {len(runtime)} packages to run, {len(rest)} more to develop")
    return 0


if __name__ == "__main__":
    sys.exit(main())

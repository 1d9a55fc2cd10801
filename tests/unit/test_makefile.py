"""What a newcomer sees while `make demo` installs packages."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIP = r"Collecting numpy\nDownloading numpy.whl\nCollecting onnx==1 (from -r x)\nInstalling collected packages: numpy\n"


def test_pips_progress_is_one_line_that_counts() -> None:
    rule = f"count: ; @printf '{PIP}' | $(COUNT)"
    done = subprocess.run(
        ["make", "--silent", "--eval", rule, "count"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode().split("\r") == [
        "",
        "  1 packages found",
        "  2 packages found",
        "  2 packages found; unpacking them\n",
    ]


def test_where_pip_fails_so_does_make() -> None:
    rule = "count: ; @false | $(COUNT)"
    done = subprocess.run(
        ["make", "--silent", "--eval", rule, "count"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode != 0

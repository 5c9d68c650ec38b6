"""The tool under test is a script's package, and uses the trainer's: both are found in their folders."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "trainer")]

"""medssl-bench: self-supervised methods and foundation models, crossed with medical-imaging tasks."""

from pathlib import Path

__version__ = "0.1.0"

# In a bare checkout the plug-in folders lie beside this package: `bench.methods` is then `methods/`.
# Installed, setuptools has put them inside the package and there is nothing to add.
_root = Path(__file__).resolve().parent.parent
if (_root / "bench.toml").is_file():
    __path__.append(str(_root))

"""What exhibits read of the runs: audits, and what a caption must say of them."""

from typing import Any

from novelweights.report.run_folder import RunFolder, read_run_folder
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.runs import Runs


def audit_at(runs: Runs, node: Node) -> RunFolder:
    """The audit of a node."""
    return read_run_folder(runs.at(node))


def about(audit: RunFolder) -> dict[str, Any]:
    """Data, network and numbers of checkpoints of an audit, and the seed, for a caption."""
    told, result = audit.result.about, audit.result
    return {
        "data": told.get("data"),
        "network": told.get("architecture"),
        "training": len(result.training_names),
        "training_runs": result.n_runs or len(result.training_names),
        "heldout": 0 if result.heldout is None else len(result.heldout),
        "generated": len(result.generated),
        "seed": audit.manifest.seed,
    }

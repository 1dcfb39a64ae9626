"""What exhibits read of the runs: audits, and what a caption must say of them."""

from typing import Any

from novelweights.report.run_folder import RunFolder, read_run_folder
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.runs import Runs


def audit_at(runs: Runs, node: Node) -> RunFolder:
    """The audit of a node."""
    return read_run_folder(runs.at(node))


def about(audit: RunFolder) -> dict[str, Any]:
    """Data, network, numbers and quality of checkpoints of an audit, and its seed."""
    told, result = audit.result.about, audit.result
    return {
        "data": told.get("data"),
        "network": told.get("architecture"),
        "training": len(result.training_names),
        "training_runs": result.n_runs or len(result.training_names),
        "heldout": 0 if result.heldout is None else len(result.heldout),
        "generated": len(result.generated),
        "seed": audit.manifest.seed,
        "quality": quality(audit),
    }


def quality(audit: RunFolder) -> dict[str, Any]:
    """How well generated and training checkpoints do, on average; empty where nothing judges it."""
    known = {quantity.key: quantity for quantity in audit.result.quantities}
    of = {kind: known.get(f"mean_quality_{kind}") for kind in ("generated", "training")}
    found = {kind: quantity.value for kind, quantity in of.items() if quantity is not None}
    label = next((quantity.label for quantity in of.values() if quantity is not None), "")
    return {"measure": label.partition(",")[0], **found} if found else {}

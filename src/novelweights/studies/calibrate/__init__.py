"""The audit judged on zoos of known truth."""

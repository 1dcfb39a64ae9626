"""Studies beside the audit, each with its page; the core never imports them."""

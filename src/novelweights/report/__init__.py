"""Pages, figures and summaries from the files of audits; nothing is computed."""

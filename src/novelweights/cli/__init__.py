"""The command line: parses, builds the inputs of an audit, calls the api."""

"""One file a question; each measures labkit beside a named peer, in one run."""

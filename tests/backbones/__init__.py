"""A package, so that ``test_loading`` may be the name of a file in tests/data as well."""

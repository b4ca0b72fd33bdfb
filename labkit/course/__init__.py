"""The course as a whole: run its notebooks, write the report."""

"""Grades submissions: runs them in isolation, judges them from outside, says why.

A student's notebook runs in a sandboxed kernel (``kernels``). An examiner process outside of
it holds the instructor's source and runs its checks; what a check calls lives in the
student's kernel and answers with plain data (``exchange``).
"""

"""The course's centre: which strategy suits which dataset, advised and measured.

``advice`` names a strategy from size and similarity, ``comparison`` trains all of them.
"""

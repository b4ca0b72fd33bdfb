"""The course's centre: which strategy suits which dataset, advised and measured.

``advice`` names a strategy from size and similarity; ``comparing`` trains all of them and
``comparison`` says what that tells.
"""

"""Pretrained networks: what is known of them, their weights, and how to load them.

``catalogue`` holds published facts, ``weights`` the files, ``loading`` builds models.
"""

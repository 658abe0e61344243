"""Boards as figures for papers: ranks, radars, costs and the seeds of a column, as png, svg or pdf.

Each module draws one kind of figure from a Table or a Ranking and computes nothing that those could tell. Colours are
told apart by the colour-blind, and nothing is said by colour alone.
"""

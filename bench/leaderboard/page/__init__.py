"""A board as one HTML file that needs no network, no server and, to be read, no script.

`static` writes the tables, `payload` what the script shows when asked, `render` puts both into one file.
"""

from bench.leaderboard.page.render import page

__all__ = ["page"]

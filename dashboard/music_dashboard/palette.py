"""Colours that people with any colour vision can tell apart, on white and on black (Okabe and Ito, 2008)."""

from typing import Final

BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
#: In the order in which a chart takes them. The first two differ in lightness too.
CATEGORIES = (BLUE, RED, GREEN, PINK, ORANGE, SKY)
#: What was before, and what is beside the point.
GREY = "#8A8F98"
#: Vega's name of a scale from few to many that is monotonous in lightness.
SEQUENTIAL: Final = "cividis"

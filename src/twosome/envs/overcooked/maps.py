"""Kitchen maps as text, one character per cell; a new map is a new entry here.

``#`` counter, ``.`` floor, ``@`` floor where the agent starts, ``/`` cutting board, ``D`` delivery counter, and
counters with an item at the start: ``T`` tomato, ``L`` lettuce, ``O`` onion, ``B`` bowl. Boards are
numbered in reading order. The small kitchen is the same map with plain counters instead of L, O and all boards
except the first.
"""

MAPS: dict[str, str] = {
    # The kitchen of the paper.
    "A": """
        #####T#
        /...@.L
        /.....O
        D.....#
        #.....#
        #.....#
        #####B#
    """,
    # A counter splits the room: every path between foods and boards goes around it.
    "B": """
        ####T##
        /..#@.L
        /..#..O
        #..#..#
        D..#..#
        #.....#
        ####B##
    """,
    # An island in the middle, with both boards on it.
    "C": """
        #T###L#
        #.....#
        #.#/#.O
        #.#/#.#
        #..@..#
        #.....#
        ##D#B##
    """,
}

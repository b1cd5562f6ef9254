"""Kitchen maps as text, one character a cell; a new map is a new entry here.

``#`` counter, ``.`` floor, ``@`` floor where the agent starts, ``/`` cutting board, ``D`` delivery counter, and
counters on which something lies at the start: ``T`` tomato, ``L`` lettuce, ``O`` onion, ``B`` bowl. Boards are
numbered in reading order. The small kitchen is the same map with plain counters in the place of L, O and every board
but the first.
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
    # A counter splits the room: every trip between foods and boards goes round it.
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

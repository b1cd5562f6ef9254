"""VirtualHome's own simulator as a pure function of states, each result computed once.

The simulator is `virtualhome_eval.simulation.evolving_graph`, of which a step takes about a millisecond; there are few
states (62 in food preparation, 852 in entertainment), so all environments of a process share one table that fills as
they play.
"""

import logging
from functools import lru_cache
from typing import Any, Final

from virtualhome_eval.simulation.evolving_graph.environment import EnvironmentGraph, EnvironmentState
from virtualhome_eval.simulation.evolving_graph.execution import ScriptExecutor
from virtualhome_eval.simulation.evolving_graph.scripts import Script, parse_script_line
from virtualhome_eval.simulation.evolving_graph.utils import get_visible_nodes

from twosome.envs.virtualhome.scene import CHARACTER, Scene, graph, load_scene, node_ids

logging.getLogger("virtualhome_eval").setLevel(logging.WARNING)  # not a line in the run's log for each refusal

HOLDS: Final = ("HOLDS_RH", "HOLDS_LH")

Fact = tuple[str, ...]
"""Something that is so: a node's state, ("tv", "ON"), or an edge, ("pancake", "INSIDE", "microwave")."""
State = frozenset[Fact]
"""VirtualHome's graph: all its nodes' states and all its edges. What a hand has grabbed, which the simulator keeps
beside the graph, follows from the edges."""


class Home:
    """The apartment, and what actions do in it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._ids = node_ids(scene)
        self._names = {number: name for name, number in self._ids.items()}
        self._graph = EnvironmentGraph(graph(scene))
        self._simulated: dict[State, EnvironmentState] = {}  # a graph of the simulator for every state that was met
        self._outcomes: dict[tuple[State, Fact], State | None] = {}
        self._visible: dict[State, frozenset[str]] = {}
        self.start = self._remember(EnvironmentState(self._graph, {}, instance_selection=True))

    def execute(self, state: State, script: Fact) -> State | None:
        """The state after a line of script, an action and the names of its objects; None where it is refused.

        Beside the simulator's own preconditions, every object must be in sight, and a switch needs a free hand.
        """
        key = (state, script)
        if key not in self._outcomes:
            self._outcomes[key] = self._execute(state, *script)
        return self._outcomes[key]

    def visible(self, state: State) -> frozenset[str]:
        """All rooms, and what is in the agent's room or hands and not inside anything closed."""
        if state not in self._visible:
            content = self._simulated[state].to_dict()
            # Where a thing is inside a container and so inside a room, the simulator's function means the last edge.
            content["edges"].sort(key=lambda edge: self._names[edge["to_id"]] not in self.scene.rooms)
            nodes = get_visible_nodes(content, self._ids[CHARACTER])["nodes"]
            self._visible[state] = frozenset(self._names[node["id"]] for node in nodes)
        return self._visible[state]

    def _execute(self, state: State, action: str, *objects: str) -> State | None:
        if not self.visible(state).issuperset(objects):
            return None
        if action.startswith("SWITCH") and len(held(state)) == len(HOLDS):
            return None
        words = [f"[{action}]", *(f"<{name}> ({self._ids[name]})" for name in objects)]
        script = Script([parse_script_line(" ".join(words), 0)])
        executor = ScriptExecutor(self._graph, {})  # a new one, since it keeps the reasons of all its refusals
        executed, simulated = executor.execute_one_step(script, self._simulated[state])
        return self._remember(simulated) if executed else None

    def _remember(self, simulated: EnvironmentState) -> State:
        state = self._facts(simulated.to_dict())
        self._simulated.setdefault(state, simulated)
        return state

    def _facts(self, content: dict[str, list[dict[str, Any]]]) -> State:
        nodes = {(self._names[node["id"]], value) for node in content["nodes"] for value in node["states"]}
        edges = ((edge["from_id"], edge["relation_type"], edge["to_id"]) for edge in content["edges"])
        return frozenset(nodes.union((self._names[a], relation, self._names[b]) for a, relation, b in edges))


def held(state: State) -> tuple[str, ...]:
    """What the agent holds, in alphabetical order."""
    return tuple(sorted(fact[2] for fact in state if len(fact) == 3 and fact[1] in HOLDS))


@lru_cache(maxsize=1)
def shared_home() -> Home:
    """The apartment of all environments of this process."""
    return Home(load_scene())

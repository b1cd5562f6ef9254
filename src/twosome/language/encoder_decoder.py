"""Score actions with an encoder-decoder model: a prompt once in the encoder, its actions as a token tree in the decoder."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from twosome.decision import DecisionText
from twosome.language.engine import Scores, TreeEngine, prompt_states
from twosome.language.loading import LanguageModel
from twosome.language.norms import ActionScores, Normalization
from twosome.language.tokens import SeparateTokenizer, TokenizedDecision
from twosome.language.tree import PackedRow, decisions_of, edges_of, padded, padded_size


class Work(NamedTuple):
    """A distinct prompt's tokens, and the tree of all actions that are scored after it. The tree's root is the start token."""

    prompt: tuple[int, ...]
    tree: PackedRow


class EncoderDecoderScorer(TreeEngine):
    """The engine of encoder-decoder models of the T5 and BART families.

    A distinct prompt is a row of the encoder. All its actions are one row of the decoder: a token tree below the decoder's start
    token, in which a node attends to its ancestors, itself and the prompt. The score of an action is the sum of its tokens'
    log-probabilities, without an end token (SeparateTokenizer). The state of a prompt is the decoder's last hidden state at its
    first position, as in GLAM; where the tokenizer begins texts with a token, it is that token's.
    """

    def __init__(
        self,
        lm: LanguageModel,
        norm: Normalization,
        batch_tokens: int | None = None,
        scores: ActionScores = ActionScores.logprobs,
    ) -> None:
        """batch_tokens, scores: as in conf/model. Raises ValueError for a model that the engine cannot compute."""
        super().__init__(lm, norm, batch_tokens, scores)
        config = lm.base.config
        self.hidden_size: int = config.hidden_size
        self.tokenize = SeparateTokenizer(lm.tokenizer, getattr(config, "max_position_embeddings", None))
        self.positions = TreePositions(lm.base.get_decoder())
        if not self.positions.known:
            raise ValueError("its decoder's positions cannot be set")
        start = config.decoder_start_token_id
        self.given = (start, *self.tokenize.begin)

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """Score decisions; each batch is one forward pass. See Engine."""
        tokenized = self.tokenize(texts)
        for batch in self._batches(tokenized):
            rows = [tree for _, tree in batch]
            logits, hidden = self._computed(batch)
            source, target = torch.tensor(edges_of(rows), device=self.device).unbind(dim=1)
            chosen = logits[source, target]
            logprobs = chosen - torch.logsumexp(logits, dim=-1)[source]
            raw = chosen if self.kind is ActionScores.logits else None
            yield decisions_of(rows), self.scores_of(rows, hidden, texts, tokenized, logprobs, raw)

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Compute the decoder's last hidden state at its first position. See Engine."""
        for batch in self._batches([TokenizedDecision(self.tokenize.prompt(prompt), ()) for prompt in prompts]):
            rows = [tree for _, tree in batch]
            yield decisions_of(rows), prompt_states(rows, self._computed(batch)[1])

    def _batches(self, tokenized: Sequence[TokenizedDecision]) -> list[list[Work]]:
        """Group decisions by prompt, and prompts of similar length into batches.

        A batch has a number of prompts that is a power of two. So there are few sizes of batches (see padded_size).
        """
        trees: defaultdict[tuple[int, ...], PackedRow] = defaultdict(PackedRow)
        for index, decision in enumerate(tokenized):
            trees[decision.prompt].add(index, TokenizedDecision(self.given, decision.actions))
        every = sorted(map(Work._make, trees.items()), key=lambda work: (len(work.prompt), len(work.tree)), reverse=True)
        grouped = []
        while every:
            number = 1
            while 2 * number <= len(every) and sum(self._sizes(every[: 2 * number])) * 2 * number <= self.batch_tokens:
                number *= 2
            grouped.append(every[:number])
            every = every[number:]
        return grouped

    def _computed(self, batch: Sequence[Work]) -> tuple[Tensor, Tensor]:
        """Run the model on a batch.

        Returns the logits and the last hidden states of the trees' nodes, (nodes, vocabulary) and (nodes, hidden), tree by tree.
        Both are float32.
        """
        width, length = self._sizes(batch)
        self.tokens_computed += len(batch) * (width + length)
        ids, mask = torch.zeros(2, len(batch), width, dtype=torch.long)
        for row, (prompt, _) in enumerate(batch):
            ids[row, : len(prompt)], mask[row, : len(prompt)] = torch.tensor(prompt), 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        model: Any = self.lm.base
        rows = [tree for _, tree in batch]
        trees = padded(rows, self.lm.computing_dtype, length)
        with self.lm.computing(), self.positions.at(trees.positions.to(self.device)):
            encoded = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            output = model(
                encoder_outputs=BaseModelOutput(encoded),
                attention_mask=mask,
                decoder_input_ids=trees.ids.to(self.device),
                decoder_attention_mask=trees.mask.to(self.device),
                output_hidden_states=True,
                use_cache=False,
            )
        hidden = output.decoder_hidden_states[-1].flatten(0, 1)
        nodes = trees.nodes.to(self.device)
        return output.logits.flatten(0, 1)[nodes].float(), hidden[nodes].float()

    def _sizes(self, batch: Sequence[Work]) -> tuple[int, int]:
        """Return the number of columns of a batch in the encoder and in the decoder, padded to few sizes."""
        longest, largest = max(len(work.prompt) for work in batch), max(len(work.tree) for work in batch)
        return min(padded_size(longest), self.tokenize.max_length or padded_size(longest)), padded_size(largest)


class TreePositions:
    """A switch that makes a decoder take the depths of a tree's nodes as their positions; it computes as always outside of `at`.

    Decoders of encoder-decoder models take no position ids. Those of the T5 family have a relative position bias, those of the
    BART family add an absolute position to each embedding.

    known: whether the decoder's kind of positions is one of the two.
    """

    def __init__(self, decoder: nn.Module) -> None:
        self._depths: Tensor | None = None
        relative: list[Any] = [module for module in decoder.modules() if getattr(module, "has_relative_attention_bias", False)]
        for module in relative:
            module.compute_bias = self._relative(module.compute_bias)
        absolute = getattr(decoder, "embed_positions", None)
        able = isinstance(absolute, nn.Module) and "position_ids" in inspect.signature(absolute.forward).parameters
        if isinstance(absolute, nn.Module) and able:
            absolute.register_forward_pre_hook(self._flattened, with_kwargs=True)
            absolute.register_forward_hook(self._unflattened)
        self.known = able or bool(relative)

    @contextmanager
    def at(self, depths: Tensor) -> Iterator[None]:
        """Give the tokens of the decoder's input these positions within the context. depths: (B, L)."""
        self._depths = depths
        try:
            yield
        finally:
            self._depths = None

    def _relative(self, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return a replacement of T5Attention.compute_bias, whose result is (1 or B, heads, queries, keys)."""

        def compute_bias(query_length: int, key_length: int, *args: Any, **kwargs: Any) -> Tensor:
            if self._depths is None:
                return compute(query_length, key_length, *args, **kwargs)
            length = int(self._depths.max()) + 1
            table = compute(length, length, *args, **kwargs)[0]
            return table[:, self._depths[:, :, None], self._depths[:, None, :]].transpose(0, 1)

        return compute_bias

    def _flattened(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before the layer of absolute positions, which embeds one row of positions: replace it by all depths."""
        return args, kwargs if self._depths is None else kwargs | {"position_ids": self._depths.flatten()}

    def _unflattened(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output if self._depths is None else output.reshape(*self._depths.shape, -1)

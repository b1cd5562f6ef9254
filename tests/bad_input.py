"""Wrong command lines and what the one line that answers them must contain; see test_bad_input.py."""

import torch

SMALL = "model=tiny_random ppo.num_envs=2 ppo.num_steps=8 total_steps=16 evaluation.episodes=2 retention.drift=false"
FRAGILE = f"env=fragile {SMALL} hydra.run.dir=fragile"
PROBE = "model=tiny_random prompt=hello"

RUN = {
    # what is named
    "norm=words": "norm=words: expected one of none, token, word; did you mean norm=word?",
    "modle=tiny_random": "modle: no such option; did you mean model?",
    "baseline=twosum": "did you mean baseline=twosome?",
    "experiment=dem": "expected one of demo, overcooked_curves, virtualhome_curves; did you mean experiment=demo?",
    "ppo.num_env=8": "ppo.num_env: no such option; did you mean ppo.num_envs?",
    "env.tsak=tomato_salad": "env.tsak: no such option; did you mean env.task?",
    "+env.kwargs.speed=3": "env.kwargs.speed=3: twosome/Overcooked-v0 has no such option; leave it out",
    "baseline.critic.hiden_sizes=[8]": "did you mean baseline.critic.hidden_sizes?",
    "affordance=oracle": "affordance: no such option here; it comes with baseline=saycan",
    # of the wrong kind
    "ppo.num_envs=many": "ppo.num_envs=many: expected an integer",
    "ppo.clip_vloss=maybe": "ppo.clip_vloss=maybe: expected true or false",
    "evaluation=none": "evaluation=none: expected options, as in evaluation.<option>=...",
    "env=null": "env=null: expected the name of a choice",
    "seed": "seed: expected <option>=<value>",
    "norm=word,token": "norm=word,token: expected one value; several are a sweep, with -m",
    "experiment=laptop/params": "experiment=laptop/params: expected one of demo, overcooked_curves, virtualhome_curves",
    "+banana=1": "banana: no such option; --help lists the options",
    "ppo.lr=0.1": "ppo.lr: no such option; did you mean ppo.learning_rate?",
    "~ppo": "~ppo: expected ppo=<value>; this option cannot be taken away; leave the word out",
    "seed=true": "seed=true: expected an integer",
    "total_steps=1e-3": "total_steps=0.001: expected an integer",
    "total_steps=1e6 seed=-1": "seed=-1: expected an integer from 0 to 2**32 - 1",
    "model=tiny_random baseline.critic.hidden_sizes=big": "hidden_sizes=big: expected a list of integers, as in [1,2]",
    "'seed=${sed}'": "seed=${sed}: expected the name of another option in ${...} (Interpolation key 'sed' not found)",
    "--norm word": "--norm: expected options as <option>=<value>",
    # out of range
    "ppo.num_envs=-1": "ppo.num_envs=-1: expected a number above 0",
    "ppo.gamma=1.5": "ppo.gamma=1.5: expected a number from 0 to 1",
    "ppo.num_minibatches=7": "ppo.num_minibatches=7: expected a divisor of ppo.num_envs * ppo.num_steps = 32 * 32 = 1024",
    "ppo.clip_coef=0": "ppo.clip_coef=0.0: expected a number from 1e-07 to 1; below, every change of the policy is clipped",
    "ppo.num_envs=1 ppo.num_steps=1": "whose normalised advantage is 0, and nothing is learned; add ppo.norm_adv=false",
    "ppo.gradient_accumulation_steps=3": "ppo.gradient_accumulation_steps=3: expected a divisor of ppo.num_minibatches=1",
    "seed=-1": "seed=-1: expected an integer from 0 to 2**32 - 1",
    "evaluation.seed=5000000000": "evaluation.seed=5000000000: expected an integer from 0 to 2**32 - 1",
    "baseline.critic.hidden_sizes=[0]": "baseline.critic.hidden_sizes=[0]: expected numbers above 0",
    "baseline=ppo baseline.hidden_sizes=[-3]": "baseline.hidden_sizes=[-3]: expected positive numbers",
    # models
    "model=hf": "model.path=None: expected a local folder or a name on huggingface.co; set model.path=",
    "model=hf model.path=/no/where": "model.path=/no/where: no such folder; expected a local folder with config.json",
    "model=hf model.path=src": "model.path=src: the folder has no config.json; expected a model's folder",
    "model.dtype=float3": "model.dtype=float3: expected one of bfloat16, float16, float32; did you mean model.dtype=float32?",
    "model=tiny_random model.lora.target_modules=[query]": "llama has no linear layer named query; expected some of down_proj",
    # environments
    "env.task=tomato_soup": "did you mean env.task=tomato_salad?",
    "env.task=トマト": "env.task=トマト: expected one of lettuce_onion_salad",
    "env.task=null": "env.task=None: expected one of lettuce_onion_salad",
    "env.id=null": "env.id=null: expected an environment's name",
    "env=virtualhome env.task=tomato_salad": "env.task=tomato_salad: expected one of apple_pie, cheese",
    "env.prompt=nowhere:function": "env.prompt=nowhere:function: expected an import path package.module:function",
    "env.kwargs.max_primitive_steps=0": "env.kwargs.max_primitive_steps=0: expected a whole number from 1 on",
    "env.id=twosome/Overcook-v0": "did you mean env.id=twosome/Overcooked-v0?",
    f"{FRAGILE}/0 env.kwargs.fault=nan_reward": "env.id=tests/Fragile-v0: its step() gave the reward nan, expected a",
    f"{FRAGILE}/1 env.kwargs.fault=no_actions": "it offers 0 action_ids and 0 action_prompts: expected as many of both",
    f"{FRAGILE}/5 env.kwargs.fault=long_prompt": "tokens with its longest action, expected at most 2048 (the model's context)",
    f"{FRAGILE}/6 env.kwargs.fault=float_ids": "its info['action_ids'] is (0.0, 1.0, 2.0), expected whole numbers from 0 to 2",
    "env=fragile env.kwargs.fault=exit env.kwargs.at=0": "tests/Fragile-v0: its reset() raised SystemExit (0) at fragile.py:",
    "env=fragile env.kwargs.fault=actions_from_1": "its action_space is Discrete(3, start=1), expected a Discrete that",
    # norms
    f"{SMALL} hydra.run.dir=fragile/7 norm._target_=twosome.errors.folded": "errors.folded: it gave 'pick ...' for the action",
    # what may not run, and where
    "norm._target_=os.sistem": "norm._target_=os.sistem: ",
    "+baseline.critic._target_=os.system": "baseline.critic._target_=os.system: expected no such key there; only norm, baseline",
    "trainer.accelerator=tpu": "trainer.accelerator=tpu: expected one of auto, cpu, cuda, gpu",
    "resume=/no/where": "/no/where: expected a config.yaml in it",
    "resume=src": "src: expected a config.yaml in it",
    "'resume=no[1]/where'": "no[1]/where: expected a config.yaml in it",
    "resume=": "resume=: expected the folder of a run",
    "resume=true": "True: expected a config.yaml in it",
    "\"hydra.run.dir=it's [1]\" seed=-1": "seed=-1: expected an integer from 0 to 2**32 - 1",
    "trainer.devices=two": "trainer.devices=two: expected 1; with trainer=fsdp processes share a run",
    "+trainer.banana=1": "trainer.banana=1: expected options of Lightning's Trainer, which says: Trainer.__init__() got",
    # experiments and sweeps
    "-m 'seed=range(5,5)'": "seed=range(5,5): expected at least one value; there is none",
    "-m experiment=demo,overcooked_curves": "expected no experiment that is a sweep itself, as one job of a sweep",
    "-m baseline=twosome,ppo baseline.hidden_sizes=[8]": "baseline.hidden_sizes: no such option; did you mean baseline.critic.",
    "experiment=overcooked_curves norm=words": "norm=words: expected one of none, token, word; did you mean norm=word?",
    "experiment=overcooked_curves baseline=ppo norm=word": "none is left with baseline=ppo and norm=word",
    "experiment=overcooked_curves hydra.sweeper.grids=[]": "hydra.sweeper.grids: expected at least one run",
    "-m experiment=overcooked_curves seed=x": "seed=x: expected an integer",
    "-m experiment=overcooked_curves hydra.sweeper.suite=[unsen]": "did you mean suite=unseen?",
}  # fmt: skip

MORE = {
    "nrom=word": "nrom: no such option; did you mean norm?",
    "env=overcook": "env=overcook: expected one of overcooked, virtualhome; did you mean env=overcooked?",
    "preset=papers": "preset=papers: expected one of paper, ppo, wide; did you mean preset=paper?",
    "trainer=gpus": "did you mean trainer=gpu?",
    "logger=wandbb": "logger=wandbb: expected one of tensorboard, wandb; did you mean logger=wandb?",
    "total_step=100": "total_step: no such option; did you mean total_steps?",
    "env.kwargs.mpa=A": "env.kwargs.mpa: no such option; did you mean env.kwargs.map?",
    "+baseline.critic.depth=8": "baseline.critic.depth: no such option; expected one of hidden_sizes",
    "+baseline.depth=8 model=tiny_random": "depth: twosome.policies.language.build has no such option",
    "baseline=saycan affordance=values": "affordance=values: expected one of none, oracle, value; did you mean affordance=value?",
    "hydra/launcher=basics": "hydra/launcher=basics: expected one of",
    "ppo.learning_rate=fast": "ppo.learning_rate=fast: expected a number",
    "ppo.value_learning_rate=1e38": "ppo.value_learning_rate=1e+38: expected a number of at most 1e+30",
    "ppo.ent_coef=nan": "ppo.ent_coef=nan: expected a number of at most 1e+30",
    "total_steps=1.5": "total_steps=1.5: expected an integer",
    "seed=": "seed=: expected an integer",
    "~norm": "norm is missing: expected options",
    "ppo.target_kl=0": "ppo.target_kl=0.0: expected a number from 1e-07 on, or null for no limit",
    "total_steps=0": "total_steps=0: expected an integer above 0",
    "checkpoint_every=0": "checkpoint_every=0: expected an integer above 0",
    "model.seed=-4": "model.seed=-4: expected an integer from 0 to 2**32 - 1",
    "evaluation.episodes=-5": "evaluation.episodes=-5: expected 0 (no evaluation) or more",
    "retention.every=-1": "retention.every=-1: expected 0 (no probe during training) or a number of updates",
    "retention.limit=0": "retention.limit=0: expected an integer above 0, or null for all texts",
    "baseline=saycan affordance.episodes=0": "affordance.episodes=0: expected an integer from 2 on",
    "baseline.engine.batch_tokens=many": "baseline.engine.batch_tokens=many: expected an integer",
    "baseline=saycan baseline.engine.row_tokens=-1": "baseline.engine.row_tokens=-1: expected a positive number of tokens",
    "model=tiny_random baseline.engine.row_tokens=0": "baseline.engine.row_tokens=0: expected a positive number of tokens",
    "model.device=gpu": "model.device=gpu: expected one of auto, cpu, cuda; did you mean model.device=cpu?",
    "model.lora.rank=-1": "model.lora.rank=-1: expected 0 (no adapter) or a positive integer",
    "model=tiny_random model.lora.rank=0": "model.lora.rank=0: expected a positive rank",
    "model=tiny_random model.architecture=lama": "did you mean model.architecture=llama?",
    "env.prompt=polite": "env.prompt=polite: expected one of default, no_adaptation, no_articles, no_cohesion, no_context",
    "env.kwargs.map=Z": "env.kwargs.map=Z: expected one of A, B, C",
    "env.id=nowhere:Env-v0": "env.id=nowhere:Env-v0: No module named 'nowhere'",
    f"{FRAGILE}/2 env.kwargs.fault=fewer_prompts": "it offers 3 action_ids and 2 action_prompts: expected as many of both",
    f"{FRAGILE}/3 env.kwargs.fault=lacks_success": "its info lacks success: expected prompt, action_ids",
    f"{FRAGILE}/4 env.kwargs.fault=blank_prompt": "its info['prompt'] is ' ', expected words (UTF-8) that do not end in a space",
    f"{FRAGILE}/8 env.kwargs.fault=four_values": "its step() gave 4 values, expected 5: obs, reward, terminated, truncated, info",
    f"{FRAGILE}/9 env.kwargs.fault=steps_fall evaluation.episodes=0": "environment 0: its info['primitive_steps'] is 1, expected",
    f"{FRAGILE}/10 env.kwargs.fault=float_duration baseline=random": "its info['duration'] is 1.0, expected a whole number",
    "env=fragile env.kwargs.fault=raise env.kwargs.at=-1": "it raised ZeroDivisionError (the bus has no wheels) at fragile.py:",
    "env=fragile env.kwargs=fast": "env.kwargs=fast: expected the environment's options, as in env.kwargs.<option>=...",
    "-m experiment=overcooked_curves ppo.gamma=3": "ppo.gamma=3.0: expected a number from 0 to 1",
}  # fmt: skip
"""Of the same kinds; only `make test-slow` runs these."""

OTHERS = {
    "evaluate": {
        "": "run=None: expected the folder of a finished run: run=<folder>",
        "run=/no/where": "run=/no/where: no such folder; expected the folder of a finished run",
        "run=src": "run=src: expected a config.yaml in it; name the folder that src/run.py wrote",
        "rum=x": "rum: no such option; did you mean run?",
        "run=conf suite=drifts": "suite=drifts: expected one of cross, drift, episodes, retention, unseen; did you mean",
        "run=conf episodes=0": "episodes=0: expected an integer above 0",
        "run=conf seed=-1": "seed=-1: expected an integer from 0 to 2**32 - 1",
        "run=conf trust=perhaps": "trust=perhaps: expected true or false",
        "run=[a,b]": "run=[a,b]: expected one text, or null",
        "'run=no [where], yet'": "run=no [where], yet: no such folder; expected the folder of a finished run",
        "run=conf seed=1e10": "seed=10000000000: expected an integer from 0 to 2**32 - 1",
        "+banana=1": "banana: no such option; --help lists the options",
    },
    "probe": {
        "": "prompt=None: expected the observation prompt",
        "prompt=hello": "actions=[]: expected one action prompt or more",
        "prompt=hello actions=go": "actions=go: expected a list",
        "prompt=hello actions=[null,walk]": "actions[0]=null: expected an action prompt",
        "prompt=hello actions=[walk,[a]]": 'actions[1]=["a"]: expected an action prompt',
        "prompt=hello actions=[a,b,a]": 'actions[2]="a": the same as actions[0]; expected each action once',
        "prompt=hello actions=[a] format=yaml": "format=yaml: expected one of json, table",
        "prompt=hello actions=[a] seed=-1": "seed=-1: expected an integer from 0 to 2**32 - 1",
        "prompt=hello actions=[a] norm=wrod": "did you mean norm=word?",
        f"{PROBE} actions=[go] norm._target_=twosome.errors.raised": "raised: too many positional arguments; expected a",
        "prompt=hello +banana=1": "banana: no such option; --help lists the options",
        f"{PROBE} actions=[{'word' * 600}]": "expected at most 2048 (the model's context); shorten the prompt",
    },
    "benchmark": {
        "baseline=ppo": "baseline=ppo: expected another baseline; this command lacks what it builds on; leave the word out",
        "-m seed=0,1": "-m: expected none, this command does one thing at a time; leave -m out",
        "+banana=1": "banana: no such option; --help lists the options",
        "output=conf": "output=conf: expected a file in a folder that is there",
        "baseline=random": "baseline=random: expected an agent that trains a language model",
        "tasks=[]": "tasks=[]: expected one task of the environment or more",
        "tasks=tomato_salad": "tasks=tomato_salad: expected a list",
        "tasks=[tomato_soup]": "env.task=tomato_soup: expected one of",
        "oracle_decisions=3": "oracle_decisions=3: expected a multiple of 4 from 4 to 128",
        "seed=-1": "seed=-1: expected an integer from 0 to 2**32 - 1",
        "output=/no/where/file.json": "output=/no/where/file.json: expected a file in a folder that is there",
    },
}
ANALYSIS = {
    "curves": {
        "": "the following arguments are required: runs",
        "/no/where": "/no/where: no such folder; expected a run folder, or one that holds some",
        "conf": "conf: no run in it; expected folders with config.yaml",
        "conf --window 0": "--window: '0': expected an integer above 0",
        "conf --seeds a": "--seeds: 'a': expected integers with commas between them",
        "conf --stat median": "--stat: invalid choice: 'median' (choose from",
    },
    "summary": {"conf --bootstrap-samples -3": "--bootstrap-samples: '-3': expected an integer above 0"},
    "generalization": {"/no/where": "/no/where: no such folder"},
    "claims": {"/no/where": "/no/where: no such folder"},
    "report": {"/no/where --oot x": "unrecognized arguments: --oot x"},
    "publish": {"/no/where": "/no/where: no such folder"},
}

if torch.cuda.is_available():
    RUN["model.device=gpus"] = "model.device=gpus: expected one of auto, cpu, cuda"
else:
    RUN["trainer=gpu"] = "trainer.accelerator=gpu: PyTorch sees no CUDA device; use trainer=cpu"

COMMANDS = {f"src/run.py {words}": said for words, said in RUN.items()}
COMMANDS |= {f"src/{name}.py {words}".strip(): said for name, lines in OTHERS.items() for words, said in lines.items()}
COMMANDS |= {f"analysis/{name}.py {words}".strip(): said for name, lines in ANALYSIS.items() for words, said in lines.items()}
"""A command line, and a part of the line that answers it."""
ALL_COMMANDS = COMMANDS | {f"src/run.py {words}": said for words, said in MORE.items()}

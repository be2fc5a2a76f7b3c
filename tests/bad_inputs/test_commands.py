"""Bad commands and settings."""

from pathlib import Path

import pytest

from tests.bad_inputs.refusals import Bad, check_refusal
from tests.command_line import run_cli

NAMES = [
    Bad("task=pocket_contct", "unknown task 'pocket_contct'", "did you mean pocket_contact"),
    Bad("task=", "unknown task ''", "known: "),
    Bad("model=esm2", "unknown model 'esm2'", "did you mean esm2_150m or esm2_15b or esm2_35m"),
    Bad("model=one_hot", "unknown model 'one_hot'", "did you mean onehot"),
    Bad("method=liner", "unknown method 'liner'", "did you mean linear"),
    Bad("+suite=poket", "unknown suite 'poket'", "did you mean pocket"),
    Bad("+suite=pocket,structure", "+suite=pocket,structure has several", "one after another"),
    Bad("limit=8 leaderboard", "leaderboard comes first", "python -m benchmark leaderboard ..."),
    Bad("suite=pocket", "a suite is added", "write +suite=pocket"),
    Bad("-m task=pocket_ss8,pocket_meta", "unknown task 'pocket_meta'", "pocket_metal"),
    Bad("model=onhot task=pocket_mtal", "unknown model 'onhot'", "unknown task 'pocket_mtal'"),
    Bad("leaderbord", "unknown command 'leaderbord'", "did you mean leaderboard"),
    Bad("list taks", "unknown list of 'taks'", "did you mean tasks"),
    Bad("list format=html", "unknown format 'html'", "did you mean terminal"),
    Bad("limt=3", "unknown setting 'limt'", "did you mean limit"),
    Bad("method.max_itr=3", "unknown setting 'method.max_itr'", "did you mean method.max_iter"),
    Bad("limt=3 sed=1", "unknown setting 'limt'", "unknown setting 'sed'; did you mean seed"),
    Bad("task.metrics=[q9]", "no metric 'q9'", "there are "),
    Bad("task=mine", "task 'mine' is in conf/task/mine.yaml", "add --config-dir conf"),
    Bad("-m model=onehot,kmer name=a", "name=a would be the name of several", "leave it out"),
    Bad("-m model.path=a,b name=a", "name=a would be the name of several", "one by one"),
]
OPTIONS = [
    Bad("task=pocket_metal --model onehot", "unknown option '--model'", "write model=VALUE"),
    Bad("task=pocket_metal -v", "unknown option '-v'", "there are --help, --version, -m"),
    Bad("task=pocket_metal onehot", "'onehot' is not a setting", "key=value pairs"),
    Bad("task=pocket_metal,pocket_ss8", "has 2 values", "add -m to run each of them"),
    Bad("model=onehot method.max_iter=1,2", "has 2 values", "add -m to run each of them"),
]
VERBS = [
    Bad("leaderboard results=nothing", "there are no Records in nothing", "run `python -m"),
    Bad("leaderboard result=nothing", "not 'result=nothing'", "leaderboard takes results=..."),
    Bad("leaderboard by=task", "by=task is not known", "there is by=identity, by=method"),
    Bad("leaderboard suite=pockt", "unknown suite 'pockt'", "did you mean pocket"),
    Bad("leaderboard method=linaer", "unknown method 'linaer'", "did you mean linear"),
    Bad("gate", "gate compares a candidate with a baseline", "write gate CANDIDATE baseline="),
    Bad("gate a", "gate compares a candidate with a baseline", "write gate CANDIDATE baseline="),
    Bad("gate a baseline=b", "a is not a folder, and no model in", "models there: none"),
    Bad("gate a baseline=b promote=yes", "by promote=true reason=", "give both"),
    Bad("gate a baseline=b promote=true", "by promote=true reason=", "give both"),
    Bad("gate a baseline=b reason=x", "by promote=true reason=", "give both"),
    Bad("gate a baselin=b", "not 'baselin=b'", "gate takes candidate=..."),
    Bad("gate conf baseline=b", "there are no Records in conf", "give a folder of results"),
    Bad("series", "series takes one list of checkpoints", "a folder of folders"),
    Bad("series nowhere", "nowhere holds no checkpoint", "a pattern such as"),
    Bad("series conf", "conf holds no checkpoint", "folders with config.json"),
    Bad("series kmer,onehot", "of every checkpoint must be known", "put tokens into recipe.json"),
    Bad("series kmer,onehot x=epoch", "x=epoch is not known", "there is x=tokens, x=flops, x=step"),
    Bad("series kmer,onhot", "kmer holds no checkpoint", "the names of models"),
    Bad("series kmer,onehot task=pocket_ss8 suite=pocket", "are both given", "give one of them"),
    Bad("series kmer,onehot model.facts.tokens=1", "1 values for 2 checkpoints", "give one each"),
    Bad("series kmer,onehot model.facts.step=1,x", "x is not a number", "of at least 0"),
    Bad("series a,b model.facts.size=1,2", "a holds no checkpoint", "the names of models"),
    Bad("audit taks=pocket_metal", "not 'taks=pocket_metal'", "audit takes task=..."),
    Bad("audit pocket_perplexity", "no train and no valid", "audit needs either"),
    Bad("audit pocket_metal format=xml", "unknown format 'xml'", "known: csv, json"),
    Bad("check modl=onehot", "not 'modl=onehot'", "check takes model=..."),
    Bad("why one", "why compares two results", "give two keys, folders or files"),
    Bad("why one two", "one matches no Record", "give a file, a folder with one Record, or a key"),
    Bad("compare onehot", "compare takes two models or more", "names in the tables, or folders"),
    Bad("compare onehott kmer", "unknown model 'onehott'", "did you mean onehot"),
    Bad("compare onehot@zz kmer", "onehot@zz: there is no such result in ", "results"),
    Bad("compare onehot random results=nothing", "results=nothing is not a folder", "leave it out"),
    Bad("compare onehot empty", "empty has no Records", "give a folder of results, or a model's"),
    Bad("compare onehot kmer method=lora", "onehot has no results of method=lora", "lora"),
    Bad("compare onehot kmer metric=acuracy", "unknown metric 'acuracy'", "did you mean accuracy"),
    Bad("compare onehot kmer blosum62 figures=f", "figures= draws one model", "give two models"),
    Bad(
        "compare onehot bigram",
        "there is no task with results of two",
        "bigram has generation, pocket_perp",
    ),
    Bad("compare onehot kmer format=html", "unknown format 'html'", "known: csv, json, latex"),
    Bad("store store=off", "store=off names no store", "give its folder"),
    Bad("--config-dir absent", "--config-dir absent is not a folder", "give "),
    Bad("task=pocket_ss8 --config-dir", "--config-dir needs a folder", "as in --config-dir conf"),
    Bad("list --config-dir a --config-dir b", "--config-dir is given twice", "give one folder"),
    Bad("list --config-dir empty", "empty/task/bad.yaml is empty", "fill it"),
    Bad("list --config-dir nokeys", "nokeys/task/bad.yaml has no _target_", "needs these keys"),
]
VALUES = [
    Bad("limit=0", "limit=0 is not allowed", "give a whole number from 1 on"),
    Bad("batch_tokens=-1", "batch_tokens=-1 is not allowed", "give a whole number from 1 on"),
    Bad("batch_tokens=all", "batch_tokens=all is not allowed", "from 1 on, or auto"),
    Bad("seed=auto", "seed=auto is not allowed", "give a whole number from 0 on"),
    Bad("name=a/b", "name=a/b is not allowed", "give letters, digits and any of . _ + = @ -"),
    Bad("name=..", "name=.. is not allowed", "give letters, digits"),
    Bad("task.allow.truncated=inf", "a setting is inf or nan", "give finite numbers, or null"),
    Bad("seed=4294967296", "seed=4294967296 is not allowed", "4294967295 is the largest"),
    Bad("seeds=0,x", "seeds=0,x is not allowed", "give whole numbers from 0 on, each once"),
    Bad("seeds=1,1", "seeds=1,1 is not allowed", "each once"),
    Bad("seed=1 seeds=1,2", "seed= and seeds= are both given", "give one of them"),
    Bad("rerun=maybe", "rerun=maybe is not allowed", "give true or false"),
    Bad("results=", "results= is not allowed", "give a folder"),
    Bad("results=null", "results=None is not allowed", "give a folder"),
    Bad("results=/proc/none", "cannot write to results=/proc/none", "give another folder"),
    Bad("store=/proc/none", "cannot write to store=/proc/none", "give another"),
    Bad("store=", "store= is not allowed", "give a folder"),
    Bad("store=true", "store=True is not allowed", "give a folder"),
    Bad("store_gb=-1", "store_gb=-1 is not allowed", "give a number of gigabytes, 0 or more"),
    Bad("store_gb=lots", "store_gb=lots is not allowed", "give a number of gigabytes"),
    Bad("dtype=fp16", "dtype=fp16 is not known", "allowed are auto, float32, bfloat16"),
    Bad("device=gpu", "device=gpu is not known", "allowed are auto, cpu, cuda"),
    Bad("device=cuda:97", "device=cuda:97 is not available", "use device=cpu"),
    Bad("model.pooling=max", "model.pooling=max is not known", "allowed are mean, start, last"),
    Bad("model.layer=top", "model.layer=top is not allowed", "or -1 for the last"),
    Bad("limit=0 dtype=fp16", "limit=0 is not allowed", "dtype=fp16 is not known; allowed"),
    Bad("task.version=two", "version=two is not", "a whole number"),
    Bad("task.area=binding", "area=binding is not known", "allowed are structure"),
    Bad("task.metrics=[]", "metrics=[] is not a list of names", "the first one ranks"),
    Bad("task=pocket_metal task.kind=classes", "kind=classes is not known", "allowed are"),
    Bad("task=pocket_contact task.min_separation=x", "min_separation=x", "give residues, 1 or"),
    Bad("method.penalties=[]", "method.penalties=[] is not a list", "of positive numbers"),
    Bad("method.penalties=[a,b]", "of method= has a value of the wrong type", "its yaml shows"),
    Bad("name=${nothing}", "name refers to the setting 'nothing'", "correct ${...}"),
    Bad("-m model=random,kmer model.layer=2", "model.layer is no setting of every", "leave it out"),
    Bad("method=sample method.temperature=-1", "temperature=-1 is not allowed", "give 0 or more"),
    Bad("method=sample method.top_p=2", "top_p=2 is not allowed", "above 0, at most 1"),
    Bad("method=sample method.max_length=0", "max_length=0 is not allowed", "or more"),
    Bad("method=sample method.reject=1", "method.reject=1 is not", "give a share below 1"),
    Bad("method=sample method.order=left", "method.order=left", "allowed are random, confidence"),
    Bad("method.max_iter=abc", "method.max_", "must be whole numbers of at least 1"),
    Bad("model=onehot model.encoding=foo", "encoding=foo is not known", "allowed: onehot"),
]
PATHS = [
    Bad("model=huggingface", "model.path is missing", "give model.path=..."),
    Bad("model=huggingface model.path=~/ck", "model.path=~/ck is neither", "of the form org/name"),
    Bad("model=huggingface model.path=a=b", "model.path=a=b is neither a folder", "org/name"),
    Bad("model=huggingface model.path=run(1)", "model.path=run(1) is neither", "org/name"),
    Bad("model=huggingface model.path=模型é", "model.path=模型é is neither", "org/name"),
    Bad("model=huggingface model.path=no/where", "no/where is not a folder", "connect to the"),
    Bad("model=huggingface model.path=a,b", "has 2 values", "add -m to run each of them"),
    Bad("model=huggingface model.path=[a]", "is not a text", "model.path=./[a]"),
    Bad("method.penalties=[a=b]", "method.penalties=[a=b] is not readable", "quote the texts"),
    Bad("task=contact", "cannot get biomap-research/contact", "connect to the network"),
    Bad("task=contact mirror=nowhere", "the mirror of biomap-research/contact", "give a folder"),
]
COMBINATIONS = [
    Bad("model=kmer", "needs a vector for each residue, and model=kmer has none", "another model"),
    Bad("model=onehot method=lora", "model=onehot has none", "method=linear or mlp"),
    Bad("model=kmer method=finetune", "model=kmer has none", "choose another model"),
    Bad("method=nearest model=kmer", "method=nearest uses no model", "leave model=... out"),
    Bad("method=attention", "method=attention predicts contacts", "give a contact task"),
    Bad("method=contact_head", "method=contact_head predicts contacts", "give a contact task"),
    Bad(
        "task=pocket_contact method=attention model=blosum62",
        "needs attention maps, and model=blosum62 has none",
        "choose another model",
    ),
    Bad("task=pocket_metal method=sample", "method=sample makes new", "give task=generation"),
    Bad("task=generation method=linear", "scores new chains, which", "give method=sample"),
    Bad("method=zero_shot", "method=zero_shot scores variants or", "give task=variant_effect"),
    Bad(
        "task=single_pass_pseudo_perplexity model=neighbours",
        "model=neighbours is not one",
        "give task=pseudo_perplexity",
    ),
    Bad("task=pocket_perplexity method=linear", "by the language model itself", "omit method="),
    Bad(
        "task=variant_effect method=linear",
        "no train examples for method=linear",
        "give task.folds=random",
    ),
    Bad(
        "task=pocket_metal task.kind=regression",
        "size=2 does not fit kind=regression",
        "1 for regression",
    ),
    Bad(
        "task=pocket_location task.metrics=[roc_auc] model=kmer",
        "roc_auc does not fit the task",
        "needs one number each",
    ),
    Bad("model=unigram", "needs a vector for each residue, and model=unigram", "another model"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a task, and folders of unusable yamls."""
    folder = tmp_path_factory.mktemp("commands")
    texts = {"conf/task/mine": "defaults: [pocket_metal]\n"}
    texts |= {"empty/task/bad": "", "nokeys/task/bad": "version: 1\n"}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("bad", [*NAMES, *OPTIONS, *VERBS, *VALUES, *PATHS, *COMBINATIONS], ids=str)
def test_bad_commands_are_refused(bad: Bad, folder: Path) -> None:
    check_refusal(bad, folder)


@pytest.mark.parametrize(
    ("old", "new", "cause", "remedy"),
    [
        ("version: 1", "version: 1\nkind: [", "task/bad.yaml is not yaml", "correct it"),
        ("size: 2\n", "", "Protein lacks the settings 'size'", "give them in its yaml"),
        ("size: 2\n", "size: 2\nstates: HEC\n", "Protein has no setting 'states'", "remove it"),
        (
            "metrics:",
            "colums: {label: x}\nmetrics:",
            "no setting 'colums'",
            "did you mean columns?",
        ),
        ("protein.Protein", "proteins.Protein", "cannot import tasks.proteins", "PYTHONPATH"),
        (
            "tasks.protein.Protein",
            "benchmark.backbones.baselines.descriptors.Kmer",
            "has no setting",
            "remove it from the yaml",
        ),
    ],
)
def test_unusable_yamls_are_refused(
    old: str, new: str, cause: str, remedy: str, tmp_path: Path, toy_conf: Path
) -> None:
    path = toy_conf / "task" / "toy.yaml"
    path.write_text(path.read_text().replace(old, new))
    path.rename(path.with_name("bad.yaml"))

    check_refusal(Bad(f"--config-dir {toy_conf} task=bad", cause, remedy), tmp_path)


def test_a_name_of_ours_is_refused(tmp_path: Path, toy_conf: Path) -> None:
    (toy_conf / "task" / "toy.yaml").rename(toy_conf / "task" / "pocket_metal.yaml")
    bad = Bad(f"--config-dir {toy_conf} task=pocket_metal", "is in --config-dir and", "of its own")
    check_refusal(bad, tmp_path)


def test_an_error_in_a_users_code_is_not_a_bug_of_ours(tmp_path: Path, toy_conf: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from benchmark.methods.zero_shot import ZeroShot\n"
        "class Wrong(ZeroShot):\n"
        "    def __init__(self, **settings):\n"
        "        self.table = {}['absent']\n"
    )
    words = f"--config-dir {toy_conf} task=toy model=kmer method._target_=wrong.Wrong"
    check_refusal(Bad(words, "wrong.py, line 4 (KeyError: 'absent')", "debug=true"), tmp_path)
    done = run_cli(*words.split(), "debug=true", cwd=tmp_path)
    assert "Traceback" in done.stderr and "line 4" in done.stderr

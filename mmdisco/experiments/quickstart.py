"""Scores and summary of the quickstart's runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.checkpoints import load_strictly, read_conversion, safe_load
from mmdisco.datasets import IDXImages
from mmdisco.evaluation import extract_features, knn_scores, linear_probe
from mmdisco.launch import read_config
from mmdisco.launch.smoke import save_random
from mmdisco.utils import quiet_init
from .figures import draw_summary
from .jobs import Job
from .stats import paired, provenance, write_text

LABELS = dict(
    teacher='teacher, MoCo-v2',
    mocov2='student, MoCo-v2 alone',
    mocov2_teachers_images="student, MoCo-v2 on the teacher's images",
    disco='student, DisCo',
    distill_only='student, L_dis alone (λ = 0)',
    disco_untrained_teacher='student, DisCo, untrained teacher',
    untrained_student='student, untrained',
    untrained_teacher='teacher, untrained',
)
HELD_OUT = 2000  # most training images held out to choose the probe's penalty


def untrained_teacher(config: Path, work_dir: Path) -> Path:
    """Write the teacher of a config with random weights, always the same ones.

    Args:
        config (Path): A DisCo config.
        work_dir (Path): Folder of the file.

    Returns:
        Path: The file.
    """
    path = work_dir / 'untrained_teacher.pth'
    save_random(read_config(str(config)).model.teacher, path)
    return path


def load_backbone(cfg: dict, checkpoint: Path | None, seed: int = 0) -> nn.Module:
    """Build a backbone with the weights of a file, or random ones.

    Args:
        cfg (dict): Config of the backbone.
        checkpoint (Path, optional): A checkpoint in any known layout, or None
            for random weights.
        seed (int): Seed of random weights. Defaults to 0.

    Returns:
        nn.Module: The backbone.
    """
    conversion = checkpoint and read_conversion(str(checkpoint))
    with torch.random.fork_rng(), quiet_init():
        torch.manual_seed(seed)
        backbone = MODELS.build({**cfg, **(conversion.overrides if conversion else {})})
        backbone.init_weights()
    if conversion:
        load_strictly(backbone, conversion.part('backbone'), f"'{checkpoint}'")
    return backbone


def score(
    backbone: nn.Module, preprocessor: nn.Module, train: IDXImages, test: IDXImages
) -> dict[str, float]:
    """Top-1 of a frozen backbone by kNN and by a linear probe.

    Args:
        backbone (nn.Module): The backbone.
        preprocessor (nn.Module): Normalises images.
        train (IDXImages): Labelled images for both.
        test (IDXImages): Images to score.

    Returns:
        dict: ``knn`` and ``linear`` in per cent, ``params`` of the backbone.
    """

    def prepare(images: Tensor) -> Tensor:
        return preprocessor(dict(inputs=images))['inputs']

    feats, test_feats = (
        extract_features(backbone, split.images, prepare) for split in (train, test)
    )  # [N, D]
    votes = knn_scores(
        feats, train.labels, test_feats, num_classes=int(train.labels.max()) + 1
    )
    hits = (votes.argmax(1) == test.labels).float().mean()
    probe = linear_probe(
        feats, train.labels, test_feats, test.labels, min(HELD_OUT, len(feats) // 4)
    )
    return dict(
        knn=round(100 * float(hits), 2),
        linear=round(probe['accuracy'], 2),
        params=sum(p.numel() for p in backbone.parameters()),
    )


def evaluate(
    cfg: Config,
    jobs: Sequence[Job],
    teacher: Path,
    train: IDXImages,
    test: IDXImages,
    seconds: float = 0.0,
) -> dict[str, list[dict]]:
    """Score the students of all jobs, the teacher, and untrained networks.

    Args:
        cfg (Config): The DisCo config.
        jobs (Sequence[Job]): Finished runs, named '<kind> seed <seed>'.
        teacher (Path): File of the teacher.
        train (IDXImages): Training split.
        test (IDXImages): Test split.
        seconds (float): Training time of the teacher, unless its file has it.
            Defaults to 0.

    Returns:
        dict: Scores by kind, one per seed.
    """
    preprocessor = MODELS.build(cfg.data_preprocessor)
    student, large = cfg.model.ssl.backbone, cfg.model.teacher.backbone
    results: dict[str, list[dict]] = {}

    def add(kind: str, seed: int, backbone: nn.Module, seconds: float) -> None:
        print(f'[evaluate] {kind} seed {seed}', flush=True)
        scores = score(backbone, preprocessor, train, test)
        results.setdefault(kind, []).append(
            dict(seed=seed, **scores, seconds=round(seconds, 1))
        )

    meta = safe_load(str(teacher)).get('meta', {})
    seconds = meta.get('seconds', seconds)
    add('teacher', 0, load_backbone(large, teacher), seconds)
    add('untrained_teacher', 0, load_backbone(large, None), 0.0)
    for job in jobs:
        kind, _, seed = job.name.split()
        add(kind, int(seed), load_backbone(student, job.checkpoint), job.seconds())
        if kind == 'mocov2':
            add(
                'untrained_student',
                int(seed),
                load_backbone(student, None, int(seed)),
                0.0,
            )
    return results


def summarise(results: dict[str, list[dict]], seeds: int) -> dict:
    """Medians over the seeds, all values, and their provenance.

    Args:
        results (dict): Scores by kind, one per seed.
        seeds (int): Number of seeds.

    Returns:
        dict: Content of ``summary.json``.
    """
    rows = {
        kind: dict(
            {
                key: round(median(run[key] for run in runs), 2)
                for key in ('knn', 'linear', 'seconds')
            },
            params=runs[0]['params'],
        )
        for kind, runs in results.items()
    }
    gain = {
        key: paired(
            [run[key] for run in results['disco']],
            [run[key] for run in results['mocov2']],
        )
        for key in ('knn', 'linear')
    }
    return dict(
        **rows,
        disco_minus_mocov2=gain,
        runs=results,
        seeds=list(range(seeds)),
        **provenance(),
    )


def table(summary: dict) -> str:
    """The summary as a text table."""
    head = ('', 'params', 'kNN %', 'linear probe %', 'seconds')
    lines = [head]
    for kind in (kind for kind in LABELS if kind in summary):
        row, label = summary[kind], LABELS[kind]
        lines.append(
            (
                label,
                f'{row["params"]:,}',
                f'{row["knn"]:.2f}',
                f'{row["linear"]:.2f}',
                f'{row["seconds"]:.0f}',
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = '\n'.join(
        f'{line[0]:<{widths[0]}}'
        + ''.join(f'  {cell:>{width}}' for cell, width in zip(line[1:], widths[1:]))
        for line in lines
    )
    gain = summary['disco_minus_mocov2']['linear']
    text += (
        f'\n\nDisCo - MoCo-v2, linear probe, by seed: '
        f'{", ".join(f"{d:+.2f}" for d in gain["differences"])}; '
        f'mean {gain["mean"]:+.2f}'
    )
    if gain['standard_error'] is not None:
        text += f' ± {gain["standard_error"]:.2f} (standard error)'
    return text


def write_summary(summary: dict, jobs: Sequence[Job], work_dir: Path) -> None:
    """Print the table; write ``summary.json`` and ``summary.png``.

    Args:
        summary (dict): Result of :func:`summarise`.
        jobs (Sequence[Job]): The runs, for their curves.
        work_dir (Path): Folder of both files.
    """
    path = work_dir / 'summary.json'
    write_text(path, json.dumps(summary, indent=2))
    draw_summary(
        summary, {job.name: job.log() for job in jobs}, LABELS, work_dir / 'summary.png'
    )
    print(f'\n{table(summary)}\n\n{path}\n{work_dir / "summary.png"}')

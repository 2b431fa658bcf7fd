"""Scores of what DisCo is compared with: of runs, and of KD's classifiers."""

from pathlib import Path
from typing import Dict, List

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmdisco.evaluation import extract_features, kd_probe, linear_logits
from mmdisco.launch import Job
from mmdisco.models import KDLoss
from .quickstart import HELD_OUT, load_backbone
from .testbed_runs import splits

# row, its loss, and whose students they are
KD_ROWS = (
    ('KD', 'batchmean', 'MoCo-v2'),
    ('KD + DisCo', 'batchmean', 'DisCo'),
    ('KD, mean over classes', 'mean', 'MoCo-v2'),
    ('KD, mean over classes + DisCo', 'mean', 'DisCo'),
)


def kd_scores(jobs: Dict[str, List[Job]], images: int) -> Dict[str, list]:
    """Accuracy of classifiers that learn from labels and from the teacher.

    The teacher's logits are those of its own linear probe. The backbones are
    those of the students, frozen.

    Args:
        jobs (dict): Finished runs by row, a list over the seeds.
        images (int): Training images in all.

    Returns:
        dict: Accuracy in per cent of each seed, by row.
    """
    first = jobs['DisCo'][0]
    cfg = Config.fromfile(first.config)
    cfg.merge_from_dict(first.options)
    train, test = splits(cfg, images, False)
    held_out = min(HELD_OUT, len(train) // 4)
    prepare = MODELS.build(cfg.data_preprocessor)

    def features(backbone: dict, checkpoint: Path) -> List[torch.Tensor]:
        network = load_backbone(backbone, checkpoint)
        return [
            extract_features(
                network,
                split.images,
                lambda batch: prepare(dict(inputs=batch))['inputs'],
            )
            for split in (train, test)
        ]  # [N, D] each

    large, _ = features(cfg.model.teacher.backbone, Path(cfg.model.teacher.checkpoint))
    logits = linear_logits(large, train.labels, held_out)  # [N, C]
    found: Dict[str, list] = {}
    for row, reduction, students in KD_ROWS:
        loss = KDLoss(reduction=reduction)
        for job in jobs[students]:
            feats = features(cfg.model.ssl.backbone, job.checkpoint)
            found.setdefault(row, []).append(
                round(
                    kd_probe(
                        feats[0],
                        train.labels,
                        logits,
                        feats[1],
                        test.labels,
                        held_out,
                        loss,
                    )['accuracy'],
                    2,
                )
            )
    return found

"""Each published layout, converted, gives the outputs of its network."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

import mmdisco  # noqa: F401
from mmdisco.checkpoints import arch_config, convert, fit, load_strictly
from tests.layouts import DATA, public_content

GOLDEN = np.load(DATA / 'layouts_outputs.npz')
QUERY, STUDENT = 'module.encoder_q.', 'module.student.'
# layout: arch, family, entry and prefix of the encoder with these outputs
LAYOUTS = dict(
    moco_v2_r50=('r50', 'moco', 'state_dict', QUERY),
    moco_v2_r101=('r101', 'moco', 'state_dict', QUERY),
    moco_v2_r152=('r152', 'moco', 'state_dict', QUERY),
    swav_r50=('swavr50', 'swav', '', 'module.'),
    swav_r50w2=('r50w2', 'swav', '', 'module.'),
    selav2_r50=('selar50', 'swav', '', 'module.'),
    deepclusterv2_r50=('dcr50', 'swav', '', 'module.'),
    dino_vits16_full=('vits', 'dino', 'teacher', ''),
    dino_xcit_small_12_p16_full=('xcits', 'dino', 'teacher', ''),
    timm_efficientnet_b0=('effb0', 'backbone', '', ''),
    timm_efficientnet_b1=('effb1', 'backbone', '', ''),
    timm_mobilenetv3_large_100=('mbv3', 'backbone', '', ''),
    disco_student_r18=('r18', 'disco', 'state_dict', QUERY),
    disco_student_effb0=('effb0', 'disco', 'state_dict', QUERY),
    disco_student_mbv3=('mbv3', 'disco', 'state_dict', QUERY),
    seed_student_r18=('r18', 'seed', 'state_dict', STUDENT),
)
LARGE = ('moco_v2_r101', 'moco_v2_r152', 'swav_r50w2')
CASES = [
    pytest.param(name, marks=pytest.mark.slow if name in LARGE else ())
    for name in LAYOUTS
]


def check(layout, part, actual):
    expected = GOLDEN[f'{layout}/{part}']
    assert np.abs(actual.numpy() - expected).max() < 2e-5 * np.abs(expected).max()


def check_outputs(layout, backbone, neck):
    """Compare features and embeddings of networks in eval mode."""
    attention = layout.startswith('dino')
    images = torch.from_numpy(GOLDEN['input_224' if attention else 'input'])
    with torch.no_grad():
        feats = backbone(images)
        if attention:
            check(layout, 'cls_feature', feats[-1])
            check(layout, 'bottleneck_raw', neck.mlp(feats[-1]))
            check(layout, 'bottleneck_unit', neck(feats)[0])
            return
        check(layout, 'pooled', feats[-1].mean((2, 3)))
        if neck is not None:
            check(layout, 'embedding_raw', neck(feats)[0])


@pytest.mark.parametrize('layout', CASES)
def test_a_published_layout_gives_its_outputs(layout):
    name, family, *counts = LAYOUTS[layout]
    content, tensors = public_content(layout, counts)
    total = sum(
        float(value.double().abs().sum())
        for key, value in tensors.items()
        if value.is_floating_point() and 'prototypes' not in key
    )
    if not layout.startswith(('swav', 'sela', 'deep')):  # include prototypes
        assert total == pytest.approx(
            float(GOLDEN[f'{layout}/recipe_abs_sum']), rel=1e-7
        )

    conversion, arch = convert(content), arch_config(name)
    assert conversion.family == family
    result = fit(conversion, arch)
    assert result.faults == 0 and result.backbone == arch.backbone
    networks = []
    for part, cfg in (('backbone.', result.backbone), ('neck.', result.neck)):
        network = MODELS.build(cfg) if cfg else None
        if network is not None:
            load_strictly(
                network,
                {
                    k[len(part) :]: v
                    for k, v in conversion.state_dict.items()
                    if k.startswith(part)
                },
                layout,
            )
            network.eval()
        networks.append(network)
    check_outputs(layout, *networks)
    # every other tensor and entry of the file is reported as left out
    left_out = sum(map(len, conversion.left_out.values()))
    stacked = 2 * 2 * 2 if name == 'xcits' else 0  # two layers: 6 of 2 tensors
    group = content[counts[0]] if counts[0] else content
    beside = len(content) - 1 if counts[0] else 0
    assert len(conversion.state_dict) - stacked + left_out == len(group) + beside

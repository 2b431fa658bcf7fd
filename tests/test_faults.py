"""A fault of the user gives one clear line, and nothing is written."""

import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from tests.tools import PHOTOS, ROOT


def bare_teacher(path):
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(ROOT / 'configs/quickstart/disco.py')
    backbone = MODELS.build(cfg.model.teacher.backbone)
    torch.save(
        dict(state_dict={f'backbone.{k}': v for k, v in backbone.state_dict().items()}),
        path,
    )


@pytest.mark.parametrize(
    'options, words',
    [
        (['model.teacher.checkpoint=nowhere.pth'], "'nowhere.pth' not found"),
        (['model.teacher.checkpoint={tmp}/bare.pth'], 'no projection head'),
        (['model.teacher.checkpoint={tmp}/junk.pth'], "junk.pth' is no"),
        (
            [
                'model.teacher.backbone.base_channels=16',
                'model.teacher.neck.in_channels=128',
            ],
            'does not fit',
        ),
        (
            ['model.ssl.neck.out_channels=64', 'model.ssl.feat_dim=64'],
            'teacher gives 128-d embeddings, the student 64-d',
        ),
        (['train_dataloader.dataset.stop=100'], 'too few for one batch of 256'),
        (['model.ssl.queue_len=12800'], 'longer than the data set'),
        (['model.ssl.queue_len=1000'], 'set model.ssl.queue_len to 768'),
        (['data_root=nowhere'], "IDX file 'nowhere"),
        (['optim_wrapper.optimizer.type=SDG'], "did you mean 'SGD'"),
        (['train_dataloader.sampler.type=DefaultSample'], 'is not in the'),
        (['model.teacher.checkpoints=x'], "did you mean 'checkpoint'"),
        (['optim_wrapper.optimizer.lr=abc'], "must be a number, got 'abc'"),
        (['load_from={tmp}/junk.pth'], "junk.pth' is no"),
    ],
)
def test_one_clear_line_for_each_fault(tmp_path, fails, options, words):
    bare_teacher(tmp_path / 'bare.pth')
    (tmp_path / 'junk.pth').write_text('junk')
    options = [o.format(tmp=tmp_path) for o in options]
    line = fails(
        'tools/train.py',
        'configs/quickstart/disco.py',
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        *options,
    )
    assert words in line
    assert not list(tmp_path.rglob('epoch_*'))


ODD = """
from mmpretrain.models import MoCo
from mmpretrain.registry import MODELS

@MODELS.register_module()
class OddTestbed(MoCo):
    def loss(self, inputs, data_samples):
        half = self.backbone(inputs[0])[0][:128]
        return dict(loss=self.neck([half])[0].sum())
"""


def test_a_testbed_that_can_not_be_paired_is_named(tmp_path, fails, monkeypatch):
    (tmp_path / 'odd_testbed.py').write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / 'odd.py'
    config.write_text(
        f"_base_ = ['{ROOT}/configs/quickstart/disco.py']\n"
        "custom_imports = dict(imports=['odd_testbed'])\n"
        "model = dict(ssl=dict(type='OddTestbed'))\n"
    )
    line = fails('tools/train.py', config, '--work-dir', tmp_path / 'work')
    assert 'OddTestbed: its neck' in line and "can't pair" in line


def test_an_empty_folder_and_a_missing_config(tmp_path, fails):
    assert 'holds no image' in fails(
        'tools/train.py', PHOTOS, '--cfg-options', f'data_root={tmp_path}'
    )
    assert 'did you mean' in fails('tools/train.py', 'configs/quickstart/own_photo.py')


def test_a_config_with_a_missing_base(tmp_path, fails):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = './nowhere.py'")
    line = fails('tools/train.py', config)
    assert 'mine.py' in line and 'nowhere.py' in line


@pytest.mark.parametrize(
    'launcher, tool', [('pytorch', 'dist_train.sh'), ('slurm', 'slurm_train.sh')]
)
def test_a_launcher_that_has_not_launched(fails, launcher, tool):
    assert tool in fails(
        'tools/train.py', 'configs/quickstart/disco.py', '--launcher', launcher
    )


def test_only_the_first_process_of_a_node_speaks(monkeypatch, capsys):
    """As srun starts them: the flags of torch.distributed are not given. The
    others wait, and are ended when the first one stops."""

    def ended(seconds):
        raise SystemExit(seconds)

    monkeypatch.setattr('time.sleep', ended)
    monkeypatch.setenv('SLURM_PROCID', '3')
    monkeypatch.setenv('SLURM_LOCALID', '3')
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', 'nowhere.py'])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / 'tools/train.py'), run_name='__main__')
    assert 'error' not in capsys.readouterr().err


def test_a_folder_in_place_of_a_file_and_no_seed(tmp_path, fails):
    assert 'is a folder' in fails(
        'tools/extract_backbone.py', 'demo/teacher/quickstart_r18w32.pth', tmp_path
    )
    assert not list(tmp_path.iterdir())
    assert '--seeds must be at least 1' in fails('tools/quickstart.py', '--seeds', '0')


def test_junk_is_not_extracted_and_nothing_is_written(tmp_path, fails):
    junk = tmp_path / 'junk.pth'
    junk.write_text('<html>')
    out = tmp_path / 'out.pth'
    assert 'junk.pth' in fails('tools/extract_backbone.py', junk, out)
    assert list(tmp_path.iterdir()) == [junk]

"""Bags of neighbours: dataset, search and tool."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from mmdisco.datasets import Bags, IDXImages, Photos
from mmdisco.evaluation import nearest_neighbours
from mmdisco.evaluation.features.bags import embed_images, make_bags, plain_images
from mmdisco.launch.smoke import write_bags
from tests.tools import ROOT, one_line, run

QUICKSTART = ROOT / 'configs' / 'quickstart'
BINGO = QUICKSTART / 'comparators' / 'bingo.py'
DEMO = str(ROOT / 'demo' / 'fashion_mnist')
LOAD = dict(type='LoadPhoto')
PACK = dict(type='PackInputs')


def sklearns(embeds, k):
    """Find the k nearest other rows of each row; rows must differ."""
    search = NearestNeighbors(n_neighbors=k + 1, metric='cosine').fit(embeds)
    neighbours = search.kneighbors(embeds, return_distance=False)  # [N, k + 1]
    assert (neighbours[:, 0] == np.arange(len(embeds))).all()
    return neighbours[:, 1:]


@pytest.mark.parametrize('chunk', (1, 7, 50, 64))
def test_neighbours_are_sklearns(chunk):
    embeds = np.random.RandomState(0).randn(50, 6) * 9
    neighbours = nearest_neighbours(torch.tensor(embeds), 4, chunk)
    assert np.array_equal(neighbours.numpy(), sklearns(embeds, 4))


def test_a_copy_is_a_neighbour_and_the_image_itself_is_none():
    embeds = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    neighbours = nearest_neighbours(torch.cat([embeds, 2 * embeds]), 1)
    assert neighbours.squeeze(1).tolist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]


@pytest.mark.parametrize('k', (0, 3))
def test_too_few_images_for_a_bag(k):
    with pytest.raises(ValueError, match=f'3 images do not have {k} neighbours'):
        nearest_neighbours(torch.eye(3), k)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture
def folder(tmp_path):
    """Eight images of one colour each; red encodes their number."""
    for i in range(8):
        picture = np.full((40, 30, 3), (20 * i, 7, 250), np.uint8)
        Image.fromarray(picture).save(tmp_path / f'{i}.png')
    return tmp_path


@pytest.fixture
def ring(tmp_path):
    """A bag file: each image's neighbours are the next three."""
    path = tmp_path / 'ring.npy'
    np.save(path, (np.arange(8)[:, None] + [1, 2, 3]) % 8)
    return str(path)


def numbers(item):
    """Numbers of the images in an item's views, which are BGR."""
    return [int(view[2].float().mean()) // 20 for view in item['inputs']]


def test_two_views_of_the_anchor_then_one_of_a_member(folder, ring):
    views = [
        LOAD,
        dict(
            type='MultiView',
            num_views=2,
            transforms=[[dict(type='RandomFlip', prob=0.5)]],
        ),
        PACK,
    ]
    crop = dict(type='CenterCrop', crop_size=20)
    data = Bags(
        dict(type='Photos', data_root=str(folder), pipeline=views),
        ring,
        [LOAD, crop, PACK],
    )
    assert len(data) == 8 and data.metainfo == data.dataset.metainfo
    drawn = {i: set() for i in range(8)}
    np.random.seed(0)
    for _ in range(40):
        for i in range(8):
            item = data[i]
            assert [v.shape[1:] for v in item['inputs']] == [
                (40, 30),
                (40, 30),
                (20, 20),
            ]
            first, second, member = numbers(item)
            assert first == second == i == item['data_samples'].sample_idx
            drawn[i].add(member)
    assert drawn == {i: {(i + s) % 8 for s in (1, 2, 3)} for i in range(8)}


def test_without_member_pipeline_a_member_is_loaded_like_an_anchor(folder, ring):
    data = Bags(Photos(str(folder), pipeline=[LOAD, PACK]), ring)
    anchor, member = numbers(data[6])
    assert anchor == 6 and member in (7, 0, 1)


def test_members_follow_the_seed(ring):
    data = Bags(IDXImages(DEMO, stop=8), ring)
    runs = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        runs.append(torch.stack([data[i % 8]['inputs'][1] for i in range(64)]))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_unreadable_images_are_neither_anchor_nor_member(folder, ring):
    for i in (2, 3):
        (folder / f'{i}.png').write_text('junk')
    data = Bags(Photos(str(folder), pipeline=[LOAD, PACK]), ring)
    np.random.seed(0)
    for _ in range(20):
        for i in range(8):
            anchor, member = numbers(data[i])
            assert not {anchor, member} & {2, 3}
            assert (member - anchor) % 8 in (1, 2, 3)  # of the replacing image
    (folder / '4.png').write_text('junk')
    with pytest.raises(ValueError, match='no neighbour of image 1 can be'):
        data[1]


@pytest.mark.parametrize(
    'array, message',
    [
        (np.zeros((8, 2)), 'is not an integer array'),
        (np.zeros(8, int), 'is not an integer array'),
        (np.zeros((8, 0), int), 'is not an integer array'),
        (np.array([[None]] * 8), 'not a .npy file of numbers'),
        (np.ones((5, 2), int), 'bags of 5 images, the data set has 8'),
        (np.full((8, 2), 8), 'lists image 8, the data set has 0 to 7'),
        (np.full((8, 2), -1), 'lists image -1, the data set has 0 to 7'),
        (np.full((8, 2), 6), 'lists image 6 as its own neighbour'),
    ],
)
def test_invalid_bag_files_are_errors(tmp_path, array, message):
    path = tmp_path / 'bags.npy'
    np.save(path, array)
    with pytest.raises(ValueError, match=message) as error:
        Bags(IDXImages(DEMO, stop=8), str(path))
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_missing_files_and_pipelines_are_errors(tmp_path, ring):
    data = IDXImages(DEMO, stop=8)
    with pytest.raises(
        FileNotFoundError,
        match='make it with python tools/make_bags.py CONFIG --out .*none.npy',
    ):
        Bags(data, str(tmp_path / 'none.npy'))
    (tmp_path / 'junk.npy').write_text('<html>')
    with pytest.raises(ValueError, match='not a .npy file of numbers'):
        Bags(data, str(tmp_path / 'junk.npy'))
    with pytest.raises(ValueError, match='IDXImages has no pipeline'):
        Bags(data, ring, [LOAD, PACK])


def batch_views(num):
    flips = [
        [dict(type='kornia.augmentation.RandomHorizontalFlip', p=p)] for p in (0.0, 1.0)
    ]
    return MODELS.build(
        dict(type='BatchViews', transforms=flips[:num], num_views=[2, 1][:num])
    )


def test_each_group_of_views_works_on_its_own_images():
    anchors, members = torch.randint(0, 256, (2, 5, 1, 6, 4)).byte()
    data = dict(inputs=[anchors, members])
    views = batch_views(2)(data, training=True)['inputs']
    expected = [anchors, anchors, members.flip(3)]
    assert len(views) == 3
    for view, images in zip(views, expected):
        torch.testing.assert_close(view, images.expand(-1, 3, -1, -1) / 255)
    plain = batch_views(2)(data)['inputs']
    torch.testing.assert_close(
        plain, [x.expand(-1, 3, -1, -1) / 255 for x in (anchors, members)]
    )
    with pytest.raises(
        ValueError, match=re.escape('an item has 2 images, BatchViews has 1 group(s)')
    ):
        batch_views(1)(data, training=True)


def test_the_tool_finds_neighbours_in_the_teachers_space(tmp_path):
    """The config names a missing bag file, which the tool writes."""
    out = tmp_path / 'new' / 'bags.npy'
    option = 'train_dataloader.dataset.dataset.stop=203'
    done = run(
        'python',
        'tools/make_bags.py',
        BINGO,
        '--out',
        out,
        '--neighbours',
        3,
        '--batch-size',
        50,
        '--cfg-options',
        option,
    )
    line = done.stdout.strip().splitlines()[-1]
    assert line.startswith(f'{out}: 203 images, 3 neighbours each, ')
    assert [p.name for p in out.parent.iterdir()] == ['bags.npy']

    teacher = torch.load(ROOT / 'demo/teacher/quickstart_r18w32.pth')
    cfg = Config.fromfile(BINGO)
    backbone = MODELS.build(cfg.model.teacher.backbone)
    backbone.train(False)
    backbone.load_state_dict(
        {
            key.removeprefix('backbone.'): value.float()
            for key, value in teacher['state_dict'].items()
            if key.startswith('backbone.')
        }
    )
    images = IDXImages(DEMO, stop=203).images.float()
    mean, std = (cfg.data_preprocessor[k][0] for k in ('mean', 'std'))
    with torch.no_grad():
        images = ((images - mean) / std).expand(-1, 3, -1, -1)
        embeds = backbone(images)[0].mean((2, 3))
    neighbours = np.load(out)
    assert neighbours.dtype == np.int32
    # rounding may swap equally near neighbours
    assert (neighbours == sklearns(F.normalize(embeds).numpy(), 3)).mean() > 0.99

    cfg.train_dataloader.dataset.dataset.update(data_root=DEMO, stop=203)
    data = Bags(cfg.train_dataloader.dataset.dataset, str(out))
    anchor, member = data[202]['inputs']
    assert torch.equal(anchor, data.dataset.images[202])
    assert any(torch.equal(member, data.dataset.images[i]) for i in neighbours[202])


@pytest.mark.parametrize(
    'config, options, message',
    [
        (
            'disco',
            ('train_dataloader.dataset.stop=5',),
            '5 images do not have 5 neighbours each',
        ),
        ('mocov2', (), 'the config has no model.teacher'),
    ],
)
def test_errors_of_the_tool(tmp_path, config, options, message):
    more = ('--cfg-options', *options) if options else ()
    done = run(
        'python',
        'tools/make_bags.py',
        QUICKSTART / f'{config}.py',
        '--out',
        tmp_path / 'bags.npy',
        *more,
        check=False,
    )
    assert message in one_line(done.returncode, done.stdout, done.stderr)
    assert not list(tmp_path.iterdir())


class Colour(torch.nn.Module):
    """A teacher with a backbone that returns the original image."""

    def __init__(self, neck, norm_mode):
        super().__init__()
        assert norm_mode == 'eval'

    def match_normalisation(self, preprocessor):
        """Store the student's normalisation."""
        self.mean, self.std = preprocessor.mean, preprocessor.std

    def renormalize(self, images):
        """Undo the student's normalisation."""
        return images * self.std + self.mean

    def backbone(self, images):
        """Return the images as the only feature map."""
        assert images.shape[2:] == (224, 224)
        return (images,)


def folder_config(kind, folder):
    cfg = Config.fromfile(ROOT / f'configs/_base_/datasets/{kind}.py')
    cfg.train_dataloader.num_workers = 0
    data = cfg.train_dataloader.dataset
    data = data.dataset if data.type == 'Bags' else data
    data.update(data_root=str(folder), data_prefix='')
    cfg.model = dict(teacher=dict(type=Colour))
    return cfg


@pytest.mark.parametrize(
    'kind', ('imagenet_bags', 'imagenet_mocov2_fast', 'imagenet_mocov2_device')
)
def test_folders_are_seen_as_by_an_evaluation(folder, kind):
    """With the evaluation's size, in the student's channel order."""
    cfg = folder_config(kind, folder)
    embeds, shown = embed_images(cfg, batch_size=3)
    expected = torch.tensor([[20.0 * i, 7.0, 250.0] for i in range(8)])
    torch.testing.assert_close(embeds, expected, atol=0.1, rtol=0)
    assert shown.tolist() == list(range(8))
    inner = cfg.train_dataloader.dataset.get('dataset', cfg.train_dataloader.dataset)
    assert inner.pipeline != plain_images(cfg)['pipeline']  # unchanged


def test_unreadable_images_are_not_neighbours(folder):
    (folder / '3.png').write_text('junk')
    bags = make_bags(folder_config('imagenet_bags', folder), 2, 4).numpy()
    colours = np.array([[20.0 * i, 7.0, 250.0] for i in range(8) if i != 3])
    index = np.delete(np.arange(8), 3)
    assert np.array_equal(bags[index], index[sklearns(colours, 2)])
    assert any((bags[3] == bags[i]).all() for i in index)  # of the replacing image


def test_bags_of_a_smoke_test(tmp_path):
    images = dict(type='IDXImages', data_root=DEMO, stop=8)
    dataset = dict(type='Bags', dataset=images, neighbours='none.npy')
    assert write_bags(dataset, tmp_path / 'work' / 'bags.npy', 8) is images
    data = DATASETS.build(dataset)
    assert [set(row) for row in data.neighbours] == [
        {(i + s) % 8 for s in range(1, 6)} for i in range(8)
    ]
    assert [p.name for p in (tmp_path / 'work').iterdir()] == ['bags.npy']
